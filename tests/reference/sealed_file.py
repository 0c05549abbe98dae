"""A second reader of sealed files, written from docs/sealed-files.md: whole in memory, slow, and nothing of ours.

HPKE is done by hand, in ``hpke`` beside this file.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Any

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import mlkem
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from tests.reference import hpke

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
    key: Any = certificate.public_key()
    key.verify(signature, encode("urn:quatrefoil:statement", [sha256(der), body]), CONTEXT)
    return certificate


def unwrap(keys: list[Any], key_pem: bytes, header: bytes, wrapper: bytes) -> bytes:
    first, second = key_pem.split(b"-----END PRIVATE KEY-----\n")[:2]
    ml_kem = load_pem_private_key(first + b"-----END PRIVATE KEY-----\n", None)
    curve = load_pem_private_key(second + b"-----END PRIVATE KEY-----\n", None)
    public_curve = hpke.curve_point(curve)
    public = ml_kem.public_key().public_bytes_raw() + public_curve
    (suite, recipient, sealed) = next(
        content for _, _, content in keys if content[1] == sha256(public)
    )  # StopIteration: not sealed to this key
    info = encode("urn:quatrefoil:sealed-file-binding", [suite, recipient, header, wrapper])
    split = (1088 if isinstance(ml_kem, mlkem.MLKEM768PrivateKey) else 1568) + len(public_curve)
    return hpke.schedule(suite, hpke.decapsulate(ml_kem, curve, sealed[:split]), info).open(sealed[split:])


def hkdf(key: bytes, salt: bytes, info: bytes) -> bytes:
    """HKDF-SHA384 of RFC 5869, 32 bytes."""
    return hmac.digest(hmac.digest(salt, key, "sha384"), info + b"\x01", "sha384")[:32]


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
