"""Keys in shares by the second verifier alone: complete, sound against dealers and members who lie, and hiding."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from test_second_hiding import COINS, holds, shown, view_of
from toy_proofs import SEED, Silo, run, toy_shape

from bounded_update import Further, Randomness, Rejected, Threshold, verify
from bounded_update.columns import base_columns
from bounded_update.constraint import Constraint
from bounded_update.explain import explain
from bounded_update.field import ONE, Ext, P
from bounded_update.prover import Prover
from bounded_update.shares import Dealt, add, check_share, commitment, deal, key_blocks, recover, split
from bounded_update.simulator import simulate
from bounded_update.verifier import Verified, draw_challenges, follow_rounds

SHAPES = {
    "two in eight": toy_shape(2, 2, 40, threshold=Threshold(8, 3, 2)),
    "no packing, two groups": toy_shape(1, 4, 5 * 16 - 3, threshold=Threshold(5, 2, 1)),
    "packed by four, further claims": toy_shape(2, 2, 40, claims=3, threshold=Threshold(8, 1, 4)),
}
SHAPE = SHAPES["two in eight"]
each_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())


def silo_of(shape: Any) -> Silo:
    silo = Silo(shape)
    if shape.slack_space > 64:
        silo.q[0][0][2] = 0
        silo.further = Further((silo.part(0, 30, 0), silo.part(15, 40, 77)), silo.direction(5))
    return silo


def dealt_by(silo: Silo) -> Dealt:
    assert silo.dealt is not None
    return silo.dealt


def check(silo: Silo, verified: Verified, member: int, share: bytes) -> None:
    commitments, threshold = silo.statement().commitments, silo.shape.threshold
    assert threshold is not None
    values, N = verified.key_values, silo.shape.parameters.N
    check_share(verified.statement, verified.root1, values, threshold, commitments, member, share, N)


@each_shape
def test_every_member_accepts_its_share_of_an_honest_dealer(shape: Any) -> None:
    silo = silo_of(shape)
    verified = verify(silo.statement(), silo.blocks(), run(silo.prover()).to_bytes())
    assert len(verified.key_values) == shape.threshold.recovery
    for member in range(1, shape.threshold.members + 1):
        check(silo, verified, member, dealt_by(silo).share(member))


@each_shape
def test_the_closed_form_of_the_public_vectors_is_their_definition(shape: Any) -> None:
    silo = silo_of(shape)
    proof = run(silo.prover())
    statement, blocks = silo.statement(), silo.blocks()
    from bounded_update.transcript import Transcript

    challenges = draw_challenges(shape, proof.head, Transcript(statement.digest(blocks)))
    constraint = Constraint(statement, blocks, challenges)
    z, _ = follow_rounds(constraint.claim(*proof.head.key_values), proof.head, Transcript(bytes(32)))
    from bounded_update.field import evaluate

    values = constraint.values(z)
    for key, vector in constraint.vectors().items():
        assert evaluate(vector, z) == values[key], key


def test_a_share_that_is_off_the_polynomials_is_refused_beside_a_proof_that_holds() -> None:
    for place in (32, 40, -16, -8):
        silo = Silo(SHAPE)
        share = bytearray(dealt_by(silo).share(6))
        share[place] ^= 1
        commitments = list(dealt_by(silo).commitments)
        commitments[5] = commitment(bytes(share))
        statement = replace(silo.statement(), commitments=tuple(commitments))
        prover = silo.prover()
        prover.statement = statement
        verified = verify(statement, silo.blocks(), run(prover).to_bytes())
        arguments = (verified.statement, verified.root1, verified.key_values, SHAPE.threshold, commitments)
        with pytest.raises(Rejected, match="not on the polynomials"):
            check_share(*arguments, 6, bytes(share), 16)  # type: ignore[arg-type]
        check_share(*arguments, 5, dealt_by(silo).share(5), 16)  # type: ignore[arg-type]


def test_shares_of_another_key_are_refused() -> None:
    """The dealer shares another key than it encrypts under, consistently, and proves what it encrypted."""
    silo = Silo(SHAPE)
    other = deal(SHAPE.parameters, dealt_by(silo).threshold, [x + (i == 3) for i, x in enumerate(silo.key)], bytes(32))
    statement = replace(silo.statement(), commitments=other.commitments)
    witness = replace(silo.witness, dealt=replace(other, values=key_blocks(silo.key, 2) + other.values[2:]))
    columns = base_columns(SHAPE, witness, witness.slacks(statement))
    proof = run(Prover(statement, silo.blocks(), columns, Randomness.from_seed(SHAPE, SEED)))
    verified = verify(statement, silo.blocks(), proof.to_bytes())
    arguments = (verified.statement, verified.root1, verified.key_values, SHAPE.threshold, other.commitments)
    for member in range(4, 9):
        with pytest.raises(Rejected, match="not on the polynomials"):
            check_share(*arguments, member, other.share(member), 16)  # type: ignore[arg-type]


@pytest.mark.parametrize("point", range(5))
def test_a_false_v_is_rejected(point: int) -> None:
    class Liar(Prover):
        def key_values(self, zeta: Sequence[Ext]) -> list[Ext]:
            values = super().key_values(zeta)
            values[point] += ONE
            return values

    silo = Silo(SHAPE)
    with pytest.raises(Rejected):
        verify(silo.statement(), silo.blocks(), run(silo.prover(Liar)).to_bytes())


def test_without_the_claims_about_v_a_false_one_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = Constraint._shares

    class Liar(Prover):
        def key_values(self, zeta: Sequence[Ext]) -> list[Ext]:
            return [value + ONE for value in super().key_values(zeta)]

    silo = Silo(SHAPE)
    monkeypatch.setattr(Constraint, "_shares", lambda self: [weight - weight for weight in shares(self)])
    verify(silo.statement(), silo.blocks(), run(silo.prover(Liar)).to_bytes())


def test_the_commitments_are_in_the_statement() -> None:
    silo = Silo(SHAPE)
    proof, first = run(silo.prover()).to_bytes(), silo.statement()
    swapped = replace(first, commitments=(*first.commitments[1:], first.commitments[0]))
    for other in (swapped, replace(first, shape=replace(SHAPE, threshold=Threshold(8, 4, 1)))):
        with pytest.raises(Rejected):
            verify(other, silo.blocks(), proof)
    with pytest.raises(ValueError, match="commitment"):
        replace(first, commitments=first.commitments[:-1])
    with pytest.raises(ValueError, match="commitment"):
        replace(first, shape=replace(SHAPE, threshold=None))


def test_other_shares_than_were_committed_to_are_refused() -> None:
    silo = Silo(SHAPE)
    verified = verify(silo.statement(), silo.blocks(), run(silo.prover()).to_bytes())
    share = dealt_by(silo).share(1)
    for wrong, match in (
        (dealt_by(silo).share(2), "committed"),
        (bytes([share[0] ^ 1]) + share[1:], "committed"),
        (share[:-1], "length"),
        (b"", "length"),
    ):
        with pytest.raises(Rejected, match=match):
            check(silo, verified, 1, wrong)


# ------------------------------------------------------------------------------------------------------- recovery


def sums(silos: list[Silo], threshold: Threshold) -> dict[int, list[int]]:
    return {k: add([dealt_by(silo).share(k) for silo in silos]) for k in range(1, threshold.members + 1)}


@each_shape
def test_any_quorum_gives_the_sum_and_every_liar_is_named(shape: Any) -> None:
    silos = [Silo(shape, seed=seed) for seed in (1, 2, 3)]
    threshold, expected = shape.threshold, [sum(at) for at in zip(*(silo.key for silo in silos), strict=True)]
    answers, draw = sums(silos, threshold), random.Random(3)
    largest = 3 * shape.parameters.eta
    assert recover(answers, threshold, largest)[0] == (expected, ())
    for _ in range(5):
        quorum = dict(draw.sample(sorted(answers.items()), threshold.recovery))
        assert recover(quorum, threshold, largest) == [(expected, ())]
        liar = draw.choice(sorted(answers))
        lying = answers | {liar: [(x + draw.randrange(P)) % P for x in answers[liar]]}
        assert recover(lying, threshold, largest)[0] == (expected, (liar,))
        del quorum[sorted(quorum)[0]]
        assert recover(quorum, threshold, largest) == []


# --------------------------------------------------------------------------------------------------------- hiding


def corrupted_of(silo: Silo, members: Sequence[int], draw: random.Random) -> dict[int, tuple[list[int], Ext]]:
    """What members have who are in league: anything, and not what this silo dealt."""
    m = silo.shape.share_length
    return {k: ([draw.randrange(P) for _ in range(m)], Ext(draw.randrange(P), draw.randrange(P))) for k in members}


@each_shape
@pytest.mark.parametrize("many", [0, 1, 2])
def test_a_simulated_view_and_shares_of_colluders_are_those_of_every_witness(shape: Any, many: int) -> None:
    """Whatever up to t_p members have, and whatever the view: a prover of each witness has randomness that gives
    both."""
    draw = random.Random(many)
    silo = silo_of(shape)
    threshold = shape.threshold
    members = draw.sample(range(1, threshold.members + 1), threshold.privacy if many == 2 else min(many, 1))
    corrupted = corrupted_of(silo, members, draw)
    statement, blocks = silo.statement(), silo.blocks()
    view = simulate(statement, blocks, COINS, b"one", corrupted)
    holds(statement, blocks, view.proof)
    found = explain(statement, blocks, COINS, view, silo.witness, Randomness.from_seed(shape, SEED), corrupted)
    assert found.dealt is not None
    assert found.dealt.values[: threshold.packing] == key_blocks(silo.key, threshold.packing)
    for member, share in corrupted.items():
        assert split(found.dealt.share(member)) == share
    again = view_of(statement, blocks, replace(silo.witness, dealt=found.dealt), found.randomness)
    assert shown(again) == shown(view)


def test_an_honest_run_is_explained_by_its_own_randomness() -> None:
    silo, drawn = Silo(SHAPE), Randomness.from_seed(SHAPE, SEED)
    view = view_of(silo.statement(), silo.blocks(), silo.witness, drawn)
    corrupted = {k: split(dealt_by(silo).share(k)) for k in (2, 5, 8)}
    found = explain(silo.statement(), silo.blocks(), COINS, view, silo.witness, drawn, corrupted)
    assert found.dealt == silo.dealt


def test_one_colluder_more_than_the_threshold_is_not_simulated() -> None:
    silo = Silo(SHAPE)
    corrupted = corrupted_of(silo, [1, 2, 3, 4], random.Random(1))
    with pytest.raises(ValueError, match="more members"):
        simulate(silo.statement(), silo.blocks(), COINS, b"one", corrupted)


def test_without_its_mask_v_shows_a_combination_of_the_key() -> None:
    silo, other = Silo(SHAPE), Silo(SHAPE)
    for one in (silo, other):
        one.dealt = replace(dealt_by(one), mask=[ONE - ONE] * 5)
    other.key = [x + (i == 3) for i, x in enumerate(other.key)]
    heads, zeta = [], [Ext(5 + i, 3) for i in range(4)]
    for one in (silo, other):
        statement = replace(silo.statement(), bound=1000)
        witness = replace(
            one.witness, dealt=replace(dealt_by(silo), values=key_blocks(one.key, 2) + dealt_by(silo).values[2:])
        )
        columns = base_columns(SHAPE, witness, witness.slacks(statement))
        heads.append(Prover(statement, silo.blocks(), columns, Randomness.from_seed(SHAPE, SEED)).key_values(zeta))
    assert heads[0] != heads[1] and heads[0][1:] == heads[1][1:]
