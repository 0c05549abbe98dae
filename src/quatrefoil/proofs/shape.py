"""The shape of proofs for one size: what they take, and how sure they make."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from quatrefoil import _core
from quatrefoil.contracts import Threshold
from quatrefoil.errors import ParametersRefused


class Parameters(Protocol):
    """What a proof needs of a parameter set of the aggregation layer."""

    @property
    def name(self) -> str: ...
    @property
    def layout(self) -> _core.Layout: ...
    @property
    def slots(self) -> int: ...
    @property
    def largest_integer(self) -> int: ...
    def digest(self) -> bytes: ...
    def factor(self, weight: float, clip: float) -> float: ...


@dataclass(frozen=True)
class SoundnessTerm:
    """One way in which a false statement may pass. ``drawn``: the challenge that must be unlucky. ``log2_error``: the
    binary logarithm of how likely that is, in the interactive argument."""

    drawn: str
    failure: str
    log2_error: float


@dataclass(frozen=True)
class ProofShape:
    """How large the proofs about ``values`` values under a parameter set are, and how sound, with so many further
    ``claims``, and with the key in shares where ``sharing`` says how.

    ``ParametersRefused`` where there are none: for other value widths than 12 and 16 bits, for more than 2,048 blocks,
    and for shares too long to be proven. docs/proofs.md names the numbers.
    """

    parameters: Parameters
    values: int
    claims: int = 0
    sharing: Threshold | None = None
    kernel: _core.ProofShape = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        hint = "Use sum-256-w16 or sum-32-w12, and up to 2,048 blocks in one proof"
        if type(self.values) is not int or not 1 <= self.values < 1 << 40:
            raise ParametersRefused(f"proofs are not about {self.values} values", hint=hint)
        if not 0 <= self.claims <= _core.MOST_FURTHER_CLAIMS:
            raise ParametersRefused(
                f"{self.claims} further claims are not 0 to {_core.MOST_FURTHER_CLAIMS}",
                hint="Bound fewer parts of the update",
            )
        try:
            kernel = _core.ProofShape(self.parameters.layout, self.values)
            if self.sharing is not None:
                kernel = kernel.shared((self.sharing.members, self.sharing.privacy, self.sharing.packing))
        except _core.ProofUnavailable as error:
            raise ParametersRefused(f"{self.parameters.name}: {error.args[0]}", hint=hint) from None
        object.__setattr__(self, "kernel", kernel)

    @property
    def numbers(self) -> dict[str, int]:
        """The numbers of the shape by name."""
        return dict(self.kernel.numbers())

    @property
    def terms(self) -> tuple[SoundnessTerm, ...]:
        """Every term of the soundness error, in the order in which challenges are drawn."""
        return tuple(SoundnessTerm(*term) for term in self.kernel.soundness_terms(self.claims))

    @property
    def soundness_bits(self) -> float:
        """-log2 of the sum of all terms: the error of the interactive argument."""
        return self.kernel.soundness_bits(self.claims)


LARGEST_BLOCKS = 2048
"""Blocks of a ciphertext that one proof is about."""


def largest_values(parameters: Parameters) -> int:
    """How many values one proof may be about under this parameter set; 0 where there are no proofs."""
    values = LARGEST_BLOCKS * _core.RING_DEGREE * parameters.slots
    try:
        ProofShape(parameters, values)
    except ParametersRefused:
        return 0
    return values


__all__ = ["LARGEST_BLOCKS", "Parameters", "ProofShape", "SoundnessTerm", "largest_values"]
