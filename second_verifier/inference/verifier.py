"""The verifier of answers (docs/inference-proofs.md). It raises `Rejected`, or gives back what was proven."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bounded_update.errors import Rejected
from bounded_update.field import Ext, eq_vector, inner
from bounded_update.opening import code_points, combined_words, fold_claim, omega_at, start_of_second
from bounded_update.polynomials import horner, interpolate
from bounded_update.shape import log2
from bounded_update.transcript import Challenger, Transcript, serialize
from bounded_update.tree import Opening, root_of

from .claims import Challenges, Samples, public_source, sum_of_outputs
from .constraint import Constraint
from .opening import Ends, Kappa, RowWeights, claim, claim_W, mask_weights
from .proof_bytes import Head, LayerSent, Openings, Reader, Widths
from .prover import Opened, _bits, draw_maps, evaluated, linear_claims, opened_values, weights_claims
from .shape import Code, LayerShape, Shape
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
    both = Opened(
        positions,
        places,
        epsilon,
        rows,
        rows_W,
        claim(head.sigma, epsilon, kappa, ends, w_m, head.u_m),
        claim_W(head.sigma_W, epsilon, kappa, ends, w_mW, head.u_m),
    )
    verify_rows(shape, head, openings, both, reader, challenger)
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


def follow_rounds(
    start: Ext, rounds: Sequence[Sequence[Ext]], labels: tuple[str, str], challenger: Challenger
) -> tuple[list[Ext], Ext]:
    """The point, and the claim there."""
    point = []
    for sent in rounds:
        challenger.absorb(labels[0], serialize(sent))
        point.append(challenger.draw(labels[1]).element())
        start = interpolate([sent[0], start - sent[0], *sent[1:]], point[-1])
    return point, start


def check_roots(statement: Statement, head: Head, openings: Openings, positions: list[int], places: list[int]) -> None:
    n, n_W = statement.shape.code.n, statement.shape.weights.code.n
    check_root("1", head.root1, positions, openings.first, n)
    check_root("2", head.root2, positions, openings.second, n)
    check_root("M", head.root_M, places, openings.mask, n_W)
    check_root("W", statement.root, places, openings.weights, n_W)


def check_root(name: str, root: bytes, positions: list[int], opening: Opening, size: int) -> None:
    leaves: Mapping[int, bytes] = dict(zip(positions, opening.leaves(), strict=True))
    if root_of(leaves, log2(size), opening.path) != root:
        raise Rejected(f"the opened words are not those of tree {name}")


def check_mask_row(words: Sequence[Sequence[int]], points: Sequence[int], epsilon: Ext, u_m: Sequence[Ext]) -> None:
    for opened, x in zip(words, points, strict=True):
        mask, nu = Ext(*opened[-6:-4]), Ext(*opened[-4:-2])
        if nu + epsilon * mask != horner(u_m, x):
            raise Rejected("the opened mask row is not what the opened words say")


def verify_rows(
    shape: Shape, head: Head, openings: Openings, both: Opened, reader: Reader, challenger: Challenger
) -> None:
    """Rows 9 to 12."""
    challenger.absorb("opened", openings.to_bytes())
    drawn = challenger.draw("chi")
    chi, chi_W = drawn.element(), drawn.element()
    values, values_W = opened_values(shape, head, openings, both)
    weights = shape.weights
    points = code_points(shape.code.n, both.positions)
    points_W = code_points(weights.code.n, both.places)
    start = start_of_second(both.claim, values, chi)
    high, u_2 = verify_fold("u", start, both.rows.point, points, chi, shape.row_code, reader, challenger)
    start = start_of_second(both.claim_W, values_W, chi_W)
    high_W, u_2W = verify_fold("u_W", start, both.rows_W.point, points_W, chi_W, weights.row_code, reader, challenger)
    n2, n2_W = shape.row_code.n, weights.row_code.n
    positions2 = challenger.draw("positions2").positions(n2, shape.row_code.Q)
    places2 = challenger.draw("places2").positions(n2_W, weights.row_code.Q)
    widths = Widths.of(shape)
    third = reader.opening(positions2, n2, widths.third, salted=False)
    fourth = reader.opening(places2, n2_W, widths.fourth, salted=False)
    check_root("3", head.root3, positions2, third, n2)
    check_root("4", head.root4, places2, fourth, n2_W)
    check_combined_run("u", third.words, code_points(n2, positions2), high, u_2)
    check_combined_run("u_W", fourth.words, code_points(n2_W, places2), high_W, u_2W)


def verify_fold(
    name: str,
    last: Ext,
    z_low: Sequence[Ext],
    points: Sequence[int],
    chi: Ext,
    row_code: Code,
    reader: Reader,
    challenger: Challenger,
) -> tuple[list[Ext], list[Ext]]:
    """A row takes the claimed value at z_lo and the values U_i at the points. Gives eq(r_hi) and u_2."""
    r: list[Ext] = []
    for _ in range(len(z_low)):
        fold = reader.fold()
        challenger.absorb("fold", serialize(fold))
        r.append(challenger.draw("r").element())
        last = fold_claim(last, fold, r[-1])
    u_2 = reader.combined_run(row_code)
    split = len(r) - log2(row_code.C)
    check_last_claim(name, inner(eq_vector(r[split:]), u_2) * omega_at(r, z_low, points, chi), last)
    challenger.absorb("row", serialize(u_2))
    return eq_vector(r[:split]), u_2


def check_last_claim(name: str, value: Ext, last: Ext) -> None:
    if value != last:
        raise Rejected(f"the opened row {name} does not take the values that it must")


def check_combined_run(
    name: str, words: Sequence[Sequence[int]], points: Sequence[int], weights: Sequence[Ext], u_2: Sequence[Ext]
) -> None:
    for opened, x in zip(words, points, strict=True):
        if combined_words(opened, weights) != horner(u_2, x):
            raise Rejected(f"the combined run of {name} is not what the opened words say")
