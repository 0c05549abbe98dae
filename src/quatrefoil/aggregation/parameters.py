"""Named, immutable parameter sets. One that could give a wrong sum is refused when it is built.

The ring and the noise are the same in every set, and so is the security: p = 2^64 - 2^32 + 1, N = 4096, secrets and
errors centred binomial with eta = 42. Sets differ in how values lie in a coefficient. ``docs/additive-encryption.md``
gives the estimate and its limits; it is unaudited.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field

from quatrefoil import _core
from quatrefoil.errors import ParametersRefused

LARGEST_VALUE_BITS = 32
"""Rounded values and their coins are exact in float64 and in 32 random bits up to here."""

_HINT = "Use a named set, or fewer bits, slots or silos"


@dataclass(frozen=True)
class ParameterSet:
    """How rounded values lie in the coefficients of a ciphertext, and how many silos may be added.

    ``value_bits`` (w): values round to integers in [-(2^(w-1) - 1), 2^(w-1) - 1]. ``slots`` (k): values a coefficient
    holds. ``max_silos``: the largest roster. ``delta``: the message is shifted this far above the noise.

    Raises ``ParametersRefused``, naming the numbers, unless the sum of ``max_silos`` contributions is exact in the
    worst case: 2^(delta-1) > n * eta, so that noise never reaches the message, and
    2^delta * n * 2^(w-1) * sum_j 2^(W j) + n * eta <= (p - 1) / 2, so that nothing wraps around the modulus.
    """

    name: str
    value_bits: int
    slots: int
    max_silos: int
    delta: int
    eta: int = _core.ETA
    ring_degree: int = _core.RING_DEGREE
    layout: _core.Layout = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_ranges(self)
        _check_exact(self)
        layout = _core.Layout(self.value_bits, self.slots, self.slot_width, self.delta, self.digest())
        object.__setattr__(self, "layout", layout)

    def __reduce__(self) -> tuple[object, ...]:
        """By its numbers, which are checked again where it is made again."""
        numbers = (self.value_bits, self.slots, self.max_silos, self.delta, self.eta, self.ring_degree)
        return ParameterSet, (self.name, *numbers)

    @classmethod
    def named(cls, name: str) -> ParameterSet:
        """The set of this name, or ``ParametersRefused`` listing those that exist."""
        try:
            return NAMED[name]
        except KeyError:
            known = ", ".join(NAMED)
            raise ParametersRefused(f"there is no parameter set {name!r}", hint=f"Choose one of: {known}") from None

    @property
    def slot_width(self) -> int:
        """W = w + ceil(log2 max_silos): bits that hold the sum of a whole roster."""
        return self.value_bits + (self.max_silos - 1).bit_length()

    @property
    def largest_integer(self) -> int:
        """2^(w-1) - 1: what a value at the clip bound rounds to."""
        return (1 << (self.value_bits - 1)) - 1

    def factor(self, weight: float, clip: float) -> float:
        """What values are multiplied by before they are rounded, in exactly these operations."""
        return float(weight) * (self.largest_integer / clip)

    @property
    def sum_magic(self) -> bytes:
        return b"QFADDSUM"

    @property
    def key_magic(self) -> bytes:
        return b"QFADDKEY"

    @property
    def combined_bytes(self) -> int:
        """Of a sum of secrets: a u64 for each coefficient."""
        return 8 * self.ring_degree

    def block_bytes(self, length: int) -> int:
        return self.layout.block_bytes(length)

    @property
    def bytes_per_value(self) -> float:
        """Bytes a value takes in a full block."""
        return 8 / self.slots

    def digest(self) -> bytes:
        """SHA-256 over the name and every number: 32 bytes that parties compare."""
        numbers = (self.value_bits, self.slots, self.max_silos, self.delta, self.eta, self.ring_degree)
        name = self.name.encode()
        content = struct.pack("<I", len(name)) + name + struct.pack("<6I", *numbers)
        return hashlib.sha256(b"quatrefoil/additive/v1/parameters" + content).digest()


def _check_ranges(p: ParameterSet) -> None:
    if not (p.name and p.name.isascii() and p.name.isprintable() and len(p.name) <= 64):
        raise ParametersRefused(f"{p.name!r} is no name of 1 to 64 printable ASCII characters", hint=_HINT)
    for what, value, least, most in (
        ("value_bits", p.value_bits, 2, LARGEST_VALUE_BITS),
        ("slots", p.slots, 1, 8),
        ("max_silos", p.max_silos, 2, 1 << 20),
        ("delta", p.delta, 1, 62),
        ("eta", p.eta, _core.ETA, _core.ETA),
        ("ring_degree", p.ring_degree, _core.RING_DEGREE, _core.RING_DEGREE),
    ):
        if type(value) is not int or not least <= value <= most:
            raise ParametersRefused(f"{p.name}: {what} {value} is not within {least} to {most}", hint=_HINT)


def _check_exact(p: ParameterSet) -> None:
    noise = p.max_silos * p.eta
    if not 1 << (p.delta - 1) > noise:
        raise ParametersRefused(
            f"{p.name}: noise of {p.max_silos} silos up to {noise} reaches half of 2^{p.delta}", hint=_HINT
        )
    slots = sum(1 << (p.slot_width * j) for j in range(p.slots))
    largest = (p.max_silos << (p.delta + p.value_bits - 1)) * slots + noise
    half = (_core.MODULUS - 1) // 2
    if largest > half:
        raise ParametersRefused(
            f"{p.name}: {p.slots} slots of {p.slot_width} bits shifted by {p.delta} reach {largest}, over {half}",
            hint=_HINT,
        )


NAMED = {
    parameters.name: parameters
    for parameters in (
        ParameterSet("sum-32-w12", value_bits=12, slots=3, max_silos=32, delta=12),
        ParameterSet("sum-256-w16", value_bits=16, slots=2, max_silos=256, delta=15),
        ParameterSet("sum-2048-w32", value_bits=32, slots=1, max_silos=2048, delta=20),
    )
}
"""The sets that policies name. 8/3 bytes a value for up to 32 silos; 4 for up to 256; 8 for up to 2,048."""
