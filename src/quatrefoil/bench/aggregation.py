"""What an encrypted sum costs, beside a plain one and beside a peer, in the same run on the same data.

Times are the best of several repetitions, in milliseconds. One silo's work is ``encrypt_ms`` + ``serialise_ms``; the
others are the work for all silos together. ``overhead`` is one silo's work plus everything at the server, over plain.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quatrefoil.aggregation import AdditiveAggregation, CkksAggregation, CkksSumSet, ParameterSet
from quatrefoil.bench.tenseal_peer import measure_tenseal
from quatrefoil.contracts import PrivateAggregation, SumShape
from quatrefoil.errors import DependencyMissing, ParametersRefused

CLIP = 0.2
REPETITIONS = 25
PARAMETER_SETS = ("sum-256-w16", "sum-2048-w32", "sum-32-w12")
CKKS_SET = "ckks-sum-4096"
CKKS_REPETITIONS = 3
"""It takes some tens of times as long."""

Progress = Callable[[str], None]
Row = dict[str, Any]
Updates = list[NDArray[np.float32]]


def measure(parameters: int, silos: int, threads: int, progress: Progress) -> list[Row]:
    """One row for each parameter set that holds the roster, of ours and in CKKS, and one for the peer ``tenseal``; the
    last two where what they need is installed, which ``progress`` is told otherwise.

    ``parameters``: float32 values in an update; ``silos``: how many updates are added, 2 to 2,048.
    """
    if parameters < 1:
        raise ParametersRefused(f"{parameters} parameters are not at least 1", hint="Choose a number like 1000000")
    sets = [p for p in map(ParameterSet.named, PARAMETER_SETS) if 2 <= silos <= p.max_silos]
    if not sets:
        raise ParametersRefused(f"{silos} silos are in no parameter set", hint="Choose 2 to 2048 silos")
    updates = _updates(parameters, silos)
    progress(f"plain sum of {silos} x {parameters} float32")
    plain_ms = _plain(updates)
    rows = []
    for chosen in sets:
        progress(f"additive RLWE, {chosen.name}, {threads} thread(s)")
        rows.append(
            _row(
                f"additive-rlwe/{chosen.name}",
                updates,
                plain_ms,
                threads,
                _measured(updates, AdditiveAggregation(chosen, threads=threads), REPETITIONS),
            )
        )
    others = _ckks(updates, plain_ms, progress)
    try:
        progress("TenSEAL CKKS as NVFlare configures it (N=8192, [60, 40, 40], symmetric)")
        measured = measure_tenseal(updates, threads, _exact_mean(updates))
        others.append(_row("tenseal", updates, plain_ms, threads, measured))
    except DependencyMissing as error:
        progress(str(error))
    silo_ms = rows[0]["encrypt_ms"] + rows[0]["serialise_ms"]
    for other in others:
        other["encrypt_serialise_over_additive"] = (other["encrypt_ms"] + other["serialise_ms"]) / silo_ms
    return [*rows, *others]


def _ckks(updates: Updates, plain_ms: float, progress: Progress) -> list[Row]:
    chosen = CkksSumSet.named(CKKS_SET)
    if len(updates) > chosen.max_silos:
        progress(f"{chosen.name} adds at most {chosen.max_silos} silos, so it is not measured")
        return []
    try:
        backend = CkksAggregation(chosen)
    except DependencyMissing as error:
        progress(str(error))
        return []
    progress(f"CKKS on SEAL with a fresh key a silo, {chosen.name}, 1 thread")
    return [_row(f"ckks/{chosen.name}", updates, plain_ms, 1, _measured(updates, backend, CKKS_REPETITIONS))]


def _updates(parameters: int, silos: int) -> Updates:
    generator = np.random.default_rng(7)
    limit = np.float32(0.999 * CLIP)
    drawn = (generator.standard_normal(parameters, dtype=np.float32) * np.float32(0.05) for _ in range(silos))
    return [np.clip(update, -limit, limit) for update in drawn]


def _exact_mean(updates: Updates) -> NDArray[np.float64]:
    total = np.zeros(len(updates[0]))
    for update in updates:
        total += update
    return total / len(updates)


def _plain(updates: Updates) -> float:
    """Milliseconds of the float32 sum and its division by the number of silos."""
    best = float("inf")
    for _ in range(REPETITIONS):
        start = time.perf_counter()
        total = updates[0].copy()
        for update in updates[1:]:
            total += update
        total /= np.float32(len(updates))
        best = min(best, time.perf_counter() - start)
    return best * 1e3


def _measured(updates: Updates, backend: PrivateAggregation, repetitions: int) -> Row:
    """Our ciphertexts are the bytes that travel, and parsing them is part of adding: both steps take no time of their
    own."""
    shape = SumShape(len(updates[0]), CLIP, bytes(32))
    weight = 1 / len(updates)
    best: dict[str, float] = {}
    for repetition in range(repetitions):
        encrypted = []
        for update in updates if repetition == 0 else updates[:1]:
            start = time.perf_counter()
            encrypted.append(backend.encrypt(update, weight=weight, shape=shape))
            _keep_best(best, "encrypt_ms", start)
        if repetition == 0:
            contributions = encrypted
        start = time.perf_counter()
        accumulator = backend.accumulator(shape=shape)
        for contribution in contributions:
            accumulator.add(contribution.ciphertext)
        total = accumulator.total()
        _keep_best(best, "add_ms", start)
        start = time.perf_counter()
        key = backend.combine_keys([contribution.key for contribution in contributions])
        _keep_best(best, "combine_keys_ms", start)
        start = time.perf_counter()
        decrypted = backend.decrypt(total, key, shape=shape, count=len(updates))
        _keep_best(best, "decrypt_ms", start)
    return {
        **best,
        "serialise_ms": 0.0,
        "deserialise_all_ms": 0.0,
        "bytes_per_silo": len(contributions[0].ciphertext),
        "max_abs_error": float(np.abs(decrypted.values - _exact_mean(updates)).max()),
        "error_bound": decrypted.error_bound,
    }


def _keep_best(best: dict[str, float], name: str, start: float) -> None:
    best[name] = min(best.get(name, float("inf")), (time.perf_counter() - start) * 1e3)


def _row(backend: str, updates: Updates, plain_ms: float, threads: int, measured: Row) -> Row:
    steps = ("encrypt_ms", "serialise_ms", "deserialise_all_ms", "add_ms", "combine_keys_ms", "decrypt_ms")
    return {
        "backend": backend,
        "parameters": len(updates[0]),
        "silos": len(updates),
        "threads": threads,
        "plain_ms": plain_ms,
        **measured,
        "overhead": sum(measured[step] for step in steps) / plain_ms,
    }
