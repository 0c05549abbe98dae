"""The context for programs that want an ``ssl.SSLContext``, under asyncio's own TLS streams."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from quatrefoil.errors import CallerError, ChannelRefused, PeerError
from quatrefoil.transport.credentials import FixedCredentials
from quatrefoil.transport.ssl_context import HandshakeRefused, HybridContext
from support import Consortium

Visit = Callable[[int, list[PeerError]], Awaitable[None]]


def context(consortium: Consortium, name: str, role: str, allow: str, refusals: list[PeerError], **changes: Any):
    arguments = {"clock": consortium.clock, "protocol": b"http/1.1", "on_refused": refusals.append}
    credentials = changes.pop("credentials", None) or FixedCredentials(
        consortium.identity(name, role), consortium.trust
    )
    return HybridContext(credentials, allow_roles=[allow], **(arguments | changes))


def with_echo_server(consortium: Consortium, visit: Visit) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100_000):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def run() -> None:
        refusals: list[PeerError] = []
        hub = context(consortium, "hub", "aggregator", "silo", refusals)
        server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=hub)
        async with server:
            await visit(server.sockets[0].getsockname()[1], refusals)

    asyncio.run(run())


@pytest.mark.parametrize("size", [1, 1_000_000])
def test_asyncio_streams_run_on_it(consortium, size):
    message = b"\x5a" * size

    async def visit(port: int, refusals: list[PeerError]) -> None:
        silo = context(consortium, "cleveland", "silo", "aggregator", refusals)
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=silo)
        writer.write(message)
        assert await reader.readexactly(size) == message
        tls = writer.get_extra_info("ssl_object")
        assert (tls.group, tls.peer.name, tls.version()) == ("X25519MLKEM768", "hub", "TLSv1.3")
        assert tls.selected_alpn_protocol() == "http/1.1"
        assert tls.cipher()[1] == "TLSv1.3" and tls.cipher()[2] == 256
        certificate = writer.get_extra_info("peercert")
        assert certificate["subject"] == ((("commonName", "hub"),),)
        assert ("DNS", "localhost") in certificate["subjectAltName"]
        assert ("IP Address", "127.0.0.1") in certificate["subjectAltName"]
        assert tls.getpeercert(True) == consortium.identity("hub", "aggregator").certificate_der
        writer.close()
        await writer.wait_closed()
        assert refusals == []

    with_echo_server(consortium, visit)


def test_a_wrong_host_name_is_refused(consortium):
    async def visit(port: int, refusals: list[PeerError]) -> None:
        silo = context(consortium, "cleveland", "silo", "aggregator", [])
        with pytest.raises(HandshakeRefused, match=r"not for hub\.example\.org"):
            await asyncio.open_connection("127.0.0.1", port, ssl=silo, server_hostname="hub.example.org")

    with_echo_server(consortium, visit)


def test_a_wrong_server_role_is_refused(consortium):
    async def visit(port: int, refusals: list[PeerError]) -> None:
        silo = context(consortium, "cleveland", "silo", "keeper", [])
        with pytest.raises(HandshakeRefused, match="certified as aggregator") as refused:
            await asyncio.open_connection("127.0.0.1", port, ssl=silo)
        assert isinstance(refused.value.refusal, ChannelRefused)

    with_echo_server(consortium, visit)


def test_a_wrong_client_role_is_refused_and_reported(consortium):
    async def visit(port: int, refusals: list[PeerError]) -> None:
        keeper = context(consortium, "keeper", "keeper", "aggregator", [])
        with pytest.raises((ssl.SSLError, OSError, asyncio.IncompleteReadError)):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=keeper)
            try:
                writer.write(b"x")
                await reader.readexactly(1)
            finally:
                writer.close()
        assert [refusal.problem for refusal in refusals] == [
            "'keeper' is certified as keeper, and this channel is for silo"
        ]

    with_echo_server(consortium, visit)


def test_a_classical_client_is_refused_and_reported(consortium):
    async def visit(port: int, refusals: list[PeerError]) -> None:
        classical = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        classical.check_hostname, classical.verify_mode = False, ssl.CERT_NONE
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", port, ssl=classical)
        assert "offers no key exchange of policy hybrid-768" in refusals[0].problem

    with_echo_server(consortium, visit)


def test_what_would_weaken_it_is_refused(consortium):
    silo = context(consortium, "cleveland", "silo", "aggregator", [])
    buffers = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(CallerError, match="no host name"):
        silo.wrap_bio(*buffers)
    with pytest.raises(CallerError, match="does not wrap sockets"):
        silo.wrap_socket(None)
    with pytest.raises(CallerError, match="no role"):
        HybridContext(
            FixedCredentials(consortium.identity("cleveland", "silo"), consortium.trust),
            allow_roles=[],
            clock=consortium.clock,
            protocol=b"h",
            on_refused=print,
        )
