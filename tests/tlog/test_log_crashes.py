"""A log that is killed, or loses its power, at every step: what was acknowledged is there, and nothing by halves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.tlog.logs import folder_files
from tests.tlog.power import Disk, adversaries, cut, running, write_out
from tests.tlog.scenarios import MORE, SCENARIOS, Scenario, go_on, hold
from tests.tlog.steps import watched

ROOT = Path(__file__).parents[2]


def kill(scenario: str, tmp_path: Path, *arguments: str) -> int:
    """How many children were killed; see tests/tlog/killing.py."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.tlog.killing", scenario, *arguments],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_killed_at_every_step(scenario: str, tmp_path: Path) -> None:
    assert kill(scenario, tmp_path) > 15


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS | MORE)
def test_killed_before_and_after_every_step(scenario: str, tmp_path: Path) -> None:
    assert kill(scenario, tmp_path, "--all") > 30


def lose_power(scenario: Scenario, root: Path, contents: Sequence[int], mixed: int) -> int:
    """At every step of a scenario, to every adversary; the log has to come back from each. How many there were."""
    root.mkdir()
    scenario.prepare(root / "log")
    disk, said, left = Disk(root), list[bytes](), dict[tuple[int, frozenset[tuple[str, bytes | None]]], None]()

    def around(name: str, real: Any, arguments: tuple[Any, ...]) -> Any:
        found = disk.around(name, real, arguments)
        for choose in adversaries(len(left), contents, mixed):
            left[len(said), frozenset(cut(disk.tree, choose).items())] = None
        return found

    with watched(around):
        scenario.run(root / "log", said.append)
    seen = {path: content for path, content in running(disk.tree, "").items() if content is not None}
    assert seen == {f"log/{path}": content for path, content in folder_files(root / "log").items()}, (
        "the model is wrong"
    )
    for number, (acknowledged, content) in enumerate(left):
        again = root.parent / f"{root.name}-{number}"
        write_out(dict(content), again)
        try:
            come_back(again / "log", scenario, said[:acknowledged])
            if number % 8 == 0:
                go_on(again / "log")
        except BaseException as error:
            error.add_note(f"cut {number}, {acknowledged} appends acknowledged, in {again}")
            raise
        shutil.rmtree(again)
    return len(left)


def come_back(folder: Path, scenario: Scenario, said: list[bytes]) -> None:
    with watched(unsynchronised):
        Scenario(None, ()).run(folder, lambda _: None)
        hold(folder, scenario, said)


def unsynchronised(name: str, real: Any, arguments: tuple[Any, ...]) -> Any:
    return None if name == "synchronise" else real(*arguments)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_power_lost_at_every_step(scenario: str, tmp_path: Path) -> None:
    assert lose_power(SCENARIOS[scenario], tmp_path / "disk", contents=(1, 4), mixed=1) > 15


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS | MORE)
def test_power_lost_to_many_adversaries(scenario: str, tmp_path: Path) -> None:
    assert lose_power((SCENARIOS | MORE)[scenario], tmp_path / "disk", contents=range(6), mixed=25) > 100
