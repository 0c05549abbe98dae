"""An HTTP/1.1 client over our channels, on aiohttp, which does what it is told and nothing of its own accord.

No redirects, no proxies from the environment, no cookies, no decompression, no header fields that were not given. No
request is sent twice: servers refuse the second as a replay, and nothing goes where it was not meant to go.
docs/web.md is the specification.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeAlias

from quatrefoil.errors import CallerError, DependencyMissing, MessageRefused
from quatrefoil.transport import HybridContext, Standing
from quatrefoil.web.limits import ClientLimits

try:
    import aiohttp
    from aiohttp.abc import AbstractResolver, ResolveResult
    from yarl import URL

    from quatrefoil.web.exchange import Exchange
except ImportError:
    raise DependencyMissing("aiohttp is not installed", hint="pip install 'quatrefoil[serve]'") from None

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]
Content: TypeAlias = bytes | AsyncIterable[bytes]

_AUTOMATIC = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
_PIECE = 64 << 10
_WRITTEN = 256 << 10
"""Bytes of a request's content that are written at once: each piece is a system call and a turn of both event loops."""
_MOST_FIELDS = 64


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Answer:
    """``headers`` with names in lower case, in the order in which they came."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    content: bytes

    def header(self, name: bytes) -> bytes | None:
        """The value of ``name``, where there is exactly one."""
        return _only(self.headers, name)


class Incoming:
    """An answer whose content is still to come."""

    def __init__(self, response: aiohttp.ClientResponse, exchange: Exchange) -> None:
        self._response = response
        self._exchange = exchange
        self.status = response.status
        self.headers = tuple((name.lower(), value) for name, value in response.raw_headers)

    def header(self, name: bytes) -> bytes | None:
        """The value of ``name``, where there is exactly one."""
        return _only(self.headers, name)

    async def pieces(self) -> AsyncIterator[bytes]:
        """The content as it comes. ``PeerUnreachable`` where it breaks off, ``MessageRefused`` over the limit."""
        limits, taken = self._exchange.limits, 0
        content = self._response.content
        silence = f"sent nothing more for {limits.idle_seconds:g} s"
        while True:
            with self._exchange.telling(silence):
                if content.is_eof():  # all of it has come: nothing is waited for
                    piece = await content.readany()
                else:
                    async with asyncio.timeout(limits.idle_seconds):
                        piece = await content.readany()
            if not piece:
                return
            taken += len(piece)
            if taken > limits.answer_bytes:
                raise MessageRefused(
                    f"{self._exchange.place} answered with more than {limits.answer_bytes} bytes",
                    hint="Ask for less, or raise the limit at both ends",
                )
            yield piece


class WebClient:
    """Connections are kept and used again, unless ``reuse`` is False; after a change of credentials, new ones are made.

    A server that says something unasked over a connection that is used again answers the next request with it. Who
    asks for several, of a server whose answers show only by their connection whose they are, does not reuse.

    Under ``tls`` URLs are https; without it, which is for loopback addresses only, http. ``async with`` closes it.
    """

    def __init__(self, *, tls: HybridContext | None, limits: ClientLimits | None = None, reuse: bool = True) -> None:
        self._tls = tls
        self._reuse = reuse
        self._limits = limits or ClientLimits()
        self._pool: _Pool | None = None
        self._closed = False

    async def request(
        self,
        method: str,
        url: str,
        headers: Headers = (),
        content: Content = b"",
        *,
        on_sent: Callable[[], object] = _nothing,
    ) -> Answer:
        """Send, and take the whole answer, whatever its status. ``ChannelRefused`` where no acceptable channel can be
        made, ``PeerUnreachable`` where there is none or nothing comes in time, ``MessageRefused`` where what comes is
        not HTTP or over a limit. ``on_sent``: called once a large content is on its way and its answer is awaited; for
        a small one, never."""
        async with self.stream(method, url, headers, content, on_sent=on_sent) as incoming:
            return Answer(incoming.status, incoming.headers, b"".join([piece async for piece in incoming.pieces()]))

    @contextlib.asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str,
        headers: Headers = (),
        content: Content = b"",
        *,
        on_sent: Callable[[], object] = _nothing,
    ) -> AsyncIterator[Incoming]:
        """The same, with the content piece by piece in both directions. What is left unread ends the connection."""
        target = self._target(url)
        exchange = Exchange(f"{target.host}:{target.port}", self._limits)
        pool = await self._current()
        pool.users += 1
        try:
            async with exchange.within(self._limits.total_seconds):
                response = await self._ask(pool.session, exchange, method, target, headers, content, on_sent)
                try:
                    yield Incoming(response, exchange)
                finally:
                    if response.content.at_eof() and exchange.sent:
                        response.release()
                    else:
                        response.close()
        finally:
            pool.users -= 1
            await pool.close_if_unused()

    async def close(self) -> None:
        self._closed = True
        if self._pool is not None:
            await self._pool.session.close()
            self._pool = None

    async def _ask(
        self,
        session: aiohttp.ClientSession,
        exchange: Exchange,
        method: str,
        url: URL,
        headers: Headers,
        content: Content,
        on_sent: Callable[[], object],
    ) -> aiohttp.ClientResponse:
        fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
        if isinstance(content, bytes):
            fields = _without_length(fields, len(content))
        body: bytes | AsyncIterable[bytes | memoryview] | None = content or None
        if isinstance(content, bytes) and len(content) > _PIECE:
            fields.append(("content-length", str(len(content))))
            body = exchange.paced(_pieces_of(content, on_sent))
        elif not isinstance(content, bytes):
            body = exchange.paced(content)
        with exchange.telling(f"did not answer within {self._limits.answer_seconds:g} s"):
            async with asyncio.timeout(self._limits.connect_seconds + self._limits.answer_seconds) as patience:
                exchange.patience = patience
                try:
                    return await session.request(
                        method,
                        url,
                        headers=fields,
                        data=body,
                        allow_redirects=False,
                    )
                finally:
                    exchange.patience = None

    def _target(self, url: str) -> URL:
        try:
            target = URL(url, encoded=True)
            host, port = target.host, target.port
        except ValueError:
            raise CallerError("this is no URL", hint="Name https://HOST:PORT/PATH") from None
        expected = "http" if self._tls is None else "https"
        if target.scheme != expected or not host or not port or target.user or target.password:
            raise CallerError(
                f"this client asks {expected} URLs with a host, and without user and password",
                hint=f"Name {expected}://HOST:PORT/PATH",
            )
        if self._tls is None and not _is_loopback(host):
            raise CallerError(f"{host} is no loopback address, and there is no TLS", hint="Use https, with an identity")
        return target

    async def _current(self) -> _Pool:
        if self._closed:
            raise CallerError("this client was closed", hint="Make another")
        standing = None if self._tls is None else self._tls.standing
        if self._pool is None or self._pool.standing is not standing:
            old, self._pool = self._pool, _Pool(self._tls, standing, self._limits, reuse=self._reuse)
            if old is not None:
                old.retired = True
                await old.close_if_unused()
        return self._pool

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class _Pool:
    """Connections that were made under one standing."""

    def __init__(
        self, tls: HybridContext | None, standing: Standing | None, limits: ClientLimits, *, reuse: bool
    ) -> None:
        self.standing = standing
        self.users = 0
        self.retired = False
        connector = aiohttp.TCPConnector(
            ssl=tls if tls is not None else True,
            limit=limits.connections,
            **({"keepalive_timeout": limits.reuse_seconds} if reuse else {"force_close": True}),
            resolver=_Loopback() if tls is None else aiohttp.ThreadedResolver(),
        )
        self.session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            skip_auto_headers=_AUTOMATIC,
            read_bufsize=_PIECE,
            max_line_size=limits.header_bytes,
            max_field_size=limits.header_bytes,
            max_headers=_MOST_FIELDS,
            timeout=aiohttp.ClientTimeout(
                total=None, connect=limits.connect_seconds, sock_connect=limits.connect_seconds, sock_read=None
            ),
        )
        self.session._retry_connection = False  # or it sends what it takes for idempotent again

    async def close_if_unused(self) -> None:
        if self.retired and not self.users:
            await self.session.close()


class _Loopback(AbstractResolver):
    """``localhost`` is this host, whatever a resolver says (RFC 6761 section 6.3)."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)]
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=socket.AI_NUMERICHOST)
            for address, kind in found
            if family in (socket.AF_UNSPEC, kind)
        ]

    async def close(self) -> None:
        pass


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _without_length(fields: list[tuple[str, str]], size: int) -> list[tuple[str, str]]:
    """``fields`` without the caller's own length of the content, which is said once, below."""
    lengths = [value for name, value in fields if name.lower() == "content-length"]
    if any(value != str(size) for value in lengths):
        raise CallerError("a Content-Length is not the size of the content", hint="Leave it out: it is said for you")
    return [(name, value) for name, value in fields if name.lower() != "content-length"]


async def _pieces_of(content: bytes, on_sent: Callable[[], object]) -> AsyncIterator[memoryview]:
    whole = memoryview(content)
    for start in range(0, len(content), _WRITTEN):
        yield whole[start : start + _WRITTEN]
    on_sent()


def _only(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    found = [value for one, value in headers if one == name.lower()]
    return found[0] if len(found) == 1 else None


__all__ = ["Answer", "Content", "Headers", "Incoming", "WebClient"]
