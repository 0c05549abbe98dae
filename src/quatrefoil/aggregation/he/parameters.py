"""Named parameter sets for CKKS and BGV. All primes are written down: nothing is left to a library's search.

The secret is ternary, errors are centred binomial of 42 coins (SEAL's default: variance 10.5, at most 21). The width of
the whole modulus, the special prime included, is inside the 128-bit column of the HomomorphicEncryption.org standard
(2018, table 1, ternary secrets) with room to spare; docs/homomorphic.md has the figures beside the estimate.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log2, prod
from typing import Literal

from quatrefoil.errors import ParametersRefused

STANDARD_128 = {4096: 109, 8192: 218}
"""Ring degree -> largest log2 of the whole modulus: ternary secret, classical attacks, 128 bits (standard 2018)."""

ERROR_LARGEST = 21
ERROR_VARIANCE = 10.5
SECRET_VARIANCE = 2 / 3
"""Of a ternary coefficient, each value with probability 1/3."""


@dataclass(frozen=True)
class HeParameters:
    """``primes``: of ciphertexts; ``special``: of key switching, 0 where there is none. ``plain``: the modulus of BGV's
    values. ``value_bits``, ``weight_bits``: log2 of CKKS's scales of encrypted values and of plain weights.
    ``rescaled_bits``: in a set of networks log2 of the scale after each rescaling, which drops the last prime left."""

    name: str
    scheme: Literal["ckks", "bgv"]
    ring_degree: int
    primes: tuple[int, ...]
    special: int
    plain: int
    value_bits: int
    weight_bits: int
    rescaled_bits: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.total_bits > STANDARD_128.get(self.ring_degree, 0):
            raise ParametersRefused(
                f"{self.name}: a modulus of {self.total_bits:.1f} bits at degree {self.ring_degree} is over the "
                f"{STANDARD_128.get(self.ring_degree, 0)} of the standard for 128-bit security",
                hint=f"Use one of {', '.join(SETS) or 'the named sets'}",
            )

    @staticmethod
    def named(name: str) -> HeParameters:
        """The set of this name, or ``ParametersRefused``."""
        if name not in SETS:
            raise ParametersRefused(f"no parameter set {name[:60]!r}", hint=f"Use one of {', '.join(SETS)}")
        return SETS[name]

    @property
    def modulus(self) -> int:
        """q: what ciphertexts are computed in."""
        return prod(self.primes)

    @property
    def total_bits(self) -> float:
        """log2 of the whole modulus: what security depends on."""
        return log2(self.modulus * (self.special or 1))

    @property
    def key_primes(self) -> tuple[int, ...]:
        """Those that keys are in."""
        return (*self.primes, self.special) if self.special else self.primes

    @property
    def slots(self) -> int:
        """Values in one ciphertext."""
        return self.ring_degree // 2 if self.scheme == "ckks" and not self.paired else self.ring_degree

    @property
    def paired(self) -> bool:
        """Whether a slot of CKKS holds two values, its real and its imaginary part: real weights never mix them,
        products of encrypted values would."""
        return self.scheme == "ckks" and not self.special

    def left(self, dropped: int) -> tuple[int, ...]:
        """The primes of ciphertexts after as many rescalings."""
        return self.primes[: len(self.primes) - dropped]

    @property
    def ciphertext_bytes(self) -> int:
        """Length of SEAL's stream of a fresh ciphertext: a head of 113 bytes, two polynomials of 8-byte words."""
        return 113 + 16 * self.ring_degree * len(self.primes)

    @property
    def products(self) -> int:
        """How often encrypted values may be multiplied by encrypted ones, one after the other."""
        return 1 if self.special else 0


SETS: dict[str, HeParameters] = {}
SETS |= {
    one.name: one
    for one in (
        HeParameters("ckks-linear-4096", "ckks", 4096, (1152921504606830593,), 0, 0, 32, 24),
        HeParameters(
            "ckks-product-8192", "ckks", 8192, (1152921504606748673, 1099511480321), 1152921504606830593, 0, 40, 40
        ),
        HeParameters(
            "ckks-network-8192",
            "ckks",
            8192,
            (72057594037616641, 36028797018652673, 1073692673),
            17592186028033,
            0,
            37,
            33,
            (40, 53),
        ),
        HeParameters("bgv-linear-4096", "bgv", 4096, (1152921504606830593,), 0, 1073692673, 0, 0),
        HeParameters(
            "bgv-product-8192",
            "bgv",
            8192,
            (9007199254331393, 9007199254364161),
            9007199254429697,
            1073692673,
            0,
            0,
        ),
    )
}
