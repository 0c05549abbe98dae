"""Honest proofs of answers are accepted, and the formulas of the page are equal to their definitions, at toy size."""

from __future__ import annotations

from dataclasses import replace

import pytest
from toy_answers import (
    CONV,
    DENSE,
    LAST_IS_A_POOL,
    LINEAR,
    POOL_OF_INPUT,
    ROUNDED,
    ROUNDED_TO,
    WIDE_POOL_OF_INPUT,
    Operator,
    run,
)  # fmt: skip

from inference import Verified, verify
from inference.program import Program
from inference.steps import Conv, Dense, Flatten, MaxPool
from inference.values import Windows

PROGRAMS = {
    "dense": DENSE,
    "linear": LINEAR,
    "one rounded layer": ROUNDED,
    "convolutions": CONV,
    "a pool of the input": POOL_OF_INPUT,
    "a pool comes last": LAST_IS_A_POOL,
}
each_program = pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS.keys())


@each_program
@pytest.mark.parametrize(("batch", "openings"), [(1, 1), (3, 2), (4, 1)])
def test_an_honest_proof_is_accepted(program: Program, batch: int, openings: int) -> None:
    operator = Operator(program, batch, openings)
    prover = operator.prover()
    verified = verify(prover.statement, run(prover).to_bytes())
    assert isinstance(verified, Verified)
    assert verified.statement == prover.statement.digest


HIDDEN = {"dense": DENSE, "a pool of the input": WIDE_POOL_OF_INPUT, "linear": replace(LINEAR, low=-8, high=7)}


@pytest.mark.parametrize("program", HIDDEN.values(), ids=HIDDEN.keys())
@pytest.mark.parametrize("batch", [1, 3])
def test_an_honest_proof_with_hidden_inputs_is_accepted(program: Program, batch: int) -> None:
    prover = Operator(program, batch, hidden=True).prover()
    assert prover.shape.columns["i"]
    verify(prover.statement, run(prover).to_bytes())


ONE = Windows((1, 1), (1, 1))
LONGEST = {
    "flattened": Program(
        (3,), 0, 15, 3, (Dense(0, 3, ROUNDED_TO), *(Flatten(i) for i in range(1, 1023)), Dense(1023, 2, None))
    ),
    "pooled": Program(
        (1, 2, 2),
        *(0, 15, 3),
        (Conv(0, 1, ONE, ROUNDED_TO), *(MaxPool(i, ONE) for i in range(1, 1022)), Flatten(1022), Dense(1023, 2, None)),
    ),
}


@pytest.mark.parametrize("program", LONGEST.values(), ids=LONGEST.keys())
def test_a_value_is_followed_through_as_many_steps_as_there_may_be(program: Program) -> None:
    assert len(program.steps) == 1024
    prover = Operator(program, batch=1).prover()
    verify(prover.statement, run(prover).to_bytes())
