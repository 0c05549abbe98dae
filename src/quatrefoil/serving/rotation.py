"""New keys in time, old ones gone in time; and what happens where there is no evidence of new ones."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from quatrefoil.errors import EvidenceRejected, HostError, QuatrefoilError
from quatrefoil.serving.keys import ServingKeys
from quatrefoil.serving.metrics import Metrics

TICK_S = 1.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 2.0, 60.0


async def first_keys(keys: ServingKeys, metrics: Metrics) -> None:
    """The first keyset. Raises why clients would refuse this server: then it does not start."""
    await asyncio.to_thread(keys.rotate)
    metrics.count("rotations", "made")


async def keep_rotating(keys: ServingKeys, metrics: Metrics, report: Callable[[str], None]) -> None:
    """Rotate as the policy says, until there is no keyset that is good: then raise why there is no other.

    A rotation that fails is tried again; meanwhile the last keyset serves, to the end of its overlap.
    """
    pause = again = 0.0
    problem: QuatrefoilError | None = None
    while True:
        # However long a failed rotation waits to be tried again: keys end at their time.
        await asyncio.sleep(min(TICK_S, max(keys.rotate_in, again - time.monotonic(), 0.0)))
        await asyncio.to_thread(keys.retire)
        if keys.rotate_in == 0 and time.monotonic() >= again:
            try:
                made = await asyncio.to_thread(keys.rotate)
            except (EvidenceRejected, HostError) as error:
                problem = error
                metrics.count("rotations", "refused")
                report(f"no new keys, and the last ones serve on while they are good: {error}")
                pause = min(LONGEST_PAUSE_S, max(FIRST_PAUSE_S, 2 * pause))
                again = time.monotonic() + pause
            else:
                pause = 0.0
                metrics.count("rotations", "made")
                report(f"new keys {made.keyset.digest().hex()[:16]} are in force")
        if not keys.current:
            raise problem or HostError("no keys are in force", hint="Check that the clock is not set forward")


__all__ = ["first_keys", "keep_rotating"]
