"""Reading a sealed model at random: whatever is returned has been verified up to the root that its owner signed.

A chunk passes three checks: AES-GCM under the committed key and in its place; its hash is in the index; the index leads
to the root. So a chunk, page or end of another container, or of another place in this one, is refused, even if whoever
made it has the key. Memory: a chunk for each thread, a few index pages, and 32 bytes for each GiB of content.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import math
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from numpy.typing import NDArray

from quatrefoil.audit import manifest
from quatrefoil.errors import CallerError, HostError, MessageRefused
from quatrefoil.resources.container import layout
from quatrefoil.resources.container.content import Header, read_header
from quatrefoil.resources.container.front import Expected, Front, Verifying, read_front
from quatrefoil.resources.container.layout import AGAIN, CHUNK, TAG, Geometry, Head, Keys
from quatrefoil.resources.container.parallel import in_order
from quatrefoil.resources.container.sealing import tree_over
from quatrefoil.tlog.merkle import HASH_BYTES, leaf_hash, root_of
from quatrefoil.transport.sealed.chunks import nonce

PAGES_HELD = 4


@contextlib.contextmanager
def opened_front(path: Path, verifying: Callable[[bytes], Verifying]) -> Iterator[tuple[BinaryIO, Front]]:
    """The container at ``path``, open for reading, and its verified front (see :func:`read_front`)."""
    try:
        if path.exists() and not path.is_file():  # opening a pipe would wait for somebody to write
            raise HostError(f"{path} is no regular file", hint="Save it first: it is read from its end")
        file = path.open("rb", buffering=0)
    except OSError as error:
        raise HostError(f"{path} cannot be read ({error.strerror})", hint="Check the path and its rights") from None
    with file:
        try:
            front = read_front(file, verifying)
        except OSError as error:
            raise HostError(f"{path} cannot be read ({error.strerror})", hint="Check the disk") from None
        yield file, front


class SealedModel:
    """An open container: of a model, or of a data set. Threads may read it at once. Close it, or use it in ``with``."""

    def __init__(self, file: BinaryIO, front: Front, key: bytes | bytearray, *, expected: Expected) -> None:
        """``file``: with a descriptor that can seek, and ``front`` what :func:`read_front` gave for it. ``key``: from a
        broker, or :meth:`Front.open_key`; the caller wipes it. ``MessageRefused`` unless it is what is ``expected``."""
        expected.require(front)
        front.owned.require_key(key)
        keys = Keys.derive(key, front.manifest.salt)
        self._chunks, self._index = AESGCM(keys.chunks), AESGCM(keys.index)
        self._descriptor = os.dup(file.fileno())
        self._front, self._geometry = front, Geometry(front.manifest.length)
        self._held: OrderedDict[int, bytes] = OrderedDict()
        self._lock, self._local = threading.Lock(), threading.local()
        try:
            self._roots, self.header = self._read_head()
        except BaseException:
            self.close()
            raise

    @property
    def front(self) -> Front:
        return self._front

    @property
    def length(self) -> int:
        """Bytes of content."""
        return self._geometry.length

    @property
    def chunk_count(self) -> int:
        return self._geometry.chunks

    def read(self, offset: int, length: int) -> bytes:
        """``length`` bytes of the content from ``offset`` on, or as many as there are."""
        if offset < 0 or length < 0:
            raise CallerError(f"{length} bytes from {offset} on", hint="Give an offset and a length from 0 on")
        begin = min(offset, self.length)
        found = bytearray(min(length, self.length - begin))
        self.read_into(begin, memoryview(found))
        return bytes(found)

    def read_into(self, offset: int, buffer: memoryview, *, threads: int = 1) -> None:
        """Fill ``buffer`` with the content from ``offset`` on, chunk by chunk. After an error it is to be thrown away:
        it may hold the beginning, and never a byte that was not verified."""
        end = offset + len(buffer)
        if not 0 <= offset <= end <= self.length:
            raise CallerError(f"{len(buffer)} bytes from {offset} on of {self.length}", hint="Ask for what there is")

        def one(number: int) -> None:
            begin = number * CHUNK
            first, last = max(offset, begin), min(end, begin + CHUNK)
            buffer[first - offset : last - offset] = self.chunk(number)[first - begin : last - begin]

        for _ in in_order(one, range(offset // CHUNK, -(-end // CHUNK) if buffer else 0), threads):
            pass

    def chunk(self, number: int) -> memoryview:
        """Chunk ``number`` of the content, verified: good until this thread reads again."""
        if self._descriptor < 0:
            raise CallerError("the container has been closed", hint="Read it inside its `with` block")
        if not 0 <= number < self._geometry.chunks:
            raise CallerError(f"chunk {number} of {self._geometry.chunks}", hint="Count chunks from 0")
        size = self._geometry.chunk_bytes(number)
        sealed, leaf = self._buffers()
        given, plain = sealed[: size + TAG], leaf[: 1 + size]
        self._fill(given, self._geometry.chunk_at(number), f"chunk {number}")
        final = number == self._geometry.chunks - 1
        try:
            self._chunks.decrypt_into(nonce(number, final=final), given, None, plain[1:])
        except InvalidTag:
            raise MessageRefused(
                f"chunk {number} of the container does not open: it was altered, moved, or is of another container",
                hint=AGAIN,
            ) from None
        if not hmac.compare_digest(hashlib.sha256(plain).digest(), self._leaf(number + 1)):
            raise MessageRefused(f"chunk {number} of the container is not in its root", hint=AGAIN)
        return plain[1:]

    def chunks(self, *, threads: int) -> Iterator[bytes]:
        """The content from its beginning, in chunks."""
        return in_order(lambda number: bytes(self.chunk(number)), range(self.chunk_count), threads)

    @property
    def tensors(self) -> tuple[manifest.Tensor, ...]:
        """Name, type and shape of each tensor, in the order of their bytes; none where the content is a file."""
        return self.header.tensors if isinstance(self.header, manifest.Header) else ()

    def tensor(self, name: str, *, threads: int = 1) -> NDArray[Any]:
        """The values of one tensor: only the chunks that hold them are read."""
        begin = 0
        for one in self.tensors:
            if one.name == name:
                values = np.empty(one.shape, _dtype(one))
                flat = memoryview(values.reshape(-1).view(np.uint8))  # type: ignore[arg-type]  # an array is a buffer
                self.read_into(begin, flat, threads=threads)
                return values
            begin += one.size
        known = ", ".join(one.name for one in self.tensors[:8]) or "none: the content is a file"
        raise CallerError(f"there is no tensor {name[:40]!r}", hint=f"There are {known}")

    def close(self) -> None:
        """Forget the keys and the pages."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self._held.clear()
            del self._chunks, self._index

    def __enter__(self) -> SealedModel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"SealedModel({self._front.owned.resource.name!r}, root={self._front.root.hex()[:16]}, key=<secret>)"

    # ------------------------------------------------------------------------------------------------------ the index

    def _read_head(self) -> tuple[bytes, Header]:
        """The root of each page, and the header: both up to the signed root."""
        pages = self._geometry.pages
        head = Head.decode(self._open_index(pages, self._front.head_at, self._front.trailer_at, final=True))
        if len(head.pages) != pages * HASH_BYTES:
            raise MessageRefused(f"the index of the container does not have {pages} pages", hint=AGAIN)
        roots = [head.pages[at : at + HASH_BYTES] for at in range(0, len(head.pages), HASH_BYTES)]
        if not hmac.compare_digest(tree_over(roots), self._front.root):
            raise MessageRefused("the index of the container does not lead to its root", hint=AGAIN)
        self._roots = head.pages
        if not hmac.compare_digest(leaf_hash(head.header), self._leaf(0)):
            raise MessageRefused("the header of the content is not in its root", hint=AGAIN)
        header = read_header(self._front.manifest.content, head.header)
        if header.length != self.length:
            raise MessageRefused(
                f"the manifest says {self.length} bytes of content, and the root {header.length}", hint=AGAIN
            )
        return head.pages, header

    def _leaf(self, leaf: int) -> bytes:
        at = leaf % layout.PAGE * HASH_BYTES
        return self._page(leaf // layout.PAGE)[at : at + HASH_BYTES]

    def _page(self, page: int) -> bytes:
        with self._lock:
            if page in self._held:
                self._held.move_to_end(page)
                return self._held[page]
        begin, leaves = self._geometry.page_at(page), self._geometry.page_leaves(page)
        hashes = self._open_index(page, begin, begin + leaves * HASH_BYTES + TAG, final=False)
        root = root_of(hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES))
        if not hmac.compare_digest(root, self._roots[page * HASH_BYTES : (page + 1) * HASH_BYTES]):
            raise MessageRefused(f"page {page} of the container's index is not in its root", hint=AGAIN)
        with self._lock:
            self._held[page] = hashes
            while len(self._held) > PAGES_HELD:
                self._held.popitem(last=False)
        return hashes

    def _open_index(self, number: int, begin: int, end: int, *, final: bool) -> bytes:
        what = "the head of the container" if final else f"page {number} of the container's index"
        sealed = bytearray(end - begin)
        self._fill(memoryview(sealed), begin, what)
        try:
            return self._index.decrypt(nonce(number, final=final), sealed, None)
        except InvalidTag:
            raise MessageRefused(
                f"{what} does not open: it was altered, moved, or is of another container", hint=AGAIN
            ) from None

    # ------------------------------------------------------------------------------------------------------- the file

    def _buffers(self) -> tuple[memoryview, memoryview]:
        """A thread's own: an encrypted chunk, and a leaf of the tree: a zero byte and the chunk."""
        if not hasattr(self._local, "buffers"):
            self._local.buffers = memoryview(bytearray(CHUNK + TAG)), memoryview(bytearray(layout.LEAF + bytes(CHUNK)))
        sealed, leaf = self._local.buffers
        return sealed, leaf

    def _fill(self, buffer: memoryview, offset: int, what: str) -> None:
        done = 0
        while done < len(buffer):
            try:
                count = os.preadv(self._descriptor, [buffer[done:]], offset + done)
            except OSError as error:
                raise HostError(f"{what} cannot be read ({error.strerror})", hint="Check the disk") from None
            if not count:
                raise MessageRefused(f"the container ends inside {what}", hint=AGAIN)
            done += count


def _dtype(tensor: manifest.Tensor) -> np.dtype[Any]:
    try:
        dtype = np.dtype(tensor.dtype).newbyteorder("<")
    except TypeError:
        raise CallerError(
            f"NumPy has no {tensor.dtype}, as {tensor.name[:40]!r} is", hint="Read its bytes with read()"
        ) from None
    assert math.prod(tensor.shape) * dtype.itemsize == tensor.size
    return dtype


__all__ = ["SealedModel", "Verifying", "opened_front"]
