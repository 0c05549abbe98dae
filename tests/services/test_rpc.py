"""Questions and answers over channels in memory."""

from __future__ import annotations

import asyncio
import inspect
import json
from types import SimpleNamespace
from typing import Any

import pytest

from quatrefoil import errors
from quatrefoil.errors import (
    HostError,
    MessageRefused,
    PeerError,
    PeerUnreachable,
    PolicyError,
    QuatrefoilError,
    StateCorrupt,
)
from quatrefoil.federation import parts
from quatrefoil.services.rpc import FIRST_PAUSE, LONGEST_PAUSE, answer_all, ask, ask_async, longer

OTHERS = [
    one
    for _, one in inspect.getmembers(errors, inspect.isclass)
    if issubclass(one, QuatrefoilError) and not issubclass(one, HostError)
]


class Answering:
    """The far end of a channel that answers every message with ``response``; None breaks off."""

    def __init__(self, *responses: bytes | QuatrefoilError) -> None:
        self._responses = list(responses)
        self.sent: list[bytes] = []

    def send(self, frame: bytes) -> None:
        self.sent.append(frame)

    def receive(self, limit: int) -> bytes:
        response = self._responses.pop(0)
        if isinstance(response, QuatrefoilError):
            raise response
        if len(response) > limit:
            raise MessageRefused(f"a message of {len(response)} bytes is announced", hint="x")
        return response


class Asking:
    """The near end of a server's channel: questions in, answers out; then the peer leaves with ``last``."""

    def __init__(self, *requests: bytes, last: QuatrefoilError | None = None) -> None:
        self._requests = list(requests)
        self._last = last or PeerUnreachable("it closed the connection", hint="x")
        self.peer = SimpleNamespace(name="bari")
        self.answers: list[bytes] = []
        self.limits: list[int] = []
        self.deaf = False

    async def receive(self, limit: int) -> bytes:
        self.limits.append(limit)
        if not self._requests:
            raise self._last
        return self._requests.pop(0)

    async def send(self, frame: bytes) -> None:
        if self.deaf:
            raise PeerUnreachable("it takes no data", hint="x")
        self.answers.append(frame)


def question(method: str, body: bytes = b"") -> bytes:
    return parts.join([method.encode(), body])


def serve(channel: Asking, **methods: Any) -> list[tuple[str, QuatrefoilError]]:
    refused: list[tuple[str, QuatrefoilError]] = []
    asyncio.run(
        answer_all(channel, methods, limit=lambda: 7, on_refused=lambda who, error: refused.append((who, error)))
    )
    return refused


def round_trip(error: QuatrefoilError) -> QuatrefoilError:
    """``error``, raised at one end, as it is raised at the other."""

    async def fail(_: str, __: bytes) -> bytes:
        raise error

    channel = Asking(question("fail"))
    serve(channel, fail=fail)
    with pytest.raises(QuatrefoilError) as raised:
        ask(Answering(*channel.answers), "fail", limit=1 << 20)
    return raised.value


# ------------------------------------------------------------------------------------------------------------- answers


def test_a_question_carries_its_method_and_its_body():
    channel = Answering(parts.join([b"ok", b"the answer"]))
    assert ask(channel, "method", b"body", limit=100) == b"the answer"
    assert parts.split(channel.sent[0], 2) == [b"method", b"body"]


def test_wait_is_no_answer():
    assert ask(Answering(parts.join([b"wait", b""])), "x", limit=100) is None


def test_the_asyncio_side_asks_alike():
    class Far(Answering):
        async def send(self, frame: bytes) -> None:
            super().send(frame)

        async def receive(self, limit: int) -> bytes:
            return super().receive(limit)

    assert asyncio.run(ask_async(Far(parts.join([b"ok", b"y"])), "x", limit=100)) == b"y"
    assert asyncio.run(ask_async(Far(parts.join([b"wait", b""])), "x", limit=100)) is None
    with pytest.raises(PeerUnreachable, match="did not arrive whole"):
        asyncio.run(ask_async(Far(bytes(101)), "x", limit=100))


def test_methods_answer_wait_and_are_told_who_asks():
    async def echo(peer: str, body: bytes) -> bytes:
        return peer.encode() + body

    async def nothing(_: str, __: bytes) -> None:
        return None

    channel = Asking(question("echo", b"!"), question("nothing"), question("echo", b"?"))
    assert serve(channel, echo=echo, nothing=nothing) == []
    answers = [parts.split(answer, 2) for answer in channel.answers]
    assert answers == [[b"ok", b"bari!"], [b"wait", b""], [b"ok", b"bari?"]]


def test_every_request_is_read_under_the_limit_of_that_moment():
    channel = Asking(question("none"))
    serve(channel)
    assert channel.limits == [7, 7]


# -------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("kind", OTHERS, ids=lambda kind: kind.__name__)
def test_an_error_keeps_its_class_and_its_words(kind):
    arrived = round_trip(kind("7 is odd", hint="Take 8"))
    assert (type(arrived), arrived.problem, arrived.hint) == (kind, "7 is odd", "Take 8")


@pytest.mark.parametrize("kind", [HostError, StateCorrupt])
def test_what_the_answerer_lacks_is_not_the_askers_and_its_text_stays_at_home(kind):
    arrived = round_trip(kind("/home/keeper/state cannot be written", hint="Free space"))
    assert type(arrived) is PeerUnreachable
    assert "/home" not in str(arrived)


@pytest.mark.parametrize("kind", ["HostError", "StateAway", "StateTaken", "StateCorrupt", "KeyUnavailable"])
def test_a_peer_says_nothing_of_the_askers_own_machine(kind):
    """That its state was taken over ends a party, a seat of a silo with the member's keys in it among them."""
    body = json.dumps({"problem": "another process has taken the state over", "hint": "End"}).encode()
    with pytest.raises(PeerUnreachable, match="another process has taken the state over"):
        ask(Answering(parts.join([kind.encode(), body])), "next", limit=1000)


@pytest.mark.parametrize("party", ["cusco", None])
def test_the_party_at_fault_arrives(party):
    arrived = round_trip(MessageRefused("x", hint="y", party=party))
    assert isinstance(arrived, PeerError) and arrived.party == party


def test_only_a_name_can_be_the_party_at_fault():
    body = json.dumps({"problem": "x", "hint": "y", "party": ["cusco"]}).encode()
    with pytest.raises(MessageRefused) as raised:
        ask(Answering(parts.join([b"MessageRefused", body])), "x", limit=1000)
    assert raised.value.party is None


@pytest.mark.parametrize(
    "status", [b"Exception", b"KeyboardInterrupt", b"annotations", b"inspect", b"", b"\xff", b"OK"]
)
def test_a_class_outside_the_tree_is_a_refusal(status):
    body = json.dumps({"problem": "x", "hint": "y"}).encode()
    with pytest.raises(MessageRefused, match="x"):
        ask(Answering(parts.join([status, body])), "x", limit=1000)


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"1", b"null", b"\xff", b'{"problem": 1}', b"[" * 900, b'{"problem": "x", "hint"']
)
def test_an_unreadable_error_is_a_refusal(body):
    with pytest.raises(MessageRefused, match="unreadable"):
        ask(Answering(parts.join([b"PolicyError", body])), "x", limit=1000)


@pytest.mark.parametrize("response", [b"", b"x", bytes(3), parts.join([b"ok"]), parts.join([b"ok", b"", b""])])
def test_an_answer_that_is_no_pair_is_refused(response):
    with pytest.raises(MessageRefused):
        ask(Answering(response), "x", limit=1000)


def test_text_of_the_other_side_is_short_and_on_one_line():
    body = json.dumps({"problem": "a\n\x1b[2J" + "b" * 9000, "hint": "\ud800"}).encode()
    with pytest.raises(PolicyError) as raised:
        ask(Answering(parts.join([b"PolicyError", body])), "x", limit=100_000)
    assert str(raised.value).isprintable() and len(str(raised.value)) < 4100


def test_an_answer_that_breaks_off_or_is_too_long_is_as_good_as_none():
    broken = MessageRefused("ended after 5 bytes of an incomplete message", hint="x")
    for response in (broken, bytes(101)):
        with pytest.raises(PeerUnreachable, match="did not arrive whole"):
            ask(Answering(response), "x", limit=100)


# ------------------------------------------------------------------------------------------------------- the other side


def test_an_unknown_method_is_refused_with_those_there_are_and_the_channel_goes_on():
    async def known(_: str, __: bytes) -> bytes:
        return b"yes"

    channel = Asking(question("unknown"), b"no pair", question("known"))
    refused = serve(channel, known=known)
    with pytest.raises(MessageRefused, match=r"no method b'unknown'.*known"):
        ask(Answering(channel.answers[0]), "x", limit=1000)
    assert [type(error) for _, error in refused] == [MessageRefused, MessageRefused]
    assert parts.split(channel.answers[2], 2) == [b"ok", b"yes"]


def test_what_is_refused_is_reported_with_who_asked_and_in_full():
    async def full(_: str, __: bytes) -> bytes:
        raise HostError("/disk is full", hint="Free space")

    ((who, error),) = serve(Asking(question("full")), full=full)
    assert who == "bari" and isinstance(error, HostError) and "/disk" in error.problem


def test_a_fault_of_the_program_is_raised_and_the_peer_learns_no_more_than_that():
    async def bug(_: str, __: bytes) -> bytes:
        raise ZeroDivisionError("secret detail")

    channel = Asking(question("bug"))
    with pytest.raises(ZeroDivisionError):
        serve(channel, bug=bug)
    with pytest.raises(MessageRefused, match="the other side failed") as raised:
        ask(Answering(*channel.answers), "bug", limit=1000)
    assert "secret" not in str(raised.value)


def test_a_fault_of_the_program_is_raised_also_when_the_peer_is_gone():
    async def bug(_: str, __: bytes) -> bytes:
        raise ZeroDivisionError

    channel = Asking(question("bug"))
    channel.deaf = True
    with pytest.raises(ZeroDivisionError):
        serve(channel, bug=bug)


def test_a_peer_that_leaves_or_takes_no_answer_is_no_error():
    async def echo(_: str, body: bytes) -> bytes:
        return body

    assert serve(Asking(), echo=echo) == []
    channel = Asking(question("echo"))
    channel.deaf = True
    assert serve(channel, echo=echo) == []


def test_a_request_that_is_too_long_or_cut_off_is_raised_for_the_servers_log():
    with pytest.raises(MessageRefused, match="announced"):
        serve(Asking(last=MessageRefused("a message of 9 bytes is announced where at most 7 are allowed", hint="x")))


def test_pauses_grow_to_a_bound():
    pauses = [FIRST_PAUSE]
    for _ in range(20):
        pauses.append(longer(pauses[-1]))
    assert pauses == sorted(pauses) and pauses[0] == FIRST_PAUSE and pauses[-1] == LONGEST_PAUSE
