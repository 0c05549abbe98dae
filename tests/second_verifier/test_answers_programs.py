"""Programs that are refused, by name; and the formulas of the page against their definitions."""

from __future__ import annotations

import random
import struct
from dataclasses import replace
from typing import Any

import pytest
from toy_answers import CONV, DENSE, LAST_IS_A_POOL, POOL_OF_INPUT, WIDE_POOL_OF_INPUT, Operator

from bounded_update.field import Ext, P, evaluate
from inference import FieldHash, Refused, Shape, WeightsShape, parse
from inference.claims import Challenges, LinearClaims, Samples
from inference.codes import REAL
from inference.constraint import Constraint
from inference.model import Run
from inference.program import Program
from inference.steps import AveragePool, Conv, Dense, Flatten, MaxPool, Sum
from inference.values import Rounding, Windows

ROUNDING = Rounding(3, 0, 15, 8)
LAST = Dense(1, 2, None)


def image(*steps: Any) -> tuple[Any, ...]:
    return (2, 5, 5), 0, 15, 7, (*steps, Flatten(len(steps)), Dense(len(steps) + 1, 2, None))


REFUSED: dict[str, tuple[str, tuple[Any, ...]]] = {
    "two sizes": ("an input of sizes", ((3, 3), 0, 15, 3, (LAST,))),
    "a size of 0": ("an input of sizes", ((0,), 0, 15, 3, (Dense(0, 2, None),))),
    "a range without 0": ("a range of 1 to 15", ((4,), 1, 15, 3, (Dense(0, 2, None),))),
    "a range that is too wide": ("a range of -1 to 65535", ((4,), -1, 65535, 3, (Dense(0, 2, None),))),
    "no weights but 0": ("weights of at most 0", ((4,), 0, 15, 0, (Dense(0, 2, None),))),
    "weights of 17 bits": ("weights of at most 65536", ((4,), 0, 15, 1 << 16, (Dense(0, 2, None),))),
    "no steps": ("0 steps", ((4,), 0, 15, 3, ())),
    "too many steps": ("1025 steps", ((4,), 0, 15, 3, (Flatten(0),) * 1025)),
    "a later source": ("step 1 takes what is not there", ((4,), 0, 15, 3, (Dense(1, 2, None),))),
    "sums between": ("step 1 is not rounded", ((4,), 0, 15, 3, (Dense(0, 2, None), Dense(1, 2, None)))),
    "one feature": ("fewer than 2 features", ((1,), 0, 15, 3, (Dense(0, 2, None),))),
    "a Dense of an image": ("which is no vector", ((1, 2, 2), 0, 15, 3, (Dense(0, 2, None),))),
    "a Conv of a vector": ("which is no image", ((4,), 0, 15, 3, (Conv(0, 1, Windows((1, 1), (1, 1)), None),))),
    "a Dense of no outputs": ("without outputs", ((4,), 0, 15, 3, (Dense(0, 0, None),))),
    "a Conv of no channels": ("without channels", image(Conv(0, 0, Windows((1, 1), (1, 1)), ROUNDING))),
    "a kernel that does not fit": ("no window of", image(Conv(0, 1, Windows((6, 1), (1, 1)), ROUNDING))),
    "a Sum of two shapes": ("a Sum of", ((4,), 0, 15, 3, (Dense(0, 2, ROUNDING), Sum((0, 1), (0, 0), ROUNDING)))),
    "a long left shift": ("left shifts of", ((4,), 0, 15, 3, (Sum((0, 0), (25, 0), ROUNDING), Dense(1, 2, None)))),
    "a multiplier of 0": ("a multiplier of 0", image(AveragePool(0, Windows((2, 2), (1, 1)), 0, ROUNDING))),
    "pads of a whole kernel": ("no pixel", image(MaxPool(0, Windows((2, 2), (1, 1), (2, 0, 0, 0))))),
    "no layer": ("no step is a Dense or a Conv", ((4,), 0, 15, 3, (Sum((0, 0), (0, 0), ROUNDING),))),
    "only the input": ("only flattens the input", ((4,), 0, 15, 3, (Dense(0, 2, ROUNDING), Flatten(0)))),
    "sums too large": ("may reach", ((1 << 20,), 0, 65535, 65535, (Dense(0, 2, None),))),
    "a wide pool": ("not below 2\\^15 wide", ((1, 2, 2), 0, 1 << 15, 3, (MaxPool(0, Windows((1, 2), (1, 1))),))),
}


@pytest.mark.parametrize(("reason", "arguments"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_program_is_refused(reason: str, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(Refused, match=reason):
        Program(*arguments)


@pytest.mark.parametrize("change", [{"shift": 17}, {"q_bits": 0}, {"q_bits": 16}, {"low": 1}, {"high": -1}])
def test_a_rounding_that_is_none_is_refused(change: dict[str, int]) -> None:
    with pytest.raises(Refused):
        replace(ROUNDING, **change)


@pytest.mark.parametrize("program", [DENSE, CONV, POOL_OF_INPUT, LAST_IS_A_POOL])
def test_a_program_is_read_as_it_was_written(program: Program) -> None:
    data = program.to_bytes()
    assert parse(data) == program
    for other in (data[:-1], data + bytes(4), b"QFPROG02" + data[8:], b""):
        with pytest.raises(Refused):
            parse(other)


@pytest.mark.parametrize(("at", "number"), [(-4, 2), (40, 9)])
def test_a_flag_or_a_kind_that_is_none_is_refused(at: int, number: int) -> None:
    """The last field of the last Dense is its flag; the first of the first step, its kind, is at byte 32."""
    data = bytearray(DENSE.to_bytes())
    at = at if at < 0 else 32
    data[at : at + 4 or None] = struct.pack("<I", number)
    with pytest.raises(Refused, match=r"a rounding that begins with 2|a step of kind 9"):
        parse(bytes(data))


def test_batches_and_openings_have_their_bounds() -> None:
    for batch in (0, (1 << 14) + 1):
        with pytest.raises(Refused, match="a batch of"):
            Shape(DENSE, batch, 1)
    for openings in (0, 65):
        with pytest.raises(Refused, match="openings"):
            WeightsShape(DENSE, openings)
    large = Program((1 << 12,), 0, 15, 3, (Dense(0, 1 << 14, None),))
    with pytest.raises(Refused, match="weights and biases are more than columns"):
        WeightsShape(large, 1)
    wide = Program((4,), 0, 15, 3, (Dense(0, 1 << 13, ROUNDING), Dense(1, 2, None)))
    with pytest.raises(Refused, match="no column is long enough"):
        Shape(wide, 1 << 14, 1)


def test_hashes_of_short_ranges_are_refused() -> None:
    with pytest.raises(Refused, match="at least 16"):
        FieldHash.of(replace(DENSE, high=14))


def test_the_numbers_of_the_page_are_those_of_real_shapes() -> None:
    shape = Shape(DENSE, 3, 1)
    assert (shape.parameters, shape.ell, shape.weights.omega) == (REAL, 12, 12)
    assert (shape.code.C, shape.code.n, shape.code.Q) == (2048, 1 << 14, 125)
    assert (shape.weights.code.C, shape.weights.code.n, shape.weights.code.Q) == (2048, 1 << 14, 125)
    full = WeightsShape(DENSE, 64).code
    assert (full.C, full.n, full.appended) == (1 << 15, 1 << 18, 64 * full.Q)
    for code in (shape.code, shape.row_code, shape.weights.code, full):
        assert ((code.n + code.K) / (2 * code.n)) ** code.Q <= 2.0**-102
        shorter = code.Q - 1
        K = code.C + code.appended // code.Q * shorter
        assert ((code.n + K) / (2 * code.n)) ** shorter > 2.0**-102


@pytest.mark.parametrize("program", [DENSE, CONV, POOL_OF_INPUT, LAST_IS_A_POOL, WIDE_POOL_OF_INPUT])
@pytest.mark.parametrize("hidden", [False, True])
def test_public_vectors_at_a_point_are_what_their_definitions_say(program: Program, hidden: bool) -> None:
    hidden = hidden and program.high - program.low >= 15
    operator = Operator(program, hidden=hidden)
    shape, draw = operator.shape, random.Random(9)

    def elements(count: int) -> list[Ext]:
        return [Ext(draw.randrange(P), draw.randrange(P)) for _ in range(count)]

    (alpha, beta), r_b = elements(2), elements(shape.beta)
    ch = Challenges(alpha, beta, r_b)
    for layer in shape.layers:
        ch.r_o.append(elements((layer.outputs - 1).bit_length()))
        ch.s.append(elements(layer.variables))
    ch.r_t = [elements((shape.forms.cells[t].features - 1).bit_length()) for t in shape.linear_cells]
    ch.r_h, ch.r_out = elements(1), elements((program.outputs - 1).bit_length())
    ch.tau, (ch.gamma, ch.gamma_W) = elements(shape.ell), elements(2)
    samples = Samples(operator.statement(), ch.r_b)
    claims = LinearClaims(shape, samples, ch, elements(len(shape.layers)), elements(len(shape.layers)))
    constraint = Constraint(shape, samples, ch, claims)
    z = elements(shape.ell)
    assert constraint.values(z) == {key: evaluate(vector, z) for key, vector in constraint.vectors().items()}


@pytest.mark.parametrize("program", [CONV, POOL_OF_INPUT, LAST_IS_A_POOL])
def test_pools_are_the_largest_of_the_image(program: Program) -> None:
    """The cells of a MaxPool against its definition."""
    operator = Operator(program)
    for sample in operator.inputs:
        values = Run(program, operator.weights).trace(sample).values
        for number, step in enumerate(program.steps, 1):
            if not isinstance(step, MaxPool):
                continue
            channels, height, width = program.given(number)[0].shape
            down, across = step.windows.size((channels, height, width))
            given = values[step.source]
            expected = []
            for c in range(channels):
                for y in range(down):
                    for x in range(across):
                        pixels = [step.windows.pixel((c, height, width), (y, x), p) for p in step.windows.all_places()]
                        expected.append(max(given[c * height * width + p] for p in pixels if p is not None))
            assert values[number] == expected
