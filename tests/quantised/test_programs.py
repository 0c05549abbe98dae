"""The public half of a graph as bytes, and what no proof is about."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from float_models import digits, everything, numbers, perceptron
from quatrefoil.errors import ModelRefused
from quatrefoil.proofs import inference
from quatrefoil.quantised import IntegerGraph, Widths, program_of, quantise, weights_of
from quatrefoil.quantised.graph import Input
from quatrefoil.quantised.steps import ArgMax, AveragePool, Conv, Dense, Flatten, MaxPool, Requantise, Sum


def integers(*rows):
    return np.array(rows, dtype=np.int64)


def graph(*steps, shape=(2,), low=0, high=255):
    return IntegerGraph(Input("x", shape, 0, low, high), steps, (0,) * (len(steps) + 1), "y")


RULE = Requantise(3, 0, 255)
HIDDEN = Dense("h", (0,), integers([1, -2], [3, 4]), np.array([-7, 5]), RULE)
LAST = Dense("y", (1,), integers([9, -1]), np.array([2]), None)


def test_every_byte_of_a_small_program():
    found = program_of(graph(HIDDEN, LAST))
    # The rows' sums are -517 .. 248 and 5 .. 1790, at most 224 after rounding: 8 bits.
    expected = [b"QFPROG01", struct.pack("<2I2i2I", 1, 2, 0, 255, 9, 2)]
    expected += [struct.pack("<5I2iI", 0, 0, 2, 1, 3, 0, 255, 8), struct.pack("<4I", 0, 1, 1, 0)]
    assert found.content == b"".join(expected)
    assert (found.inputs, found.outputs) == (2, 1)
    assert weights_of(graph(HIDDEN, LAST)) == struct.pack("<9i", 1, -2, 3, 4, -7, 5, 9, -1, 2)


def test_every_kind_of_step():
    kernel = np.arange(-8, 10).reshape(1, 2, 3, 3)
    rounded = Requantise(4, -128, 127)
    steps = (
        Conv("c", (0,), kernel, np.array([1]), (2, 1), (1, 2, 0, 1), rounded),
        Sum("s", (1, 1), (3, 0), rounded),
        AveragePool("a", (2,), (2, 3), (1, 2), 43, Requantise(8, -128, 127)),
        MaxPool("m", (3,), (1, 2), (1, 2), (0, 1, 0, 1)),
        Flatten("f", (4,)),
        Dense("y", (5,), np.ones((2, 2), np.int64), np.zeros(2, np.int64), None),
    )
    found = program_of(graph(*steps, shape=(2, 5, 5), low=-128, high=127))
    words = struct.unpack(f"<{(len(found.content) - 8) // 4}i", found.content[8:])
    assert words == (
        *(3, 2, 5, 5, -128, 127, 9, 6),
        *(1, 0, 1, 3, 3, 2, 1, 1, 2, 0, 1, 1, 4, -128, 127, 10),
        *(2, 1, 1, 3, 0, 1, 4, -128, 127, 7),
        *(3, 2, 2, 3, 1, 2, 43, 1, 8, -128, 127, 8),
        *(4, 3, 1, 2, 1, 2, 0, 1, 0, 1),
        *(5, 4),
        *(0, 5, 2, 0),
    )


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(2, 4),
    columns=st.integers(2, 5),
    shift=st.integers(3, 9),
    seed=st.integers(0, 10_000),
    signed=st.booleans(),
)
def test_bits_of_rounded_sums_are_the_fewest_that_hold_the_extremes(rows, columns, shift, seed, signed):
    """Against the extremes themselves: every sign pattern's best input."""
    draw = np.random.default_rng(seed)
    matrix, bias = draw.integers(-99, 100, (rows, columns)), draw.integers(-999, 1000, rows)
    low, high = (-128, 127) if signed else (0, 255)
    step = Dense("h", (0,), matrix, bias, Requantise(shift, 0, 255))
    made = graph(
        step,
        Dense("y", (1,), np.ones((1, rows), np.int64), np.zeros(1, np.int64), None),
        shape=(columns,),
        low=low,
        high=high,
    )
    ends = []
    for row, b in zip(matrix.tolist(), bias.tolist(), strict=True):
        for best in (max, min):
            total = b + sum(best(w * low, w * high) for w in row)
            ends.append((total + (2**shift >> 1)) // 2**shift)
    (bits,) = struct.unpack_from("<I", program_of(made).content, 8 + 24 + 12 + 16)
    assert all(-(2**bits) <= q < 2**bits for q in ends)
    assert bits == 1 or not all(-(2 ** (bits - 1)) <= q < 2 ** (bits - 1) for q in ends)


def end_of(made):
    """The five numbers that an ArgMax has in a program: kind, source, last, shift, q_bits."""
    return struct.unpack("<5I", program_of(made).content[-20:])


def test_an_arg_max_gives_one_place():
    found = program_of(quantise(everything(), numbers(1, 30, 2, 8, 8)))
    assert (found.outputs, found.inputs) == (1, 128)


@pytest.mark.parametrize(("last", "keep_dims"), [(False, False), (True, False), (False, True), (True, True)])
def test_an_arg_max_of_sums_says_how_many_bits_they_have(last, keep_dims):
    # From -253 to 2297: 13 bits with the sign, which are looked up in two halves.
    made = graph(HIDDEN, LAST, ArgMax("c", (2,), last, keep_dims))
    assert end_of(made) == (6, 2, last, 6, 7)
    assert program_of(made).content[-36:-20] == struct.pack("<4I", 0, 1, 1, 0)
    # From -255 to 1000: 11 bits.
    fewer = Dense("y", (1,), integers([3, -1]), np.array([0]), None)
    assert end_of(graph(HIDDEN, fewer, ArgMax("c", (2,), last, keep_dims))) == (6, 2, last, 0, 11)


def test_an_arg_max_of_values_has_the_bits_of_their_range():
    assert end_of(graph(HIDDEN, ArgMax("c", (1,)))) == (6, 1, 0, 0, 8)
    wide = Dense("h", (0,), integers([1, -2], [3, 4]), np.array([-7, 5]), Requantise(0, -(1 << 15), (1 << 15) - 1))
    assert end_of(graph(wide, ArgMax("c", (1,), True))) == (6, 1, 1, 8, 8)
    image = Conv("c", (0,), np.ones((2, 1, 1, 1), np.int64), np.array([0, 0]), (1, 1), (0, 0, 0, 0), RULE)
    assert end_of(graph(image, Flatten("f", (1,)), ArgMax("a", (2,)), shape=(1, 2, 2))) == (6, 2, 0, 0, 8)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_bits_of_an_arg_max_are_the_least_that_all_sums_have(data):
    rows, wide = data.draw(st.integers(1, 4)), data.draw(st.integers(2, 4))
    weights = st.lists(st.integers(-127, 127), min_size=wide, max_size=wide)
    matrix = integers(*(data.draw(weights) for _ in range(rows)))
    bias = np.array(data.draw(st.lists(st.integers(-5000, 5000), min_size=rows, max_size=rows)))
    low = data.draw(st.integers(-200, 0))
    high = data.draw(st.integers(low + 1 if low else 1, 255))
    high = max(high, 1)
    made = graph(Dense("h", (0,), matrix, bias, None), ArgMax("a", (1,)), shape=(wide,), low=low, high=high)
    ends = [
        b + sum(best(w * low, w * high) for w in row)
        for row, b in zip(matrix.tolist(), bias.tolist(), strict=True)
        for best in (max, min)
    ]
    _, _, _, shift, q_bits = end_of(made)
    half = 1 << (shift + q_bits - 1)
    assert all(-half <= end < half for end in ends)
    assert half == 1 or not all(-half // 2 <= end < half // 2 for end in ends)


def test_the_largest_of_something_else_than_the_last_step_has_no_program():
    other = Dense("g", (0,), integers([1, 2]), np.array([0]), RULE)
    with pytest.raises(ModelRefused, match="something else than the last step"):
        program_of(graph(HIDDEN, other, ArgMax("c", (1,))))


def test_a_program_is_the_same_whatever_the_weights_within_its_ranges():
    """What it tells of weights is their largest magnitude and the ranges of sums."""
    other = Dense("h", (0,), integers([2, -1], [4, 3]), np.array([-7, 5]), RULE)
    assert program_of(graph(HIDDEN, LAST)) == program_of(graph(other, LAST))
    assert weights_of(graph(HIDDEN, LAST)) != weights_of(graph(other, LAST))


def test_the_digits_have_a_program():
    model, images, _ = digits()
    found = program_of(quantise(model, images[:300]))
    assert (found.inputs, found.outputs) == (64, 10)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda: graph(Dense("h", (0,), integers([1, 2]), np.array([0]), Requantise(17, 0, 255))), "by 17 bits"),
        (lambda: graph(Dense("h", (0,), integers([99, 99]), np.array([0]), Requantise(0, 0, 255))), "0 .. 50,490"),
        (lambda: graph(Dense("h", (0,), integers([1]), np.array([0]), None), shape=(1,)), "takes a single value"),
        (lambda: graph(Flatten("f", (0,))), "no weights"),
        (lambda: graph(Dense("h", (0,), integers([1, 2]), np.array([(1 << 31) + 7]), Requantise(16, 0, 9))), "32,768"),
        (
            lambda: graph(Flatten("f", (0,)), Dense("y", (1,), integers([1, 2]), np.array([0]), None), shape=(2, 1)),
            "sizes",
        ),
    ],
)
def test_what_no_proof_is_about_is_refused_with_the_numbers(made, why):
    with pytest.raises(ModelRefused, match=why):
        program_of(made())


def test_sums_that_could_pass_fifty_bits_are_refused():
    big = Sum("s", (0, 0), (24, 24), Requantise(16, 0, 255))
    with pytest.raises(ModelRefused, match="proofs are about"):
        program_of(graph(HIDDEN, big, high=(1 << 16) - 1))


def test_models_that_would_hold_up_a_verifier_are_refused():
    # Windows of 2^9 by 2^9, 2^9 by 2^9 of them: 2^36 products.
    pool = AveragePool("p", (0,), (512, 512), (1, 1), 1, Requantise(16, 0, 255))
    rest = (Flatten("f", (1,)), Dense("y", (2,), np.zeros((1, 1 << 18), np.int64), np.array([2]), None))
    program_of(graph(pool, *rest, shape=(1, 1023, 1023), high=1))
    conv = Conv("c", (0,), np.ones((2, 1, 512, 512), np.int64), np.zeros(2), (1, 1), (0,) * 4, Requantise(16, 0, 255))
    rest = (Flatten("f", (1,)), Dense("y", (2,), np.zeros((1, 1 << 19), np.int64), np.array([2]), None))
    with pytest.raises(ModelRefused, match="have 137,438,953,472 products an inference, over 68,719,476,736"):
        program_of(graph(conv, *rest, shape=(1, 1023, 1023), high=1))


def test_models_that_a_verifier_could_not_hold_are_refused():
    """Pools of one place cost nothing and give 2^24 entries each, all of which a verifier weighs."""

    def pools(count: int) -> list[MaxPool]:
        return [MaxPool(f"p{number}", (number,), (1, 1), (1, 1), (0,) * 4) for number in range(count)]

    def conv(source: int) -> Conv:
        weights, requantise = np.ones((1, 1, 1, 1), np.int64), Requantise(4, 0, 1)
        return Conv("c", (source,), weights, np.zeros(1), (4096, 4096), (0,) * 4, requantise)

    program_of(graph(*pools(7), conv(7), shape=(1, 4096, 4096), high=1))
    with pytest.raises(ModelRefused, match="steps take 150,994,944 entries an inference, over 134,217,728"):
        program_of(graph(*pools(8), conv(8), shape=(1, 4096, 4096), high=1))


def test_a_shift_beyond_what_proofs_have_is_refused_by_its_node():
    made = quantise(perceptron(2, 2, 1, seed=813), numbers(813, 20, 2), Widths(16, 15))
    shifts = [step.requantise.shift for step in made.steps if isinstance(step, Dense) and step.requantise is not None]
    assert max(shifts) > 16
    with pytest.raises(ModelRefused, match="proofs are about"):
        program_of(made)


def test_biases_beyond_32_bits_are_refused():
    made = graph(Dense("h", (0,), integers([1, 2]), np.array([1 << 40]), Requantise(16, 0, 9)))
    with pytest.raises(ModelRefused, match="biases of 'h' reach"):
        weights_of(made)


def test_cells_are_those_that_a_proof_commits_to():
    """By the columns of the proof's own shape: sums that are shortened take three, the others two."""
    pooled = MaxPool("m", (1,), (2, 2), (2, 2), (0, 0, 0, 0))
    kernels = Conv("c", (0,), np.ones((2, 1, 3, 3), np.int64), np.zeros(2, np.int64), (1, 1), (0, 0, 0, 0), RULE)
    flat = Flatten("f", (2,))
    rounded, bounded = 2 * 4 * 4, (4 - 1) * 2 * 2 * 2
    image = graph(
        kernels, pooled, flat, Dense("y", (3,), np.ones((3, 8), np.int64), np.zeros(3, np.int64), None), shape=(1, 6, 6)
    )
    assert image.inputs == 36 and image.cells == rounded + bounded
    placed = graph(kernels, pooled, flat, ArgMax("a", (3,)), shape=(1, 6, 6))
    assert placed.cells == image.cells + 8 + 1
    assert graph(HIDDEN, LAST).cells == 2 and graph(Dense("y", (0,), integers([9, -1]), np.array([2]), None)).cells == 0
    for one, shortened in ((image, rounded), (graph(HIDDEN, LAST), 2)):
        found = inference.shape(program_of(one).content, 4, 1 << 12, hidden=False)
        columns = [-(-(count << 12) // found["rows"]) for count in (one.cells, one.cells, shortened)]
        assert found["base_columns"] - found["table_columns"] == sum(columns)
