"""Sums over slots: moments within their errors, counts exact, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quatrefoil.aggregation.he import SETS, EvaluationKeys, SecretKey
from quatrefoil.aggregation.he.bounds import BgvTrack, CkksTrack
from quatrefoil.analytics import (
    EncryptedTable,
    LinearModel,
    contingency,
    encrypt_categories,
    encrypt_numbers,
    histogram,
    open_counts,
    open_statistics,
    score,
    summarise,
)
from quatrefoil.errors import CallerError, CiphertextRefused, ParametersRefused

CKKS, BGV = "ckks-product-8192", "bgv-product-8192"


@cache
def made(name: str, number: int) -> SecretKey:
    return SecretKey.generate(SETS[name])


def key(name: str, number: int = 0) -> SecretKey:
    return made(name, number)


@cache
def keys(name: str, number: int = 0) -> EvaluationKeys:
    return EvaluationKeys.decode(key(name, number).evaluation_keys().encode())


def numbers(values: np.ndarray) -> EncryptedTable:
    return encrypt_numbers(key(CKKS), [f"c{i}" for i in range(values.shape[1])], values)


def exact(values: np.ndarray) -> tuple[list[Fraction], list[list[Fraction]]]:
    """Means and covariances in fractions."""
    columns = [[Fraction(x.item()) for x in column] for column in values.T]
    n = len(values)
    means = [sum(column, Fraction(0)) / n for column in columns]
    deviations = [[x - mean for x in column] for column, mean in zip(columns, means, strict=True)]
    return means, [
        [sum((a * b for a, b in zip(x, y, strict=True)), Fraction(0)) / (n - 1) for y in deviations] for x in deviations
    ]


@settings(max_examples=8)
@given(st.data(), st.integers(2, 12))
def test_moments_are_within_their_errors(data: st.DataObject, rows: int) -> None:
    row = st.lists(st.floats(-1e4, 1e4, allow_subnormal=False), min_size=2, max_size=2)
    values = np.array(data.draw(st.lists(row, min_size=rows, max_size=rows)))
    sent = numbers(values)
    found = open_statistics(key(CKKS), sent, summarise(sent, keys(CKKS)))
    means, covariances = exact(values)
    for i in range(2):
        assert abs(Fraction(found.mean[i].item()) - means[i]) <= Fraction(found.mean_error[i].item())
        for j in range(2):
            wrong = abs(Fraction(found.covariance[i, j].item()) - covariances[i][j])
            assert wrong <= Fraction(found.covariance_error[i, j].item())


def test_correlation_of_thousands_of_rows() -> None:
    source = np.random.default_rng(3)
    age = source.normal(50, 12, 9000)
    values = np.stack([age, 0.8 * age + source.normal(0, 10, 9000)], axis=1)
    sent = numbers(values)
    found = open_statistics(key(CKKS), sent, summarise(sent, keys(CKKS)))
    truth = np.corrcoef(values.T)[0, 1]
    assert abs(found.correlation[0, 1] - truth) <= found.correlation_error[0, 1] < 1e-4
    assert np.abs(found.variance - values.var(axis=0, ddof=1)).max() <= found.covariance_error.max() < 1e-2


def test_a_constant_column_has_no_correlation() -> None:
    sent = numbers(np.array([[1.0, 1.0], [1.0, 2.0], [1.0, 3.0]]))
    found = open_statistics(key(CKKS), sent, summarise(sent, keys(CKKS)))
    assert np.isnan(found.correlation[0, 1]) and np.isinf(found.correlation_error[0, 1])
    assert found.correlation[1, 1] == 1.0


def test_too_many_rows_are_refused_with_the_numbers() -> None:
    p = SETS[CKKS]
    one = CkksTrack.fresh(p)
    total = one.product(one)
    for _ in range(7):
        total = total.plus(total)
    with pytest.raises(ParametersRefused, match=r"needs 98\.0 bits, and ckks-product-8192 has 98\.0"):
        total.summed()
    with pytest.raises(ParametersRefused, match="can reach 536846337"):
        BgvTrack.fresh(SETS[BGV], 1).summed(536846337)


def test_answers_that_no_message_holds_are_refused_before_anything_is_computed() -> None:
    """22 columns are 275 sums, and 16 x 16 categories 256 cells: a message holds 255."""
    with pytest.raises(ParametersRefused, match=r"275 sums is \d+ bytes, over 67108864"):
        summarise(numbers(np.ones((2, 22))), keys(CKKS))
    table = encrypt_categories(key(BGV), ["a", "b"], np.zeros((2, 2), dtype=np.int64), [16, 16])
    with pytest.raises(ParametersRefused, match="256 sums"):
        contingency(table, keys(BGV), "a", "b")


def test_statistics_of_another_table_key_or_kind_are_refused() -> None:
    sent, other = (numbers(np.random.default_rng(s).standard_normal((5, 1))) for s in (1, 2))
    answer = summarise(sent, keys(CKKS))
    with pytest.raises(CiphertextRefused, match="another table"):
        open_statistics(key(CKKS), other, answer)
    with pytest.raises(CiphertextRefused, match="another key"):
        open_statistics(key(CKKS, 1), sent, answer)
    with pytest.raises(CiphertextRefused, match="is none"):
        open_statistics(key(CKKS, 1), sent, replace(answer, key_id=key(CKKS, 1).key_id))
    with pytest.raises(CiphertextRefused, match="other columns"):
        open_statistics(key(CKKS), sent, replace(answer, ciphertexts=answer.ciphertexts[:1]))
    with pytest.raises(CiphertextRefused, match="kind"):
        open_statistics(key(CKKS), sent, score(sent, LinearModel("linear", ("c0",), (1.0,), 0.0)))
    with pytest.raises(CiphertextRefused, match="another key than the table's"):
        summarise(sent, keys(CKKS, 1))
    with pytest.raises(CallerError, match="no variance"):
        single = numbers(np.ones((1, 1)))
        open_statistics(key(CKKS), single, summarise(single, keys(CKKS)))


def test_linear_sets_give_no_statistics_and_no_counts() -> None:
    for name in ("ckks-linear-4096", "bgv-linear-4096"):
        chosen = SecretKey.generate(SETS[name])
        sent = encrypt_numbers(chosen, ["c0"], np.ones((3, 1), dtype=np.int64))
        fake = EvaluationKeys(name, chosen.key_id, b"", b"")
        with pytest.raises((ParametersRefused, CiphertextRefused)):
            summarise(sent, fake)
        with pytest.raises(ParametersRefused, match="count"):
            histogram(sent, fake, "c0")


def categories(values: np.ndarray, sizes: list[int]) -> EncryptedTable:
    return encrypt_categories(key(BGV), [f"c{i}" for i in range(values.shape[1])], values, sizes)


@settings(max_examples=6)
@given(st.data(), st.integers(1, 40), st.integers(1, 3), st.integers(1, 3))
def test_counts_are_exact(data: st.DataObject, rows: int, first: int, second: int) -> None:
    row = st.tuples(st.integers(0, first - 1), st.integers(0, second - 1))
    values = np.array(data.draw(st.lists(row, min_size=rows, max_size=rows)))
    sent = categories(values, [first, second])
    for column, size in (("c0", first), ("c1", second)):
        counts = open_counts(key(BGV), sent, histogram(sent, keys(BGV), column)).values
        assert counts.tolist() == [sum(1 for v in values[:, int(column[1])] if v == c) for c in range(size)]
    table = open_counts(key(BGV), sent, contingency(sent, keys(BGV), "c0", "c1")).values
    assert table.tolist() == [
        [sum(1 for a, b in values if (a, b) == (i, j)) for j in range(second)] for i in range(first)
    ]


def test_counts_are_exact_over_more_rows_than_slots() -> None:
    values = np.random.default_rng(4).integers(0, 2, (2 * 8192 + 77, 2))
    sent = categories(values, [2, 2])
    table = open_counts(key(BGV), sent, contingency(sent, keys(BGV), "c1", "c0"))
    assert table.columns == ("c1", "c0")
    for i in range(2):
        for j in range(2):
            assert table.values[i, j] == int(((values[:, 1] == i) & (values[:, 0] == j)).sum())


def test_altered_counts_are_refused() -> None:
    sent = categories(np.array([[0], [1], [1]]), [2])
    answer = histogram(sent, keys(BGV), "c0")
    with pytest.raises(CiphertextRefused, match="add up to"):
        open_counts(key(BGV), sent, replace(answer, ciphertexts=answer.ciphertexts[:1] * 2))
    with pytest.raises(CiphertextRefused, match="is none"):  # a single row in place of a sum
        open_counts(key(BGV), sent, replace(answer, ciphertexts=sent.ciphertexts))
    with pytest.raises(CiphertextRefused, match="is none"):
        open_counts(key(BGV, 1), sent, replace(answer, key_id=key(BGV, 1).key_id))
    with pytest.raises(CiphertextRefused, match="not sent"):
        open_counts(key(BGV), sent, replace(answer, labels=("c9",)))
    with pytest.raises(CiphertextRefused, match="1 counts"):
        open_counts(key(BGV), sent, replace(answer, ciphertexts=answer.ciphertexts[:1]))
    with pytest.raises(CiphertextRefused, match="kind"):
        open_counts(key(BGV), sent, replace(answer, kind="sum"))
    with pytest.raises(CallerError, match="itself"):
        contingency(sent, keys(BGV), "c0", "c0")


@pytest.mark.parametrize("values", [np.array([[-1]]), np.array([[2]]), np.array([[0.5]]), np.zeros((0, 1), dtype=int)])
def test_categories_that_are_none(values: np.ndarray) -> None:
    with pytest.raises(CallerError):
        categories(values, [2])


def test_numbers_are_not_counted_and_categories_have_no_score() -> None:
    sent = encrypt_numbers(key(BGV), ["c0"], np.ones((3, 1), dtype=np.int64))
    with pytest.raises(CallerError, match="no categories"):
        histogram(sent, keys(BGV), "c0")
    with pytest.raises(CallerError, match="has no score"):
        score(categories(np.array([[0]]), [2]), LinearModel("linear", ("c0",), (1.0,), 0.0))
