"""What the keeper checks before silos are asked to confirm, and how many confirmations it wants then."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from asking import ask, everybody, roster_of

from forged_messages import asked_for
from identities import STRANGER, identity, speaking_as
from quatrefoil.errors import MessageRefused, PolicyError, RoundVoided
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import sha256
from quatrefoil.federation.messages import Confirmation, Contribution, KeyRequest, RosterProposal, RoundOffer
from signed_messages import body_of, changed
from world import MORE_NAMES, NAMES, World

REST = NAMES[:3]


@pytest.fixture
def world() -> World:
    return World().begin()


def with_short_key(world: World, offer: bytes, name: str) -> bytes:
    """A contribution whose key cannot be used."""
    context = RoundOffer.decode(body_of(offer)).context
    signed, _, ciphertext, proof = parts.split(world.contribution(name, offer), 4)
    speaker = speaking_as(identity(name, "silo"))
    sealed = speaker.seal(context.sealing_key, bytes(31), context=context.digest())
    fits = changed(signed, Contribution, identity(name, "silo"), sealed_key=sha256(sealed))
    return parts.join([fits, sealed, ciphertext, proof])


# --------------------------------------------------------------------------------------------------- the keeper checks


def test_a_check_answers_nothing_and_changes_nothing(world: World) -> None:
    world.send(world.open())
    request = world.aggregator.key_request()
    state = world.states["keeper"]
    before = {name: state.get(name) for name in state.names("")}
    for _ in range(2):
        world.keeper.check(request)
    assert {name: state.get(name) for name in state.names("")} == before
    assert "key-release" not in world.kinds()
    assert world.finish().contributors == NAMES


def test_a_check_names_the_silo_whose_key_cannot_be_used(world: World) -> None:
    offer = world.open()
    world.send(offer, NAMES[1:])
    world.aggregator.receive("ambon", with_short_key(world, offer, "ambon"))
    with pytest.raises(MessageRefused, match="ambon sealed a key of 31 bytes") as caught:
        world.keeper.check(world.aggregator.key_request())
    assert caught.value.party == "ambon"
    assert world.logged("refusal")[-1]["asked"] == "check"
    proposed = RosterProposal.decode(body_of(world.propose()))
    assert proposed.contributors == NAMES[1:], "no silo is asked to confirm what the keeper refuses"


def test_a_check_looks_at_the_roster(world: World) -> None:
    world = World(limits={"difference": 2}).begin()
    world.run_round()
    offer = world.open()
    context = RoundOffer.decode(body_of(offer)).context.digest()
    four = everybody(world, offer)
    for contributions, problem in ((four[:2], "2 silos contributed"), (four[:3], "sets apart dakar: 1")):
        request = world.hub_security.sign(asked_for(context, contributions).encode())
        with pytest.raises(PolicyError, match=problem):
            world.keeper.check(request)


def test_a_check_of_an_attempt_that_has_ended(world: World) -> None:
    world.send(world.open())
    voided = world.aggregator.key_request()
    world.void()
    with pytest.raises(RoundVoided, match="round 1 attempt 0 is void"):
        world.keeper.check(voided)
    world.send(world.open())
    world.answer()
    world.keeper.check(world.aggregator.key_request())
    context = RoundOffer.decode(body_of(world.offer)).context.digest()
    fewer = asked_for(context, everybody(world, world.offer)[:3])
    with pytest.raises(MessageRefused, match="is answered only once"):
        world.keeper.check(world.hub_security.sign(fewer.encode()))


@pytest.mark.parametrize("holder", [("ambon", "silo"), ("other-hub", "aggregator")], ids=lambda holder: holder[1])
def test_a_check_is_for_the_aggregator_only(world: World, holder: tuple[str, str]) -> None:
    world.send(world.open())
    request = changed(world.aggregator.key_request(), KeyRequest, identity(*holder))
    with pytest.raises(MessageRefused, match="not by aggregator hub"):
        world.keeper.check(request)
    assert world.logged("refusal") == []


# -------------------------------------------------------------------------------------------- the keeper wants a quorum


@pytest.mark.parametrize(
    ("names", "colluding", "quorum"),
    [(NAMES[:2], 0, 2), (REST, 0, 2), (REST, 1, 3), (NAMES, 0, 3), (NAMES, 1, 3), (NAMES, 2, 4), (MORE_NAMES, 2, 5)],
)
def test_two_quorums_share_an_honest_silo(names: tuple[str, ...], colluding: int, quorum: int) -> None:
    limits = {"minimum_silos": max(2, colluding + 2), "colluding_silos": colluding}
    world = World(names=names, limits=limits).begin()
    assert world.aggregator.quorum == quorum
    assert 2 * quorum - len(names) > colluding, "two quorums share more silos than may collude"
    assert quorum <= len(names)
    world.send(world.open())
    with pytest.raises(PolicyError, match=f"{quorum - 1} of {len(names)} silos confirmed the roster, {quorum} must"):
        world.answer(names[: quorum - 1])
    world.confirm(world.aggregator.propose(), names[quorum - 1 : quorum])
    assert roster_of(world.keeper.answer(world.aggregator.key_request())) == names


def test_too_few_confirmations_end_nothing(world: World) -> None:
    offer = world.open()
    contributions = everybody(world, offer)
    context = RoundOffer.decode(body_of(offer)).context.digest()
    for names in ((), NAMES[:1], NAMES[:2], ("ambon",) * 4, ("ambon", "bari", "ambon", "bari")):
        request = asked_for(context, contributions, names)
        with pytest.raises(PolicyError, match=f"{len(set(names))} of 4 silos confirmed the roster, 3 must"):
            world.keeper.answer(world.hub_security.sign(request.encode()))
    assert "key-release" not in world.kinds()
    assert roster_of(ask(world, offer, *contributions)) == NAMES, "the attempt is still open"


def other_roster(world: World, offer: bytes) -> bytes:
    """Ambon's confirmation of the sum without dakar."""
    context = RoundOffer.decode(body_of(offer)).context.digest()
    return asked_for(context, everybody(world, offer)[:3], ["ambon"]).confirmations[0]


def by(*holder: str) -> Callable[[World, bytes], bytes]:
    def make(world: World, offer: bytes) -> bytes:
        context = RoundOffer.decode(body_of(offer)).context.digest()
        right = asked_for(context, everybody(world, offer), ["ambon"]).confirmations[0]
        return changed(right, Confirmation, identity(*holder))

    return make


def of_another_attempt(world: World, offer: bytes) -> bytes:
    return changed(by("ambon", "silo")(world, offer), Confirmation, identity("ambon", "silo"), context=bytes(32))


REFUSED: dict[str, tuple[Callable[[World, bytes], bytes], str, str | None]] = {
    "of another roster": (other_roster, "ambon confirmed another roster than the one asked for", "ambon"),
    "of another attempt": (of_another_attempt, "ambon confirmed another roster than the one asked for", "ambon"),
    "of a stranger": (by("elba", "silo"), "elba is not on the roster of job test-job", None),
    "of the aggregator": (by("hub", "aggregator"), "hub is not on the roster", None),
    "in another role": (by("ambon", "aggregator"), "signed by aggregator ambon, not by silo ambon", None),
    "of another consortium": (by("ambon", "silo", STRANGER), "no trusted root", None),
    "another message": (lambda w, o: w.silos["ambon"].consent(w.enrolments.job()), "'urn:quatrefoil:consent'", None),
}  # fmt: skip


@pytest.mark.parametrize(("make", "problem", "party"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_confirmation_refuses_the_request_and_ends_nothing(
    world: World, make: Callable[[World, bytes], bytes], problem: str, party: str | None
) -> None:
    offer = world.open()
    contributions = everybody(world, offer)
    context = RoundOffer.decode(body_of(offer)).context.digest()
    request = asked_for(context, contributions, NAMES[1:])
    wrong = KeyRequest(context, request.contributions, (*request.confirmations, make(world, offer)))
    with pytest.raises(MessageRefused, match=problem) as caught:
        world.keeper.answer(world.hub_security.sign(wrong.encode()))
    assert caught.value.party == party
    assert "key-release" not in world.kinds()
    assert roster_of(world.keeper.answer(world.hub_security.sign(request.encode()))) == NAMES
