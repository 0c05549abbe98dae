"""What a computation does to values and errors, followed before it is done: pure arithmetic, no ciphertext.

A track says of one ciphertext how large its values can be and how wrong. Operations on tracks refuse what does not fit,
with the numbers; docs/homomorphic.md derives each line. CKKS: the bound holds for all slots of a computation but with
probability 2^-40 over the noise of encryption and keys. BGV: worst case, no probability: a result is exact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, frexp, isfinite, log, log2, prod, sqrt

import numpy as np
from numpy.typing import NDArray

from quatrefoil.aggregation.he.parameters import ERROR_LARGEST, ERROR_VARIANCE, SECRET_VARIANCE, HeParameters
from quatrefoil.errors import ParametersRefused

FAILURE_BITS = 40
MOST_CIPHERTEXTS = 1 << 20
"""Of one key: what the union bound counts."""


@dataclass(frozen=True)
class Rounded:
    """What a key holder lets out of a CKKS decryption: multiples of ``step``, each within ``error`` of the truth."""

    values: NDArray[np.float64]
    step: float
    error: float


@dataclass(frozen=True)
class Weights:
    """What is known of a plain matrix: ``reach``, most that the sizes of weights add up to in a slot; ``wrong``, how
    much of that encoding altered; ``most``, what a result can be, its constant added, for vectors of at most ``given``;
    ``rotations`` that add slots up."""

    reach: float
    wrong: float
    most: float
    given: float
    rotations: int


@dataclass(frozen=True)
class CkksTrack:
    """Values of at most ``bound``, each within ``error`` of what it stands for, times 2^``scale_bits``: the real parts
    of slots, and in paired sets the imaginary ones. Real and imaginary errors are alike. ``dropped``: rescalings done.
    """

    parameters: HeParameters
    bound: float
    error: float
    scale_bits: int
    products: int = 0
    dropped: int = 0

    @classmethod
    def fresh(cls, parameters: HeParameters, *, public: bool = False) -> CkksTrack:
        """An encryption of values of at most 1, under the secret key or under its public half."""
        noise = _public_noise(parameters) if public else _noise(parameters)
        error = noise / 2.0**parameters.value_bits + encoding(parameters, parameters.value_bits)
        return cls(parameters, 1.0, error, parameters.value_bits)

    def plus(self, other: CkksTrack) -> CkksTrack:
        if (self.scale_bits, self.dropped, self.parameters) != (other.scale_bits, other.dropped, other.parameters):
            raise ParametersRefused(
                f"values at scale 2^{self.scale_bits} and 2^{other.scale_bits} cannot be added",
                hint="Multiply both, or neither",
            )
        products = max(self.products, other.products)
        added = replace(self, bound=self.bound + other.bound, error=self.error + other.error, products=products)
        return added._fitting("a sum")

    def times(self, weight: int) -> CkksTrack:
        """By the plain ``weight`` / 2^weight_bits."""
        factor = abs(weight) / 2.0**self.parameters.weight_bits
        scale_bits = self.scale_bits + self.parameters.weight_bits
        return replace(self, bound=self.bound * factor, error=self.error * factor, scale_bits=scale_bits)._fitting(
            "a weighted value"
        )

    def product(self, other: CkksTrack) -> CkksTrack:
        products = _depth(self.parameters, self.products, other.products)
        if self.dropped != other.dropped:
            raise ParametersRefused("values after different numbers of rescalings", hint="Rescale both, or neither")
        error = self.bound * other.error + other.bound * self.error + 2 * self.error * other.error
        scale_bits = self.scale_bits + other.scale_bits
        multiplied = replace(self, bound=self.bound * other.bound, scale_bits=scale_bits, products=products)
        return replace(multiplied, error=error + self._switching(scale_bits))._fitting("a product")

    def applied(self, matrix: Weights) -> CkksTrack:
        """Slots times ``matrix``, added up by its rotations, its constant added, and rescaled."""
        self.require_layer()
        if self.bound > matrix.given:
            raise ParametersRefused(
                f"a matrix for values up to {matrix.given:g}, and these reach {self.bound:g}",
                hint="Encode it for these",
            )
        target, left = self.parameters.rescaled_bits[self.dropped], self.parameters.left(self.dropped)
        before = target + log2(left[-1])
        error = matrix.reach * self.error + matrix.wrong * (self.bound + 2 * self.error)
        error += self._switching(before) * (2.0**matrix.rotations - 1)
        bound = matrix.most
        error += encoding(self.parameters, before) * max(1.0, bound)
        self._require_room(bound + error, before, left, "a layer")
        error += _rescaling(self.parameters) / 2.0**target + 2.0**-52 * bound
        found = replace(self, bound=bound, error=error, scale_bits=target, dropped=self.dropped + 1)
        return found._fitting("a layer")

    def require_layer(self) -> None:
        """``ParametersRefused`` where the set has no rescaling left for a matrix."""
        most = len(self.parameters.rescaled_bits)
        if self.dropped >= most:
            raise ParametersRefused(
                f"{self.dropped + 1} matrices one after the other, and {self.parameters.name} has room for {most}",
                hint="Use ckks-network-8192, for a network of two layers",
            )

    def summed(self) -> CkksTrack:
        """The sum of all slots, in every slot."""
        _switchable(self.parameters)
        doubled = self
        for _ in range(self.parameters.slots.bit_length() - 1):
            error = 2 * doubled.error + self._switching(self.scale_bits)
            doubled = replace(doubled, bound=2 * doubled.bound, error=error)._fitting("a sum over slots")
        return doubled

    def step(self) -> float:
        """A power of two, at least twice the error: what decrypted values are rounded to."""
        return float(2.0 ** ceil(log2(2 * self.error)))

    def released(self) -> float:
        """The error of a value after rounding."""
        return self.error + self.step() / 2

    def _switching(self, scale_bits: float) -> float:
        p, primes = self.parameters, self.parameters.left(self.dropped)
        digits = len(primes) * _noise(p) * p.ring_degree * 2 * max(primes) / p.special
        return (digits + p.ring_degree * (p.ring_degree + 1) / 2) / float(2.0**scale_bits)

    def _fitting(self, what: str) -> CkksTrack:
        left = self.parameters.left(self.dropped)
        self._require_room(self.bound + self.error, self.scale_bits, left, what)
        return self

    def _require_room(self, largest: float, scale_bits: float, primes: tuple[int, ...], what: str) -> None:
        room = log2(prod(primes)) - 2
        needed = log2(largest) + scale_bits if largest > 0 else 0.0
        if not isfinite(needed) or needed >= room:
            raise ParametersRefused(
                f"{what} needs {needed:.1f} bits, and {self.parameters.name} has {room:.1f}: values up to "
                f"{largest:g} at scale 2^{scale_bits:g}",
                hint="Give fewer rows or smaller values, or a larger parameter set",
            )


@dataclass(frozen=True)
class Exact:
    """A decryption of BGV: integers, exact to the last unit."""

    values: NDArray[np.int64]


@dataclass(frozen=True)
class BgvTrack:
    """Slots of at most ``bound``; ``noise``: the largest coefficient of what the phase of the ciphertext can be."""

    parameters: HeParameters
    bound: int
    noise: int
    products: int = 0

    @classmethod
    def fresh(cls, parameters: HeParameters, bound: int, *, public: bool = False) -> BgvTrack:
        """An encryption of integers of at most ``bound``, under the secret key or under its public half."""
        noise = _largest_public_noise(parameters) if public else parameters.plain * ERROR_LARGEST
        return cls(parameters, bound, noise + parameters.plain)._fitting("a value")

    def plus(self, other: BgvTrack) -> BgvTrack:
        products = max(self.products, other.products)
        return BgvTrack(self.parameters, self.bound + other.bound, self.noise + other.noise, products)._fitting("a sum")

    def times(self, weight: int) -> BgvTrack:
        return replace(self, bound=self.bound * abs(weight), noise=self.noise * abs(weight))._fitting(
            "a weighted value"
        )

    def shifted(self, constant: int) -> BgvTrack:
        """With a plain constant added."""
        return replace(self, bound=self.bound + abs(constant), noise=self.noise + self.parameters.plain)._fitting(
            "a value with its constant"
        )

    def product(self, other: BgvTrack) -> BgvTrack:
        products = _depth(self.parameters, self.products, other.products)
        noise = self.parameters.ring_degree * self.noise * other.noise + self._switching()
        return BgvTrack(self.parameters, self.bound * other.bound, noise, products)._fitting("a product")

    def summed(self, rows: int) -> BgvTrack:
        """The sum of all slots, in every slot; ``rows`` of them are not zero."""
        _switchable(self.parameters)
        noise = self.noise
        for _ in range(self.parameters.slots.bit_length() - 1):
            noise = 2 * noise + self._switching()
        return replace(self, bound=self.bound * rows, noise=noise)._fitting("a sum over slots")

    def _switching(self) -> int:
        p = self.parameters
        digits = len(p.primes) * p.ring_degree * ERROR_LARGEST * (max(p.primes) // p.special + 1)
        return p.plain * (digits + p.ring_degree + 1)

    def _fitting(self, what: str) -> BgvTrack:
        largest = (self.parameters.plain - 1) // 2
        if self.bound > largest:
            raise ParametersRefused(
                f"{what} can reach {self.bound}, and {self.parameters.name} counts to {largest}",
                hint="Give fewer rows, smaller values or smaller weights",
            )
        if 2 * self.noise >= self.parameters.modulus:
            raise ParametersRefused(
                f"{what} can have noise of {self.noise.bit_length()} bits, and {self.parameters.name} has room for "
                f"{self.parameters.modulus.bit_length() - 2}",
                hint="Give fewer rows or smaller weights, or a larger parameter set",
            )
        return self


Track = CkksTrack | BgvTrack


def power_of_two(value: float) -> float:
    """The smallest power of two that is at least ``value``, which is above 0: dividing by it rounds nothing."""
    fraction, exponent = frexp(value)
    return 2.0 ** (exponent - 1 if fraction == 0.5 else exponent)


def encoding(parameters: HeParameters, scale_bits: float) -> float:
    """Of encoding values of at most 1 at this scale: rounding, each coefficient by at most 1/2 (Cauchy-Schwarz), and
    floating point."""
    return parameters.ring_degree / sqrt(8) / float(2.0**scale_bits) + floating(parameters)


def floating(parameters: HeParameters) -> float:
    """Of the encoder's transform, or its inverse, for values of at most 1."""
    n = parameters.ring_degree
    return 2.0**-52 * 16 * log2(n) * sqrt(n)


def _noise(parameters: HeParameters) -> float:
    """Most that the real (or the imaginary) part of an error polynomial is in any slot of any ciphertext of a key, but
    with probability 2^-40: coins are sub-Gaussian with their variance (Hoeffding)."""
    return _in_slots(parameters, ERROR_VARIANCE, MOST_CIPHERTEXTS)


def _public_noise(parameters: HeParameters) -> float:
    """As :func:`_noise`, of e0 + e1 s - e u, with s and e of the key and u, e0, e1 fresh; s and u ternary, which is
    sub-Gaussian with its variance. Given the key, a slot's real part is sub-Gaussian with variance
    (10.5 (1 + |s|^2) + 2/3 |e|^2) N / 2, where |s| and |e| are of the key's values in that slot, each but with
    probability 2^-43. With a special prime that is divided by it, so that its worst case is nothing, and rounded: by
    t0 + t1 s, no coefficient of t0 and t1 above 1/2, and t1 independent of s."""
    n = parameters.ring_degree
    if parameters.special:
        worst = n * ERROR_LARGEST * (2 * n + 1) / parameters.special
        return worst + n / sqrt(8) + n / 2 * _in_slots(parameters, SECRET_VARIANCE, MOST_CIPHERTEXTS)
    secret = 2 * _in_slots(parameters, SECRET_VARIANCE, 4) ** 2  # both parts
    error = 2 * _in_slots(parameters, ERROR_VARIANCE, 4) ** 2
    variance = ERROR_VARIANCE * (1 + secret) + SECRET_VARIANCE * error
    return _in_slots(parameters, variance, MOST_CIPHERTEXTS)


def _largest_public_noise(parameters: HeParameters) -> int:
    """Of BGV, in the worst case: t (e0 + e1 s - e u), with a special prime divided by it and corrected, in both
    polynomials, by what makes that exact modulo t: less than t a coefficient."""
    n = parameters.ring_degree
    noise = parameters.plain * ERROR_LARGEST * (2 * n + 1)
    return noise // parameters.special + 1 + parameters.plain * (n + 1) if parameters.special else noise


def _rescaling(parameters: HeParameters) -> float:
    """The same of what rescaling rounds off: r0 + r1 s. Each coefficient of r0 is at most 1/2 (Cauchy-Schwarz). Key
    switching leaves the second polynomial uniform, and so r1, between -1/2 and 1/2: sub-Gaussian with its variance, as
    is the ternary secret, whose slots are no larger than sqrt 2 times their parts, but with probability 2^-42."""
    secret = sqrt(2) * _in_slots(parameters, SECRET_VARIANCE, 4)
    return parameters.ring_degree / sqrt(8) + secret * _in_slots(parameters, 1 / 12, 2 * MOST_CIPHERTEXTS)


def _in_slots(parameters: HeParameters, variance: float, ciphertexts: int) -> float:
    """Most that a part of a polynomial is in any slot of so many, but with probability 2^-40, where coefficients are
    sub-Gaussian: the squared weights of a slot add up to N / 2, and a union bound does the rest."""
    n = parameters.ring_degree
    events = log(4 * n * ciphertexts) + FAILURE_BITS * log(2)
    return sqrt(2 * variance * n / 2 * events)


def _depth(parameters: HeParameters, left: int, right: int) -> int:
    products = max(left, right) + 1
    if products > parameters.products:
        raise ParametersRefused(
            f"{products} products of encrypted values one after the other, and {parameters.name} has room for "
            f"{parameters.products}",
            hint="Decrypt in between, or use a set whose name has 'product'",
        )
    return products


def _switchable(parameters: HeParameters) -> None:
    if not parameters.special:
        raise ParametersRefused(
            f"{parameters.name} has no room for adding the slots of a ciphertext to each other",
            hint="Use a set whose name has 'product'",
        )
