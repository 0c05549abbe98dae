"""Run tasks to their results: what is there and holds is kept, the rest is computed, and what fails is told of.

Property: a result in the outcome passed the caller's check in this run, whoever wrote its file. A run that is killed or
interrupted at any moment leaves whole results or none, and the next one computes what lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from quatrefoil.errors import EvidenceRejected, HostError, QuatrefoilError
from quatrefoil.offline.results import Results, opened
from quatrefoil.offline.task import Executor, Failed, Prove, Task

Check: TypeAlias = Callable[[Task, bytes], object]
"""Raises a ``QuatrefoilError`` where these bytes are not the result of this task; what it returns is not looked at."""


@dataclass(frozen=True)
class Step:
    """What happened to ``task``: "kept" (its result was there), "refused" (what was there is none, and ``detail`` says
    why), "done" or "failed" (``detail``: why). ``done``, ``failed`` and ``total`` count tasks so far."""

    task: Task
    what: str
    detail: str
    done: int
    failed: int
    total: int


Progress: TypeAlias = Callable[[Step], None]


@dataclass(frozen=True)
class Outcome:
    """``results``: the file of each task that has one. ``kept``: those that were there before. ``failed``: why others
    have none. In the order of the tasks."""

    results: dict[Task, Path]
    kept: frozenset[Task]
    failed: dict[Task, str]

    def require(self) -> dict[Task, Path]:
        """The results of all tasks, or ``HostError`` with the reason of the first that failed."""
        for task, why in self.failed.items():
            more = f" ({len(self.failed) - 1} more failed)" if len(self.failed) > 1 else ""
            raise HostError(f"{task}: {why}{more}", hint="Mend that and run it again: what is done is kept")
        return self.results


def run(
    tasks: Sequence[Task], prove: Prove, folder: Path, progress: Progress, *, check: Check, executor: Executor
) -> Outcome:
    """Every task's result in ``folder``. Tasks of the same content are one. ``check`` decides about each result, found
    or computed. ``HostError`` where the folder cannot be used or another run has it; an interrupt ends all processes
    and is raised on."""
    wanted = list({task.name: task for task in tasks}.values())
    with opened(folder) as results:
        state = _Run(wanted, results, check, progress)
        missing = [task for task in wanted if not state.keep(task)]
        with closing(executor.answers(prove, missing)) as answers:
            for task, answer in answers:
                state.take(task, answer)
    return state.outcome(tasks)


class _Run:
    def __init__(self, tasks: Sequence[Task], results: Results, check: Check, progress: Progress) -> None:
        self._total = len(tasks)
        self._results = results
        self._check = check
        self._progress = progress
        self._done: dict[str, Path] = {}
        self._kept: set[str] = set()
        self._failed: dict[str, str] = {}

    def keep(self, task: Task) -> bool:
        """Whether its result is there and holds."""
        content = self._results.read(task)
        if content is None:
            return False
        if problem := self._problem(task, content):
            self._say(task, "refused", problem)
            return False
        self._done[task.name] = self._results.file(task)
        self._kept.add(task.name)
        self._say(task, "kept", "")
        return True

    def take(self, task: Task, answer: bytes | Failed) -> None:
        problem = answer.reason if isinstance(answer, Failed) else self._problem(task, answer)
        if isinstance(answer, Failed) or problem:
            self._failed[task.name] = problem
            self._say(task, "failed", problem)
            return
        self._done[task.name] = self._results.write(task, answer)
        self._say(task, "done", "")

    def _problem(self, task: Task, content: bytes) -> str:
        try:
            self._check(task, content)
        except QuatrefoilError as error:
            return str(error)
        return ""

    def _say(self, task: Task, what: str, detail: str) -> None:
        self._progress(Step(task, what, detail, len(self._done), len(self._failed), self._total))

    def outcome(self, tasks: Sequence[Task]) -> Outcome:
        lost = [task for task in tasks if task.name not in self._done and task.name not in self._failed]
        if lost:
            raise EvidenceRejected(f"the executor gave no answer for {lost[0]}", hint="Run it again, with another")
        return Outcome(
            {task: self._done[task.name] for task in tasks if task.name in self._done},
            frozenset(task for task in tasks if task.name in self._kept),
            {task: self._failed[task.name] for task in tasks if task.name in self._failed},
        )


__all__ = ["Check", "Outcome", "Progress", "Step", "run"]
