"""Shares that nobody is to see any more are overwritten: a dealer's at the void, a member's that it refuses at once."""

from __future__ import annotations

import pytest

from committee_world import EIGHT, CommitteeWorld
from quatrefoil.errors import MessageRefused
from quatrefoil.federation.dealing import Dealer
from quatrefoil.federation.silo import Silo


def started() -> CommitteeWorld:
    world = CommitteeWorld()
    world.begin()
    return world


def dealer_of(world: CommitteeWorld, name: str) -> Dealer:
    return world.silos[name]._dealer


def shares_in(dealer: Dealer) -> list[bytearray]:
    return [share for dealt in dealer._dealt.values() for share in dealt.shares]


def test_a_dealer_overwrites_the_shares_of_an_attempt_once_it_is_told_of_its_void() -> None:
    world = started()
    world.send(world.open())
    before = shares_in(dealer_of(world, "faro"))
    assert len(before) == 8 and all(any(share) for share in before)
    world.void()
    assert all(any(share) for share in before), "one member's void is not the attempt's"
    world.silos["faro"].check_offer(world.open(), world.aggregator.voids)
    assert not any(any(share) for share in before) and shares_in(dealer_of(world, "faro")) == []


def test_a_dealer_holds_the_shares_of_one_attempt() -> None:
    world = started()
    world.send(world.open())
    before = shares_in(dealer_of(world, "faro"))
    world.void()
    world.send(world.open())
    now = shares_in(dealer_of(world, "faro"))
    assert len(now) == 8 and all(any(share) for share in now)
    assert not any(any(share) for share in before)


def test_voids_of_too_few_members_wipe_nothing() -> None:
    world = started()
    world.send(world.open())
    void = world.void()
    offer = world.open()
    silo: Silo = world.silos["faro"]
    with pytest.raises(MessageRefused):
        silo.check_offer(offer, [void[:-1]])
    assert all(any(share) for share in shares_in(dealer_of(world, "faro")))


@pytest.mark.parametrize("victim", ["bari", "graz"])
def test_a_member_overwrites_a_share_that_it_complains_of(victim: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world = started()
    silo, number = world.silos["faro"], EIGHT.index(victim)
    deal = silo._aggregation.deal_key

    class Lying:
        def __getattr__(self, name: str) -> object:
            return getattr(silo._aggregation, name)

        def deal_key(self, *arguments: object) -> object:
            found = deal(*arguments)  # type: ignore[arg-type]
            found.shares[number][-1] ^= 1
            return found

    silo._dealer._aggregation = Lying()  # type: ignore[assignment]
    world.send(world.open())
    opened: list[bytearray] = []
    seat = world.silos[victim]._member._open
    assert seat is not None
    honest = seat[1].recipient.open

    def remember(*arguments: object, **named: object) -> object:
        found = honest(*arguments, **named)  # type: ignore[arg-type]
        opened.append(found.plaintext)
        return found

    monkeypatch.setattr(seat[1].recipient, "open", remember)
    world.share()
    assert [complaint["member"] for complaint in world.logged("complaint")] == [victim]
    assert len(opened) == 8
    wiped = [share for share in opened if not any(share)]
    assert len(wiped) == 1 and len(seat[1].shares) == 7
