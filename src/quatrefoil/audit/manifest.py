"""What names a model: the names, shapes and types of its tensors, and one root over that and every byte.

Property: two models have the same root only if they have the same tensors, in the same order, with the same bytes; it
rests on the collision resistance of SHA-256. A chunk of a model can be shown to be in it by a proof of inclusion (RFC
9162 section 2.1.3) without the rest, so that a file may be checked while it is read. docs/provenance.md has the bytes.

The tree is that of RFC 6962. Leaf 0 is the header: ``quatrefoil model v1``, a line feed, and the canonical JSON of
:class:`Header`. Leaf ``i`` above 0 is chunk ``i - 1`` of the canonical bytes: the values of all tensors, one after the
other, each little-endian in row-major order, cut every 1,048,576 bytes. The header holds the length, so the number of
leaves is fixed by the first of them.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from quatrefoil.audit import json_form
from quatrefoil.errors import CallerError, EvidenceRejected
from quatrefoil.tlog.merkle import Frontier, leaf_hash

CHUNK = 1 << 20
"""Bytes of a leaf; the last one may be shorter."""

ELEMENT_BYTES = {
    **{"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2},
    **{"int64": 8, "int32": 4, "int16": 2, "int8": 1},
    **{"uint64": 8, "uint32": 4, "uint16": 2, "uint8": 1, "bool": 1},
}
"""Bytes of one value of each type that a tensor may have."""

LARGEST_MODEL = 1 << 48
MOST_TENSORS = 1 << 16
MOST_DIMENSIONS = 32
_DOMAIN = b"quatrefoil model v1\n"
_NAME = re.compile(r"[!-~]{1,256}")


@dataclass(frozen=True)
class Tensor:
    """One tensor: a name of 1 to 256 printable ASCII characters without spaces, a type, and its sides."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes of its values."""
        return math.prod(self.shape) * ELEMENT_BYTES[self.dtype]


@dataclass(frozen=True)
class Header:
    """Everything of a model but its bytes. ``length``: how many there are."""

    length: int
    tensors: tuple[Tensor, ...]

    def leaf(self) -> bytes:
        """What leaf 0 of the tree holds."""
        return _DOMAIN + json_form.encode(self)

    @property
    def leaves(self) -> int:
        """Leaves of the tree."""
        return 1 + -(-self.length // CHUNK)

    def __post_init__(self) -> None:
        if not 1 <= len(self.tensors) <= MOST_TENSORS:
            raise _refused(f"a model of {len(self.tensors)} tensors", f"1 to {MOST_TENSORS} are possible")
        if len({tensor.name for tensor in self.tensors}) != len(self.tensors):
            raise _refused("a model with two tensors of one name", "Name each tensor differently")
        for tensor in self.tensors:
            _check(tensor)
        if sum(tensor.size for tensor in self.tensors) != self.length or self.length > LARGEST_MODEL:
            raise _refused(f"a model of {self.length} bytes", "Its tensors must add up to that, and to at most 2^48")


def header_of(tensors: Iterable[Tensor]) -> Header:
    """The header over these tensors, in this order."""
    listed = tuple(tensors)
    for tensor in listed:
        _check(tensor)
    return Header(sum(tensor.size for tensor in listed), listed)


@dataclass(frozen=True)
class Manifest:
    """A model, named. ``root``: over header and bytes; ``sha256``: of the canonical bytes alone."""

    header: Header
    root: bytes
    sha256: bytes


def measure(header: Header, content: Iterable[bytes | memoryview]) -> Manifest:
    """The manifest of the canonical bytes, given in pieces of any size, in the memory of one chunk.

    ``CallerError`` when there are fewer or more of them than the header says.
    """
    tree, whole, chunk, seen = Frontier(), hashlib.sha256(), bytearray(), 0
    tree.append(leaf_hash(header.leaf()))
    for piece in content:
        whole.update(piece)
        seen += len(piece)
        begin = 0
        while begin < len(piece):
            end = begin + CHUNK - len(chunk)
            chunk += piece[begin:end]
            begin = end
            if len(chunk) == CHUNK:
                tree.append(leaf_hash(bytes(chunk)))
                chunk.clear()
    if chunk:
        tree.append(leaf_hash(bytes(chunk)))
    if seen != header.length:
        raise CallerError(f"{seen} bytes were given of a model of {header.length}", hint="Give exactly its values")
    return Manifest(header, tree.root(), whole.digest())


def _check(tensor: Tensor) -> None:
    if not _NAME.fullmatch(tensor.name):
        raise _refused(f"a tensor named {tensor.name[:40]!r}", "Use 1 to 256 printable ASCII characters, no spaces")
    if tensor.dtype not in ELEMENT_BYTES:
        raise _refused(f"a tensor of {tensor.dtype[:40]!r}", f"Known are {', '.join(ELEMENT_BYTES)}")
    if len(tensor.shape) > MOST_DIMENSIONS or any(not 0 <= side <= LARGEST_MODEL for side in tensor.shape):
        raise _refused(f"a tensor of sides {str(tensor.shape)[:80]}", f"At most {MOST_DIMENSIONS}, none negative")


def _refused(what: str, hint: str) -> EvidenceRejected:
    return EvidenceRejected(f"{what} cannot be named", hint=hint)
