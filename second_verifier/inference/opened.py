"""The end of an argument, for two opened rows: what is opened holds them to trees, a second sum-check to claims.

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
    omega_at,
    omega_vector,
    start_of_second,
)  # fmt: skip
from bounded_update.polynomials import horner
from bounded_update.prover import second_round
from bounded_update.reading import DIGEST, SALT, Pieces, largest_path
from bounded_update.shape import log2
from bounded_update.transcript import Challenger, serialize
from bounded_update.tree import Opening, root_of

from .shape import Code

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
    """One opened row u: its codes, its claim <eq(z_lo), u[0..C]>, and what was opened for it."""

    name: str
    code: Code
    row_code: Code
    weights: RowWeights
    claim: Ext
    u_end: Sequence[Ext]
    positions: list[int]
    words: Sequence[tuple[Ext, list[int]]]  # that of mu and those of the runs, at each position
    root: bytes  # of the tree of u

    @property
    def points(self) -> list[int]:
        return code_points(self.code.n, self.positions)

    @property
    def width(self) -> int:
        """Words of a leaf of the tree of u."""
        return row_width(self.code, self.row_code)

    def values(self, epsilon: Ext) -> list[Ext]:
        """U_i: what u[0..C] must be at the points by the opened words."""
        result = []
        for (mu, words), x in zip(self.words, self.points, strict=True):
            combined = total(weight.scale(word) for weight, word in zip(self.weights.rows, words, strict=True))
            result.append(mu + epsilon * combined - horner(self.u_end, x).scale(pow(x, self.code.C, P)))
        return result


@dataclass(frozen=True)
class Row:
    """The second sum-check of an opened row, and the combined run."""

    folds: list[Fold]
    u_2: list[Ext]

    def to_bytes(self) -> bytes:
        return b"".join(serialize(fold) for fold in self.folds) + serialize(self.u_2)


@dataclass(frozen=True)
class Rows:
    """All that is sent behind the opened words: of both rows, then the openings of their trees."""

    first: Row
    second: Row
    third: Opening
    fourth: Opening

    def to_bytes(self) -> bytes:
        return b"".join(part.to_bytes() for part in (self.first, self.second, self.third, self.fourth))


def row_width(code: Code, row_code: Code) -> int:
    return 2 * (code.C // row_code.C)


def shortest_row(code: Code, row_code: Code) -> int:
    """Bytes of a `Row`."""
    return 16 * (2 * log2(code.C) + row_code.C)


def longest_opening(code: Code, width: int, salted: bool) -> int:
    count = min(code.Q, code.n)
    return count * (8 * width + SALT * salted) + largest_path(code.n, count)


def longest_row(code: Code, row_code: Code) -> int:
    """Bytes of the opening of its tree."""
    return longest_opening(row_code, row_width(code, row_code), False)


# The prover.


def prove_rows(
    sides: tuple[Side, Side],
    rows: tuple[tuple[list[Ext], Commitment], tuple[list[Ext], Commitment]],
    epsilon: Ext,
    opened: bytes,
    challenger: Challenger,
) -> Rows:
    """`rows` are u[0..C] and their trees. All of it is a function of the opened rows and of what was opened."""
    challenger.absorb("opened", opened)
    drawn = challenger.draw("chi")
    chi = drawn.elements(2)
    first, second = (
        fold_row(side, row, chi_, epsilon, challenger) for side, (row, _), chi_ in zip(sides, rows, chi, strict=True)
    )
    openings = []
    for label, side, (_, tree) in zip(("positions2", "places2"), sides, rows, strict=True):
        positions = challenger.draw(label).positions(side.row_code.n, side.row_code.Q)
        openings.append(tree.open(positions))
    return Rows(first, second, openings[0], openings[1])


def fold_row(side: Side, row: Sequence[Ext], chi: Ext, epsilon: Ext, challenger: Challenger) -> Row:
    last = start_of_second(side.claim, side.values(epsilon), chi)
    omega = omega_vector(side.weights.low, side.points, chi)
    u = list(row)
    folds: list[Fold] = []
    r: list[Ext] = []
    for _ in range(log2(len(row))):
        folds.append(second_round(u, omega))
        challenger.absorb("fold", serialize(folds[-1]))
        r.append(challenger.draw("r").element())
        last = fold_claim(last, folds[-1], r[-1])
        u, omega = bind(u, r[-1]), bind(omega, r[-1])
    u_2 = combined_run(row, r, side.row_code.C)
    challenger.absorb("row", serialize(u_2))
    return Row(folds, u_2)


def combined_run(row: Sequence[Ext], r: Sequence[Ext], C2: int) -> list[Ext]:
    """u_2 = sum_run eq(r_hi, run) run."""
    high = eq_vector(r[: len(r) - log2(C2)])
    pieces = [row[i : i + C2] for i in range(0, len(row), C2)]
    return [total(weight * piece[i] for weight, piece in zip(high, pieces, strict=True)) for i in range(C2)]


# The verifier.


def verify_rows(sides: tuple[Side, Side], epsilon: Ext, opened: bytes, reader: Pieces, challenger: Challenger) -> None:
    challenger.absorb("opened", opened)
    drawn = challenger.draw("chi")
    chi = drawn.elements(2)
    runs = [verify_fold(side, chi_, epsilon, reader, challenger) for side, chi_ in zip(sides, chi, strict=True)]
    labels = ("positions2", "places2")
    drawn_positions = [
        challenger.draw(label).positions(side.row_code.n, side.row_code.Q)
        for label, side in zip(labels, sides, strict=True)
    ]
    for number, side, positions, (high, u_2) in zip("34", sides, drawn_positions, runs, strict=True):
        opening = reader.opening(positions, side.row_code.n, side.width, salted=False)
        check_root(number, side.root, positions, opening, side.row_code.n)
        check_combined_run(side.name, opening.words, code_points(side.row_code.n, positions), high, u_2)


def verify_fold(
    side: Side, chi: Ext, epsilon: Ext, reader: Pieces, challenger: Challenger
) -> tuple[list[Ext], list[Ext]]:
    """A row takes the claimed value at z_lo and the values U_i at the points. Gives eq(r_hi) and u_2."""
    last = start_of_second(side.claim, side.values(epsilon), chi)
    r: list[Ext] = []
    for _ in range(log2(side.code.C)):
        fold = reader.fold()
        challenger.absorb("fold", serialize(fold))
        r.append(challenger.draw("r").element())
        last = fold_claim(last, fold, r[-1])
    u_2 = reader._elements(side.row_code.C)
    split = len(r) - log2(side.row_code.C)
    omega = omega_at(r, side.weights.point, side.points, chi)
    check_last_claim(side.name, inner(eq_vector(r[split:]), u_2) * omega, last)
    challenger.absorb("row", serialize(u_2))
    return eq_vector(r[:split]), u_2


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


def check_last_claim(name: str, value: Ext, last: Ext) -> None:
    if value != last:
        raise Rejected(f"the opened row {name} does not take the values that it must")


def check_combined_run(
    name: str, words: Sequence[Sequence[int]], points: Sequence[int], weights: Sequence[Ext], u_2: Sequence[Ext]
) -> None:
    for opened, x in zip(words, points, strict=True):
        if combined_words(opened, weights) != horner(u_2, x):
            raise Rejected(f"the combined run of {name} is not what the opened words say")


# The parts of the bytes, for tests of mutations.


def row_regions(rows: Rows) -> list[tuple[str, int]]:
    sizes = []
    for name, row in (("", rows.first), ("_W", rows.second)):
        sizes += [(f"fold{name} {i}", 32) for i in range(len(row.folds))] + [(f"u_2{name}", 16 * len(row.u_2))]
    return sizes + opening_regions("tree 3", rows.third) + opening_regions("tree 4", rows.fourth)


def opening_regions(name: str, opening: Opening) -> list[tuple[str, int]]:
    sizes = []
    for i, words in enumerate(opening.words):
        if opening.salts:
            sizes.append((f"salt {i} of {name}", SALT))
        sizes.append((f"words {i} of {name}", 8 * len(words)))
    return [*sizes, (f"path of {name}", DIGEST * len(opening.path))]
