"""A proof of answers as bytes, and the strict reader (docs/inference-proofs.md, Bytes)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bounded_update.field import Ext
from bounded_update.reading import DIGEST, Pieces
from bounded_update.transcript import serialize
from bounded_update.tree import Opening

from .joint import Joint
from .opened import Rows, longest_opening, longest_third, opening_regions, row_regions, shortest_rows
from .shape import MASK_WORDS, LayerShape, Shape

MAGIC: Final = b"QFPROOFI"
VERSION: Final = 1


@dataclass(frozen=True)
class LayerSent:
    """What is sent of a Dense or Conv."""

    v_A: Ext | None  # None where it is not rounded
    v_B: Ext
    rounds: list[list[Ext]]
    x: Ext | None  # X'(s); None where it is public
    m: Ext  # m'(s)

    def claim_bytes(self) -> bytes:
        return serialize([*_some(self.v_A), self.v_B])

    def ends_bytes(self) -> bytes:
        return serialize([*_some(self.x), self.m])

    def to_bytes(self) -> bytes:
        return self.claim_bytes() + b"".join(serialize(sent) for sent in self.rounds) + self.ends_bytes()


def _some(element: Ext | None) -> list[Ext]:
    return [] if element is None else [element]


@dataclass(frozen=True)
class Head:
    """All before the positions are drawn."""

    statement: bytes
    root1: bytes
    root_M: bytes
    root2: bytes
    layers: list[LayerSent]
    rounds: list[list[Ext]]
    y: list[Ext]
    rounds_W: list[list[Ext]]
    y_W: list[Ext]
    sigma: Ext
    sigma_W: Ext
    u_m: list[Ext]
    u_end: list[Ext]
    u_W_end: list[Ext]
    root3: bytes

    def opening_bytes(self) -> bytes:
        return serialize([*self.u_m, *self.u_end, *self.u_W_end]) + self.root3

    def to_bytes(self) -> bytes:
        return b"".join(
            (
                MAGIC + struct.pack("<2H", VERSION, 0),
                self.statement + self.root1 + self.root_M + self.root2,
                *(layer.to_bytes() for layer in self.layers),
                *(serialize(sent) for sent in self.rounds),
                serialize(self.y),
                *(serialize(sent) for sent in self.rounds_W),
                serialize([*self.y_W, self.sigma, self.sigma_W]),
                self.opening_bytes(),
            )
        )


@dataclass(frozen=True)
class Openings:
    """Of tree 1, tree 2 at the positions, of tree M, tree W at the places."""

    first: Opening
    second: Opening
    mask: Opening
    weights: Opening

    def to_bytes(self) -> bytes:
        return b"".join(o.to_bytes() for o in (self.first, self.second, self.mask, self.weights))


@dataclass(frozen=True)
class Proof:
    head: Head
    openings: Openings
    rows: Rows

    def to_bytes(self) -> bytes:
        return self.head.to_bytes() + self.openings.to_bytes() + self.rows.to_bytes()


@dataclass(frozen=True)
class Widths:
    """Words of a leaf of each tree."""

    first: int
    second: int
    mask: int
    weights: int

    @staticmethod
    def of(shape: Shape) -> Widths:
        weights = shape.weights
        return Widths(
            first=shape.c * shape.R + MASK_WORDS,
            second=2 * shape.m_q * shape.R,
            mask=2,
            weights=weights.n_W * weights.R,
        )


def fixed_length(shape: Shape) -> int:
    """Bytes of all but the openings."""
    weights = shape.weights
    elements = sum(layer.stated + 1 + sum(layer.degrees) + (not layer.public) + 1 for layer in shape.layers)
    elements += sum(shape.degrees) + shape.m + sum(weights.degrees) + weights.n_W + 2
    elements += shape.M + 2 * shape.code.Q + weights.code.appended
    return len(MAGIC) + 4 + 5 * DIGEST + 16 * elements + shortest_rows(Joint.of(shape))


def largest_length(shape: Shape) -> int:
    """No proof is longer, whatever its positions."""
    widths, weights = Widths.of(shape), shape.weights

    code, code_W = shape.code, weights.code
    salted = longest_opening(code, widths.first, True) + longest_opening(code, widths.second, True)
    salted += longest_opening(code_W, widths.mask, True) + longest_opening(code_W, widths.weights, True)
    return fixed_length(shape) + salted + longest_third(Joint.of(shape))


class Reader(Pieces):
    """Reads a proof of answers."""

    def __init__(self, shape: Shape, data: bytes) -> None:
        super().__init__(data, fixed_length(shape), largest_length(shape))
        self._shape = shape

    def head(self) -> Head:
        self._begin(MAGIC, VERSION, "proof of answers")
        shape, weights = self._shape, self._shape.weights
        return Head(
            statement=self._take(DIGEST),
            root1=self._take(DIGEST),
            root_M=self._take(DIGEST),
            root2=self._take(DIGEST),
            layers=[self._layer(layer) for layer in shape.layers],
            rounds=[self._elements(degree) for degree in shape.degrees],
            y=self._elements(shape.m),
            rounds_W=[self._elements(degree) for degree in weights.degrees],
            y_W=self._elements(weights.n_W),
            sigma=self._element(),
            sigma_W=self._element(),
            u_m=self._elements(shape.M + shape.code.Q),
            u_end=self._elements(shape.code.Q),
            u_W_end=self._elements(weights.code.appended),
            root3=self._take(DIGEST),
        )

    def _layer(self, layer: LayerShape) -> LayerSent:
        return LayerSent(
            v_A=self._element() if layer.stated else None,
            v_B=self._element(),
            rounds=[self._elements(degree) for degree in layer.degrees],
            x=None if layer.public else self._element(),
            m=self._element(),
        )

    def openings(self, positions: list[int], places: list[int]) -> Openings:
        widths, n, n_W = Widths.of(self._shape), self._shape.code.n, self._shape.weights.code.n
        return Openings(
            first=self.opening(positions, n, widths.first, salted=True),
            second=self.opening(positions, n, widths.second, salted=True),
            mask=self.opening(places, n_W, widths.mask, salted=True),
            weights=self.opening(places, n_W, widths.weights, salted=True),
        )


def regions(proof: Proof) -> list[tuple[str, int, int]]:
    """Name, offset and length of every part of a proof, in order: what a test of mutations goes through."""
    head = proof.head
    sizes = [("magic", 8), ("version", 2), ("reserved", 2), ("statement", DIGEST), ("root 1", DIGEST)]
    sizes += [("root M", DIGEST), ("root 2", DIGEST)]
    for i, layer in enumerate(head.layers):
        sizes += [(f"v_A {i}", 16)] * (layer.v_A is not None) + [(f"v_B {i}", 16)]
        sizes += [(f"layer {i} round {j}", 16 * len(sent)) for j, sent in enumerate(layer.rounds)]
        sizes += [(f"X {i}", 16)] * (layer.x is not None) + [(f"m {i}", 16)]
    sizes += [(f"round {i}", 16 * len(sent)) for i, sent in enumerate(head.rounds)]
    sizes.append(("y", 16 * len(head.y)))
    sizes += [(f"weights round {i}", 16 * len(sent)) for i, sent in enumerate(head.rounds_W)]
    sizes += [("y_w", 16 * len(head.y_W)), ("sigma", 16), ("sigma_W", 16), ("u_m", 16 * len(head.u_m))]
    sizes += [("end of u", 16 * len(head.u_end)), ("end of u_W", 16 * len(head.u_W_end))]
    sizes.append(("root 3", DIGEST))
    sizes += opened_regions(proof.openings)
    sizes += row_regions(proof.rows)
    return placed(sizes)


def placed(sizes: Sequence[tuple[str, int]]) -> list[tuple[str, int, int]]:
    """Each part with its offset."""
    result, at = [], 0
    for name, size in sizes:
        result.append((name, at, size))
        at += size
    return result


def opened_regions(opened: Openings) -> list[tuple[str, int]]:
    named = (("1", opened.first), ("2", opened.second), ("M", opened.mask), ("W", opened.weights))
    return [region for name, opening in named for region in opening_regions(f"tree {name}", opening)]
