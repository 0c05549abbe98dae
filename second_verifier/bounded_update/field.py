"""The field of p elements, its quadratic extension E, and multilinear polynomials over E (docs/proofs.md, Notation).

An element of F_p is an int in [0, p). An element of E = F_p[X] / (X^2 - 7) is an `Ext`. A vector of 2^l entries is also
a multilinear polynomial in l variables; variable 0 is the most significant bit of the index.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

P: Final = 2**64 - 2**32 + 1
GENERATOR: Final = 7  # of the multiplicative group of F_p, hence no square
HALF: Final = (P + 1) // 2


class Ext:
    """a + b X with X^2 = 7; both parts reduced."""

    __slots__ = ("a", "b")

    def __init__(self, a: int, b: int = 0) -> None:
        self.a = a
        self.b = b

    def __add__(self, other: Ext) -> Ext:
        return Ext((self.a + other.a) % P, (self.b + other.b) % P)

    def __sub__(self, other: Ext) -> Ext:
        return Ext((self.a - other.a) % P, (self.b - other.b) % P)

    def __mul__(self, other: Ext) -> Ext:
        a, b, c, d = self.a, self.b, other.a, other.b
        return Ext((a * c + 7 * b * d) % P, (a * d + b * c) % P)

    def __neg__(self) -> Ext:
        return Ext(-self.a % P, -self.b % P)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ext) and self.a == other.a and self.b == other.b

    def __hash__(self) -> int:
        return hash((self.a, self.b))

    def __repr__(self) -> str:
        return f"Ext({self.a}, {self.b})"

    def scale(self, k: int) -> Ext:
        """The product with an element of F_p, or with any integer."""
        return Ext(self.a * k % P, self.b * k % P)

    def inverse(self) -> Ext:
        if not (self.a or self.b):
            raise ZeroDivisionError("zero has no inverse")
        norm = pow(self.a * self.a - 7 * self.b * self.b, -1, P)
        return Ext(self.a * norm % P, -self.b * norm % P)

    def to_bytes(self) -> bytes:
        return self.a.to_bytes(8, "little") + self.b.to_bytes(8, "little")


ZERO: Final = Ext(0)
ONE: Final = Ext(1)
X: Final = Ext(0, 1)


def base(k: int) -> Ext:
    """An integer as an element of E."""
    return Ext(k % P)


def total(values: Iterable[Ext]) -> Ext:
    a = b = 0
    for value in values:
        a += value.a
        b += value.b
    return Ext(a % P, b % P)


def inner(left: Sequence[Ext], right: Sequence[Ext]) -> Ext:
    """sum left_i right_i over two vectors of one length."""
    a = b = 0
    for u, v in zip(left, right, strict=True):
        a += u.a * v.a + 7 * u.b * v.b
        b += u.a * v.b + u.b * v.a
    return Ext(a % P, b % P)


def inner_base(left: Sequence[Ext], right: Sequence[int]) -> Ext:
    """The same where the right side is over F_p."""
    a = b = 0
    for u, k in zip(left, right, strict=True):
        a += u.a * k
        b += u.b * k
    return Ext(a % P, b % P)


def product(values: Iterable[Ext]) -> Ext:
    result = ONE
    for value in values:
        result = result * value
    return result


def powers(x: Ext, count: int) -> list[Ext]:
    """x^0 .. x^(count-1)."""
    result = []
    power = ONE
    for _ in range(count):
        result.append(power)
        power = power * x
    return result


def eq_vector(point: Sequence[Ext]) -> list[Ext]:
    """eq(point, x) for every x of the cube, by index."""
    vector = [ONE]
    for coordinate in point:
        vector = [half for value in vector for high in (value * coordinate,) for half in (value - high, high)]
    return vector


def eq(left: Sequence[Ext], right: Sequence[Ext]) -> Ext:
    """prod_i (l_i r_i + (1 - l_i) (1 - r_i))."""
    return product(u * v + (ONE - u) * (ONE - v) for u, v in zip(left, right, strict=True))


def eq_index(point: Sequence[Ext], index: int) -> Ext:
    """eq(point, x) for the one x with that index."""
    if not 0 <= index < 1 << len(point):
        raise IndexError("no such corner of the cube")
    bits = [index >> (len(point) - 1 - i) & 1 for i in range(len(point))]
    return product(c if bit else ONE - c for c, bit in zip(point, bits, strict=True))


def bind(vector: Sequence[Ext], coordinate: Ext) -> list[Ext]:
    """The vector with its first variable set."""
    half = len(vector) // 2
    return [low + coordinate * (high - low) for low, high in zip(vector[:half], vector[half:], strict=True)]


def evaluate(vector: Sequence[Ext], point: Sequence[Ext]) -> Ext:
    """f~(point)."""
    if len(vector) != 1 << len(point):
        raise ValueError("a vector and a point of different dimensions")
    for coordinate in point:
        vector = bind(vector, coordinate)
    return vector[0]


def from_index(point: Sequence[Ext], start: int) -> Ext:
    """ge(point, start): the vector that is 1 from index `start` on, 0 <= start <= 2^l, at a point."""
    size = 1 << len(point)
    if not 0 <= start <= size:
        raise IndexError("the start is outside of the vector")
    if start == size:
        return ZERO
    if not point:
        return ONE
    rest = from_index(point[1:], start % (size // 2))
    if start >= size // 2:
        return point[0] * rest
    return point[0] + (ONE - point[0]) * rest
