"""What a proof of a bounded update costs its silo and the aggregator, beside the encryption and a training.

Times are the best of several repetitions, in milliseconds. ``expand_a_ms`` is spent once a round, not once a proof.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from quatrefoil.aggregation import AdditiveAggregation, ParameterSet
from quatrefoil.contracts import BoundedUpdate, SumShape
from quatrefoil.errors import ParametersRefused
from quatrefoil.proofs import BoundedUpdateProofs

Result = TypeVar("Result")

CLIP = 0.2
WEIGHT = 0.125
PARAMETER_SET = "sum-256-w16"
REPETITIONS = 5

FEATURES, CLASSES = 784, 10
SAMPLES, BATCH = 1_024, 32


def measure_proof(parameters: int, threads: int, progress: Callable[[str], None]) -> dict[str, Any]:
    """Prove and verify one update of ``parameters`` float32 values with ``threads`` threads.

    ``peak_rss_mb``: the most memory that the process has held up to the last verification, in 10^6 bytes;
    ``start_rss_mb``: that before the first proof. ``training_ms``: one epoch of 1,024 samples through a perceptron of
    about as many parameters, in NumPy, with the threads that NumPy takes.
    """
    if parameters < 1:
        raise ParametersRefused(f"{parameters} parameters are not at least 1", hint="Choose a number like 1048576")
    chosen = ParameterSet.named(PARAMETER_SET)
    aggregation = AdditiveAggregation(chosen, threads=threads)
    backend = BoundedUpdateProofs(chosen, threads=threads)
    shape = SumShape(parameters, CLIP, bytes(32))
    values = _update(parameters)
    bound = backend.bound(float(np.linalg.norm(values.astype(np.float64))), weight=WEIGHT, shape=shape)

    progress(f"encrypt {parameters} float32")
    encrypt_ms, (encrypted, hidden) = _best(
        lambda: aggregation.encrypt_for_proof(values, weight=WEIGHT, shape=shape), REPETITIONS
    )
    statement = BoundedUpdate(shape, encrypted.ciphertext, bound, bytes(32))
    expand_ms, _ = _best(lambda: BoundedUpdateProofs(chosen, threads=threads).prepare(shape), REPETITIONS)
    backend.prepare(shape)
    start = _peak_bytes()
    progress(f"prove, {threads} thread(s)")
    prove_ms, proof = _best(lambda: backend.prove(statement, hidden), REPETITIONS)
    progress("verify")
    verify_ms, verified = _best(lambda: backend.verify(statement, proof), 3 * REPETITIONS)
    peak = _peak_bytes()
    progress("train one epoch, for scale")
    training_ms, trained = _best(lambda: _one_epoch(parameters), 1)
    return {
        "backend": backend.scheme,
        "parameters": parameters,
        "threads": threads,
        "encrypt_ms": encrypt_ms,
        "expand_a_ms": expand_ms,
        "prove_ms": prove_ms,
        "verify_ms": verify_ms,
        "proof_bytes": len(proof),
        "ciphertext_bytes": len(encrypted.ciphertext),
        "proof_over_ciphertext": len(proof) / len(encrypted.ciphertext),
        "soundness_bits": verified.soundness_bits,
        "start_rss_mb": start / 1e6,
        "peak_rss_mb": peak / 1e6,
        "training_ms": training_ms,
        "trained_parameters": trained,
        "prove_over_encrypt": prove_ms / encrypt_ms,
        "prove_over_training": prove_ms / training_ms,
    }


def _update(parameters: int) -> NDArray[np.float32]:
    generator = np.random.default_rng(7)
    limit = np.float32(0.999 * CLIP)
    values: NDArray[np.float32] = generator.standard_normal(parameters, dtype=np.float32) * np.float32(0.05)
    return values.clip(-limit, limit)


def _best(work: Callable[[], Result], repetitions: int) -> tuple[float, Result]:
    """Milliseconds of the fastest repetition, and the last result."""
    best = float("inf")
    for _ in range(repetitions):
        start = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - start)
    return best * 1e3, result


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


__all__ = ["measure_proof"]
