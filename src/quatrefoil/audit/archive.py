"""A zip file in one form only: members stored, named in order, nothing between them, so that equal content makes equal
files and every byte of a file is held to something.

Source: PKWARE APPNOTE 6.3.10, sections 4.3.7 (local headers), 4.3.12 (central directory), 4.3.14 to 4.3.16 (ends).
Written are method 0, no extra fields (but the Zip64 offset of section 4.5.3 where it is needed), no comments, no data
descriptors and one date. A reader computes what the headers of these members must be and compares bytes: compression,
encryption, duplicates, overlaps, gaps and names told differently in two places have no way in. Nothing is decompressed,
so a small file is never a large one.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from quatrefoil.errors import CallerError, EvidenceRejected, HostError

MOST_MEMBERS = 1 << 22
LONGEST_NAME = 255
_LARGEST_DIRECTORY = 1 << 30

_LOCAL, _CENTRAL = struct.Struct("<4s5H3I2H"), struct.Struct("<4s6H3I5H2I")
_END, _END64, _LOCATOR = struct.Struct("<4s4H2IH"), struct.Struct("<4sQ2H2I4Q"), struct.Struct("<4sIQI")
_OFFSET64 = struct.Struct("<2HQ")
_VERSION, _VERSION64, _DATE, _TIME = 20, 45, (1 << 5) | 1, 0
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF
_HINT = "Ask for the bundle again; one made by another program is no bundle"


@dataclass(frozen=True)
class Member:
    """``offset``: of its header. ``checksum``: CRC-32, against accidents; what is evidence has better."""

    offset: int
    size: int
    checksum: int


def write_archive(file: BinaryIO, members: Iterable[tuple[str, bytes]]) -> int:
    """Write members, in the order of their names; returns how many. Memory: the directory, and one member."""
    directory, offset, before = bytearray(), 0, ""
    count = 0
    for name, content in members:
        if name <= before or not 0 < len(name) <= LONGEST_NAME or not name.isascii() or len(content) >= _FULL32:
            raise CallerError(f"{name!r} cannot be the next member of a bundle", hint="Give names in order, each once")
        member = Member(offset, len(content), zlib.crc32(content))
        file.write(_local(name, member))
        file.write(content)
        directory += _central(name, member)
        offset += _LOCAL.size + len(name) + len(content)
        before, count = name, count + 1
    file.write(directory)
    file.write(_end(count, len(directory), offset))
    return count


class ArchiveReader:
    """Members by name, read at random. Memory grows with their number alone. ``EvidenceRejected`` for another form."""

    def __init__(self, file: Path) -> None:
        try:
            self._file = file.open("rb")
        except OSError as error:
            raise HostError(
                f"{file} cannot be read ({error.strerror})", hint="Name a bundle that you may read"
            ) from None
        try:
            self._members = dict(self._directory(os.fstat(self._file.fileno()).st_size))
        except OSError as error:
            self._file.close()
            raise HostError(f"{file} cannot be read ({error.strerror})", hint="Copy it again") from None
        except BaseException:
            self._file.close()
            raise

    def _directory(self, size: int) -> Iterator[tuple[str, Member]]:
        count, length, start = self._read_end(size)
        content = self._at(start, length)
        at, offset, before = 0, 0, ""
        for _ in range(count):
            name, member = _parse_central(content, at)
            at += len(expected := _central(name, member))
            if content[at - len(expected) : at] != expected:
                raise _rejected(f"describes {name!r} in another form than bundles have")
            if member.offset != offset:
                raise _rejected(f"has a gap or an overlap before {name!r}")
            if name <= before:
                raise _rejected(f"names {name!r} twice, or out of order")
            offset += _LOCAL.size + len(name) + member.size
            before = name
            yield name, member
        if at != length or offset != start:
            raise _rejected("holds bytes that belong to no member")

    def _read_end(self, size: int) -> tuple[int, int, int]:
        """How many members there are, and size and offset of the directory."""
        end = self._at(max(size - _END.size, 0), min(size, _END.size))
        if len(end) != _END.size or end[:4] != b"PK\x05\x06":
            raise _rejected("does not end as a zip file without a comment: it was cut off, or is none")
        count, length, start = _END.unpack(end)[4:7]
        if count == _FULL16 or _FULL32 in (length, start):
            wide = _END64.size + _LOCATOR.size + _END.size
            try:
                count, length, start = _END64.unpack(self._at(size - wide, _END64.size))[7:10]
            except struct.error:
                raise _rejected("is too short for its own end") from None
        expected = _end(count, length, start) if count <= MOST_MEMBERS and length <= _LARGEST_DIRECTORY else b""
        if start + length + len(expected) != size or self._at(start + length, len(expected)) != expected:
            raise _rejected("has an end that does not fit its size")
        return count, length, start

    def _at(self, offset: int, length: int) -> bytes:
        if offset < 0:
            return b""
        self._file.seek(offset)
        return self._file.read(length)

    @property
    def members(self) -> dict[str, Member]:
        return self._members

    def read(self, name: str) -> bytes | None:
        """The content of a member, held to its header and checksum; None if there is none of this name."""
        member = self._members.get(name)
        if member is None:
            return None
        header = _local(name, member)
        content = self._at(member.offset, len(header) + member.size)
        if content[: len(header)] != header:
            raise _rejected(f"introduces {name!r} otherwise than its directory does")
        content = content[len(header) :]
        if len(content) != member.size or zlib.crc32(content) != member.checksum:
            raise _rejected(f"holds {name!r} with another checksum than it was written with")
        return content

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> ArchiveReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _local(name: str, member: Member) -> bytes:
    size = member.size
    return (
        _LOCAL.pack(b"PK\x03\x04", _VERSION, 0, 0, _TIME, _DATE, member.checksum, size, size, len(name), 0)
        + name.encode()
    )


def _central(name: str, member: Member) -> bytes:
    wide = member.offset >= _FULL32
    extra = _OFFSET64.pack(1, 8, member.offset) if wide else b""
    version = _VERSION64 if wide else _VERSION
    fixed = (b"PK\x01\x02", version, version, 0, 0, _TIME, _DATE, member.checksum, member.size, member.size)
    return (
        _CENTRAL.pack(*fixed, len(name), len(extra), 0, 0, 0, 0, _FULL32 if wide else member.offset)
        + name.encode()
        + extra
    )


def _parse_central(content: bytes, at: int) -> tuple[str, Member]:
    try:
        fields = _CENTRAL.unpack_from(content, at)
        checksum, size, length, extra, offset = fields[7], fields[8], fields[10], fields[11], fields[16]
        begin = at + _CENTRAL.size
        name = content[begin : begin + length].decode("ascii")
        if extra:
            offset = _OFFSET64.unpack_from(content, begin + length)[2]
    except (struct.error, UnicodeDecodeError):
        raise _rejected("has a directory that cannot be read") from None
    if not 0 < length <= LONGEST_NAME or len(name) != length:
        raise _rejected("has a member without a name, or with too long a one")
    return name, Member(offset, size, checksum)


def _end(count: int, length: int, start: int) -> bytes:
    wide = count >= _FULL16 or length >= _FULL32 or start >= _FULL32
    fields = (min(count, _FULL16), min(length, _FULL32), min(start, _FULL32))
    end = _END.pack(b"PK\x05\x06", 0, 0, fields[0], fields[0], fields[1], fields[2], 0)
    if not wide:
        return end
    rest = _END64.size - 12
    wider = _END64.pack(b"PK\x06\x06", rest, _VERSION64, _VERSION64, 0, 0, count, count, length, start)
    return wider + _LOCATOR.pack(b"PK\x06\x07", 0, start + length, 1) + end


def _rejected(problem: str) -> EvidenceRejected:
    return EvidenceRejected(f"the bundle {problem}", hint=_HINT, check="bundle")
