"""The field hash: a hiding commitment to one sample's integers that a proof over F_p opens by one sum.

``docs/field-hash.md`` specifies it and says what it rests on. Unaudited.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from quatrefoil import _core
from quatrefoil.errors import CallerError, ParametersRefused

ELEMENT_BYTES = 16
"""Of the extension E of ``docs/proofs.md``."""


class FieldHash:
    """h = A (x || rho) mod p for inputs x of one size in one range. Building one expands the matrix: keep it.

    Binding as long as short integers that A maps to zero are hard to find; hiding for rho that is drawn uniformly, and
    used once. May be used from several threads.
    """

    def __init__(self, size: int, low: int, high: int) -> None:
        """``size``: 1 to 2^20 integers from ``low`` to ``high``, a range of 16 to 2^16; or ``ParametersRefused``."""
        try:
            self._core = _core.FieldHash(size, low, high)
        except (ValueError, OverflowError) as error:
            raise ParametersRefused(f"no field hash: {error}", hint="Quantise the model with other bits") from None
        self.size, self.low, self.high = size, low, high

    @property
    def rows(self) -> int:
        """Elements of a hash."""
        return self._core.rows

    @property
    def rho_entries(self) -> int:
        """Integers of rho, in the range of the inputs."""
        return self._core.rho_entries

    @property
    def rho_bytes(self) -> int:
        """Uniform bytes that rho is read from."""
        return self._core.rho_bytes

    def rho(self, randomness: bytes) -> NDArray[np.int32]:
        """The entries of rho that ``rho_bytes`` bytes stand for."""
        self._require(randomness)
        return self._core.rho(randomness)

    def hash(self, inputs: NDArray[np.integer], randomness: bytes) -> bytes:
        """h of one sample: ``rows`` words of eight bytes, little endian. ``inputs``: in any shape, the last axis
        fastest. ``randomness``: ``rho_bytes`` bytes that nobody else knows and no other hash has."""
        self._require(randomness)
        given = np.asarray(inputs)
        if given.dtype.kind not in "iu" or given.size != self.size:
            raise CallerError(
                f"{given.size} inputs of {given.dtype}, not {self.size} integers", hint="Give one sample's integers"
            )
        wide = given.reshape(-1).astype(np.int64)
        # What does not fit in 32 bits is in no range either, and must not come back into one when it is cut.
        cut = np.ascontiguousarray(np.clip(wide, -(1 << 31), (1 << 31) - 1), np.int32)
        try:
            return self._core.hash(cut, randomness)
        except _core.EntryRefused:
            raise CallerError(
                f"an input is outside {self.low} to {self.high}", hint="Give what the graph's input rule makes of it"
            ) from None

    def row_combination(self, point: bytes) -> bytes:
        """A^T eq(r), an element of E for each input and then for each entry of rho. ``point``: the elements of r, as
        many as ``rows`` needs bits; the rows beyond count as zero."""
        try:
            return self._core.row_combination(point)
        except ValueError as error:
            raise CallerError(f"no point for this hash: {error}", hint="Give elements below p, 16 bytes each") from None

    def _require(self, randomness: bytes) -> None:
        if len(randomness) != self.rho_bytes:
            raise CallerError(
                f"{len(randomness)} bytes for rho, not {self.rho_bytes}", hint="Draw rho_bytes bytes for each hash"
            )


@lru_cache(maxsize=4)
def field_hash(size: int, low: int, high: int) -> FieldHash:
    """The hash for this size and range, the last few of which are kept."""
    return FieldHash(size, low, high)


__all__ = ["ELEMENT_BYTES", "FieldHash", "field_hash"]
