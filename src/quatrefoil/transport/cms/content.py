"""The content of a CMS archive, decrypted in a stream, for whoever seals it anew.

AES in CBC (RFC 3565) and triple DES (RFC 3370) have no integrity: an altered archive decrypts to altered content.
AES-GCM (RFC 5084) has; its tag comes last, so content is passed on before it is verified and the last read raises.
"""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from quatrefoil.transport.cms.ber import OCTET_STRING, OID, SEQUENCE, SET, BerStream, Node, refused
from quatrefoil.transport.cms.recipients import ClassicalKey, algorithm_of, content_key

_ENVELOPED, _AUTH_ENVELOPED = "1.2.840.113549.1.7.3", "1.2.840.113549.1.9.16.1.23"
_AES = "2.16.840.1.101.3.4.1."
_CBC = {f"{_AES}2": 16, f"{_AES}22": 24, f"{_AES}42": 32}
_GCM = {f"{_AES}6": 16, f"{_AES}26": 24, f"{_AES}46": 32}
_TRIPLE_DES = "1.2.840.113549.3.7"
_CONTENT = 0x80


@dataclass(frozen=True)
class Archive:
    """An archive being read. ``content``: its plaintext, to be read to the end, where it is verified.

    ``cipher``: how it is encrypted. ``authentic``: whether an alteration would be noticed.
    """

    content: BinaryIO
    cipher: str
    authentic: bool


def open_archive(source: BinaryIO, holder: ClassicalKey) -> Archive:
    """The archive in ``source``: BER or DER, PEM, or S/MIME with base64. Raises ``MessageRefused``.

    A reader of ``content`` gets ``MessageRefused`` instead of an end if the archive is cut, malformed or not authentic:
    what was read until then is to be thrown away.
    """
    stream = BerStream(_binary(source))
    stream.enter(SEQUENCE)
    kind = stream.element().expect(OID).dotted
    if kind not in (_ENVELOPED, _AUTH_ENVELOPED):
        raise refused(f"is of content type {kind}: only EnvelopedData and AuthEnvelopedData are read")
    stream.enter(0xA0)
    stream.enter(SEQUENCE)
    stream.element()  # the version says nothing that the fields do not
    if stream.next_tag() == 0xA0:
        stream.element()  # certificates and revocation lists of the originator
    recipients = stream.element().expect(SET)
    stream.enter(SEQUENCE)
    stream.element().expect(OID)
    algorithm = stream.element()
    opened = _gcm if kind == _AUTH_ENVELOPED else _cbc
    name, pieces = opened(stream, algorithm, recipients, holder)
    content = io.BufferedReader(_Pieces(pieces), 1 << 16)
    return Archive(content=cast(BinaryIO, content), cipher=name, authentic=kind == _AUTH_ENVELOPED)


def _cbc(stream: BerStream, algorithm: Node, recipients: Node, holder: ClassicalKey) -> tuple[str, Iterator[bytes]]:
    name, parameters = algorithm_of(algorithm)
    if parameters is None or (name not in _CBC and name != _TRIPLE_DES):
        raise refused(f"is encrypted with algorithm {name}, which is not AES or triple DES in CBC")
    vector, size = parameters.expect(OCTET_STRING).value, _CBC.get(name, 24)
    block = 8 if name == _TRIPLE_DES else 16
    if len(vector) != block:
        raise refused(f"has an initialisation vector of {len(vector)} bytes")
    key = content_key(recipients, holder, size)
    cipher = TripleDES(key) if name == _TRIPLE_DES else algorithms.AES(key)
    decryptor = Cipher(cipher, modes.CBC(vector)).decryptor()
    return f"{'3DES' if block == 8 else f'AES-{8 * size}'}-CBC", _unpadded(stream, decryptor, block)


def _unpadded(stream: BerStream, decryptor: CipherContext, block: int) -> Iterator[bytes]:
    unpadder = PKCS7(block * 8).unpadder()
    for piece in stream.octets(_CONTENT):
        yield unpadder.update(decryptor.update(piece))
    try:
        yield unpadder.update(decryptor.finalize()) + unpadder.finalize()
    except ValueError:
        raise refused("does not decrypt: it was altered, or is for another key") from None
    stream.leave()
    if not stream.at_end() and stream.next_tag() == 0xA1:
        stream.element()  # unprotected attributes
    _finish(stream)


def _gcm(stream: BerStream, algorithm: Node, recipients: Node, holder: ClassicalKey) -> tuple[str, Iterator[bytes]]:
    name, parameters = algorithm_of(algorithm)
    if parameters is None or name not in _GCM:
        raise refused(f"is encrypted with algorithm {name}, which is not AES-GCM")
    nonce, *length = parameters.expect(SEQUENCE).children()
    tag_size = length[0].number if length else 12
    if not 12 <= tag_size <= 16 or not 8 <= len(nonce.expect(OCTET_STRING).value) <= 128:
        raise refused(f"has a tag of {tag_size} bytes, or a nonce out of bounds")
    key = content_key(recipients, holder, _GCM[name])
    return f"AES-{8 * _GCM[name]}-GCM", _authentic(stream, key, nonce.value, tag_size)


def _authentic(stream: BerStream, key: bytes, nonce: bytes, tag_size: int) -> Iterator[bytes]:
    """GCM with the associated data at the end: counter mode now, and the tag over all of it once they are known."""
    mode = modes.GCM(nonce, None, tag_size)
    decryptor = Cipher(algorithms.AES(key), mode).decryptor()
    for piece in stream.octets(_CONTENT):
        yield decryptor.update(piece)
    stream.leave()
    if stream.next_tag() == 0xA1:
        raise refused("has authenticated attributes, which would have to be known before the content")
    tag = stream.element().expect(OCTET_STRING).value
    try:
        if len(tag) != tag_size:
            raise ValueError
        yield decryptor.finalize_with_tag(tag)
    except (InvalidTag, ValueError):
        raise refused("is not authentic: it was altered, or is for another key") from None
    if not stream.at_end() and stream.next_tag() == 0xA2:
        stream.element()  # unauthenticated attributes
    _finish(stream)


def _finish(stream: BerStream) -> None:
    """Step out of the three structures around, and refuse what follows them."""
    for _ in range(3):
        stream.leave()
    if stream.next_tag() != -1:
        raise refused("has something after its end")


class _Pieces(io.RawIOBase):
    """A generator of bytes as a stream."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._held = pieces, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._held:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._held = piece
        given = self._held[: len(buffer)]
        buffer[: len(given)] = given
        self._held = self._held[len(given) :]
        return len(given)


def _binary(source: BinaryIO) -> BinaryIO:
    """``source`` without the armour of PEM (RFC 7468) or S/MIME (RFC 8551)."""
    first = source.read(1)
    if first == b"0":  # 0x30, a SEQUENCE
        return cast(BinaryIO, io.BufferedReader(_Pieces(_after(first, source)), 1 << 16))
    if first not in (b"-", b"M", b"C", b"T"):
        raise refused("is neither BER nor PEM nor S/MIME")
    return cast(BinaryIO, io.BufferedReader(_Pieces(_unarmoured(first, source)), 1 << 16))


def _after(first: bytes, source: BinaryIO) -> Iterator[bytes]:
    yield first
    while piece := source.read(1 << 16):
        yield piece


def _unarmoured(first: bytes, source: BinaryIO) -> Iterator[bytes]:
    line = first + source.readline(1 << 10)
    mime = not line.startswith(b"-----BEGIN ")
    while mime and line.strip():
        line = source.readline(1 << 10)
    while (line := source.readline(1 << 10)) and not line.startswith(b"-----END "):
        try:
            yield base64.b64decode(line.strip(), validate=True)
        except binascii.Error:
            raise refused("has a line that is not base64") from None
