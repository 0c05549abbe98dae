"""A conversation over many short-lived processes: every question is answered once, in whatever pieces."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quatrefoil.errors import MessageRefused
from quatrefoil.federation import parts
from quatrefoil.flower.replay import (
    MOST_ANSWERS,
    Answered,
    CarriedChannel,
    Unanswered,
    decode_answers,
    encode_answers,
)


@dataclass(frozen=True)
class Hub:
    name: str = "hub"


LIMIT = 1 << 20


def request(method: str, body: bytes = b"") -> bytes:
    return parts.join([method.encode(), body])


def asked(channel: CarriedChannel, method: str, body: bytes = b"") -> bytes:
    channel.send(request(method, body))
    return channel.receive(LIMIT)


def answered(*methods: str) -> list[Answered]:
    return [Answered.to(request(method), method.upper().encode()) for method in methods]


def test_a_question_without_an_answer_ends_the_run_with_what_was_asked() -> None:
    with pytest.raises(Unanswered) as ended:
        asked(CarriedChannel([], Hub()), "enrol", b"signed")
    assert ended.value.request == request("enrol", b"signed")


def test_nothing_takes_an_unanswered_question_for_a_failure() -> None:
    assert not issubclass(Unanswered, Exception)


def test_answers_are_given_once_each_and_in_the_order_of_the_questions() -> None:
    channel = CarriedChannel(answered("witness", "invitation", "enrol"), Hub())
    assert asked(channel, "invitation") == b"INVITATION"
    assert asked(channel, "witness") == b"WITNESS"
    with pytest.raises(Unanswered):
        asked(channel, "invitation")


def test_signed_anew_it_is_the_same_question() -> None:
    channel = CarriedChannel([Answered.to(request("enrol", b"signed once"), b"taken")], Hub())
    assert asked(channel, "enrol", b"signed again") == b"taken"


@pytest.mark.parametrize("method", ["next", "checkpoint"])
def test_where_the_body_says_how_far_the_silo_is_an_answer_to_another_is_not_taken(method: str) -> None:
    channel = CarriedChannel([Answered.to(request(method, b"1 round done"), b"the second offer")], Hub())
    with pytest.raises(Unanswered):
        asked(channel, method, b"0 rounds done")


def test_answers_are_needed_until_the_silo_asks_what_is_next_after_it() -> None:
    channel = CarriedChannel(answered("next", "contribute"), Hub())
    asked(channel, "next")
    asked(channel, "contribute")
    assert channel.done == []
    with pytest.raises(Unanswered):
        asked(channel, "next")
    assert channel.done == [0, 1]


def test_what_was_not_asked_for_yet_is_kept() -> None:
    channel = CarriedChannel(answered("next", "contribute", "confirm"), Hub())
    asked(channel, "next")
    asked(channel, "contribute")
    with pytest.raises(Unanswered):
        asked(channel, "next")
    assert channel.done == [0, 1]


def test_the_first_question_for_what_is_next_forgets_nothing_but_what_began_the_job() -> None:
    channel = CarriedChannel(answered("witness"), Hub())
    asked(channel, "witness")
    with pytest.raises(Unanswered):
        asked(channel, "next")
    assert channel.done == []
    channel = CarriedChannel(answered("consent", "start"), Hub())
    asked(channel, "consent")
    asked(channel, "start")
    with pytest.raises(Unanswered):
        asked(channel, "next")
    assert channel.done == [0, 1]


def test_what_was_answered_before_and_is_not_asked_for_any_more_is_forgotten() -> None:
    """A member whose seat was started again has lost the key that it gave, and says that it is silent instead: that
    the key was taken must not stand for the next one."""
    channel = CarriedChannel(answered("next", "key", "silent", "contribute"), Hub())
    asked(channel, "next")
    asked(channel, "silent")
    with pytest.raises(Unanswered):
        asked(channel, "next")
    assert channel.done == [0, 1, 2]
    with pytest.raises(Unanswered):
        asked(channel, "key")


def test_an_answer_beyond_the_limit_is_refused() -> None:
    channel = CarriedChannel([Answered.to(request("start"), bytes(100))], Hub())
    channel.send(request("start"))
    with pytest.raises(MessageRefused, match="100 bytes"):
        channel.receive(99)


@given(st.lists(st.tuples(st.sampled_from(["next", "start", "enrol"]), st.binary(max_size=20), st.binary(max_size=20))))
def test_answers_travel_as_they_are(questions: list[tuple[str, bytes, bytes]]) -> None:
    answers = [Answered.to(request(method, body), response) for method, body, response in questions]
    assert decode_answers(encode_answers(answers)) == answers


def test_more_answers_than_a_message_may_bring_are_refused() -> None:
    with pytest.raises(MessageRefused, match="more than"):
        decode_answers(encode_answers(answered(*["next"] * (MOST_ANSWERS + 1))))


@given(st.integers(1, 6), st.data())
def test_however_a_conversation_is_cut_every_round_s_questions_are_answered_in_order(
    rounds: int, data: st.DataObject
) -> None:
    """A silo that keeps only its number of rounds, as a state does, over messages of which any may be lost."""
    heard: list[tuple[int, bytes]] = []
    state = {"done": 0}

    def run(channel: CarriedChannel) -> bool:
        while state["done"] < rounds:
            done = state["done"]
            kind = asked(channel, "next", bytes([done]))
            if kind == b"offer":
                asked(channel, "contribute")
                if (done, b"offer") not in heard:
                    heard.append((done, b"offer"))
            else:
                heard.append((done, kind))
                state["done"] += 1
        return True

    contributed: set[int] = set()
    answers: list[Answered] = []
    lost = 0
    for _ in range(100):
        channel = CarriedChannel(decode_answers(encode_answers(answers)), Hub())
        try:
            if run(channel):
                break
        except Unanswered as ended:
            if lost < 20 and data.draw(st.booleans()):
                lost += 1
                continue  # the reply was lost: the same message comes again
            method, body = parts.split(ended.request, 2)
            answers = [one for at, one in enumerate(answers) if at not in channel.done]
            if method == b"contribute":
                contributed.add(state["done"])
            response = b"taken"
            if method == b"next":
                response = b"result" if body[0] in contributed else b"offer"
            answers.append(Answered.to(ended.request, response))
    assert heard == [(done, kind) for done in range(rounds) for kind in (b"offer", b"result")]
