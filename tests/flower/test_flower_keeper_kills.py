"""The keeper is killed in the middle of a round of a job in Flower: the round is run, and no key is released twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flower_room import ROUNDS, SILOS, SOON, FlowerRoom, Trained, is_model, mean

from logs import entries_of


def bodies(file: Path, kind: str) -> list[dict[str, Any]]:
    return [entry.body for entry in entries_of(file) if entry.kind == kind]


@pytest.mark.parametrize("killed_in", [1, 2])
def test_a_keeper_that_is_killed_while_silos_train_is_started_again_and_the_job_goes_on(
    room: FlowerRoom, killed_in: int
) -> None:
    killed: list[int] = []

    def kill() -> None:
        if not killed and len(app.trainings) == killed_in - 1:
            killed.append(1)
            room.kill("keeper")
            (room.folder / "keeper.out").unlink()
            room.start_keeper()
            room.wait_for("keeper", "listens on", SOON)

    app = Trained("bari", kill)
    result = room.run(room.grid({"bari": app}))
    assert killed and is_model(result.arrays, ROUNDS * mean())

    finished = bodies(room.log("aggregator"), "round-finished")
    assert [one["round"] for one in finished] == [1, 2]
    for name in SILOS:  # each round's sum has every silo, once
        assert [one["round"] for one in bodies(room.log(name), "round-accepted")] == [1, 2]
    released = bodies(room.log("keeper"), "key-release")
    assert sorted(one["round"] for one in released) == [1, 2]
