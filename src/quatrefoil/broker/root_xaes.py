"""XAES-256-GCM (C2SP) up to the block cipher, and the identity of a root key.

The key K never encrypts a message. For each 24-byte nonce, SP 800-108r1's counter KDF over AES-256-CMAC derives a key
of its own from K and the nonce's first half, which encrypts one message in AES-256-GCM under the second half. Two
messages share key and nonce with probability 2^-32 after 2^80 of them, whoever counts or does not.

Written in terms of single blocks under K, so that a token can compute them: K1 is the CMAC subkey, and each derived
key is two blocks in ECB, which PKCS #11 derives within the token (CKM_AES_ECB_ENCRYPT_DATA).
"""

from __future__ import annotations

import hashlib

BLOCK = 16

_MESSAGE_LABEL = b"X"
"""The label of XAES-256-GCM."""

_IDENTITY_LABEL, _IDENTITY_CONTEXT = b"I", b"quatrefoil-1"
"""Another label of the same KDF: no message key is ever an identity."""


def subkey(zero_block: bytes) -> bytes:
    """CMAC's K1 (SP 800-38B section 6.1) from AES_K(0^128). Without branches on it: it is the key's, though no key."""
    doubled = int.from_bytes(zero_block, "big") << 1
    return ((doubled & (1 << 128) - 1) ^ (0x87 * (doubled >> 128))).to_bytes(BLOCK, "big")


def message_blocks(k1: bytes | bytearray, nonce: bytes) -> bytes:
    """What K encrypts, as two blocks in ECB, to the key of the message under ``nonce`` (24 bytes)."""
    return _counter_kdf(k1, _MESSAGE_LABEL, nonce[:12])


def message_nonce(nonce: bytes) -> bytes:
    """The nonce of AES-256-GCM under the message's key."""
    return nonce[12:]


def identity_blocks(k1: bytes | bytearray) -> bytes:
    """What K encrypts, as two blocks in ECB, to what :func:`identity_of` hashes."""
    return _counter_kdf(k1, _IDENTITY_LABEL, _IDENTITY_CONTEXT)


def identity_of(encrypted: bytes) -> bytes:
    """The identity: one-way in K, since the blocks are a PRF's and K is random."""
    return hashlib.sha256(b"urn:quatrefoil:root-key:v1\x00" + encrypted).digest()


def _counter_kdf(k1: bytes | bytearray, label: bytes, context: bytes) -> bytes:
    """SP 800-108r1 section 4.1 over AES-CMAC: counter (2 bytes), label, 0, context; one whole block each."""
    assert len(context) == 12
    blocks = (counter.to_bytes(2, "big") + label + b"\x00" + context for counter in (1, 2))
    return b"".join(bytes(a ^ b for a, b in zip(block, k1, strict=True)) for block in blocks)
