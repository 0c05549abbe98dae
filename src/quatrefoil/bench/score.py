"""Scores of encrypted rows: ours, TenSEAL's vectors and plain numpy, on the same rows in one run.

A row is what the whole way takes, on one thread: encrypting all rows, computing, decrypting; ours writes and reads the
bytes that travel as well. TenSEAL is measured twice: a vector for each row, the way its own example of an encrypted
logistic regression goes (dot product, then the intercept), and a vector for each column, the best that its vectors
give for a linear model. Values are multiples of 1/16 and weights of 1/64, so that BGV scores the same numbers: where
CKKS rounds to a step that divides 1/1024, its error can be 0 here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from math import fsum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quatrefoil.aggregation.he import HeParameters, SecretKey
from quatrefoil.analytics import Answer, EncryptedTable, LinearModel, encrypt_numbers, open_scores, score
from quatrefoil.bench.tenseal_peer import quiet_standard_output
from quatrefoil.errors import CallerError, DependencyMissing

Progress = Callable[[str], None]
Row = dict[str, Any]

SETS = ("ckks-linear-4096", "ckks-product-8192", "bgv-linear-4096")
PUBLIC = SETS[:2]
"""Measured again, encrypted under a public key, as several parties do."""


def measure_score(rows: int, columns: int, repeats: int, progress: Progress) -> list[Row]:
    """One row for each way, in milliseconds, the best of ``repeats`` (TenSEAL by rows runs once). ``over_plain``,
    and for a peer ``over_ours``: its time over that of our first set."""
    if not (1 <= rows <= 100_000 and 1 <= columns <= 100 and repeats >= 1):
        raise CallerError(f"{rows} rows x {columns} columns are not measured", hint="Choose 1 to 100000 x 1 to 100")
    source = np.random.default_rng(11)
    values = np.rint(np.clip(source.standard_normal((rows, columns)), -7.9, 7.9) * 16) / 16
    weights, intercept = np.rint(source.standard_normal(columns) * 64) / 64, -0.5
    exact = np.array([fsum((*(row * weights), intercept)) for row in values])
    progress(f"plain numpy, {rows} x {columns}")
    plain = min(_timed(lambda: values @ weights + intercept)[0] for _ in range(max(repeats, 20)))
    found: list[Row] = [{"way": "plain numpy", "rows": rows, "columns": columns, "total_ms": plain}]
    for name in SETS:
        progress(name)
        runs = [_ours(HeParameters.named(name), values, weights, intercept, exact) for _ in range(repeats)]
        found.append(min(runs, key=lambda run: run["total_ms"]))
    for name in PUBLIC:
        way = f"{name}, public key"
        progress(way)
        p = HeParameters.named(name)
        runs = [_ours(p, values, weights, intercept, exact, public=True) for _ in range(repeats)]
        found.append(min(runs, key=lambda run: run["total_ms"]) | {"way": way})
    try:
        found += _peer(values, weights, intercept, exact, repeats, progress)
    except DependencyMissing as error:
        progress(str(error))
    ours = found[1]["total_ms"]
    for row in found:
        row |= {"rows": rows, "columns": columns, "over_plain": row["total_ms"] / plain}
        if row["way"].startswith("tenseal"):
            row["over_ours"] = row["total_ms"] / ours
    return found


def _ours(
    p: HeParameters,
    values: NDArray[np.float64],
    weights: NDArray[np.float64],
    intercept: float,
    exact: NDArray[np.float64],
    *,
    public: bool = False,
) -> Row:
    """BGV scores the same numbers in units of 1/16 and 1/64, as integers."""
    names = [f"x{i}" for i in range(values.shape[1])]
    unit, given, model = 1.0, values, LinearModel("linear", tuple(names), tuple(weights.tolist()), intercept)
    if p.scheme == "bgv":
        unit, given = 1024.0, (values * 16).astype(np.int64)
        model = LinearModel("linear", tuple(names), tuple((weights * 64).tolist()), intercept * unit)
    key_ms, (key, encrypting) = _timed(lambda: SecretKey.pair(p) if public else [SecretKey.generate(p)] * 2)
    encrypt_ms, sent = _timed(lambda: encrypt_numbers(encrypting, names, given).encode())
    compute_ms, back = _timed(lambda: score(EncryptedTable.decode(sent), model).encode())
    about, rows = EncryptedTable.decode(sent).digest(), len(values)
    decrypt_ms, scores = _timed(lambda: open_scores(key, about, rows, Answer.decode(back)))
    return {
        "way": p.name,
        "keys_ms": key_ms,
        "encrypt_ms": encrypt_ms,
        "compute_ms": compute_ms,
        "decrypt_ms": decrypt_ms,
        "total_ms": encrypt_ms + compute_ms + decrypt_ms,
        "sent_bytes": len(sent),
        "answer_bytes": len(back),
        "max_abs_error": float(np.abs(scores.values / unit - exact).max()),
        "error_bound": scores.error / unit,
    }


def _peer(
    values: NDArray[np.float64],
    weights: NDArray[np.float64],
    intercept: float,
    exact: NDArray[np.float64],
    repeats: int,
    progress: Progress,
) -> list[Row]:
    try:
        import tenseal as ts
    except ImportError:
        raise DependencyMissing(
            "tenseal is not installed", hint="Install the extra: pip install 'quatrefoil[bench]'"
        ) from None
    with quiet_standard_output():
        keys_ms, context = _timed(lambda: _peer_context(ts))
        progress("TenSEAL, a vector a column")
        by_column = [_by_column(ts, context, values, weights, intercept) for _ in range(repeats)]
        progress("TenSEAL, a vector a row: once, and it takes a while")
        by_row = [_by_row(ts, context, values, weights, intercept)]
    found = []
    for way, runs in (("tenseal, a vector a row", by_row), ("tenseal, a vector a column", by_column)):
        row, scores = min(runs, key=lambda run: float(run[0]["total_ms"]))
        wrong = float(np.abs(scores - exact).max())
        found.append({"way": way, "keys_ms": keys_ms, **row, "max_abs_error": wrong, "error_bound": None})
    return found


def _peer_context(ts: Any) -> Any:
    """Symmetric like ours; N = 8192, as TenSEAL's examples have it, [60, 40, 60] like our larger set."""
    context = ts.context(
        ts.SCHEME_TYPE.CKKS,
        poly_modulus_degree=8192,
        coeff_mod_bit_sizes=[60, 40, 60],
        encryption_type=ts.ENCRYPTION_TYPE.SYMMETRIC,
        n_threads=1,
    )
    context.global_scale = 2**40
    context.generate_galois_keys()
    return context


def _by_row(
    ts: Any, context: Any, values: NDArray[np.float64], weights: NDArray[np.float64], intercept: float
) -> tuple[Row, NDArray[np.float64]]:
    """Row by row through all three steps: all encrypted rows at once are 2.6 GB."""
    times, scores = [0.0, 0.0, 0.0], []
    plain = weights.tolist()
    for row in values:
        first, vector = _timed(partial(ts.ckks_vector, context, row.tolist()))
        second, result = _timed(partial(_peer_score, vector, plain, intercept))
        third, decrypted = _timed(result.decrypt)
        times = [a + b for a, b in zip(times, (first, second, third), strict=True)]
        scores.append(decrypted[0])
    return _steps(*times), np.array(scores)


def _peer_score(vector: Any, weights: list[float], intercept: float) -> Any:
    return vector.dot(weights) + intercept


def _by_column(
    ts: Any, context: Any, values: NDArray[np.float64], weights: NDArray[np.float64], intercept: float
) -> tuple[Row, NDArray[np.float64]]:
    encrypt_ms, vectors = _timed(lambda: [ts.ckks_vector(context, column.tolist()) for column in values.T])

    def compute() -> Any:
        total = vectors[0] * float(weights[0])
        for vector, weight in zip(vectors[1:], weights[1:].tolist(), strict=True):
            total += vector * weight
        return total + intercept

    compute_ms, total = _timed(compute)
    decrypt_ms, scores = _timed(lambda: np.array(total.decrypt()))
    return _steps(encrypt_ms, compute_ms, decrypt_ms), scores


def _steps(encrypt_ms: float, compute_ms: float, decrypt_ms: float) -> Row:
    steps = {"encrypt_ms": encrypt_ms, "compute_ms": compute_ms, "decrypt_ms": decrypt_ms}
    return {**steps, "total_ms": sum(steps.values())}


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return (time.perf_counter() - start) * 1e3, result
