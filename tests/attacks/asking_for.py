"""A question to the keeper that it refuses."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from forged_messages import asked_for
from quatrefoil.errors import PeerError
from quatrefoil.federation import parts
from quatrefoil.federation.messages import RoundOffer, SealedContribution
from signed_messages import body_of
from world import World


def keeper_refusal(world: World, offer: bytes, messages: Mapping[str, bytes]) -> PeerError:
    """Why the keeper refuses to check these contributions."""
    sealed = [SealedContribution(*parts.split(message, 4)[:2]) for message in messages.values()]
    request = asked_for(RoundOffer.decode(body_of(offer)).context.digest(), sealed, world.names)
    with pytest.raises(PeerError) as caught:
        world.keeper.check(world.hub_security.sign(request.encode()))
    return caught.value
