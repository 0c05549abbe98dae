"""A whole job on files, in a process that kills itself at a durable step: ``killed_job.py FOLDER STEP`` (-1: never).

Run by ``test_crashes.py``, which puts this folder and the one above it on the path. FOLDER holds the certified
identities and keeps every party's state and log.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from crashing import Drive

import identities
from killing import Certified, Fuse, Mortal, dying_at
from quatrefoil.audit import TileLog
from quatrefoil.state import SqliteState
from world import NAMES, World


def main(folder: Path, kill_at: int, limits: dict[str, object]) -> None:
    before = dying_at(kill_at)
    certified = Certified(folder / "ca")
    identities.consortium = lambda _: certified  # type: ignore[assignment]
    world = World(names=NAMES[:3], rounds=2, limits=limits)
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
