"""What a proof of a bounded update costs its silo and the aggregator, beside the encryption and a training.

Times are the best of several repetitions, in milliseconds. ``expand_a_ms`` is spent once a round, not once a proof.
"""

from __future__ import annotations

import itertools
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quatrefoil import _core
from quatrefoil.aggregation import AdditiveAggregation, ParameterSet
from quatrefoil.contracts import BoundedUpdate, FurtherClaims, HiddenUpdate, PartNorm, SumShape
from quatrefoil.errors import ParametersRefused
from quatrefoil.federation.directions import entries_of
from quatrefoil.proofs import BoundedUpdateProofs

CLIP = 0.2
WEIGHT = 0.125
PARAMETER_SET = "sum-256-w16"
REPETITIONS = 5

FEATURES, CLASSES = 784, 10
SAMPLES, BATCH = 1_024, 32


def measure_proof(
    parameters: int,
    threads: int,
    progress: Callable[[str], None],
    *,
    level: str | None = None,
    parts: int = 0,
    direction: bool = False,
) -> dict[str, Any]:
    """Prove and verify one update of ``parameters`` float32 values with ``threads`` threads.

    ``parts``: how many norms of equal parts are proven besides, and ``direction`` whether agreement with one is.

    ``level``: the copy of the loops, one of ``levels()``; by default the best. ``threads_ratio``: how many times as
    fast as one thread, both in turns. ``peak_rss_mb``: the most memory that the process has held up to the last
    verification, in 10^6 bytes; ``start_rss_mb``: that before the first proof. ``training_ms``: one epoch of 1,024
    samples through a perceptron of about as many parameters, in NumPy, with the threads that NumPy takes. Raises
    ``ParametersRefused``.
    """
    with _limited_to(level):
        progress(f"encrypt {parameters} float32")
        case = _Case.of(parameters, threads, parts=parts, direction=direction)
        (encrypting,) = in_turns(REPETITIONS, case.encrypt)
        (expanding,) = in_turns(
            REPETITIONS, lambda: BoundedUpdateProofs(case.chosen, threads=threads).prepare(case.shape)
        )
        start = _peak_bytes()
        progress(f"prove, {threads} thread(s)" + (", and one" if threads > 1 else ""))
        provers = [case.backend] if threads == 1 else [case.backend, case.with_threads(1)]
        proving = in_turns(REPETITIONS, *(lambda prover=prover: case.prove(prover) for prover in provers))
        proof = case.prove(case.backend)
        progress("verify")
        (verifying,) = in_turns(3 * REPETITIONS, lambda: case.backend.verify(case.statement, proof))
        peak = _peak_bytes()
        progress("train one epoch, for scale")
        (training,) = in_turns(1, lambda: _one_epoch(parameters))
    ciphertext = case.statement.ciphertext
    return {
        "backend": case.backend.scheme,
        "level": level or levels()[0],
        "parameters": parameters,
        "threads": threads,
        "parts": parts,
        "direction": direction,
        "encrypt_ms": encrypting.best_ms,
        "expand_a_ms": expanding.best_ms,
        "prove_ms": proving[0].best_ms,
        "prove_cpu_ms": proving[0].cpu_ms,
        "one_thread_ms": proving[-1].best_ms,
        "threads_ratio": proving[-1].best_ms / proving[0].best_ms,
        "verify_ms": verifying.best_ms,
        "proof_bytes": len(proof),
        "ciphertext_bytes": len(ciphertext),
        "proof_over_ciphertext": len(proof) / len(ciphertext),
        "soundness_bits": case.backend.verify(case.statement, proof).soundness_bits,
        "start_rss_mb": start / 1e6,
        "peak_rss_mb": peak / 1e6,
        "training_ms": training.best_ms,
        "trained_parameters": training.result,
        "prove_over_encrypt": proving[0].best_ms / encrypting.best_ms,
        "prove_over_training": proving[0].best_ms / training.best_ms,
    }


def measure_levels(parameters: int, threads: int, progress: Callable[[str], None]) -> list[dict[str, Any]]:
    """A row for every copy of the loops that runs here, the best first: the same proof at each, in turns.

    ``prove_over_best`` and ``verify_over_best`` are ratios of processor time, which other work on the machine disturbs
    least; ``prove_ms`` and ``verify_ms`` are on the clock. Raises ``ParametersRefused``.
    """
    case = _Case.of(parameters, threads)
    proof = case.prove(case.backend)

    def at(level: str, work: Callable[[], object]) -> Callable[[], object]:
        def limited() -> object:
            _core.limit_proofs(level)
            return work()

        return limited

    with _limited_to(None):
        progress(f"prove at {', '.join(levels())}, {threads} thread(s)")
        proving = in_turns(REPETITIONS, *(at(level, lambda: case.prove(case.backend)) for level in levels()))
        progress("verify")
        verify = [at(level, lambda: case.backend.verify(case.statement, proof)) for level in levels()]
        verifying = in_turns(3 * REPETITIONS, *verify)
    return [
        {
            "level": level,
            "parameters": parameters,
            "threads": threads,
            "prove_ms": proved.best_ms,
            "prove_cpu_ms": proved.cpu_ms,
            "prove_over_best": proved.cpu_ms / proving[0].cpu_ms,
            "verify_ms": verified.best_ms,
            "verify_cpu_ms": verified.cpu_ms,
            "verify_over_best": verified.cpu_ms / verifying[0].cpu_ms,
        }
        for level, proved, verified in zip(levels(), proving, verifying, strict=True)
    ]


def levels() -> list[str]:
    """The copies of the prover's loops that run on this processor, the best first."""
    return _core.proof_levels()


@contextmanager
def _limited_to(level: str | None) -> Iterator[None]:
    """Within it, the whole process uses no copy of the loops above this one; afterwards the best again."""
    if level is not None and level not in levels():
        raise ParametersRefused(f"no level {level!r} on this processor", hint=f"It has {', '.join(levels())}.")
    _core.limit_proofs(level or levels()[0])
    try:
        yield
    finally:
        _core.limit_proofs(levels()[0])


@dataclass(frozen=True)
class _Case:
    """One update, encrypted, and what is to be proven of it."""

    chosen: ParameterSet
    shape: SumShape
    values: NDArray[np.float32]
    backend: BoundedUpdateProofs
    aggregation: AdditiveAggregation
    statement: BoundedUpdate
    hidden: HiddenUpdate

    @classmethod
    def of(cls, parameters: int, threads: int, *, parts: int = 0, direction: bool = False) -> _Case:
        if not 0 <= parts <= parameters:
            raise ParametersRefused(f"{parts} parts of {parameters} values", hint="Choose a number like 8")
        if parameters < 1:
            raise ParametersRefused(f"{parameters} parameters are not at least 1", hint="Choose a number like 1048576")
        chosen = ParameterSet.named(PARAMETER_SET)
        aggregation = AdditiveAggregation(chosen, threads=threads)
        backend = BoundedUpdateProofs(chosen, threads=threads)
        shape = SumShape(parameters, CLIP, bytes(32))
        values = update(parameters)
        bound = backend.bound(float(np.linalg.norm(values.astype(np.float64))), weight=WEIGHT, shape=shape)
        encrypted, hidden = aggregation.encrypt_for_proof(values, weight=WEIGHT, shape=shape)
        backend.prepare(shape)
        ends = [parameters * part // max(parts, 1) for part in range(parts + 1)]
        bounds = tuple(PartNorm(first, end, bound) for first, end in itertools.pairwise(ends))
        agreed = backend.direction(entries_of(values.astype(np.float64))) if direction else None
        further = FurtherClaims(bounds, agreed)
        statement = BoundedUpdate(shape, encrypted.ciphertext, bound, bytes(32), further)
        return cls(chosen, shape, values, backend, aggregation, statement, hidden)

    def with_threads(self, threads: int) -> BoundedUpdateProofs:
        backend = BoundedUpdateProofs(self.chosen, threads=threads)
        backend.prepare(self.shape)
        return backend

    def encrypt(self) -> object:
        return self.aggregation.encrypt_for_proof(self.values, weight=WEIGHT, shape=self.shape)

    def prove(self, backend: BoundedUpdateProofs) -> bytes:
        return backend.prove(self.statement, self.hidden)


@dataclass
class Taken:
    """Milliseconds of the fastest repetition, on the clock and of processor time, and the last result."""

    best_ms: float = float("inf")
    cpu_ms: float = float("inf")
    result: Any = None


def in_turns(repetitions: int, *works: Callable[[], object]) -> list[Taken]:
    """What each took, the best of several turns: a moment when the machine is busy meets all of them."""
    taken = [Taken() for _ in works]
    for _ in range(repetitions):
        for work, one in zip(works, taken, strict=True):
            wall, cpu = time.perf_counter(), time.process_time()
            one.result = work()
            one.best_ms = min(one.best_ms, (time.perf_counter() - wall) * 1e3)
            one.cpu_ms = min(one.cpu_ms, (time.process_time() - cpu) * 1e3)
    return taken


def update(parameters: int) -> NDArray[np.float32]:
    """Values such as training leaves, always the same."""
    generator = np.random.default_rng(7)
    limit = np.float32(0.999 * CLIP)
    values: NDArray[np.float32] = generator.standard_normal(parameters, dtype=np.float32) * np.float32(0.05)
    return values.clip(-limit, limit)


def _one_epoch(parameters: int) -> int:
    """Train a perceptron with one hidden layer on random data; how many parameters it has."""
    hidden = max(1, round((parameters - CLASSES) / (FEATURES + 1 + CLASSES)))
    generator = np.random.default_rng(7)
    inputs = generator.standard_normal((SAMPLES, FEATURES), dtype=np.float32)
    labels = np.eye(CLASSES, dtype=np.float32)[generator.integers(CLASSES, size=SAMPLES)]
    first = generator.standard_normal((FEATURES, hidden), dtype=np.float32) * np.float32(0.03)
    second = generator.standard_normal((hidden, CLASSES), dtype=np.float32) * np.float32(0.03)
    biases = [np.zeros(hidden, np.float32), np.zeros(CLASSES, np.float32)]
    rate = np.float32(0.01)
    for start in range(0, SAMPLES, BATCH):
        batch, wanted = inputs[start : start + BATCH], labels[start : start + BATCH]
        active = np.tanh(batch @ first + biases[0])
        scores = active @ second + biases[1]
        likely = np.exp(scores - scores.max(axis=1, keepdims=True))
        error = (likely / likely.sum(axis=1, keepdims=True) - wanted) / np.float32(BATCH)
        back = (error @ second.T) * (1 - active**2)
        second -= rate * (active.T @ error)
        first -= rate * (batch.T @ back)
        biases[0] -= rate * back.sum(axis=0)
        biases[1] -= rate * error.sum(axis=0)
    return first.size + second.size + hidden + CLASSES


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


__all__ = ["in_turns", "levels", "measure_levels", "measure_proof", "update"]
