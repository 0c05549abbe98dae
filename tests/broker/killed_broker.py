"""A broker on files, in a process that kills itself at a durable step: ``killed_broker.py FOLDER STEP`` (-1: never).

Run by ``test_broker_crashes.py``. FOLDER holds the certified identities, and keeps the state, the log and the root key.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

from broker_drive import BrokerDrive

import brokering
import identities
from killing import Certified, Fuse, Mortal, dying_at
from quatrefoil.audit import TileLog
from quatrefoil.broker import sealing_key
from quatrefoil.broker.root_file import FileRootKey
from quatrefoil.errors import CallerError
from quatrefoil.state import SqliteState


def main(folder: Path, kill_at: int) -> None:
    before = dying_at(kill_at)
    certified = Certified(folder / "ca")
    identities.consortium = lambda _: certified  # type: ignore[assignment]
    state = SqliteState(folder / "state.db")
    root = FileRootKey(bytes(range(32)))
    with contextlib.suppress(CallerError):  # an earlier process made it
        sealing_key.create(state, root, broker="broker")
    key = sealing_key.load(state, root, broker="broker")
    brokering.broker_key = lambda: key  # type: ignore[assignment]
    log = TileLog(folder / "party", certified.identity("broker", "broker"), certified.trust, clock=identities.Clock())
    drive = BrokerDrive(Fuse(), disk=Mortal(state, before), log=Mortal(log, before)).run()
    print(json.dumps({"answers": len(drive.answers)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
