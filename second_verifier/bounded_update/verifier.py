"""The verifier (docs/proofs.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .constraint import Challenges, Constraint
from .errors import Rejected
from .field import Ext, eq_vector, inner
from .opening import (
    Weights,
    Words,
    code_points,
    combined_words,
    fold_claim,
    omega_at,
    opened_value,
    start_of_second,
)  # fmt: skip
from .polynomials import horner, interpolate
from .proof_bytes import Head, Reader, tree_widths
from .shape import Shape, ceil_log2, log2
from .statement import Blocks, Statement, check_blocks
from .transcript import Challenger, Transcript, serialize
from .tree import Opening, root_of


@dataclass(frozen=True)
class Verified:
    """A proof that holds. Whoever has the key seed must still check v against it (docs/proofs.md, Key binding)."""

    statement: bytes  # its digest
    root1: bytes
    zeta: tuple[Ext, ...]
    v: Ext
    more: tuple[Ext, ...] = ()

    @property
    def key_values(self) -> list[Ext]:
        """v, or V where the key is in shares: each member must still check it against its own."""
        return [self.v, *self.more]


def verify(statement: Statement, blocks: Blocks, proof: bytes) -> Verified:
    """Check a proof against everything public; raises `Rejected` with the reason when it does not hold."""
    reader = Reader(statement.shape, proof)
    head = reader.head()
    check_blocks(statement.shape, blocks)
    digest = statement.digest(blocks)
    check_statement(head, digest)
    return verify_under(statement, blocks, head, reader, Transcript(digest))


def verify_under(statement: Statement, blocks: Blocks, head: Head, reader: Reader, challenger: Challenger) -> Verified:
    """The same with challenges from elsewhere: the interactive argument, for the simulator's tests."""
    shape = statement.shape
    challenges = draw_challenges(shape, head, challenger)
    constraint = Constraint(statement, blocks, challenges)
    z, claim = follow_rounds(constraint.claim(*head.key_values), head, challenger)
    mask_value = claim - constraint.evaluate(head.y, constraint.values(z))

    challenger.absorb("values", serialize(head.y))
    weights = Weights.draw(shape, challenger, z)
    challenger.absorb("sigma", head.sigma.to_bytes())
    epsilon = challenger.draw("epsilon").element()
    row_claim = weights.claim(head.sigma, epsilon, head.y, mask_value, head.u_m)

    challenger.absorb("opening", serialize(head.u_m + head.u_end) + head.root3)
    positions = challenger.draw("positions").positions(shape.code.n, shape.code.Q)
    opened = read_openings(shape, head, reader, positions, challenger)
    points = code_points(shape.code.n, positions)
    check_mask_row(opened, points, epsilon, head.u_m)
    values = [
        opened_value(shape, words, weights, epsilon, head.u_end, x) for words, x in zip(opened, points, strict=True)
    ]
    z_low = z[shape.ell - log2(shape.code.C) :]
    verify_row(shape, head.root3, reader, row_claim, values, points, z_low, challenger)
    reader.end()
    return Verified(head.statement, head.root1, tuple(challenges.zeta), head.v, head.more)


def check_statement(head: Head, digest: bytes) -> None:
    if head.statement != digest:
        raise Rejected("the proof is about another statement")


def draw_challenges(shape: Shape, head: Head, challenger: Challenger) -> Challenges:
    """Rows 1 and 2 of the transcript."""
    challenger.absorb("root1", head.root1)
    drawn = challenger.draw("zeta")
    zeta, alpha = drawn.elements(log2(shape.parameters.N)), drawn.lookup_challenge()
    challenger.absorb("root2", serialize(head.key_values) + head.root2)
    drawn = challenger.draw("point")
    tau, theta = drawn.elements(shape.ell), drawn.elements(ceil_log2(shape.G))
    return Challenges(zeta, alpha, tau, theta, challenger.draw("gamma").element())


def follow_rounds(claim: Ext, head: Head, challenger: Challenger) -> tuple[list[Ext], Ext]:
    """The point z, and the claim there."""
    z = []
    for sent in head.rounds:
        challenger.absorb("round", serialize(sent))
        z.append(challenger.draw("z").element())
        claim = interpolate([sent[0], claim - sent[0], *sent[1:]], z[-1])
    return z, claim


def read_openings(
    shape: Shape, head: Head, reader: Reader, positions: list[int], challenger: Challenger
) -> list[Words]:
    """Row 7: the words of trees 1 and 2 at the positions, which lead to the roots."""
    first_width, second_width, _ = tree_widths(shape)
    n = shape.code.n
    first = reader.opening(positions, n, first_width, salted=True)
    second = reader.opening(positions, n, second_width, salted=True)
    check_root("first", head.root1, positions, first, n)
    check_root("second", head.root2, positions, second, n)
    challenger.absorb("opened", first.to_bytes() + second.to_bytes())
    return [Words.split(*words) for words in zip(first.words, second.words, strict=True)]


def check_root(name: str, root: bytes, positions: list[int], opening: Opening, size: int) -> None:
    leaves: Mapping[int, bytes] = dict(zip(positions, opening.leaves(), strict=True))
    if root_of(leaves, log2(size), opening.path) != root:
        raise Rejected(f"the opened words are not those of the {name} tree")


def check_mask_row(opened: Sequence[Words], points: Sequence[int], epsilon: Ext, u_m: Sequence[Ext]) -> None:
    for words, x in zip(opened, points, strict=True):
        if words.nu + epsilon * words.mask != horner(u_m, x):
            raise Rejected("the opened mask row is not what the opened words say")


def verify_row(
    shape: Shape,
    root3: bytes,
    reader: Reader,
    claim: Ext,
    values: Sequence[Ext],
    points: Sequence[int],
    z_low: Sequence[Ext],
    challenger: Challenger,
) -> None:
    """Rows 8 to 10: u[0..C] takes the claimed value at z_lo and the values U_i at the points x_i."""
    chi = challenger.draw("chi").element()
    last = start_of_second(claim, values, chi)
    r = []
    for _ in range(log2(shape.code.C)):
        fold = reader.fold()
        challenger.absorb("fold", serialize(fold))
        r.append(challenger.draw("r").element())
        last = fold_claim(last, fold, r[-1])
    u_2 = reader.combined_run()
    split = len(r) - log2(shape.row_code.C)
    check_last_claim(inner(eq_vector(r[split:]), u_2) * omega_at(r, z_low, points, chi), last)
    challenger.absorb("row", serialize(u_2))
    n2 = shape.row_code.n
    positions = challenger.draw("positions2").positions(n2, shape.row_code.Q)
    opening = reader.opening(positions, n2, tree_widths(shape)[2], salted=False)
    check_root("third", root3, positions, opening, n2)
    check_combined_run(opening.words, code_points(n2, positions), eq_vector(r[:split]), u_2)


def check_last_claim(value: Ext, claim: Ext) -> None:
    if value != claim:
        raise Rejected("the opened row does not take the values that it must")


def check_combined_run(
    words: Sequence[Sequence[int]], points: Sequence[int], weights: Sequence[Ext], u_2: Sequence[Ext]
) -> None:
    for opened, x in zip(words, points, strict=True):
        if combined_words(opened, weights) != horner(u_2, x):
            raise Rejected("the combined run is not what the opened words say")
