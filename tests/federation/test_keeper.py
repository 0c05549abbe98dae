"""The keeper's rules: one key an attempt, one answer, rosters that are set no small group apart."""

from __future__ import annotations

import dataclasses

import pytest
from asking import HUB, ask, everybody, opening, roster_of, sent

from identities import STRANGER, identity, renewed, speaking_as
from quatrefoil.errors import MessageRefused, PolicyError, RoundVoided
from quatrefoil.federation import agreement, parts
from quatrefoil.federation.agreement import MOST_ATTEMPTS
from quatrefoil.federation.messages import EnrolledJob, Job, KeyRequest, OpenRound, RoundOffer
from signed_messages import body_of, changed
from world import MORE_NAMES, NAMES, World


@pytest.fixture
def world() -> World:
    return World(limits={"difference": 1}).begin()


# ------------------------------------------------------------------------------------------------------------- opening


def test_the_same_request_gives_the_same_offer(world: World) -> None:
    first = world.open()
    assert world.keeper.open_round(world.aggregator.enrolled_job, world.aggregator.open_request()) == first
    opened = world.logged("round-opened")[0]
    assert (opened["enclave"], opened["isolation"]) == ("software", "none")


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
    ("changes", "problem"),
    [
        ({"job": bytes(32)}, "opens a round of another job"),
        ({"round": 0}, "round 0 is outside 1 to 5"),
        ({"round": 6}, "round 6 is outside 1 to 5"),
        ({"attempt": 1}, "attempt 0 at round 1 has no void: attempt 1 cannot be opened"),
        ({"attempt": MOST_ATTEMPTS - 1}, "attempt 0 at round 1 has no void"),
        ({"attempt": MOST_ATTEMPTS}, "aggregator hub opens attempt 1024 at round 1, outside 0 to 1023"),
        ({"attempt": 2**63}, "outside 0 to 1023"),
    ],
)
def test_an_opening_out_of_order_is_refused(world: World, changes: dict[str, object], problem: str) -> None:
    with pytest.raises(MessageRefused, match=problem):
        world.keeper.open_round(world.aggregator.enrolled_job, opening(world, **changes))
    assert world.states["keeper"].names("") == ["refusals/aggregator/hub"]


def test_no_round_is_attempted_without_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An aggregator that voids every attempt would have keeper and silos remember all of them."""
    monkeypatch.setattr(agreement, "MOST_ATTEMPTS", 3)
    request = world.aggregator.open_request()
    for _ in range(3):
        world.open()
        world.void()
    remembered = world.states["keeper"].names("")
    refused = f"refusals/{remembered[-1].rpartition('/')[0]}"  # one value, however many they are
    for attempt in range(3, 9):
        with pytest.raises(MessageRefused, match=f"opens attempt {attempt} at round 1, outside 0 to 2") as caught:
            more = changed(request, OpenRound, identity(*HUB), attempt=attempt)
            world.keeper.open_round(world.aggregator.enrolled_job, more)
        assert caught.value.party == "hub"
    assert world.states["keeper"].names("") == sorted([*remembered, refused])
    with pytest.raises(MessageRefused, match="outside 0 to 2"):  # nor does an honest one ask for more
        world.aggregator.open_request()


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
    request = speaking_as(identity(*HUB)).sign(KeyRequest(bytes(32), (), ()).encode())
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
def test_rosters_of_answered_rounds_set_no_small_group_apart(
    difference: int, second: tuple[str, ...], allowed: bool
) -> None:
    world = World(limits={"difference": difference}).begin()
    world.run_round()
    offer = world.open()
    contributions = [sent(world, offer, name) for name in second]
    if allowed:
        assert roster_of(ask(world, offer, *contributions)) == second
    else:
        with pytest.raises(PolicyError, match=f"this roster sets apart dakar: 1, the policy's minimum is {difference}"):
            ask(world, offer, *contributions)
        assert roster_of(ask(world, offer, *everybody(world, offer))) == NAMES, "the attempt is still open"


def test_groups_are_counted_over_every_earlier_round_not_only_the_last() -> None:
    world = World(names=MORE_NAMES, limits={"difference": 2}).begin()
    world.run_round(MORE_NAMES)
    world.run_round(MORE_NAMES[:3])
    offer = world.open()
    with pytest.raises(PolicyError, match="sets apart graz: 1"):
        ask(world, offer, *(sent(world, offer, name) for name in MORE_NAMES[:6]))


def test_earlier_rosters_survive_a_restart() -> None:
    world = World(limits={"difference": 2}).begin()
    world.run_round()
    world.keeper = world.make_keeper()
    offer = world.open()
    with pytest.raises(PolicyError, match="sets apart dakar: 1"):
        ask(world, offer, *(sent(world, offer, name) for name in NAMES[:3]))


def test_a_voided_attempt_gave_no_sum_and_does_not_count() -> None:
    world = World(limits={"difference": 2}).begin()
    world.send(world.open())
    world.void()
    assert world.run_round(NAMES[:3]).contributors == NAMES[:3]
