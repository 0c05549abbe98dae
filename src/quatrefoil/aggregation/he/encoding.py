"""Values as SEAL's plaintexts: what both halves of a key encrypt."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quatrefoil.aggregation.he.context import Context
from quatrefoil.aggregation.he.parameters import HeParameters
from quatrefoil.errors import CallerError


def encoded(context: Context, values: NDArray[np.float64] | NDArray[np.int64]) -> Any:
    """At most ``slots`` values, of at most 1 (CKKS) or half the plain modulus (BGV); ``CallerError`` otherwise."""
    p = context.parameters
    if values.ndim != 1 or not 1 <= len(values) <= p.slots:
        raise CallerError(f"{values.shape} values do not fill 1 to {p.slots} slots", hint="Split them")
    if p.scheme == "ckks":
        numbers = np.asarray(values, dtype=np.float64)
        if not (np.abs(numbers) <= 1).all():
            raise CallerError("a value is not a number of at most 1", hint="Divide the values by their bound")
        scale = 2.0**p.value_bits
        if p.paired:
            return context.encoder.encode_complex(_pairs(numbers, p), scale)
        return context.encoder.encode(numbers, scale)
    if values.dtype.kind not in "iu" or (values.size and _largest(values) > (p.plain - 1) // 2):
        raise CallerError(f"a value is no integer of at most {(p.plain - 1) // 2}", hint="Scale the values")
    return context.encoder.encode(values.astype(np.int64))


def _pairs(values: NDArray[np.float64], parameters: HeParameters) -> NDArray[np.complex128]:
    """The first half of the values as real parts, the second as imaginary ones, in their slots."""
    half = parameters.ring_degree // 2
    filled = np.zeros(2 * half)
    filled[: len(values)] = values
    return filled[:half] + 1j * filled[half:]


def _largest(values: NDArray[Any]) -> int:
    return max(abs(int(values.min())), abs(int(values.max())))
