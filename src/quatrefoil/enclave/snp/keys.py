"""Certificates of the keys that sign reports: VCEK, of one chip, and VLEK, of one cloud provider.

What a certificate says is in extensions below 1.3.6.1.4.1.3704.1 (AMD publication 57230, "VCEK Certificate and KDS
Interface Specification", chapter 3; table 11 for Turin): the product, the TCB version that the key was derived for, and
either the chip or the provider.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from quatrefoil.enclave import certificates
from quatrefoil.enclave.snp.tcb import CHIP_ID_BYTES, LAYOUTS
from quatrefoil.errors import EvidenceRejected

_ARC = "1.3.6.1.4.1.3704.1."
_PRODUCT = x509.ObjectIdentifier(_ARC + "2")
_CHIP_ID = x509.ObjectIdentifier(_ARC + "4")
_PROVIDER = x509.ObjectIdentifier(_ARC + "5")
_TCB: Mapping[str, x509.ObjectIdentifier] = {
    name: x509.ObjectIdentifier(f"{_ARC}3.{number}")
    for name, number in (("bootloader", 1), ("tee", 2), ("snp", 3), ("microcode", 8), ("fmc", 9))
}
_UNUSED = tuple(x509.ObjectIdentifier(f"{_ARC}3.{number}") for number in (4, 5, 6, 7))
"""Versions of components that no known product has: zero, or not there."""
_INTEGER, _OCTET_STRING, _IA5_STRING = 0x02, 0x04, 0x16

ISSUERS: Mapping[str, str] = {"vcek": "SEV-", "vlek": "SEV-VLEK-"}
"""Kind of key -> what the common name of its issuer begins with; the product follows."""


@dataclass(frozen=True)
class SigningKey:
    """What the certificate of a VCEK or VLEK says; its own signature is not verified here."""

    certificate: x509.Certificate
    kind: str
    """"vcek" or "vlek"."""
    product: str
    tcb: Mapping[str, int]
    chip_id: bytes
    """Of a VCEK: 64 bytes, 8 on Turin. Empty for a VLEK."""
    provider: str
    """Of a VLEK: the cloud provider. Empty for a VCEK."""
    public: ec.EllipticCurvePublicKey

    @staticmethod
    def is_in(certificate: x509.Certificate) -> bool:
        """Whether ``certificate`` has the marks of a VCEK or VLEK."""
        return any(certificates.extension(certificate, oid) is not None for oid in (_CHIP_ID, _PROVIDER))

    @classmethod
    def read(cls, certificate: x509.Certificate) -> Self:
        """The key, or ``EvidenceRejected`` where the certificate is not one that AMD would issue."""
        chip, provider = (certificates.extension(certificate, oid) for oid in (_CHIP_ID, _PROVIDER))
        if (chip is None) == (provider is None):
            raise _rejected("names a chip and a provider, or neither")
        product = _text(certificate, _PRODUCT).partition("-")[0]
        if product not in LAYOUTS:
            raise _rejected(f"is of the unknown product {product[:20]!r}")
        public = certificates.reading("certificate", certificate.public_key)
        if not isinstance(public, ec.EllipticCurvePublicKey) or public.curve.name != "secp384r1":
            raise _rejected("has a key that is not P-384")
        tcb = {component: _version(certificate, _TCB[component], component) for component in LAYOUTS[product]}
        for oid in _UNUSED:
            if certificates.extension(certificate, oid) is not None and _version(certificate, oid, "a component"):
                raise _rejected("says a version of a component that is not known here")
        return cls(
            certificate,
            "vlek" if chip is None else "vcek",
            product,
            tcb,
            b"" if chip is None else _chip_id(chip, CHIP_ID_BYTES[product]),
            _text(certificate, _PROVIDER) if chip is None else "",
            public,
        )


def _chip_id(value: bytes, size: int) -> bytes:
    """AMD's server writes the bytes bare; the specification has them in an OCTET STRING."""
    if len(value) != size:
        value = _inside(value, _OCTET_STRING)
    if len(value) != size:
        raise _rejected(f"has a chip id of {len(value)} bytes, not {size}")
    return value


def _version(certificate: x509.Certificate, oid: x509.ObjectIdentifier, component: str) -> int:
    value = certificates.extension(certificate, oid)
    if value is None:
        raise _rejected(f"says no version of {component}")
    number = _inside(value, _INTEGER)
    if not (len(number) == 1 and number[0] < 0x80) and not (len(number) == 2 and number[0] == 0 and number[1] >= 0x80):
        raise _rejected(f"says a version of {component} that is not 0 to 255")
    return number[-1]


def _text(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> str:
    value = certificates.extension(certificate, oid)
    if value is None:
        raise _rejected("does not say its product or provider")
    return _inside(value, _IA5_STRING).decode("ascii", "replace")


def _inside(value: bytes, tag: int) -> bytes:
    """The content of the DER element of ``tag`` that is all of ``value``; these are shorter than 128 bytes."""
    if len(value) < 2 or value[0] != tag or value[1] != len(value) - 2 or value[1] > 0x7F:
        raise _rejected("has an extension that is not what AMD documents")
    return value[2:]


def _rejected(problem: str) -> EvidenceRejected:
    return EvidenceRejected(
        f"the certificate of the signing key {problem}",
        hint="Fetch the VCEK or VLEK certificate of this chip from AMD again",
        check="format",
    )


__all__ = ["ISSUERS", "SigningKey"]
