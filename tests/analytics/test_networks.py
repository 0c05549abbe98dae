"""Networks on encrypted rows against exact ones, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quatrefoil.aggregation.he import SETS, EvaluationKeys, SecretKey
from quatrefoil.aggregation.he.bounds import CkksTrack
from quatrefoil.analytics import TableKey, encrypt_numbers
from quatrefoil.analytics.networks import (
    NETWORK_SET,
    EncryptedRows,
    Network,
    NetworkEvaluator,
    encrypt_row,
    evaluate,
    open_answer,
    prepare,
)
from quatrefoil.errors import CallerError, CiphertextRefused, ModelRefused, ParametersRefused

Floats = list[float]
NOTHING = r"beyond their bound|are none"


@cache
def made(number: int) -> tuple[SecretKey, EvaluationKeys]:
    chosen = SecretKey.generate(SETS[NETWORK_SET])
    return chosen, chosen.evaluation_keys()


def key(number: int = 0) -> SecretKey:
    return made(number)[0]


def keys(number: int = 0) -> EvaluationKeys:
    return made(number)[1]


def names(what: str, count: int) -> tuple[str, ...]:
    return tuple(f"{what}{i}" for i in range(count))


def network(hidden: Any, biases: Any, output: Any, constants: Any, activation: Any = "identity") -> Network:
    rows = [tuple(tuple(map(float, row)) for row in layer) for layer in (hidden, output)]
    flat = [tuple(map(float, values)) for values in (biases, constants)]
    named = names("x", len(rows[0][0])), names("y", len(rows[1]))
    return Network(named[0], rows[0], flat[0], rows[1], flat[1], named[1], activation)


def drawn(seed: int, inputs: int, hidden: int, outputs: int, activation: str = "identity") -> Network:
    source = np.random.default_rng(seed)
    shapes = ((hidden, inputs), (hidden,), (outputs, hidden), (outputs,))
    parts = [source.standard_normal(shape) / np.sqrt(shape[-1]) for shape in shapes]
    return network(*parts, activation=activation)


def exact(chosen: Network, row: Floats) -> list[Fraction]:
    """In fractions: no rounding anywhere."""
    units = [
        Fraction(b) + sum(Fraction(w) * Fraction(x) for w, x in zip(weights, row, strict=True))
        for weights, b in zip(chosen.hidden, chosen.hidden_biases, strict=True)
    ]
    return [
        Fraction(b) + sum(Fraction(w) * unit**2 for w, unit in zip(weights, units, strict=True))
        for weights, b in zip(chosen.output, chosen.output_biases, strict=True)
    ]


def sent(chosen: Network, values: np.ndarray, **options: Any) -> EncryptedRows:
    return encrypt_row(key(), names("x", chosen.inputs), values, **options)


number = st.floats(-1e3, 1e3, allow_subnormal=False)


@settings(max_examples=20, deadline=None)
@given(st.data(), st.integers(1, 5), st.integers(1, 5), st.integers(1, 3))
def test_outputs_are_within_their_error(data: st.DataObject, inputs: int, hidden: int, outputs: int) -> None:
    def matrix(down: int, across: int) -> list[Floats]:
        return data.draw(st.lists(st.lists(number, min_size=across, max_size=across), min_size=down, max_size=down))

    biases = [matrix(1, count)[0] for count in (hidden, outputs)]
    chosen = network(matrix(hidden, inputs), biases[0], matrix(outputs, hidden), biases[1])
    row = matrix(1, inputs)[0]
    rows = sent(chosen, np.array(row))
    try:
        answer = evaluate(rows, chosen, keys())
    except ModelRefused:  # no output depends on an input
        return
    found = open_answer(key(), rows.digest(), 1, answer)
    for value, truth in zip(found.values[0], exact(chosen, row), strict=True):
        assert abs(Fraction(float(value)) - truth) <= Fraction(found.error)
        assert float(value) % found.step == 0


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (2, 1, 1), (1, 5, 3), (13, 16, 1), (30, 64, 1), (30, 70, 3), (5, 7, 33), (2048, 1, 2)]
)
def test_shapes_that_fill_slots_in_every_way(shape: tuple[int, int, int]) -> None:
    chosen = drawn(1, *shape)
    values = np.random.default_rng(2).uniform(-2, 2, (2, shape[0]))
    rows = sent(chosen, values, bounds=[2.0] * shape[0])
    answer = evaluate(rows, chosen, keys())
    found = open_answer(key(), rows.digest(), 2, answer)
    assert found.names == names("y", shape[2]) and found.values.shape == (2, shape[2])
    for got, row in zip(found.values, values.tolist(), strict=True):
        assert max(abs(Fraction(float(g)) - t) for g, t in zip(got, exact(chosen, row), strict=True)) <= found.error
    assert len(answer.ciphertexts[0]) == 113 + 16 * 8192  # one prime is left


def test_the_bound_has_a_margin_but_is_no_fantasy() -> None:
    """Before rounding: what is met is inside the derived error, and the error at most a few thousand times it."""
    chosen = drawn(3, 30, 32, 1)
    values = np.random.default_rng(4).uniform(-1, 1, (8, 30))
    rows = sent(chosen, values, bounds=[1.0] * 30)
    answer = evaluate(rows, chosen, keys())
    ready = NetworkEvaluator(chosen, keys()).prepared(rows.columns, rows.bounds)
    track = replace(ready.track, error=2.0**-50)  # not to round, here only
    raw = [key().decrypt_rounded(data, track).values[0] * answer.unit for data in answer.ciphertexts]
    met = max(abs(Fraction(got) - exact(chosen, row)[0]) for got, row in zip(raw, values.tolist(), strict=True))
    assert met <= ready.track.error * answer.unit < 3000 * met


def test_probabilities_and_names_in_any_order() -> None:
    chosen = replace(drawn(5, 3, 4, 2, "sigmoid"), features=("c", "a", "b"), outputs=("ill", "well"))
    row = np.array([0.5, -1.0, 2.0, 9.0])
    rows = encrypt_row(key(), ("a", "b", "c", "unused"), row)
    found = open_answer(key(), rows.digest(), 1, evaluate(rows, chosen, keys()))
    logits = np.array([float(value) for value in exact(chosen, [2.0, 0.5, -1.0])])
    assert found.names == ("ill", "well") and found.activation == "sigmoid"
    assert np.abs(found.values[0] - 1 / (1 + np.exp(-logits))).max() <= found.error < 1e-3


def test_units_that_are_constant_or_unused_change_nothing() -> None:
    chosen = network([[1, 0], [0, 0], [2, 1]], [0.5, 3, 1], [[1, 2, 0]], [-1])
    rows = sent(chosen, np.array([0.25, 1.0]))
    found = open_answer(key(), rows.digest(), 1, evaluate(rows, chosen, keys()))
    assert abs(found.values[0, 0] - (0.75**2 + 2 * 9 - 1)) <= found.error


def test_one_evaluator_for_rows_of_other_bounds() -> None:
    chosen = drawn(6, 2, 2, 1)
    party = NetworkEvaluator(chosen, keys())
    for bound in (1.0, 4.0, 1.0):
        rows = sent(chosen, np.array([0.5, -1.0]), bounds=[bound, bound])
        found = open_answer(key(), rows.digest(), 1, party.evaluate(rows))
        assert abs(Fraction(float(found.values[0, 0])) - exact(chosen, [0.5, -1.0])[0]) <= found.error


def test_what_does_not_fit_is_refused_with_the_numbers() -> None:
    p = SETS[NETWORK_SET]
    for shape, problem in (
        ((2, 2, 4096), "4096 outputs need 2 x 4096 slots for each hidden unit, and ckks-network-8192 has 4096"),
        ((1024, 300, 1), "300 hidden units"),
    ):
        with pytest.raises(ParametersRefused, match=problem):
            prepare(drawn(7, *shape), names("x", shape[0]), (1.0,) * shape[0], p)
    with pytest.raises(ParametersRefused, match=r"wrong by .* under ckks-network-8192, and at most 1e-09"):
        chosen = drawn(8, 2, 2, 1)
        evaluate(sent(chosen, np.ones(2)), chosen, keys(), largest_error=1e-9)
    with pytest.raises(ParametersRefused, match="rows of 1 columns"):
        encrypt_row(key(), ["x0"], np.zeros((171, 1)))
    with pytest.raises(ParametersRefused, match="rows of 4097 columns"):
        encrypt_row(key(), names("x", 4097), np.zeros(4097))
    with pytest.raises(CallerError, match="not encrypted under a public key"):
        encrypt_row(SecretKey.pair(SETS[NETWORK_SET])[0], ["x0"], np.zeros(1))
    with pytest.raises(ParametersRefused, match="has no room for a network"):
        encrypt_row(SecretKey.generate(SETS["ckks-linear-4096"]), ["x0"], np.zeros(1))
    with pytest.raises(ParametersRefused, match=r"1 matrices .* ckks-product-8192 has room for 0"):
        prepare(drawn(8, 2, 2, 1), ("x0", "x1"), (1.0, 1.0), SETS["ckks-product-8192"])
    with pytest.raises(ModelRefused, match="outputs can reach"):
        prepare(network([[2.0**99]], [0], [[2.0**99]], [0]), ("x0",), (2.0**150,), p)


def test_networks_whose_outputs_depend_on_no_input() -> None:
    for chosen in (network([[0]], [1], [[1]], [0]), network([[1]], [1], [[0]], [0])):
        with pytest.raises(ModelRefused, match="depend on no input"):
            evaluate(sent(chosen, np.ones(1)), chosen, keys())


def test_columns_that_are_missing_or_too_many() -> None:
    rows = encrypt_row(key(), ("a", "b"), np.ones(2))
    with pytest.raises(ModelRefused, match="no column 'x0'"):
        evaluate(rows, drawn(9, 2, 2, 1), keys())
    unnamed = replace(drawn(9, 3, 2, 1), features=())
    with pytest.raises(ModelRefused, match=r"3 inputs without names, and the rows 2"):
        evaluate(rows, unnamed, keys())


def test_answers_are_of_these_rows_and_this_key() -> None:
    chosen = drawn(10, 3, 4, 1)
    first, second = (sent(chosen, np.full(3, value)) for value in (1.0, 0.5))
    answer = evaluate(first, chosen, keys())
    with pytest.raises(CiphertextRefused, match="another table"):  # replayed
        open_answer(key(), second.digest(), 1, answer)
    with pytest.raises(CiphertextRefused, match="another key"):
        open_answer(key(1), first.digest(), 1, answer)
    with pytest.raises(CiphertextRefused, match=NOTHING):  # renamed: only decryption can tell
        open_answer(key(1), first.digest(), 1, replace(answer, key_id=key(1).key_id))
    with pytest.raises(CiphertextRefused, match="kind"):
        open_answer(key(), first.digest(), 1, replace(answer, kind="scores-linear"))
    with pytest.raises(CiphertextRefused, match="number of rows"):
        open_answer(key(), first.digest(), 1, replace(answer, ciphertexts=answer.ciphertexts * 2))
    with pytest.raises(CiphertextRefused):  # of the rows themselves: other primes
        open_answer(key(), first.digest(), 1, replace(answer, ciphertexts=first.ciphertexts))


def test_evaluation_keys_of_another_key_or_set() -> None:
    chosen = drawn(11, 2, 2, 1)
    rows = sent(chosen, np.ones(2))
    with pytest.raises(CiphertextRefused, match="another key"):
        evaluate(rows, chosen, keys(1))
    forged = replace(keys(1), key_id=keys().key_id)  # the key holder notices: what comes back is nothing
    with pytest.raises(CiphertextRefused, match=NOTHING):
        open_answer(key(), rows.digest(), 1, evaluate(rows, chosen, forged))
    with pytest.raises(CiphertextRefused, match="evaluation keys of ckks-product-8192"):
        evaluate(rows, chosen, SecretKey.generate(SETS["ckks-product-8192"]).evaluation_keys())


def test_outputs_that_do_not_stand_in_every_slot_are_refused() -> None:
    """Of a party that returns a hidden layer, or another mixture, under an answer's name."""
    chosen = drawn(12, 4, 4, 1)
    rows = sent(chosen, np.array([1.0, -0.5, 0.25, 2.0]))
    answer = evaluate(rows, replace(drawn(12, 4, 4, 2), features=chosen.features), keys())
    with pytest.raises(CiphertextRefused, match="are none"):
        open_answer(key(), rows.digest(), 1, replace(answer, labels=("score",)))
    with pytest.raises(CiphertextRefused, match="are none"):
        three = evaluate(rows, replace(drawn(12, 4, 4, 4), features=chosen.features), keys())
        open_answer(key(), rows.digest(), 1, replace(three, labels=("a", "b", "c")))


@pytest.mark.parametrize(
    "change",
    [
        {"error": float("nan")},
        {"error": 0.0},
        {"error": 3.5e-8},
        {"error": 2.0},
        {"unit": float("inf")},
        {"bound": float("nan")},
        {"bound": 1e-6},
        {"scale_bits": 52},
        {"scale_bits": 0},
        {"labels": ()},
        {"labels": ("a", "a")},
        {"labels": tuple(map(str, range(4097)))},
        {"rows": 2},
        {"ciphertexts": (b"",)},
    ],
)
def test_answers_that_make_no_sense_are_refused(change: dict[str, Any]) -> None:
    chosen = drawn(13, 3, 4, 1)
    rows = sent(chosen, np.ones(3))
    with pytest.raises(CiphertextRefused):
        open_answer(key(), rows.digest(), 1, replace(evaluate(rows, chosen, keys()), **change))


@pytest.mark.parametrize(
    "change",
    [
        {"columns": ()},
        {"columns": ("x0",)},
        {"columns": ("x0", "x0")},
        {"bounds": (1.0, 3.0)},
        {"bounds": (1.0, 0.0)},
        {"bounds": (1.0, float("nan"))},
        {"bounds": (1.0,)},
        {"ciphertexts": ()},
        {"ciphertexts": (b"",)},
        {"parameters": "ckks-network-4096"},
        {"parameters": "ckks-product-8192"},
        {"parameters": "bgv-product-8192"},
    ],
)
def test_rows_whose_parts_contradict_each_other_are_refused(change: dict[str, Any]) -> None:
    chosen = drawn(14, 2, 2, 1)
    with pytest.raises(CiphertextRefused):
        evaluate(replace(sent(chosen, np.ones(2)), **change), chosen, keys())


def test_altered_ciphertexts_are_refused_by_form_or_after_decryption() -> None:
    chosen = drawn(15, 2, 2, 1)
    rows = sent(chosen, np.ones(2))
    answer = evaluate(rows, chosen, keys())
    data = answer.ciphertexts[0]
    for bad in (data[:-1], data + b"\0", data[:113] + b"\xff" * 8 + data[121:], b"\xff" * len(data), data[:200]):
        with pytest.raises(CiphertextRefused):
            open_answer(key(), rows.digest(), 1, replace(answer, ciphertexts=(bad,)))
    for place in (0, 20, 48, 49, 57, 65, 73, 81, 105):
        altered = bytearray(data)
        altered[place] ^= 1
        with pytest.raises(CiphertextRefused):
            open_answer(key(), rows.digest(), 1, replace(answer, ciphertexts=(bytes(altered),)))
    other = bytearray(data)
    other[113 + 8 * 5000] ^= 1  # one coefficient: every slot is another
    with pytest.raises(CiphertextRefused, match=NOTHING):
        open_answer(key(), rows.digest(), 1, replace(answer, ciphertexts=(bytes(other),)))


@pytest.mark.parametrize(
    "values", [np.array([np.nan]), np.array(["x"]), np.zeros((0, 1)), np.zeros(3), np.array([2.0])]
)
def test_values_that_are_not_encrypted(values: np.ndarray) -> None:
    with pytest.raises(CallerError):
        encrypt_row(key(), ["x0"], values, bounds=[1.0])


def test_the_key_of_rows_is_kept_as_a_tables() -> None:
    chosen = drawn(16, 2, 2, 1)
    rows = sent(chosen, np.ones(2))
    again = TableKey.load(TableKey.of(key(), rows).save())
    found = open_answer(again.key, again.about, again.rows, evaluate(rows, chosen, keys()))
    assert abs(Fraction(float(found.values[0, 0])) - exact(chosen, [1.0, 1.0])[0]) <= found.error


def test_a_table_by_columns_is_no_rows_and_rows_are_no_table() -> None:
    by_columns = encrypt_numbers(key(), ["x0"], np.ones((1, 1)))
    with pytest.raises(Exception, match="expected urn:quatrefoil:encrypted-rows"):
        EncryptedRows.decode(by_columns.encode())


def test_a_track_never_loses_a_prime_that_is_not_there() -> None:
    chosen = drawn(17, 2, 2, 1)
    ready = prepare(chosen, ("x0", "x1"), (1.0, 1.0), SETS[NETWORK_SET])
    with pytest.raises(ParametersRefused, match="3 matrices one after the other"):
        ready.track.applied(ready.output.known)
    with pytest.raises(ParametersRefused, match="different numbers of rescalings"):
        replace(ready.track, products=0).product(CkksTrack.fresh(SETS[NETWORK_SET]))
