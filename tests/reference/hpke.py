"""HPKE by hand: the two hybrid KEMs of draft-ietf-hpke-pq, then the key schedule of RFC 9180 section 5.1 over hmac.

Slow, and nothing of ours or of the HPKE below it. Secrets are plain arguments, so that vectors and other
implementations can be compared with each step.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

XWING = b"\\.//^\\"
P384 = b"MLKEM1024-P384"
P384_ORDER = int("ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16)
NAMES = {b"\x00\x01": "sha256", b"\x00\x02": "sha384"}


@dataclass(frozen=True)
class Keys:
    """What the key schedule gives. ``exporter``: the secret of RFC 9180 section 5.3."""

    key: bytes
    nonce: bytes
    exporter: bytes
    identifiers: bytes

    def open(self, ciphertext: bytes, aad: bytes = b"") -> bytes:
        return AESGCM(self.key).decrypt(self.nonce, ciphertext, aad)

    def seal(self, plaintext: bytes, aad: bytes = b"") -> bytes:
        return AESGCM(self.key).encrypt(self.nonce, plaintext, aad)

    def export(self, label: bytes, length: int) -> bytes:
        return labelled_expand(self.identifiers, self.exporter, b"sec", label, length)


def schedule(identifiers: bytes, shared: bytes, info: bytes) -> Keys:
    """RFC 9180 section 5.1, mode base, AES-256-GCM. ``identifiers``: KEM, KDF and AEAD, two bytes each."""
    context = b"\x00" + labelled_extract(identifiers, b"", b"psk_id_hash", b"")
    context += labelled_extract(identifiers, b"", b"info_hash", info)
    secret = labelled_extract(identifiers, shared, b"secret", b"")
    return Keys(
        key=labelled_expand(identifiers, secret, b"key", context, 32),
        nonce=labelled_expand(identifiers, secret, b"base_nonce", context, 12),
        exporter=labelled_expand(
            identifiers, secret, b"exp", context, hashlib.new(NAMES[identifiers[2:4]]).digest_size
        ),
        identifiers=identifiers,
    )


def labelled_extract(identifiers: bytes, salt: bytes, label: bytes, material: bytes) -> bytes:
    name = NAMES[identifiers[2:4]]
    salt = salt or bytes(hashlib.new(name).digest_size)
    return hmac.digest(salt, b"HPKE-v1HPKE" + identifiers + label + material, name)


def labelled_expand(identifiers: bytes, secret: bytes, label: bytes, context: bytes, length: int) -> bytes:
    name, out, block = NAMES[identifiers[2:4]], b"", b""
    info = length.to_bytes(2, "big") + b"HPKE-v1HPKE" + identifiers + label + context
    for number in range(1, 2 + length // hashlib.new(name).digest_size):
        block = hmac.digest(secret, block + info + bytes([number]), name)
        out += block
    return out[:length]


def combine(ml_kem: bytes, curve: bytes, share: bytes, public: bytes) -> bytes:
    """The shared secret of the hybrid KEM (draft-irtf-cfrg-concrete-hybrid-kems)."""
    label = XWING if len(public) == 32 else P384
    return hashlib.sha3_256(ml_kem + curve + share + public + label).digest()


def decapsulate(ml_kem: Any, curve: Any, encapsulated: bytes) -> bytes:
    """The shared secret, with the private halves; any exception is a refusal."""
    public = curve_point(curve)
    split = len(encapsulated) - len(public)
    share = encapsulated[split:]
    return combine(ml_kem.decapsulate(encapsulated[:split]), exchange(curve, share), share, public)


def exchange(curve: Any, share: bytes) -> bytes:
    if isinstance(curve, x25519.X25519PrivateKey):
        return curve.exchange(x25519.X25519PublicKey.from_public_bytes(share))
    return curve.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), share))


def curve_point(curve: Any) -> bytes:
    if isinstance(curve, x25519.X25519PrivateKey):
        return curve.public_key().public_bytes_raw()
    return curve.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def expand_seed(label: bytes, seed: bytes) -> tuple[Any, Any]:
    """The private halves of a seed of 32 bytes (draft-irtf-cfrg-hybrid-kems, expandDecapsKeyG)."""
    if label == XWING:
        expanded = hashlib.shake_256(seed).digest(96)
        return (
            mlkem.MLKEM768PrivateKey.from_seed_bytes(expanded[:64]),
            x25519.X25519PrivateKey.from_private_bytes(expanded[64:]),
        )
    expanded = hashlib.shake_256(seed).digest(64 + 48)
    scalar = int.from_bytes(expanded[64:], "big")
    assert 0 < scalar < P384_ORDER  # it is not once in 2^190 seeds
    return mlkem.MLKEM1024PrivateKey.from_seed_bytes(expanded[:64]), ec.derive_private_key(scalar, ec.SECP384R1())
