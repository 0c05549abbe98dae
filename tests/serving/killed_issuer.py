"""A server's receipts over two keysets, counted by step; and as a process that kills itself at one of them:
``killed_issuer.py FOLDER STEP`` (-1: never), run by ``test_receipt_crashes.py``.

Steps are those of the journal on the disk, one in the middle of a record among them, and those of the log. What was
given out is said before anything else happens.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import made_inferences as made
from killing import Certified, Mortal, dying_at
from quatrefoil.audit import Log, TileLog
from quatrefoil.tlog import disk

Say = Callable[[dict[str, Any]], None]


def drive(folder: Path, log: Log, step: Callable[[], None], say: Say) -> None:
    """Recover what is there; then two keysets with seven receipts each, flushed by twos."""
    issuer = made.issuer(folder / "journal", Mortal(log, step), lambda: datetime.now(UTC))
    say({"recovered": issuer.recovered.logged})
    start, number = int(datetime.now(UTC).timestamp()), 10 + log.size
    for place in (number, number + 1):
        of = made.keyset(place, start)
        issuer.begin(of, made.key(place), made.attestation(of))
        for count in range(7):
            receipt = issuer.issue(made.REQUEST, made.ANSWER, 200, True)
            say({"receipt": receipt.hex(), "keyset": of.encode().hex()})
            if count % 2:
                issuer.flush()
    issuer.close()


def watch_the_journal(step: Callable[[], None], patch: Callable[[object, str, object], None]) -> None:
    """A step before each thing that is done to the journal's files; and one half-way through a record."""
    written = disk.write

    def write(descriptor: int, content: bytes) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().suffix != ".receipts":
            written(descriptor, content)
            return
        step()
        half = len(content) // 2
        written(descriptor, content[:half])
        step()
        written(descriptor, content[half:])

    patch(disk, "write", write)
    for name in ("create_appending", "remove"):
        done = getattr(disk, name)

        def counted(path: Path, done: Any = done) -> Any:
            if path.suffix == ".receipts":
                step()
            return done(path)

        patch(disk, name, counted)


def main(folder: Path, kill_at: int) -> None:
    step = dying_at(kill_at)
    certified = Certified(folder / "ca")
    with TileLog(folder / "party", certified.identity("ward", "workload"), certified.trust) as log:
        watch_the_journal(step, setattr)
        drive(folder, log, step, lambda what: print(json.dumps(what), flush=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
