"""Channels with rustls (AWS-LC) at the other end, as the client and as the server: handshake, messages, refusals."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import rtls
from rustls_end import RustlsEnd, context
from tests.transport.listening import dial, listening

from quatrefoil.errors import ChannelRefused, PeerError
from quatrefoil.transport import ChannelPolicy
from quatrefoil.transport.tls_context import PROTOCOL
from support import Consortium, days_from_now

ALPN = PROTOCOL.decode()
SIZES = [0, 1, 16_384, 700_000]


@contextmanager
def rustls_client(ours: Consortium, port: int, *, host: str = "localhost", **changes: Any) -> Iterator[RustlsEnd]:
    """Cleveland, in rustls, at our server; ``changes`` replace what it shows and believes."""
    party = {"name": "cleveland", "role": "silo", "alpn": ALPN, "consortium": ours} | changes
    with socket.create_connection(("127.0.0.1", port), 10) as stream:
        end = RustlsEnd(stream, context(**party, server=False), host=host)
        yield end
        end.close()


@contextmanager
def rustls_server(ours: Consortium, **changes: Any) -> Iterator[tuple[int, queue.Queue[Any]]]:
    """The aggregator, in rustls: it welcomes one client and echoes. The queue: its TLS object, or what it raised."""
    party = {"name": "hub", "role": "aggregator", "alpn": ALPN, "consortium": ours} | changes
    seen: queue.Queue[Any] = queue.Queue()

    def answer() -> None:
        stream, _ = listener.accept()
        with stream:
            stream.settimeout(10)
            try:
                end = RustlsEnd(stream, context(**party, server=True))
                seen.put(end.tls)
                end.send(b"")  # the welcome of docs/transport.md
                while True:
                    end.send(end.receive())
            except Exception as error:
                seen.put(error)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        worker = threading.Thread(target=answer)
        worker.start()
        yield listener.getsockname()[1], seen
        with contextlib.suppress(OSError):  # nobody came
            socket.create_connection(listener.getsockname(), 1).close()
        worker.join(10)
        assert not worker.is_alive()


# --------------------------------------------------------------------------------------------- rustls as the client


@pytest.mark.parametrize("size", SIZES)
def test_rustls_speaks_to_our_server(consortium, size):
    message = bytes(range(256)) * (size // 256) + bytes(size % 256)
    with listening(consortium) as server, rustls_client(consortium, server.port) as client:
        assert client.receive() == b""
        client.send(message)
        assert client.receive() == message
        assert client.tls.selected_alpn_protocol() == ALPN
        assert client.tls.version() == "TLSv1.3"
        assert client.tls.getpeercert(True) == consortium.identity("hub", "aggregator").certificate_der
        assert server.groups == ["X25519MLKEM768"] and server.peers == [("cleveland", "silo")]
    assert server.refused_none()


def refused_client(ours: Consortium, expected: str, arguments: dict[str, Any] | None = None, **changes: Any) -> str:
    """What rustls says when our server turns it away for what is expected; ``arguments`` are those of the server."""
    with listening(ours, **(arguments or {})) as server:
        with (
            pytest.raises((rtls.SSLError, OSError, EOFError)) as told,
            rustls_client(ours, server.port, **changes) as client,
        ):
            client.receive()
        refusal = server.refusal()
        assert isinstance(refusal, PeerError) and expected in refusal.problem
        assert server.peers == []  # the handler never ran
    return str(told.value)


def test_a_client_of_another_root_is_refused(consortium, stranger):
    stranger.identity("cleveland", "silo")
    expected = "signed by no trusted root (issuer: CN=other-root"
    told = refused_client(consortium, expected, consortium=stranger, trusts=consortium)
    assert "UnknownCA" in told


def test_a_client_of_another_role_is_refused(consortium):
    expected = "'keeper' is certified as keeper, and this channel is for silo"
    told = refused_client(consortium, expected, name="keeper", role="keeper")
    assert "InternalError" in told  # the alert that OpenSSL has for a check of ours


def test_a_client_that_asks_for_another_protocol_is_refused(consortium):
    refused_client(consortium, "speaks another protocol", alpn="h2")


@pytest.mark.parametrize(("days", "expected"), [(200, "expired at"), (-1, "is valid only from")])
def test_a_clients_certificate_is_judged_by_our_clock(consortium, days, expected):
    refused_client(consortium, expected, {"clock": days_from_now(days)})


@pytest.mark.parametrize("group", ["SecP384r1MLKEM1024", "SecP256r1MLKEM768"])
def test_a_policy_whose_groups_rustls_does_not_offer_is_not_lowered_for_it(consortium, group):
    expected = f"offers no key exchange of policy strict, none of {group}"
    refused_client(consortium, expected, {"policy": ChannelPolicy("strict", (group,))})


def test_rustls_refuses_our_server_under_another_name(consortium):
    refused_client(consortium, "refused our certificate, its name or its role", host="hub.example.org")


def test_rustls_refuses_our_server_under_another_root(consortium, stranger):
    refused_client(consortium, "does not trust the root of our certificate", trusts=stranger)


# --------------------------------------------------------------------------------------------- rustls as the server


@pytest.mark.parametrize("size", SIZES)
def test_we_speak_to_a_server_of_rustls(consortium, size):
    message = bytes(range(256)) * (size // 256) + bytes(size % 256)
    with rustls_server(consortium) as (port, seen):
        with dial(consortium, port) as channel:
            channel.send(message)
            assert channel.receive(size) == message
            assert channel.group == "X25519MLKEM768"
            assert (channel.peer.name, channel.peer.role) == ("hub", "aggregator")
        tls = seen.get(timeout=10)
        assert (tls.version(), tls.selected_alpn_protocol()) == ("TLSv1.3", ALPN)


def refused_server(ours: Consortium, expected: str, dialled: dict[str, Any] | None = None, **changes: Any):
    """What our client says of a rustls server that it turns away; ``dialled`` are arguments of the client."""
    with rustls_server(ours, **changes) as (port, seen):
        with pytest.raises(ChannelRefused) as refusal:
            dial(ours, port, **(dialled or {}))
        assert expected in refusal.value.problem
        return seen.get(timeout=10)


def test_a_server_of_another_root_is_refused_and_told(consortium, stranger):
    stranger.identity("hub", "aggregator")
    told = refused_server(consortium, "signed by no trusted root", consortium=stranger, trusts=consortium)
    assert "UnknownCA" in str(told)


@pytest.mark.parametrize("name", ["hub.example.org", "::1"])
def test_a_server_of_another_name_is_refused(consortium, name):
    refused_server(consortium, f"is for localhost, 127.0.0.1, not for {name}", {"server_name": name})


def test_a_server_of_another_role_is_refused(consortium):
    expected = "'hub' is certified as aggregator, and this channel is for keeper"
    refused_server(consortium, expected, {"expect_role": "keeper"})


def test_a_server_without_the_group_of_the_policy_is_refused(consortium):
    strict = ChannelPolicy("strict", ("SecP384r1MLKEM1024",))
    expected = "takes no key exchange or no certificate of policy strict: SecP384r1MLKEM1024"
    told = refused_server(consortium, expected, {"policy": strict})
    assert "NoKxGroupsInCommon" in str(told)


def test_a_server_of_another_protocol_is_refused(consortium):
    told = refused_server(consortium, "refused us", alpn="h2")
    assert "doesn't support any known protocol" in str(told)


def test_the_server_in_rtls_asks_nobody_for_a_certificate(consortium):
    """So nobody verifies our client's here; test_mutual_rustls.py has a server that does."""
    with rustls_server(consortium) as (port, seen), dial(consortium, port):
        assert not seen.get(timeout=10).getpeercert(True)
