"""The whole run: parts one after another, none beside another, each finished one kept and not measured again."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from quatrefoil.bench.report import records
from quatrefoil.bench.report.apart import Apart
from quatrefoil.bench.report.parts import PARTS, Part, missing_commands
from quatrefoil.bench.report.records import RESULTS, Here, Kept
from quatrefoil.bench.report.running import Way, measure
from quatrefoil.errors import EvidenceRejected, HostError

State = Literal["measured", "kept", "older", "missing", "failed", "damaged", "not run"]

LOCK_SECONDS = 20.0
"""How long a run waits for what a killed one left running to end."""


@dataclass(frozen=True)
class Outcome:
    """What became of a part. ``kept``: its figures, where there are any; ``why``: where there are none, or where they
    are not of this version.

    ``measured`` in this run; ``kept`` from an earlier one that would measure the same; ``older``: with other code,
    options or peers, shown because only other parts were asked for; ``missing``: this version has no such command, or
    no Python that was named has the package that the part needs.
    """

    part: Part
    state: State
    kept: Kept | None = None
    why: str = ""


@dataclass(frozen=True)
class Progress:
    """What is said while it runs. ``number`` of ``count`` parts that are measured; ``left_s``: seconds still to go, by
    what parts take on two idle cores; ``line``: what the bench says it does, or "" where it begins."""

    part: Part
    number: int
    count: int
    left_s: float
    line: str


def measure_all(
    folder: Path,
    *,
    only: Sequence[Part],
    quick: bool,
    commands: Collection[tuple[str, ...]],
    program: tuple[str, ...],
    say: Callable[[Progress], None],
    apart: Mapping[str, Apart] | None = None,
) -> list[Outcome]:
    """An outcome for each of ``PARTS``. ``only``: the parts to measure, also those that are finished; none: whatever is
    not. ``commands``: those of this version; ``program``: what runs one, and ends when this process does; ``apart``: by
    package, what runs the parts that need it instead. What fails does not stop the rest."""
    elsewhere = apart or {}
    now = records.here({name: one.version for name, one in elsewhere.items()})
    with _alone(folder) as lock:
        before = {part.name: _looked_up(folder, part, quick, now) for part in PARTS}
        absent = missing_commands(PARTS, commands)
        homeless = {part.name for part in PARTS if part.apart not in elsewhere and not part.can_run_here()}
        due = [part for part in PARTS if _due(part, before[part.name], only) and part.name not in absent | homeless]
        outcomes = []
        for part in PARTS:
            if part.name in absent:
                why = f"this version has no command {' '.join(('quatrefoil', *part.command))}"
                outcomes.append(Outcome(part, "missing", why=why))
            elif part.name in homeless and before[part.name].kept is None:
                why = f"{part.apart} is not installed here, where the extra bench is: name a Python that has it"
                outcomes.append(Outcome(part, "missing", why=why))
            elif part not in due:
                outcomes.append(before[part.name])
            else:
                own = elsewhere[part.apart].program if part.apart in elsewhere else program
                outcomes.append(_measured(part, due, quick, folder, Way(own, lock), now, say))
        return outcomes


def _due(part: Part, found: Outcome, only: Sequence[Part]) -> bool:
    return part in only if only else found.state != "kept"


def _looked_up(folder: Path, part: Part, quick: bool, now: Here) -> Outcome:
    """What an earlier run left of a part."""
    try:
        kept = records.read(folder, part, now.machine)
    except EvidenceRejected as error:
        return Outcome(part, "damaged", why=error.problem)
    if kept is None:
        return Outcome(part, "not run", why="it was not asked for")
    if records.still_good(kept, part, quick, now):
        return Outcome(part, "kept", kept)
    return Outcome(part, "older", kept, why="measured with other code, options or peers than this version's")


def _measured(
    part: Part, due: Sequence[Part], quick: bool, folder: Path, way: Way, now: Here, say: Callable[[Progress], None]
) -> Outcome:
    number = due.index(part)
    began = time.monotonic()

    def told(line: str) -> None:
        rest = max(0.0, part.about(quick) - (time.monotonic() - began))
        left = rest + sum(other.about(quick) for other in due[number + 1 :])
        say(Progress(part, number + 1, len(due), left, line))

    told("")
    try:
        return Outcome(part, "measured", measure(part, quick, folder, way, now, told))
    except HostError as error:
        return Outcome(part, "failed", why=error.problem)


@contextmanager
def _alone(folder: Path) -> Iterator[int]:
    """Nobody else measures into ``folder`` meanwhile: two at once would measure each other."""
    try:
        (folder / RESULTS).mkdir(parents=True, exist_ok=True)
        lock = (folder / RESULTS / ".lock").open("ab")
    except OSError as error:
        raise HostError(
            f"{folder} cannot be used ({error.strerror})", hint="Name a folder that you may write"
        ) from None
    with lock:
        end = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > end:
                    raise HostError(
                        f"another run measures into {folder}", hint="Wait for it, or name another folder"
                    ) from None
                time.sleep(0.2)
        yield lock.fileno()


__all__ = ["Outcome", "Progress", "State", "measure_all"]
