"""Further claims at toy size: what holds to the unit is accepted, each liar is rejected, and would not be without the
term that stops it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from toy_constraints import beyond, constraint_of, degree_of, elements
from toy_proofs import CONTEXT, SEED, N, Silo, run, toy_shape

import bounded_update.constraint
import bounded_update.verifier
from bounded_update import (
    Direction,
    Further,
    NamedDirection,
    PartNorm,
    Randomness,
    Rejected,
    Shape,
    Statement,
    prove,
    verify,
)
from bounded_update.columns import count_uses, inverse_columns, set_auxiliary
from bounded_update.constraint import Constraint
from bounded_update.field import ONE, ZERO, Ext, P, base, evaluate, powers, total
from bounded_update.keeper import check_key
from bounded_update.prover import Prover
from bounded_update.shape import SLACK_BITS, SUM_32_W12, SUM_256_W16
from bounded_update.soundness import soundness_bits, terms
from bounded_update.statement import blocks_bytes
from bounded_update.sumcheck import SumCheck
from bounded_update.transcript import content

SHAPES = {
    "one block of one slot": toy_shape(1, 4, 16, claims=7),
    "narrow limbs, cut in the second slot": toy_shape(2, 2, 4 * 32 - 9, claims=7),
    "wide limbs, two groups, three empty blocks": toy_shape(2, 4, 5 * 32, claims=7),
    "three slots, three groups, cut in the first": toy_shape(3, 2, 9 * 48 - 40, claims=7),
    "a longer column": toy_shape(1, 2, 7 * 16, S=8, claims=7),
}
SHAPE = toy_shape(2, 2, 40, claims=3)
each_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())


def with_zeros(shape: Shape, slack: int = 5) -> Silo:
    """A silo of whose values the third and the last are 0."""
    silo = Silo(shape, slack)
    for value in (2, shape.D - 1):
        block, rest = divmod(value, N * shape.parameters.k)
        silo.q[block][rest // N][rest % N] = 0
    return silo


def claiming(shape: Shape, slack: int = 0) -> Silo:
    """Six parts, which overlap, begin and end within slots and blocks and where they meet, and a direction."""
    silo, D, block = with_zeros(shape), shape.D, N * shape.parameters.k
    bounds = [(0, D), (0, 1), (D - 1, D), (1, D - 1), (N - 1, D), (min(block - 3, D - 2), min(block + N + 1, D))]
    parts = tuple(silo.part(first, end, slack) for first, end in bounds)
    silo.further = Further(parts, silo.direction(slack))
    return silo


def few(slack: int = 0) -> Silo:
    silo = with_zeros(SHAPE)
    silo.further = Further((silo.part(3, 30, slack), silo.part(10, 40, slack)), silo.direction(slack))
    return silo


@each_shape
@pytest.mark.parametrize("slack", [0, 3])
def test_what_holds_is_accepted_to_the_unit(shape: Shape, slack: int) -> None:
    silo = claiming(shape, slack)
    statement, blocks = silo.statement(), silo.blocks()
    assert silo.witness.slacks(statement)[1:] == [slack] * 7
    proof = prove(statement, blocks, silo.witness, Randomness.from_seed(shape, SEED))
    verified = verify(statement, blocks, proof.to_bytes())
    assert verified.statement == statement.digest(blocks)
    check_key(verified.statement, verified.root1, verified.v, silo.key, silo.pad)


@pytest.mark.parametrize("bound", [(1 << SLACK_BITS) - 1, 1 << 40])
def test_bounds_that_leave_much_are_accepted(bound: int) -> None:
    silo = few()
    entries = tuple(32767 if x > 0 else -32768 for x in silo.values)
    silo.further = Further((PartNorm(0, 40, bound),), Direction(entries))
    verify(silo.statement(), silo.blocks(), run(silo.prover()).to_bytes())


def test_either_kind_of_claim_is_accepted_alone() -> None:
    for further in (Further(few().further.parts), Further(direction=few().further.direction)):
        silo = few()
        silo.further = further
        verify(silo.statement(), silo.blocks(), run(silo.prover()).to_bytes())


@pytest.mark.parametrize("claim", [0, 1, 2])
def test_an_honest_prover_refuses_what_does_not_hold(claim: int) -> None:
    silo = lying(claim)
    with pytest.raises(ValueError, match=f"further claim {claim} does not hold"):
        prove(silo.statement(), silo.blocks(), silo.witness, Randomness.from_seed(SHAPE, SEED))


# The polynomial F.


@each_shape
def test_closed_forms_are_the_public_vectors(shape: Shape) -> None:
    constraint = constraint_of(claiming(shape))
    vectors, point = constraint.vectors(), elements(random.Random(8), shape.ell)
    values = constraint.values(point)
    assert values.keys() == vectors.keys()
    names = [name for name, _ in values]
    assert names.count("parts") == names.count("direction") == shape.G * shape.parameters.k
    for key, vector in vectors.items():
        assert evaluate(vector, point) == values[key], key


@each_shape
def test_rows_of_every_part_are_those_of_its_values(shape: Shape) -> None:
    """r of the page, for every begin: what stands in rows before it are values before it."""
    constraint, k = constraint_of(Silo(shape)), shape.parameters.k
    places = [constraint._place(value) for value in range(shape.D)]
    assert len(set(places)) == shape.D
    for value in range(0, shape.D + 1, 3):
        for column in range(shape.G * k):
            start = constraint._start(value, *divmod(column, k))
            before = {row for at, row in places[:value] if at == column}
            after = {row for at, row in places[value:] if at == column}
            assert all(row < start for row in before) and all(row >= start for row in after)


@each_shape
def test_f_adds_up_to_its_claim_row_by_row(shape: Shape) -> None:
    silo = claiming(shape, 2)
    constraint, columns = constraint_of(silo), silo.columns()
    columns += inverse_columns(shape, columns, constraint.challenges.alpha)
    vectors = constraint.vectors()
    found = total(
        constraint.evaluate(
            [base(column[row]) for column in columns], {key: vector[row] for key, vector in vectors.items()}
        )
        for row in range(shape.L)
    )
    v = evaluate([base(x) for x in silo.key], constraint.challenges.zeta) + silo.pad
    assert found == constraint.claim(v) != constraint_of(with_zeros(shape)).claim(v)


def test_f_keeps_to_its_degrees() -> None:
    silo = few()
    constraint, columns = constraint_of(silo), silo.columns()
    columns += inverse_columns(SHAPE, columns, constraint.challenges.alpha)
    draw = random.Random(9)
    sums = SumCheck(constraint, columns, [ZERO] * sum(SHAPE.degrees) + elements(draw, SHAPE.m))
    for i, degree in enumerate(SHAPE.degrees):
        assert degree_of(beyond(sums, i, degree)) <= degree
        sums.bind(i, elements(draw, 1)[0])


def test_without_claims_nothing_is_another() -> None:
    silo = few()
    silo.further = Further()
    plain = Statement(SHAPE, silo.statement().bound, silo.statement().context, silo.statement().binding)
    assert silo.statement() == plain and silo.statement().to_bytes(bytes(32)) == plain.to_bytes(bytes(32))
    assert Further().to_bytes() == b"" and not any(name == "parts" for name, _ in constraint_of(silo).vectors())


# Liars: everything is right but for one claim, of which the slack is -1.


def lying(claim: int) -> Silo:
    silo = few()
    (one, other), direction = silo.further.parts, silo.direction(-1 if claim == 2 else 0)
    parts = [replace(part, bound=part.bound - (claim == i)) for i, part in enumerate((one, other))]
    silo.further = Further(tuple(parts), direction)
    assert silo.witness.differences(silo.statement())[1:] == [-(i == claim) for i in range(3)]
    return silo


def with_bits(claim: int, bits: list[int]) -> Prover:
    """The false claim, with bits of which the sum is -1: one of them is none."""
    assert sum(bit << i for i, bit in enumerate(bits)) % P == P - 1
    prover = lying(claim).prover()
    set_auxiliary(SHAPE, prover.columns, SHAPE.slack_start(claim + 1), bits)
    count_uses(SHAPE, prover.columns)
    return prover


def with_other_slack(claim: int) -> Prover:
    """The claim holds, and the bits are those of another slack."""
    prover = few().prover()
    set_auxiliary(SHAPE, prover.columns, SHAPE.slack_start(claim + 1), [1])
    count_uses(SHAPE, prover.columns)
    return prover


@dataclass(frozen=True)
class Forgery:
    prover: Callable[[], Prover]
    claim: int
    term: int  # of its 63


FORGERIES = {
    f"{what} of {name}": Forgery(maker, claim, term)
    for claim, name in enumerate(("the first part", "the second part", "the direction"))
    for what, maker, term in (
        ("a slack of -1, without bits,", lambda claim=claim: lying(claim).prover(), 0),
        ("a slack of -1 in bit 0", lambda claim=claim: with_bits(claim, [P - 1] + [0] * 61), 1),
        ("a slack of -1 in bit 61", lambda claim=claim: with_bits(claim, [1] * 61 + [P - 1]), 62),
        ("another slack", lambda claim=claim: with_other_slack(claim), 0),
    )
}
each_forgery = pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES.keys())


@each_forgery
def test_a_false_claim_is_rejected(forgery: Forgery) -> None:
    prover = forgery.prover()
    with pytest.raises(Rejected, match="the opened row does not take the values"):
        verify(prover.statement, prover.blocks, run(prover).to_bytes())


@each_forgery
def test_it_is_accepted_without_the_term_that_stops_it(forgery: Forgery, monkeypatch: pytest.MonkeyPatch) -> None:
    prover = forgery.prover()
    dropped = SHAPE.m_q + 66 + SHAPE.parameters.k + 63 * forgery.claim + forgery.term

    def without(x: Ext, count: int) -> list[Ext]:
        assert count == SHAPE.m_q + 66 + SHAPE.parameters.k + 63 * 3
        return [ZERO if i == dropped else power for i, power in enumerate(powers(x, count))]

    monkeypatch.setattr(bounded_update.constraint, "powers", without)
    verify(prover.statement, prover.blocks, run(prover).to_bytes())


@pytest.mark.parametrize("claim", [0, 1, 2])
def test_a_prover_that_leaves_a_constraint_out_is_rejected(claim: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The prover's F has no term of the claim; the verifier's has."""
    prover = lying(claim).prover()

    class Forgetful(Constraint):
        def _claims(self) -> list[Ext]:
            return [ZERO if i == claim else weight for i, weight in enumerate(super()._claims())]

    monkeypatch.setattr("bounded_update.prover.Constraint", Forgetful)
    with pytest.raises(Rejected):
        verify(prover.statement, prover.blocks, run(prover).to_bytes())


# Other claims under one proof.


def other_claims() -> dict[str, Further]:
    further = few().further
    (one, other), direction = further.parts, further.direction
    assert isinstance(direction, Direction)
    turned = Direction((direction.entries[0] ^ 1, *direction.entries[1:]))
    reversed_ = Direction(tuple(max(-32767, -g) for g in direction.entries))
    return {
        "nothing": Further(),
        "no direction": Further((one, other)),
        "no parts": Further((), direction),
        "a part less": Further((one,), direction),
        "a part twice": Further((one, other, other)),
        "another order": Further((other, one), direction),
        "a larger bound": Further((replace(one, bound=one.bound + 1), other), direction),
        "a smaller bound": Further((one, replace(other, bound=other.bound - 1)), direction),
        "a longer part": Further((replace(one, end=one.end + 1), other), direction),
        "a later part": Further((replace(one, first=one.first + 1), other), direction),
        "another entry": Further((one, other), turned),
        "the other way": Further((one, other), reversed_),
    }


@pytest.mark.parametrize("name", other_claims())
def test_a_proof_is_of_its_own_claims_only(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    prover = few().prover()
    proof = run(prover).to_bytes()
    other = replace(prover.statement, further=other_claims()[name])
    with pytest.raises(Rejected, match="another statement"):
        verify(other, prover.blocks, proof)
    monkeypatch.setattr(bounded_update.verifier, "check_statement", lambda *_: None)
    with pytest.raises(Rejected):  # the digest is where every challenge starts from
        verify(other, prover.blocks, proof)


def test_every_claim_is_in_the_digest() -> None:
    silo = few()
    blocks = silo.blocks()
    digests = {replace(silo.statement(), further=other).digest(blocks) for other in other_claims().values()}
    assert len(digests | {silo.statement().digest(blocks)}) == len(other_claims()) + 1
    names = {name: len(other.to_bytes()) for name, other in other_claims().items()}
    assert (names["nothing"], names["no direction"], names["no parts"], names["a larger bound"]) == (0, 56, 40, 88)


def test_a_keeper_needs_no_more_than_digests() -> None:
    silo = few()
    statement, blocks = silo.statement(), silo.blocks()
    verified = verify(statement, blocks, run(silo.prover()).to_bytes())
    direction = silo.further.direction
    assert direction is not None
    known = replace(statement, further=Further(silo.further.parts, NamedDirection(direction.digest)))
    digest = known.digest_over(content(blocks_bytes(blocks)))
    check_key(digest, verified.root1, verified.v, silo.key, silo.pad)
    for other in (Further(silo.further.parts), Further(silo.further.parts, NamedDirection(bytes(32)))):
        digest = replace(known, further=other).digest_over(content(blocks_bytes(blocks)))
        with pytest.raises(Rejected, match="key"):
            check_key(digest, verified.root1, verified.v, silo.key, silo.pad)
    with pytest.raises(ValueError, match="only the digest is known"):
        verify(known, blocks, run(silo.prover()).to_bytes())


# Claims that are none.


@pytest.mark.parametrize(
    ("further", "message"),
    [
        (Further((PartNorm(3, 3, 1),)), "no part"),
        (Further((PartNorm(4, 3, 1),)), "no part"),
        (Further((PartNorm(0, 546, 1),)), "no part"),
        (Further((PartNorm(-1, 2, 1),)), "no part"),
        (Further((PartNorm(0, 1, 1), PartNorm(545, 546, 1))), "no part"),
        (Further((PartNorm(0, 1, 1 << 62),)), "bound of a part"),
        (Further((PartNorm(0, 1, -1),)), "bound of a part"),
        (Further((PartNorm(0, 1, 1),) * 57), "at most 56"),
        (Further((PartNorm(0, 1, 1),) * 56, Direction((0,) * 545)), "at most 56"),
        (Further(direction=Direction((0,) * 544)), "one entry for each value"),
        (Further(direction=Direction((0,) * 546)), "one entry for each value"),
        (Further(direction=Direction(())), "one entry for each value"),
        (Further(direction=NamedDirection(bytes(31))), "32 bytes"),
    ],
)
def test_a_statement_with_claims_that_are_none_is_refused(further: Further, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Statement(Shape.of(SUM_256_W16, 545), 0, CONTEXT, CONTEXT, further)


def test_the_largest_claims_are_a_statement() -> None:
    for parts, direction in ((56, None), (55, Direction((-32768, 32767) * 272 + (0,)))):
        further = Further((PartNorm(0, 545, (1 << 62) - 1),) * parts, direction)
        Statement(Shape.of(SUM_256_W16, 545), 0, CONTEXT, CONTEXT, further)


@pytest.mark.parametrize("entry", [32768, -32769, 1 << 40])
def test_an_entry_of_more_than_16_bits_is_refused(entry: int) -> None:
    with pytest.raises(ValueError, match="16 bits"):
        Direction((0, entry))


def test_a_toy_without_room_is_refused() -> None:
    Statement(toy_shape(2, 2, 40, claims=2), 0, CONTEXT, CONTEXT, Further((PartNorm(0, 1, 1),) * 2))
    with pytest.raises(ValueError, match="no room"):
        Statement(toy_shape(2, 2, 40, claims=1), 0, CONTEXT, CONTEXT, Further((PartNorm(0, 1, 1),) * 2))


# Real shapes.

SIZES = [(p, blocks) for p in (SUM_256_W16, SUM_32_W12) for blocks in (1, 2, 5, 8, 9, 17, 128, 2048)]


@pytest.mark.parametrize(("parameters", "blocks"), SIZES, ids=[f"{p.name}-{j}" for p, j in SIZES])
def test_every_real_shape_holds_what_the_page_says(parameters: object, blocks: int) -> None:
    shape = Shape.of(parameters, blocks * parameters.N * parameters.k)  # type: ignore[arg-type, attr-defined]
    assert shape.T_P + 64 * 57 <= shape.T_S and min(shape.degrees) >= 8
    assert shape.slack_start(56) + SLACK_BITS <= shape.T_S
    # Neither products with a direction nor squares of a part come near p, with a slack of 62 bits taken off.
    assert shape.D * 2 ** (shape.parameters.w - 1) <= 2**39
    assert shape.D * 4 ** (shape.parameters.w - 1) + 2**62 < P
    assert terms(shape, 56)["gamma"] - terms(shape)["gamma"] == terms(shape)["zeta"] * 63 * 56 / 12
    assert 99.7 <= soundness_bits(shape, 56) <= soundness_bits(shape)


@pytest.mark.parametrize(("parameters", "values"), [(SUM_256_W16, 9 * 8192 - 3), (SUM_32_W12, 2 * 12288 + 4097)])
def test_closed_forms_of_a_real_shape_are_the_public_vectors(parameters: object, values: int) -> None:
    """Only those of the claims, of which the definition is fast enough."""
    shape = Shape.of(parameters, values)  # type: ignore[arg-type]
    draw = random.Random(5)
    parts = [(0, values), (values - 1, values), *(sorted(draw.sample(range(values), 2)) for _ in range(6))]
    further = Further(
        tuple(PartNorm(first, end, 0) for first, end in parts),
        Direction(tuple(draw.randrange(-32768, 32768) for _ in range(values))),
    )
    statement = Statement(shape, 0, CONTEXT, CONTEXT, further)
    constraint = Constraint.__new__(Constraint)
    constraint.shape, constraint._parts, constraint._direction = shape, further.parts, further.direction
    constraint._first_claim, constraint._first_share = 1, 1 + 63 * statement.further.count
    constraint.gamma = powers(Ext(3, 5), constraint._first_share)
    point = elements(draw, shape.ell)
    for key, vector in constraint._claim_vectors().items():
        assert evaluate(vector, point) == constraint._claim_value(key, point) != ONE, key
