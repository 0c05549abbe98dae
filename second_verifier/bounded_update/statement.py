"""What a proof is about, and its digest (docs/proofs.md, Transcript)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from . import blake3
from .claims import NOTHING_FURTHER, Further
from .errors import Rejected
from .field import P
from .shape import SLACK_BITS, Shape, log2
from .transcript import TRANSCRIPT, content

PROTOCOL: Final = b"quatrefoil/proof/bounded-update/v1"

Blocks = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Statement:
    """Everything public but the blocks and v. `context` is the context digest of the round, so it fixes the a_j."""

    shape: Shape
    bound: int  # beta
    context: bytes
    binding: bytes
    further: Further = NOTHING_FURTHER
    commitments: tuple[bytes, ...] = ()  # h_k of each member, where the key is in shares

    def __post_init__(self) -> None:
        if not 0 <= self.bound < 1 << SLACK_BITS:
            raise ValueError("the bound is not within [0, 2^62)")
        if len(self.context) != 32 or len(self.binding) != 32:
            raise ValueError("the context digest and the binding have 32 bytes each")
        self.further.check(self.shape)
        members = self.shape.threshold.members if self.shape.threshold else 0
        if [len(one) for one in self.commitments] != [32] * members:
            raise ValueError("each member has a commitment of 32 bytes, and nobody else has one")

    def to_bytes(self, blocks_digest: bytes) -> bytes:
        shape, p = self.shape, self.shape.parameters
        code, row = shape.code, shape.row_code
        numbers = (
            *(p.w, p.k, p.W, p.delta, p.eta, p.N, shape.ell),
            *(log2(code.C), log2(code.n), code.Q, log2(row.C), log2(row.n), row.Q, shape.b),
        )
        return (
            struct.pack("<14I2Q", *numbers, shape.D, self.bound)
            + p.digest()
            + self.context
            + self.binding
            + blocks_digest
            + self.further.to_bytes()
            + self._sharing()
        )

    def _sharing(self) -> bytes:
        if self.shape.threshold is None:
            return b""
        none = b"" if self.further.count else bytes(8)
        return none + self.shape.threshold.to_bytes() + b"".join(self.commitments)

    def digest(self, blocks: Blocks) -> bytes:
        return self.digest_over(content(blocks_bytes(blocks)))

    def digest_over(self, blocks_digest: bytes) -> bytes:
        """The same for a keeper, who has the digests of the blocks and of the direction only."""
        return blake3.digest(PROTOCOL + self.to_bytes(blocks_digest), TRANSCRIPT)


def blocks_bytes(blocks: Blocks) -> bytes:
    return b"".join(struct.pack(f"<{len(block)}Q", *block) for block in blocks)


def check_blocks(shape: Shape, blocks: Blocks) -> None:
    """As many blocks as the values need, of N coefficients below p."""
    if len(blocks) != shape.J or any(len(block) != shape.parameters.N for block in blocks):
        raise Rejected("the ciphertext has not the length of the statement")
    if not all(0 <= word < P for block in blocks for word in block):
        raise Rejected("a word of the ciphertext is not below p")
