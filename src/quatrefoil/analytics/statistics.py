"""Mean, variance and correlation: the computing party adds up values and products, the key holder divides.

Sums over all rows come back, in every slot, and nothing of single rows. The key holder forms moments from them, and
carries the error of each sum through: where it leaves a variance undetermined, there is no correlation.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement, product
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from quatrefoil.aggregation.he import EvaluationKeys, Evaluator, SecretKey
from quatrefoil.aggregation.he.bounds import CkksTrack
from quatrefoil.analytics.tables import Answer, EncryptedTable, Progress, require_answer, silent
from quatrefoil.errors import CallerError, CiphertextRefused, ParametersRefused

_KIND = "statistics"


@dataclass(frozen=True)
class Statistics:
    """Of each column, in the order of the table, and of each pair; ``*_error``: how far each can be from the exact one.
    Variances and covariances are over rows - 1. A correlation is NaN, its error infinite, where a variance can be 0."""

    columns: tuple[str, ...]
    rows: int
    mean: NDArray[np.float64]
    mean_error: NDArray[np.float64]
    covariance: NDArray[np.float64]
    covariance_error: NDArray[np.float64]
    correlation: NDArray[np.float64]
    correlation_error: NDArray[np.float64]

    @property
    def variance(self) -> NDArray[np.float64]:
        return np.diagonal(self.covariance)


def summarise(table: EncryptedTable, keys: EvaluationKeys, *, progress: Progress = silent) -> Answer:
    """The computing party's step: the sum of each column, and of the products of each pair."""
    p = table.checked()
    if p.scheme != "ckks":
        raise ParametersRefused(f"{p.name} has no means", hint="Use ckks-product-8192")
    _require_keys_of(table, keys)
    count = len(table.columns)
    require_answer(p, count + count * (count + 1) // 2)
    plan = _planned(table)
    evaluator = Evaluator(p, keys)
    columns = [table.read(evaluator, position) for position in range(len(table.columns))]
    ciphertexts: list[bytes] = []
    for column in columns:
        progress(f"adding column {len(ciphertexts) + 1} of {len(columns)}")
        total = evaluator.times(evaluator.add(column), 1 << p.weight_bits)  # to the scale of products: finer
        ciphertexts.append(evaluator.write(evaluator.sum_slots(total, table.rows)))
    for left, right in combinations_with_replacement(range(len(columns)), 2):
        progress(f"multiplying columns {left + 1} and {right + 1} of {len(columns)}")
        terms = [evaluator.multiply(*pair) for pair in zip(columns[left], columns[right], strict=True)]
        ciphertexts.append(evaluator.write(evaluator.sum_slots(evaluator.add(terms), table.rows)))
    shape = (1.0, float(plan.bound), plan.error, plan.scale_bits, table.columns, tuple(ciphertexts))
    return Answer(_KIND, table.parameters, table.key_id, table.digest(), table.rows, *shape)


def open_statistics(key: SecretKey, table: EncryptedTable, answer: Answer) -> Statistics:
    """The key holder's step. ``table``: what was sent; the errors come from it, not from the answer."""
    answer.require(_KIND, key, table.digest(), table.rows)
    count, rows = len(table.columns), table.rows
    pairs = list(combinations_with_replacement(range(count), 2))
    if answer.labels != table.columns or len(answer.ciphertexts) != count + len(pairs):
        raise CiphertextRefused("statistics of other columns", hint="Ask for the answer again")
    if rows < 2:
        raise CallerError("a single row has no variance", hint="Encrypt more rows")
    track = _planned(table)
    sums = np.array([_total(key, data, track, rows) for data in answer.ciphertexts])
    error = track.released()
    first, bounds = sums[:count], np.array(table.bounds)
    covariance, covariance_error = np.zeros((count, count)), np.zeros((count, count))
    for (i, j), moment in zip(pairs, sums[count:], strict=True):
        found = (moment - first[i] * first[j] / rows) / (rows - 1)
        wrong = (error + (abs(first[i]) + abs(first[j]) + error) * error / rows) / (rows - 1)
        wrong += 2.0**-50 * (abs(moment) + abs(first[i] * first[j]) / rows) / (rows - 1)
        unit = bounds[i] * bounds[j]
        covariance[i, j] = covariance[j, i] = found * unit
        covariance_error[i, j] = covariance_error[j, i] = wrong * unit
    correlation, correlation_error = _correlations(covariance, covariance_error)
    mean, mean_error = first / rows * bounds, (error / rows + 2.0**-52) * bounds
    return Statistics(
        table.columns, rows, mean, mean_error, covariance, covariance_error, correlation, correlation_error
    )


def _planned(table: EncryptedTable) -> CkksTrack:
    """What every sum is like: refused before anything is computed where the rows do not fit."""
    p = table.checked()
    fresh = table.fresh()
    assert isinstance(fresh, CkksTrack)
    value, squared = fresh, fresh.product(fresh)
    column, products = value, squared
    for _ in range(table.chunks - 1):
        column, products = column.plus(value), products.plus(squared)
    sums = (column.times(1 << p.weight_bits).summed(), products.summed())
    return max(sums, key=lambda track: track.error)


def _total(key: SecretKey, data: bytes, track: CkksTrack, rows: int) -> float:
    """A sum, which stands in every slot: where it does not, the answer is none."""
    found = key.decrypt_rounded(data, track)
    low, high = float(found.values.min()), float(found.values.max())
    if not (high - low <= 2 * found.error and max(abs(low), abs(high)) <= rows + found.error):
        raise CiphertextRefused("a decrypted sum is none", hint="The answer was altered, or is of another key")
    return float(found.values[0])


def _correlations(
    covariance: NDArray[np.float64], error: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Intervals: a correlation is monotone in each of its three parts, so its extremes are at corners."""
    count = len(covariance)
    found, wrong = np.full((count, count), np.nan), np.full((count, count), np.inf)
    for i, j in product(range(count), repeat=2):
        if any(covariance[k, k] <= error[k, k] for k in (i, j)):
            continue
        found[i, j] = 1.0 if i == j else covariance[i, j] / sqrt(covariance[i, i] * covariance[j, j])
        corners = [
            (covariance[i, j] + a * error[i, j])
            / sqrt((covariance[i, i] + b * error[i, i]) * (covariance[j, j] + c * error[j, j]))
            for a, b, c in product((-1, 1), repeat=3)
        ]
        wrong[i, j] = 0.0 if i == j else max(abs(corner - found[i, j]) for corner in corners) + 2.0**-48
    return found, wrong


def _require_keys_of(table: EncryptedTable, keys: EvaluationKeys) -> None:
    if keys.key_id != table.key_id:
        raise CiphertextRefused("evaluation keys of another key than the table's", hint="Ask for those of this table")


__all__ = ["Statistics", "open_statistics", "summarise"]
