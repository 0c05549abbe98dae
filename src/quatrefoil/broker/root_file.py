"""A root key in a file: for machines without a token, and never by default. Who reads the file has the key.

    "quatrefoil root key v1\\n" | identity (32) | key (32)

The identity stands beside the key so that a damaged file is told from another key. Mode 0600, refused otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from quatrefoil.broker import root_key, root_xaes
from quatrefoil.broker.root_key import IDENTITY_BYTES, KEY_BYTES
from quatrefoil.errors import CallerError, KeyUnavailable, StateCorrupt
from quatrefoil.transport import files

_MAGIC = b"quatrefoil root key v1\n"
_BYTES = len(_MAGIC) + IDENTITY_BYTES + KEY_BYTES


class FileRootKey:
    """A root key in this process's memory (``root_key.RootKey``), read from a file. Prints as its identity."""

    def __init__(self, key: bytes | bytearray, *, random: Callable[[int], bytes] = os.urandom) -> None:
        """A copy of ``key`` is kept; the caller wipes the argument."""
        if len(key) != KEY_BYTES:
            raise CallerError(f"a root key has {KEY_BYTES} bytes, not {len(key)}", hint="Generate it with `root new`")
        self._key = bytearray(key)
        self._random = random
        self._k1 = bytearray(root_xaes.subkey(self._blocks(bytes(root_xaes.BLOCK))))
        self._identity = root_xaes.identity_of(self._blocks(root_xaes.identity_blocks(self._k1)))

    @classmethod
    def load(cls, file: Path) -> FileRootKey:
        """The key that :meth:`encoded` wrote; refused when others may read it or when it is damaged."""
        content = _read_private(file)
        key = content[-KEY_BYTES:]
        try:
            found = cls(key)
            if found.identity() != content[len(_MAGIC) : -KEY_BYTES]:
                raise StateCorrupt(
                    f"root key {file} is damaged: it is not the key that it names",
                    hint="Recover it from the operators' shares with `quatrefoil broker root recover`",
                )
            return found
        finally:
            wipe(content)
            wipe(key)

    def encoded(self) -> bytearray:
        """The content of the file, for the caller to wipe."""
        return bytearray(_MAGIC + self._identity) + self._held()

    def reveal(self) -> bytearray:
        """A copy of the key, for a ceremony to split; the caller wipes it."""
        return bytearray(self._held())

    def wrap(self, plaintext: bytes | bytearray, aad: bytes) -> bytes:
        root_key.check_plaintext(plaintext)
        nonce = self._random(root_key.NONCE_BYTES)
        ciphertext = self._message(nonce).encrypt(
            root_xaes.message_nonce(nonce), plaintext, root_key.associated(self._identity, aad)
        )
        return root_key.frame(self._identity, nonce, ciphertext)

    def unwrap(self, wrapped: bytes, aad: bytes) -> bytearray:
        self._held()
        nonce, ciphertext = root_key.unframe(wrapped, self._identity)
        plaintext = bytearray(len(ciphertext) - root_key.TAG_BYTES)
        try:
            self._message(nonce).decrypt_into(
                root_xaes.message_nonce(nonce), ciphertext, root_key.associated(self._identity, aad), plaintext
            )
        except InvalidTag:
            raise root_key.does_not_unwrap() from None
        return plaintext

    def identity(self) -> bytes:
        self._held()
        return self._identity

    def close(self) -> None:
        wipe(self._key)
        wipe(self._k1)
        self._key.clear()

    def _message(self, nonce: bytes) -> AESGCM:
        return AESGCM(self._blocks(root_xaes.message_blocks(self._k1, nonce)))

    def _blocks(self, blocks: bytes) -> bytes:
        # ECB of distinct masked blocks is CMAC of one block each: nothing of a message is encrypted by it.
        return Cipher(algorithms.AES256(self._held()), modes.ECB()).encryptor().update(blocks)  # noqa: S305

    def _held(self) -> bytearray:
        if not self._key:
            raise KeyUnavailable("the root key was closed", hint="Open it again")
        return self._key

    def __repr__(self) -> str:
        return f"FileRootKey({self._identity.hex()[:16]}, key=<{'secret' if self._key else 'wiped'}>)"


def wipe(secret: bytearray) -> None:
    """Overwrite ``secret``. Copies that the interpreter or the system has made are beyond reach."""
    secret[:] = bytes(len(secret))


def _read_private(file: Path) -> bytearray:
    """The file into memory that can be wiped, after its mode, length and form have been checked."""
    try:
        with file.open("rb", buffering=0) as stream:
            status = os.fstat(stream.fileno())
            files.require_private(file, "root key", status.st_mode)
            content = bytearray(_BYTES + 1)
            size = stream.readinto(content)
    except OSError as error:
        raise KeyUnavailable(
            f"root key {file} cannot be read ({error.strerror})", hint="Check the path and its rights"
        ) from None
    if size != _BYTES or not content.startswith(_MAGIC):
        wipe(content)
        raise StateCorrupt(
            f"{file} is no root key of version 1", hint="Name a file that `quatrefoil broker root` wrote"
        )
    del content[_BYTES:]
    return content


__all__ = ["FileRootKey", "wipe"]
