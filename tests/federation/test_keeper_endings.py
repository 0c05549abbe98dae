"""How attempts end: one void or one answer, in the log and on the disk before anybody has it."""

from __future__ import annotations

import pytest
from asking import HUB, ask, everybody, opening, roster_of

from identities import STRANGER, identity, speaking_as
from quatrefoil.audit import MemoryLog
from quatrefoil.errors import HostError, MessageRefused, PolicyError, RoundVoided
from quatrefoil.federation.messages import Consent, EnrolledJob, Job, RoundVoid, VoidRequest
from quatrefoil.federation.refusals import MOST_REFUSALS
from quatrefoil.state import MemoryState
from signed_messages import body_of, changed
from world import NAMES, World


@pytest.fixture
def world() -> World:
    return World(limits={"difference": 1}).begin()


# --------------------------------------------------------------------------------------------------------------- voids


def test_a_void_is_one_and_stays(world: World) -> None:
    request = world.aggregator.void_request("first")
    world.open()
    void = world.keeper.void(request)
    assert world.keeper.void(world.aggregator.void_request("second")) == void
    assert RoundVoid.decode(body_of(void)).reason == "asked for by hub: first"
    world.keeper = world.make_keeper()
    assert world.keeper.void(request) == void
    assert world.kinds().count("round-void") == 1


def test_a_voided_attempt_is_never_answered(world: World) -> None:
    offer = world.open()
    contributions = everybody(world, offer)
    world.void("test")
    for _ in range(2):
        with pytest.raises(RoundVoided, match="round 1 attempt 0 is void"):
            ask(world, offer, *contributions)
        world.keeper = world.make_keeper()


def test_an_answered_attempt_is_never_voided(world: World) -> None:
    request = world.aggregator.void_request("test")
    offer = world.open()
    contributions = everybody(world, offer)
    answer = ask(world, offer, *contributions)
    for _ in range(2):
        with pytest.raises(MessageRefused, match="has been answered and cannot be voided"):
            world.keeper.void(request)
        assert ask(world, offer, *contributions) == answer
        world.keeper = world.make_keeper()


def test_a_restart_voids_what_was_open(world: World) -> None:
    offer = world.open()
    contributions = everybody(world, offer)
    world.keeper = world.make_keeper()
    with pytest.raises(RoundVoided, match="the keeper restarted and its sealing key is gone"):
        ask(world, offer, *contributions)
    assert world.logged("round-void")[0]["reason"] == "the keeper restarted and its sealing key is gone"


@pytest.mark.parametrize("holder", [("ambon", "silo"), ("other-hub", "aggregator")], ids=lambda holder: holder[1])
def test_only_the_aggregator_ends_an_open_attempt(world: World, holder: tuple[str, str]) -> None:
    request = changed(world.aggregator.void_request("test"), VoidRequest, identity(*holder))
    offer = world.open()
    with pytest.raises(MessageRefused, match="not by aggregator hub"):
        world.keeper.void(request)
    assert roster_of(ask(world, offer, *everybody(world, offer))) == NAMES


@pytest.mark.parametrize("changes", [{"job": bytes(32)}, {"round": 2}, {"attempt": 1}], ids=lambda c: next(iter(c)))
def test_what_was_never_opened_cannot_be_voided(world: World, changes: dict[str, object]) -> None:
    request = changed(world.aggregator.void_request("test"), VoidRequest, identity(*HUB), **changes)
    world.open()
    with pytest.raises(MessageRefused, match="no such round has been opened here"):
        world.keeper.void(request)


def test_a_very_long_reason_is_cut(world: World) -> None:
    world.open()
    assert len(RoundVoid.decode(body_of(world.void("x" * 5000))).reason) < 300


# ---------------------------------------------------------------------------------------------------------- its own log


def test_refusals_of_the_jobs_aggregator_are_logged(world: World) -> None:
    offer = world.open()
    contributions = everybody(world, offer)
    for wrong in (contributions[:2], [*contributions, contributions[0]]):
        with pytest.raises((PolicyError, MessageRefused)):
            ask(world, offer, *wrong)
    ask(world, offer, *contributions)
    with pytest.raises(MessageRefused):
        ask(world, offer, *contributions[:3])
    refusals = world.logged("refusal")
    assert [body["silo"] for body in refusals] == ["", "ambon", ""]
    assert [body["reason"][:20] for body in refusals] == [
        "2 silos contributed,",
        "ambon contributes tw",
        "the attempt was answ",
    ]


def test_a_refusal_that_is_repeated_is_logged_once(world: World) -> None:
    offer = world.open()
    contributions = everybody(world, offer)
    for _ in range(3):
        for _ in range(3):
            with pytest.raises(PolicyError, match="2 silos contributed"):
                ask(world, offer, *contributions[:2])
        with pytest.raises(MessageRefused, match="is open for another model"):
            world.keeper.open_round(world.aggregator.enrolled_job, opening(world, model=bytes(32)))
    assert [body["asked"] for body in world.logged("refusal")] == ["answer", "open"]
    world.keeper = world.make_keeper()  # which voids the attempt: another reason, and that once
    for _ in range(3):
        with pytest.raises(RoundVoided):
            ask(world, offer, *contributions)
    assert [body["asked"] for body in world.logged("refusal")] == ["answer", "open", "answer"]


def test_the_refusals_of_an_attempt_that_are_logged_have_a_bound(world: World) -> None:
    """Each for another reason, and over restarts."""
    world.run_round()
    world.open()
    world.void()
    for attempt in range(2, 2 + MOST_REFUSALS + 20):
        if attempt % 40 == 0:
            world.keeper = world.make_keeper()
        with pytest.raises(MessageRefused, match="has no void"):
            world.keeper.open_round(world.aggregator.enrolled_job, opening(world, attempt=attempt))
    refusals = world.logged("refusal")
    assert len(refusals) == MOST_REFUSALS + 1
    assert refusals[-1]["left_out"] is True and "64 different refusals are logged" in refusals[-1]["reason"]
    assert not any("left_out" in body for body in refusals[:-1])
    with pytest.raises(MessageRefused):
        world.keeper.open_round(world.aggregator.enrolled_job, opening(world, round=6))
    world.open()  # another attempt, and others of it are logged
    with pytest.raises(MessageRefused):
        world.keeper.open_round(world.aggregator.enrolled_job, opening(world, round=6))
    assert len(world.logged("refusal")) == MOST_REFUSALS + 2


def test_jobs_that_begin_nothing_share_one_bound(world: World) -> None:
    """An aggregator that has silos sign one job after another gets no new bound with each."""
    for number in range(3):
        job, encoded = another_job(world, f"job-{number}")
        for attempt in range(1, 1 + MOST_REFUSALS // 2):
            request = opening(world, job=job, round=1 + number, attempt=attempt)
            with pytest.raises(MessageRefused, match="has no void"):
                world.keeper.open_round(encoded, request)
    assert len(world.logged("refusal")) == MOST_REFUSALS + 1
    assert world.states["keeper"].names("refusals/") == ["refusals/aggregator/hub"]


def another_job(world: World, name: str) -> tuple[bytes, bytes]:
    """Signed by all: its digest, and the enrolled job."""
    signed = changed(EnrolledJob.decode(world.aggregator.enrolled_job).job, Job, identity(*HUB), name=name)
    digest = Job.decode(body_of(signed)).digest()
    consents = tuple(speaking_as(identity(silo, "silo")).sign(Consent(digest).encode()) for silo in world.names)
    return digest, EnrolledJob(signed, consents).encode()


def test_strangers_cannot_fill_the_log(world: World) -> None:
    offer = world.open()
    for holder in (("ambon", "silo"), (*HUB, STRANGER)):
        with pytest.raises(MessageRefused):
            ask(world, offer, *everybody(world, offer), holder=holder)
    assert world.logged("refusal") == []


def test_what_cannot_be_logged_is_not_answered(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    offer = world.open()
    contributions = everybody(world, offer)

    def full(*_: object) -> None:
        raise HostError("full", hint="")

    monkeypatch.setattr(MemoryLog, "append", full)
    with pytest.raises(HostError):
        ask(world, offer, *contributions)
    monkeypatch.undo()
    assert roster_of(ask(world, offer, *contributions[:3])) == NAMES[:3], "nothing had been answered"


def test_what_cannot_be_stored_is_not_answered(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    offer = world.open()
    contributions = everybody(world, offer)

    def full(*_: object) -> bytes:
        raise HostError("full", hint="")

    monkeypatch.setattr(MemoryState, "put_once", full)
    with pytest.raises(HostError):
        ask(world, offer, *contributions)
    monkeypatch.undo()
    assert roster_of(ask(world, offer, *contributions[:3])) == NAMES[:3], "nothing had been answered"


def test_a_write_that_succeeded_with_an_error_is_believed_when_it_is_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk may fail after it has written: then what it holds counts, and nothing else is answered."""
    offer = world.open()
    contributions = everybody(world, offer)
    put_once = MemoryState.put_once

    def written(self: MemoryState, name: str, value: bytes) -> bytes:
        put_once(self, name, value)
        raise HostError("input/output error", hint="")

    monkeypatch.setattr(MemoryState, "put_once", written)
    with pytest.raises(HostError):
        ask(world, offer, *contributions)
    monkeypatch.undo()
    with pytest.raises(MessageRefused, match="answered only once"):
        ask(world, offer, *contributions[:3])
    assert roster_of(ask(world, offer, *contributions)) == NAMES
    assert world.keeper._open == {}, "its key is wiped"


def test_an_offer_that_was_written_with_an_error_is_voided(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = MemoryState.replace

    def written(self: MemoryState, changes: dict[str, bytes | None]) -> None:
        replace(self, changes)
        raise HostError("input/output error", hint="")

    monkeypatch.setattr(MemoryState, "replace", written)
    with pytest.raises(HostError):
        world.open()
    monkeypatch.undo()
    with pytest.raises(RoundVoided, match="its sealing key is gone"):
        world.open()
    world.void()
    assert world.run_round().contributors == NAMES
