"""Scores of linear and logistic models: one multiplication by a plain weight for each encrypted chunk of a column.

CKKS: columns are encrypted divided by their bound, weights are multiplied by it, and both divided by ``unit``, a power
of two that no score is beyond: so the scale is used up by values, whatever their size. BGV: integers, exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum

import numpy as np
from numpy.typing import NDArray

from quatrefoil.aggregation.he import Encrypted, Evaluator, SecretKey
from quatrefoil.aggregation.he.bounds import BgvTrack, CkksTrack, power_of_two
from quatrefoil.analytics.models import LinearModel
from quatrefoil.analytics.tables import Answer, EncryptedTable, Progress, silent
from quatrefoil.errors import CallerError, CiphertextRefused, ModelRefused, ParametersRefused


@dataclass(frozen=True)
class Scores:
    """``values``: a score a row, or a probability for a logistic model; each within ``error`` of the exact one.
    ``step``: what linear scores were rounded to, 0 where they are exact."""

    kind: str
    values: NDArray[np.float64]
    error: float
    step: float


def score(
    table: EncryptedTable, model: LinearModel, *, largest_error: float | None = None, progress: Progress = silent
) -> Answer:
    """The computing party's step. ``largest_error``: of a linear score, or it is refused with the numbers."""
    p = table.checked()
    columns = [table.column(name) for name in model.features]
    if any(table.categories[column] for column in columns):
        raise CallerError("a column of categories has no score", hint="Encrypt it as numbers")
    evaluator = Evaluator(p)
    if p.scheme == "bgv":
        return _exact(table, model, columns, evaluator, progress)
    reach = [weight * table.bounds[column] for weight, column in zip(model.weights, columns, strict=True)]
    unit = power_of_two(fsum(map(abs, (*reach, model.intercept))) or 1.0)
    one = 2.0**p.weight_bits
    weights = [round(value / unit * one) for value in reach]
    _require_some(weights)
    scale_bits = p.value_bits + p.weight_bits
    constant = round(model.intercept / unit * 2.0**scale_bits)
    totals = _totals(table, columns, weights, constant, evaluator, progress)
    track = totals[0].track
    assert isinstance(track, CkksTrack)
    rounded = fsum(abs(value / unit - weight / one) for value, weight in zip(reach, weights, strict=True))
    # Never below that of encryption, even where small weights shrink it: it decides what decryption lets out.
    error = max(CkksTrack.fresh(p, public=table.public).error, track.error + rounded + 2.0**-scale_bits)
    answer = _answer(table, model, totals, evaluator, unit=unit, bound=1.0, error=error, scale_bits=scale_bits)
    return answer if largest_error is None else _precise(answer, largest_error)


def open_scores(key: SecretKey, about: bytes, rows: int, answer: Answer) -> Scores:
    """The key holder's step: decrypt, round, and for a logistic model take the sigmoid.

    ``about``: the digest of the table that was sent, ``rows`` its rows. ``CiphertextRefused``: no answer to it.
    """
    kind = "logistic" if answer.kind == "scores-logistic" else "linear"
    answer.require(f"scores-{kind}", key, about, rows)
    if len(answer.ciphertexts) != -(-rows // key.parameters.slots):
        raise CiphertextRefused("scores for another number of rows", hint="Ask for the answer again")
    if key.parameters.scheme == "bgv":
        if not 1 <= answer.bound <= (key.parameters.plain - 1) // 2 or answer.bound != int(answer.bound):
            raise CiphertextRefused("an answer with senseless bounds", hint="Ask for it again")
        track = BgvTrack(key.parameters, int(answer.bound), 0)
        raw = np.concatenate([key.decrypt_exact(data, track).values for data in answer.ciphertexts])[:rows]
        require_within(raw, answer.bound)
        return linked(kind, raw.astype(np.float64), 0.0, 0.0)
    p = key.parameters
    # A coarser scale, or a larger bound, would let encryption's own noise through the rounding.
    if (answer.scale_bits, answer.bound) != (p.value_bits + p.weight_bits, 1.0):
        raise CiphertextRefused(
            f"scores at scale 2^{answer.scale_bits} up to {answer.bound:g}, not at 2^{p.value_bits + p.weight_bits} up "
            "to 1",
            hint="Ask for the answer again: no score of this set is so",
        )
    claimed = answer.track(key)
    parts = [key.decrypt_rounded(data, claimed) for data in answer.ciphertexts]
    values = np.concatenate([part.values for part in parts])[:rows]
    require_within(values, answer.bound + claimed.released())
    return linked(kind, values * answer.unit, claimed.released() * answer.unit, claimed.step() * answer.unit)


def _exact(
    table: EncryptedTable, model: LinearModel, columns: list[int], evaluator: Evaluator, progress: Progress
) -> Answer:
    weights, intercept = model.integers()
    _require_some(list(weights))
    totals = _totals(table, columns, list(weights), intercept, evaluator, progress)
    bound = float(totals[0].track.bound)
    return _answer(table, model, totals, evaluator, unit=1.0, bound=max(bound, 1.0), error=0.0, scale_bits=0)


def _totals(
    table: EncryptedTable,
    columns: list[int],
    weights: list[int],
    constant: int,
    evaluator: Evaluator,
    progress: Progress,
) -> list[Encrypted]:
    totals: list[Encrypted] = []
    used = [(column, weight) for column, weight in zip(columns, weights, strict=True) if weight]
    for position, (column, weight) in enumerate(used):
        progress(f"computing column {position + 1} of {len(used)}")
        terms = [evaluator.times(chunk, weight) for chunk in table.read(evaluator, column)]
        totals = [evaluator.add(pair) for pair in zip(totals, terms, strict=True)] if totals else terms
    return [evaluator.shift(total, constant) for total in totals] if constant else totals


def _answer(
    table: EncryptedTable,
    model: LinearModel,
    totals: list[Encrypted],
    evaluator: Evaluator,
    *,
    unit: float,
    bound: float,
    error: float,
    scale_bits: int,
) -> Answer:
    ciphertexts = tuple(map(evaluator.write, totals))
    shape = (unit, bound, error, scale_bits, ("score",), ciphertexts)
    return Answer(f"scores-{model.kind}", table.parameters, table.key_id, table.digest(), table.rows, *shape)


def _precise(answer: Answer, largest: float) -> Answer:
    # Rounding to a step of at most four times the error adds at most twice the error.
    reached = 3 * answer.error * answer.unit
    if reached > largest:
        raise ParametersRefused(
            f"scores can be wrong by {reached:.3g} under {answer.parameters}, and at most {largest:.3g} is asked for",
            hint="Use ckks-product-8192, give smaller bounds, or allow a larger error",
        )
    return answer


def linked(kind: str, values: NDArray[np.float64], error: float, step: float) -> Scores:
    """Scores as the key holder reads them: a logistic model's through the sigmoid."""
    if kind == "linear":
        return Scores(kind, values, error, step)
    # The sigmoid's slope is at most 1/4; by tanh it does not overflow. Floating point adds a few units of 2^-53.
    return Scores(kind, 0.5 + 0.5 * np.tanh(values / 2), error / 4 + 2.0**-50, step)


def _require_some(weights: list[int]) -> None:
    if not any(weights):
        raise ModelRefused("every weight is 0 beside the others", hint="The scores would depend on no encrypted value")


def require_within(values: NDArray[np.float64] | NDArray[np.int64], bound: float) -> None:
    """``CiphertextRefused`` for what no honest answer decrypts to."""
    if not (np.abs(values) <= bound).all():
        raise CiphertextRefused(
            f"decrypted scores are beyond their bound of {bound:g}", hint="The answer was altered, or is of another key"
        )
