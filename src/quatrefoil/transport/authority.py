"""The certificate authority of a consortium: an ML-DSA-87 root that names parties and gives each one role.

It is offline: it writes files and answers nobody. What it takes back stands in the lists that it signs
(``revocations.py``); a leaf so short-lived that it needs none says so itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import mldsa
from cryptography.x509.oid import NameOID

from quatrefoil.errors import CallerError, MessageRefused, StateCorrupt
from quatrefoil.transport import files, leaf_keys, profile, revocation
from quatrefoil.transport.identity import (
    CERTIFICATE_FILE,
    KEY_FILE,
    LIST_FILE,
    ROOT_FILE,
    Clock,
    Identity,
    TrustAnchor,
    next_generation,
    read_key,
    read_roots,
)
from quatrefoil.transport.leaf_keys import PublicKey, key_pem
from quatrefoil.transport.profile import DEFAULT_HOSTS
from quatrefoil.transport.request import read_request
from quatrefoil.transport.revocation import RevocationList
from quatrefoil.transport.revocations import LIST_LIFETIME, LISTS_FOLDER, REVOKED_FOLDER, Revocations, sign_list

ROOT_KEY_FILE = "root.key"
ISSUED_FOLDER = "issued"

ROOT_LIFETIME = timedelta(days=3650)
LEAF_LIFETIME = timedelta(days=90)

_SKEW = timedelta(minutes=5)
"""How far behind another host's clock may be when a certificate is new."""


class CertificateAuthority:
    """A root key with its certificate, in a directory of its own. Prints without the key."""

    def __init__(self, directory: Path, key: mldsa.MLDSA87PrivateKey, root: x509.Certificate, *, clock: Clock) -> None:
        self._directory = directory
        self._key = key
        self._root = profile.read_root(root)
        self._clock = clock
        self._revocations = Revocations(directory, key, root, clock=clock)

    @classmethod
    def create(
        cls, directory: Path | str, name: str, *, clock: Clock, lifetime: timedelta = ROOT_LIFETIME
    ) -> CertificateAuthority:
        """A new root in ``directory``, which must not exist or be empty, with a first list that names nobody."""
        folder = Path(directory)
        profile.check_name(name)
        key = mldsa.MLDSA87PrivateKey.generate()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        now = _now(clock)
        root = (
            _builder(subject, subject, key.public_key(), now, lifetime)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(profile.key_usage(certificates=True), critical=True)
            .add_extension(identifier, critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
            .sign(key, None)
        )
        files.write_new_directory(
            folder,
            {
                ROOT_KEY_FILE: (key_pem(key), files.PRIVATE),
                ROOT_FILE: (to_pem(root), files.PUBLIC),
                LIST_FILE: (sign_list(key, root, 1, [], now=now, lifetime=LIST_LIFETIME), files.PUBLIC),
            },
        )
        return cls(folder, key, root, clock=clock)

    @classmethod
    def load(cls, directory: Path | str, *, clock: Clock) -> CertificateAuthority:
        """The authority that :meth:`create` wrote to ``directory``."""
        folder = Path(directory)
        key_file = folder / ROOT_KEY_FILE
        key_pem = files.read_private(key_file, "root key")
        (root,) = read_roots(folder / ROOT_FILE)[:1]
        key = read_key(key_pem, f"root key {key_file}", "Restore it from a copy")
        if not isinstance(key, mldsa.MLDSA87PrivateKey) or key.public_key() != root.public_key():
            raise StateCorrupt(
                f"{folder} does not hold an ML-DSA-87 key with its own root", hint="Restore both from one copy"
            )
        return cls(folder, key, root, clock=clock)

    @property
    def directory(self) -> Path:
        return self._directory

    @property
    def root(self) -> x509.Certificate:
        return self._root

    @property
    def trust(self) -> TrustAnchor:
        """What to hand to every party: the root and its newest list."""
        newest = self._revocations.newest()
        return TrustAnchor([self._root], lists=[] if newest is None else [newest])

    def revoke(self, certificate: x509.Certificate, *, reason: str) -> None:
        """Take ``certificate`` back, durably; parties learn it from the list that :meth:`publish` signs next.

        ``CallerError`` when this root has not signed it, or ``reason`` is none of ``revocation.REASONS``.
        """
        if not profile.issued_by(certificate, self._root):
            raise CallerError(
                f"certificate {certificate.serial_number:x} is not of this root", hint="Name the authority's own folder"
            )
        self._revocations.record(certificate, reason)

    def publish(self, *, lifetime: timedelta = LIST_LIFETIME) -> RevocationList:
        """A new list of everything taken back, in the place of ``crl.pem``."""
        return self._revocations.publish(lifetime=lifetime)

    def issued(self) -> list[x509.Certificate]:
        """Every certificate ever signed here, oldest first."""
        found = [
            x509.load_pem_x509_certificate(files.read(file, "issued certificate"))
            for file in (self._directory / ISSUED_FOLDER).glob("*.pem")
        ]
        return sorted(found, key=lambda one: one.not_valid_before_utc)

    def issue(
        self,
        name: str,
        role: str,
        *,
        hosts: Sequence[str] = DEFAULT_HOSTS,
        lifetime: timedelta = LEAF_LIFETIME,
        algorithm: str = leaf_keys.DEFAULT,
        directory: Path | str | None = None,
    ) -> Identity:
        """A new identity, written whole to ``directory`` (default: ``NAME`` under the authority's own).

        The directory then holds the key (mode 0600), the certificate, the root and its list. Nothing is overwritten.
        """
        folder = self._directory / profile.check_name(name) if directory is None else Path(directory)
        if directory is None and name in (ISSUED_FOLDER, REVOKED_FOLDER, LISTS_FOLDER):
            raise CallerError(f"{folder} is the authority's own", hint="Name another place for the identity")
        key = leaf_keys.named(algorithm).generate()
        certificate = self._certify(name, role, key.public_key(), hosts, lifetime)
        files.require_absent(folder)
        self._record(certificate)  # first, so that there is no identity that the authority cannot take back
        files.write_new_directory(
            folder,
            {
                KEY_FILE: (key_pem(key), files.PRIVATE),
                CERTIFICATE_FILE: (to_pem(certificate), files.PUBLIC),
                **{name: (content, files.PUBLIC) for name, content in self.public_files().items()},
            },
        )
        return Identity(key, certificate)

    def renew(
        self,
        directory: Path | str,
        *,
        hosts: Sequence[str] | None = None,
        lifetime: timedelta | None = None,
        algorithm: str | None = None,
    ) -> Identity:
        """The next key and certificate of the party whose identity is in ``directory``, put whole beside the old.

        Same name and role. Hosts, lifetime and algorithm are those of the certificate before unless they are given.
        """
        old = Identity.load(directory)
        if not profile.issued_by(old.certificate, self._root):
            raise CallerError(
                f"the certificate of {old.name!r} is of another root",
                hint="Under a new root, say which role it is to have: `quatrefoil ca request --renew`, then `ca sign`",
            )
        begins, ends = old.certificate.not_valid_before_utc, old.certificate.not_valid_after_utc
        return self.issue(
            old.name,
            old.role,
            hosts=profile.hosts_of(old.certificate) if hosts is None else hosts,
            lifetime=ends - begins - _SKEW if lifetime is None else lifetime,
            algorithm=algorithm or old.algorithm,
            directory=next_generation(Path(directory)),
        )

    def sign_request(
        self,
        request: bytes,
        *,
        name: str,
        role: str,
        hosts: Sequence[str] = DEFAULT_HOSTS,
        lifetime: timedelta = LEAF_LIFETIME,
    ) -> x509.Certificate:
        """A certificate for the key in a PEM request, which keeps the key where it was made.

        ``name`` and ``role`` are what the authority means to grant: a request for any other is ``MessageRefused``.
        Hosts are the authority's to grant; a request holds none.
        """
        profile.check_name(name)
        profile.check_role(role)
        asked = read_request(request)
        if (asked.name, asked.role) != (name, role):
            raise MessageRefused(
                f"the request is for {asked.name[:64]!r} as {asked.role}, not for {name!r} as {role}",
                hint="Check with its sender; sign it under the name and role that it asks for, or not at all",
            )
        certificate = self._certify(name, role, asked.key, hosts, lifetime)
        self._record(certificate)
        return certificate

    def _certify(
        self, name: str, role: str, key: PublicKey, hosts: Sequence[str], lifetime: timedelta
    ) -> x509.Certificate:
        subject, alternatives = profile.leaf_names(name, role, hosts)
        now = _now(self._clock)
        if not now < now + lifetime <= self._root.not_valid_after_utc:
            raise CallerError(
                f"a lifetime of {lifetime.days} days ends before now or after the root "
                f"({self._root.not_valid_after_utc:%Y-%m-%d})",
                hint="Ask for a shorter one, or make a new root",
            )
        builder = (
            _builder(subject, self._root.subject, key, now, lifetime)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(profile.key_usage(certificates=False), critical=True)
            .add_extension(profile.LEAF_USAGES, critical=False)
            .add_extension(alternatives, critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if lifetime + _SKEW <= revocation.SHORT_LIVED:
            builder = builder.add_extension(revocation.NO_REVOCATION, critical=False)
        return builder.sign(self._key, None)

    def public_files(self) -> dict[str, bytes]:
        """What every party is to have of this authority: the root and the newest list, by file name."""
        found = {ROOT_FILE: to_pem(self._root)}
        if (self._directory / LIST_FILE).exists():
            found[LIST_FILE] = files.read(self._directory / LIST_FILE, "revocation list")
        return found

    def _record(self, certificate: x509.Certificate) -> None:
        """Keep a copy of everything ever issued, by serial number."""
        files.write_new(self._directory / ISSUED_FOLDER / f"{certificate.serial_number:040x}.pem", to_pem(certificate))

    def __repr__(self) -> str:
        return f"CertificateAuthority({self._root.subject.rfc4514_string()}, key=<secret>)"


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: PublicKey,
    now: datetime,
    lifetime: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + lifetime)
    )


def _now(clock: Clock) -> datetime:
    return clock().astimezone(UTC).replace(microsecond=0)


def to_pem(certificate: x509.Certificate) -> bytes:
    """The file form of a certificate."""
    return certificate.public_bytes(serialization.Encoding.PEM)


__all__ = ["LEAF_LIFETIME", "ROOT_LIFETIME", "CertificateAuthority"]
