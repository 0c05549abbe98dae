"""What plans predict of proofs of answers beside proofs that are made: milliseconds to prove and to verify, and bytes.

The models are not those that costs were measured on. On both sides one thread, medians, and commitments that allow as
many openings as those of ``quatrefoil model commit``.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from quatrefoil.bench.inference_models import Case, lenet, perceptron, wide
from quatrefoil.bench.inference_prover import commit
from quatrefoil.errors import DependencyMissing
from quatrefoil.planner import AnswerCosts, Costs
from quatrefoil.policy import PROVEN_ANSWERS
from quatrefoil.proofs import inference
from quatrefoil.proofs.openings import USUAL_OPENINGS
from quatrefoil.quantised import IntegerGraph, program_of, quantise

Progress = Callable[[str], None]
Row = dict[str, Any]

THREADS = 1
LEAST_RUNS, MOST_RUNS = 3, USUAL_OPENINGS - 2
"""Proofs of one commitment that are timed. Of what it allows the range of its weights takes one, and the first proof
another, which is made cold and not counted."""

VERIFIED = 3
"""Times for each proof: it takes so little that one says nothing."""

FIGURES = ("prove_ms", "verify_ms", "proof_bytes")
"""Of each row, what is predicted."""


@dataclass(frozen=True)
class Batch:
    make: Callable[[], Case]
    rows: tuple[int, ...]


BATCHES = (Batch(perceptron, (1, 1024)), Batch(lambda: wide(512), (1024,)), Batch(lenet, (256,)))
QUICK = (Batch(lambda: perceptron(8, 1), (1, 4)), Batch(lambda: wide(32), (4,)), Batch(lambda: lenet(1), (1,)))


def measure_predicted_proofs(
    costs: Costs, repeats: int, reach: float, progress: Progress, *, quick: bool = False
) -> dict[str, Any]:
    """``rows``: one for each model and batch; ``within`` of ``compared`` figures of them are predicted within
    ``reach``. ``problem``: why there are none; "" where there are."""
    answers = costs.at(THREADS).answers.get(f"{PROVEN_ANSWERS}/{THREADS}")
    found, problem = [], ""
    if answers is None:
        problem = "the costs hold no figures of proofs of answers: see what quatrefoil calibrate says of them"
    else:
        try:
            found = _rows(
                answers, QUICK if quick else BATCHES, max(LEAST_RUNS, min(repeats, MOST_RUNS)), reach, progress
            )
        except DependencyMissing as missing:
            problem = str(missing)
    if problem:
        progress(f"proofs of answers: not compared: {problem}")
    said = [row[f"{name}_within"] for row in found for name in FIGURES]
    return {"within": sum(said), "compared": len(said), "problem": problem, "rows": found}


def _rows(answers: AnswerCosts, batches: Sequence[Batch], runs: int, reach: float, progress: Progress) -> list[Row]:
    found = []
    for batch in batches:
        case = batch.make()
        graph = quantise(case.model, case.samples)
        for rows in batch.rows:
            progress(f"proofs of answers: {case.name}, {_counted(rows)}")
            found.append(compared_proof(case.name, graph, rows, answers, _measured(case, graph, rows, runs), reach))
    return found


def _measured(case: Case, graph: IntegerGraph, rows: int, runs: int) -> dict[str, list[float]]:
    """Each of :data:`FIGURES`, of each run."""
    model, inputs = commit(graph, THREADS, USUAL_OPENINGS), case.batch(rows)
    model.verify(model.prove(inputs))
    found: dict[str, list[float]] = {name: [] for name in FIGURES}
    for _ in range(runs):
        ms, proof = _timed(lambda: model.prove(inputs))
        found["prove_ms"].append(ms)
        found["proof_bytes"].append(float(len(proof)))
        found["verify_ms"] += [_timed(lambda proof=proof: model.verify(proof))[0] for _ in range(VERIFIED)]  # type: ignore[misc]
    return found


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    begin = time.perf_counter()
    result = work()
    return (time.perf_counter() - begin) * 1e3, result


def compared_proof(
    name: str, graph: IntegerGraph, rows: int, answers: AnswerCosts, seen: dict[str, list[float]], reach: float
) -> Row:
    """``seen``: each of :data:`FIGURES`, of all runs. ``*_ratio``: of the prediction to their median."""
    row: Row = {
        "shape": f"{name}, {_counted(rows)}",
        "model": name,
        "rows": rows,
        "inputs": graph.inputs,
        "cells": graph.cells,
        "weights": graph.weights,
        "committed": _committed(graph, rows),
        "openings": USUAL_OPENINGS,
        "threads": THREADS,
        "runs": len(seen["prove_ms"]),
    }
    for figure in FIGURES:
        predicted = getattr(answers, figure).at(rows, graph.inputs, graph.cells, graph.weights)
        measured = statistics.median(seen[figure])
        ratio = predicted / measured
        row |= {f"predicted_{figure}": predicted, figure: measured}
        row |= {f"{figure}_ratio": ratio, f"{figure}_within": abs(ratio - 1) <= reach}
    return row


def _committed(graph: IntegerGraph, rows: int) -> dict[str, int]:
    """What the cost goes by in steps: columns of the batch and of the weights, each of so many entries."""
    shape = inference.shape(program_of(graph).content, USUAL_OPENINGS, rows, hidden=False)
    return {
        "columns": shape["base_columns"] + 2 * shape["inverse_columns"],
        "entries": shape["rows"],
        "weights_columns": shape["weights_columns"],
        "weights_entries": shape["weights_rows"],
    }


def _counted(rows: int) -> str:
    return f"{rows:,} row{'s' if rows > 1 else ''}"


__all__ = [
    "BATCHES",
    "FIGURES",
    "LEAST_RUNS",
    "MOST_RUNS",
    "QUICK",
    "Batch",
    "compared_proof",
    "measure_predicted_proofs",
]
