"""MLKEM768-X25519, KEM 0x647a of HPKE: X-Wing (draft-connolly-cfrg-xwing-kem section 5; draft-ietf-hpke-pq).

The shared secret is SHA3-256 over both secrets, the X25519 share and public key, and a label; it holds while either
half does. ``cryptography`` has this KEM inside its single-shot HPKE only, without exporter or associated data: here it
stands over the same ML-KEM (FIPS 203) and X25519 (RFC 7748), and tests hold it to that one in both directions.

Unlike X-Wing, an X25519 share or key of small order is refused (RFC 7748 section 6.1): it is public, so nothing is
learnt.
"""

from __future__ import annotations

from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric import mlkem, x25519
from cryptography.hazmat.primitives.hashes import SHA3_256, Hash

from quatrefoil.errors import CallerError, MessageRefused
from quatrefoil.transport.suites import HYBRID_768

CIPHERTEXT_BYTES = 1088
_LABEL = b"\\.//^\\"


class MLKEM768X25519:
    """The KEM, without state."""

    identifier = int.from_bytes(HYBRID_768.identifiers[:2], "big")
    public_bytes = HYBRID_768.public_bytes
    encapsulated_bytes = HYBRID_768.encapsulated_bytes

    def encapsulate(self, public: bytes) -> tuple[bytes, bytes]:
        """A fresh shared secret of 32 bytes for the holder of ``public``, and ``enc``. Randomness is OpenSSL's.

        Raises ``MessageRefused`` where ``public`` is not 1,216 bytes that pass FIPS 203 section 7.2, or is degenerate.
        """
        ml_kem, curve = _halves(public)
        first, ciphertext = ml_kem.encapsulate()
        ephemeral = x25519.X25519PrivateKey.generate()
        second = _exchange(ephemeral, curve, "the public key is degenerate")
        own = ephemeral.public_key().public_bytes_raw()
        return _combine(first, second, own, public[HYBRID_768.ml_kem_bytes :]), ciphertext + own


class HybridKey:
    """A private key of this KEM, in memory only. :meth:`wipe` drops the only references; OpenSSL clears what it
    frees."""

    def __init__(self, ml_kem: mlkem.MLKEM768PrivateKey, curve: x25519.X25519PrivateKey) -> None:
        _, self._public = HYBRID_768.join(ml_kem, curve)
        self._halves: tuple[mlkem.MLKEM768PrivateKey, x25519.X25519PrivateKey] | None = (ml_kem, curve)

    @classmethod
    def generate(cls) -> HybridKey:
        """A fresh key, from OpenSSL's generator."""
        return cls(mlkem.MLKEM768PrivateKey.generate(), x25519.X25519PrivateKey.generate())

    @property
    def public(self) -> bytes:
        """1,184 bytes of ML-KEM-768, then 32 of X25519."""
        return self._public

    def decapsulate(self, encapsulated: bytes) -> bytes:
        """The shared secret in ``enc``. A wrong one of the right length gives another secret, as FIPS 203 has it.

        Raises ``MessageRefused`` for another length or a share of small order, ``CallerError`` after :meth:`wipe`.
        """
        if self._halves is None:
            raise CallerError("this key has been wiped", hint="Use a key that is in force")
        if len(encapsulated) != HYBRID_768.encapsulated_bytes:
            raise MessageRefused(
                f"an encapsulated key has {HYBRID_768.encapsulated_bytes} bytes, not {len(encapsulated)}",
                hint="Have the message sent again",
            )
        ml_kem, curve = self._halves
        ciphertext, share = encapsulated[:CIPHERTEXT_BYTES], encapsulated[CIPHERTEXT_BYTES:]
        first = ml_kem.decapsulate(ciphertext)
        second = _exchange(curve, x25519.X25519PublicKey.from_public_bytes(share), "the encapsulated key is degenerate")
        return _combine(first, second, share, self._public[HYBRID_768.ml_kem_bytes :])

    def wipe(self) -> None:
        """Forget the private halves: nothing sealed to this key opens afterwards."""
        self._halves = None

    def __repr__(self) -> str:
        return f"HybridKey({self._public[:8].hex()}, key=<{'wiped' if self._halves is None else 'secret'}>)"


@lru_cache(maxsize=64)
def _halves(public: bytes) -> tuple[mlkem.MLKEM768PublicKey, x25519.X25519PublicKey]:
    """The halves of a public key that has passed its checks. A client seals request after request to one, and to read
    it takes as long as to encapsulate to it."""
    HYBRID_768.read_public(public)
    return (
        mlkem.MLKEM768PublicKey.from_public_bytes(public[: HYBRID_768.ml_kem_bytes]),
        x25519.X25519PublicKey.from_public_bytes(public[HYBRID_768.ml_kem_bytes :]),
    )


def _exchange(key: x25519.X25519PrivateKey, share: x25519.X25519PublicKey, problem: str) -> bytes:
    try:
        return key.exchange(share)
    except ValueError:  # all zeros: a point of small order
        raise MessageRefused(problem, hint="Have another one made") from None


def _combine(ml_kem: bytes, curve: bytes, share: bytes, public: bytes) -> bytes:
    digest = Hash(SHA3_256())
    for part in (ml_kem, curve, share, public, _LABEL):
        digest.update(part)
    return digest.finalize()
