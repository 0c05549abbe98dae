"""A model file read in a stream, in the order and form in which its manifest names it: the ``.npz`` of this product.

Property: the memory that it takes does not depend on the size of the file, but for tensors that the file holds in
column-major order, which are turned one at a time. Nothing in the file is executed (no pickle).
"""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from quatrefoil.audit.manifest import CHUNK, Header, Manifest, Tensor, header_of, measure
from quatrefoil.errors import CallerError, HostError, QuatrefoilError

_NAMES = {"<f8": "float64", "<f4": "float32", "<f2": "float16", "|b1": "bool", "|i1": "int8", "|u1": "uint8"} | {
    f"<{sign}{size}": f"{word}{8 * size}" for sign, word in (("i", "int"), ("u", "uint")) for size in (2, 4, 8)
}

Watch = Callable[[bytes], None]
"""Given every piece of the canonical bytes as it is read: for a caller with a hash of its own."""


@dataclass(frozen=True)
class _Stored:
    """A tensor in the archive: under which name, where its values begin, and how they lie."""

    member: str
    tensor: Tensor
    dtype: np.dtype[Any]
    column_major: bool


def measure_file(path: Path, *, watch: Callable[[Header], Watch] | None = None) -> Manifest:
    """The manifest of a model file, or the error that says why it is none. Reads it once."""
    with reading(path) as (header, content):
        return measure(header, _watched(content, None if watch is None else watch(header)))


@contextlib.contextmanager
def reading(path: Path) -> Iterator[tuple[Header, Iterator[bytes]]]:
    """The header of a model file and its canonical bytes, in pieces, to be read inside the block."""
    with contextlib.ExitStack() as opened:
        with _refusing(path):
            archive = opened.enter_context(zipfile.ZipFile(path))
            stored = [_stored(archive, info.filename) for info in archive.infolist()]
            header = header_of(one.tensor for one in stored)
        yield header, _guarded(path, _content(archive, stored))


def _guarded(path: Path, content: Iterator[bytes]) -> Iterator[bytes]:
    """Faults of the file are named as such, and those of whoever reads are not."""
    with _refusing(path):
        yield from content


@contextlib.contextmanager
def _refusing(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise HostError(f"there is no model at {path}", hint="Name the .npz file that --out wrote") from None
    except OSError as error:
        raise HostError(f"{path} cannot be read ({error.strerror})", hint="Name a file that you may read") from None
    except QuatrefoilError:
        raise
    except Exception as error:  # of NumPy, of zipfile and of what unpacks for it, without a common base
        raise CallerError(
            f"{path} is no whole model ({str(error)[:120] or type(error).__name__})", hint="Give an .npz file of arrays"
        ) from None


def measure_arrays(arrays: list[NDArray[Any]], *, names: list[str] | None = None) -> Manifest:
    """The manifest of arrays in memory, under the names that an ``.npz`` file gives them: ``arr_0``, ``arr_1``, ..."""
    named = names or [f"arr_{position}" for position in range(len(arrays))]
    tensors = [
        Tensor(name, _name_of(array.dtype), tuple(int(side) for side in array.shape))
        for name, array in zip(named, arrays, strict=True)
    ]
    return measure(header_of(tensors), (_row_major(array) for array in arrays))


def _stored(archive: zipfile.ZipFile, member: str) -> _Stored:
    if not member.endswith(".npy"):
        raise ValueError(f"{member[:40]!r} is no array")
    with archive.open(member) as opened:
        shape, column_major, dtype = _array_header(opened)
    tensor = Tensor(member.removesuffix(".npy"), _name_of(dtype), shape)
    return _Stored(member, tensor, dtype, column_major and len(shape) > 1)


def _content(archive: zipfile.ZipFile, stored: list[_Stored]) -> Iterator[bytes]:
    for one in stored:
        with archive.open(one.member) as opened:
            _array_header(opened)
            if one.column_major:
                values = np.frombuffer(_exactly(opened, one.tensor.size), one.dtype)
                yield _row_major(values.reshape(one.tensor.shape, order="F"))
            else:
                left = one.tensor.size
                while left:
                    piece = _exactly(opened, min(left, CHUNK))
                    left -= len(piece)
                    yield _row_major(np.frombuffer(piece, one.dtype))
            if opened.read(1):  # also has the archive's checksum looked at
                raise ValueError(f"{one.member[:40]!r} has bytes after its values")


def _watched(content: Iterator[bytes], watch: Watch | None) -> Iterator[bytes]:
    for piece in content:
        if watch is not None:
            watch(piece)
        yield piece


def _array_header(opened: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(opened)
    if version == (1, 0):
        found = np.lib.format.read_array_header_1_0(opened)
    elif version == (2, 0):
        found = np.lib.format.read_array_header_2_0(opened)
    else:
        raise ValueError(f"an array in version {version} of the format")
    shape, column_major, dtype = found
    return tuple(int(side) for side in shape), bool(column_major), dtype


def _exactly(opened: IO[bytes], size: int) -> bytes:
    pieces = bytearray()
    while len(pieces) < size:
        if not (piece := opened.read(min(size - len(pieces), CHUNK))):
            raise EOFError("the file ends inside an array")
        pieces += piece
    return bytes(pieces)


def _name_of(dtype: np.dtype[Any]) -> str:
    name = _NAMES.get(dtype.newbyteorder("<").str)
    if name is None:
        raise CallerError(f"an array of {str(dtype)[:40]} is no tensor", hint="Use float32 or float64")
    return name


def _row_major(array: NDArray[Any]) -> bytes:
    return np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
