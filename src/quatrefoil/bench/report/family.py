"""Whatever a bench starts is ours: processes that outlive the ones that started them come to this one, which waits for
them, so that the time they took counts as the bench's and none is left running.

Otherwise they would come to the first process of the machine, with their time (wait(2), getrusage(2)). Where a system
has no ``PR_SET_CHILD_SUBREAPER`` (prctl(2)), they do.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_SET_CHILD_SUBREAPER, _GET_CHILD_SUBREAPER = 36, 37


@contextmanager
def family_of_what_starts() -> Iterator[Callable[[], None]]:
    """What is started inside and left behind, of however distant a descent, is killed and waited for: at the end, and
    whenever what is given is called."""
    before, there = _adopts(), set(_children())

    def end() -> None:
        # Whatever a process that is killed has started comes here in its place.
        while left := set(_children()) - there:
            for process in left:
                _end(process)

    _adopt(yes=True)
    try:
        yield end
    finally:
        end()
        _adopt(yes=before)


def _end(process: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(process, 0)


def _children() -> Iterator[int]:
    """Of this process, those that have ended and were not waited for included (proc_pid_stat(5))."""
    own = os.getpid()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == own:
                yield int(folder.name)


def _adopts() -> bool:
    found = ctypes.c_int(0)
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    return prctl is not None and prctl(_GET_CHILD_SUBREAPER, ctypes.byref(found), 0, 0, 0) == 0 and bool(found.value)


def _adopt(*, yes: bool) -> None:
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_SET_CHILD_SUBREAPER, int(yes), 0, 0, 0)


__all__ = ["family_of_what_starts"]
