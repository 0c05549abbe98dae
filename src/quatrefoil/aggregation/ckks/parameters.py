"""Named parameter sets of sums in CKKS. One that could give a wrong sum is refused when it is built.

Secrets and errors are centred binomial with eta = 42, each the sum of two of SEAL's error polynomials: the sum of the
secrets is revealed, which a ternary secret does not bear. docs/ckks-sums.md derives each bound; it is unaudited.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from math import ceil, log2, sqrt

from quatrefoil.aggregation.he.parameters import ERROR_LARGEST, HeParameters
from quatrefoil.errors import ParametersRefused

ETA = 2 * ERROR_LARGEST
"""Largest coefficient of a secret, and of the error of a block."""

_LARGEST_INT16 = (1 << 15) - 1


@dataclass(frozen=True)
class CkksSumSet:
    """How many silos may be added, and the scale of their values, over one prime ``modulus`` of SEAL's.

    A slot of the ``ring_degree`` / 2 holds two values, its real and its imaginary part. Values are at most 1.
    Raises ``ParametersRefused``, naming the numbers, unless the sum of ``max_silos`` contributions cannot wrap around
    the modulus, and the sum of their secrets is one of 16-bit integers.
    """

    name: str
    ring_degree: int
    modulus: int
    scale_bits: int
    max_silos: int

    def __post_init__(self) -> None:
        largest = self.max_silos * (ceil(sqrt(2) * 2.0**self.scale_bits * (1 + 2.0**-30)) + ETA + 1)
        if 2 * largest >= self.modulus:
            raise ParametersRefused(
                f"{self.name}: sums of {self.max_silos} silos at scale 2^{self.scale_bits} reach {largest}, over half "
                f"of the modulus {self.modulus}",
                hint="Use a named set, or fewer silos or a smaller scale",
            )
        if self.max_silos * ETA > _LARGEST_INT16:
            raise ParametersRefused(
                f"{self.name}: sums of {self.max_silos} secrets reach {self.max_silos * ETA}, over 16 bits",
                hint="Use a named set, or fewer silos",
            )

    @classmethod
    def named(cls, name: str) -> CkksSumSet:
        """The set of this name, or ``ParametersRefused`` listing those that exist."""
        if name not in NAMED:
            raise ParametersRefused(f"there is no parameter set {name!r}", hint=f"Choose one of: {', '.join(NAMED)}")
        return NAMED[name]

    @property
    def seal(self) -> HeParameters:
        """What SEAL is given."""
        return HeParameters(self.name, "ckks", self.ring_degree, (self.modulus,), 0, 0, self.scale_bits, 0)

    @property
    def scale(self) -> float:
        return float(2.0**self.scale_bits)

    @property
    def sum_magic(self) -> bytes:
        return b"QFCKKSUM"

    @property
    def key_magic(self) -> bytes:
        return b"QFCKKKEY"

    @property
    def key_bytes(self) -> int:
        """Of one silo's secret: a signed byte for each coefficient."""
        return self.ring_degree

    @property
    def combined_bytes(self) -> int:
        """Of a sum of secrets: a signed 16-bit integer for each coefficient."""
        return 2 * self.ring_degree

    def blocks(self, length: int) -> int:
        """Ciphertexts of ``length`` values."""
        return -(-length // self.ring_degree)

    def block_bytes(self, length: int) -> int:
        return 8 * self.ring_degree * self.blocks(length)

    def error(self, count: int) -> float:
        """The largest error of a value in a sum of ``count`` contributions of at most 1, before it is rounded: worst
        case, of every noise there can be. Noise and the encoder's rounding, by Cauchy-Schwarz; both floating-point
        transforms."""
        n = self.ring_degree
        transforms = 2.0**-52 * 32 * log2(n) * sqrt(n)
        return count * ((ETA + 0.5) * n / sqrt(2) / self.scale + transforms)

    def step(self, count: int) -> float:
        """A power of two, at least twice the error: what a decrypted sum is rounded to."""
        return float(2.0 ** ceil(log2(2 * self.error(count))))

    def digest(self) -> bytes:
        """SHA-256 over the name and every number: 32 bytes that parties compare."""
        name = self.name.encode()
        numbers = struct.pack("<IQIII", self.ring_degree, self.modulus, self.scale_bits, self.max_silos, ETA)
        return hashlib.sha256(
            b"quatrefoil/ckks-sum/v1/parameters" + struct.pack("<I", len(name)) + name + numbers
        ).digest()


NAMED = {
    one.name: one for one in (CkksSumSet("ckks-sum-4096", 4096, 1152921504606830593, scale_bits=49, max_silos=256),)
}
"""8 bytes a value for up to 256 silos, each within 2.3e-10 of the clip bound."""
