"""A question to the keeper that it refuses."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from quatrefoil.errors import PeerError
from quatrefoil.federation import parts
from quatrefoil.federation.messages import RoundOffer, SealedContribution
from world import World, asked_for, body_of


def keeper_refusal(world: World, offer: bytes, messages: Mapping[str, bytes]) -> PeerError:
    """Why the keeper refuses to check these contributions."""
    sealed = [SealedContribution(*parts.split(message, 4)[:2]) for message in messages.values()]
    request = asked_for(RoundOffer.decode(body_of(offer)).context.digest(), sealed, world.names)
    with pytest.raises(PeerError) as caught:
        world.keeper.check(world.hub_security.sign(request.encode()))
    return caught.value
