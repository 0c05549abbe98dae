"""Encrypted scores against exact ones, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quatrefoil.aggregation.he import SETS, SecretKey
from quatrefoil.aggregation.he.bounds import CkksTrack
from quatrefoil.analytics import (
    EncryptedTable,
    LinearModel,
    TableKey,
    encrypt_categories,
    encrypt_numbers,
    open_scores,
    score,
)
from quatrefoil.errors import CallerError, CiphertextRefused, ModelRefused, ParametersRefused, StateCorrupt

CKKS = ("ckks-linear-4096", "ckks-product-8192")
BGV = ("bgv-linear-4096", "bgv-product-8192")


@cache
def key(name: str) -> SecretKey:
    return SecretKey.generate(SETS[name])


def model(weights: list[float], intercept: float = 0.0, kind: str = "linear") -> LinearModel:
    return LinearModel(kind, tuple(f"f{i}" for i in range(len(weights))), tuple(weights), intercept)  # type: ignore[arg-type]


def exact(values: np.ndarray, chosen: LinearModel) -> list[Fraction]:
    """In fractions: no rounding anywhere."""
    return [
        Fraction(chosen.intercept)
        + sum(Fraction(w) * Fraction(x.item()) for w, x in zip(chosen.weights, row, strict=True))
        for row in values
    ]


def table(name: str, values: np.ndarray, **options: object) -> EncryptedTable:
    return encrypt_numbers(key(name), [f"f{i}" for i in range(values.shape[1])], values, **options)  # type: ignore[arg-type]


number = st.floats(-1e6, 1e6, allow_subnormal=False)


@settings(max_examples=40)
@given(st.data(), st.sampled_from(CKKS), st.integers(1, 5), st.integers(1, 6))
def test_ckks_scores_are_within_their_error(data: st.DataObject, name: str, columns: int, rows: int) -> None:
    values = np.array(
        data.draw(st.lists(st.lists(number, min_size=columns, max_size=columns), min_size=rows, max_size=rows))
    )
    weights = data.draw(st.lists(number, min_size=columns, max_size=columns))
    chosen = model(weights, data.draw(number))
    sent = table(name, values)
    try:
        answer = score(sent, chosen)
    except ModelRefused:  # no weight counts beside the intercept
        return
    found = open_scores(key(name), sent.digest(), rows, answer)
    for value, truth in zip(found.values, exact(values, chosen), strict=True):
        assert abs(Fraction(float(value)) - truth) <= Fraction(found.error)
        assert float(value) % found.step == 0


@settings(max_examples=30)
@given(st.data(), st.sampled_from(BGV), st.integers(1, 4), st.integers(1, 6))
def test_bgv_scores_are_exact(data: st.DataObject, name: str, columns: int, rows: int) -> None:
    small = st.integers(-5000, 5000)
    drawn = st.lists(st.lists(small, min_size=columns, max_size=columns), min_size=rows, max_size=rows)
    values = np.array(data.draw(drawn), dtype=np.int64)
    weights = data.draw(st.lists(small, min_size=columns, max_size=columns).filter(any))
    chosen = model(list(map(float, weights)), float(data.draw(small)))
    sent = table(name, values)
    found = open_scores(key(name), sent.digest(), rows, score(sent, chosen))
    assert (found.error, found.step) == (0.0, 0.0)
    assert found.values.tolist() == [float(truth) for truth in exact(values, chosen)]


@pytest.mark.parametrize("name", [*CKKS, *BGV])
def test_more_rows_than_slots(name: str) -> None:
    rows = 2 * SETS[name].slots + 3
    values = np.random.default_rng(5).integers(-9, 10, (rows, 2))
    chosen = model([3.0, -2.0], 1.0)
    sent = table(name, values)
    found = open_scores(key(name), sent.digest(), rows, score(sent, chosen))
    assert np.abs(found.values - (values @ [3, -2] + 1)).max() <= found.error


@pytest.mark.parametrize("name", CKKS)
def test_the_bound_has_a_margin_but_is_no_fantasy(name: str) -> None:
    """Thousands of slots: within the error always, and the error at most a few thousand times what is met."""
    values = np.random.default_rng(6).uniform(-8, 8, (3000, 30))
    weights = list(np.random.default_rng(7).standard_normal(30))
    sent = table(name, values)
    found = open_scores(key(name), sent.digest(), 3000, score(sent, model(weights)))
    met = np.abs(found.values - values @ weights).max()
    assert met <= found.error < 3000 * met


def test_probabilities_of_a_logistic_model() -> None:
    values = np.random.default_rng(8).standard_normal((100, 3))
    chosen = model([2.0, -30.0, 0.5], -0.25, "logistic")
    sent = table("ckks-linear-4096", values)
    found = open_scores(key("ckks-linear-4096"), sent.digest(), 100, score(sent, chosen))
    assert np.abs(found.values - 1 / (1 + np.exp(-(values @ chosen.weights - 0.25)))).max() <= found.error


def test_weights_that_shrink_the_noise_do_not_make_the_step_finer_than_the_noise() -> None:
    sent = table("ckks-linear-4096", np.ones((2, 1)))
    tiny = score(sent, model([1e-5], 1.0))
    assert tiny.error >= CkksTrack.fresh(SETS["ckks-linear-4096"]).error
    found = open_scores(key("ckks-linear-4096"), sent.digest(), 2, tiny)
    assert np.abs(found.values - 1.00001).max() <= found.error


def test_precision_that_does_not_fit_is_refused_with_the_numbers() -> None:
    sent = table("ckks-linear-4096", np.full((2, 2), 1000.0))
    with pytest.raises(ParametersRefused, match=r"wrong by .* under ckks-linear-4096, and at most 1e-06"):
        score(sent, model([1.0, 1.0]), largest_error=1e-6)
    sent = table("ckks-product-8192", np.full((2, 2), 1000.0))
    found = open_scores(key("ckks-product-8192"), sent.digest(), 2, score(sent, model([1.0, 1.0]), largest_error=1e-4))
    assert found.error <= 1e-4


def test_sums_beyond_the_plain_modulus_are_refused_before_they_are_computed() -> None:
    sent = table("bgv-linear-4096", np.array([[536846336]]))
    with pytest.raises(ParametersRefused, match="can reach 1073692672, and bgv-linear-4096 counts to 536846336"):
        score(sent, model([2.0]))
    sent = table("bgv-linear-4096", np.array([[1]]))
    with pytest.raises(ParametersRefused, match="noise of 6"):
        score(sent, model([float(1 << 26)]))


def test_answers_are_of_one_table_and_one_key() -> None:
    name = "ckks-linear-4096"
    first, second = table(name, np.ones((3, 1))), table(name, np.zeros((3, 1)))
    answer = score(first, model([1.0]))
    with pytest.raises(CiphertextRefused, match="another table"):  # replayed
        open_scores(key(name), second.digest(), 3, answer)
    other = SecretKey.generate(SETS[name])
    with pytest.raises(CiphertextRefused, match="another key"):
        open_scores(other, first.digest(), 3, answer)
    with pytest.raises(CiphertextRefused, match="beyond their bound"):  # renamed, so that only decryption can tell
        open_scores(other, first.digest(), 3, replace(answer, key_id=other.key_id))
    with pytest.raises(CiphertextRefused, match="kind"):
        open_scores(key(name), first.digest(), 3, replace(answer, kind="histogram"))
    with pytest.raises(CiphertextRefused, match="number of rows"):
        open_scores(key(name), first.digest(), 3, replace(answer, ciphertexts=answer.ciphertexts * 2))
    with pytest.raises(CiphertextRefused):  # of the table itself: another scale
        open_scores(key(name), first.digest(), 3, replace(answer, ciphertexts=first.ciphertexts))


@pytest.mark.parametrize(
    "change",
    [
        {"error": float("nan")},
        {"error": 0.0},
        {"error": -1.0},
        {"error": 6.7e-7},
        {"error": 2.0},
        {"unit": float("inf")},
        {"unit": 0.0},
        {"bound": float("nan")},
        {"scale_bits": 0},
        {"scale_bits": 2**63},
        {"scale_bits": 55},
    ],
)
def test_answers_with_senseless_bounds_are_refused(change: dict[str, float]) -> None:
    name = "ckks-linear-4096"
    sent = table(name, np.ones((3, 1)))
    answer = replace(score(sent, model([1.0])), **change)  # type: ignore[arg-type]
    with pytest.raises(CiphertextRefused):
        open_scores(key(name), sent.digest(), 3, answer)


@pytest.mark.parametrize("bound", [0.0, -1.0, 1.5, 1e300, float("nan")])
def test_exact_answers_with_senseless_bounds_are_refused(bound: float) -> None:
    name = "bgv-linear-4096"
    sent = table(name, np.ones((3, 1), dtype=np.int64))
    with pytest.raises(CiphertextRefused):
        open_scores(key(name), sent.digest(), 3, replace(score(sent, model([1.0])), bound=bound))


@pytest.mark.parametrize(
    "change",
    [
        {"rows": 0},
        {"rows": 2**63},
        {"rows": 4097},
        {"columns": ()},
        {"columns": ("f0",)},
        {"columns": ("f0", "f0")},
        {"bounds": (1.0, 3.0)},
        {"bounds": (1.0, 0.0)},
        {"bounds": (1.0, float("inf"))},
        {"bounds": (1.0, float("nan"))},
        {"bounds": (1.0,)},
        {"categories": (0, 2)},
        {"ciphertexts": ()},
        {"ciphertexts": (b"", b"")},
        {"parameters": "ckks-linear-1024"},
        {"parameters": "ckks-product-8192"},
        {"parameters": "bgv-linear-4096"},
    ],
)
def test_tables_whose_parts_contradict_each_other_are_refused(change: dict[str, object]) -> None:
    sent = table("ckks-linear-4096", np.ones((3, 2)))
    with pytest.raises(CiphertextRefused):
        score(replace(sent, **change), model([1.0, 1.0]))  # type: ignore[arg-type]


def test_swapped_ciphertexts_make_another_table() -> None:
    name = "ckks-linear-4096"
    sent = table(name, np.array([[1.0, 0.0]]))
    swapped = replace(sent, ciphertexts=sent.ciphertexts[::-1])
    with pytest.raises(CiphertextRefused, match="another table"):
        open_scores(key(name), sent.digest(), 1, score(swapped, model([1.0, 0.5])))


@pytest.mark.parametrize(
    "values",
    [np.array([[np.nan]]), np.array([[np.inf]]), np.array([["x"]]), np.zeros((0, 1)), np.zeros(3), np.zeros((1, 2))],
)
def test_values_that_are_not_encrypted(values: np.ndarray) -> None:
    with pytest.raises(CallerError):
        encrypt_numbers(key("ckks-linear-4096"), ["f0"], values)


def test_values_beyond_a_bound_fractions_in_bgv_and_too_many_rows() -> None:
    with pytest.raises(CallerError, match="beyond its column's bound"):
        table("ckks-linear-4096", np.array([[2.0]]), bounds=[1.0])
    with pytest.raises(CallerError, match="integers for bgv"):
        table("bgv-linear-4096", np.array([[0.5]]))
    with pytest.raises(ParametersRefused, match="Split the rows"):
        table("ckks-linear-4096", np.broadcast_to(np.zeros(1), (6_000_000, 1)))
    with pytest.raises(ParametersRefused, match="does not count exactly"):
        encrypt_categories(key("ckks-linear-4096"), ["f0"], np.zeros((1, 1), dtype=int), [2])


def test_models_that_no_score_would_depend_on_the_data_for() -> None:
    for name, values in (("ckks-linear-4096", np.ones((1, 1))), ("bgv-linear-4096", np.ones((1, 1), dtype=int))):
        with pytest.raises(ModelRefused, match="every weight is 0"):
            score(table(name, values), model([0.0], 5.0))
    with pytest.raises(ModelRefused, match="no integer"):
        score(table("bgv-linear-4096", np.ones((1, 1), dtype=int)), model([0.5]))
    with pytest.raises(CallerError, match="no column 'f1'"):
        score(table("ckks-linear-4096", np.ones((1, 1))), model([1.0, 1.0]))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"kind":"linear","features":["a"],"weights":[1]}',
        '{"kind":"tree","features":["a"],"weights":[1],"intercept":0}',
        '{"kind":"linear","features":["a","a"],"weights":[1,1],"intercept":0}',
        '{"kind":"linear","features":["a"],"weights":[1,2],"intercept":0}',
        '{"kind":"linear","features":[],"weights":[],"intercept":0}',
        '{"kind":"linear","features":[1],"weights":[1],"intercept":0}',
        '{"kind":"linear","features":["a"],"weights":["1"],"intercept":0}',
        '{"kind":"linear","features":["a"],"weights":[true],"intercept":0}',
        '{"kind":"linear","features":["a"],"weights":[NaN],"intercept":0}',
        '{"kind":"linear","features":["a"],"weights":[1e999],"intercept":0}',
        '{"kind":"linear","features":["a"],"weights":[1e300],"intercept":0}',
        '{"kind":"linear","features":["a"],"weights":1,"intercept":0}',
        '{"kind":["linear"],"features":["a"],"weights":[1],"intercept":0}',
        '{"kind":"linear","features":["a"],"weights":[1],"intercept":0,"x":1}',
        '{"kind":"linear","kind":"linear","features":["a"],"weights":[1],"intercept":0}',
    ],
)
def test_models_that_are_none(text: str) -> None:
    with pytest.raises(ModelRefused):
        LinearModel.parse(text.encode())


def test_a_model_is_read() -> None:
    found = LinearModel.parse(b'{"kind":"logistic","features":["a","b"],"weights":[1,-0.5],"intercept":2}')
    assert found == LinearModel("logistic", ("a", "b"), (1.0, -0.5), 2.0)


def test_the_key_of_a_table_is_kept() -> None:
    sent = table("ckks-linear-4096", np.ones((3, 1)))
    saved = TableKey.of(key("ckks-linear-4096"), sent).save()
    kept = bytes(saved)
    again = TableKey.load(saved)
    assert not any(saved), "what was read is wiped"
    found = open_scores(again.key, again.about, again.rows, score(sent, model([1.0])))
    assert np.abs(found.values - 1).max() <= found.error
    for bad in (b"", kept[:3], kept[:40], kept[:-1], kept + b"\0", b"\xff" * 100, kept[:4] + b"\0" + kept[5:]):
        with pytest.raises(StateCorrupt):
            TableKey.load(bytearray(bad))
