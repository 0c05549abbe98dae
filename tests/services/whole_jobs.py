"""A whole job over channels of one process, and what came of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from loopback import Loopback

from quatrefoil.transport import HYBRID_768
from world import World, expected_mean


def contributors(world: World) -> list[tuple[str, ...]]:
    found = [world.aggregator.finished(number) for number in range(1, world.rounds + 1)]
    return [one.contributors for one in found if one is not None]


def is_mean(world: World, *rounds: tuple[str, ...]) -> bool:
    """Whether the model is the sum of these rounds' means."""
    wanted = sum(expected_mean(names) for names in rounds)
    return all(np.allclose(array, wanted, atol=2e-3) for array in world.aggregator.model)


async def run_job(world: World, **changes: Any) -> Loopback:
    async with Loopback(world, **changes) as hub:
        silos = hub.silos()
        await hub.finished()
        for silo in silos:
            finished = await silo.result()
            for mine, published in zip(finished.model, world.aggregator.model, strict=True):
                np.testing.assert_array_equal(mine, published)
            assert finished.peer == "hub" and finished.group == changes.get("channels", HYBRID_768).groups[0]
    return hub
