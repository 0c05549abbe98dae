"""What tests have computed in other processes, which import it by its name."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
from pathlib import Path

from quatrefoil.errors import EvidenceRejected, ProofRejected
from quatrefoil.proving import Processes, Step, Task, run, threads


def task(content: str, label: str = "") -> Task:
    return Task(content.encode(), label)


def hashed(task: Task) -> bytes:
    return hashlib.sha512(task.content).digest()


def holds(task: Task, result: bytes) -> None:
    if result != hashed(task):
        raise EvidenceRejected("the result is of something else", hint="Compute it again")


def anything(task: Task, result: bytes) -> None:
    """A check for tests of what lies before it."""


def quiet(step: Step) -> None:
    """Nobody follows."""


def by_content(task: Task) -> bytes:
    """The right result, or what the content asks for."""
    match task.content.partition(b" ")[0]:
        case b"raise":
            raise ProofRejected("the witness does not fit", hint="Quantise again")
        case b"divide":
            return bytes(1 // 0)
        case b"lines":
            raise ValueError("one\ntwo\x1b[2J")
        case b"killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case b"exits":
            os._exit(3)
        case b"leaves":
            sys.exit(4)
        case b"text":
            return "text"  # type: ignore[return-value]
        case b"wrong":
            return b"wrong"
    return hashed(task)


def never(task: Task) -> bytes:
    raise AssertionError("what is there is not computed again")


def share(task: Task) -> bytes:
    return f"{threads()} {os.environ['OMP_NUM_THREADS']} {os.environ['RAYON_NUM_THREADS']}".encode()


class Slow:
    """Each after some time, in a process that leaves its number in the folder."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self.folder, self.seconds = folder, seconds

    def __call__(self, task: Task) -> bytes:
        (self.folder / f"{os.getpid()}.pid").touch()
        with (self.folder / "computed").open("a") as file:
            file.write(f"{task.content.decode()}\n")
        time.sleep(self.seconds)
        return hashed(task)


def main() -> None:
    """A run that a test kills: FOLDER SCRATCH."""
    folder, scratch = map(Path, sys.argv[1:])
    tasks = [task(f"slow {number}") for number in range(8)]
    run(tasks, Slow(scratch, 0.4), folder, quiet, check=holds, executor=Processes(2, 1))


if __name__ == "__main__":
    main()
