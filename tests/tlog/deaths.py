"""kill -9 at every step of an append: before it, after it, and, where it writes, half-way through it.

    python -m tests.tlog.deaths SCENARIO [--all]

A process of its own, without threads, so that it may fork. Each child does the whole scenario and says through a pipe
what was acknowledged; it is killed at one step, by a signal that nothing catches. What it leaves is then looked at as
an auditor would, and opened in a new process. Prints how many children were killed; raises where anything is lost.

Synchronising is left out: what a killed process has written stays in the memory of the system. tests/tlog/power.py is
for what does not.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.tlog.scenarios import MORE, SCENARIOS, Scenario, go_on, hold
from tests.tlog.steps import watched


class Killing:
    """Numbers steps from 1, and ends the process at one of them. ``how``: before, half, after."""

    def __init__(self, at: int, how: str) -> None:
        self._at = at
        self._how = how
        self.done: list[str] = []

    def around(self, name: str, real: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        self.done.append(name)
        dies = len(self.done) == self._at
        if dies and self._how == "before":
            die()
        if dies and self._how == "half":
            descriptor, content = arguments
            real(descriptor, bytes(content)[: len(content) // 2])
            die()
        found = None if name == "synchronise" else real(*arguments)
        if dies:
            die()
        return found


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def in_child(work: Callable[[int], None]) -> tuple[int, list[bytes]]:
    """The status of a child that does ``work`` with a descriptor to write to, and the lines that it wrote."""
    sink, source = reversed(os.pipe())
    child = os.fork()
    if not child:
        try:
            os.close(source)
            work(sink)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
    os.close(sink)
    with os.fdopen(source, "rb") as pipe:
        said = pipe.read()
    return os.waitpid(child, 0)[1], [bytes.fromhex(line.decode()) for line in said.split()]


def steps_of(scenario: Scenario, folder: Path) -> list[str]:
    """The names of its steps, where nothing kills it."""
    counted = Killing(0, "")
    with watched(counted.around):
        scenario.run(folder, lambda _: None)
    return counted.done


def killed(scenario: Scenario, folder: Path, at: int, how: str) -> list[bytes]:
    """What a child had acknowledged when it was killed."""

    def work(sink: int) -> None:
        with watched(Killing(at, how).around):
            scenario.run(folder, lambda checkpoint: say(sink, checkpoint))

    status, said = in_child(work)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, "it ended before it was killed"
    return said


def say(sink: int, checkpoint: bytes) -> None:
    os.write(sink, checkpoint.hex().encode() + b"\n")


def enumerate_kills(scenario: Scenario, hows: Sequence[str], work: Path) -> int:
    """At every step. How many children were killed."""
    prepared = work / "prepared"
    scenario.prepare(prepared)
    count = 0
    for number, name in enumerate(steps_of(scenario, copied(prepared, work / "whole")), start=1):
        for how in hows:
            if how == "half" and name != "write":
                continue
            folder = copied(prepared, work / f"{number}-{how}")
            said = killed(scenario, folder, number, how)
            try:
                look(folder, scenario, said)
                if number % 4 == 0:
                    went_on, _ = in_child(lambda _, log=folder: go_on(log))
                    assert went_on == 0, "it does not go on"
            except BaseException as error:
                error.add_note(f"killed {how} step {number}, {name}, with {len(said)} appends acknowledged")
                raise
            shutil.rmtree(folder, ignore_errors=True)
            count += 1
    return count


def copied(prepared: Path, folder: Path) -> Path:
    if prepared.exists():
        shutil.copytree(prepared, folder)
    return folder


def look(folder: Path, scenario: Scenario, said: list[bytes]) -> None:
    """As an auditor finds it, then as the next process does."""
    if (folder / "checkpoint").exists():
        hold(folder, scenario, said, opened=False)
    else:
        assert scenario.there is None and not said, "the checkpoint is gone"
    opened, _ = in_child(lambda _: Scenario(None, ()).run(folder, lambda _: None))
    assert opened == 0, "it cannot be opened again"
    hold(folder, scenario, said)


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill a log at every step.")
    parser.add_argument("scenario", choices=[*SCENARIOS, *MORE])
    parser.add_argument("--all", action="store_true", help="after each step too, which is before the next but for us")
    options = parser.parse_args()
    hows = ("before", "half", "after") if options.all else ("before", "half")
    with tempfile.TemporaryDirectory() as name, watched(Killing(0, "").around):
        print(enumerate_kills((SCENARIOS | MORE)[options.scenario], hows, Path(name)))


if __name__ == "__main__":
    main()
