"""What can be sealed: content as a header and a stream of canonical bytes, and the Merkle root that names it.

Two forms. ``tensors``: a model of named tensors, named as everywhere in Quatrefoil (``audit.manifest``), whatever file
it came from. ``file``: any file, byte for byte; leaf 0 is ``quatrefoil file v1``, a line feed and the canonical JSON of
:class:`FileHeader`, and the leaves above are its bytes, cut every 1,048,576.

A root can be compared with a guess. That is what names are for, and for a model it is wanted. The root of a data set is
blinded by a random salt in its header, which lies encrypted in the container.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

from quatrefoil.audit import json_form, manifest, model_file
from quatrefoil.audit.json_form import said_as
from quatrefoil.audit.manifest import CHUNK, LARGEST_MODEL
from quatrefoil.errors import CallerError, EvidenceRejected, HostError, MessageRefused
from quatrefoil.tlog.merkle import Frontier, leaf_hash

TENSORS, FILE = "tensors", "file"
FORMS = (TENSORS, FILE)

NO_SALT = "none"
_MODEL, _FILE = b"quatrefoil model v1\n", b"quatrefoil file v1\n"
_HINT = "Its owner sealed it with another version of Quatrefoil"


@dataclass(frozen=True)
class FileHeader:
    """``length``: bytes of the file. ``salt``: 32 random bytes that blind the root, or None."""

    length: int
    salt: bytes | None = said_as(NO_SALT)

    def leaf(self) -> bytes:
        """What leaf 0 of the tree holds."""
        return _FILE + json_form.encode(self)


Header: TypeAlias = manifest.Header | FileHeader


@dataclass(frozen=True)
class Content:
    """``pieces``: the canonical bytes, in pieces of any size, to be read once."""

    form: str
    header: Header
    pieces: Iterator[bytes]


@contextlib.contextmanager
def reading(path: Path, form: str, *, salt: bytes | None) -> Iterator[Content]:
    """The content of a file in one of :data:`FORMS`; ``salt`` blinds the root of a ``file``."""
    if form == TENSORS:
        if salt is not None:
            raise CallerError("the root of tensors names a model and is not blinded", hint="Seal a data set as a file")
        with model_file.reading(path) as (header, pieces):
            yield Content(form, header, pieces)
        return
    if form != FILE:
        raise CallerError(f"{form[:40]!r} is no form of content", hint=f"Use {' or '.join(FORMS)}")
    with _opened(path) as (stream, length):
        yield Content(form, FileHeader(length, salt), _pieces(stream, length, path))


def root_of(content: Content) -> bytes:
    """The root that names a content. Reads it."""
    tree, seen = Frontier(), 0
    tree.append(leaf_hash(content.header.leaf()))
    for chunk in in_chunks(content.pieces):
        tree.append(leaf_hash(chunk))
        seen += len(chunk)
    require_length(content, seen)
    return tree.root()


def in_chunks(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in chunks of 1 MiB, the last one shorter and not empty."""
    held = bytearray()
    for piece in pieces:
        if not held and len(piece) == CHUNK:
            yield piece
            continue
        held += piece
        while len(held) >= CHUNK:
            yield bytes(held[:CHUNK])
            del held[:CHUNK]
    if held:
        yield bytes(held)


def require_length(content: Content, seen: int) -> None:
    """``HostError`` unless as many bytes came as the header says."""
    if seen != content.header.length:
        raise HostError(
            f"{seen} bytes came of a content of {content.header.length}", hint="It changed while it was read: try again"
        )


def read_header(form: str, leaf: bytes) -> Header:
    """The header in leaf 0, or ``MessageRefused``; it encodes to exactly ``leaf``."""
    domain, kind = {TENSORS: (_MODEL, manifest.Header), FILE: (_FILE, FileHeader)}.get(form, (b"", None))
    if kind is None:
        raise MessageRefused(f"the content is in the unknown form {form[:40]!r}", hint=_HINT)
    if not leaf.startswith(domain):
        raise MessageRefused(f"the header is not one of {form}", hint=_HINT)
    try:
        header: Header = json_form.decode(kind, leaf[len(domain) :], "header", limit=len(leaf))
    except EvidenceRejected as refused:
        raise MessageRefused(refused.problem, hint=_HINT) from None
    if isinstance(header, FileHeader):
        if header.salt is not None and len(header.salt) != 32:
            raise MessageRefused(f"the salt of the content has {len(header.salt)} bytes, not 32", hint=_HINT)
        if header.length > LARGEST_MODEL:
            raise MessageRefused(f"a content of {header.length} bytes is over {LARGEST_MODEL}", hint=_HINT)
    return header


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    if path.exists() and not path.is_file():  # opening a pipe would wait for somebody to write
        raise HostError(f"{path} is no regular file", hint="Write it to a file first: its length must be known")
    try:
        stream = path.open("rb", buffering=0)
    except OSError as error:
        raise HostError(f"{path} cannot be read ({error.strerror})", hint="Name a file that you may read") from None
    with stream:
        length = stream.seek(0, 2)
        stream.seek(0)
        if length > LARGEST_MODEL:
            raise HostError(f"{path} has {length} bytes, over {LARGEST_MODEL}", hint="Seal it in parts")
        yield stream, length


def _pieces(stream: BinaryIO, length: int, path: Path) -> Iterator[bytes]:
    """All of a file, in pieces that are chunks already where the system gives as much as it is asked for."""
    left = length
    while left:
        try:
            piece = stream.read(min(left, CHUNK))
        except OSError as error:
            raise HostError(f"{path} cannot be read ({error.strerror})", hint="Check the disk") from None
        if not piece:
            return  # the caller counts
        left -= len(piece)
        yield piece


__all__ = ["FILE", "FORMS", "TENSORS", "Content", "FileHeader", "Header", "in_chunks", "read_header", "reading"]
