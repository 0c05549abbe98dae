"""Zero knowledge, executable: views made without a witness (docs/inference-proofs.md, What is hidden).

The argument is interactive here: challenges are the coins of an honest verifier, who does not look at what is sent.
What is uniform in a real view is drawn, and the verifier's equations are solved for the rest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bounded_update.field import ZERO, Ext, inner, total
from bounded_update.opening import code_points
from bounded_update.polynomials import horner
from bounded_update.simulator import Coins, _digest
from bounded_update.transcript import Drawn, Transcript
from bounded_update.tree import Opening, Tree, leaf

from .codes import Code
from .joint import Joint
from .opened import RowWeights, prove_rows
from .opening import Kappa, both_sides, claim, claim_W, mask_weights
from .proof_bytes import Head, LayerSent, Openings, Proof, Widths
from .shape import MASK_WORDS, LayerShape, Shape
from .statement import Statement
from .verifier import verify_sums


@dataclass(frozen=True)
class View:
    """A proof, and the opened rows u[0..C] and u_W[0..C_W], which it shows all but completely. `statement` is that
    of the proof: a simulated view has a root of the weights of its own, as what has not been opened is random."""

    statement: Statement
    proof: Proof
    row: list[Ext]
    row_W: list[Ext]


def simulate(statement: Statement, coins: bytes, seed: bytes) -> View:
    """A view that holds under these coins, without any witness."""
    shape, drawn = statement.shape, Transcript(hashlib.sha256(seed).digest()).draw("simulator")
    code, code_W = shape.code, shape.weights.code
    blank = bytes(32)
    # What is uniform. What is not known yet, roots and both sigma, the coins do not depend on.
    head = Head(
        statement=statement.digest,
        root1=blank,
        root_M=blank,
        root2=blank,
        layers=[_layer(layer, drawn) for layer in shape.layers],
        rounds=[drawn.elements(degree) for degree in shape.degrees],
        y=drawn.elements(shape.m),
        rounds_W=[drawn.elements(degree) for degree in shape.weights.degrees],
        y_W=drawn.elements(shape.weights.n_W),
        sigma=ZERO,
        sigma_W=ZERO,
        u_m=drawn.elements(shape.M + code.Q),
        u_end=drawn.elements(code.Q),
        u_W_end=drawn.elements(code_W.appended),
        root3=blank,
    )
    u, u_W = drawn.elements(code.C), drawn.elements(code_W.C)
    challenger = Coins(coins)
    ch, ends, z, w = verify_sums(statement, head, challenger)
    kappa = Kappa.draw(shape, challenger)
    rows = RowWeights.of(kappa.columns, z, code), RowWeights.of(kappa.weights, w, code_W)
    w_m, w_mW = mask_weights(shape, ch, kappa, z, w)
    epsilon = challenger.draw("epsilon").element()
    claims = inner(rows[0].low, u), inner(rows[1].low, u_W)
    sigma = claims[0] - claim(ZERO, epsilon, kappa, ends, w_m, head.u_m)
    sigma_W = claims[1] - claim_W(ZERO, epsilon, kappa, ends, w_mW, head.u_m)

    at = positions, places = draw_places(shape, challenger)
    points, points_W = code_points(code.n, positions), code_points(code_W.n, places)
    full, full_W = u + head.u_end, u_W + head.u_W_end
    words = [_words(shape, rows[0], epsilon, (full, head.u_m), x, drawn) for x in points]
    words_W = [_words_of_weights(shape, rows[1], epsilon, full_W, x, drawn) for x in points_W]
    first, second = (_tree(code, positions, side, drawn) for side in zip(*words, strict=True))
    mask, weights = (_tree(code_W, places, side, drawn) for side in zip(*words_W, strict=True))
    openings = Openings(first[1], second[1], mask[1], weights[1])
    joint = Joint.of(shape)
    third = joint.commit((u, u_W))
    statement = replace(statement, root=weights[0])
    head = replace(
        head, statement=statement.digest, root1=first[0], root_M=mask[0], root2=second[0], sigma=sigma,
        sigma_W=sigma_W, root3=third.root,
    )  # fmt: skip
    sides = both_sides(shape, head, openings, at, rows, claims)
    end = prove_rows(joint, sides, (u, u_W), third, epsilon, openings.to_bytes(), challenger)
    return View(statement, Proof(head, openings, end), u, u_W)


def _layer(layer: LayerShape, drawn: Drawn) -> LayerSent:
    return LayerSent(
        v_A=drawn.element() if layer.stated else None,
        v_B=drawn.element(),
        rounds=[drawn.elements(degree) for degree in layer.degrees],
        x=None if layer.public else drawn.element(),
        m=drawn.element(),
    )


def draw_places(shape: Shape, challenger: Coins) -> tuple[list[int], list[int]]:
    code, code_W = shape.code, shape.weights.code
    positions = challenger.draw("positions").positions(code.n, code.Q)
    return positions, challenger.draw("places").positions(code_W.n, code_W.Q)


def _words(
    shape: Shape, rows: RowWeights, epsilon: Ext, sent: tuple[Sequence[Ext], Sequence[Ext]], x: int, drawn: Drawn
) -> tuple[list[int], list[int]]:
    """Of trees 1 and 2 at a point: uniform but for those of nu and mu, which the checks determine."""
    widths = Widths.of(shape)
    first = [drawn.base() for _ in range(widths.first - MASK_WORDS)]
    second = [drawn.base() for _ in range(widths.second)]
    mask = drawn.element()
    combined = total(weight.scale(word) for weight, word in zip(rows.rows, first + second, strict=True))
    mu = horner(sent[0], x) - epsilon * combined
    nu = horner(sent[1], x) - epsilon * mask
    return [*first, mask.a, mask.b, nu.a, nu.b, mu.a, mu.b], second


def _words_of_weights(
    shape: Shape, rows: RowWeights, epsilon: Ext, u_W: Sequence[Ext], x: int, drawn: Drawn
) -> tuple[list[int], list[int]]:
    """Of trees M and W at a point: those of mu_W follow."""
    weights = [drawn.base() for _ in range(Widths.of(shape).weights)]
    combined = total(weight.scale(word) for weight, word in zip(rows.rows, weights, strict=True))
    mu = horner(u_W, x) - epsilon * combined
    return [mu.a, mu.b], weights


def _tree(code: Code, positions: list[int], words: Sequence[list[int]], drawn: Drawn) -> tuple[bytes, Opening]:
    """A tree whose leaves are random where they are not opened."""
    leaves = [_digest(drawn) for _ in range(code.n)]
    salts = [_digest(drawn) for _ in positions]
    for position, salt, at in zip(positions, salts, words, strict=True):
        leaves[position] = leaf(salt, at)
    tree = Tree(leaves)
    return tree.root, Opening(salts, list(words), tree.path(positions))
