"""A served model at saturation: everybody is answered, and memory, descriptors and threads stay what they are.

What may grow is what must be remembered of each request: its encapsulation within the window of replays, and what the
log holds of its newest tile. :data:`AN_ANSWER` bytes are more than that, and far less than any request or answer.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from quatrefoil.bench.serving_load import flood
from quatrefoil.bench.serving_models import MODELS
from quatrefoil.bench.serving_near import asking
from quatrefoil.bench.serving_site import Server, ServingSite

CLIENTS = 8
AN_ANSWER = 1 << 10
NOISE = 6 << 20
"""Bytes by which the resident set of a process that does nothing wrong goes up and down: arenas, a tile begun."""

POOL = (os.cpu_count() or 1) + 4
"""Threads that asyncio's own pool may begin at any time."""


@dataclass(frozen=True)
class Held:
    """Of a process at one moment."""

    resident: int
    descriptors: int
    threads: int

    @classmethod
    def of(cls, server: Server) -> Held:
        folder = Path("/proc") / str(server._process.pid)
        return cls(
            server.usage().resident, len(list((folder / "fd").iterdir())), len(list((folder / "task").iterdir()))
        )


async def at_saturation(site: ServingSite, seconds: float, turns: int) -> tuple[list[Held], list[int]]:
    """What the server holds after a warm-up and after each turn of ``seconds``, and the answers of each turn."""
    server = await asyncio.to_thread(site.start, "layered")
    async with asking(site, server) as ask:
        await flood(ask, max(2.0, seconds), clients=CLIENTS)
        held, answers = [Held.of(server)], []
        for _ in range(turns):
            answers.append((await flood(ask, seconds, clients=CLIENTS))[0])
            held.append(Held.of(server))
    server.stop()
    return held, answers


def require_flat(held: list[Held], answers: list[int]) -> None:
    first, last = held[0], held[-1]
    assert last.resident - first.resident <= NOISE + AN_ANSWER * sum(answers), [one.resident for one in held]
    assert last.descriptors <= first.descriptors + 2
    assert last.threads <= first.threads + POOL
    assert min(answers) >= CLIENTS


@pytest.mark.parametrize("name", ["tabular", "mobilenet-v2"])
def test_memory_is_flat_at_saturation(name, tmp_path) -> None:
    with ServingSite(tmp_path / name, MODELS[name]()) as site:
        require_flat(*asyncio.run(at_saturation(site, 1.5, 2)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tabular", "mobilenet-v2", "resnet-50"])
def test_memory_stays_flat_for_long(name, tmp_path) -> None:
    """Also from turn to turn: the last third of the time adds no more than the middle one, but for noise."""
    with ServingSite(tmp_path / name, MODELS[name]()) as site:
        held, answers = asyncio.run(at_saturation(site, 5, 9))
    require_flat(held, answers)
    middle, last = (held[end].resident - held[start].resident for start, end in ((3, 6), (6, 9)))
    assert last <= max(middle, 0) + NOISE


def test_a_leak_of_requests_would_show() -> None:
    before, after = Held(100 << 20, 20, 10), Held(160 << 20, 20, 10)
    with pytest.raises(AssertionError):
        require_flat([before, after], [100])  # 600 kB of each
    with pytest.raises(AssertionError):
        require_flat([before, Held(100 << 20, 40, 10)], [100])
    with pytest.raises(AssertionError):
        require_flat([before, before], [3])
    require_flat([before, before], [100])
