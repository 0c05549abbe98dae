"""Histograms and contingency tables in BGV: exact to the last unit, or refused.

A category is a column of ones and zeros. Its sum is a count; the sum of the product of two is a cell of a table.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quatrefoil.aggregation.he import Encrypted, EvaluationKeys, Evaluator, SecretKey
from quatrefoil.aggregation.he.bounds import BgvTrack
from quatrefoil.analytics.tables import Answer, EncryptedTable, Progress, require_answer, silent
from quatrefoil.errors import CallerError, CiphertextRefused, ParametersRefused


@dataclass(frozen=True)
class Counts:
    """``values``: a count a category, or rows x columns of a contingency table. ``columns``: what was counted."""

    columns: tuple[str, ...]
    values: NDArray[np.int64]


def histogram(table: EncryptedTable, keys: EvaluationKeys, column: str, *, progress: Progress = silent) -> Answer:
    """The computing party's step: how many rows are in each category of ``column``."""
    evaluator = _evaluator(table, keys)
    position = _categorical(table, column)
    _fresh(table).summed(table.rows)  # refused before anything is computed
    ciphertexts: list[bytes] = []
    for category in range(table.categories[position]):
        progress(f"counting category {category + 1} of {table.categories[position]}")
        ciphertexts.append(_counted(evaluator, table.read(evaluator, position, category), table.rows))
    return _answer(table, "histogram", (column,), ciphertexts)


def contingency(
    table: EncryptedTable, keys: EvaluationKeys, rows: str, columns: str, *, progress: Progress = silent
) -> Answer:
    """The computing party's step: how many rows are in each category of ``rows`` and of ``columns`` at once."""
    evaluator = _evaluator(table, keys)
    first, second = _categorical(table, rows), _categorical(table, columns)
    if first == second:
        raise CallerError("a table of a column with itself", hint="Ask for its histogram")
    require_answer(evaluator.parameters, table.categories[first] * table.categories[second])
    one = _fresh(table)
    one.product(one).summed(table.rows)
    downs = [table.read(evaluator, first, category) for category in range(table.categories[first])]
    across = [table.read(evaluator, second, category) for category in range(table.categories[second])]
    ciphertexts: list[bytes] = []
    for down in downs:
        for right in across:
            progress(f"counting cell {len(ciphertexts) + 1} of {len(downs) * len(across)}")
            cell = [evaluator.multiply(*pair) for pair in zip(down, right, strict=True)]
            ciphertexts.append(_counted(evaluator, cell, table.rows))
    return _answer(table, "contingency", (rows, columns), ciphertexts)


def open_counts(key: SecretKey, table: EncryptedTable, answer: Answer) -> Counts:
    """The key holder's step. ``table``: what was sent. Refused unless each count stands in every slot, none is
    negative, and all together are the rows: what another key or an altered answer decrypts to is nothing of this."""
    kind = answer.kind if answer.kind in ("histogram", "contingency") else "histogram"
    answer.require(kind, key, table.digest(), table.rows)
    if len(answer.labels) != (1 if kind == "histogram" else 2) or not set(answer.labels) <= set(table.columns):
        raise CiphertextRefused("counts of columns that were not sent", hint="Ask for the answer again")
    shape = tuple(table.categories[table.column(label)] for label in answer.labels)
    if len(answer.ciphertexts) != int(np.prod(shape)):
        raise CiphertextRefused(f"{len(answer.ciphertexts)} counts for {shape} categories", hint="Ask for it again")
    track = BgvTrack(key.parameters, table.rows, 0)
    counts = []
    for data in answer.ciphertexts:
        slots = key.decrypt_exact(data, track).values
        if slots[0] < 0 or (slots != slots[0]).any():
            raise CiphertextRefused("a decrypted count is none", hint="The answer was altered, or is of another key")
        counts.append(int(slots[0]))
    if sum(counts) != table.rows:
        raise CiphertextRefused(
            f"counts add up to {sum(counts)} of {table.rows} rows", hint="The answer was altered: ask for it again"
        )
    return Counts(answer.labels, np.array(counts, dtype=np.int64).reshape(shape))


def _fresh(table: EncryptedTable) -> BgvTrack:
    track = table.fresh()
    assert isinstance(track, BgvTrack)
    return track


def _counted(evaluator: Evaluator, chunks: list[Encrypted], rows: int) -> bytes:
    return evaluator.write(evaluator.sum_slots(_of_counts(evaluator.add(chunks)), rows))


def _of_counts(total: Encrypted) -> Encrypted:
    """With the bound of one slot: chunks add up to more in a slot, and the rows bound the sum of all in any case."""
    assert isinstance(total.track, BgvTrack)
    return Encrypted(total.handle, BgvTrack(total.track.parameters, 1, total.track.noise, total.track.products))


def _evaluator(table: EncryptedTable, keys: EvaluationKeys) -> Evaluator:
    p = table.checked()
    if p.scheme != "bgv" or not p.special:
        raise ParametersRefused(f"{p.name} does not count over slots", hint="Use bgv-product-8192")
    if keys.key_id != table.key_id:
        raise CiphertextRefused("evaluation keys of another key than the table's", hint="Ask for those of this table")
    return Evaluator(p, keys)


def _categorical(table: EncryptedTable, column: str) -> int:
    position = table.column(column)
    if not table.categories[position]:
        raise CallerError(f"column {column!r} has no categories", hint="Encrypt it with its number of categories")
    return position


def _answer(table: EncryptedTable, kind: str, labels: tuple[str, ...], ciphertexts: list[bytes]) -> Answer:
    shape = (1.0, float(table.rows), 0.0, 0, labels, tuple(ciphertexts))
    return Answer(kind, table.parameters, table.key_id, table.digest(), table.rows, *shape)
