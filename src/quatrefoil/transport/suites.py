"""The HPKE suites (RFC 9180; draft-ietf-hpke-pq) of envelopes and sealed files.

The hybrid ones hold while either half of their KEM does. ML-KEM-1024 alone is for envelopes under ``cnsa-2.0``, and for
nothing that is kept. A public key is the ML-KEM encapsulation key (FIPS 203), then the
curve's: 32 bytes of X25519 (RFC 7748), or an uncompressed point of P-384 (SEC 1 section 2.3.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, TypeGuard

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from quatrefoil.errors import CallerError, MessageRefused

MLKEMPrivateKey: TypeAlias = mlkem.MLKEM768PrivateKey | mlkem.MLKEM1024PrivateKey
CurvePrivateKey: TypeAlias = x25519.X25519PrivateKey | ec.EllipticCurvePrivateKey
PublicKey: TypeAlias = hpke.MLKEM768X25519PublicKey | hpke.MLKEM1024P384PublicKey | mlkem.MLKEM1024PublicKey
PrivateKey: TypeAlias = hpke.MLKEM768X25519PrivateKey | hpke.MLKEM1024P384PrivateKey | mlkem.MLKEM1024PrivateKey

_ASK = "Ask its holder for it again"


@dataclass(frozen=True)
class Suite:
    """``identifiers``: KEM, KDF and AEAD of HPKE, two bytes each. ``category``: NIST's, of the ML-KEM half.

    ``ml_kem_bytes``, ``curve_bytes``: the two parts of a public key. ``encapsulated_bytes``: HPKE's ``enc``.
    """

    name: str
    identifiers: bytes
    category: int
    ml_kem_bytes: int
    curve_bytes: int
    encapsulated_bytes: int
    _hpke: hpke.Suite = field(repr=False, compare=False)

    @property
    def public_bytes(self) -> int:
        return self.ml_kem_bytes + self.curve_bytes

    def generate(self) -> tuple[MLKEMPrivateKey, CurvePrivateKey]:
        """A fresh pair of private keys of a hybrid suite, from OpenSSL's generator."""
        if self is HYBRID_768:
            return mlkem.MLKEM768PrivateKey.generate(), x25519.X25519PrivateKey.generate()
        return mlkem.MLKEM1024PrivateKey.generate(), ec.generate_private_key(ec.SECP384R1())

    def new_key(self) -> tuple[PrivateKey, bytes]:
        """A fresh private key for HPKE, and its public bytes."""
        if self is ML_KEM_1024:
            key = mlkem.MLKEM1024PrivateKey.generate()
            return key, key.public_key().public_bytes_raw()
        return self.join(*self.generate())

    def wrap(self, content: bytes | bytearray, public: bytes, info: bytes) -> bytes:
        """``enc`` and the ciphertext of ``content``, for the holder of ``public``; ``MessageRefused`` if no key."""
        key = self.read_public(public)
        try:
            return self._hpke.encrypt(content, key, info)
        except ValueError:  # an X25519 point of small order
            raise MessageRefused("the recipient's public key is degenerate", hint=_ASK) from None

    def unwrap(self, sealed: bytes, key: PrivateKey, info: bytes) -> bytes:
        """The file key, or ``MessageRefused``: other key, other ``info``, or altered bytes."""
        try:
            return self._hpke.decrypt(sealed, key, info)
        except (InvalidTag, ValueError):
            raise MessageRefused(
                "the wrapped file key does not open: it was altered, or wrapped by someone else or for another file",
                hint="Ask for the file again",
            ) from None

    def read_public(self, public: bytes) -> PublicKey:
        """The key in ``public``, after the checks of FIPS 203 section 7.2 and of the curve; or ``MessageRefused``."""
        if len(public) != self.public_bytes:
            raise MessageRefused(
                f"a public key of {self.name} has {self.public_bytes} bytes, not {len(public)}", hint=_ASK
            )
        first, second = public[: self.ml_kem_bytes], public[self.ml_kem_bytes :]
        try:
            if self is HYBRID_768:
                return hpke.MLKEM768X25519PublicKey(
                    mlkem.MLKEM768PublicKey.from_public_bytes(first), x25519.X25519PublicKey.from_public_bytes(second)
                )
            if self is ML_KEM_1024:
                return mlkem.MLKEM1024PublicKey.from_public_bytes(first)
            return hpke.MLKEM1024P384PublicKey(
                mlkem.MLKEM1024PublicKey.from_public_bytes(first),
                ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), second),
            )
        except ValueError:
            raise MessageRefused(f"the public key is not one of {self.name}", hint=_ASK) from None

    def join(self, ml_kem: object, curve: object) -> tuple[PrivateKey, bytes]:
        """The private key for HPKE, and the public bytes; ``CallerError`` if the halves are not of this suite."""
        if self is HYBRID_768:
            if isinstance(ml_kem, mlkem.MLKEM768PrivateKey) and isinstance(curve, x25519.X25519PrivateKey):
                public = ml_kem.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()
                return hpke.MLKEM768X25519PrivateKey(ml_kem, curve), public
        elif self is HYBRID_1024 and isinstance(ml_kem, mlkem.MLKEM1024PrivateKey) and _on_p384(curve):
            point = curve.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
            return hpke.MLKEM1024P384PrivateKey(ml_kem, curve), ml_kem.public_key().public_bytes_raw() + point
        raise CallerError(f"these are not the two private keys of {self.name}", hint="Make them with one suite")


HYBRID_768 = Suite(
    name="hybrid-768",
    identifiers=bytes.fromhex("647a00010002"),  # MLKEM768-X25519, HKDF-SHA256, AES-256-GCM
    category=3,
    ml_kem_bytes=1184,
    curve_bytes=32,
    encapsulated_bytes=1088 + 32,
    _hpke=hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM),
)

HYBRID_1024 = Suite(
    name="hybrid-1024",
    identifiers=bytes.fromhex("005100020002"),  # MLKEM1024-P384, HKDF-SHA384, AES-256-GCM
    category=5,
    ml_kem_bytes=1568,
    curve_bytes=97,
    encapsulated_bytes=1568 + 97,
    _hpke=hpke.Suite(hpke.KEM.MLKEM1024_P384, hpke.KDF.HKDF_SHA384, hpke.AEAD.AES_256_GCM),
)

ML_KEM_1024 = Suite(
    name="cnsa-2.0",
    identifiers=bytes.fromhex("004200020002"),  # ML-KEM-1024, HKDF-SHA384, AES-256-GCM
    category=5,
    ml_kem_bytes=1568,
    curve_bytes=0,
    encapsulated_bytes=1568,
    _hpke=hpke.Suite(hpke.KEM.MLKEM1024, hpke.KDF.HKDF_SHA384, hpke.AEAD.AES_256_GCM),
)

SUITES = (HYBRID_768, HYBRID_1024)
"""Every suite of sealed files, the weaker first."""

ENVELOPES = (*SUITES, ML_KEM_1024)
"""Every suite of envelopes."""


def _on_p384(key: object) -> TypeGuard[ec.EllipticCurvePrivateKey]:
    return isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP384R1)


def of_envelopes(names: Sequence[str]) -> tuple[Suite, ...]:
    """The suites that a channel policy names for envelopes."""
    return tuple(next(suite for suite in ENVELOPES if suite.name == name) for name in names)


def named(name: str) -> Suite:
    """The suite called ``name``."""
    for suite in SUITES:
        if suite.name == name:
            return suite
    raise CallerError(f"{name[:40]!r} is no suite", hint=f"Use one of {', '.join(one.name for one in SUITES)}")


def identified(identifiers: bytes) -> Suite:
    """The suite with these HPKE identifiers, or ``MessageRefused``: nothing classical has one."""
    for suite in SUITES:
        if suite.identifiers == identifiers:
            return suite
    raise MessageRefused(
        f"HPKE suite {identifiers.hex()[:24]} is none of {', '.join(one.name for one in SUITES)}",
        hint="Only hybrid suites are taken; have it made again",
    )


def require_minimum(suite: Suite, minimum: Suite, whose: str) -> None:
    """``CallerError`` when ``suite`` is weaker than ``minimum``."""
    if suite.category < minimum.category:
        raise CallerError(
            f"{whose} has a key of {suite.name}, and at least {minimum.name} is asked for",
            hint=f"Have a key of {minimum.name} made, or ask for less",
        )
