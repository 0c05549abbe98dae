"""A committee inside a real SuperLink, and a seat beside each SuperNode; one is killed in the middle of a round."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from seat_room import COMMITTEE
from test_flower_deployment import HELD, LONG, environment

from logs import entries_of
from quatrefoil.bench.flower import FlowerSite
from quatrefoil.demo.processes import command_line
from quatrefoil.planner import Costs

__all__ = ["environment"]  # a fixture, for every test here

pytestmark = pytest.mark.slow


class SeatSite(FlowerSite):
    """A site whose keys a committee holds: what begins in the place of a keeper are seats."""

    def __init__(self, folder: Path, silos: int) -> None:
        super().__init__(folder, silos)
        self.policy.write_text(COMMITTEE)

    def start_keeper(self, *, arguments: Sequence[str] = ()) -> None:
        file = self.folder / "aggregator.toml"
        lines = [line for line in file.read_text().splitlines() if not line.startswith("keeper")]
        file.write_text("\n".join(lines) + "\n")
        for name in self.names:
            self.seat(name)

    def wait_for(self, name: str, text: str, seconds: float) -> None:
        for one in [f"seat-{silo}" for silo in self.names] if name == "keeper" else [name]:
            super().wait_for(one, "listens at" if name == "keeper" else text, seconds)

    def seat(self, name: str) -> None:
        (self.folder / f"seat-{name}.out").unlink(missing_ok=True)
        self._spawn(f"seat-{name}", command_line("flower", "seat", str(self.folder / f"{name}.toml")))


def test_a_job_with_a_committee_goes_on_after_a_seat_was_killed_in_a_round(tmp_path: Path, costs_file: Path) -> None:
    with SeatSite(tmp_path, 3) as site:
        site.begin(parameters=11, rounds=2, costs=Costs.load(costs_file))
        client = tmp_path / "apps" / "confidential" / "bench_confidential" / "client_app.py"
        client.write_text(HELD.replace("FOLDER", str(tmp_path)))
        (tmp_path / "hold-1").touch()

        def trains(number: int) -> bool:
            return all((tmp_path / f"training-{number}-{name}").exists() for name in site.names)

        out = site.start("confidential", 11, 2)
        site.until(lambda: trains(1), "nobody trains", LONG)
        site.kill("seat-silo-1")
        site.seat("silo-1")
        (tmp_path / "hold-1").unlink()  # the app whose seat is gone ends with an error; the message comes again
        site.until(out.exists, "the job does not end", LONG)

        assert json.loads(out.read_text())["first"] == pytest.approx(0.02, abs=1e-3)
        finished = [one.body["round"] for one in entries_of(site.log("aggregator")) if one.kind == "round-finished"]
        assert finished == [1, 2]
        for name in site.names:
            kinds = [entry.kind for entry in entries_of(site.log(name))]
            assert kinds.count("contribution") == kinds.count("round-accepted") == kinds.count("member-key") == 2
        answers = {
            name: [one.body["round"] for one in entries_of(site.log(name)) if one.kind == "member-answer"]
            for name in site.names
        }
        assert 1 not in answers["silo-1"]
        assert all(sum(number in said for said in answers.values()) >= 2 for number in (1, 2))
