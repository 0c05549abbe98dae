"""Honest proofs are accepted, and the formulas of the page are equal to their definitions, at toy size."""

from __future__ import annotations

import random

import pytest
from toy_constraints import beyond, constraint_of, degree_of, elements
from toy_proofs import SEED, N, Silo, run, toy_shape

from bounded_update import Randomness, Rejected, Shape, Verified, prove, verify
from bounded_update.columns import inverse_columns, table_row
from bounded_update.encryption import public_element
from bounded_update.field import ONE, ZERO, Ext, P, base, eq_vector, evaluate, inner, inner_base, total
from bounded_update.keeper import check_key
from bounded_update.opening import omega_at, omega_vector
from bounded_update.polynomials import negacyclic_coefficients, negacyclic_values
from bounded_update.shape import SLACK_BITS
from bounded_update.sumcheck import SumCheck

SHAPES = {
    "one block of one slot": toy_shape(1, 4, 16),
    "one value": toy_shape(1, 2, 1),
    "narrow limbs, cut in the second slot": toy_shape(2, 2, 4 * 32 - 9),
    "wide limbs, two groups, three empty blocks": toy_shape(2, 4, 5 * 32),
    "three slots, three groups, cut in the first": toy_shape(3, 2, 9 * 48 - 40),
    "three slots, an empty one": toy_shape(3, 4, 2 * 48 - 20),
    "a longer column": toy_shape(1, 2, 7 * 16, S=8),
}
each_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())


@each_shape
@pytest.mark.parametrize("slack", [0, (1 << SLACK_BITS) - 1 - (1 << 20)])
def test_an_honest_proof_is_accepted(shape: Shape, slack: int) -> None:
    silo = Silo(shape, slack)
    statement, blocks = silo.statement(), silo.blocks()
    proof = prove(statement, blocks, silo.witness, Randomness.from_seed(shape, SEED))
    verified = verify(statement, blocks, proof.to_bytes())
    assert verified == Verified(
        statement.digest(blocks),
        proof.head.root1,
        verified.zeta,
        evaluate([base(x) for x in silo.key], verified.zeta) + silo.pad,
    )
    check_key(verified.statement, verified.root1, verified.v, silo.key, silo.pad)


def test_an_update_of_zeros_is_accepted_under_the_bound_zero() -> None:
    silo = Silo(SHAPES["three slots, an empty one"], 0)
    silo.q = [[[0] * N for _ in slots] for slots in silo.q]
    assert silo.statement().bound == 0
    verify(silo.statement(), silo.blocks(), run(silo.prover()).to_bytes())


def test_extreme_values_and_errors_are_accepted() -> None:
    silo = Silo(toy_shape(2, 2, 32))
    silo.q[0][0] = [-8, 7] * (N // 2)
    silo.errors[0] = [-3, 3] * (N // 2)
    verify(silo.statement(), silo.blocks(), run(silo.prover()).to_bytes())


def test_an_honest_prover_refuses_a_norm_above_the_bound() -> None:
    silo = Silo(toy_shape(2, 2, 32), -1)
    with pytest.raises(ValueError, match="above the bound"):
        prove(silo.statement(), silo.blocks(), silo.witness, Randomness.from_seed(silo.shape, SEED))


@each_shape
def test_closed_forms_are_the_public_vectors(shape: Shape) -> None:
    constraint = constraint_of(Silo(shape))
    vectors = constraint.vectors()
    point = elements(random.Random(8), shape.ell)
    values = constraint.values(point)
    assert values.keys() == vectors.keys()
    for key, vector in vectors.items():
        assert evaluate(vector, point) == values[key], key


@each_shape
def test_f_adds_up_to_its_claim_row_by_row(shape: Shape) -> None:
    silo = Silo(shape)
    constraint, columns = constraint_of(silo), silo.columns()
    columns += inverse_columns(shape, columns, constraint.challenges.alpha)
    vectors = constraint.vectors()
    found = ZERO
    for row in range(shape.L):
        public = {key: vector[row] for key, vector in vectors.items()}
        found += constraint.evaluate([base(column[row]) for column in columns], public)
    zeta = constraint.challenges.zeta
    assert found == constraint.claim(evaluate([base(x) for x in silo.key], zeta) + silo.pad)


@each_shape
def test_f_has_the_degrees_of_the_page(shape: Shape) -> None:
    """d_i in each variable; in the last one less for each table in the chunk, so that the mask's degree is enough."""
    silo = Silo(shape)
    constraint, columns = constraint_of(silo), silo.columns()
    columns += inverse_columns(shape, columns, constraint.challenges.alpha)
    draw = random.Random(9)
    sums = SumCheck(constraint, columns, [ZERO] * sum(shape.degrees) + elements(draw, shape.m))
    f_max = max(len(chunk) for chunk in shape.chunks)
    tables = [sum(fraction >= shape.lookups for fraction in chunk) for chunk in shape.chunks]
    last = max(2 * len(chunk) + 3 - count for chunk, count in zip(shape.chunks, tables, strict=True))
    for i, degree in enumerate(shape.degrees):
        is_last = i == shape.ell - 1
        assert degree == (2 * f_max + 3 if is_last else f_max + 2)
        assert degree_of(beyond(sums, i, degree)) == (last if is_last else degree)
        sums.bind(i, elements(draw, 1)[0])


def test_the_weights_of_the_key_need_the_inverse_of_x() -> None:
    """<W_s, s> = sum of (a_j s)~ over the blocks, weighted; with A(X) in place of A(X^-1) it is something else."""
    silo = Silo(toy_shape(2, 4, 5 * 32))
    constraint, statement = constraint_of(silo), silo.statement()
    key = [x % P for x in silo.key]
    low = eq_vector(constraint.challenges.tau[-4:])
    key_values = negacyclic_values(key)
    products = []
    for j in range(silo.shape.J):
        a = public_element(silo.shape.parameters, statement.context, j)
        products.append(negacyclic_coefficients([x * y % P for x, y in zip(a, key_values, strict=True)]))
    weights = constraint._block_weights()
    expected = total(w * inner_base(low, product) for w, product in zip(weights, products, strict=True))
    found = constraint.key_weights(statement)
    assert inner_base(found, key) == expected
    # s(X^-1) in place of s, which is what a missing X -> X^-1 comes to for a random T
    reflected = [key[0], *(-x % P for x in reversed(key[1:]))]
    assert inner_base(found, reflected) != expected


@each_shape
def test_the_tables_hold_every_value_once(shape: Shape) -> None:
    rows = [table_row(shape, i) for i in range(shape.A_T * shape.L)]
    chosen = [value for value, selected in rows if selected]
    ranges = [base(x) + Ext(0, 1) for x in range(1 << shape.b)]
    errors = [base(x) + Ext(0, 2) for x in range(-3, 4)]
    assert chosen == ranges + errors


def test_omega_in_closed_form_is_the_vector() -> None:
    draw = random.Random(10)
    z_low, r, points = elements(draw, 5), elements(draw, 5), [1, 7, draw.randrange(P)]
    chi = elements(draw, 1)[0]
    vector = omega_vector(eq_vector(z_low), points, chi)
    assert vector[0] == eq_vector(z_low)[0] + chi + chi * chi + chi * chi * chi
    assert evaluate(vector, r) == omega_at(r, z_low, points, chi)
    assert inner(vector, eq_vector(r)) == omega_at(r, z_low, points, chi)


def test_a_key_of_another_seed_is_noticed_by_the_keeper() -> None:
    silo, other = Silo(toy_shape(1, 4, 16)), Silo(toy_shape(1, 4, 16), seed=2)
    verified = verify(silo.statement(), silo.blocks(), run(silo.prover()).to_bytes())
    for key, pad in (
        (other.key, silo.pad),
        (silo.key, other.pad),
        ([x + (i == 3) for i, x in enumerate(silo.key)], silo.pad),
    ):
        with pytest.raises(Rejected, match="key"):
            check_key(verified.statement, verified.root1, verified.v, key, pad)
    with pytest.raises(Rejected, match="key"):
        check_key(verified.statement, bytes(32), verified.v, silo.key, silo.pad)
    with pytest.raises(Rejected, match="key"):
        check_key(bytes(32), verified.root1, verified.v, silo.key, silo.pad)
    with pytest.raises(Rejected, match="key"):
        check_key(verified.statement, verified.root1, verified.v + ONE, silo.key, silo.pad)
