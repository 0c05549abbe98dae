"""A task, who computes it, and what comes back: the one interface of executors."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from quatrefoil.errors import CallerError, QuatrefoilError

_LABEL = b"quatrefoil offline task 1\n"


@dataclass(frozen=True)
class Task:
    """``content``: everything that the result follows from, the kind of task among it. ``label``: for people."""

    content: bytes
    label: str = ""

    @property
    def name(self) -> str:
        """64 hexadecimal digits that follow from the content: the same task has the same result file in every run."""
        return hashlib.sha256(_LABEL + self.content).hexdigest()

    def __str__(self) -> str:
        return self.label or self.name[:16]


Prove: TypeAlias = Callable[[Task], bytes]
"""Computes a result, in a process of its own: a function of a module, or a picklable object. It may use :func:`threads`
threads. What it raises is the reason that is reported."""


@dataclass(frozen=True)
class Failed:
    """Why there is no result, in one line."""

    reason: str


Answer: TypeAlias = tuple[Task, bytes | Failed]


class Executor(Protocol):
    """Where tasks are computed."""

    def answers(self, prove: Prove, tasks: Sequence[Task]) -> Generator[Answer, None, None]:
        """One answer for each task, as they come. One that fails stops no other. Closing the generator ends whatever
        still computes, before it returns."""


_own_threads: int | None = None


def threads() -> int:
    """How many threads a task may use here: the share of this process, or all cores where nothing was shared out."""
    return _own_threads or cores()


def share_threads(number: int) -> None:
    """Say what :func:`threads` is to answer in this process, and what libraries that are loaded later may use."""
    global _own_threads
    _own_threads = number
    os.environ.update(thread_variables(number))


def thread_variables(number: int) -> dict[str, str]:
    """What libraries of linear algebra and of Rust ask for the number of their threads, when they are loaded."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
    return dict.fromkeys(names, str(number))


def cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def reason(error: BaseException) -> str:
    """Why, for a report."""
    return one_line(str(error) if isinstance(error, QuatrefoilError) else f"{type(error).__name__}: {error}")


def one_line(text: str) -> str:
    """Without what moves a cursor: reasons come from other processes."""
    return "".join(character if character.isprintable() else " " for character in text)[:2000]


def require_number(number: int | None, what: str) -> None:
    if number is not None and number < 1:
        raise CallerError(f"{number} {what} compute nothing", hint=f"Give at least 1, or leave {what} out")
