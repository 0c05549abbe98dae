"""HPKE suites of published vectors and of foreign peers: classical KEMs and other AEADs, which nothing in the package
has.

The key schedule, sequences, framing and response keys under test are those of the package; only these parts are other.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from tests.reference import oblivious

from quatrefoil.ohttp import HybridKey
from quatrefoil.ohttp.hpke_context import HYBRID, Suite
from quatrefoil.ohttp.sequence import Aead

AES_128_GCM = Aead(identifier=0x0001, key_bytes=16, cipher=AESGCM)
CHACHA20_POLY1305 = Aead(identifier=0x0003, key_bytes=32, cipher=ChaCha20Poly1305)


@dataclass
class ClassicalKey:
    """A key of DHKEM(X25519, HKDF-SHA256)."""

    secret: bytes

    @property
    def public(self) -> bytes:
        return x25519.X25519PrivateKey.from_private_bytes(self.secret).public_key().public_bytes_raw()

    def decapsulate(self, encapsulated: bytes) -> bytes:
        key = x25519.X25519PrivateKey.from_private_bytes(self.secret)
        return oblivious.dhkem(key, encapsulated, encapsulated + self.public)

    def wipe(self) -> None:
        self.secret = b""


@dataclass
class ClassicalKem:
    """DHKEM(X25519, HKDF-SHA256) (RFC 9180 section 4.1) whose ephemeral keys are given, so that vectors come out."""

    ephemeral: bytes
    identifier: int = 0x0020
    public_bytes: int = 32
    encapsulated_bytes: int = 32

    def encapsulate(self, public: bytes) -> tuple[bytes, bytes]:
        key = x25519.X25519PrivateKey.from_private_bytes(self.ephemeral)
        own = key.public_key().public_bytes_raw()
        return oblivious.dhkem(key, public, own + public), own


def classical(ephemeral: bytes, aead: Aead = AES_128_GCM) -> Suite:
    return Suite(ClassicalKem(ephemeral), aead)


HYBRID_AES_128 = Suite(HYBRID.kem, AES_128_GCM)
"""What Mozilla's crate speaks."""


def hybrid_key(seed: bytes) -> HybridKey:
    """The key of a seed of 32 bytes, as X-Wing expands it."""
    return HybridKey(*oblivious.xwing_halves(seed))
