"""Channels between parties who should be able to talk, and what happens when one misbehaves once they do."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from typing import Any

import pytest
from listening import LIMIT, dial, dial_async, listening, send_raw

from quatrefoil.errors import CallerError, ChannelRefused, HostError, MessageRefused, ParametersRefused, PeerUnreachable
from quatrefoil.transport import HYBRID_1024, ChannelPolicy, FixedCredentials, require_support, serve
from support import Consortium, clock_at


@pytest.mark.parametrize("size", [0, 1, 16_384, 300_000, LIMIT])
def test_a_blocking_client_and_an_async_server(consortium, size):
    message = bytes(range(256)) * (size // 256) + bytes(size % 256)
    with listening(consortium) as server, dial(consortium, server.port) as channel:
        assert (channel.peer.name, channel.peer.role) == ("hub", "aggregator")
        assert channel.group == "X25519MLKEM768"
        for _ in range(3):
            channel.send(message)
            assert channel.receive(LIMIT) == message
        assert channel.bytes_sent > 3 * size and channel.bytes_received > 3 * size
    assert server.peers == [("cleveland", "silo")] and server.groups == ["X25519MLKEM768"]
    assert server.refused_none()  # a goodbye is no refusal


@pytest.mark.parametrize("size", [0, 300_000])
def test_an_async_client_and_an_async_server(consortium, size):
    async def run() -> None:
        async with await dial_async(consortium, server.port) as channel:
            assert (channel.peer.name, channel.group) == ("hub", "X25519MLKEM768")
            await channel.send(bytearray(size))
            assert await channel.receive(LIMIT) == bytes(size)

    with listening(consortium) as server:
        asyncio.run(run())
    assert server.refused_none()


def test_many_tasks_may_send_on_one_channel(consortium):
    async def run() -> None:
        async with await dial_async(consortium, server.port) as channel:
            messages = [bytes([number]) * 50_000 for number in range(8)]
            await asyncio.gather(*(channel.send(message) for message in messages))
            assert sorted([await channel.receive(LIMIT) for _ in messages]) == messages

    with listening(consortium) as server:
        asyncio.run(run())


def test_both_ends_export_the_same_key_material(consortium):
    with (
        listening(consortium) as server,
        dial(consortium, server.port) as first,
        dial(consortium, server.port) as second,
    ):
        first.send(b"exporter")
        material = first.receive(32)
        assert material == first.exporter(b"EXPERIMENTAL test", b"context", 32)
        assert material != first.exporter(b"EXPERIMENTAL test", b"another", 32)
        assert material != second.exporter(b"EXPERIMENTAL test", b"context", 32)


@pytest.mark.parametrize("group", ["X25519MLKEM768", "SecP384r1MLKEM1024", "SecP256r1MLKEM768"])
def test_the_policy_decides_the_group(consortium, group):
    with (
        listening(
            consortium, policy=ChannelPolicy("all", ("X25519MLKEM768", "SecP384r1MLKEM1024", "SecP256r1MLKEM768"))
        ) as server,
        dial(consortium, server.port, policy=ChannelPolicy("one", (group,))) as channel,
    ):
        assert channel.group == group
    assert server.groups == [group]


def test_two_policies_without_a_common_group_are_refused(consortium):
    with listening(consortium, policy=HYBRID_1024) as server:
        with pytest.raises(ChannelRefused):
            dial(consortium, server.port, policy=ChannelPolicy("weak", ("X25519MLKEM768",)))
        assert "none of SecP384r1MLKEM1024" in server.refusal().problem


@pytest.mark.parametrize("groups", [(), ("X25519",), ("X25519MLKEM768", "P-256"), ("MLKEM768",)])
def test_a_policy_cannot_name_a_group_that_is_no_hybrid(groups):
    with pytest.raises(ParametersRefused):
        ChannelPolicy("odd", groups)


def test_a_host_without_the_private_binding_is_told_so(monkeypatch, consortium):
    from OpenSSL import SSL

    assert "OpenSSL" in require_support()

    class Bare:
        SSL_CTX_set1_curves_list = SSL._lib.SSL_CTX_set1_curves_list

    monkeypatch.setattr("quatrefoil.transport.tls_binding._library", lambda: Bare)
    with pytest.raises(HostError, match="SSL_CTX_set1_sigalgs_list"):
        require_support()
    with pytest.raises(HostError, match="SSL_CTX_set1_sigalgs_list"):
        dial(consortium, 1)


def test_an_openssl_without_the_groups_is_told_so(monkeypatch):
    monkeypatch.setattr("quatrefoil.transport.tls_context.GROUPS", ("X25519MLKEM9999",))
    with pytest.raises(HostError, match="X25519MLKEM9999"):
        require_support()


def test_only_the_injected_clock_counts(tmp_path):
    """A consortium of 2020: OpenSSL alone would call every certificate expired."""
    from datetime import UTC, datetime

    past = Consortium(tmp_path / "ca", clock=clock_at(datetime(2020, 5, 1, tzinfo=UTC)))
    with listening(past) as server, dial(past, server.port) as channel:
        channel.send(b"old")
        assert channel.receive(3) == b"old"


# --------------------------------------------------------------------------------------------- misbehaviour


def test_nobody_there_is_unreachable(consortium):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(PeerUnreachable, match="cannot be reached"):
        dial(consortium, port)
    with pytest.raises(PeerUnreachable, match="cannot be reached"):
        asyncio.run(dial_async(consortium, port))


def test_a_silent_server_times_out(consortium):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with pytest.raises(PeerUnreachable, match="sent nothing for too long"):
            dial(consortium, silent.getsockname()[1], timeout=0.2)
        with pytest.raises(PeerUnreachable, match=r"did not complete a handshake within 0\.2 s"):
            asyncio.run(dial_async(consortium, silent.getsockname()[1], timeout=0.2))


def test_a_silent_client_times_out_and_disturbs_nobody(consortium):
    with listening(consortium, timeout=0.5) as server, socket.create_connection(("127.0.0.1", server.port)):
        with dial(consortium, server.port) as channel:
            channel.send(b"hello")
            assert channel.receive(5) == b"hello"
        assert "did not complete a handshake within 0.5 s" in server.refusal().problem


def test_a_client_that_stalls_inside_a_message_times_out(consortium):
    with listening(consortium, timeout=0.5) as server:
        channel = dial(consortium, server.port)
        send_raw(channel, struct.pack(">Q", 100) + b"half")
        assert "sent 12 bytes of a message and no more in time" in server.refusal().problem
        channel.close()


def test_a_silent_peer_times_out_a_blocking_receive(consortium):
    with listening(consortium) as server, dial(consortium, server.port) as channel:
        with pytest.raises(PeerUnreachable, match="sent nothing for too long"):
            channel.receive(10, wait=0.05)
        with pytest.raises(PeerUnreachable, match="is closed"):
            channel.send(b"more")


def test_a_silent_peer_times_out_an_async_receive(consortium):
    async def run() -> None:
        async with await dial_async(consortium, server.port) as channel:
            with pytest.raises(PeerUnreachable, match="sent nothing for too long"):
                await channel.receive(10, wait=0.05)
            with pytest.raises(PeerUnreachable, match="is closed"):
                await channel.send(b"more")

    with listening(consortium) as server:
        asyncio.run(run())


def test_an_oversized_message_is_refused_by_its_announcement(consortium):
    with listening(consortium) as server:
        channel = dial(consortium, server.port)
        send_raw(channel, struct.pack(">Q", 1 << 63))  # nothing of it is ever sent
        refusal = server.refusal()
        assert isinstance(refusal, MessageRefused)
        assert f"{1 << 63} bytes is announced where at most {LIMIT}" in refusal.problem
        channel.close()


def test_an_oversized_answer_is_refused(consortium):
    with listening(consortium) as server:
        with dial(consortium, server.port) as channel:
            channel.send(bytes(11))
            with pytest.raises(MessageRefused, match="11 bytes is announced where at most 10"):
                channel.receive(10)

        async def run() -> None:
            async with await dial_async(consortium, server.port) as channel:
                await channel.send(bytes(11))
                with pytest.raises(MessageRefused, match="11 bytes is announced where at most 10"):
                    await channel.receive(10)

        asyncio.run(run())


@pytest.mark.parametrize("properly", [True, False])
def test_a_message_that_breaks_off_is_refused(consortium, properly):
    with listening(consortium) as server:
        channel = dial(consortium, server.port)
        send_raw(channel, struct.pack(">Q", 100) + b"half")
        if properly:
            channel.close()
        else:
            channel._stream.shutdown(socket.SHUT_WR)
        refusal = server.refusal()
        assert isinstance(refusal, MessageRefused) and "incomplete message" in refusal.problem
        channel.close()


def test_a_connection_cut_between_messages_is_reported(consortium):
    with listening(consortium) as server:
        channel = dial(consortium, server.port)
        channel._stream.shutdown(socket.SHUT_WR)  # no goodbye: the network, or somebody on it
        assert isinstance(server.refusal(), PeerUnreachable)
        channel.close()


def test_bytes_altered_on_the_way_are_refused(consortium):
    with listening(consortium) as server:
        channel = dial(consortium, server.port)
        channel._session.encrypt(struct.pack(">Q", 4) + b"four")
        wire = bytearray(b"".join(map(bytes, channel._session.drain())))
        wire[-1] ^= 1
        channel._stream.sendall(wire)
        refusal = server.refusal()
        assert isinstance(refusal, MessageRefused) and "not of this channel" in refusal.problem
        channel.close()


def test_what_a_handler_refuses_is_reported_and_the_server_goes_on(consortium):
    with listening(consortium) as server:
        with dial(consortium, server.port) as channel:
            channel.send(b"bad")
            with pytest.raises(PeerUnreachable):
                channel.receive(10)
        assert server.refusal().problem == "that was bad"
        with dial(consortium, server.port) as channel:
            channel.send(b"good")
            assert channel.receive(4) == b"good"


def test_one_connection_over_the_limit_is_refused_and_may_try_again(consortium):
    with listening(consortium, limit=1) as server, dial(consortium, server.port):
        with pytest.raises(PeerUnreachable):
            dial(consortium, server.port)
        assert "one connection more than the limit of 1" in server.refusal().problem


def test_a_server_that_stops_in_the_handshake_is_unreachable_and_refuses_nobody(consortium):
    """What a client sees of a server that is being restarted: it may try again."""
    with socket.create_server(("127.0.0.1", 0)) as dying:

        def hang_up() -> None:
            for _ in range(2):
                connection, _address = dying.accept()
                with connection:
                    connection.recv(1)

        worker = threading.Thread(target=hang_up)
        worker.start()
        for connect_to in (dial, lambda *given: asyncio.run(dial_async(*given))):
            with pytest.raises(PeerUnreachable):
                connect_to(consortium, dying.getsockname()[1])
        worker.join(10)


def test_closing_a_channel_whose_peer_reads_nothing_ends(consortium):
    """Bytes that wait for such a peer kept the closing side waiting for ever."""

    async def fill_and_close(port: int) -> None:
        channel = await dial_async(consortium, port)
        while channel._wire.unsent < 4 << 20:  # far more than the server buffers
            channel._session.encrypt(bytes(1 << 14))
            channel._wire._transport.write(b"".join(map(bytes, channel._session.drain())))
            await asyncio.sleep(0)
        await asyncio.wait_for(channel.close(), 8)

    reading = threading.Event()

    async def read_nothing(channel):
        while not reading.is_set():
            await asyncio.sleep(0.02)

    with listening(consortium, handler=read_nothing) as server:
        try:
            asyncio.run(fill_and_close(server.port))
        finally:
            reading.set()


def test_closing_that_is_cancelled_leaves_nothing_open(consortium):
    """The peer has not said goodbye yet, and whoever closes is told to stop waiting."""

    async def deaf(channel: Any) -> None:
        await asyncio.sleep(30)

    async def run(port: int) -> bool:
        channel = await dial_async(consortium, port)
        closing = asyncio.create_task(channel.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        return channel._wire._transport.is_closing()

    with listening(consortium, handler=deaf) as server:
        assert asyncio.run(run(server.port))


def test_closing_a_server_ends_its_channels(consortium):
    with listening(consortium) as server:
        channel = dial(consortium, server.port)
    with pytest.raises(PeerUnreachable):
        channel.receive(10)


def test_a_server_is_not_built_without_roles_or_on_a_taken_port(consortium):
    async def start(**changes: Any) -> None:
        await serve(
            "127.0.0.1",
            changes.pop("port", 0),
            credentials=FixedCredentials(consortium.identity("hub", "aggregator"), consortium.trust),
            handler=lambda channel: channel.close(),
            on_refused=lambda address, error: None,
            timeout=1,
            clock=consortium.clock,
            **changes,
        )

    with pytest.raises(CallerError, match="no role"):
        asyncio.run(start(allow_roles=[]))
    with pytest.raises(CallerError, match="'king' is not a role"):
        asyncio.run(start(allow_roles=["king"]))
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(HostError, match="cannot be listened on"):
        asyncio.run(start(allow_roles=["silo"], port=taken.getsockname()[1]))
