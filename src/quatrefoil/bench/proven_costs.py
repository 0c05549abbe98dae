"""What proofs of answers cost on this host, for plans: proven and verified as ``quatrefoil proof`` does, and what audit
mode adds to a request as a server does.

Five models and batches are measured, each of which has more of one thing than another: inputs, sums that are rounded,
weights. What is predicted between and beyond them is the line through them. Weights are random: a proof takes no less
time for others. Commitments allow as many openings as those of ``quatrefoil model commit`` where nothing else is said:
a proof of one that allows fewer takes less.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from quatrefoil.bench.audit_mode import measure_audit_mode
from quatrefoil.bench.inference_prover import commit
from quatrefoil.errors import DependencyMissing
from quatrefoil.planner import AnswerCosts, Answered, AnsweredBytes, Availability, Costs, Recorded
from quatrefoil.planner.stopwatch import Watch
from quatrefoil.policy import PROVEN_ANSWERS
from quatrefoil.proofs.openings import USUAL_OPENINGS
from quatrefoil.quantised import IntegerGraph
from quatrefoil.quantised.graph import Input
from quatrefoil.quantised.steps import Dense, Requantise

Sizes: TypeAlias = tuple[int, ...]
"""Inputs, then outputs of each dense layer; all but the last are rounded."""

ONE_LAYER, NARROW, WIDE = (32, 1), (32, 32, 1), (1024, 1024, 1)
MANY, ROWS = 1 << 14, 1 << 12
"""Rows of the large batch of one layer, and of two; the small ones have one row."""

REQUESTS = ((30, 1), (30, 64), (784, 16))
"""Inputs of a row, and rows, of the requests in audit mode that are measured."""

_FIGURES = 3 * 5
_MOST = (USUAL_OPENINGS - 1) // 2 - 1
"""Proofs of one batch that one commitment is opened for: two batches of one model, and the range of its weights."""


def measure_answers(
    costs: Costs,
    available: Availability,
    *,
    seconds: float,
    threads: Sequence[int],
    progress: Callable[[str], None],
    clock: Callable[[], float] = time.perf_counter,
) -> Costs:
    """``costs`` with ``answers``; unchanged, and said so, where nothing is proven here."""
    if not available.has("proofs", PROVEN_ANSWERS):
        progress(f"proofs of answers: not measured: {available.absent['proofs', PROVEN_ANSWERS]}")
        return costs
    progress("requests in audit mode")
    try:
        recorded = recorded_of(measure_audit_mode(REQUESTS)["rows"])
    except DependencyMissing as missing:
        progress(f"proofs of answers: not measured: {missing}")
        return costs
    found = {}
    for count in threads:
        progress(f"proofs of answers, {count} thread(s)")
        found[f"{PROVEN_ANSWERS}/{count}"] = _measured(count, Watch(seconds / len(threads) / _FIGURES, clock), recorded)
    return replace(costs, answers=found)


def _measured(threads: int, watch: Watch, recorded: Recorded) -> AnswerCosts:
    seen: dict[tuple[Sizes, int], dict[str, float]] = {}
    for sizes, batches in ((ONE_LAYER, (1, MANY)), (NARROW, (1, ROWS)), (WIDE, (1,))):
        committed = commit(dense_graph(sizes), threads, USUAL_OPENINGS)
        random = np.random.default_rng(1)
        for rows in batches:
            given = random.normal(size=(rows, sizes[0]))
            proof = committed.prove(given)
            seen[sizes, rows] = {
                "verify_ms": watch.ms(lambda proof=proof, model=committed: model.verify(proof)),  # type: ignore[misc]
                "proof_bytes": float(len(proof)),
                "prove_ms": watch.ms(lambda given=given, model=committed: model.prove(given), most=_MOST - 1),  # type: ignore[misc]
            }
    figures = {name: {key: one[name] for key, one in seen.items()} for name in ("prove_ms", "verify_ms", "proof_bytes")}
    return AnswerCosts(
        prove_ms=line_of(figures["prove_ms"]),
        verify_ms=line_of(figures["verify_ms"]),
        proof_bytes=root_of(figures["proof_bytes"]),
        recorded_ms=recorded,
    )


def line_of(seen: dict[tuple[Sizes, int], float]) -> Answered:
    """Through the five. Noise may order two of them the wrong way: then flat."""
    small, many = seen[ONE_LAYER, 1], seen[ONE_LAYER, MANY]
    rounded, rounded_many, wide = seen[NARROW, 1], seen[NARROW, ROWS], seen[WIDE, 1]
    each_input = max(0.0, many - small) / (ONE_LAYER[0] * (MANY - 1))
    each_cell = max(0.0, rounded_many - rounded - each_input * NARROW[0] * (ROWS - 1)) / (NARROW[1] * (ROWS - 1))
    wider = each_cell * (WIDE[1] - NARROW[1]) + each_input * (WIDE[0] - NARROW[0])
    each_weight = max(0.0, wide - rounded - wider) / (_weights(WIDE) - _weights(NARROW))
    fixed = max(0.0, small - each_input * ONE_LAYER[0] - each_weight * _weights(ONE_LAYER))
    held = fixed + each_cell * NARROW[1] + each_input * NARROW[0] + each_weight * _weights(NARROW)
    return Answered(fixed, max(0.0, rounded - held), each_cell, each_input, each_weight)


def root_of(seen: dict[tuple[Sizes, int], float]) -> AnsweredBytes:
    """The same by square roots; inputs are not committed to."""
    small, rounded, rounded_many, wide = seen[ONE_LAYER, 1], seen[NARROW, 1], seen[NARROW, ROWS], seen[WIDE, 1]
    cell = math.sqrt(NARROW[1])
    each_cell = max(0.0, rounded_many - rounded) / (cell * (math.sqrt(ROWS) - 1))
    grown = math.sqrt(_weights(WIDE)) - math.sqrt(_weights(NARROW))
    each_weight = max(0.0, wide - rounded - each_cell * (math.sqrt(WIDE[1]) - cell)) / grown
    fixed = max(0.0, small - each_weight * math.sqrt(_weights(ONE_LAYER)))
    held = fixed + each_cell * cell + each_weight * math.sqrt(_weights(NARROW))
    return AnsweredBytes(fixed, max(0.0, rounded - held), each_cell, each_weight)


def recorded_of(rows: Sequence[dict[str, float]]) -> Recorded:
    """Through the three :data:`REQUESTS`, from what ``measure_audit_mode`` says of them."""
    one, some, wide = (sum(row[name] for name in ("trace_us", "commit_us", "keep_us")) / 1e3 for row in rows)
    (inputs, _), (_, many), (larger, few) = REQUESTS
    a_row = max(0.0, some - one) / (many - 1)
    each_value = max(0.0, wide - one - a_row * (few - 1)) / (few * (larger - inputs))
    each_row = max(0.0, a_row - each_value * inputs)
    return Recorded(max(0.0, one - each_row - each_value * inputs), each_row, each_value)


def dense_graph(sizes: Sizes) -> IntegerGraph:
    """Dense layers of 8 bits, of which no sum is too large to be exact."""
    random = np.random.default_rng(0)
    steps = []
    for number, (taken, given) in enumerate(pairwise(sizes)):
        weights = random.integers(-63, 64, (given, taken))
        last = number == len(sizes) - 2
        bias = np.zeros(given, np.int64)
        steps.append(Dense(f"layer {number}", (number,), weights, bias, None if last else Requantise(9, 0, 127)))
    return IntegerGraph(Input("input", sizes[:1], 5, -128, 127), tuple(steps), (5,) * len(sizes), "output")


def _weights(sizes: Sizes) -> int:
    return sum((taken + 1) * given for taken, given in pairwise(sizes))


__all__ = ["MANY", "REQUESTS", "ROWS", "dense_graph", "line_of", "measure_answers", "recorded_of", "root_of"]
