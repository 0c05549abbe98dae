"""Channels that have served their time: made anew between two messages, and ended where nobody does."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from listening import LIMIT, Clock, credentials, dial, dialer, listening

from quatrefoil.errors import ChannelRefused, ParametersRefused, PeerUnreachable
from quatrefoil.transport import HYBRID_768, Channel, Dialer, FixedCredentials, Standing
from quatrefoil.transport.policies import POLICIES, RECORD
from support import Consortium

SHORT = replace(HYBRID_768, renew_bytes=20 * RECORD)


def ask(channel: Channel, message: bytes) -> bytes:
    channel.send(message)
    return channel.receive(LIMIT)


class Renewing:
    """What every client is to do: a new channel whenever the last one has served its time."""

    def __init__(self, of: Dialer) -> None:
        self._dialer = of
        self._channel = of.connect()
        self.channels = [self._channel.exporter(b"EXPERIMENTAL test", b"", 16)]
        self.resumed = 0

    def ask(self, message: bytes) -> bytes:
        if self._channel.due:
            fresh = self._dialer.connect()
            self._channel.close()
            self._channel = fresh
            self.channels.append(fresh.exporter(b"EXPERIMENTAL test", b"", 16))
            self.resumed += fresh.resumed
        return ask(self._channel, message)

    def close(self) -> None:
        self._channel.close()


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
def test_the_limits_are_within_those_of_the_cipher(policy):
    largest_message = 1 << 36  # bytes; none of this project comes near
    assert 2 * policy.renew_bytes + largest_message < RECORD * 2**24.5
    assert policy.resume_seconds <= 3600 and policy.renew_seconds <= 3600


@pytest.mark.parametrize("change", [{"renew_bytes": 0}, {"renew_seconds": 0}])
def test_a_channel_that_is_never_fresh_cannot_be_asked_for(change):
    with pytest.raises(ParametersRefused, match="never fresh"):
        replace(HYBRID_768, **change)


def test_a_channel_is_due_after_its_records_small_ones_counted_like_full_ones(consortium):
    with listening(consortium) as server, dial(consortium, server.port, policy=SHORT) as channel:
        for _ in range(18):
            assert not channel.due
            ask(channel, b"small")
        ask(channel, b"small")
        assert channel.due
        assert ask(channel, b"it still works") == b"it still works"


def test_a_channel_is_due_after_its_bytes(consortium):
    with listening(consortium) as server, dial(consortium, server.port, policy=SHORT) as channel:
        ask(channel, bytes(19 * RECORD))
        assert channel.due


@pytest.mark.parametrize("step", [3600, -3600])
def test_a_channel_is_due_after_its_time_whichever_way_the_clock_was_set(consortium, step):
    clock = Clock()
    with listening(consortium) as server, dial(consortium, server.port, clock=clock) as channel:
        clock.forward(seconds=step * 0.99)
        assert not channel.due
        clock.forward(seconds=step * 0.02)
        assert channel.due


def test_renewal_under_load_fails_no_request(consortium):
    failed: list[BaseException] = []
    made: list[Renewing] = []

    def work(number: int) -> None:
        try:
            client = Renewing(again)
            made.append(client)
            for step in range(60):
                message = bytes([number, step]) * (5000 * (step % 3) + 1)
                assert client.ask(message) == message
            client.close()
        except BaseException as error:
            failed.append(error)

    with listening(consortium, policy=SHORT) as server:
        again = dialer(consortium, server.port, policy=SHORT)
        workers = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(60)
        assert not failed
        assert server.refused_none()
    assert all(len(client.channels) >= 3 and client.resumed >= 1 for client in made)
    keys = [key for client in made for key in client.channels]
    assert len(set(keys)) == len(keys)  # every one has keys of its own


def test_a_client_that_never_renews_is_ended_between_two_messages(consortium):
    with listening(consortium, policy=SHORT) as server:
        channel = dial(consortium, server.port)  # under a policy that lets it go on
        answered = 0
        with pytest.raises(PeerUnreachable):
            for _ in range(100):
                assert ask(channel, b"more") == b"more"
                answered += 1
        assert 20 <= answered <= 41
        refusal = server.refusal()
        assert isinstance(refusal, ChannelRefused) and refusal.party == "cleveland"
        assert "kept one channel for twice what the policy allows" in refusal.problem
        with dial(consortium, server.port) as channel:
            assert ask(channel, b"again") == b"again"


def test_and_so_is_one_that_stays_for_too_long(consortium):
    clock = Clock()
    with listening(consortium, clock=clock) as server:
        channel = dial(consortium, server.port)
        clock.forward(hours=1.5)
        assert ask(channel, b"late") == b"late"
        clock.forward(hours=1)
        channel.send(b"too late")
        with pytest.raises(PeerUnreachable):
            for _ in range(2):  # the server was waiting already, and looks before it waits again
                channel.receive(LIMIT)
                channel.send(b"too late")
        assert "twice what the policy allows" in server.refusal().problem


def test_a_message_that_is_longer_than_the_limit_arrives_whole(consortium):
    async def run() -> None:
        async with await of.open() as channel:
            await channel.send(bytes(LIMIT))
            assert await channel.receive(LIMIT) == bytes(LIMIT)
            assert channel.due
            await channel.send(b"more")
            with pytest.raises(PeerUnreachable):
                await channel.receive(LIMIT)

    with listening(consortium, policy=SHORT) as server:
        of = dialer(consortium, server.port, policy=SHORT)
        asyncio.run(run())


# ---------------------------------------------------------------------------- certificates are judged at each renewal


def test_a_certificate_that_has_expired_is_refused_at_the_renewal_and_not_before(tmp_path):
    clock = Clock()
    parties = Consortium(tmp_path / "ca", clock=clock)
    silo = parties.authority.issue("cleveland", "silo", directory=tmp_path / "silo", lifetime=timedelta(minutes=30))
    with listening(parties, clock=clock) as server:
        of = dialer(parties, server.port, clock=clock, credentials=FixedCredentials(silo, parties.trust))
        with of.connect() as channel:
            clock.forward(minutes=59)
            assert not channel.due and ask(channel, b"still") == b"still"
            clock.forward(minutes=2)
            assert channel.due
            with pytest.raises((ChannelRefused, PeerUnreachable)):
                of.connect()
            assert "'cleveland' expired at" in server.refusal().problem


def test_roots_that_are_withdrawn_refuse_at_the_renewal(consortium, stranger):
    of_server = credentials(consortium, "hub", "aggregator")
    with listening(consortium, policy=SHORT, credentials=of_server) as server:
        client = Renewing(dialer(consortium, server.port, policy=SHORT))
        of_server.standing = Standing(of_server.standing.identity, stranger.trust)
        with pytest.raises(ChannelRefused, match="does not trust the root of our certificate"):
            for _ in range(30):
                client.ask(b"more")
        client.close()
