"""The certificate profile: what a Quatrefoil certificate holds, and the one place where it is checked.

A root is ML-DSA-87, signs leaves only (path length 0), and is given to every party beforehand. A leaf is ML-DSA-65 or
ML-DSA-87 (RFC 9881), for signatures only, for both ends of TLS, and names

* the party in the subject's common name,
* its role in the subject alternative name, as the URI ``urn:quatrefoil:role:ROLE``,
* the hosts it may answer for in the subject alternative name, as DNS names and IP addresses.

The role stands in the alternative name and not in an organisational unit because that is the field that path
validation returns (RFC 5280 section 4.2.1.6), its form is a typed URI instead of free text, and exactly one can be
demanded. docs/transport.md gives the whole profile.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import mldsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from quatrefoil.errors import CallerError, HostError, PeerError
from quatrefoil.transport.leaf_keys import PublicKey, key_digest

ROLES = ("silo", "aggregator", "keeper", "auditor", "broker", "workload")
"""What a certificate may let its holder act as."""

DEFAULT_HOSTS = ("localhost", "127.0.0.1")

ROLE_URI = "urn:quatrefoil:role:"

LEAF_USAGES = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])

Host: TypeAlias = x509.DNSName | x509.IPAddress

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DNS_LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")


@dataclass(frozen=True)
class Party:
    """Who holds a certificate that has been verified. ``fingerprint``: SHA-256 of the certificate in DER."""

    name: str
    role: str
    fingerprint: bytes
    certificate: x509.Certificate = field(repr=False, compare=False)

    @property
    def public_key(self) -> PublicKey:
        key = self.certificate.public_key()
        assert isinstance(key, PublicKey)
        return key


def check_name(name: str) -> str:
    """``name`` if it can be a party's name: it appears in certificates, file names and logs."""
    if not _NAME.fullmatch(name):
        raise CallerError(
            f"{name[:80]!r} cannot be a party's name",
            hint="Use 1 to 64 letters, digits, dots, hyphens or underscores, beginning with a letter or digit",
        )
    return name


def check_role(role: str) -> str:
    """``role`` if there is such a role."""
    if role not in ROLES:
        raise CallerError(f"{role[:80]!r} is not a role", hint=f"Use one of {', '.join(ROLES)}")
    return role


def parse_host(host: str) -> Host:
    """A DNS name or an IP address as it stands in a certificate."""
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    if len(host) > 253 or not all(_DNS_LABEL.fullmatch(label) for label in host.split(".")):
        raise CallerError(
            f"{host[:80]!r} is neither a host name nor an IP address",
            hint="Write it as in DNS, without port or wildcard",
        )
    return x509.DNSName(host.lower())


def leaf_names(name: str, role: str, hosts: Iterable[str]) -> tuple[x509.Name, x509.SubjectAlternativeName]:
    """The subject and the subject alternative name of a leaf, or of a request for one."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, check_name(name))])
    role_uri = x509.UniformResourceIdentifier(ROLE_URI + check_role(role))
    return subject, x509.SubjectAlternativeName([*(parse_host(host) for host in hosts), role_uri])


def key_usage(*, certificates: bool) -> x509.KeyUsage:
    """Signing certificates and revocation lists (a root), or signing anything else (a leaf)."""
    return x509.KeyUsage(
        digital_signature=not certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )


def read_root(certificate: x509.Certificate) -> x509.Certificate:
    """``certificate`` if it is a root of the profile, signed by itself; otherwise ``HostError``."""
    name = certificate.subject.rfc4514_string()
    hint = "Name the root.pem that `quatrefoil ca init` wrote"
    if not isinstance(certificate.public_key(), mldsa.MLDSA87PublicKey):
        raise HostError(f"trust anchor {name} has no ML-DSA-87 key", hint=hint)
    try:
        certificate.verify_directly_issued_by(certificate)
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except Exception as error:
        raise HostError(f"trust anchor {name} is not a self-signed root ({type(error).__name__})", hint=hint) from None
    if not (constraints.ca and constraints.path_length == 0 and usage.key_cert_sign):
        raise HostError(f"trust anchor {name} may not sign leaf certificates", hint=hint)
    return certificate


def verify_leaf(
    der: bytes,
    roots: Sequence[x509.Certificate],
    *,
    at: datetime,
    refusal: type[PeerError],
    server: Host | None = None,
) -> tuple[Party, x509.Certificate]:
    """The party that a leaf certificate names, and the root that signed it, after every check of the profile and of
    RFC 5280 path validation but one: whether the root has taken it back is for :func:`revocation.judge`.

    ``at``: the time to judge validity at. ``server``: also demand that the certificate is for this host.
    Raises ``refusal``, naming the party as it calls itself and the check that failed.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        name = _common_name(certificate.subject)
        extensions = certificate.extensions
        key = certificate.public_key()
        begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        issuer = certificate.issuer.rfc4514_string()[:100]
    except Exception as error:  # the parser raises many kinds; every one means the same to us
        raise refusal(
            f"a certificate cannot be read ({type(error).__name__})", hint="Ask the peer for one of `quatrefoil ca`"
        ) from None

    def refuse(problem: str, hint: str) -> PeerError:
        return refusal(f"certificate of {name[:64]!r} {problem}", hint=hint)

    if not isinstance(key, PublicKey):
        raise refuse(
            "holds no ML-DSA-65 or ML-DSA-87 key: it is classical or of another profile",
            "Have `quatrefoil ca` issue one",
        )
    policy = verification.PolicyBuilder().store(verification.Store(list(roots))).time(at).max_chain_depth(0)
    signer, defect = _path(policy, certificate)
    if signer is None:  # why: the checks below say it in words, once it is known which root has signed
        signer = next((root for root in roots if issued_by(certificate, root)), None)
    if signer is None:
        raise refuse(
            f"is signed by no trusted root (its issuer: {issuer})", "Check that both sides hold the same root.pem"
        )
    if at < begins:
        raise refuse(f"is valid only from {begins:%Y-%m-%d %H:%M} UTC", "Check the clocks of both sides")
    if at > ends:
        raise refuse(f"expired at {ends:%Y-%m-%d %H:%M} UTC", "Have `quatrefoil ca` issue a new one")
    if not _digital_signature_only(extensions):
        raise refuse("is not for signatures", "Have `quatrefoil ca` issue one")
    if defect is not None:
        raise refuse(f"fails path validation ({defect})", "Have `quatrefoil ca` issue one")
    if server is not None:
        _require_host(policy, certificate, server, refuse)
    role = _role(extensions)
    if role is None or not _NAME.fullmatch(name):
        raise refuse("does not name exactly one party in one known role", "Have `quatrefoil ca` issue one")
    return Party(name=name, role=role, fingerprint=hashlib.sha256(der).digest(), certificate=certificate), signer


def requested(request: x509.CertificateSigningRequest) -> tuple[str, str | None]:
    """The name and the role that a certificate request asks for."""
    return _common_name(request.subject), _role(request.extensions)


def host_values(certificate: x509.Certificate) -> list[str | ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """The hosts that a certificate names: DNS names as text, then addresses."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = names.get_values_for_type(x509.IPAddress)
    single = [each for each in addresses if isinstance(each, ipaddress.IPv4Address | ipaddress.IPv6Address)]
    return [*names.get_values_for_type(x509.DNSName), *single]


def hosts_of(certificate: x509.Certificate) -> list[str]:
    """The hosts that a certificate names, for people to read."""
    return [str(host) for host in host_values(certificate)]


def _path(
    policy: verification.PolicyBuilder, certificate: x509.Certificate
) -> tuple[x509.Certificate | None, verification.VerificationError | None]:
    """The root at the end of the path that holds, or why none does.

    The root's own signature is not looked at: :func:`read_root` has checked it once, when the root came to be trusted.
    """
    try:
        return policy.build_client_verifier().verify(certificate, []).chain[-1], None
    except verification.VerificationError as error:
        return None, error


def _require_host(
    policy: verification.PolicyBuilder,
    certificate: x509.Certificate,
    server: Host,
    refuse: Callable[[str, str], PeerError],
) -> None:
    try:
        policy.build_server_verifier(server).verify(certificate, [])
    except verification.VerificationError as error:
        if str(server.value) not in hosts_of(certificate):
            raise refuse(
                f"is for {', '.join(hosts_of(certificate)) or 'no host'}, not for {server.value}",
                "Connect by a name in the certificate, or have one issued with `quatrefoil ca issue --host`",
            ) from None
        raise refuse(f"fails path validation ({error})", "Have `quatrefoil ca` issue one") from None


def issued_by(certificate: x509.Certificate, root: x509.Certificate) -> bool:
    """Whether ``root`` has signed ``certificate``."""
    try:
        certificate.verify_directly_issued_by(root)
    except Exception:  # wrong name, key type or signature: all mean "not by this root"
        return False
    return True


def _digital_signature_only(extensions: x509.Extensions) -> bool:
    try:
        return extensions.get_extension_for_class(x509.KeyUsage).value == key_usage(certificates=False)
    except x509.ExtensionNotFound:
        return False


def _common_name(subject: x509.Name) -> str:
    names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if len(names) == 1 and len(subject) == 1 else ""


def _role(extensions: x509.Extensions) -> str | None:
    try:
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if len(uris) != 1 or not uris[0].startswith(ROLE_URI):
        return None
    role = uris[0].removeprefix(ROLE_URI)
    return role if role in ROLES else None


def describe(certificate: x509.Certificate) -> list[tuple[str, str]]:
    """What a certificate says, for people to read and compare: (field, value)."""
    role = _role(certificate.extensions)
    try:
        hosts = hosts_of(certificate)
    except x509.ExtensionNotFound:
        hosts = []
    fingerprint = hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()
    key = type(certificate.public_key()).__name__.removesuffix("PublicKey")
    return [
        ("name", _common_name(certificate.subject) or certificate.subject.rfc4514_string()),
        ("role", role or "none (a root, or not of this profile)"),
        ("hosts", ", ".join(hosts) or "none"),
        ("key", key),
        ("issuer", certificate.issuer.rfc4514_string()),
        ("valid from", f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"),
        ("valid to", f"{certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"),
        ("serial", f"{certificate.serial_number:x}"),
        ("SHA-256", fingerprint),
        ("SHA-256 of the key", key_digest(certificate.public_key()).hex()),
    ]


def named_in(certificate: x509.Certificate) -> tuple[str, str]:
    """The name and role in one's own certificate; ``HostError`` if it is not a leaf of the profile."""
    name, role = _common_name(certificate.subject), _role(certificate.extensions)
    if role is None or not _NAME.fullmatch(name):
        raise HostError("the certificate names no party in a known role", hint="Have `quatrefoil ca` issue one")
    return name, role
