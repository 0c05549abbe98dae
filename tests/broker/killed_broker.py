"""A broker on files, in a process that kills itself at a durable step: ``killed_broker.py FOLDER STEP`` (-1: never).

Run by ``test_broker_crashes.py``. FOLDER holds the certified identities, and keeps the state, the log and the root key.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from broker_drive import BrokerDrive

import brokering
import world as worlds
from killing import Fuse
from quatrefoil.audit import TileLog
from quatrefoil.broker import sealing_key
from quatrefoil.broker.root_file import FileRootKey
from quatrefoil.errors import CallerError
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
    """A disk or a log whose writes are counted; the process dies in the middle of one."""

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


def main(folder: Path, kill_at: int) -> None:
    left = kill_at

    def before() -> None:
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    certified = Certified(folder / "ca")
    worlds.consortium = lambda _: certified  # type: ignore[assignment]
    state = SqliteState(folder / "state.db")
    root = FileRootKey(bytes(range(32)))
    with contextlib.suppress(CallerError):  # an earlier process made it
        sealing_key.create(state, root, broker="broker")
    key = sealing_key.load(state, root, broker="broker")
    brokering.broker_key = lambda: key  # type: ignore[assignment]
    log = TileLog(folder / "party", certified.identity("broker", "broker"), certified.trust, clock=worlds.Clock())
    drive = BrokerDrive(Fuse(), disk=Mortal(state, before), log=Mortal(log, before)).run()
    print(json.dumps({"answers": len(drive.answers)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
