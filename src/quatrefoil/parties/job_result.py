"""What came out of a job, at its aggregator: for people a table, for programs JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape

from quatrefoil.audit.dsse import Envelope
from quatrefoil.audit.provenance import read
from quatrefoil.federation.aggregator import Aggregator
from quatrefoil.output import table
from quatrefoil.planner import Plan


@dataclass(frozen=True)
class RoundResult:
    """``ms``: how long it took; None for a round of an earlier process on this state."""

    number: int
    contributors: tuple[str, ...]
    error_bound: float
    ms: float | None

    def to_json(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "contributors": list(self.contributors),
            "error_bound": self.error_bound,
            "ms": None if self.ms is None else round(self.ms, 3),
        }


def rounds_of(aggregator: Aggregator, rounds: int, round_ms: Mapping[int, float]) -> list[RoundResult]:
    """The rounds that are finished, of ``rounds``."""
    finished = [aggregator.finished(number) for number in range(1, rounds + 1)]
    return [
        RoundResult(one.number, tuple(one.contributors), one.error_bound, round_ms.get(one.number))
        for one in finished
        if one is not None
    ]


@dataclass(frozen=True)
class JobResult:
    """``costs``: what each layer took; ``upper``: of the job above, in a tree; ``seconds``: of this process's run."""

    job: str
    plan: Plan
    rounds: Sequence[RoundResult]
    channels: Sequence[Mapping[str, str]]
    costs: Sequence[Mapping[str, Any]]
    upper: Mapping[str, Any] | None
    provenance: Envelope
    seconds: float

    def show(self, out: Console) -> None:
        rows = [(str(one.number), ", ".join(one.contributors), f"{one.error_bound:.2e}") for one in self.rounds]
        title = escape(f"Job {self.job}, {self.seconds:.1f} s")
        out.print(table(title, ("round", "added", "error at most"), rows))

    def to_json(self) -> dict[str, Any]:
        return {
            "job": self.job,
            "plan": self.plan.to_json(),
            "rounds": [one.to_json() for one in self.rounds],
            "channels": list(self.channels),
            "costs": list(self.costs),
            "insecure": list(self.plan.insecure),
            "upper": self.upper,
            "provenance": {
                "statement": self.provenance.digest.hex(),
                "model": read(self.provenance).model.quatrefoil_model_v1.hex(),
                "signatures": len(self.provenance.signatures),
            },
            "seconds": round(self.seconds, 3),
        }


__all__ = ["JobResult", "RoundResult", "rounds_of"]
