"""Zero knowledge, executable: views made without a witness (docs/proofs.md, What is hidden).

The argument is interactive here: challenges are the coins of an honest verifier, who does not look at what is sent.
What is uniform in a real view is drawn, and the verifier's equations are solved for the rest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from .commitment import row_commitment
from .constraint import Constraint
from .field import ZERO, Ext, eq_vector, inner, inner_base, total
from .opening import Weights, code_points
from .polynomials import horner
from .proof_bytes import Head, Proof, tree_widths
from .prover import finish
from .shape import Shape, log2
from .statement import Blocks, Statement
from .threshold import interpolation
from .transcript import Drawn, Transcript
from .tree import Opening, Tree, leaf
from .verifier import draw_challenges, follow_rounds

OpenShare = tuple[Sequence[int], Ext]
"""Of a member: the elements, and the share of the mask."""


class Coins(Transcript):
    """Challenges that do not depend on what is sent."""

    def __init__(self, seed: bytes) -> None:
        super().__init__(hashlib.sha256(seed).digest())

    def absorb(self, label: str, data: bytes) -> None:
        if not data:  # a draw; what is sent is never empty
            super().absorb(label, data)


@dataclass(frozen=True)
class View:
    """A proof, and the opened row u[0..C], which it shows all but completely."""

    proof: Proof
    row: list[Ext]


def simulate(
    statement: Statement, blocks: Blocks, coins: bytes, seed: bytes, corrupted: Mapping[int, OpenShare] | None = None
) -> View:
    """A view that holds under these coins, without any witness. Where the key is in shares, ``corrupted`` are those of
    at most t_p members: anything, as what these members have is uniform."""
    shape, challenger, drawn = statement.shape, Coins(coins), _drawn(seed)
    # What is uniform: v, the rounds, y, u and u_m. What is not known yet, roots and sigma, the coins do not depend on.
    blank = bytes(32)
    v, *more = _key_values(shape, coins, corrupted or {}, drawn)
    rounds = [drawn.elements(degree) for degree in shape.degrees]
    head = Head(
        statement=statement.digest(blocks),
        root1=blank,
        v=v,
        root2=blank,
        rounds=rounds,
        y=drawn.elements(shape.m),
        sigma=ZERO,
        u_m=drawn.elements(shape.M + shape.code.Q),
        u_end=drawn.elements(shape.code.Q),
        root3=blank,
        more=tuple(more),
    )
    u = drawn.elements(shape.code.C)
    constraint = Constraint(statement, blocks, draw_challenges(shape, head, challenger))
    z, claim = follow_rounds(constraint.claim(*head.key_values), head, challenger)
    mask_value = claim - constraint.evaluate(head.y, constraint.values(z))
    weights = Weights.draw(shape, challenger, z)
    epsilon = challenger.draw("epsilon").element()
    claim = inner(weights.low, u)
    sigma = claim - weights.claim(ZERO, epsilon, head.y, mask_value, head.u_m)

    positions = challenger.draw("positions").positions(shape.code.n, shape.code.Q)
    points = code_points(shape.code.n, positions)
    words = [_simulated_words(shape, weights, epsilon, (u + head.u_end, head.u_m), x, drawn) for x in points]
    trees = [_simulated_tree(shape, positions, side, drawn) for side in zip(*words, strict=True)]
    roots, openings = zip(*trees, strict=True)
    third = row_commitment(shape, u)
    head = replace(head, root1=roots[0], root2=roots[1], sigma=sigma, root3=third.root)
    opened = openings[0], openings[1]
    return View(finish(shape, head, opened, positions, (u, third), weights, epsilon, claim, challenger), u)


def _key_values(shape: Shape, coins: bytes, corrupted: Mapping[int, OpenShare], drawn: Drawn) -> list[Ext]:
    """v, uniform; or V, uniform among the polynomials that fit the shares of the corrupted members."""
    threshold = shape.threshold
    if threshold is None:
        return [drawn.element()]
    if len(corrupted) > threshold.privacy:
        raise ValueError("more members than the threshold hides a key from")
    N = shape.parameters.N
    zeta = Coins(coins).draw("zeta").elements(log2(N))
    across = eq_vector(zeta[log2(N) - log2(shape.share_length) :])
    known = {k: mask + inner_base(across, elements) for k, (elements, mask) in corrupted.items()}
    # V is known where they are, and free at as many of the key's points and of the others' as are missing.
    for point in [*threshold.base_points, *range(1, threshold.members + 1)]:
        if len(known) < threshold.recovery and point not in known:
            known[point] = drawn.element()
    points = list(known)
    values = [known[point] for point in points]
    return [
        total(value.scale(weight) for value, weight in zip(values, interpolation(points, at), strict=True))
        for at in threshold.base_points
    ]


def _drawn(seed: bytes) -> Drawn:
    return Transcript(hashlib.sha256(seed).digest()).draw("simulator")


def _simulated_words(
    shape: Shape, weights: Weights, epsilon: Ext, sent: tuple[Sequence[Ext], Sequence[Ext]], x: int, drawn: Drawn
) -> tuple[list[int], list[int]]:
    """Words of trees 1 and 2 at a point: uniform but for those of nu and mu, which the checks determine."""
    first_width, second_width, _ = tree_widths(shape)
    first = [drawn.base() for _ in range(first_width - 6)]
    second = [drawn.base() for _ in range(second_width)]
    mask = drawn.element()
    combined = total(weight.scale(word) for weight, word in zip(weights.rows, first + second, strict=True))
    mu = horner(sent[0], x) - epsilon * combined
    nu = horner(sent[1], x) - epsilon * mask
    return [*first, mask.a, mask.b, nu.a, nu.b, mu.a, mu.b], second


def _simulated_tree(
    shape: Shape, positions: Sequence[int], words: Sequence[list[int]], drawn: Drawn
) -> tuple[bytes, Opening]:
    """A tree whose leaves are random where they are not opened."""
    leaves = [_digest(drawn) for _ in range(shape.code.n)]
    salts = [_digest(drawn) for _ in positions]
    for position, salt, at in zip(positions, salts, words, strict=True):
        leaves[position] = leaf(salt, at)
    tree = Tree(leaves)
    return tree.root, Opening(salts, list(words), tree.path(positions))


def _digest(drawn: Drawn) -> bytes:
    return b"".join(drawn.base().to_bytes(8, "little") for _ in range(4))
