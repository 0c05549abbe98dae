"""Bytes between OpenSSL and a channel: what is read and written by as few calls as can be is still all of it."""

from __future__ import annotations

import socket

import pytest

from quatrefoil.errors import MessageRefused, PeerUnreachable
from quatrefoil.transport import Standing, framing
from quatrefoil.transport.channel import Channel
from quatrefoil.transport.policies import HYBRID_768
from quatrefoil.transport.profile import parse_host
from quatrefoil.transport.tls_context import TlsContext
from quatrefoil.transport.tls_session import PeerCheck, TlsSession


@pytest.fixture
def pair(consortium):
    """A client and a server, past their handshake, with nothing on the way."""
    ends = []
    for own, peer, host in (("cleveland", "aggregator", parse_host("localhost")), ("hub", "silo", None)):
        context = TlsContext(
            Standing(consortium.identity(own, "silo" if host else "aggregator"), consortium.trust), policy=HYBRID_768
        )
        check = PeerCheck(consortium.trust, consortium.clock, frozenset({peer}), host)
        ends.append(TlsSession(context, check, server_side=host is None, address="the other end"))
    client, server = ends
    done = [False, False]
    while not all(done):
        for number, (one, other) in enumerate(((client, server), (server, client))):
            done[number] = done[number] or one.handshake()
            other.feed(said(one))
    return client, server


def said(session: TlsSession) -> bytes:
    return b"".join(map(bytes, session.drain()))


def read(session: TlsSession, room: int = 1 << 16) -> bytes | None:
    space = bytearray(room)
    count = session.decrypt_into(memoryview(space))
    return None if count is None else bytes(space[:count])


def test_records_that_come_together_are_read_together_and_then_there_is_nothing(pair):
    client, server = pair
    for part in (b"one", b"two", bytes(20_000), b"four"):
        client.encrypt(part)
    server.feed(said(client))
    assert read(server) == b"onetwo" + bytes(20_000) + b"four"
    assert server.dry and read(server) is None


@pytest.mark.parametrize("room", [1, 2, 3, 1000, 16_384])
def test_what_there_is_no_room_for_stays(pair, room):
    client, server = pair
    message = bytes(range(256)) * 80
    client.encrypt(message)
    server.feed(said(client))
    found = b""
    while len(found) < len(message):
        assert not server.dry
        found += read(server, room)
    assert found == message and read(server, room) is None


@pytest.mark.parametrize("step", [1, 4, 5, 6, 21, 1000])
def test_a_record_in_pieces_is_read_when_its_last_byte_has_come(pair, step):
    client, server = pair
    client.encrypt(b"first")
    client.encrypt(b"second")
    wire, found = said(client), []
    for start in range(0, len(wire), step):
        server.feed(wire[start : start + step])
        if (more := read(server)) is not None:
            found.append(more)
        assert server.dry
    assert b"".join(found) == b"firstsecond"


def test_a_goodbye_behind_a_message_is_not_overlooked(pair):
    client, server = pair
    client.encrypt(b"the last")
    client.close()
    server.feed(said(client))
    assert read(server) == b"the last"
    assert [read(server) for _ in range(3)] == [b"", b"", b""]


def test_an_altered_record_behind_a_good_one_is_refused_at_the_next_call_and_ever_after(pair):
    client, server = pair
    client.encrypt(b"good")
    good = said(client)
    client.encrypt(b"altered")
    altered = bytearray(said(client))
    altered[-1] ^= 1
    server.feed(good + bytes(altered))
    assert read(server) == b"good"
    for _ in range(2):
        with pytest.raises(MessageRefused, match="not of this channel"):
            read(server)


def test_an_altered_record_is_refused(pair):
    client, server = pair
    client.encrypt(b"altered")
    altered = bytearray(said(client))
    altered[7] ^= 1
    server.feed(bytes(altered))
    with pytest.raises(MessageRefused, match="not of this channel"):
        read(server)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("size", [1, 16_384, 16_385, 50_000])
def test_each_kind_and_length_of_bytes_arrives(pair, kind, size):
    client, server = pair
    message = bytes(range(251)) * (size // 251 + 1)
    client.encrypt(kind(message[:size]))
    server.feed(said(client))
    assert read(server) == message[:size]


def test_bytes_land_where_they_are_received(pair):
    client, server = pair
    client.encrypt(b"landed")
    wire = said(client)
    room = server.landing(1000)
    room[: len(wire)] = wire
    server.landed(len(wire))
    assert read(server) == b"landed"


@pytest.mark.parametrize("kind", [bytes, bytearray])
@pytest.mark.parametrize("size", [0, framing.SHORT - 1, framing.SHORT, framing.SHORT + 1])
def test_a_frame_around_the_length_of_a_record_arrives_whole(pair, kind, size):
    client, server = pair
    here, there = socket.socketpair()
    with here, there:
        for stream in (here, there):
            stream.settimeout(5)
        ends = Channel(here, client, 5.0), Channel(there, server, 5.0)
        ends[0].send(kind(b"x" * size))
        assert ends[1].receive(1 << 20) == b"x" * size


def test_a_peer_that_takes_nothing_is_waited_for_no_longer_than_allowed(pair):
    client, _ = pair
    here, there = socket.socketpair()
    with here, there:
        channel = Channel(here, client, 0.2)
        with pytest.raises(PeerUnreachable, match="takes no data"):
            for _ in range(10_000):
                channel.send(bytes(10_000))
