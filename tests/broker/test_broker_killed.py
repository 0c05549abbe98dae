"""The broker's program killed at each of its steps and messages, while an owner and measured code ask what they need.

The steps enumerate themselves (``mortal``). Whoever asks asks again, as people and programs do, until it is answered.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mortal_steps
from broker_room import Room, Running
from logs import entries_of
from quatrefoil import cli
from quatrefoil.demo.processes import free_port
from software_tpm import needs_tpm, software_tpm
from support import Consortium

pytestmark = [needs_tpm, pytest.mark.slow]

SOON = 600.0
"""Seconds that are never waited in full: a broker has some fifty lives."""


class MortalRoom(Room):
    """Everybody's files, and a broker that dies and starts itself again."""

    def process(self, line: str) -> Running:
        if not line.startswith("broker run"):
            return super().process(line)
        fate = self.folder / "fate"
        fate.mkdir()
        return Running(self.folder, [sys.executable, mortal_steps.PROGRAM, str(fate), *line.split()])

    def asked(self, line: str, who: str = "hospital") -> dict[str, Any]:
        """The answer to a command, asked until there is one."""
        target = self.folder / "answer.json"
        command = f"broker {line} --identity {who} --root root.pem --broker 127.0.0.1:{self.port} --json {target}"
        end = time.monotonic() + SOON
        while cli.main(command.split()) != 0:
            assert time.monotonic() < end and self.broker.poll() is None, line
        return dict(json.loads(target.read_text()))

    def held(self, file: str, mark: str) -> None:
        """Measured code gets the key, and ends; it is started again until it has."""
        end = time.monotonic() + SOON
        while self.holding(file, mark, 0.1).wait(SOON) != 0:
            assert time.monotonic() < end and self.broker.poll() is None, mark

    @property
    def deaths(self) -> list[str]:
        return (self.folder / "fate" / "died").read_text().splitlines()


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MortalRoom]:
    monkeypatch.chdir(tmp_path)
    with software_tpm() as machine:
        made = MortalRoom(tmp_path, machine, Consortium(tmp_path / "ca"))
        new = "broker new --identity vault --root root.pem --state vault-state --root-key vault.key"
        assert cli.main(new.split()) == 0
        made.port = free_port()
        made.start()
        try:
            yield made
        finally:
            made.kill()


def test_a_broker_killed_at_each_of_its_steps_loses_nothing_and_gives_nothing_twice(room: MortalRoom) -> None:
    """What was registered stays, every lease is in the log, and after a revocation there is none."""
    assert cli.main(["model", "key", "owner.pem"]) == 0
    room.asked("key --out vault.cert --appraisal machine.toml --collateral collateral")
    room.asks = room.asked  # type: ignore[method-assign]
    slow, other = room.sealed("slow", 3600), room.sealed("other", 3600)
    for number in range(3):
        room.held("slow.sealed", f"held-{number}")
    room.asked(f"revoke resource {slow} --reason lost")
    assert room.holding("slow.sealed", "late", 0.1).wait(SOON) == 1 and not (room.folder / "late").exists()
    room.held("other.sealed", "other")
    assert {one["resource"] for one in room.asked("resources")["resources"]} == {slow, other}
    leases = room.asked("leases")["leases"]
    room.kill()
    entries = entries_of(room.folder / "vault-state" / "log")
    logged = [one for one in entries if one.kind == "lease"]
    assert {one["lease"] for one in leases} <= {one.body["lease"] for one in logged}
    (revoked,) = {one.index for one in entries if one.kind == "revocation"}
    assert not [one for one in logged if one.index > revoked and one.body["resource"] == slow]
    assert mortal_steps.STEPS["broker"] - {one.split(" ", 1)[1] for one in room.deaths} == set(), "a step was not met"
