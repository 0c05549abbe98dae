"""What a prover draws, and the rows that it commits to (docs/inference-proofs.md, Commitment to weights)."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from typing import Protocol

from bounded_update.commitment import Commitment, Rows, cut, parts
from bounded_update.field import Ext
from bounded_update.transcript import Drawn

from .codes import Code
from .model import Weights, weights_columns
from .shape import Shape
from .weights_shape import WeightsShape


class Source:
    """Deterministic in a seed, so that vectors can be made again. A real prover asks its operating system."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed

    def pieces(self, label: str) -> Drawn:
        numbers = (i.to_bytes(8, "little") for i in itertools.count())
        return Drawn(hashlib.blake2b(n, key=self._seed, person=label.encode()).digest() for n in numbers)

    def elements(self, label: str, count: int) -> list[Ext]:
        return self.pieces(label).elements(count)

    def rows(self, label: str, count: int, length: int) -> Rows:
        drawn = self.pieces(label)
        return [[drawn.base() for _ in range(length)] for _ in range(count)]

    def salts(self, label: str, count: int) -> list[bytes]:
        name = label.encode()
        numbers = (i.to_bytes(8, "little") for i in range(count))
        return [hashlib.blake2b(n, key=self._seed, person=name, digest_size=32).digest() for n in numbers]


@dataclass
class WeightsRandomness:
    """Of the commitment to weights: the same in every proof."""

    appended: Rows  # n_W R_W rows of T Q_W
    salts: list[bytes]

    @staticmethod
    def from_seed(shape: WeightsShape, seed: bytes) -> WeightsRandomness:
        source = Source(seed)
        appended = source.rows("weights", shape.n_W * shape.R, shape.code.appended)
        return WeightsRandomness(appended, source.salts("weights-salts", shape.code.n))


class Blinded(Protocol):
    """What a shape says of how much a proof draws."""

    @property
    def code(self) -> Code: ...
    @property
    def weights(self) -> WeightsShape: ...
    @property
    def R(self) -> int: ...
    @property
    def M(self) -> int: ...
    @property
    def m_q(self) -> int: ...


@dataclass
class Randomness:
    """All that one proof draws."""

    appended1: Rows  # c R_c rows of Q
    mask: list[Ext]  # M
    mask_appended: list[Ext]  # Q
    nu: list[Ext]  # M + Q
    mu: list[Ext]  # K
    appended2: Rows  # 2 m_q R_c rows of Q
    mu_W: list[Ext]  # K_W
    salts1: list[bytes]
    salts2: list[bytes]
    salts_M: list[bytes]

    @staticmethod
    def from_seed(shape: Shape, seed: bytes) -> Randomness:
        return Randomness.of(shape, shape.c, seed)

    @staticmethod
    def of(shape: Blinded, base_columns: int, seed: bytes) -> Randomness:
        """Of a proof of answers, or of the range of weights."""
        source, code, code_W = Source(seed), shape.code, shape.weights.code
        return Randomness(
            appended1=source.rows("appended1", base_columns * shape.R, code.Q),
            mask=source.elements("mask", shape.M),
            mask_appended=source.elements("mask-appended", code.Q),
            nu=source.elements("nu", shape.M + code.Q),
            mu=source.elements("mu", code.K),
            appended2=source.rows("appended2", 2 * shape.m_q * shape.R, code.Q),
            mu_W=source.elements("mu_W", code_W.K),
            salts1=source.salts("salts1", code.n),
            salts2=source.salts("salts2", code.n),
            salts_M=source.salts("salts_M", code_W.n),
        )

    def of_mask(self, shape: Shape, name: str, index: int = 0) -> list[Ext]:
        return self.mask[shape.places[name, index]]


def runs(columns: Rows, length: int, appended: Rows) -> Rows:
    """The runs of all columns, each with what is appended to it."""
    rows = [row for column in columns for row in cut(column, length)]
    return [row + more for row, more in zip(rows, appended, strict=True)]


@dataclass
class WeightsCommitment:
    """A prover's side of tree W, for many proofs."""

    shape: WeightsShape
    weights: Weights
    columns: Rows
    commitment: Commitment

    @staticmethod
    def make(shape: WeightsShape, weights: Weights, drawn: WeightsRandomness) -> WeightsCommitment:
        columns = weights_columns(shape, weights)
        rows = runs(columns, shape.code.C, drawn.appended)
        return WeightsCommitment(shape, weights, columns, Commitment(rows, shape.code.n, drawn.salts))

    @property
    def root(self) -> bytes:
        return self.commitment.root


def first_commitment(shape: Shape, columns: Rows, drawn: Randomness) -> Commitment:
    rows = runs(columns, shape.code.C, drawn.appended1)
    rows += parts([*drawn.mask, *drawn.mask_appended]) + parts(drawn.nu) + parts(drawn.mu)
    return Commitment(rows, shape.code.n, drawn.salts1)


def second_commitment(shape: Shape, inverses: Rows, drawn: Randomness) -> Commitment:
    return Commitment(runs(inverses, shape.code.C, drawn.appended2), shape.code.n, drawn.salts2)


def mask_commitment(shape: Shape, drawn: Randomness) -> Commitment:
    """Tree M."""
    return Commitment(parts(drawn.mu_W), shape.weights.code.n, drawn.salts_M)
