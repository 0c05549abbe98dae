"""Our client and our server speak to each other over the post-quantum channel; others are refused."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509

from quatrefoil.errors import CallerError, ChannelRefused, HostError, PeerError, PeerUnreachable
from quatrefoil.transport import RotatingCredentials
from quatrefoil.transport.revocation import Revoked
from quatrefoil.web.client import WebClient
from quatrefoil.web.server import WebServer
from web_service import client_context, context, echo, respond, server_context, serving, whole


def with_both(consortium: Any, visit: Any, app: Any = echo, **named: Any) -> None:
    async def run() -> None:
        async with (
            serving(app, tls=server_context(consortium, **named)) as running,
            WebClient(tls=client_context(consortium)) as client,
        ):
            await visit(running, client)

    asyncio.run(run())


def test_who_waits_for_the_answer_to_a_large_content_is_told(consortium):
    """The application answers a large one only once its client was told: later would be never."""
    told = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = await whole(receive)
        if len(body) > 1000:
            await told.wait()
        await respond(send, body=body[:1])

    async def visit(running: Any, client: WebClient) -> None:
        answer = await client.request("POST", running.url, content=bytes(3_000_000), on_sent=told.set)
        assert answer.content == b"\0"
        await client.request("POST", running.url, content=b"small", on_sent=lambda: pytest.fail("it is sent at once"))

    with_both(consortium, visit, app)


@pytest.mark.parametrize("size", [0, 1, 100_000, 3_000_000])
def test_what_is_sent_comes_back(consortium, size):
    body = bytes(range(256)) * (size // 256) + bytes(size % 256)

    async def visit(running: Any, client: WebClient) -> None:
        for path in ("/one", "/two"):
            answer = await client.request("POST", running.url + path, content=body)
            assert (answer.status, answer.content) == (200, f"POST {path} ".encode() + body)
            assert answer.header(b"content-length") == str(len(answer.content)).encode()
        assert running.server.connections == 1
        assert running.faults == []

    with_both(consortium, visit)


def test_the_application_is_told_who_asks(consortium):
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["extensions"]["quatrefoil.peer"]["party"])
        await respond(send)

    async def visit(running: Any, client: WebClient) -> None:
        await client.request("GET", running.url + "/")
        assert [(party.name, party.role) for party in seen] == [("cleveland", "silo")]

    with_both(consortium, visit, app)


def test_both_directions_stream_at_once(consortium):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        more = True
        while more:
            event = await receive()
            more = event["more_body"]
            await send({"type": "http.response.body", "body": event["body"], "more_body": more})

    async def visit(running: Any, client: WebClient) -> None:
        turn: asyncio.Queue[bytes] = asyncio.Queue()

        async def content() -> Any:
            while piece := await turn.get():
                yield piece

        await turn.put(b"first")
        async with client.stream("POST", running.url + "/", content=content()) as incoming:
            pieces = incoming.pieces()
            assert await anext(pieces) == b"first"  # before the second was sent
            await turn.put(b"second")
            assert await anext(pieces) == b"second"
            await turn.put(b"")
            assert [piece async for piece in pieces] == []

    with_both(consortium, visit, app)


def test_several_servers_in_one_loop(consortium):
    async def run() -> None:
        tls = server_context(consortium)
        async with (
            serving(tls=tls) as one,
            serving(tls=tls) as other,
            WebClient(tls=client_context(consortium)) as client,
        ):
            assert one.url != other.url
            answers = await asyncio.gather(*[client.request("GET", at.url + "/") for at in (one, other) * 5])
            assert {answer.status for answer in answers} == {200}

    asyncio.run(run())


# ------------------------------------------------------------------------------------------------------- who is refused


def test_a_client_of_another_role_is_refused_and_reported(consortium):
    refusals: list[PeerError] = []

    async def run() -> None:
        async with (
            serving(tls=server_context(consortium, on_refused=refusals.append)) as running,
            WebClient(tls=context(consortium, "keeper", "keeper", allow=["workload"])) as client,
        ):
            with pytest.raises((PeerUnreachable, ChannelRefused)):
                await client.request("POST", running.url + "/", content=b"x")
            await running.until(lambda: running.server.connections == 0)
            assert running.faults == []

    asyncio.run(run())
    assert [one.problem for one in refusals] == ["'keeper' is certified as keeper, and this channel is for silo"]


def test_a_server_of_another_role_or_root_is_refused_before_anything_is_sent(consortium, stranger):
    asked = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope)

    async def run() -> None:
        async with (
            serving(app, tls=context(consortium, "hub", "aggregator", allow=["silo"])) as other_role,
            serving(app, tls=server_context(stranger)) as other_root,
            WebClient(tls=client_context(consortium)) as client,
        ):
            with pytest.raises(ChannelRefused, match="certified as aggregator"):
                await client.request("POST", other_role.url + "/", content=b"secret")
            with pytest.raises(ChannelRefused, match="signed by no trusted root"):
                await client.request("POST", other_root.url + "/", content=b"secret")

    asyncio.run(run())
    assert asked == []


def test_a_server_of_another_name_is_refused(consortium):
    async def visit(running: Any, client: WebClient) -> None:
        with pytest.raises(ChannelRefused, match=r"not for 127\.0\.0\.2"):
            await client.request("GET", running.url.replace("127.0.0.1", "127.0.0.2") + "/")

    async def run() -> None:
        async with (
            serving(tls=server_context(consortium), host="0.0.0.0") as running,
            WebClient(tls=client_context(consortium)) as client,
        ):
            await visit(running, client)

    asyncio.run(run())


# ----------------------------------------------------------------------------------------- credentials that change


def test_a_renewed_identity_is_shown_to_new_connections_and_old_ones_end_with_their_answer(consortium, tmp_path):
    first = consortium.identity("model", "workload")
    credentials = RotatingCredentials(first, consortium.trust, clock=consortium.clock)
    renewed = consortium.authority.issue("model", "workload", directory=tmp_path / "renewed")
    shown = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await whole(receive)
        await respond(send)

    async def visit(running: Any, client: WebClient) -> None:
        async def ask() -> Any:
            answer = await client.request("GET", running.url + "/")
            _, writer = await running.dial(client_context(consortium))
            shown.append(writer.get_extra_info("ssl_object").getpeercert(True))
            writer.close()
            return answer.header(b"connection")

        assert await ask() is None
        credentials.rotate(renewed)
        assert await ask() == b"close"  # on the connection of before
        assert await ask() is None
        assert shown == [first.certificate_der, renewed.certificate_der, renewed.certificate_der]

    with_both(consortium, visit, app, credentials=credentials)


def test_whoever_is_revoked_has_one_answer_on_an_open_connection_and_no_new_one(consortium):
    credentials = RotatingCredentials(
        consortium.identity("model", "workload"), consortium.trust, clock=consortium.clock
    )
    lost = consortium.identity("cleveland", "silo")
    entry = Revoked(
        lost.certificate.serial_number, datetime.now(UTC).replace(microsecond=0), x509.ReasonFlags.key_compromise
    )

    async def visit(running: Any, client: WebClient) -> None:
        assert (await client.request("GET", running.url + "/")).header(b"connection") is None
        credentials.believe(consortium.trust_with(consortium.list_of([entry], number=9)))
        assert (await client.request("GET", running.url + "/")).header(b"connection") == b"close"
        with pytest.raises((ChannelRefused, PeerUnreachable)):
            await client.request("GET", running.url + "/")

    with_both(consortium, visit, credentials=credentials)


def test_a_client_with_new_credentials_makes_new_connections(consortium, tmp_path):
    credentials = RotatingCredentials(
        consortium.identity("cleveland", "silo"), consortium.trust, clock=consortium.clock
    )
    renewed = consortium.authority.issue("cleveland", "silo", directory=tmp_path / "renewed")
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["extensions"]["quatrefoil.peer"]["party"].fingerprint)
        await respond(send)

    async def run() -> None:
        async with (
            serving(app, tls=server_context(consortium)) as running,
            WebClient(tls=client_context(consortium, credentials=credentials)) as client,
        ):
            for _ in range(2):
                await client.request("GET", running.url + "/")
            credentials.rotate(renewed)
            await client.request("GET", running.url + "/")
            await running.until(lambda: running.server.connections == 1)

    asyncio.run(run())
    assert seen[0] == seen[1] != seen[2] == renewed.fingerprint


# ------------------------------------------------------------------------------------------------- where it may listen


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_without_tls_only_loopback_is_listened_on(host):
    server = WebServer(echo, host=host, port=0, tls=None)
    with pytest.raises(CallerError, match="no loopback address, and there is no TLS"):
        asyncio.run(server.start())


@pytest.mark.parametrize(("host", "port"), [("no-such-host.invalid", 0), ("192.0.2.1", 0)])
def test_where_nobody_can_listen_is_said(consortium, host, port):
    server = WebServer(echo, host=host, port=port, tls=server_context(consortium))
    with pytest.raises(HostError, match="cannot be listened on"):
        asyncio.run(server.start())


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1:1/", "http://192.0.2.1/", "http://example.org/", "http://u:p@127.0.0.1/"]
)
def test_a_client_without_tls_asks_loopback_only(url):
    async def run() -> None:
        async with WebClient(tls=None) as client:
            await client.request("GET", url)

    with pytest.raises(CallerError):
        asyncio.run(run())


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "https:///x", "ftp://127.0.0.1/", "https://127.0.0.1:port/"])
def test_a_client_with_tls_never_asks_plain(consortium, url):
    async def run() -> None:
        async with WebClient(tls=client_context(consortium)) as client:
            await client.request("GET", url)

    with pytest.raises(CallerError):
        asyncio.run(run())
