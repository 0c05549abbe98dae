"""The verifier of answers (docs/inference-proofs.md). It raises `Rejected`, or gives back what was proven."""

from __future__ import annotations

from dataclasses import dataclass

from bounded_update.errors import Rejected
from bounded_update.field import Ext, inner
from bounded_update.opening import code_points
from bounded_update.transcript import Challenger, Transcript, serialize

from .claims import Challenges, Samples, public_source, sum_of_outputs
from .constraint import Constraint
from .joint import Joint
from .opened import RowWeights, check_mask_row, check_root, verify_rows
from .opening import Ends, Kappa, both_sides, claim, claim_W, mask_weights
from .proof_bytes import Head, LayerSent, Openings, Reader
from .prover import _bits, draw_maps, evaluated, linear_claims, weights_claims
from .rounds import follow_rounds
from .shape import LayerShape
from .soundness import soundness_bits
from .statement import Statement, check_batch


@dataclass(frozen=True)
class Verified:
    """The answers are what the committed model computes."""

    statement: bytes
    soundness_bits: float


def verify(statement: Statement, proof: bytes) -> Verified:
    check_batch(statement)
    reader = Reader(statement.shape, proof)
    head = reader.head()
    check_statement(head, statement.digest)
    return verify_under(statement, head, reader, Transcript(statement.digest))


def verify_under(statement: Statement, head: Head, reader: Reader, challenger: Challenger) -> Verified:
    """The same with challenges from anywhere."""
    shape = statement.shape
    ch, ends, z, w = verify_sums(statement, head, challenger)
    kappa = Kappa.draw(shape, challenger)
    rows = RowWeights.of(kappa.columns, z, shape.code)
    rows_W = RowWeights.of(kappa.weights, w, shape.weights.code)
    w_m, w_mW = mask_weights(shape, ch, kappa, z, w)
    challenger.absorb("sigma", serialize([head.sigma, head.sigma_W]))
    epsilon = challenger.draw("epsilon").element()
    challenger.absorb("opening", head.opening_bytes())
    positions = challenger.draw("positions").positions(shape.code.n, shape.code.Q)
    places = challenger.draw("places").positions(shape.weights.code.n, shape.weights.code.Q)
    openings = reader.openings(positions, places)
    check_roots(statement, head, openings, positions, places)
    check_mask_row(openings.first.words, code_points(shape.code.n, positions), epsilon, head.u_m)
    left = claim(head.sigma, epsilon, kappa, ends, w_m, head.u_m)
    left_W = claim_W(head.sigma_W, epsilon, kappa, ends, w_mW, head.u_m)
    sides = both_sides(shape, head, openings, (positions, places), (rows, rows_W), (left, left_W))
    verify_rows(Joint.of(shape), sides, head.root3, epsilon, openings.to_bytes(), reader, challenger)
    reader.end()
    return Verified(head.statement, soundness_bits(shape))


def check_statement(head: Head, digest: bytes) -> None:
    if head.statement != digest:
        raise Rejected("the proof is about another statement")


def verify_sums(
    statement: Statement, head: Head, challenger: Challenger
) -> tuple[Challenges, Ends, list[Ext], list[Ext]]:
    """Rows 1 to 6: what the opening must show of the masks, and where."""
    shape = statement.shape
    challenger.absorb("roots", head.root1 + head.root_M)
    drawn = challenger.draw("lookup")
    alpha, beta = drawn.element(), drawn.element()
    challenger.absorb("root2", head.root2)
    ch = Challenges(alpha, beta, challenger.draw("batch").elements(shape.beta))
    samples = Samples(statement, ch.r_b)
    G_i = [
        _verify_layer(layer, sent, samples, ch, challenger)
        for layer, sent in zip(shape.layers, head.layers, strict=True)
    ]
    draw_maps(shape, ch, challenger)
    claims = linear_claims(shape, samples, ch, head.layers)
    z, left = follow_rounds(claims.sum, head.rounds, ("round", "z"), challenger)
    challenger.absorb("values", serialize(head.y))
    constraint = Constraint(shape, samples, ch, claims)
    G = left - constraint.evaluate(head.y, constraint.values(z))
    claims_W = weights_claims(shape, samples, ch, head.layers)
    w, left = follow_rounds(claims_W.sum, head.rounds_W, ("weights round", "w"), challenger)
    challenger.absorb("weights values", serialize(head.y_W))
    G_W = left - inner([evaluated(column, w) for column in claims_W.columns], head.y_W)
    return ch, Ends(head.y, G, head.y_W, G_W, G_i), z, w


def _verify_layer(layer: LayerShape, sent: LayerSent, samples: Samples, ch: Challenges, challenger: Challenger) -> Ext:
    """G_i: what the masks of a layer must be at s."""
    ch.r_o.append(challenger.draw("layer").elements(_bits(layer.outputs)))
    v_A = sum_of_outputs(layer, samples, ch.r_o[-1]) if sent.v_A is None else sent.v_A
    challenger.absorb("claim", sent.claim_bytes())
    s, left = follow_rounds(v_A - sent.v_B, sent.rounds, ("layer round", "s"), challenger)
    ch.s.append(s)
    challenger.absorb("ends", sent.ends_bytes())
    x = public_source(layer, samples, s) if sent.x is None else sent.x
    return left - x * sent.m


def check_roots(statement: Statement, head: Head, openings: Openings, positions: list[int], places: list[int]) -> None:
    n, n_W = statement.shape.code.n, statement.shape.weights.code.n
    check_root("1", head.root1, positions, openings.first, n)
    check_root("2", head.root2, positions, openings.second, n)
    check_root("M", head.root_M, places, openings.mask, n_W)
    check_root("W", statement.root, places, openings.weights, n_W)
