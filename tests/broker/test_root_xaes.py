"""XAES-256-GCM against the vectors of its specification (C2SP), and against one written from it independently."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.cmac import CMAC
from hypothesis import given
from hypothesis import strategies as st

from quatrefoil.broker import root_key, root_xaes
from quatrefoil.broker.root_file import FileRootKey


def ecb(key: bytes, blocks: bytes) -> bytes:
    return Cipher(algorithms.AES256(key), modes.ECB()).encryptor().update(blocks)


def encrypt(key: bytes, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
    k1 = root_xaes.subkey(ecb(key, bytes(16)))
    return AESGCM(ecb(key, root_xaes.message_blocks(k1, nonce))).encrypt(root_xaes.message_nonce(nonce), plaintext, aad)


def cmac(key: bytes, message: bytes) -> bytes:
    mac = CMAC(algorithms.AES(key))
    mac.update(message)
    return mac.finalize()


@pytest.mark.parametrize(
    ("key", "aad", "expected"),
    [
        (b"\x01" * 32, b"", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"),
        (b"\x03" * 32, b"c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"),
    ],
)
def test_published_vectors(key, aad, expected):
    assert encrypt(key, b"ABCDEFGHIJKLMNOPQRSTUVWX", b"XAES-256-GCM", aad).hex() == expected


def test_published_accumulated_vector():
    stream = hashlib.shake_128(b"").digest(6_000_000)
    place = 0

    def take(size: int) -> bytes:
        nonlocal place
        place += size
        assert place <= len(stream)
        return stream[place - size : place]

    accumulated = hashlib.shake_128()
    for _ in range(10_000):
        key, nonce = take(32), take(24)
        plaintext, aad = take(take(1)[0]), take(take(1)[0])
        accumulated.update(encrypt(key, nonce, plaintext, aad))
    assert accumulated.hexdigest(32) == "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939"


@given(key=st.binary(min_size=32, max_size=32), nonce=st.binary(min_size=24, max_size=24))
def test_derived_keys_are_cmac_of_a_library(key, nonce):
    k1 = root_xaes.subkey(ecb(key, bytes(16)))
    derived = b"".join(cmac(key, bytes([0, i]) + b"X\x00" + nonce[:12]) for i in (1, 2))
    assert ecb(key, root_xaes.message_blocks(k1, nonce)) == derived


@given(key=st.binary(min_size=32, max_size=32))
def test_identity_is_as_specified(key):
    blocks = b"".join(cmac(key, bytes([0, i]) + b"I\x00quatrefoil-1") for i in (1, 2))
    assert FileRootKey(key).identity() == hashlib.sha256(b"urn:quatrefoil:root-key:v1\x00" + blocks).digest()


def test_a_wrap_is_as_specified():
    key, nonce = bytes(range(32)), bytes(range(100, 124))
    wrapped = FileRootKey(key, random=lambda size: nonce[:size]).wrap(b"secret", b"aad")
    identity = FileRootKey(key).identity()
    ciphertext = encrypt(key, nonce, b"secret", b"urn:quatrefoil:root-wrap:v1\x00" + identity + b"aad")
    assert wrapped == b"QFRK\x01" + identity + nonce + ciphertext
    assert len(wrapped) == 6 + root_key.OVERHEAD
