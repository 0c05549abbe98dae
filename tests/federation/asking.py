"""Questions to a keeper, as its aggregator or anybody else would ask them."""

from __future__ import annotations

from forged_messages import asked_for
from identities import identity, speaking_as
from quatrefoil.federation import parts
from quatrefoil.federation.messages import KeyRelease, OpenRound, RoundOffer, SealedContribution
from signed_messages import body_of, changed
from world import World

HUB = ("hub", "aggregator")


def opening(world: World, holder: tuple[str, ...] = HUB, **changes: object) -> bytes:
    """The aggregator's next opening request, changed, by whoever is named."""
    return changed(world.aggregator.open_request(), OpenRound, identity(*holder), **changes)


def sent(world: World, offer: bytes, name: str) -> SealedContribution:
    signed, sealed, _, _ = parts.split(world.contribution(name, offer), 4)
    return SealedContribution(signed, sealed)


def ask(world: World, offer: bytes, *contributions: SealedContribution, holder: tuple[str, ...] = HUB) -> bytes:
    """The keeper's answer to a request for exactly these contributions, to which all silos agree whatever they are."""
    request = asked_for(RoundOffer.decode(body_of(offer)).context.digest(), contributions, world.names)
    return world.keeper.answer(speaking_as(identity(*holder)).sign(request.encode()))


def roster_of(answer: bytes) -> tuple[str, ...]:
    return KeyRelease.decode(body_of(parts.split(answer, 2)[0])).contributors


def everybody(world: World, offer: bytes) -> list[SealedContribution]:
    return [sent(world, offer, name) for name in world.names]
