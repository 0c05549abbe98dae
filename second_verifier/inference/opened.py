"""The end of an argument, for two opened rows: what is opened holds them to trees, one second sum-check to claims.

Rows 9 to 12 of the transcript of docs/inference-proofs.md; a proof of range and a link end in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bounded_update.commitment import Commitment
from bounded_update.errors import Rejected
from bounded_update.field import Ext, P, bind, eq_vector, inner, total
from bounded_update.opening import (
    code_points,
    combined_words,
    fold_claim,
    start_of_second,
)  # fmt: skip
from bounded_update.polynomials import horner
from bounded_update.prover import second_round
from bounded_update.reading import DIGEST, SALT, Pieces, largest_path
from bounded_update.shape import log2
from bounded_update.transcript import Challenger, serialize
from bounded_update.tree import Opening, root_of

from .codes import Code
from .joint import Joint, Places, Two

Fold = tuple[Ext, Ext]


@dataclass(frozen=True)
class RowWeights:
    """What the runs of the columns are multiplied with, and the entries of a run."""

    rows: list[Ext]  # kappa_V eq(z_hi, r), column by column
    low: list[Ext]  # eq(z_lo, j)
    point: list[Ext]  # z_lo

    @staticmethod
    def of(columns: Sequence[Ext], point: Sequence[Ext], code: Code) -> RowWeights:
        split = len(point) - log2(code.C)
        high = eq_vector(point[:split])
        rows = [weight * row for weight in columns for row in high]
        return RowWeights(rows, eq_vector(point[split:]), list(point[split:]))


@dataclass(frozen=True)
class Side:
    """One opened row u: its code, its claim <eq(z_lo), u[0..C]>, and what was opened for it."""

    name: str
    code: Code
    weights: RowWeights
    claim: Ext
    u_end: Sequence[Ext]
    positions: list[int]
    words: Sequence[tuple[Ext, list[int]]]  # that of mu and those of the runs, at each position

    @property
    def points(self) -> list[int]:
        return code_points(self.code.n, self.positions)

    def values(self, epsilon: Ext) -> list[Ext]:
        """U_i: what u[0..C] must be at the points by the opened words."""
        result = []
        for (mu, words), x in zip(self.words, self.points, strict=True):
            combined = total(weight.scale(word) for weight, word in zip(self.weights.rows, words, strict=True))
            result.append(mu + epsilon * combined - horner(self.u_end, x).scale(pow(x, self.code.C, P)))
        return result


Sides = tuple[Side, Side]


@dataclass(frozen=True)
class Rows:
    """All that is sent behind the opened words: the second sum-check, the combined run, and the opening of tree 3."""

    folds: list[Fold]
    u_2: list[Ext]
    third: Opening

    def to_bytes(self) -> bytes:
        return b"".join(serialize(fold) for fold in self.folds) + serialize(self.u_2) + self.third.to_bytes()


def shortest_rows(joint: Joint) -> int:
    """Bytes of `Rows` without the opening."""
    return 16 * (2 * joint.variables + joint.row_code.C)


def longest_opening(code: Code, width: int, salted: bool) -> int:
    count = min(code.Q, code.n)
    return count * (8 * width + SALT * salted) + largest_path(code.n, count)


def longest_third(joint: Joint) -> int:
    """Bytes of the opening of tree 3."""
    return longest_opening(joint.row_code, joint.width, False)


def first_claim(joint: Joint, sides: Sides, chi: Ext, epsilon: Ext) -> Ext:
    """Of the second sum-check: both claims, and what both rows are at the points by the opened words."""
    starts = [start_of_second(side.claim, side.values(epsilon), chi) for side in sides]
    return total(factor * start for factor, start in zip(joint.factors(chi), starts, strict=True))


def _points(sides: Sides) -> Places:
    return sides[0].points, sides[1].points


# The prover.


def prove_rows(
    joint: Joint, sides: Sides, rows: Two, tree: Commitment, epsilon: Ext, opened: bytes, challenger: Challenger
) -> Rows:
    """`rows` are u[0..C] and u_W[0..C_W]. All of it is a function of them and of what was opened."""
    challenger.absorb("opened", opened)
    chi = challenger.draw("chi").element()
    last = first_claim(joint, sides, chi, epsilon)
    omega = joint.omega((sides[0].weights.low, sides[1].weights.low), _points(sides), chi)
    vector = joint.vector(rows)
    left = vector
    folds: list[Fold] = []
    r: list[Ext] = []
    for _ in range(joint.variables):
        folds.append(second_round(left, omega))
        challenger.absorb("fold", serialize(folds[-1]))
        r.append(challenger.draw("r").element())
        last = fold_claim(last, folds[-1], r[-1])
        left, omega = bind(left, r[-1]), bind(omega, r[-1])
    u_2 = joint.combined(vector, r)
    challenger.absorb("row", serialize(u_2))
    positions = challenger.draw("positions2").positions(joint.row_code.n, joint.row_code.Q)
    return Rows(folds, u_2, tree.open(positions))


# The verifier.


def verify_rows(
    joint: Joint, sides: Sides, root: bytes, epsilon: Ext, opened: bytes, reader: Pieces, challenger: Challenger
) -> None:
    """Both rows take the claimed values and those at the points. `root` is that of tree 3."""
    challenger.absorb("opened", opened)
    chi = challenger.draw("chi").element()
    last = first_claim(joint, sides, chi, epsilon)
    r: list[Ext] = []
    for _ in range(joint.variables):
        fold = reader.fold()
        challenger.absorb("fold", serialize(fold))
        r.append(challenger.draw("r").element())
        last = fold_claim(last, fold, r[-1])
    row_code = joint.row_code
    u_2 = reader._elements(row_code.C)
    omega = joint.omega_at(r, (sides[0].weights.point, sides[1].weights.point), _points(sides), chi)
    check_last_claim(inner(eq_vector(r[len(r) - log2(row_code.C) :]), u_2) * omega, last)
    challenger.absorb("row", serialize(u_2))
    positions = challenger.draw("positions2").positions(row_code.n, row_code.Q)
    opening = reader.opening(positions, row_code.n, joint.width, salted=False)
    check_root("3", root, positions, opening, row_code.n)
    check_combined_run(opening.words, code_points(row_code.n, positions), joint.weights_of_runs(r), u_2)


def check_root(name: str, root: bytes, positions: list[int], opening: Opening, size: int) -> None:
    leaves: Mapping[int, bytes] = dict(zip(positions, opening.leaves(), strict=True))
    if root_of(leaves, log2(size), opening.path) != root:
        raise Rejected(f"the opened words are not those of tree {name}")


def check_mask_row(words: Sequence[Sequence[int]], points: Sequence[int], epsilon: Ext, u_m: Sequence[Ext]) -> None:
    """Of leaves of tree 1, which end in the words of the mask row, nu and mu."""
    for opened, x in zip(words, points, strict=True):
        mask, nu = Ext(*opened[-6:-4]), Ext(*opened[-4:-2])
        if nu + epsilon * mask != horner(u_m, x):
            raise Rejected("the opened mask row is not what the opened words say")


def check_last_claim(value: Ext, last: Ext) -> None:
    if value != last:
        raise Rejected("the opened rows do not take the values that they must")


def check_combined_run(
    words: Sequence[Sequence[int]], points: Sequence[int], weights: Sequence[Ext], u_2: Sequence[Ext]
) -> None:
    for opened, x in zip(words, points, strict=True):
        if combined_words(opened, weights) != horner(u_2, x):
            raise Rejected("the combined run is not what the opened words say")


# The parts of the bytes, for tests of mutations.


def row_regions(rows: Rows) -> list[tuple[str, int]]:
    sizes = [(f"fold {i}", 32) for i in range(len(rows.folds))] + [("u_2", 16 * len(rows.u_2))]
    return sizes + opening_regions("tree 3", rows.third)


def opening_regions(name: str, opening: Opening) -> list[tuple[str, int]]:
    sizes = []
    for i, words in enumerate(opening.words):
        if opening.salts:
            sizes.append((f"salt {i} of {name}", SALT))
        sizes.append((f"words {i} of {name}", 8 * len(words)))
    return [*sizes, (f"path of {name}", DIGEST * len(opening.path))]
