"""Memory stays flat over rounds: of the server with its disks, and of silos with theirs.

An update that is kept a round too long, a proof, a roster: each would be here once a round. What may grow is on disks.
What fills up first and then stays is no leak: for each party the last 256 entries of its log, a tile, the names of the
tiles that are not synchronised yet, and the pages that SQLite keeps, some 2 MB.
"""

from __future__ import annotations

import pytest

from quatrefoil.bench.simulation.population import Options
from quatrefoil.bench.simulation.running import simulate

SILOS = 4


def grown(rss: list[float], warm: int) -> float:
    """Megabytes between the most of the warm-up and the least of the last rounds: what is freed late does not count."""
    return min(rss[-3:]) - max(rss[:warm])


def check(rounds: int, warm: int, parameters: int) -> None:
    options = Options(silos=SILOS, parameters=parameters, rounds=rounds, disks=True, workers=1)
    result = simulate(options, lambda _: None)
    assert result["exact"] and result["accepted"] == SILOS * rounds
    update_mb = result["bytes_per_silo"] / 1e6
    # One update kept in each of the rounds after the warm-up would be twice this, or more.
    most = max(2.0, (rounds - warm) * update_mb / 2)
    assert grown(result["rss_mb"], warm) < most, result["rss_mb"]
    # Silos are all in one process, and each keeps one model.
    assert grown(result["silos_rss_mb"], warm) < most, result["silos_rss_mb"]


def test_a_few_rounds() -> None:
    check(12, 5, 80_000)


@pytest.mark.slow
def test_fifty_rounds() -> None:
    check(50, 10, 20_000)


def test_what_grows_would_be_noticed() -> None:
    leaking = [100.0 + 0.27 * number for number in range(50)]
    assert grown(leaking, 10) > 40 * 0.27 / 2
    assert grown([100.0, 130.0, *[120.0] * 48], 10) < 0
