"""Where commands take the costs of this machine from: a file that is named, the one that is kept, or a short look."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from quatrefoil import machine, stack
from quatrefoil.planner import Availability, Costs
from quatrefoil.planner.costs import staleness

SECONDS = 1.5
"""Of the look that is taken where nothing is kept."""


def place() -> Path:
    """Where ``quatrefoil calibrate`` keeps its file where none is named (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    # A relative path is invalid by the specification, and to be ignored.
    folder = Path(base) if base and Path(base).is_absolute() else Path.home() / ".config"
    return folder / "quatrefoil" / "costs.json"


@dataclass(frozen=True)
class Kept:
    """``file``: where ``costs`` came from, None where they were measured now. ``stale``: why they say little of this
    machine today, "" where they are fresh."""

    costs: Costs
    file: Path | None
    stale: str

    @property
    def warning(self) -> str:
        """For people; "" where nothing is to be said."""
        return f"the costs in {self.file} are stale: {self.stale}. Run quatrefoil calibrate again" if self.stale else ""

    def to_json(self) -> dict[str, Any]:
        return {
            "file": None if self.file is None else str(self.file),
            "version": self.costs.version,
            "measured_at": self.costs.measured_at,
            "measured_on": dict(self.costs.measured_on),
            "threads": self.costs.threads,
            "stale": self.stale or None,
        }


def kept_or_measured(
    named: Path | None,
    available: Availability,
    kinds: Collection[str],
    tell: Callable[[str], None],
    *,
    proven: bool = False,
) -> Kept:
    """The costs in the file that is ``named``, or in the one that is kept, or measured now for phases of ``kinds``, of
    which answers may be ``proven``.

    A file that is damaged is ``PolicyInvalid``, also the kept one: nothing else is taken in its place."""
    file = named or (place() if place().exists() else None)
    if file is None:
        tell(
            f"no costs of this machine are kept ({place()}): measuring this host for about {SECONDS:g} s. "
            "quatrefoil calibrate does it once, for longer, and keeps them"
        )
        costs = stack.measure_host(available, seconds=SECONDS, kinds=kinds)
        if proven:
            from quatrefoil.bench.proven_costs import measure_answers  # what serves, which other plans do without

            costs = measure_answers(costs, available, seconds=SECONDS, threads=(1,), progress=tell)
        return Kept(costs, None, "")
    costs = Costs.load(file)
    return Kept(costs, file, staleness(costs, time.time(), machine.describe(), metadata.version("quatrefoil")))


__all__ = ["Kept", "kept_or_measured", "place"]
