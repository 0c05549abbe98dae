"""TPM2_MakeCredential without a TPM: a secret that one TPM gives out only to who holds a key of one name.

TCG TPM 2.0 Library (revision 1.59), Part 1: section 24 (credential protection), 11.4.10 (KDFa, KDFe), annexes B.10.4
(RSA: OAEP under the label IDENTITY) and C.6.4 (ECC: one-pass Diffie-Hellman). The parameters of an endorsement key are
those of the templates in the TCG EK Credential Profile (version 2.5, annex B), by the size of the key.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from quatrefoil.enclave.reader import Reader
from quatrefoil.enclave.tpm.signer import Key
from quatrefoil.errors import EvidenceRejected

LARGEST_BLOB = 1024
_IDENTITY, _INTEGRITY, _STORAGE = b"IDENTITY\0", b"INTEGRITY", b"STORAGE"


@dataclass(frozen=True)
class _Scheme:
    """What a template says beside the kind of its key: nameAlg, and the size of its AES key in bytes."""

    hash: str
    key_bytes: int

    @property
    def hasher(self) -> hashes.HashAlgorithm:
        return hashes.SHA256() if self.hash == "sha256" else hashes.SHA384()

    @property
    def digest_bytes(self) -> int:
        return hashlib.new(self.hash).digest_size


_LOW, _HIGH = _Scheme("sha256", 16), _Scheme("sha384", 32)


def make(endorsement: Key, name: bytes, secret: bytes, random: Callable[[int], bytes] = os.urandom) -> bytes:
    """``secret`` for the TPM with the endorsement key ``endorsement``, if it holds the object of ``name`` as well:
    TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET, one after the other.

    ``EvidenceRejected`` where no template has such an endorsement key.
    """
    scheme = _scheme(endorsement)
    if isinstance(endorsement, rsa.RSAPublicKey):
        seed = random(scheme.digest_bytes)
        oaep = padding.OAEP(padding.MGF1(scheme.hasher), scheme.hasher, _IDENTITY)
        encrypted = endorsement.encrypt(seed, oaep)
    else:
        seed, encrypted = _agreed(endorsement, scheme)
    storage = kdf_a(scheme.hash, seed, _STORAGE, name, b"", scheme.key_bytes)
    # The key is fresh, and so may the IV be zero (Part 1, 24.4).
    encryptor = Cipher(AES(storage), CFB(bytes(16))).encryptor()
    identity = encryptor.update(_sized(secret)) + encryptor.finalize()
    integrity = kdf_a(scheme.hash, seed, _INTEGRITY, b"", b"", scheme.digest_bytes)
    tag = hmac.digest(integrity, identity + name, scheme.hash)
    return _sized(_sized(tag) + identity) + _sized(encrypted)


def split(blob: bytes) -> tuple[bytes, bytes]:
    """TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET of ``blob``, or ``EvidenceRejected``."""
    read = Reader(blob, "credential", "big")
    parts = tuple(_sized(read.sized(2, LARGEST_BLOB, part, least=1)) for part in ("identity", "secret"))
    read.end()
    return parts[0], parts[1]


def _scheme(endorsement: Key) -> _Scheme:
    if isinstance(endorsement, rsa.RSAPublicKey):
        found = {2048: _LOW, 3072: _HIGH, 4096: _HIGH}.get(endorsement.key_size)
    else:
        found = {"secp256r1": _LOW, "secp384r1": _HIGH}.get(endorsement.curve.name)
    if found is None:
        raise EvidenceRejected(
            f"no template of the TCG has an endorsement key of {endorsement.key_size} bits and this kind",
            hint="Ask for the certificate of the TPM's RSA-2048 or P-256 endorsement key",
            check="endorsement-key",
        )
    return found


def _agreed(endorsement: ec.EllipticCurvePublicKey, scheme: _Scheme) -> tuple[bytes, bytes]:
    """The seed, and a TPMS_ECC_POINT with our half of it."""
    ours = ec.generate_private_key(endorsement.curve)
    size = endorsement.curve.key_size // 8
    here, there = ours.public_key().public_numbers(), endorsement.public_numbers()
    x, y, other = (number.to_bytes(size, "big") for number in (here.x, here.y, there.x))
    seed = kdf_e(scheme.hash, ours.exchange(ec.ECDH(), endorsement), _IDENTITY, x, other, scheme.digest_bytes)
    return seed, _sized(x) + _sized(y)


def kdf_a(name: str, key: bytes, label: bytes, context_u: bytes, context_v: bytes, size: int) -> bytes:
    """KDFa (Part 1, 11.4.10.2) for up to one digest: HMAC in counter mode (SP 800-108)."""
    fixed = label + b"\0" + context_u + context_v + (8 * size).to_bytes(4, "big")
    return hmac.digest(key, (1).to_bytes(4, "big") + fixed, name)[:size]


def kdf_e(name: str, shared: bytes, label: bytes, party_u: bytes, party_v: bytes, size: int) -> bytes:
    """KDFe (Part 1, 11.4.10.3) for up to one digest: a hash over the shared x, and over who agreed (SP 800-56A)."""
    return hashlib.new(name, (1).to_bytes(4, "big") + shared + label + party_u + party_v).digest()[:size]


def _sized(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


__all__ = ["LARGEST_BLOB", "make", "split"]
