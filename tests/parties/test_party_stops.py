"""How parties are stopped, and what they tell programs while they run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from process_memory import is_private, ordinary


def started(command: list[str], folder: Path, until: str) -> subprocess.Popen[str]:
    """A party in a process of its own, once it has said ``until``."""
    begun = ordinary([sys.executable, "-m", "quatrefoil.cli", *command])
    process = subprocess.Popen(begun, stderr=subprocess.PIPE, text=True, cwd=folder)
    assert process.stderr is not None
    for line in process.stderr:
        if until in line:
            return process
    raise AssertionError(f"it never said {until!r}")


@pytest.mark.parametrize("role", ["keeper", "aggregator", "silo"])
def test_a_party_leaves_no_core_file_and_its_memory_to_nobody(site, tmp_path, role):
    changes, until = ({}, "listens on") if role == "keeper" else ({"give_up": "never"}, "does not answer")
    process = started(site.command(role, tmp_path / "state", **changes), site.folder, until)
    try:
        assert is_private(process.pid)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_a_keeper_is_stopped_by_a_signal_and_ends_well(site, tmp_path, name):
    process = started(site.command("keeper", tmp_path / "state"), tmp_path, "keeper keeper listens on 127.0.0.1:")
    process.send_signal(name)
    _, rest = process.communicate(timeout=10)
    assert (process.returncode, rest) == (0, "")


@pytest.mark.parametrize(
    ("role", "name"), [("aggregator", signal.SIGTERM), ("aggregator", signal.SIGINT), ("silo", signal.SIGTERM)]
)
def test_a_party_that_waits_is_stopped_by_a_signal_and_says_that_it_goes_on(site, tmp_path, role, name):
    process = started(site.command(role, tmp_path / "state", give_up="never"), site.folder, "does not answer")
    process.send_signal(name)
    _, rest = process.communicate(timeout=30)
    assert (process.returncode, rest) == (0, "stopped: started again with the same --state it goes on\n")


def test_an_interrupt_of_a_silo_is_one_line(site, tmp_path):
    process = started(site.command("silo", tmp_path / "state", give_up="60"), site.folder, "does not answer")
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=30)
    assert (process.returncode, rest) == (1, "quatrefoil: interrupted\n")


def test_a_keeper_tells_programs_that_it_is_ready(site, tmp_path):
    command = [*site.command("keeper", tmp_path / "state", metrics="127.0.0.1:0"), "--log-format", "json"]
    process = started(command, tmp_path, '"message": "keeper keeper listens on 127.0.0.1:')
    process.terminate()
    _, rest = process.communicate(timeout=30)
    assert (process.returncode, rest) == (0, "")


def test_every_line_of_a_keeper_for_programs_is_one_object_the_warning_of_stand_ins_too(site, tmp_path):
    command = [*site.command("keeper", tmp_path / "state"), "--log-format", "json"]
    keeper = [sys.executable, "-m", "quatrefoil.cli", *command]
    with subprocess.Popen(keeper, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(json.loads(line))
            if "listens on" in line:
                process.terminate()
    assert {(line["level"], line["message"]) for line in said if "INSECURE" in line["message"]} == {
        ("warning", "INSECURE stand-in accepted by the policy: software-keeper")
    }
