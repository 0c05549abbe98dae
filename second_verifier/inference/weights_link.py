"""Two commitments hold the same weights and biases (docs/inference-proofs.md, Link)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from bounded_update import blake3
from bounded_update.commitment import Commitment, parts
from bounded_update.errors import Rejected
from bounded_update.field import Ext, P, eq_vector, inner
from bounded_update.prover import combine
from bounded_update.reading import DIGEST, Pieces
from bounded_update.shape import ceil_log2, log2
from bounded_update.transcript import TRANSCRIPT, Challenger, Transcript, serialize
from bounded_update.tree import Opening

from .commitment import Source, WeightsCommitment
from .joint import Joint
from .opened import (
    Rows,
    RowWeights,
    Side,
    check_root,
    longest_opening,
    longest_third,
    opening_regions,
    prove_rows,
    row_regions,
    shortest_rows,
    verify_rows,
)  # fmt: skip
from .proof_bytes import placed
from .soundness import bits_of, missed
from .weights_shape import WeightsShape

MAGIC: Final = b"QFPROOFL"
PROTOCOL: Final = b"quatrefoil/proof/weights-link/v1"
VERSION: Final = 1


def statement_digest(shape: WeightsShape, root_A: bytes, root_B: bytes) -> bytes:
    program = shape.program.to_bytes()
    numbers = (shape.openings, *shape.to_numbers(), *shape.row_code.to_numbers())
    packed = struct.pack("<I", len(program)) + program + struct.pack(f"<{len(numbers)}I", *numbers)
    return blake3.digest(PROTOCOL + packed + root_A + root_B, TRANSCRIPT)


@dataclass(frozen=True)
class Head:
    statement: bytes
    root_M: bytes
    sigma: Ext
    t: Ext
    u_A_end: list[Ext]
    u_B_end: list[Ext]
    root3: bytes

    def opening_bytes(self) -> bytes:
        return serialize([self.t, *self.u_A_end, *self.u_B_end]) + self.root3

    def to_bytes(self) -> bytes:
        begin = MAGIC + struct.pack("<2H", VERSION, 0) + self.statement
        return begin + self.root_M + self.sigma.to_bytes() + self.opening_bytes()


@dataclass(frozen=True)
class LinkOpenings:
    mask: Opening
    first: Opening  # of the tree of A
    second: Opening

    def to_bytes(self) -> bytes:
        return b"".join(opening.to_bytes() for opening in (self.mask, self.first, self.second))


@dataclass(frozen=True)
class LinkProof:
    head: Head
    openings: LinkOpenings
    rows: Rows

    def to_bytes(self) -> bytes:
        return self.head.to_bytes() + self.openings.to_bytes() + self.rows.to_bytes()

    def regions(self) -> list[tuple[str, int, int]]:
        sizes = [("magic", 8), ("version", 2), ("reserved", 2), ("statement", DIGEST), ("root M", DIGEST)]
        sizes += [("sigma", 16), ("t", 16), ("end of u_A", 16 * len(self.head.u_A_end))]
        sizes += [("end of u_B", 16 * len(self.head.u_B_end)), ("root 3", DIGEST)]
        named = (("M", self.openings.mask), ("A", self.openings.first), ("B", self.openings.second))
        for name, opening in named:
            sizes += opening_regions(f"tree {name}", opening)
        return placed(sizes + row_regions(self.rows))


def draw_point(shape: WeightsShape, challenger: Challenger) -> tuple[list[Ext], list[Ext]]:
    """z, and kappa_w of every column."""
    z = challenger.draw("point").elements(shape.omega)
    kappa = challenger.draw("kappa").elements(max(1, ceil_log2(shape.n_W)))
    return z, eq_vector(kappa)[: shape.n_W]


def sides(
    shape: WeightsShape, head: Head, openings: LinkOpenings, places: list[int], weights: RowWeights
) -> tuple[Side, Side]:
    words_A = [(Ext(*mask[:2]), row) for mask, row in zip(openings.mask.words, openings.first.words, strict=True)]
    words_B = [(Ext(*mask[2:]), row) for mask, row in zip(openings.mask.words, openings.second.words, strict=True)]
    return (
        Side("u_A", shape.code, weights, head.t, head.u_A_end, places, words_A),
        Side("u_B", shape.code, weights, head.t - head.sigma, head.u_B_end, places, words_B),
    )


@dataclass
class LinkRandomness:
    mu_A: list[Ext]
    mu_B: list[Ext]
    salts_M: list[bytes]

    @staticmethod
    def from_seed(shape: WeightsShape, seed: bytes) -> LinkRandomness:
        source, K = Source(seed), shape.code.K
        salts = source.salts("salts_M", shape.code.n)
        return LinkRandomness(source.elements("mu_A", K), source.elements("mu_B", K), salts)


def prove_link(old: WeightsCommitment, new: WeightsCommitment, drawn: LinkRandomness) -> LinkProof:
    """Nothing is checked about the weights: a liar can use it as well."""
    digest = statement_digest(old.shape, old.root, new.root)
    return run_link(old, new, drawn, digest, Transcript(digest))


def run_link(
    old: WeightsCommitment, new: WeightsCommitment, drawn: LinkRandomness, digest: bytes, challenger: Challenger
) -> LinkProof:
    shape = old.shape
    C = shape.code.C
    mask = Commitment(parts(drawn.mu_A) + parts(drawn.mu_B), shape.code.n, drawn.salts_M)
    challenger.absorb("roots", mask.root)
    z, kappa = draw_point(shape, challenger)
    weights = RowWeights.of(kappa, z, shape.code)
    differences = [a - b for a, b in zip(drawn.mu_A[:C], drawn.mu_B[:C], strict=True)]
    sigma = inner(weights.low, differences)
    challenger.absorb("sigma", sigma.to_bytes())
    epsilon = challenger.draw("epsilon").element()
    u_A = combine(drawn.mu_A, epsilon, weights.rows, old.commitment.rows)
    u_B = combine(drawn.mu_B, epsilon, weights.rows, new.commitment.rows)
    joint, pair = Joint.of_link(shape), (u_A[:C], u_B[:C])
    third = joint.commit(pair)
    t = inner(weights.low, u_A[:C])
    head = Head(digest, mask.root, sigma, t, u_A[C:], u_B[C:], third.root)
    challenger.absorb("opening", head.opening_bytes())
    places = challenger.draw("places").positions(shape.code.n, shape.code.Q)
    trees: Sequence[Commitment] = (mask, old.commitment, new.commitment)
    openings = LinkOpenings(*(tree.open(places) for tree in trees))
    both = sides(shape, head, openings, places, weights)
    rows = prove_rows(joint, both, pair, third, epsilon, openings.to_bytes(), challenger)
    return LinkProof(head, openings, rows)


@dataclass(frozen=True)
class VerifiedLink:
    statement: bytes
    soundness_bits: float


def verify_link(shape: WeightsShape, root_A: bytes, root_B: bytes, proof: bytes) -> VerifiedLink:
    reader = LinkReader(shape, proof)
    head = reader.head()
    digest = statement_digest(shape, root_A, root_B)
    check_statement(head, digest)
    return verify_link_under(shape, (root_A, root_B), head, reader, Transcript(digest))


def check_statement(head: Head, digest: bytes) -> None:
    if head.statement != digest:
        raise Rejected("the proof is about another statement")


def verify_link_under(
    shape: WeightsShape, roots: tuple[bytes, bytes], head: Head, reader: LinkReader, challenger: Challenger
) -> VerifiedLink:
    challenger.absorb("roots", head.root_M)
    z, kappa = draw_point(shape, challenger)
    weights = RowWeights.of(kappa, z, shape.code)
    challenger.absorb("sigma", head.sigma.to_bytes())
    epsilon = challenger.draw("epsilon").element()
    challenger.absorb("opening", head.opening_bytes())
    n = shape.code.n
    places = challenger.draw("places").positions(n, shape.code.Q)
    openings = reader.openings(places)
    check_root("M", head.root_M, places, openings.mask, n)
    check_root("A", roots[0], places, openings.first, n)
    check_root("B", roots[1], places, openings.second, n)
    both = sides(shape, head, openings, places, weights)
    verify_rows(Joint.of_link(shape), both, head.root3, epsilon, openings.to_bytes(), reader, challenger)
    reader.end()
    return VerifiedLink(head.statement, bits_of(terms(shape)))


def widths(shape: WeightsShape) -> tuple[int, int, int]:
    """Words of a leaf of trees M, A and B."""
    return 4, shape.n_W * shape.R, shape.n_W * shape.R


def fixed_length(shape: WeightsShape) -> int:
    rows = shortest_rows(Joint.of_link(shape))
    return len(MAGIC) + 4 + 3 * DIGEST + 16 * (2 + 2 * shape.code.appended) + rows


def largest_length(shape: WeightsShape) -> int:
    salted = sum(longest_opening(shape.code, width, True) for width in widths(shape))
    return fixed_length(shape) + salted + longest_third(Joint.of_link(shape))


class LinkReader(Pieces):
    def __init__(self, shape: WeightsShape, data: bytes) -> None:
        super().__init__(data, fixed_length(shape), largest_length(shape))
        self._shape = shape

    def head(self) -> Head:
        self._begin(MAGIC, VERSION, "link between commitments")
        appended = self._shape.code.appended
        return Head(
            statement=self._take(DIGEST),
            root_M=self._take(DIGEST),
            sigma=self._element(),
            t=self._element(),
            u_A_end=self._elements(appended),
            u_B_end=self._elements(appended),
            root3=self._take(DIGEST),
        )

    def openings(self, places: list[int]) -> LinkOpenings:
        n = self._shape.code.n
        return LinkOpenings(*(self.opening(places, n, width, salted=True) for width in widths(self._shape)))


def terms(shape: WeightsShape) -> dict[str, Fraction]:
    field = Fraction(P * P)
    code, row, joint = shape.code, shape.row_code, Joint.of_link(shape)
    columns = max(1, ceil_log2(shape.n_W))
    return {
        "point, kappa": (ceil_log2(shape.n_W) + shape.omega) / field,
        "epsilon, a wrong claim": Fraction(1) / field,
        "kappa, z_hi": 2 * (columns + log2(shape.R)) * code.n / field,
        "epsilon": 2 * code.n / field,
        "places": 4 * missed(code),
        "chi": (2 * code.Q + 1) / field,
        "r": 2 * joint.variables / field,
        "r_hi": (joint.variables - log2(row.C)) * row.n / field,
        "positions2": 2 * missed(row),
    }
