"""Sessions that are resumed: with a fresh key exchange, certificates judged again, and only as long as allowed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from listening import LIMIT, Clock, Listening, credentials, dialer, listening, visit

from quatrefoil.errors import ChannelRefused, ParametersRefused, PeerUnreachable
from quatrefoil.transport import HYBRID_768, HYBRID_1024, Dialer, FixedCredentials, Standing
from support import Consortium


def test_a_session_is_resumed_with_a_fresh_key_exchange_and_for_a_tenth_of_the_bytes(consortium):
    with listening(consortium) as server:
        again = dialer(consortium, server.port)
        sizes, exported, groups = [], [], []
        for number in range(5):
            with again.connect() as channel:
                assert channel.resumed == (number > 0)
                assert (channel.peer.name, channel.peer.role) == ("hub", "aggregator")
                channel.send(b"exporter")
                exported.append(channel.receive(32))
                assert exported[-1] == channel.exporter(b"EXPERIMENTAL test", b"context", 32)
                groups.append(channel.group)
                sizes.append(channel.bytes_sent + channel.bytes_received)
        assert len(set(exported)) == 5
        assert set(groups) == {"X25519MLKEM768"}
        assert max(sizes[1:]) * 5 < sizes[0]
        assert server.peers == [("cleveland", "silo")] * 5  # the server knows whom it has, resumed or not


def test_under_asyncio_as_well(consortium):
    async def run() -> list[bool]:
        found = []
        for _ in range(3):
            async with await again.open() as channel:
                await channel.send(bytes(300_000))
                assert await channel.receive(LIMIT) == bytes(300_000)
                found.append(channel.resumed)
        return found

    with listening(consortium) as server:
        again = dialer(consortium, server.port)
        assert asyncio.run(run()) == [False, True, True]
        assert visit(again)  # and between the two kinds


def test_each_session_is_offered_once(consortium):
    with listening(consortium) as server:
        again = dialer(consortium, server.port)
        assert not visit(again)
        context = again._contexts.current()
        offered = []
        for _ in range(3):
            (ticket,) = context.tickets
            offered.append(ticket)
            assert visit(again) and ticket not in context.tickets
        assert len({id(ticket.session) for ticket in offered}) == 3
        context.tickets.clear()
        assert not visit(again)


def test_threads_share_a_dialer(consortium):
    with listening(consortium) as server:
        again = dialer(consortium, server.port)
        visit(again)
        failed: list[BaseException] = []

        def work() -> None:
            try:
                for _ in range(5):
                    visit(again)
            except BaseException as error:
                failed.append(error)

        workers = [threading.Thread(target=work) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(30)
        assert not failed and server.refused_none()


def test_a_channel_that_broke_off_is_not_resumed(consortium):
    with listening(consortium) as server:
        again = dialer(consortium, server.port)
        channel = again.connect()
        channel.send(bytes(LIMIT))
        with pytest.raises(Exception, match="announced"):
            channel.receive(1)  # more than is taken: the channel ends without a goodbye
        del channel
        assert not visit(again)


def test_a_dialer_that_resumes_nothing_makes_full_handshakes_under_one_context(consortium):
    with listening(consortium) as server:
        full = dialer(consortium, server.port, resume=False)
        context = full._contexts.current()
        assert [visit(full) for _ in range(3)] == [False] * 3
        assert not context.tickets and full._contexts.current() is context


# ------------------------------------------------------------------------------------------------------- limits


def test_after_the_time_of_the_policy_certificates_are_shown_again(consortium):
    clock = Clock()
    policy = replace(HYBRID_768, resume_seconds=600)
    with listening(consortium, clock=clock, policy=policy) as server:
        again = dialer(consortium, server.port, clock=clock, policy=policy)
        assert [visit(again) for _ in range(2)] == [False, True]
        clock.forward(seconds=590)
        assert visit(again)
        clock.forward(seconds=20)  # resuming has not made the session younger
        assert [visit(again) for _ in range(2)] == [False, True]


@pytest.mark.parametrize("side", ["server", "client"])
def test_each_end_alone_holds_to_its_time(consortium, side):
    slow, fast = Clock(), Clock()
    short, long = replace(HYBRID_768, resume_seconds=60), replace(HYBRID_768, resume_seconds=86_400)
    at_server, at_client = (short, long) if side == "server" else (long, short)
    clocks = (fast, slow) if side == "server" else (slow, fast)
    with listening(consortium, clock=clocks[0], policy=at_server) as server:
        again = dialer(consortium, server.port, clock=clocks[1], policy=at_client)
        assert [visit(again) for _ in range(2)] == [False, True]
        fast.forward(seconds=61)
        assert not visit(again)


@pytest.mark.parametrize("side", ["server", "client"])
def test_a_policy_may_resume_nothing(consortium, side):
    never = replace(HYBRID_768, resume_seconds=0)
    with listening(consortium, policy=never if side == "server" else HYBRID_768) as server:
        again = dialer(consortium, server.port, policy=never if side == "client" else HYBRID_768)
        assert [visit(again) for _ in range(3)] == [False] * 3
        if side == "client":  # there is nothing to forget: the context stays
            assert again._contexts.current() is again._contexts.current()


def test_no_session_is_remembered_beyond_a_number_of_handshakes(consortium, monkeypatch):
    monkeypatch.setattr("quatrefoil.transport.tls_context.MOST_SESSIONS", 3)
    with listening(consortium) as server:
        again = dialer(consortium, server.port)
        assert sum(visit(again) for _ in range(9)) <= 6


@pytest.mark.parametrize("seconds", [-1, 604_801])
def test_a_time_to_resume_that_tls_does_not_know_is_refused(seconds):
    with pytest.raises(ParametersRefused, match="no time in which to resume"):
        replace(HYBRID_768, resume_seconds=seconds)


# ----------------------------------------------------------------------------------- what a session does not survive


def test_a_new_key_of_the_server_is_shown(consortium, tmp_path):
    of_server = credentials(consortium, "hub", "aggregator")
    with listening(consortium, credentials=of_server) as server:
        again = dialer(consortium, server.port)
        assert [visit(again) for _ in range(2)] == [False, True]
        renewed = consortium.authority.issue("hub", "aggregator", directory=tmp_path / "hub")
        of_server.standing = Standing(renewed, consortium.trust)
        with again.connect() as channel:
            assert not channel.resumed and channel.peer.fingerprint == renewed.fingerprint


def test_a_new_key_of_the_client_is_shown(consortium, tmp_path):
    of_client = credentials(consortium)
    seen: list[bytes] = []

    async def remember(channel: Any) -> None:
        seen.append(channel.peer.fingerprint)
        await channel.receive(1)

    with listening(consortium, handler=remember) as server:
        again = dialer(consortium, server.port, credentials=of_client)
        again.connect().close()
        renewed = consortium.authority.issue("cleveland", "silo", directory=tmp_path / "cleveland")
        of_client.standing = Standing(renewed, consortium.trust)
        again.connect().close()
    assert seen == [consortium.identity("cleveland", "silo").fingerprint, renewed.fingerprint]


def test_trust_that_is_withdrawn_ends_a_session_at_the_server(consortium, stranger):
    of_server = credentials(consortium, "hub", "aggregator")
    with listening(consortium, credentials=of_server) as server:
        again = dialer(consortium, server.port)
        assert [visit(again) for _ in range(2)] == [False, True]
        of_server.standing = Standing(of_server.standing.identity, stranger.trust)
        with pytest.raises(ChannelRefused, match="does not trust the root of our certificate"):
            again.connect()
        assert "signed by no trusted root" in server.refusal().problem


def test_trust_that_is_withdrawn_ends_a_session_at_the_client(consortium, stranger):
    of_client = credentials(consortium)
    with listening(consortium) as server:
        again = dialer(consortium, server.port, credentials=of_client)
        assert [visit(again) for _ in range(2)] == [False, True]
        of_client.standing = Standing(of_client.standing.identity, stranger.trust)
        with pytest.raises(ChannelRefused, match="signed by no trusted root"):
            again.connect()


@contextmanager
def remembered_long(tmp_path: Any, clock: Clock, **lifetimes: timedelta) -> Iterator[tuple[Dialer, Listening, Clock]]:
    """A dialer with a session of a policy whose time would outlive the certificate of "silo" or "aggregator"."""
    parties = Consortium(tmp_path / "ca", clock=clock)
    names = {"silo": "cleveland", "aggregator": "hub"}
    made = {
        role: parties.authority.issue(
            name, role, directory=tmp_path / role, **({"lifetime": lifetimes[role]} if role in lifetimes else {})
        )
        for role, name in names.items()
    }
    policy = replace(HYBRID_768, resume_seconds=86_400)
    with listening(parties, identity=made["aggregator"], clock=clock, policy=policy) as server:
        again = dialer(
            parties,
            server.port,
            clock=clock,
            policy=policy,
            credentials=FixedCredentials(made["silo"], parties.trust),
        )
        assert [visit(again) for _ in range(2)] == [False, True]
        yield again, server, clock


def test_a_client_whose_certificate_has_expired_meanwhile_is_refused_and_then_told(tmp_path):
    clock = Clock()
    with remembered_long(tmp_path, clock, silo=timedelta(hours=1)) as (again, server, _):
        clock.forward(hours=2)
        with pytest.raises(PeerUnreachable, match="no channel was made"):
            again.connect()  # resumed; the server judges the certificate and says nothing
        assert "'cleveland' expired at" in server.refusal().problem
        with pytest.raises(ChannelRefused, match="refused our certificate"):
            again.connect()
        assert "'cleveland' expired at" in server.refusal().problem


def test_a_server_whose_certificate_has_expired_meanwhile_is_refused(tmp_path):
    clock = Clock()
    with remembered_long(tmp_path, clock, aggregator=timedelta(hours=1)) as (again, _, _):
        clock.forward(hours=2)
        with pytest.raises(ChannelRefused, match="'hub' expired at"):
            again.connect()


def test_without_the_second_look_an_expired_client_would_be_let_in(tmp_path, monkeypatch):
    """The attack: OpenSSL resumes, and asks nobody about the certificate."""
    clock = Clock()
    with remembered_long(tmp_path, clock, silo=timedelta(hours=1)) as (again, _, _):
        clock.forward(hours=2)
        monkeypatch.setattr(
            "quatrefoil.transport.tls_session.PeerCheck.verify",
            lambda self, der, policy: self.trust.verify(
                der, at=clock() - timedelta(hours=2), refusal=ChannelRefused, server=self.host
            ),
        )
        assert visit(again)


def test_a_session_without_a_certificate_is_refused(consortium, monkeypatch):
    from OpenSSL import SSL

    with listening(consortium) as server:
        again = dialer(consortium, server.port)
        visit(again)
        monkeypatch.setattr(SSL.Connection, "get_peer_certificate", lambda *arguments, **named: None)
        with pytest.raises((ChannelRefused, PeerUnreachable)):
            again.connect()
        with pytest.raises(ChannelRefused, match="was not verified"):
            again.connect()


def test_a_session_of_another_role_is_refused(consortium):
    """The same server allows other roles to another handler: its sessions are its own."""
    with listening(consortium) as server:
        first = dialer(consortium, server.port)
        visit(first)
        second = dialer(consortium, server.port, expect_role="keeper")
        for ticket in first._contexts.current().tickets:
            ticket.session._context = second._contexts.current()._context
            second._contexts.current().tickets.append(ticket)
        with pytest.raises(ChannelRefused, match="certified as aggregator, and this channel is for keeper"):
            second.connect()


def test_a_client_cannot_offer_a_session_of_another_policy(consortium):
    with listening(consortium) as server:
        weak = dialer(consortium, server.port)
        assert [visit(weak) for _ in range(2)] == [False, True]
        strong = dialer(consortium, server.port, policy=HYBRID_1024)
        assert not visit(strong)
        strong._contexts.current().tickets.extend(weak._contexts.current().tickets)
        with pytest.raises(ValueError, match="same Context"):
            strong.connect()


def test_a_server_of_another_policy_does_not_know_the_session(consortium):
    of_server = FixedCredentials(consortium.identity("hub", "aggregator"), consortium.trust)
    with listening(consortium, credentials=of_server) as first:
        weak = dialer(consortium, first.port)
        visit(weak)
        tickets = list(weak._contexts.current().tickets)
    with listening(consortium, credentials=of_server, policy=HYBRID_1024) as second:
        strong = dialer(consortium, second.port, policy=HYBRID_1024)
        context = strong._contexts.current()
        for ticket in tickets:
            ticket.session._context = context._context  # as a client would that keeps to no rule
        context.tickets.extend(tickets)
        assert not visit(strong, second)
