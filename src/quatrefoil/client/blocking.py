"""``Client``: the same for programs without an event loop. It runs one of its own in a thread of its own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import queue
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self, TypeVar

from quatrefoil.client.aio import AsyncClient
from quatrefoil.client.answers import Answer, Headers, Inferred, refused
from quatrefoil.client.asking import HeaderLines
from quatrefoil.client.pinning import Pinned
from quatrefoil.client.receipts import Receipt
from quatrefoil.client.streams import AsyncStream, Lines
from quatrefoil.errors import CallerError
from quatrefoil.exchange import ServingPolicy
from quatrefoil.inference import ModelMetadata

Result = TypeVar("Result")

THREADS = "quatrefoil-client"
"""What the names of a client's threads begin with."""

AHEAD = 1 << 20
"""Bytes of a stream that are read before anybody takes them."""


class Client:
    """As :class:`AsyncClient`, blocking; its arguments are the same. May be called from several threads, also where
    another event loop runs. ``with`` closes it; a thread is started at the first request.
    """

    def __init__(self, url: str, **options: Any) -> None:
        self._inner = AsyncClient(url, **options)
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    @property
    def policy(self) -> ServingPolicy:
        return self._inner.policy

    @property
    def attestation(self) -> Pinned | None:
        """What the server was last found to be. None before the first request."""
        return self._inner.attestation

    def attest(self) -> Pinned:
        """Have the server attested now, if it is not."""
        return self._run(self._inner.attest)

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: HeaderLines = (),
        content: bytes | None = None,
        json: Any = None,
        timeout: float | None = None,
    ) -> Answer:
        """One request, and its whole answer, whatever its status."""
        return self._run(
            lambda: self._inner.request(method, path, headers=headers, content=content, json=json, timeout=timeout)
        )

    def infer(
        self, inputs: Mapping[str, Any], outputs: Iterable[str] | None = None, *, timeout: float | None = None
    ) -> Inferred:
        """The model's answer to ``inputs``, by name: arrays, or lists that take type and shape from its signature."""
        return self._run(lambda: self._inner.infer(inputs, outputs, timeout=timeout))

    def metadata(self, *, timeout: float | None = None) -> ModelMetadata:
        """The model's signature."""
        return self._run(lambda: self._inner.metadata(timeout=timeout))

    @contextlib.contextmanager
    def stream(self, method: str, path: str, **options: Any) -> Iterator[Stream]:
        """One request whose answer is read as it comes; leaving early closes the connection."""
        stream = Stream()
        self._scheduled(lambda: stream._read_ahead(self._inner, method, path, options))
        try:
            stream._await_head()
            yield stream
        finally:
            stream._leave()

    def close(self) -> None:
        """Close every connection, and end the thread."""
        with self._lock:
            closed, self._closed = self._closed, True
            loop, thread = self._loop, self._thread
        if closed or loop is None or thread is None or os.getpid() != self._process:
            return
        asyncio.run_coroutine_threadsafe(self._ended(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return repr(self._inner).removeprefix("Async")

    # -------------------------------------------------------------------------------------------------------- details

    def _run(self, doing: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        future = self._scheduled(doing)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise CallerError("this client was closed meanwhile", hint="Close it when nothing is under way") from None
        except BaseException:
            future.cancel()  # whoever is interrupted waits no more, and neither does the server
            raise

    def _scheduled(self, doing: Callable[[], Coroutine[Any, Any, Result]]) -> concurrent.futures.Future[Result]:
        """Begin it in the loop. Under the lock: what was scheduled after :meth:`close` would never end."""
        if os.getpid() != self._process:
            raise CallerError("this client was made before the process forked", hint="Make one in each process")
        with self._lock:
            loop = self._running()
            return asyncio.run_coroutine_threadsafe(doing(), loop)

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._closed:
            raise CallerError("this client is closed", hint="Make another one")
        if self._loop is None or self._thread is None:
            self._loop = asyncio.new_event_loop()
            self._loop.set_default_executor(ThreadPoolExecutor(thread_name_prefix=THREADS))
            self._thread = threading.Thread(target=self._loop.run_forever, name=THREADS, daemon=True)
            self._thread.start()
        if self._thread is threading.current_thread():
            raise CallerError("this client is used in its own thread", hint="Use AsyncClient there")
        return self._loop

    async def _ended(self) -> None:
        """Nothing runs on the loop any more."""
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._inner.close()
        loop = asyncio.get_running_loop()
        await loop.shutdown_asyncgens()
        await loop.shutdown_default_executor()


class Stream:
    """As :class:`AsyncStream`, blocking; for one thread."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._left = False
        self._parts: queue.SimpleQueue[bytes | BaseException | None] = queue.SimpleQueue()
        self._room = asyncio.Event()
        self._lock = threading.Lock()
        self._waiting = 0  # bytes that nobody has taken yet
        self._ended = threading.Event()
        self._inner: AsyncStream | None = None
        self._reading = False
        self._content: bytes | None = None
        self._done = False
        self.status = 0
        self.headers = Headers(())

    @property
    def whole(self) -> bool:
        """Whether everything has been read, and its receipt holds."""
        return self._done and self._inner is not None and self._inner.whole

    @property
    def receipt(self) -> Receipt:
        """The receipt over all of it; ``CallerError`` where it was not read to its end."""
        if not self.whole or self._inner is None:
            raise CallerError("the answer is not whole: its receipt comes at its end", hint="Read it to the end first")
        return self._inner.receipt

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    def raise_for_status(self) -> Self:
        """This stream if its status is of success; otherwise ``RequestRefused``."""
        if not self.is_success:
            raise refused(self.status, self.headers, self._content or b"")
        return self

    def iter_bytes(self) -> Iterator[bytes]:
        """Content as it comes. Raises where it breaks off, or its receipt does not hold."""
        if self._reading:
            raise CallerError("the answer has been read, or is being read", hint="Iterate once, and keep what comes")
        self._reading = True
        while True:
            part = self._parts.get()
            if part is None:
                self._done = True
                return
            if isinstance(part, BaseException):
                raise part
            self._take(len(part))
            yield part

    def iter_lines(self) -> Iterator[str]:
        """Lines of UTF-8, without their ends."""
        lines = Lines()
        for part in self.iter_bytes():
            yield from lines.feed(part)
        yield from lines.finish()

    def read(self) -> bytes:
        """All of the content, once it is whole."""
        if self._content is None:
            self._content = b"".join(self.iter_bytes())
        return self._content

    def __repr__(self) -> str:
        return f"<Stream {self.status}, {'whole' if self.whole else 'not whole'}>"

    # --------------------------------------------------------------------------------------------- between the threads

    async def _read_ahead(self, client: AsyncClient, method: str, path: str, options: dict[str, Any]) -> None:
        """In the loop's thread: the whole stream, as far ahead of its reader as ``AHEAD`` lets it."""
        try:
            with self._lock:
                self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
                left = self._left
            if left:
                return
            async with client.stream(method, path, **options) as inner:
                self._inner = inner
                self._parts.put(b"")  # the head is there
                async for part in inner.iter_bytes():
                    await self._give(part)
            self._parts.put(None)
        except asyncio.CancelledError:
            self._parts.put(CallerError("this client was closed meanwhile", hint="Close it after its streams"))
        except BaseException as error:  # whoever reads is given it, or nobody does
            self._parts.put(error)
        finally:
            self._ended.set()

    async def _give(self, part: bytes) -> None:
        with self._lock:
            self._waiting += len(part)
            full = self._waiting > AHEAD
            if full:
                self._room.clear()
        self._parts.put(part)
        if full:
            await self._room.wait()

    def _take(self, size: int) -> None:
        with self._lock:
            before, self._waiting = self._waiting, self._waiting - size
            freed = before > AHEAD >= self._waiting
        if freed:
            self._call(self._room.set)

    def _leave(self) -> None:
        """In the reader's thread: nobody reads on. Returns when the connection is closed."""
        with self._lock:
            self._left, task = True, self._task
        if task is not None:
            self._call(task.cancel)
        self._ended.wait()

    def _call(self, step: Callable[[], object]) -> None:
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # the loop is closed, and nothing waits in it
            self._loop.call_soon_threadsafe(step)

    def _await_head(self) -> None:
        first = self._parts.get()
        if isinstance(first, BaseException):
            raise first
        assert self._inner is not None
        self.status, self.headers = self._inner.status, self._inner.headers


__all__ = ["Client", "Stream"]
