"""A server killed at every step between a receipt and its place in the log, and started again on its files."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.serving.killed_issuer import drive, watch_the_journal

from killing import Killed
from quatrefoil.audit import Entry, MemoryLog, PartyLog, serving_log
from quatrefoil.audit.inference_receipts import InferenceReceipt, verify
from quatrefoil.audit.serving_log import ENDED, INFERENCE, KEYS
from quatrefoil.audit.verification import examine
from quatrefoil.enclave.binding import Keyset
from quatrefoil.transport import TrustAnchor
from support import Consortium

STEPS = 71
"""Of a run that nothing stops."""


def given_out(said: list[dict[str, Any]]) -> list[InferenceReceipt]:
    return [
        verify(bytes.fromhex(one["receipt"]), Keyset.decode(bytes.fromhex(one["keyset"])))
        for one in said
        if "receipt" in one
    ]


def logged(entries: Iterable[tuple[Entry, bytes]]) -> list[InferenceReceipt]:
    """Receipts as the log has them; after every keyset was found to have ended, once."""
    served, found, ended = {}, [], []
    for entry, keyset in entries:
        if entry.kind == KEYS:
            served[entry.body["keyset"]] = serving_log.served_from(entry.body, keyset)
        elif entry.kind == INFERENCE:
            found.append(serving_log.receipt_from(entry.body, served[entry.body["keyset"]]))
        elif entry.kind == ENDED:
            ended.append(entry.body["keyset"])
    assert sorted(ended) == sorted(served)
    return found


def require_once(given: list[InferenceReceipt], found: list[InferenceReceipt], deaths: int) -> None:
    """Nothing that was given out is missing, nothing is there twice; and of what was written whole and then not given
    out, there is at most one a death."""
    assert len({one.digest() for one in found}) == len(found)
    assert [one for one in given if one not in found] == []
    assert len(found) - len(given) <= deaths


# ---------------------------------------------------------------------------------------------- at each step, in memory


class Lives:
    """Processes one after another on a folder and a log; the first ones die at the steps that are given."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log = MemoryLog()
        self.said: list[dict[str, Any]] = []
        self._folder = folder
        self._patch = monkeypatch

    def live(self, kill_at: int) -> int:
        """How many steps it made."""
        steps = 0

        def step() -> None:
            nonlocal steps
            if steps == kill_at:
                raise Killed
            steps += 1

        with self._patch.context() as patch:
            watch_the_journal(step, patch.setattr)
            drive(self._folder, self.log, step, self.said.append)
        return steps

    def check(self, deaths: int) -> None:
        entries = list(self.log.entries())
        attached = [self.log.payload(one.attached["keyset"].sha256) if one.kind == KEYS else b"" for one in entries]
        require_once(given_out(self.said), logged(zip(entries, attached, strict=True)), deaths)
        assert list((self._folder / "journal").iterdir()) == []


@pytest.fixture
def lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lives:
    return Lives(tmp_path, monkeypatch)


def test_without_a_death_everything_is_logged(lives: Lives) -> None:
    assert lives.live(-1) == STEPS
    lives.check(0)


@pytest.mark.parametrize("at", range(STEPS))
def test_what_was_given_out_is_logged_once(at: int, lives: Lives) -> None:
    with pytest.raises(Killed):
        lives.live(at)
    lives.live(-1)
    lives.check(1)


@pytest.mark.parametrize("at", [9, 22, 30, 33, 50])
@pytest.mark.parametrize("again", range(6))
def test_it_dies_again_while_it_recovers_or_soon_after(at: int, again: int, lives: Lives) -> None:
    for place in (at, again):
        with pytest.raises(Killed):
            lives.live(place)
    lives.live(-1)
    lives.check(2)


# ---------------------------------------------------------------------------------------------- a real kill, real files

CHILD = Path(__file__).parent / "killed_issuer.py"


def child(folder: Path, *, kill_at: int) -> tuple[int, list[dict[str, Any]], str]:
    path = os.pathsep.join([str(CHILD.parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(CHILD), str(folder), str(kill_at)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": path},
    )
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certified") / "ca"
    Consortium(folder).identity("ward", "workload")
    return folder


@pytest.mark.parametrize("step", [4, 12, 15, 66])
def test_a_process_is_killed_and_another_goes_on_from_its_files(step: int, certified: Path, tmp_path: Path) -> None:
    """SIGKILL while a record is half written, before and after the log took over, and while the keyset ends."""
    shutil.copytree(certified, tmp_path / "ca")
    code, said, err = child(tmp_path, kill_at=step)
    assert code == -signal.SIGKILL, err
    given = given_out(said)
    code, said, err = child(tmp_path, kill_at=-1)
    assert code == 0, err
    log = PartyLog.in_folder(tmp_path / "party" / "log", TrustAnchor.load(tmp_path / "ca"))
    entries = (
        (one, log.payload("keyset", one.attached["keyset"]) if one.kind == KEYS else b"") for one in log.entries()
    )
    require_once([*given, *given_out(said)], logged(entries), 1)
    trust = tmp_path / "ca" / "root.pem"
    verdict = examine(tmp_path / "party", trust=trust, policy=None, relied=None, at=datetime.now(UTC)).verdict
    assert {one.name: one.detail for one in verdict.failed} == {}
