"""A committee inside Flower: seats hold what members have in memory, and ClientApps come and go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flower_room import ROUNDS, SILOS, Trained, is_model, mean
from seat_room import SeatRoom


@pytest.fixture
def room(tmp_path: Path, costs_file: Path) -> Iterator[SeatRoom]:
    with SeatRoom(tmp_path, costs_file) as made:
        yield made


def test_a_job_whose_keys_a_committee_holds_ends_with_the_weighted_mean(room: SeatRoom) -> None:
    apps = {name: Trained(name) for name in SILOS}
    grid = room.grid(apps)
    result = room.run(grid)
    assert is_model(result.arrays, ROUNDS * mean())
