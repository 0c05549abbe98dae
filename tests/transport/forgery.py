"""Certificates that a real root has signed and that are still wrong, each in one way."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, mldsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from quatrefoil.transport import profile
from quatrefoil.transport.authority import ROOT_KEY_FILE
from support import Consortium

SIGNATURES = profile.key_usage(certificates=False)
ROLE = x509.UniformResourceIdentifier("urn:quatrefoil:role:silo")
LOCAL = (x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1")))


@dataclass(frozen=True)
class Recipe:
    """What goes into a certificate; the defaults make a good one."""

    key: Any = None
    names: tuple[str, ...] = ("mallory",)
    alternatives: Iterable[x509.GeneralName] = (*LOCAL, ROLE)
    usage: x509.KeyUsage | None = SIGNATURES
    extended: tuple[x509.ObjectIdentifier, ...] = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
    ca: bool = False
    begins: timedelta = timedelta(minutes=-5)
    ends: timedelta = timedelta(days=1)
    critical_unknown: bool = False
    extra: x509.ExtensionType | None = None
    extra_critical: bool = False


GOOD = Recipe()

DEFECTS = {
    "expired": (replace(GOOD, begins=timedelta(days=-9), ends=timedelta(days=-1)), "expired at"),
    "not yet valid": (replace(GOOD, begins=timedelta(days=1), ends=timedelta(days=2)), "valid only from"),
    "no key usage": (replace(GOOD, usage=None), "not for signatures"),
    "may sign certificates": (replace(GOOD, usage=profile.key_usage(certificates=True)), "not for signatures"),
    "is an authority": (replace(GOOD, ca=True), "path validation"),
    "not for clients": (replace(GOOD, extended=(ExtendedKeyUsageOID.SERVER_AUTH,)), "path validation"),
    "for code signing": (replace(GOOD, extended=(ExtendedKeyUsageOID.CODE_SIGNING,)), "path validation"),
    "classical key": (replace(GOOD, key=ec.generate_private_key(ec.SECP256R1())), "no ML-DSA-65 or ML-DSA-87 key"),
    "weaker key": (replace(GOOD, key=mldsa.MLDSA44PrivateKey.generate()), "no ML-DSA-65 or ML-DSA-87 key"),
    "no role": (replace(GOOD, alternatives=LOCAL), "one known role"),
    "unknown role": (
        replace(GOOD, alternatives=(*LOCAL, x509.UniformResourceIdentifier("urn:quatrefoil:role:king"))),
        "one known role",
    ),
    "two roles": (
        replace(GOOD, alternatives=(*LOCAL, ROLE, x509.UniformResourceIdentifier("urn:quatrefoil:role:keeper"))),
        "one known role",
    ),
    "no name": (replace(GOOD, names=()), "one known role"),
    "two names": (replace(GOOD, names=("mallory", "cleveland")), "one known role"),
    "odd name": (replace(GOOD, names=("../mallory",)), "one known role"),
    "unknown critical extension": (replace(GOOD, critical_unknown=True), "path validation"),
}
"""What is wrong -> how to make it, and what the refusal says."""


def forge(recipe: Recipe, consortium: Consortium) -> tuple[Any, x509.Certificate]:
    """A key, and a certificate of ``recipe`` signed by the consortium's own root."""
    pem = (consortium.directory / ROOT_KEY_FILE).read_bytes()
    return issue(recipe, serialization.load_pem_private_key(pem, password=None), consortium.authority.root.subject)


def issue(recipe: Recipe, issuer_key: Any, issuer: x509.Name) -> tuple[Any, x509.Certificate]:
    """A key, and a certificate of ``recipe`` signed by ``issuer_key``."""
    key = recipe.key or mldsa.MLDSA65PrivateKey.generate()
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in recipe.names]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + recipe.begins)
        .not_valid_after(now + recipe.ends)
        .add_extension(x509.BasicConstraints(recipe.ca, None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(recipe.extended), critical=False)
        .add_extension(x509.SubjectAlternativeName(recipe.alternatives), critical=not recipe.names)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if recipe.usage is not None:
        builder = builder.add_extension(recipe.usage, critical=True)
    if recipe.extra is not None:
        builder = builder.add_extension(recipe.extra, critical=recipe.extra_critical)
    if recipe.critical_unknown:
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")
        builder = builder.add_extension(unknown, critical=True)
    algorithm = hashes.SHA256() if isinstance(issuer_key, ec.EllipticCurvePrivateKey) else None
    return key, builder.sign(issuer_key, algorithm)


def classical() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """A self-signed P-256 certificate, as any web server has."""
    key = ec.generate_private_key(ec.SECP256R1())
    return issue(replace(GOOD, key=key), key, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mallory")]))
