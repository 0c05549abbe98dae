"""The keeper's rules: one key an attempt, one answer, one ending; and whom it refuses by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from quatrefoil.audit import MemoryLog
from quatrefoil.errors import HostError, MessageRefused, PolicyError, QuatrefoilError, RoundVoided
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import sha256
from quatrefoil.federation.messages import (
    Contribution,
    EnrolledJob,
    Job,
    KeyRelease,
    KeyRequest,
    OpenRound,
    RoundOffer,
    RoundVoid,
    SealedContribution,
    VoidRequest,
)
from quatrefoil.federation.state import MemoryState
from world import MORE_NAMES, NAMES, STRANGER, World, body_of, changed, damaged, identity, renewed, speaking_as

HUB = ("hub", "aggregator")


@pytest.fixture
def world() -> World:
    return World(limits={"difference": 1}).begin()


def opening(world: World, holder: tuple[str, ...] = HUB, **changes: object) -> bytes:
    """The aggregator's next opening request, changed, by whoever is named."""
    return changed(world.aggregator.open_request(), OpenRound, identity(*holder), **changes)


def sent(world: World, offer: bytes, name: str) -> SealedContribution:
    signed, sealed, _ = parts.split(world.contribution(name, offer), 3)
    return SealedContribution(signed, sealed)


def ask(world: World, offer: bytes, *contributions: SealedContribution, holder: tuple[str, ...] = HUB) -> bytes:
    """The keeper's answer to a request for exactly these contributions."""
    request = KeyRequest(RoundOffer.decode(body_of(offer)).context.digest(), contributions)
    return world.keeper.answer(speaking_as(identity(*holder)).sign(request.encode()))


def roster_of(answer: bytes) -> tuple[str, ...]:
    return KeyRelease.decode(body_of(parts.split(answer, 2)[0])).contributors


def everybody(world: World, offer: bytes) -> list[SealedContribution]:
    return [sent(world, offer, name) for name in world.names]


# ------------------------------------------------------------------------------------------------------------- opening


def test_the_same_request_gives_the_same_offer(world: World) -> None:
    first = world.open()
    assert world.keeper.open_round(world.aggregator.enrolled_job, world.aggregator.open_request()) == first
    assert world.logged("round-opened")[0]["isolation"] == "software"


def test_every_attempt_and_round_has_its_own_key(world: World) -> None:
    keys = set()
    for _ in range(3):
        keys.add(RoundOffer.decode(body_of(world.open())).context.sealing_key)
        world.void()
    world.run_round()
    keys.add(RoundOffer.decode(body_of(world.open())).context.sealing_key)
    assert len(keys) == 4


def test_the_private_key_is_on_no_disk(world: World) -> None:
    world.open()
    (name, pointer) = sorted(world.states["keeper"].names(""))[::-1]
    assert (name[:6], pointer[:8]) == ("round/", "context/")
    context, offer, aggregator = parts.split(world.states["keeper"].get(name) or b"", 3)
    assert RoundOffer.decode(body_of(offer)).context.encode() == context
    assert aggregator == world.aggregator.job.aggregator.encode()


@pytest.mark.parametrize(
    ("holder", "problem"),
    [
        (("ambon", "silo"), "signed by silo ambon, not by aggregator hub"),
        (("other-hub", "aggregator"), "signed by aggregator other-hub, not by aggregator hub"),
        (("keeper", "keeper"), "signed by keeper keeper"),
        ((*HUB, STRANGER), "no trusted root"),
    ],
    ids=["a silo", "another aggregator", "itself", "another consortium"],
)
def test_only_the_jobs_aggregator_opens_rounds(world: World, holder: tuple[str, ...], problem: str) -> None:
    with pytest.raises(MessageRefused, match=problem):
        world.keeper.open_round(world.aggregator.enrolled_job, opening(world, holder))
    assert world.states["keeper"].names("") == []


@pytest.mark.parametrize(
    ("changes", "error", "problem"),
    [
        ({"job": bytes(32)}, MessageRefused, "opens a round of another job"),
        ({"round": 0}, PolicyError, "round 0 is outside 1 to 5"),
        ({"round": 6}, PolicyError, "round 6 is outside 1 to 5"),
        ({"attempt": 1}, MessageRefused, "attempt 0 at round 1 has no void: attempt 1 cannot be opened"),
        ({"attempt": 2**63}, MessageRefused, "attempt 0 at round 1 has no void"),
    ],
)
def test_an_opening_out_of_order_is_refused(
    world: World, changes: dict[str, object], error: type[QuatrefoilError], problem: str
) -> None:
    with pytest.raises(error, match=problem):
        world.keeper.open_round(world.aggregator.enrolled_job, opening(world, **changes))
    assert world.states["keeper"].names("") == []


def test_an_open_attempt_is_open_for_one_model(world: World) -> None:
    world.open()
    with pytest.raises(MessageRefused, match="round 1 attempt 0 is open for another model"):
        world.keeper.open_round(world.aggregator.enrolled_job, opening(world, model=bytes(32)))


def test_the_next_attempt_waits_for_the_void_of_the_one_before(world: World) -> None:
    world.open()
    with pytest.raises(MessageRefused, match="attempt 0 at round 1 has no void"):
        world.keeper.open_round(world.aggregator.enrolled_job, opening(world, attempt=1))


def test_an_answered_round_gets_no_further_attempt(world: World) -> None:
    world.send(world.open())
    world.finish()
    with pytest.raises(MessageRefused, match="attempt 0 at round 1 has no void"):
        world.keeper.open_round(world.aggregator.enrolled_job, opening(world, round=1, attempt=1))


def test_rounds_only_go_forward(world: World) -> None:
    world.keeper.open_round(world.aggregator.enrolled_job, opening(world, round=2))
    with pytest.raises(MessageRefused, match="a later round than 1 has been opened already"):
        world.keeper.open_round(world.aggregator.enrolled_job, opening(world, round=1))


def test_a_voided_attempt_is_not_offered_again(world: World) -> None:
    request = world.aggregator.open_request()
    world.open()
    world.void("because")
    with pytest.raises(RoundVoided, match="round 1 attempt 0 is void: asked for by hub: because"):
        world.keeper.open_round(world.aggregator.enrolled_job, request)


def test_a_job_of_another_keeper_is_refused() -> None:
    world = World()
    other = identity("other-keeper", "keeper")
    terms = world.terms(
        keeper=dataclasses.replace(world.terms().keeper, name=other.name, fingerprint=other.fingerprint)
    )
    world.enrolments = world.make_enrolments(terms)
    world.begin()
    with pytest.raises(MessageRefused, match="job test-job names other-keeper as its keeper"):
        world.keeper.open_round(world.aggregator.enrolled_job, world.aggregator.open_request())


def test_a_job_that_names_another_certificate_of_this_keeper_is_refused() -> None:
    world = World()
    terms = world.terms(
        keeper=dataclasses.replace(world.terms().keeper, fingerprint=renewed("keeper", "keeper").fingerprint)
    )
    world.enrolments = world.make_enrolments(terms)
    world.begin()
    with pytest.raises(MessageRefused, match="job test-job names another certificate of keeper"):
        world.keeper.open_round(world.aggregator.enrolled_job, world.aggregator.open_request())


def test_a_job_without_every_consent_opens_nothing(world: World) -> None:
    enrolled = EnrolledJob.decode(world.aggregator.enrolled_job)
    short = dataclasses.replace(enrolled, consents=enrolled.consents[:3]).encode()
    with pytest.raises(MessageRefused, match="3 consents for a roster of 4"):
        world.keeper.open_round(short, world.aggregator.open_request())
    other = dataclasses.replace(enrolled, job=changed(enrolled.job, Job, identity(*HUB), rounds=4)).encode()
    with pytest.raises(MessageRefused, match="ambon signed another job"):
        world.keeper.open_round(other, world.aggregator.open_request())


# ----------------------------------------------------------------------------------------------------------- one answer


def test_the_same_roster_again_gives_the_same_bytes(world: World) -> None:
    offer = world.open()
    contributions = everybody(world, offer)
    first = ask(world, offer, *contributions)
    assert ask(world, offer, *contributions) == ask(world, offer, *contributions[::-1]) == first
    assert roster_of(first) == NAMES
    assert world.kinds().count("key-release") == 1
    world.keeper = world.make_keeper()
    assert ask(world, offer, *contributions) == first


@pytest.mark.parametrize("second", [(1, 2, 3), (0, 1, 3), (0, 2), ()], ids=str)
@pytest.mark.parametrize("restarted", [False, True])
def test_a_second_roster_is_refused(world: World, second: tuple[int, ...], restarted: bool) -> None:
    offer = world.open()
    contributions = everybody(world, offer)
    first = ask(world, offer, *contributions[:3])
    if restarted:
        world.keeper = world.make_keeper()
    with pytest.raises(MessageRefused, match="answered for ambon, bari, cusco and is answered only once"):
        ask(world, offer, *(contributions[position] for position in second))
    assert ask(world, offer, *contributions[:3]) == first
    assert world.kinds().count("key-release") == 1


def test_a_request_for_more_than_was_answered_gets_the_answer_that_there_is(world: World) -> None:
    """An aggregator that lost the answer gathers again, and a silo that was late then is in time now."""
    offer = world.open()
    contributions = everybody(world, offer)
    first = ask(world, offer, *contributions[:3])
    assert ask(world, offer, *contributions) == first
    assert roster_of(first) == NAMES[:3]


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("answered", [False, True])
@pytest.mark.parametrize("holder", [("ambon", "silo"), ("other-hub", "aggregator"), ("keeper", "keeper")], ids=str)
def test_the_answer_is_for_the_aggregator_only(
    world: World, answered: bool, restarted: bool, holder: tuple[str, str]
) -> None:
    offer = world.open()
    contributions = everybody(world, offer)
    if answered:
        ask(world, offer, *contributions)
    if restarted:
        world.keeper = world.make_keeper()
    with pytest.raises(MessageRefused, match=r"not by aggregator hub"):
        ask(world, offer, *contributions, holder=holder)


def test_a_request_of_an_unknown_context_is_refused(world: World) -> None:
    world.open()
    request = speaking_as(identity(*HUB)).sign(KeyRequest(bytes(32), ()).encode())
    with pytest.raises(MessageRefused, match="no such round has been opened here"):
        world.keeper.answer(request)


def test_the_sealing_key_is_wiped_at_the_answer(world: World) -> None:
    offer = world.open()
    (attempt,) = world.keeper._open.values()
    contribution = sent(world, offer, "ambon")
    ask(world, offer, contribution, *everybody(world, offer)[1:])
    assert world.keeper._open == {}
    with pytest.raises(RoundVoided, match="has been wiped"):
        attempt.recipient.open(contribution.sealed_key, context=attempt.context.digest())


def test_keys_are_wiped_whether_they_are_answered_or_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    offer = world.open()
    contributions = everybody(world, offer)
    (attempt,) = world.keeper._open.values()
    opened = []
    original = type(attempt.recipient).open

    def watched(self: object, *arguments: object, **named: object) -> object:
        found = original(self, *arguments, **named)
        opened.append(found.plaintext)
        return found

    monkeypatch.setattr(type(attempt.recipient), "open", watched)
    for wrong in (contributions[:2], [*contributions, contributions[0]]):
        with pytest.raises((PolicyError, MessageRefused)):
            ask(world, offer, *wrong)
    ask(world, offer, *contributions)
    assert len(opened) == 2 + 5 + 4
    assert all(not any(plaintext) for plaintext in opened)


# ---------------------------------------------------------------------------------------------------------- the roster


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_than_the_minimum_are_not_answered(world: World, count: int) -> None:
    offer = world.open()
    contributions = everybody(world, offer)
    with pytest.raises(PolicyError, match=f"{count} silos contributed, the policy's minimum is 3"):
        ask(world, offer, *contributions[:count])
    assert roster_of(ask(world, offer, *contributions)) == NAMES, "the attempt is still open"


@pytest.mark.parametrize("repeats", [2, 3, 4])
def test_one_silo_several_times_does_not_make_a_minimum(world: World, repeats: int) -> None:
    offer = world.open()
    with pytest.raises(MessageRefused, match="ambon contributes twice") as caught:
        ask(world, offer, *[sent(world, offer, "ambon")] * repeats)
    assert caught.value.party == "ambon"


@pytest.mark.parametrize(
    ("difference", "second", "allowed"),
    [
        (1, NAMES[:3], True),
        (2, NAMES[:3], False),
        (2, NAMES, True),
        (3, NAMES[:3], False),
    ],
)
def test_rosters_of_answered_rounds_are_equal_or_far_apart(
    difference: int, second: tuple[str, ...], allowed: bool
) -> None:
    world = World(limits={"difference": difference}).begin()
    world.run_round()
    offer = world.open()
    contributions = [sent(world, offer, name) for name in second]
    if allowed:
        assert roster_of(ask(world, offer, *contributions)) == second
    else:
        with pytest.raises(
            PolicyError, match=f"those of round 1 only in dakar: 1, the policy's minimum is {difference}"
        ):
            ask(world, offer, *contributions)
        assert roster_of(ask(world, offer, *everybody(world, offer))) == NAMES, "the attempt is still open"


def test_the_difference_counts_against_every_earlier_round_not_only_the_last() -> None:
    world = World(names=MORE_NAMES, limits={"difference": 2}).begin()
    world.run_round(MORE_NAMES)
    world.run_round(MORE_NAMES[:3])
    offer = world.open()
    with pytest.raises(PolicyError, match="those of round 1 only in graz: 1"):
        ask(world, offer, *(sent(world, offer, name) for name in MORE_NAMES[:6]))


def test_earlier_rosters_survive_a_restart() -> None:
    world = World(limits={"difference": 2}).begin()
    world.run_round()
    world.keeper = world.make_keeper()
    offer = world.open()
    with pytest.raises(PolicyError, match="those of round 1 only in dakar"):
        ask(world, offer, *(sent(world, offer, name) for name in NAMES[:3]))


def test_a_voided_attempt_gave_no_sum_and_does_not_count() -> None:
    world = World(limits={"difference": 2}).begin()
    world.send(world.open())
    world.void()
    assert world.run_round(NAMES[:3]).contributors == NAMES[:3]


# ----------------------------------------------------------------------------------------- contributions that are wrong


def sealed_by(world: World, offer: bytes, name: str, key: bytes, *, context: bytes | None = None) -> SealedContribution:
    """A contribution of ``name`` with a key of its own choosing."""
    digest = RoundOffer.decode(body_of(offer)).context.digest()
    public = RoundOffer.decode(body_of(offer)).context.sealing_key
    speaker = speaking_as(identity(name, "silo"))
    sealed = speaker.seal(public, key, context=context or digest)
    return SealedContribution(speaker.sign(Contribution(digest, bytes(32), sha256(sealed)).encode()), sealed)


def resealed(world: World, offer: bytes) -> SealedContribution:
    """Ambon's contribution with bari's sealed key in it, and signed as such."""
    digest = RoundOffer.decode(body_of(offer)).context.digest()
    sealed = sent(world, offer, "bari").sealed_key
    signed = speaking_as(identity("ambon", "silo")).sign(Contribution(digest, bytes(32), sha256(sealed)).encode())
    return SealedContribution(signed, sealed)


def to_another_key(world: World, offer: bytes) -> SealedContribution:
    speaker = speaking_as(identity("ambon", "silo"))
    digest = RoundOffer.decode(body_of(offer)).context.digest()
    sealed = speaker.seal(speaker.new_recipient().public, bytes(32), context=digest)
    return SealedContribution(speaker.sign(Contribution(digest, bytes(32), sha256(sealed)).encode()), sealed)


def with_sealed(world: World, offer: bytes, sealed: bytes) -> SealedContribution:
    digest = RoundOffer.decode(body_of(offer)).context.digest()
    signed = speaking_as(identity("ambon", "silo")).sign(Contribution(digest, bytes(32), sha256(sealed)).encode())
    return SealedContribution(signed, sealed)


Make = Callable[[World, bytes], SealedContribution]
WRONG: dict[str, tuple[Make, str]] = {
    "a key of 31 bytes": (lambda w, o: sealed_by(w, o, "ambon", bytes(31)), "ambon sealed a key of 31 bytes"),
    "a key of 33 bytes": (lambda w, o: sealed_by(w, o, "ambon", bytes(33)), "ambon sealed a key of 33 bytes"),
    "no key": (lambda w, o: sealed_by(w, o, "ambon", b""), "ambon sealed a key of 0 bytes"),
    "a key sealed under another context": (
        lambda w, o: sealed_by(w, o, "ambon", bytes(32), context=bytes(32)), "ambon sealed a key .*another context",
    ),
    "a key sealed to another key": (to_another_key, "ambon sealed a key .*sealed to another key"),
    "another silo's sealed key": (resealed, "ambon sealed a key .*signed by silo bari, not by silo ambon"),
    "something that is no envelope": (lambda w, o: with_sealed(w, o, b"junk"), "ambon sealed a key that cannot be"),
    "a damaged envelope": (
        lambda w, o: with_sealed(w, o, damaged(sent(w, o, "ambon").sealed_key)), "ambon sealed a key that cannot be",
    ),
    "a sealed key that was exchanged on the way": (
        lambda w, o: dataclasses.replace(sent(w, o, "ambon"), sealed_key=sent(w, o, "bari").sealed_key),
        "ambon signed another sealed key than the one that came",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("make", "problem"), WRONG.values(), ids=WRONG)
def test_a_key_that_cannot_be_used_names_its_silo_and_costs_nobody_else_anything(
    world: World, make: Make, problem: str
) -> None:
    offer = world.open()
    others = everybody(world, offer)[1:]
    wrong = make(world, offer)
    with pytest.raises(MessageRefused, match=problem) as caught:
        ask(world, offer, wrong, *others)
    assert caught.value.party == "ambon"
    assert [body["silo"] for body in world.logged("refusal")] == ["ambon"]
    assert roster_of(ask(world, offer, *others)) == NAMES[1:]


def test_two_silos_with_one_key_are_noticed_by_name(world: World) -> None:
    """The kernel would refuse the sum of equal keys, with nobody to leave out."""
    offer = world.open()
    same = [sealed_by(world, offer, name, bytes(range(32))) for name in NAMES[:2]]
    others = everybody(world, offer)[2:]
    with pytest.raises(MessageRefused, match="bari sealed the same key as ambon") as caught:
        ask(world, offer, *same, *others)
    assert caught.value.party == "bari"
    assert roster_of(ask(world, offer, same[0], *others)) == ("ambon", "cusco", "dakar")


UNSIGNED: dict[str, tuple[Callable[[World, bytes, SealedContribution], SealedContribution], str]] = {
    "a silo that is not on the roster": (
        lambda w, o, c: dataclasses.replace(
            c, contribution=changed(c.contribution, Contribution, identity("elba", "silo"))
        ),
        "elba is not on the roster",
    ),
    "another certificate": (
        lambda w, o, c: dataclasses.replace(
            c, contribution=changed(c.contribution, Contribution, renewed("ambon", "silo"))
        ),
        "not by silo ambon with the agreed certificate",
    ),
    "another role": (
        lambda w, o, c: dataclasses.replace(
            c, contribution=changed(c.contribution, Contribution, identity("ambon", "aggregator"))
        ),
        "signed by aggregator ambon",
    ),
    "another consortium": (
        lambda w, o, c: dataclasses.replace(
            c, contribution=changed(c.contribution, Contribution, identity("ambon", "silo", STRANGER))
        ),
        "no trusted root",
    ),
    "a damaged signature": (
        lambda w, o, c: dataclasses.replace(c, contribution=damaged(c.contribution)), "signature of 'ambon'",
    ),
    "another context": (
        lambda w, o, c: dataclasses.replace(
            c, contribution=changed(c.contribution, Contribution, identity("ambon", "silo"), context=bytes(32))
        ),
        "ambon contributes to another round or attempt",
    ),
    "another message": (
        lambda w, o, c: dataclasses.replace(c, contribution=w.enrolments.invite("ambon")), "hub is not on the roster",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("forge", "problem"), UNSIGNED.values(), ids=UNSIGNED)
def test_a_contribution_that_is_not_what_it_says_is_refused(
    world: World, forge: Callable[[World, bytes, SealedContribution], SealedContribution], problem: str
) -> None:
    offer = world.open()
    first, *others = everybody(world, offer)
    with pytest.raises(MessageRefused, match=problem):
        ask(world, offer, forge(world, offer, first), *others)
    assert roster_of(ask(world, offer, first, *others)) == NAMES


def test_a_contribution_to_an_earlier_attempt_or_round_is_refused(world: World) -> None:
    first = world.open()
    old = sent(world, first, "ambon")
    world.void()
    second = world.open()
    new = everybody(world, second)
    with pytest.raises(MessageRefused, match="ambon contributes to another round or attempt") as caught:
        ask(world, second, old, *new[1:])
    assert caught.value.party == "ambon"
    world.send(second)
    world.accept(world.finish())
    third = world.open()
    with pytest.raises(MessageRefused, match="ambon contributes to another round or attempt"):
        ask(world, third, new[0], *everybody(world, third)[1:])


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
