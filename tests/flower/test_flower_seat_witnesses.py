"""Silos in Flower that are members of a committee and witnesses of the aggregator's log, both at their seats."""

from __future__ import annotations

from pathlib import Path

import pytest
from flower_room import ROUNDS, SILOS, Trained, is_model, mean
from memory_grid import MemoryGrid
from seat_room import COMMITTEE, SeatRoom

from logs import entries_of
from quatrefoil import cli
from quatrefoil.errors import PolicyError


def with_witnesses(folder: Path, costs: Path, quorum: int) -> SeatRoom:
    return SeatRoom(folder, costs, COMMITTEE + f"[audit]\nwitnesses = {quorum}\n")


def sizes(room: SeatRoom, name: str) -> list[int]:
    """Of the aggregator's log, as a silo has cosigned it."""
    return [entry.body["size"] for entry in entries_of(room.log(name)) if entry.kind == "witnessed"]


def verified(room: SeatRoom, name: str) -> bool:
    terms = ("--trust", str(room.root), "--policy", str(room.policy))
    return cli.main(["audit", "verify", str(room.folder / "state" / name), *terms]) == 0


def test_members_of_a_committee_cosign_the_log_after_every_round(tmp_path: Path, costs_file: Path) -> None:
    with with_witnesses(tmp_path, costs_file, 3) as room:
        apps = {name: Trained(name) for name in SILOS}
        assert is_model(room.run(room.grid(apps)).arrays, ROUNDS * mean())
        assert [len(app.evaluated) for app in apps.values()] == [ROUNDS] * 3
        cosigned = {tuple(sizes(room, name)) for name in SILOS}
        assert len(cosigned) == 1 and len(next(iter(cosigned))) == ROUNDS, "all saw one log after each round"
        (entry,) = [one for one in entries_of(room.log("aggregator")) if one.kind == "cosigned"]
        assert sorted(entry.body["witnesses"]) == sorted(SILOS)
        assert all(verified(room, name) for name in ("aggregator", *SILOS))


@pytest.mark.slow
def test_a_seat_that_is_killed_in_a_round_cosigns_what_continues_the_log_it_knew(
    tmp_path: Path, costs_file: Path
) -> None:
    killed: list[int] = []

    def kill() -> None:
        if len(app.trainings) == 1 and not killed:  # in the second round, after what was cosigned of the first
            killed.append(1)
            room.kill("seat-bari")
            room.seat("bari")

    with with_witnesses(tmp_path, costs_file, 3) as room:
        app = Trained("bari", kill)
        room.run(room.grid({"bari": app}))
        assert killed and len(sizes(room, "bari")) == ROUNDS and sizes(room, "bari") == sizes(room, "ambon")
        assert verified(room, "aggregator") and verified(room, "bari")


@pytest.mark.slow
def test_a_run_whose_log_too_few_have_cosigned_ends_with_who_has(tmp_path: Path, costs_file: Path) -> None:
    """The rounds can do without one of the three, and this policy's witnesses cannot."""
    with with_witnesses(tmp_path, costs_file, 3) as room:
        room.edit("aggregator", "deadline = 60.0", "deadline = 5.0")
        room.edit("aggregator", "give-up = 60.0", "give-up = 15.0")
        grid = room.grid({"ambon": (app := Trained("ambon", lambda: leave(app, grid)))})
        with pytest.raises(PolicyError, match=r"2 silos cosigned the log .* asks for 3 witnesses; missing bari"):
            room.run(grid)
        assert len(sizes(room, "bari")) < len(sizes(room, "ambon")) == ROUNDS


def leave(app: Trained, grid: MemoryGrid) -> None:
    """In the second round bari's SuperNode is gone."""
    if len(app.trainings) == 1:
        grid.nodes.pop(102, None)
