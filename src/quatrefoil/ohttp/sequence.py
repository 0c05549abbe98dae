"""An AEAD whose nonce counts: RFC 9180 section 5.2, and the same in draft-ietf-ohai-chunked-ohttp section 6.2.

The nonce of message i is a secret base, XORed with i as a big-endian number of the same length. What is moved, repeated
or left out therefore does not open.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from quatrefoil.errors import CallerError, MessageRefused

NONCE_BYTES = 12
TAG_BYTES = 16

MOST_MESSAGES = 1 << 26
"""Messages under one key. With chunks of 2^14 bytes that is 2^36 blocks of AES, for which the advantage of an attacker
on AES-GCM is at most 2^-57 (draft-irtf-cfrg-aead-limits section 5.1); the format itself would allow 2^96."""


class Cipher(Protocol):
    """An AEAD under one key, as ``cryptography`` has it: nonce, text, associated data."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None, /) -> bytes: ...

    def decrypt(self, nonce: bytes, data: bytes | memoryview, associated_data: bytes | None, /) -> bytes: ...


@dataclass(frozen=True)
class Aead:
    """``identifier``: RFC 9180 section 7.3. ``cipher``: makes a :class:`Cipher` of ``key_bytes`` bytes of key."""

    identifier: int
    key_bytes: int
    cipher: Callable[[bytearray], Cipher]


AES_256_GCM = Aead(identifier=0x0002, key_bytes=32, cipher=AESGCM)
"""The one AEAD that is spoken."""


class Sequence:
    """Seals or opens message after message. Takes over ``key`` and ``base``, and overwrites them in :meth:`wipe`."""

    def __init__(self, aead: Aead, key: bytearray, base: bytearray) -> None:
        self._key, self._base = key, base
        self._cipher: Cipher | None = aead.cipher(key)
        self._number = 0
        self._lock = Lock()

    @property
    def number(self) -> int:
        """How many messages have been sealed or opened."""
        return self._number

    def seal(self, plaintext: bytes, aad: bytes = b"") -> bytes:
        """The next message: 16 bytes longer than ``plaintext``."""
        with self._lock:  # two threads must not seal under one nonce
            cipher, nonce = self._next()
            self._number += 1
        return cipher.encrypt(nonce, plaintext, aad)

    def open(self, sealed: bytes | memoryview, aad: bytes = b"") -> bytes:
        """The plaintext of the next message, or ``MessageRefused``, which leaves the count as it is."""
        cipher, nonce = self._next()
        try:
            plaintext = cipher.decrypt(nonce, sealed, aad)
        except InvalidTag:
            raise MessageRefused(
                f"part {self._number} of the message does not open: it was altered, moved, repeated, cut off, or is of "
                "another message",
                hint="Have the whole message sent again, newly encrypted",
            ) from None
        self._number += 1
        return plaintext

    def wipe(self) -> None:
        """Overwrite key and base nonce; OpenSSL clears its own copy."""
        self._cipher = None
        for secret in (self._key, self._base):
            secret[:] = bytes(len(secret))

    def _next(self) -> tuple[Cipher, bytes]:
        if self._cipher is None:
            raise CallerError("the keys of this message have been wiped", hint="Begin a new message")
        if self._number >= MOST_MESSAGES:
            raise CallerError(f"more than {MOST_MESSAGES} parts under one key", hint="Begin a new message")
        number = int.from_bytes(self._base, "big") ^ self._number
        return self._cipher, number.to_bytes(NONCE_BYTES, "big")

    def __repr__(self) -> str:
        return f"Sequence(number={self._number}, key=<{'wiped' if self._cipher is None else 'secret'}>)"
