"""What the system is told of a process that holds keys: no core file of it, and no end of it without its child's."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from collections.abc import Callable

_SET_PDEATHSIG, _SET_DUMPABLE = 1, 4
"""prctl(2)."""


def no_core_file() -> None:
    """Neither of this process nor of what it starts; and no other process of its user may read its memory.

    The limit is inherited. Where a program is told of crashes instead (core(5)), it is asked nothing of this process;
    a new program in a child (execve(2)) has to say that again for itself.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl()(_SET_DUMPABLE, 0, 0, 0, 0)


def dies_with_this_process() -> Callable[[], None]:
    """To be called in a new child before it runs its program: it is killed when this process ends, however that is."""
    prctl, parent = _prctl(), os.getpid()

    def arrange() -> None:
        prctl(_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it has ended before it could be asked for
            os._exit(1)

    return arrange


def ends_with_its_parent(parent: int, sent: signal.Signals) -> None:
    """This process gets the signal ``sent`` when ``parent``, the process that started it, ends."""
    _prctl()(_SET_PDEATHSIG, sent, 0, 0, 0)
    if os.getppid() != parent:  # it has ended before it could be asked for
        signal.raise_signal(sent)


def _prctl() -> Callable[..., int]:
    """prctl(2), or where a system has none, nothing that can be asked."""
    found: Callable[..., int] = getattr(ctypes.CDLL(None), "prctl", lambda *_: -1)
    return found


__all__ = ["dies_with_this_process", "ends_with_its_parent", "no_core_file"]
