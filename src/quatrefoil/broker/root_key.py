"""The broker's root key: 32 bytes under which everything is wrapped that the broker keeps.

A root key is an object that wraps and unwraps; where the bytes of the key are, only its backend knows. Every backend
gives the same form, so that what one has wrapped another unwraps that holds the same key: a recovered key reads
everything its predecessor wrote. The form is

    "QFRK" | version (1 byte, 1) | identity (32) | nonce (24) | XAES-256-GCM ciphertext and tag

with the additional data "urn:quatrefoil:root-wrap:v1" | 0 | identity | the caller's. XAES-256-GCM (``root_xaes.py``)
uses a fresh AES key for each nonce: with one AES-GCM key and random 96-bit nonces, 2^32 wraps would be the end of it
(SP 800-38D section 8.3), and somebody would have to count.
"""

from __future__ import annotations

from typing import Protocol

from quatrefoil.errors import CallerError, UnwrapRefused

KEY_BYTES = 32
IDENTITY_BYTES = 32
NONCE_BYTES = 24
TAG_BYTES = 16

LARGEST_PLAINTEXT = 1 << 20
"""Bytes: keys are wrapped, and small records of them. Tokens take no streams."""

_MAGIC = b"QFRK\x01"
_LABEL = b"urn:quatrefoil:root-wrap:v1\x00"
_FRONT = len(_MAGIC) + IDENTITY_BYTES + NONCE_BYTES

OVERHEAD = _FRONT + TAG_BYTES
"""Bytes that wrapping adds."""


class RootKey(Protocol):
    """One root key, wherever it lies. ``tests/broker/test_root_keys.py`` holds what every backend must do."""

    def wrap(self, plaintext: bytes | bytearray, aad: bytes) -> bytes:
        """``plaintext`` readable and changeable only through this key, under ``aad``; ``KeyUnavailable`` where the
        key cannot be used. The caller wipes ``plaintext``."""

    def unwrap(self, wrapped: bytes, aad: bytes) -> bytearray:
        """What :meth:`wrap` was given, for the caller to wipe. ``UnwrapRefused``: altered, wrapped under another key
        or other ``aad``. ``KeyUnavailable``: the key cannot be used."""

    def identity(self) -> bytes:
        """32 public bytes that name this key, the same in every backend (``root_xaes.identity_of``)."""

    def close(self) -> None:
        """Forget the key, or leave the token that holds it; every later call is ``KeyUnavailable``."""


def frame(identity: bytes, nonce: bytes, ciphertext: bytes) -> bytes:
    """The form of what is wrapped."""
    return b"".join((_MAGIC, identity, nonce, ciphertext))


def unframe(wrapped: bytes, identity: bytes) -> tuple[bytes, bytes]:
    """Nonce and ciphertext, for the key called ``identity``; ``UnwrapRefused`` where it is not for that one."""
    if not OVERHEAD <= len(wrapped) <= LARGEST_PLAINTEXT + OVERHEAD or not wrapped.startswith(_MAGIC):
        raise UnwrapRefused(
            f"{len(wrapped)} bytes are nothing that a root key of version 1 has wrapped",
            hint="Restore the broker's state from where it is whole",
        )
    named = wrapped[len(_MAGIC) :][:IDENTITY_BYTES]
    if named != identity:
        raise UnwrapRefused(
            f"this was wrapped under root key {named.hex()[:16]}, and the one here is {identity.hex()[:16]}",
            hint="Open the root key that the state was begun with, or recover it from the operators' shares",
        )
    return wrapped[_FRONT - NONCE_BYTES : _FRONT], wrapped[_FRONT:]


def associated(identity: bytes, aad: bytes) -> bytes:
    """The additional data under which a wrap is authenticated."""
    return _LABEL + identity + aad


def check_plaintext(plaintext: bytes | bytearray) -> None:
    """``CallerError`` for what is no key or small record."""
    if len(plaintext) > LARGEST_PLAINTEXT:
        raise CallerError(
            f"{len(plaintext)} bytes are too many to wrap, over {LARGEST_PLAINTEXT}",
            hint="Wrap a key, and encrypt the rest with it",
        )


def does_not_unwrap() -> UnwrapRefused:
    """The one refusal of whatever does not authenticate."""
    return UnwrapRefused(
        "what was wrapped does not unwrap: it was altered, or belongs to another record",
        hint="Restore the broker's state from where it is whole",
    )
