"""A log that is killed, or loses its power, at every step: what was acknowledged is there, and nothing by halves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.tlog.power import Disk, adversaries, cut, running, write_out
from tests.tlog.scenarios import MORE, SCENARIOS, Say, Scenario, go_on, hold
from tests.tlog.small_logs import folder_files
from tests.tlog.steps import watched

ROOT = Path(__file__).parents[2]


def kill(scenario: str, tmp_path: Path, *arguments: str) -> int:
    """How many children were killed; see tests/tlog/deaths.py."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.tlog.deaths", scenario, *arguments],
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


Cut = tuple[int, dict[str, bytes | None]]
"""How many appends were acknowledged, and what is left."""


def every_cut(
    root: Path, run: Callable[[Say], None], contents: Sequence[int], mixed: int
) -> tuple[list[bytes], list[Cut]]:
    """What is acknowledged while ``run`` works under ``root``, and what is left when the power is lost at each step."""
    disk, said, left = Disk(root), list[bytes](), dict[tuple[int, frozenset[tuple[str, bytes | None]]], None]()

    def around(name: str, real: Any, arguments: tuple[Any, ...]) -> Any:
        found = disk.around(name, real, arguments)
        for choose in adversaries(len(left), contents, mixed):
            left[len(said), frozenset(cut(disk.tree, choose).items())] = None
        return found

    with watched(around):
        run(said.append)
    seen = {path: content for path, content in running(disk.tree, "").items() if content is not None}
    assert seen == folder_files(root), "the model is not what was done"
    return said, [(acknowledged, dict(content)) for acknowledged, content in left]


def lose_power(scenario: Scenario, root: Path, contents: Sequence[int], mixed: int, again: int = 0) -> int:
    """At every step of a scenario, to every adversary; the log has to come back from each. How many there were.

    ``again``: the power is lost a second time, at every step of that, for one in so many."""
    root.mkdir()
    scenario.prepare(root / "log")
    said, left = every_cut(root, lambda say: scenario.run(root / "log", say), contents, mixed)
    done = 0
    for number, (acknowledged, content) in enumerate(left):
        back = root.parent / f"{root.name}-{number}"
        write_out(content, back)
        seconds = [content]
        if again and number % again == 0:
            seconds += [one for _, one in every_cut(back, partial(opened, back / "log"), contents, mixed)[1]]
        for second in seconds:
            shutil.rmtree(back)
            write_out(second, back)
            try:
                come_back(back / "log", scenario, said[:acknowledged])
                if number % 8 == 0 and not again:
                    go_on(back / "log")
            except BaseException as error:
                error.add_note(f"cut {number}, {acknowledged} appends acknowledged, in {back}")
                raise
            done += 1
        shutil.rmtree(back)
    return done


OPENING = Scenario(None, ())


def opened(folder: Path, say: Say) -> None:
    OPENING.run(folder, say)


def come_back(folder: Path, scenario: Scenario, said: list[bytes]) -> None:
    with watched(unsynchronised):
        OPENING.run(folder, lambda _: None)
        hold(folder, scenario, said)


def unsynchronised(name: str, real: Any, arguments: tuple[Any, ...]) -> Any:
    return None if name == "synchronise" else real(*arguments)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_power_lost_at_every_step(scenario: str, tmp_path: Path) -> None:
    assert lose_power(SCENARIOS[scenario], tmp_path / "disk", contents=(1, 4), mixed=1) > 15


def test_power_lost_again_while_the_log_comes_back(tmp_path: Path) -> None:
    scenario = SCENARIOS["two appends to a settling"]
    assert lose_power(scenario, tmp_path / "disk", contents=(1,), mixed=0, again=25) > 30


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_power_lost_again_and_again(scenario: str, tmp_path: Path) -> None:
    assert lose_power(SCENARIOS[scenario], tmp_path / "disk", contents=(1, 4), mixed=2, again=3) > 50


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS | MORE)
def test_power_lost_to_many_adversaries(scenario: str, tmp_path: Path) -> None:
    assert lose_power((SCENARIOS | MORE)[scenario], tmp_path / "disk", contents=range(6), mixed=25) > 50
