"""Content in chunks: the STREAM construction over AES-256-GCM.

STREAM is from Hoang, Reyhanitabar, Rogaway and Vizar, "Online authenticated-encryption and its nonce-reuse
misuse-resistance" (CRYPTO 2015), in the form of the age file format (C2SP, age.md, "Payload"): the nonce is a counter
of 11 bytes, big-endian, and one byte that is 1 for the last chunk and 0 before. A chunk that is moved, repeated, left
out or added does not open, and neither does a beginning that is passed off as the whole. Every file has a key of its
own, so that no nonce comes twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from quatrefoil.errors import CallerError, MessageRefused
from quatrefoil.transport.sealed.layout import CHUNK, TAG

MOST_CHUNKS = 1 << 32
"""256 TiB: the bound of NIST SP 800-38D section 8.3 on invocations under one key, kept though nonces are counters."""

TRUNCATED = "Part of the file is missing: ask for it again"


def encrypt(source: BinaryIO, sink: BinaryIO, key: bytes) -> tuple[int, bytes]:
    """Write the chunks of ``source`` to ``sink``. Returns bytes of plaintext, and SHA-384 over what was written."""
    cipher, digest, size, number = AESGCM(key), hashlib.sha384(), 0, 0
    held = read_up_to(source, CHUNK)
    while True:
        following = read_up_to(source, CHUNK) if len(held) == CHUNK else b""
        if number >= MOST_CHUNKS:
            raise CallerError(f"more than {MOST_CHUNKS} chunks in one file", hint="Seal it in parts")
        sealed = cipher.encrypt(nonce(number, final=not following), held, None)
        digest.update(sealed)
        sink.write(sealed)
        size, number = size + len(held), number + 1
        if not following:
            return size, digest.digest()
        held = following


class ChunkReader:
    """The chunks of a payload, as they stand in the file; after the last one, ``signature`` and ``ciphertext``.

    Holds two chunks and a signature at a time. ``size``: bytes of plaintext so far; ``ciphertext``: SHA-384 so far.
    """

    def __init__(self, source: BinaryIO, signature_bytes: int) -> None:
        """``signature_bytes``: what the sender's key makes."""
        self._source = source
        self._signature_bytes = signature_bytes
        self._digest = hashlib.sha384()
        self.size = 0
        self.signature = b""

    @property
    def ciphertext(self) -> bytes:
        return self._digest.digest()

    def __iter__(self) -> Iterator[tuple[bytes, int, bool]]:
        """(chunk, number, whether it is the last). What is too short or too long for any file is refused."""
        number, held = 0, read_up_to(self._source, CHUNK + TAG + self._signature_bytes)
        while following := read_up_to(self._source, CHUNK + TAG):
            yield self._account(held[: CHUNK + TAG]), number, False
            held = held[CHUNK + TAG :] + following
            number += 1
            if number >= MOST_CHUNKS:
                raise MessageRefused(f"more than {MOST_CHUNKS} chunks in one file", hint="Have it sealed in parts")
        last, self.signature = held[: -self._signature_bytes], held[-self._signature_bytes :]
        if len(last) < TAG or (len(last) == TAG and number > 0):
            raise MessageRefused("the sealed file ends inside a chunk or its signature", hint=TRUNCATED)
        yield self._account(last), number, True

    def _account(self, chunk: bytes) -> bytes:
        self._digest.update(chunk)
        self.size += len(chunk) - TAG
        return chunk


def decrypt(reader: ChunkReader, key: bytes) -> Iterator[bytes]:
    """The plaintext of each chunk, in order, each authenticated under the file's key before it is yielded."""
    cipher = AESGCM(key)
    for chunk, number, final in reader:
        try:
            yield cipher.decrypt(nonce(number, final=final), chunk, None)
        except InvalidTag:
            raise MessageRefused(
                f"chunk {number} of the sealed file does not open: it was altered, moved, cut off or added",
                hint="Ask for the file again",
            ) from None


def nonce(number: int, *, final: bool) -> bytes:
    """12 bytes: the counter, then whether the chunk is the last."""
    return number.to_bytes(11, "big") + bytes([final])


def read_up_to(source: BinaryIO, size: int) -> bytes:
    """``size`` bytes, or all that are left: a pipe gives fewer at a time."""
    first = source.read(size) or b""
    if len(first) == size or not first:
        return first
    parts, missing = [first], size - len(first)
    while missing and (part := source.read(missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)
