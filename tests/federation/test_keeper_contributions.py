"""Contributions that are wrong: refused by the name of their silo, and the others go on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from asking import ask, everybody, roster_of, sent

from identities import STRANGER, identity, renewed, speaking_as
from quatrefoil.errors import MessageRefused
from quatrefoil.federation.agreement import sha256
from quatrefoil.federation.messages import Contribution, RoundOffer, SealedContribution
from signed_messages import body_of, changed, damaged
from world import NAMES, World


@pytest.fixture
def world() -> World:
    return World(limits={"difference": 1}).begin()


# ----------------------------------------------------------------------------------------- contributions that are wrong


def sealed_by(world: World, offer: bytes, name: str, key: bytes, *, context: bytes | None = None) -> SealedContribution:
    """A contribution of ``name`` with a key of its own choosing."""
    digest = RoundOffer.decode(body_of(offer)).context.digest()
    public = RoundOffer.decode(body_of(offer)).context.sealing_key
    speaker = speaking_as(identity(name, "silo"))
    sealed = speaker.seal(public, key, context=context or digest)
    return SealedContribution(speaker.sign(Contribution(digest, bytes(32), sha256(sealed), ()).encode()), sealed)


def resealed(world: World, offer: bytes) -> SealedContribution:
    """Ambon's contribution with bari's sealed key in it, and signed as such."""
    digest = RoundOffer.decode(body_of(offer)).context.digest()
    sealed = sent(world, offer, "bari").sealed_key
    signed = speaking_as(identity("ambon", "silo")).sign(Contribution(digest, bytes(32), sha256(sealed), ()).encode())
    return SealedContribution(signed, sealed)


def to_another_key(world: World, offer: bytes) -> SealedContribution:
    speaker = speaking_as(identity("ambon", "silo"))
    digest = RoundOffer.decode(body_of(offer)).context.digest()
    sealed = speaker.seal(speaker.new_recipient().public, bytes(32), context=digest)
    return SealedContribution(speaker.sign(Contribution(digest, bytes(32), sha256(sealed), ()).encode()), sealed)


def with_sealed(world: World, offer: bytes, sealed: bytes) -> SealedContribution:
    digest = RoundOffer.decode(body_of(offer)).context.digest()
    signed = speaking_as(identity("ambon", "silo")).sign(Contribution(digest, bytes(32), sha256(sealed), ()).encode())
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
