"""The shape of a proof: every count and every position in it follows from here (docs/proofs.md, Shape)."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from .field import P
from .threshold import Threshold

FRACTIONS_IN_A_CHUNK: Final = 7
SLACK_BITS: Final = 62
LARGEST_BLOCKS: Final = 2048
SECURITY: Final = 102  # bits that the positions of one code give
ERROR_TABLE_SPACE: Final = 128
PAD_AND_SLACK_SPACE: Final = 64
LARGEST_WORD: Final = 124  # entries of a word of tree 1
CLAIM_POWERS: Final = 1 + SLACK_BITS  # powers of gamma that a further claim takes: its own, and one for each bit


@dataclass(frozen=True)
class ParameterSet:
    """Of the encryption: w bits a value, k slots, at most `silos` silos (docs/additive-encryption.md)."""

    name: str
    w: int
    k: int
    silos: int
    delta: int
    eta: int = 42
    N: int = 4096

    def __post_init__(self) -> None:
        # Before they are exponents: p is below 2^64.
        if not all(1 <= one <= 64 for one in (self.w, self.k, self.delta)) or not 1 <= self.silos <= 1 << 32:
            raise ValueError("the numbers of this parameter set are outside of what any has")
        largest = self.silos * 2 ** (self.w - 1) * sum(1 << self.W * t for t in range(self.k)) << self.delta
        if 2 ** (self.delta - 1) <= self.silos * self.eta or largest + self.silos * self.eta > (P - 1) // 2:
            raise ValueError("the noise or the sum does not fit into this parameter set")

    @property
    def W(self) -> int:
        return self.w + (self.silos - 1).bit_length()

    def digest(self) -> bytes:
        name = self.name.encode("ascii")
        numbers = struct.pack("<6I", self.w, self.k, self.silos, self.delta, self.eta, self.N)
        label = b"quatrefoil/additive/v1/parameters"
        return hashlib.sha256(label + struct.pack("<I", len(name)) + name + numbers).digest()


SUM_32_W12: Final = ParameterSet("sum-32-w12", 12, 3, 32, 12)
SUM_256_W16: Final = ParameterSet("sum-256-w16", 16, 2, 256, 15)
SUM_2048_W32: Final = ParameterSet("sum-2048-w32", 32, 1, 2048, 20)
PARAMETER_SETS: Final = {p.name: p for p in (SUM_32_W12, SUM_256_W16, SUM_2048_W32)}


@dataclass(frozen=True)
class Code:
    """Reed-Solomon: runs of C entries, words of n, Q positions. `appended` says whether Q elements are appended."""

    C: int
    n: int
    Q: int
    appended: bool

    @property
    def K(self) -> int:
        return self.C + self.Q if self.appended else self.C


def least_queries(C: int, n: int, appended: bool) -> int:
    """The least Q with ((n + K) / 2n)^Q <= 2^-102, in exact integers."""
    Q = 1
    while (n + C + (Q if appended else 0)) ** Q << SECURITY > (2 * n) ** Q:
        Q += 1
    return Q


# ell: log2 of C, n, C2, n2
CODES: Final = {
    12: (11, 14, 8, 12), 13: (12, 15, 9, 13), 14: (13, 15, 10, 14), 15: (14, 16, 10, 14), 16: (14, 16, 10, 14),
    17: (15, 17, 11, 15), 18: (16, 18, 11, 15), 19: (17, 19, 12, 16), 20: (18, 20, 12, 16), 21: (19, 21, 13, 17),
}  # fmt: skip


def log2(x: int) -> int:
    if x < 1 or x & (x - 1):
        raise ValueError(f"{x} is no power of two")
    return x.bit_length() - 1


def ceil_log2(x: int) -> int:
    return (x - 1).bit_length()


@dataclass(frozen=True)
class Shape:
    """`Shape.of` derives the real ones. Others are toys: they prove nothing to anybody, and are there for tests."""

    parameters: ParameterSet
    D: int  # values
    b: int  # bits of a limb
    S: int  # blocks in a column
    code: Code
    row_code: Code  # of the opened row
    slack_space: int = PAD_AND_SLACK_SPACE  # toys have no room for further claims, unless they make some
    threshold: Threshold | None = None  # where the key is in shares

    @staticmethod
    def of(parameters: ParameterSet, values: int, threshold: Threshold | None = None) -> Shape:
        w, k, N = parameters.w, parameters.k, parameters.N
        if w not in (12, 16) or N != 4096:
            raise ValueError("there are proofs for w = 12 and w = 16 at N = 4096")
        J = -(-values // (N * k))
        if not 1 <= J <= LARGEST_BLOCKS:
            raise ValueError(f"a proof is for 1 to {LARGEST_BLOCKS} blocks")
        narrow = w == 16 and J <= 8
        s, g = (0, 2) if narrow else (2, 4) if w == 16 else (0, 4)
        S = 1 << max(s, ceil_log2(-(-J // g)))
        C, n, C2, n2 = (1 << x for x in CODES[log2(S * N)])
        code = Code(C, n, least_queries(C, n, True), True)
        row = Code(C2, n2, least_queries(C2, n2, False), False)
        shape = Shape(parameters, values, 8 if narrow else w, S, code, row, threshold=threshold)
        if shape.c * shape.R + 6 > LARGEST_WORD:
            raise ValueError(f"a word of tree 1 would have more than {LARGEST_WORD} entries")
        return shape

    def __post_init__(self) -> None:
        p = self.parameters
        fits = (
            self.D >= 1
            and p.w % self.b == 0
            and 2 * p.eta + 1 <= ERROR_TABLE_SPACE
            and self.L % PAD_AND_SLACK_SPACE == 0
            and self.code.C <= self.L
            and self.row_code.C <= self.code.C
            and self.code.n >= self.code.K
            and self.code.n >= self.M + self.code.Q
            and self.row_code.n >= self.row_code.C
            and self.G * self.L * p.k * 4 ** (p.w - 1) + 2**SLACK_BITS < P
        )
        for power in (self.S, p.N, self.code.C, self.code.n, self.row_code.C, self.row_code.n):
            log2(power)
        if not fits:
            raise ValueError("the parts of this shape do not fit together")

    # Sizes.

    @cached_property
    def J(self) -> int:
        return -(-self.D // (self.parameters.N * self.parameters.k))

    @cached_property
    def limbs(self) -> int:
        return self.parameters.w // self.b

    @cached_property
    def L(self) -> int:
        return self.S * self.parameters.N

    @cached_property
    def ell(self) -> int:
        return log2(self.L)

    @cached_property
    def G(self) -> int:
        return -(-self.J // self.S)

    @cached_property
    def R(self) -> int:
        return self.L // self.code.C

    @cached_property
    def off(self) -> int:
        return 1 << (self.parameters.w - 1)

    # Positions in the auxiliary vector y.

    @cached_property
    def T_E(self) -> int:
        return max(1 << self.b, ERROR_TABLE_SPACE)

    @cached_property
    def T_P(self) -> int:
        return self.T_E + ERROR_TABLE_SPACE

    @cached_property
    def T_S(self) -> int:
        N = self.parameters.N
        return N * -(-(self.T_P + self.slack_space) // N)

    def slack_start(self, number: int) -> int:
        """Where the bits of a slack begin: 0 for that of the norm of all values, c + 1 for that of further claim c."""
        return self.T_P + PAD_AND_SLACK_SPACE * number + 2

    # Where the key is in shares.

    @cached_property
    def share_length(self) -> int:
        """m: polynomials, and entries of y for each base point."""
        return self.parameters.N // self.threshold.packing if self.threshold else self.parameters.N

    @cached_property
    def T_M(self) -> int:
        """A multiple of 2^mu: in real shapes as it is, in toys rounded up."""
        return -(-(self.T_S + self.key_values * self.share_length) // self.mask_space) * self.mask_space

    @cached_property
    def mask_space(self) -> int:
        """2^mu."""
        return 1 << ceil_log2(2 * self.key_values)

    @cached_property
    def key_values(self) -> int:
        """Elements in place of v: t_rec, or one."""
        return self.threshold.recovery if self.threshold else 1

    @cached_property
    def A(self) -> int:
        end = self.T_M + self.mask_space if self.threshold else self.T_S + self.parameters.N
        return -(-end // self.L)

    @cached_property
    def A_T(self) -> int:
        return -(-(self.T_E + ERROR_TABLE_SPACE) // self.L)

    # Columns.

    @cached_property
    def group_width(self) -> int:
        return 1 + self.parameters.k * self.limbs

    @cached_property
    def c(self) -> int:
        return self.G * self.group_width + self.A

    def error_column(self, group: int) -> int:
        return group * self.group_width

    def limb_column(self, group: int, slot: int, limb: int) -> int:
        return group * self.group_width + 1 + slot * self.limbs + limb

    def auxiliary_column(self, index: int) -> int:
        return self.G * self.group_width + index

    # Fractions, chunks and the masks.

    @cached_property
    def lookups(self) -> int:
        return self.G * self.group_width

    @cached_property
    def chunks(self) -> list[range]:
        """The fractions of each chunk."""
        count = self.lookups + self.A_T
        step = FRACTIONS_IN_A_CHUNK
        return [range(first, min(first + step, count)) for first in range(0, count, step)]

    @cached_property
    def m_q(self) -> int:
        return len(self.chunks)

    @cached_property
    def m(self) -> int:
        return self.c + 2 * self.m_q

    @cached_property
    def degrees(self) -> list[int]:
        f_max = max(len(chunk) for chunk in self.chunks)
        return [f_max + 2] * (self.ell - 1) + [2 * f_max + 3]

    @cached_property
    def M(self) -> int:
        return sum(self.degrees) + self.m
