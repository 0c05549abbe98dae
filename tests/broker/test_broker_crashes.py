"""The broker killed before and after every durable step, and started again on its disk."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from broker_drive import BrokerDrive, steps

from identities import START, Clock
from killing import Fuse
from quatrefoil.audit import PartyLog
from quatrefoil.transport import TrustAnchor
from support import Consortium, clock_at

STEPS = steps()
CRASHES = [
    pytest.param(at, after, id=f"{'after' if after else 'before'} {at}: {step}")
    for at, step in enumerate(STEPS)
    for after in (False, True)
]


def test_the_steps_are_the_documented_ones() -> None:
    """The log first, but for a revocation, which counts before it is logged."""
    asked, refused = ["replace 2"], ["log refusal", "replace 3"]
    assert [
        *("log resource", "replace 3"),
        *[*asked, "log lease", "replace 4"] * 2,
        *(*asked, "log resource", "replace 4"),
        *(*asked, *refused),
        *("replace 2", "log revocation", "replace 3"),
        *asked * 2,
        *refused * 2,
    ] == STEPS  # fmt: skip


@pytest.mark.parametrize(("at", "after"), CRASHES)
def test_it_goes_on_after_a_crash_at_any_step(at: int, after: bool) -> None:
    drive = BrokerDrive(Fuse(at, after)).run()
    drive.check()
    assert drive.deaths == 1, "the fuse did not burn"


@pytest.mark.parametrize("at", range(len(STEPS)))
@pytest.mark.parametrize("again", [1, 2])
def test_it_dies_again_while_it_starts_or_soon_after(at: int, again: int) -> None:
    class Twice(Fuse):
        def burn(self, what: str) -> bool:
            if len(self.steps) == at + again:
                self.at = at + again
            return super().burn(what)

    drive = BrokerDrive(Twice(at)).run()
    drive.check()
    assert drive.deaths >= 1


# ---------------------------------------------------------------------------------------------- a real kill, real files

CHILD = Path(__file__).parent / "killed_broker.py"


def child(folder: Path, *, kill_at: int) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(CHILD.parent), str(CHILD.parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, str(CHILD), str(folder), str(kill_at)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": path},
    )


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Identities as files, for processes that do not share this one's memory."""
    folder = tmp_path_factory.mktemp("certified")
    made = Consortium(folder / "ca", clock=clock_at(START - timedelta(hours=1)))
    for name, role in (("broker", "broker"), ("hospital", "silo"), ("worker", "workload")):
        made.identity(name, role)
    return folder / "ca"


@pytest.mark.parametrize("step", [0, 4, 7, 13, 15, 16])
def test_a_process_is_killed_and_goes_on_from_its_files(step: int, certified: Path, tmp_path: Path) -> None:
    """As a power failure would: SIGKILL at a durable step, on SQLite and log files, with the key under a root key."""
    shutil.copytree(certified, tmp_path / "ca")
    killed = child(tmp_path, kill_at=step)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    again = child(tmp_path, kill_at=-1)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["answers"] == 3
    log = PartyLog.in_folder(tmp_path / "party" / "log", TrustAnchor.load(tmp_path / "ca"), clock=Clock())
    kinds = [entry.kind for entry in log.entries()]
    assert kinds.count("lease") >= 2 and kinds.count("revocation") >= 1
