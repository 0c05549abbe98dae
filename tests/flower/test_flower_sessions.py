"""Sessions over a carrier that is believed in nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quatrefoil.errors import DateRefused, MessageRefused
from quatrefoil.flower.session import (
    CLOCK_SKEW,
    SECRET_BYTES,
    VALID,
    Hello,
    Session,
    answer_hello,
    forget_sessions,
    greet,
    greeted,
    kept_session,
)
from quatrefoil.state import MemoryState
from support import Consortium

RUN, NODE = 2**64 - 1, 7


def sides(secret: bytes = bytes(SECRET_BYTES), hello: bytes = bytes(32)) -> tuple[Session, Session]:
    return (
        Session(secret, hello, aggregator=True, random=os.urandom),
        Session(secret, hello, aggregator=False, random=os.urandom),
    )


# ------------------------------------------------------------------------------------------------------------ messages


@given(st.binary(max_size=300), st.integers(0, 2**64 - 1), st.sampled_from(["train", "evaluate"]))
def test_each_side_opens_what_the_other_sealed(content: bytes, number: int, kind: str) -> None:
    aggregator, silo = sides()
    assert silo.open(aggregator.seal(content, number=number, kind=kind), number=number, kind=kind) == content
    assert aggregator.open(silo.seal(content, number=number, kind=kind), number=number, kind=kind) == content


def test_the_same_is_sealed_to_other_bytes_each_time() -> None:
    aggregator, _ = sides()
    assert aggregator.seal(b"x", number=1, kind="train") != aggregator.seal(b"x", number=1, kind="train")


@given(st.binary(max_size=100), st.integers(0), st.integers(1, 255))
def test_no_byte_can_be_altered(content: bytes, position: int, by: int) -> None:
    aggregator, silo = sides()
    sealed = bytearray(aggregator.seal(content, number=1, kind="train"))
    sealed[position % len(sealed)] ^= by
    with pytest.raises(MessageRefused, match="altered on its way"):
        silo.open(bytes(sealed), number=1, kind="train")


@pytest.mark.parametrize("length", [0, 31, 32, 47])
def test_what_is_too_short_to_be_sealed_is_refused(length: int) -> None:
    with pytest.raises(MessageRefused):
        sides()[1].open(bytes(length), number=1, kind="train")


@pytest.mark.parametrize(
    "open_it",
    [
        lambda sealed, aggregator, silo: silo.open(sealed, number=2, kind="train"),
        lambda sealed, aggregator, silo: silo.open(sealed, number=1, kind="evaluate"),
        lambda sealed, aggregator, silo: aggregator.open(sealed, number=1, kind="train"),
        lambda sealed, aggregator, silo: sides(hello=b"\x01" * 32)[1].open(sealed, number=1, kind="train"),
        lambda sealed, aggregator, silo: sides(secret=b"\x01" * 32)[1].open(sealed, number=1, kind="train"),
    ],
    ids=["another number", "another kind", "reflected", "another hello", "another secret"],
)
def test_a_message_is_taken_for_no_other(open_it: Callable[..., bytes]) -> None:
    aggregator, silo = sides()
    with pytest.raises(MessageRefused, match="altered on its way, or is another one"):
        open_it(aggregator.seal(b"content", number=1, kind="train"), aggregator, silo)


def test_a_wiped_session_opens_nothing_and_shows_nothing() -> None:
    aggregator, silo = sides(secret=b"\xab" * 32)
    sealed = aggregator.seal(b"content", number=1, kind="train")
    silo.wipe()
    assert "ab" * 8 not in repr(silo) and silo._secret == bytes(32)
    with pytest.raises(MessageRefused):
        silo.open(sealed, number=1, kind="train")


# --------------------------------------------------------------------------------------------------------------- hello


class Meeting:
    """An aggregator and a silo who are to say hello."""

    def __init__(self, consortium: Consortium, speaker: tuple[str, str] = ("hub", "aggregator")) -> None:
        self.hub = consortium.transport(*speaker)
        self.silo = consortium.transport("bari", "silo")
        self.key = self.hub.new_recipient()
        self.state = MemoryState()
        self.now = datetime(2030, 1, 1, tzinfo=UTC)

    def answer(self, signed: bytes, **changes: Any) -> bytes:
        given = {"security": self.silo, "state": self.state, "aggregator": "hub", "run": RUN, "node": NODE}
        return answer_hello(signed, **(given | {"random": os.urandom, "at": self.now} | changes))

    def hello(self, run: int = RUN, node: int = NODE) -> tuple[bytes, bytes]:
        self.now += timedelta(seconds=1)
        return greet(self.hub, self.key, run, node, os.urandom(16), at=self.now)


def test_both_sides_have_one_session_and_the_silo_keeps_it_over_restarts(consortium: Consortium) -> None:
    meeting = Meeting(consortium)
    signed, digest = meeting.hello()
    name, session = greeted(meeting.key, digest, meeting.answer(signed), os.urandom)
    kept = kept_session(meeting.state.copy(), digest, os.urandom)
    assert name == "bari"
    assert kept.open(session.seal(b"content", number=1, kind="train"), number=1, kind="train") == b"content"


def test_a_hello_that_comes_twice_gives_the_same_session(consortium: Consortium) -> None:
    meeting = Meeting(consortium)
    signed, digest = meeting.hello()
    first, again = (greeted(meeting.key, digest, meeting.answer(signed), os.urandom)[1] for _ in range(2))
    assert first._secret == again._secret


def test_a_new_hello_ends_the_session_before(consortium: Consortium) -> None:
    meeting = Meeting(consortium)
    (one, before), (two, after) = meeting.hello(), meeting.hello()
    meeting.answer(one)
    meeting.answer(two)
    kept_session(meeting.state, after, os.urandom)
    with pytest.raises(MessageRefused, match="no such session"):
        kept_session(meeting.state, before, os.urandom)


def test_an_old_hello_buys_no_session_from_who_has_answered_a_newer_one(consortium: Consortium) -> None:
    """Who has stolen the key of a run, and recorded its hello, would have the next session's secret sealed to it."""
    meeting = Meeting(consortium)
    (old, _), (new, digest) = meeting.hello(), meeting.hello()
    meeting.answer(old)
    meeting.answer(new)
    with pytest.raises(DateRefused, match=r"made 1\.000000 s before one that this silo has answered"):
        meeting.answer(old)
    kept_session(meeting.state, digest, os.urandom)
    forget_sessions(meeting.state)
    for one in (old, new):
        with pytest.raises(DateRefused, match="before one that this silo has answered"):
            meeting.answer(one)
    meeting.answer(meeting.hello()[0])


@pytest.mark.parametrize("late", [VALID + CLOCK_SKEW + 1, -CLOCK_SKEW - 1, 30 * 86400])
def test_a_hello_that_is_not_valid_now_is_not_answered(consortium: Consortium, late: int) -> None:
    meeting = Meeting(consortium)
    signed, _ = meeting.hello()
    with pytest.raises(DateRefused, match="Set the clocks of both sides"):
        meeting.answer(signed, at=meeting.now + timedelta(seconds=late))
    assert meeting.state.names("") == []


@pytest.mark.parametrize("late", [VALID + CLOCK_SKEW, -CLOCK_SKEW, 0])
def test_clocks_may_differ_a_little(consortium: Consortium, late: int) -> None:
    meeting = Meeting(consortium)
    meeting.answer(meeting.hello()[0], at=meeting.now + timedelta(seconds=late))


def test_a_hello_that_is_valid_for_ever_is_not_answered(consortium: Consortium) -> None:
    meeting = Meeting(consortium)
    made = int(meeting.now.timestamp() * 1e6)
    for until in (2**64 - 1, made + VALID * 10**6 + 1):
        long = meeting.hub.sign(Hello(RUN, NODE, meeting.key.public, bytes(16), made, until).encode())
        with pytest.raises(DateRefused):
            meeting.answer(long)


def test_nothing_is_left_of_sessions_that_are_forgotten(consortium: Consortium) -> None:
    meeting = Meeting(consortium)
    signed, digest = meeting.hello()
    meeting.answer(signed)
    forget_sessions(meeting.state)
    assert meeting.state.names("") == ["flower/newest-hello"]
    with pytest.raises(MessageRefused, match="no such session"):
        kept_session(meeting.state, digest, os.urandom)


@pytest.mark.parametrize(("run", "node"), [(RUN - 1, NODE), (RUN, NODE + 1)])
def test_a_hello_for_another_run_or_node_is_not_answered(consortium: Consortium, run: int, node: int) -> None:
    meeting = Meeting(consortium)
    with pytest.raises(MessageRefused, match=f"is for node {node} of run {run}"):
        meeting.answer(meeting.hello(run, node)[0])
    assert meeting.state.names("") == []


def test_only_the_aggregator_that_the_silo_names_is_answered(consortium: Consortium) -> None:
    meeting = Meeting(consortium)
    with pytest.raises(MessageRefused, match="aggregator hub says hello, this silo answers aggregator other only"):
        meeting.answer(meeting.hello()[0], aggregator="other")


def test_a_silo_that_says_hello_as_the_aggregator_is_not_answered(consortium: Consortium) -> None:
    meeting = Meeting(consortium, speaker=("hub", "silo"))
    with pytest.raises(MessageRefused, match="silo hub says hello"):
        meeting.answer(meeting.hello()[0])


def test_a_hello_of_another_consortium_is_not_answered(consortium: Consortium, stranger: Consortium) -> None:
    meeting = Meeting(consortium)
    meeting.hub = stranger.transport("hub", "aggregator")
    with pytest.raises(MessageRefused):
        meeting.answer(meeting.hello()[0])


def test_a_key_that_somebody_on_the_way_put_into_a_hello_is_not_sealed_to(consortium: Consortium) -> None:
    meeting = Meeting(consortium)
    thief = consortium.transport("thief", "silo")
    forged = thief.sign(Hello(RUN, NODE, thief.new_recipient().public, bytes(16), 0, 1).encode())
    with pytest.raises(MessageRefused, match="silo thief says hello"):
        meeting.answer(forged)


def test_an_answer_to_another_hello_is_refused(consortium: Consortium) -> None:
    meeting = Meeting(consortium)
    answer, other = meeting.answer(meeting.hello()[0]), meeting.hello()[1]
    with pytest.raises(MessageRefused, match="another context"):
        greeted(meeting.key, other, answer, os.urandom)


@pytest.mark.parametrize(
    ("role", "secret"), [("keeper", bytes(SECRET_BYTES)), ("silo", b""), ("silo", bytes(SECRET_BYTES + 1))]
)
def test_an_answer_that_is_no_silo_s_secret_is_refused(consortium: Consortium, role: str, secret: bytes) -> None:
    meeting = Meeting(consortium)
    _, digest = meeting.hello()
    answer = consortium.transport("who", role).seal(meeting.key.public, secret, context=digest)
    with pytest.raises(MessageRefused, match="answers a hello as no silo does"):
        greeted(meeting.key, digest, answer, os.urandom)
