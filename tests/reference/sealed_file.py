"""A second reader of sealed files, written from docs/sealed-files.md: whole in memory, slow, and nothing of ours.

HPKE is done by hand: the hybrid KEMs of draft-ietf-hpke-pq, then the key schedule of RFC 9180 section 5.1 over hmac.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Any

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

MAGIC = b"quatrefoil sealed file 1\n"
CONTEXT = b"quatrefoil statement v1"
CHUNK, TAG = 65536, 16
SIGNATURE = {1952: 3309, 2592: 4627}
"""Bytes of a public key of ML-DSA-65 and -87, and of a signature of it (FIPS 204 table 2)."""


@dataclass(frozen=True)
class Read:
    plaintext: bytes
    sender: x509.Certificate
    wrapper: x509.Certificate
    recipients: list[bytes]


def read(sealed: bytes, key_pem: bytes, root: x509.Certificate) -> Read:
    """The content, after every check that does not need a clock; any exception is a refusal."""
    assert sealed.startswith(MAGIC)
    wrapping, rest = part(sealed[len(MAGIC) :])
    header, body = part(rest)

    signed, wrapper_der, signature = fields(wrapping, "urn:quatrefoil:signed")
    wrapper = verify(signed, wrapper_der, signature, root)
    wrapped_digest, _at, keys = fields(signed, "urn:quatrefoil:sealed-file-wrapping")
    assert wrapped_digest == sha256(header)
    names = [fields(cbor2.dumps(key))[1] for key in keys]
    assert len(set(names)) == len(names)
    cipher, salt, commitment, context, _sealed_at, sender_der = fields(header, "urn:quatrefoil:sealed-file")
    assert cipher == "AES-256-GCM STREAM 65536" and len(context) == 32

    file_key = unwrap(keys, key_pem, sha256(header), sha256(wrapper_der))
    assert hkdf(file_key, salt, b"quatrefoil sealed file 1 commitment") == commitment
    key = hkdf(file_key, salt, b"quatrefoil sealed file 1 payload" + sha256(header))

    sender_key = x509.load_der_x509_certificate(sender_der).public_key().public_bytes_raw()
    chunks, signature = body[: -SIGNATURE[len(sender_key)]], body[-SIGNATURE[len(sender_key)] :]
    plaintext = b"".join(
        AESGCM(key).decrypt(
            number.to_bytes(11, "big") + bytes([start + CHUNK + TAG >= len(chunks)]),
            chunks[start : start + CHUNK + TAG],
            None,
        )
        for number, start in enumerate(range(0, len(chunks), CHUNK + TAG))
    )
    assert len(chunks) >= TAG and (len(chunks) == TAG or len(chunks) % (CHUNK + TAG) != TAG)
    payload = encode(
        "urn:quatrefoil:sealed-file-payload", [sha256(header), len(plaintext), hashlib.sha384(chunks).digest()]
    )
    sender = verify(payload, sender_der, signature, root)
    return Read(plaintext, sender, wrapper, names)


def part(data: bytes) -> tuple[bytes, bytes]:
    size = int.from_bytes(data[:4], "big")
    assert len(data) >= 4 + size
    return data[4 : 4 + size], data[4 + size :]


def fields(data: bytes, kind: str = "urn:quatrefoil:sealed-file-key") -> list[Any]:
    found, version, content = cbor2.loads(data)
    assert (found, version) == (kind, 1)
    return content


def encode(kind: str, content: list[Any]) -> bytes:
    return cbor2.dumps([kind, 1, content], canonical=True)


def verify(body: bytes, der: bytes, signature: bytes, root: x509.Certificate) -> x509.Certificate:
    certificate = x509.load_der_x509_certificate(der)
    certificate.verify_directly_issued_by(root)
    certificate.public_key().verify(signature, encode("urn:quatrefoil:statement", [sha256(der), body]), CONTEXT)
    return certificate


def unwrap(keys: list[Any], key_pem: bytes, header: bytes, wrapper: bytes) -> bytes:
    first, second = key_pem.split(b"-----END PRIVATE KEY-----\n")[:2]
    ml_kem = load_pem_private_key(first + b"-----END PRIVATE KEY-----\n", None)
    curve = load_pem_private_key(second + b"-----END PRIVATE KEY-----\n", None)
    public_curve = curve_point(curve)
    public = ml_kem.public_key().public_bytes_raw() + public_curve
    (suite, recipient, sealed) = next(
        content for _, _, content in keys if content[1] == sha256(public)
    )  # StopIteration: not sealed to this key
    info = encode("urn:quatrefoil:sealed-file-binding", [suite, recipient, header, wrapper])
    split = 1088 if isinstance(ml_kem, mlkem.MLKEM768PrivateKey) else 1568
    share = sealed[split : split + len(public_curve)]
    shared = combine(ml_kem.decapsulate(sealed[:split]), exchange(curve, share), share, public_curve)
    return open_base(suite, shared, info, sealed[split + len(public_curve) :])


def combine(ml_kem: bytes, curve: bytes, share: bytes, public: bytes) -> bytes:
    """The shared secret of the hybrid KEM (draft-irtf-cfrg-concrete-hybrid-kems)."""
    label = rb"\.//^" + b"\\" if len(public) == 32 else b"MLKEM1024-P384"
    return hashlib.sha3_256(ml_kem + curve + share + public + label).digest()


def exchange(curve: Any, share: bytes) -> bytes:
    if isinstance(curve, x25519.X25519PrivateKey):
        return curve.exchange(x25519.X25519PublicKey.from_public_bytes(share))
    return curve.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), share))


def curve_point(curve: Any) -> bytes:
    if isinstance(curve, x25519.X25519PrivateKey):
        return curve.public_key().public_bytes_raw()
    return curve.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def open_base(identifiers: bytes, shared: bytes, info: bytes, ciphertext: bytes) -> bytes:
    """RFC 9180 section 5.1, mode base, AES-256-GCM, first message, no associated data."""
    name = {b"\x00\x01": "sha256", b"\x00\x02": "sha384"}[identifiers[2:4]]
    size = hashlib.new(name).digest_size
    suite = b"HPKE" + identifiers

    def extract(salt: bytes, label: bytes, material: bytes) -> bytes:
        return hmac.digest(salt or bytes(size), b"HPKE-v1" + suite + label + material, name)

    def expand(secret: bytes, label: bytes, context: bytes, length: int) -> bytes:
        return hmac.digest(secret, length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + context + b"\x01", name)[
            :length
        ]

    schedule = b"\x00" + extract(b"", b"psk_id_hash", b"") + extract(b"", b"info_hash", info)
    secret = extract(shared, b"secret", b"")
    key, base = expand(secret, b"key", schedule, 32), expand(secret, b"base_nonce", schedule, 12)
    return AESGCM(key).decrypt(base, ciphertext, b"")


def hkdf(key: bytes, salt: bytes, info: bytes) -> bytes:
    """HKDF-SHA384 of RFC 5869, 32 bytes."""
    return hmac.digest(hmac.digest(salt, key, "sha384"), info + b"\x01", "sha384")[:32]


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
