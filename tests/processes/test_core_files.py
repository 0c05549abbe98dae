"""No core file of a process that holds keys or somebody's data, whichever command it runs."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from process_memory import is_private, ordinary
from quatrefoil import cli

COMMAND = """
import json, sys
from argparse import Namespace
from quatrefoil import cli

def stand_still(_):
    print("here", flush=True)
    sys.stdin.readline()

class Parsed:
    def parse_args(self, _):
        return Namespace(**json.loads(sys.argv[1]), run=stand_still)

cli.parser = Parsed
sys.exit(cli.main())
"""
"""The program of any command, stopped where the command itself would begin."""


def commands(
    parser: argparse.ArgumentParser, names: tuple[str, ...] = (), told: dict[str, object] | None = None
) -> Iterator[tuple[str, dict[str, object]]]:
    """Every command, with what its parser tells the program about it."""
    told = {**(told or {}), **{name: value for name, value in parser._defaults.items() if not callable(value)}}
    below = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
    if not below:
        yield " ".join(names), told
    for one in below:
        for name, inner in one.choices.items():
            yield from commands(inner, (*names, name), told)


SECRET = {
    name: told
    for name, told in commands(cli.parser())
    if name.split()[0] not in ("demo", "plan", "calibrate", "bench", "doctor", "security-level", "simulate")
}
"""All but those that hold nothing of anybody's."""


@pytest.fixture
def standing(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    told = json.dumps(request.param)
    command = ordinary([sys.executable, "-c", COMMAND, told])
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stdout.readline() == "here\n"
        yield process
    finally:
        process.communicate("")


KINDS = {json.dumps(told, sort_keys=True): told for told in SECRET.values()}
"""What is told of a command is all that the program knows before it runs it: those that are told the same run alike."""


@pytest.mark.parametrize("name", sorted(SECRET))
def test_every_command_is_told_to_leave_no_core_file(name: str) -> None:
    assert SECRET[name]["holds_secrets"] is True


@pytest.mark.parametrize("standing", KINDS.values(), indirect=True, ids=range(len(KINDS)))
def test_a_command_leaves_no_core_file_and_its_memory_to_nobody(standing: subprocess.Popen[str]) -> None:
    assert is_private(standing.pid)


@pytest.mark.parametrize("standing", [{"holds_secrets": False}], indirect=True)
def test_what_holds_nothing_is_as_it_was_started(standing: subprocess.Popen[str]) -> None:
    """So that the test above can fail."""
    assert not is_private(standing.pid)


LONG = ("keeper", "aggregator", "silo", "flower seat", "broker run", "broker hold", "serve", "proxy", "relay")


@pytest.mark.parametrize("name", LONG)
def test_what_runs_for_long_is_among_them(name: str) -> None:
    assert name in SECRET
