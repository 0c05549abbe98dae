"""Honest proofs of answers are accepted, and the formulas of the page are equal to their definitions, at toy size."""

from __future__ import annotations

from dataclasses import replace

import pytest
from toy_answers import CONV, DENSE, LAST_IS_A_POOL, LINEAR, POOL_OF_INPUT, ROUNDED, WIDE_POOL_OF_INPUT, Operator, run

from inference import Verified, verify
from inference.program import Program

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
