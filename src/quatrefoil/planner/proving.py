"""Proofs of a model's answers, as a plan has them: where there can be any, how many receipts are drawn, what that
catches, and what it is predicted to take. A pure function of phase, policy and costs.

A model in integers answers in audit mode, so that each receipt commits to what was computed; of the receipts a share is
drawn that nobody chooses, and the operator proves those answers when nobody waits (docs/audit-proofs.md). Limits stand
here, so that planning needs no kernel; a test holds them to what proves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any

from quatrefoil.catching import SHARES, caught
from quatrefoil.planner.costs import AnswerCosts
from quatrefoil.policy import Policy
from quatrefoil.workload import MODELLED, Phase

LARGEST_BATCH = 1 << 14
"""Rows that one proof is about."""

LEAST_INPUTS, MOST_INPUTS = 2, 1 << 20
"""Values that a layer takes which is proven, and that a field hash is about."""

LARGEST_SAMPLE = 1 << 16
"""Receipts that one sample draws."""


@dataclass(frozen=True)
class Proven:
    """Of one pass, and done after it. ``receipts``: of answers; ``drawn`` of them at least; ``rows``: that are proven,
    in ``proofs`` proofs. ``proof_bytes``: of all of these, without receipts, inputs and outputs in the files beside
    them."""

    share: float
    receipts: int
    drawn: int
    rows: int
    proofs: int
    prove_ms: float
    verify_ms: float
    proof_bytes: int

    @property
    def ms(self) -> float:
        return self.prove_ms + self.verify_ms

    def caught(self, share: float) -> float:
        """The chance that at least one is drawn of so large a share of false answers; the least is one."""
        return caught(self.receipts, self.drawn, share).probability

    def to_json(self) -> dict[str, Any]:
        """Plain values; keys are named in docs/planner.md."""
        return {
            "share": self.share,
            "receipts": self.receipts,
            "drawn": self.drawn,
            "rows": self.rows,
            "proofs": self.proofs,
            "prove_ms": round(self.prove_ms, 4),
            "verify_ms": round(self.verify_ms, 4),
            "proof_bytes": self.proof_bytes,
            "caught": {f"{share:g}": round(self.caught(share), 6) for share in SHARES},
        }


def unprovable(phase: Phase, policy: Policy) -> str:
    """Why answers of ``phase`` cannot be proven; "" where they can."""
    if phase.kind not in MODELLED:
        return f"it proves answers of a model with weights, and {phase.kind} phases have none"
    if phase.model != "integers":
        return (
            'the phase does not say model = "integers": nothing proves what a float model computes, or one that nobody '
            "has committed to (quatrefoil model quantise, quatrefoil model commit)"
        )
    if not LEAST_INPUTS <= (inputs := shape(phase).inputs) <= MOST_INPUTS:
        return f"answers are proven of models of {LEAST_INPUTS} to {MOST_INPUTS} inputs, not {inputs}"
    if (rows := _rows(phase)) > LARGEST_BATCH:
        return f"one proof is about at most {LARGEST_BATCH} rows, and the table has {rows}"
    if (number := drawn(_receipts(phase), policy.proven_share)) > LARGEST_SAMPLE:
        return f"a sample draws at most {LARGEST_SAMPLE} receipts, and inference.proven_share is {number} of a pass"
    return ""


@dataclass(frozen=True)
class Shape:
    """Of one answer of a model in integers. ``cells``: sums that it rounds; ``weights``: integers that it has
    learned."""

    inputs: int
    cells: int
    weights: int


def shape(phase: Phase) -> Shape:
    """A linear model is one layer, which rounds nothing."""
    if phase.kind == "score":
        return Shape(phase.parameters, 0, phase.parameters)
    return Shape(phase.inputs, phase.cells, phase.weights)


def drawn(receipts: int, share: float) -> int:
    """At least one. The share is the number as it is written, so that 7 in 100 of 100 are 7."""
    return ceil(Fraction(repr(share)) * receipts)


def predicted(phase: Phase, policy: Policy, costs: AnswerCosts) -> Proven:
    """Each request of an ``infer`` phase is one row; a table that is scored is one request."""
    receipts = _receipts(phase)
    number = drawn(receipts, policy.proven_share)
    rows = number * _rows(phase)
    full, rest = divmod(rows, LARGEST_BATCH)
    sizes = [LARGEST_BATCH] * min(full, 1) + [rest] * (rest > 0)
    counts = [full] * min(full, 1) + [1] * (rest > 0)
    of = shape(phase)

    def summed(name: str) -> float:
        figure = getattr(costs, name)
        return math.fsum(
            count * figure.at(rows, of.inputs, of.cells, of.weights) for count, rows in zip(counts, sizes, strict=True)
        )

    return Proven(
        share=policy.proven_share,
        receipts=receipts,
        drawn=number,
        rows=rows,
        proofs=sum(counts),
        prove_ms=summed("prove_ms"),
        verify_ms=summed("verify_ms"),
        proof_bytes=round(summed("proof_bytes")),
    )


def recorded_ms(phase: Phase, costs: AnswerCosts) -> float:
    """What audit mode adds to all requests of a pass: inputs and outputs are committed to, and a record is kept."""
    return _receipts(phase) * costs.recorded_ms.at(_rows(phase), shape(phase).inputs)


def _receipts(phase: Phase) -> int:
    """Of one pass."""
    return phase.batch if phase.kind == "infer" else 1


def _rows(phase: Phase) -> int:
    """Of one request."""
    return phase.batch if phase.kind == "score" else 1


__all__ = [
    "LARGEST_BATCH",
    "LARGEST_SAMPLE",
    "LEAST_INPUTS",
    "MOST_INPUTS",
    "Proven",
    "Shape",
    "drawn",
    "predicted",
    "recorded_ms",
    "shape",
    "unprovable",
]
