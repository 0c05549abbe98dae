"""Peers that trickle, stall or break off, in the handshake and after it: none of them holds a channel for long."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Callable

import pytest
from listening import LIMIT, dial, dial_async, listening, send_raw

from quatrefoil.errors import ChannelRefused, MessageRefused, PeerUnreachable
from quatrefoil.transport import Channel, framing


def trickle(send: Callable[[bytes], object], data: bytes, stopped: Callable[[], bool], pause: float = 0.05) -> int:
    """Bytes that were sent, one at a time, before the other side had enough."""
    for count, byte in enumerate(data):
        if stopped():
            return count
        try:
            send(bytes([byte]))
        except OSError:
            return count
        time.sleep(pause)
    return len(data)


def client_hello(consortium) -> bytes:
    """The first flight of a real client."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        caught: list[bytes] = []

        def catch() -> None:
            connection, _ = listener.accept()
            with connection:
                caught.append(connection.recv(1 << 16))

        worker = threading.Thread(target=catch)
        worker.start()
        with pytest.raises(PeerUnreachable):
            dial(consortium, listener.getsockname()[1])
        worker.join(10)
    return caught[0]


def test_a_client_that_trickles_its_handshake_is_cut_off(consortium):
    hello = client_hello(consortium)
    with listening(consortium, timeout=0.5) as server, socket.create_connection(("127.0.0.1", server.port)) as stream:
        sent = trickle(stream.sendall, hello, lambda: not server.refused_none())
        assert 0 < sent < len(hello)
        refusal = server.refusal()
        assert isinstance(refusal, ChannelRefused)
        assert "did not complete a handshake within 0.5 s" in refusal.problem


def test_a_client_that_trickles_a_message_is_cut_off_and_disturbs_nobody(consortium):
    """Each byte is a whole record: the channel is never silent."""
    with listening(consortium, timeout=0.5) as server:
        slow = dial(consortium, server.port)
        send_raw(slow, struct.pack(">Q", 5000))
        sent = trickle(lambda byte: send_raw(slow, byte), bytes(5000), lambda: not server.refused_none())
        assert 1 < sent < 200
        refusal = server.refusal()
        assert isinstance(refusal, PeerUnreachable)
        assert "bytes of a message and no more in time" in refusal.problem
        with dial(consortium, server.port) as channel:
            channel.send(b"hello")
            assert channel.receive(5) == b"hello"
        slow._abandon()


def test_without_a_pace_it_would_hold_the_channel(consortium, monkeypatch):
    """The attack: a bound on silence alone."""
    monkeypatch.setattr(framing, "SLOWEST", 1)  # each byte buys a second
    with listening(consortium, timeout=0.5) as server:
        slow = dial(consortium, server.port)
        send_raw(slow, struct.pack(">Q", 5000))
        assert trickle(lambda byte: send_raw(slow, byte), bytes(40), lambda: not server.refused_none()) == 40
        slow._abandon()


def test_a_client_that_trickles_a_record_makes_no_message_begin(consortium):
    """Bytes arrive all the time, and OpenSSL has nothing to give."""
    with listening(consortium, timeout=0.5) as server:
        slow = dial(consortium, server.port)
        slow._session.encrypt(bytes(5000))
        record = b"".join(map(bytes, slow._session.drain()))
        sent = trickle(slow._stream.sendall, record, lambda: not server.refused_none())
        assert 1 < sent < 200
        assert "sent nothing for too long" in server.refusal().problem
        slow._abandon()


def test_a_server_that_trickles_is_left_by_both_kinds_of_client(consortium):
    async def slow(channel) -> None:
        channel._session.encrypt(struct.pack(">Q", 5000))
        for _ in range(200):
            await channel._flush(1)
            await asyncio.sleep(0.05)
            channel._session.encrypt(b"x")

    async def under_asyncio(port: int) -> None:
        async with await dial_async(consortium, port, timeout=0.5) as channel:
            await channel.receive(LIMIT)

    with listening(consortium, handler=slow) as server:
        with (
            pytest.raises(PeerUnreachable, match="bytes of a message and no more in time"),
            dial(consortium, server.port, timeout=0.5) as channel,
        ):
            channel.receive(LIMIT)
        with pytest.raises(PeerUnreachable, match="bytes of a message and no more in time"):
            asyncio.run(under_asyncio(server.port))


def test_a_client_that_reads_nothing_is_cut_off(consortium):
    async def flood(channel) -> None:
        while True:
            await channel.send(bytes(4096))  # of a long message, as much may be on its way as takes long

    with listening(consortium, timeout=0.5, handler=flood) as server:
        channel = dial(consortium, server.port)
        refusal = server.refusal()
        assert isinstance(refusal, PeerUnreachable) and "takes no data" in refusal.problem
        channel._abandon()


# ------------------------------------------------------------------------------------------------- broken off


def sealed(channel: Channel, data: bytes) -> bytes:
    channel._session.encrypt(data)
    return b"".join(map(bytes, channel._session.drain()))


@pytest.mark.parametrize("kept", [1, 4, 5, 21, 500])
def test_a_record_that_is_cut_short_is_no_message(consortium, kept):
    with listening(consortium) as server:
        channel = dial(consortium, server.port)
        channel._stream.sendall(sealed(channel, struct.pack(">Q", 1000) + bytes(1000))[:kept])
        channel._stream.shutdown(socket.SHUT_WR)
        refusal = server.refusal()
        assert isinstance(refusal, PeerUnreachable) and "closed the connection" in refusal.problem
        channel._abandon()
    assert server.refused_none()


def test_a_message_that_ends_between_two_records_is_refused_as_incomplete(consortium):
    """TLS alone takes a missing goodbye for the end of the data: the length of the message does not."""
    with listening(consortium) as server:
        channel = dial(consortium, server.port)
        channel._stream.sendall(sealed(channel, struct.pack(">Q", 1000) + bytes(400)))
        channel._stream.shutdown(socket.SHUT_WR)
        refusal = server.refusal()
        assert isinstance(refusal, MessageRefused) and "after 408 bytes of an incomplete message" in refusal.problem
        channel._abandon()


def test_so_is_one_that_ends_with_a_goodbye(consortium):
    with listening(consortium) as server:
        channel = dial(consortium, server.port)
        send_raw(channel, struct.pack(">Q", 1000) + bytes(400))
        channel.close()
        assert "after 408 bytes of an incomplete message" in server.refusal().problem
