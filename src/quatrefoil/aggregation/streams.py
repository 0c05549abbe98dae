"""Updates and ciphertexts piece by piece: what is too large to hold is read, worked on and written in runs of blocks.

Bytes are those of :class:`AdditiveAggregation` on whole arrays: either side may stream and the other not. Whatever is
cut off or too long is refused; what was written before that is not a ciphertext, and no reader takes it for one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from quatrefoil.aggregation.ciphertext import HEADER_BYTES, Form
from quatrefoil.contracts import FloatVector, SumShape
from quatrefoil.errors import CiphertextRefused, ParametersRefused, UpdateRefused

CHUNK_BLOCKS = 128
"""Blocks that are held at once: 4 MiB of ciphertext."""

_BLOCK_BYTES = 32768
_HINT = "Send it again from the start; the stream was cut off, or holds something else"


class Source(Protocol):
    """A binary file, ``socket.makefile("rb")`` or memory map: at most ``size`` bytes, and none at the end."""

    def read(self, size: int, /) -> bytes: ...


class Sink(Protocol):
    """A binary file, ``socket.makefile("wb")`` or memory map: says how much it took, or takes everything."""

    def write(self, data: memoryview, /) -> int | None: ...


def chunks_of_values(values: FloatVector | Source, shape: SumShape, size: int) -> Iterator[FloatVector]:
    """Runs of ``size`` values, the last one perhaps shorter, ``shape.length`` values in all.

    ``values``: an array, or a source of raw little-endian float32 that ends where they do.
    """
    if isinstance(values, np.ndarray):
        for start in range(0, shape.length, size):
            yield values[start : start + size]
        return
    for start in range(0, shape.length, size):
        count = min(size, shape.length - start)
        data = read_up_to(values, 4 * count)
        if len(data) != 4 * count:
            have = start + len(data) // 4
            raise UpdateRefused(
                f"the update ends after {have} of {shape.length} values",
                hint="Pass the whole update, as raw float32",
            )
        yield np.frombuffer(data, dtype="<f4").astype(np.float32, copy=False)
    if values.read(1):
        raise UpdateRefused(
            f"the update goes on after {shape.length} values", hint="Check its length in the round context"
        )


def chunks_of_blocks(source: Source, form: Form, *, count: int, what: str) -> Iterator[bytes]:
    """The blocks of a ciphertext of this form, :data:`CHUNK_BLOCKS` at a time; its header is checked first."""
    form.check_header(read_up_to(source, HEADER_BYTES), count=count, what=what)
    for start in range(0, form.block_bytes, CHUNK_BLOCKS * _BLOCK_BYTES):
        size = min(CHUNK_BLOCKS * _BLOCK_BYTES, form.block_bytes - start)
        data = read_up_to(source, size)
        if len(data) != size:
            have = HEADER_BYTES + start + len(data)
            raise CiphertextRefused(f"{what} ends after {have} of {HEADER_BYTES + form.block_bytes} bytes", hint=_HINT)
        yield data
    if source.read(1):
        raise CiphertextRefused(f"{what} goes on after {HEADER_BYTES + form.block_bytes} bytes", hint=_HINT)


def read_up_to(source: Source, size: int) -> bytes:
    """``size`` bytes, fewer only where the source ends."""
    data = source.read(size)
    if len(data) == size or not data:
        return data
    pieces, missing = [data], size - len(data)
    while missing and (data := source.read(missing)):
        pieces.append(data)
        missing -= len(data)
    return b"".join(pieces)


def write_all(sink: Sink, data: bytes) -> None:
    """Hand over everything, also to a sink that takes less at a time."""
    rest = memoryview(data)
    while rest:
        taken = sink.write(rest)
        if taken is None:
            return
        if not 0 < taken <= len(rest):
            raise ParametersRefused(
                f"the sink took {taken} of {len(rest)} bytes", hint="Pass one that blocks until it takes some"
            )
        rest = rest[taken:]


DecryptChunk = Callable[[bytes, int, int], NDArray[np.float64]]
"""Blocks, the first one's number and how many values they hold, to those values."""


def decrypted(
    chunks: Iterator[bytes], shape: SumShape, block_values: int, decrypt: DecryptChunk
) -> Iterator[NDArray[np.float64]]:
    """The values of each run of blocks."""
    for index, data in enumerate(chunks):
        first = index * CHUNK_BLOCKS
        length = min(CHUNK_BLOCKS * block_values, shape.length - first * block_values)
        yield decrypt(data, first, length)


__all__ = ["CHUNK_BLOCKS", "Sink", "Source", "chunks_of_blocks", "chunks_of_values", "decrypted", "write_all"]
