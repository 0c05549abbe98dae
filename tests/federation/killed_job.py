"""A whole job on files, in a process that kills itself at a durable step: ``killed_job.py FOLDER STEP`` (-1: never).

Run by ``test_crashes.py``, which puts this folder and the one above it on the path. FOLDER holds the certified
identities and keeps every party's state and log.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from crashing import Drive

import world as worlds
from killing import Fuse
from quatrefoil.audit import TileLog
from quatrefoil.state import SqliteState
from quatrefoil.transport import Identity, TrustAnchor


class Certified:
    """What ``support.Consortium`` wrote, read again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.trust = TrustAnchor.load(folder)

    def identity(self, name: str, role: str) -> Identity:
        return Identity.load(self._folder / "identities" / f"{role}-{name}")


class Mortal:
    """A disk or a log whose writes are counted over all parties; the process dies in the middle of one."""

    def __init__(self, inner: Any, before: Callable[[], None]) -> None:
        self._inner = inner
        self._before = before

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in ("put_once", "replace", "append", "append_all"):
            return found

        def counted(*arguments: Any) -> Any:
            self._before()
            return found(*arguments)

        return counted


def main(folder: Path, kill_at: int, limits: dict[str, object]) -> None:
    left = kill_at

    def before() -> None:
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    certified = Certified(folder / "ca")
    worlds.consortium = lambda _: certified  # type: ignore[assignment]
    world = worlds.World(names=worlds.NAMES[:3], rounds=2, limits=limits)
    for name in world.states:
        world.states[name] = Mortal(SqliteState(folder / f"{name}.db"), before)
        role = {"hub": "aggregator", "keeper": "keeper"}.get(name, "silo")
        log = TileLog(folder / name, certified.identity(name, role), certified.trust, clock=world.clock)
        world.logs[name] = Mortal(log, before)
    world.silos = {name: world.make_silo(name) for name in world.names}
    world.enrolments = world.make_enrolments()
    drive = Drive(world, "keeper", Fuse(), disk=world.states["keeper"], log=world.logs["keeper"]).run()
    drive.witness.check()
    print(json.dumps({"rounds": world.aggregator.rounds_done, "moved": world.moved()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3]))
