"""The whole content as a new file, which appears once every byte of it has been verified, or not at all."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from quatrefoil.errors import CallerError, HostError
from quatrefoil.resources.container.content import TENSORS
from quatrefoil.resources.container.layout import CHUNK
from quatrefoil.resources.container.parallel import in_order
from quatrefoil.resources.container.reader import SealedModel
from quatrefoil.resources.container.sealing import Progress
from quatrefoil.transport.sealed import new_file

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every member of an archive, so that one content gives one file."""


def extract(model: SealedModel, out: Path, *, threads: int, progress: Progress, mode: int = 0o600) -> None:
    """Write the content to ``out``: a file as it was, tensors as an ``.npz`` that has the same root.

    Verified chunks go to a file without a name (``O_TMPFILE``), which gets its name at the end: ``new_file``.
    """
    with new_file(out, mode=mode) as sink:
        if model.front.manifest.content == TENSORS:
            _write_tensors(model, sink, threads, progress)
            return
        descriptor, done = sink.fileno(), 0

        def one(number: int) -> int:
            return _write_at(descriptor, model.chunk(number), number * CHUNK, out)

        for size in in_order(one, range(model.chunk_count), threads):
            done += size
            progress(done)


def _write_at(descriptor: int, chunk: memoryview, offset: int, out: Path) -> int:
    done = 0
    while done < len(chunk):
        try:
            done += os.pwrite(descriptor, chunk[done:], offset + done)
        except OSError as error:
            raise HostError(
                f"{out} cannot be written ({error.strerror})", hint="Check the folder, its rights and its space"
            ) from None
    return done


def _write_tensors(model: SealedModel, sink: object, threads: int, progress: Progress) -> None:
    stream = _Stream(model.chunks(threads=threads), progress)
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:  # type: ignore[call-overload]  # it only writes
        for one in model.tensors:
            try:
                dtype = np.dtype(one.dtype).newbyteorder("<")
            except TypeError:
                raise CallerError(
                    f"an .npz file holds no {one.dtype}, as {one.name[:40]!r} is", hint="Read it with SealedModel.read"
                ) from None
            with archive.open(zipfile.ZipInfo(f"{one.name}.npy", _EPOCH), "w", force_zip64=True) as member:
                header = io.BytesIO()
                np.lib.format.write_array_header_1_0(
                    header, {"descr": dtype.str, "fortran_order": False, "shape": one.shape}
                )
                member.write(header.getvalue())
                for piece in stream.take(one.size):
                    member.write(piece)


class _Stream:
    """The content, taken in parts of any size."""

    def __init__(self, chunks: Iterator[bytes], progress: Progress) -> None:
        self._chunks, self._progress = chunks, progress
        self._held, self._done = memoryview(b""), 0

    def take(self, size: int) -> Iterator[memoryview]:
        while size:
            if not self._held:
                self._held = memoryview(next(self._chunks))
            piece = self._held[:size]
            self._held = self._held[len(piece) :]
            size -= len(piece)
            self._done += len(piece)
            yield piece
            self._progress(self._done)


__all__ = ["extract"]
