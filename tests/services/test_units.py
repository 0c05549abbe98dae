"""The units of systemd: correct as systemd reads them, hardened, and with commands that exist."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from quatrefoil.cli import parser

UNITS = sorted((Path(__file__).parents[2] / "packaging" / "systemd").glob("*.service"))
MOST_EXPOSED = 2.0
"""Of systemd's ten. What is left open is the network, which is the service."""

each_unit = pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name.partition("@")[0])

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def readable(unit: Path, folder: Path) -> Path:
    """The unit with a program that is there."""
    copy = folder / unit.name
    copy.write_text(unit.read_text().replace("/usr/bin/quatrefoil", "/bin/true"))
    return copy


def settings(unit: Path) -> list[tuple[str, str]]:
    lines = [line for line in unit.read_text().splitlines() if "=" in line and not line.startswith("#")]
    return [(name, value) for name, _, value in (line.partition("=") for line in lines)]


def test_each_service_has_a_unit() -> None:
    assert [unit.name for unit in UNITS] == [
        f"quatrefoil-{name}@.service" for name in ("aggregator", "broker", "keeper", "seat", "silo")
    ]


@each_unit
@needs_systemd
def test_systemd_understands_every_line(unit: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(readable(unit, tmp_path))], capture_output=True, text=True
    )
    assert [line for line in done.stderr.splitlines() if unit.name in line] == []


@each_unit
@needs_systemd
def test_systemd_finds_little_exposed(unit: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(readable(unit, tmp_path))],
        capture_output=True,
        text=True,
    )
    found = re.search(r"Overall exposure level for \S+: (\d+\.\d+)", done.stdout)
    if found is None:
        pytest.skip(f"systemd-analyze gives no level here ({done.stderr.strip()[:100]})")
    assert float(found[1]) <= MOST_EXPOSED


@each_unit
def test_the_command_is_one_that_there_is(unit: Path) -> None:
    (command,) = [value for name, value in settings(unit) if name == "ExecStart"]
    program, *arguments = shlex.split(command)
    assert program == "/usr/bin/quatrefoil" and arguments[-1] == "$OPTIONS"
    given = {
        "keeper": "--listen 127.0.0.1:1",
        "aggregator": "--listen 127.0.0.1:1 --keeper h:1 --silos a,b --workload w --initial i --job j",
        "silo": "--aggregator h:1 --train m:f --data d",
        "broker": "--listen 127.0.0.1:1 --root-key k",
        "flower": "",
    }[arguments[0]]
    parsed = parser().parse_args([*arguments[:-1], *given.split(), "--metrics", "127.0.0.1:9"])
    assert parsed.log_format == "json"


@each_unit
@pytest.mark.parametrize(
    "line",
    ["Type=notify", "DynamicUser=yes", "ProtectSystem=strict", "NoNewPrivileges=yes", "LimitCORE=0", "UMask=0077"],
)
def test_what_has_to_be_there(unit: Path, line: str) -> None:
    assert line in unit.read_text().splitlines()


@each_unit
def test_a_watchdog_is_longer_than_the_loop_may_stand_in_a_call(unit: Path) -> None:
    waits = [int(value) for name, value in settings(unit) if name == "WatchdogSec"]
    assert len(waits) == ("silo" not in unit.name and "seat" not in unit.name)
    assert all(wait >= 60 for wait in waits)
