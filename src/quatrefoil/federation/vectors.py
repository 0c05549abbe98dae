"""A model as a list of arrays, as one vector, and as bytes with a digest.

Everything that leaves a party is a vector and a :class:`Layout`; user code only ever sees the list of arrays.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from quatrefoil.contracts import FloatVector
from quatrefoil.errors import MessageRefused, UpdateRefused
from quatrefoil.wire import WireObject

Arrays = list[NDArray[np.floating]]

_DTYPES: dict[str, np.dtype[Any]] = {"<f4": np.dtype("<f4"), "<f8": np.dtype("<f8")}
LARGEST_VALUES = 1 << 34
MOST_DIMENSIONS = 32
MODEL_DOMAIN = b"quatrefoil/model/v1\x00"


@dataclass(frozen=True)
class ArrayLayout(WireObject):
    """Shape and element type ("<f4" or "<f8") of one array."""

    TYPE: ClassVar[str] = "urn:quatrefoil:array-layout"
    shape: tuple[int, ...]
    dtype: str

    def __post_init__(self) -> None:
        if self.dtype not in _DTYPES:
            raise MessageRefused(f"array type {self.dtype!r} is unknown", hint="Use float32 or float64")
        if len(self.shape) > MOST_DIMENSIONS:
            raise MessageRefused(
                f"an array of {len(self.shape)} dimensions is not supported", hint=f"At most {MOST_DIMENSIONS}"
            )
        # Every side counts, also beside a 0: NumPy makes no array whose sides multiply to more than it can address.
        if math.prod(max(1, side) for side in self.shape) > LARGEST_VALUES:
            raise MessageRefused(f"an array of sides {self.shape} is too large", hint=f"At most {LARGEST_VALUES}")


@dataclass(frozen=True)
class Layout(WireObject):
    """Shapes and types of a model's arrays, in order."""

    TYPE: ClassVar[str] = "urn:quatrefoil:layout"
    arrays: tuple[ArrayLayout, ...]

    def __post_init__(self) -> None:
        if not self.arrays:
            raise MessageRefused("a model without arrays cannot be trained", hint="Give at least one array")
        if not 0 < self.length <= LARGEST_VALUES:
            raise MessageRefused(f"a model of {self.length} values is not supported", hint=f"1 to {LARGEST_VALUES}")

    @property
    def length(self) -> int:
        """Values in all arrays together."""
        return sum(_size(array) for array in self.arrays)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Values of each array."""
        return tuple(_size(array) for array in self.arrays)

    @property
    def vector_dtype(self) -> np.dtype[Any]:
        """float32 when every array is, else float64: the type in which an update is encrypted."""
        single = all(array.dtype == "<f4" for array in self.arrays)
        return _DTYPES["<f4" if single else "<f8"]


def layout_of(arrays: Sequence[NDArray[np.floating]]) -> Layout:
    """The layout of ``arrays``, or ``UpdateRefused`` for anything but float32 and float64 arrays of some values."""
    try:
        return Layout(tuple(_array_layout(position, array) for position, array in enumerate(arrays)))
    except MessageRefused as error:
        raise UpdateRefused(error.problem, hint=error.hint) from None


def flatten(arrays: Sequence[NDArray[np.floating]], layout: Layout) -> FloatVector:
    """All values in one contiguous vector of ``layout.vector_dtype``; the arrays must have exactly that layout."""
    found = layout_of(arrays)
    if found != layout:
        raise UpdateRefused(
            f"arrays of {_describe(found)} do not have the agreed layout {_describe(layout)}",
            hint="Return the parameters in the order, shapes and types in which they were given",
        )
    return np.concatenate([np.ravel(array).astype(layout.vector_dtype, copy=False) for array in arrays])


def largest_within(bound: float, dtype: np.dtype[Any]) -> np.floating[Any]:
    """The largest value of ``dtype`` that is not above ``bound``: float32(0.2) itself is 3e-9 above 0.2."""
    nearest: np.floating[Any] = dtype.type(bound)
    return nearest if float(nearest) <= bound else np.nextafter(nearest, dtype.type(0))


def euclidean_norm(vector: FloatVector) -> float:
    """The norm in float64, whatever the type of the values."""
    return float(np.linalg.norm(vector.astype(np.float64, copy=False)))


def scaled_down(vector: FloatVector, norm: float) -> FloatVector:
    """``vector`` times the largest factor, up to rounding, with which its Euclidean norm is not above ``norm``."""
    factor = norm / euclidean_norm(vector)
    while euclidean_norm(scaled := vector * vector.dtype.type(factor)) > norm:
        factor *= 1 - 2.0**-20
    return scaled


def unflatten(vector: NDArray[np.floating], layout: Layout) -> Arrays:
    """The arrays of ``layout`` holding the values of ``vector``; fresh memory, each in its own type."""
    arrays: Arrays = []
    start = 0
    for array in layout.arrays:
        end = start + _size(array)
        arrays.append(vector[start:end].astype(_DTYPES[array.dtype]).reshape(array.shape))
        start = end
    return arrays


def encode_arrays(arrays: Sequence[NDArray[np.floating]], layout: Layout) -> bytes:
    """The values of all arrays, little-endian, in order."""
    if layout_of(arrays) != layout:
        raise UpdateRefused("arrays do not have the agreed layout", hint="Return the parameters as they were given")
    return b"".join(
        np.ascontiguousarray(a).astype(_DTYPES[k.dtype], copy=False).tobytes()
        for a, k in zip(arrays, layout.arrays, strict=True)
    )


def decode_arrays(data: bytes, layout: Layout) -> Arrays:
    """The inverse of :func:`encode_arrays`; ``MessageRefused`` when the length does not fit."""
    expected = sum(_size(array) * _DTYPES[array.dtype].itemsize for array in layout.arrays)
    if len(data) != expected:
        raise MessageRefused(
            f"a model of {len(data)} bytes arrived where {expected} were agreed", hint="Check the sender"
        )
    arrays: Arrays = []
    start = 0
    for array in layout.arrays:
        dtype = _DTYPES[array.dtype]
        arrays.append(np.frombuffer(data, dtype, _size(array), start).reshape(array.shape).copy())
        start += _size(array) * dtype.itemsize
    return arrays


def next_model(model: Arrays, mean: bytes, layout: Layout) -> Arrays:
    """``model`` plus the published mean update, computed alike by every party."""
    if len(mean) != 8 * layout.length:
        raise MessageRefused(
            f"a mean of {len(mean)} bytes arrived where {8 * layout.length} were agreed", hint="Check the aggregator"
        )
    values = np.frombuffer(mean, "<f8")
    with np.errstate(over="ignore", invalid="ignore"):
        moved = unflatten(flatten(model, layout).astype(np.float64) + values, layout)
    if not (np.isfinite(values).all() and all(np.isfinite(array).all() for array in moved)):
        raise MessageRefused(
            "the published mean, or the model that it leads to, holds values that are not finite",
            hint="Ask the aggregator's operator",
        )
    return moved


def model_digest(arrays: Sequence[NDArray[np.floating]], layout: Layout) -> bytes:
    """32 bytes that name a model: its layout and every value."""
    total = hashlib.sha256(MODEL_DOMAIN + layout.digest())
    total.update(encode_arrays(arrays, layout))
    return total.digest()


def _array_layout(position: int, array: NDArray[np.floating]) -> ArrayLayout:
    # A calculation with an array without dimensions gives a NumPy scalar: it has the same type and shape.
    if not isinstance(array, np.ndarray | np.floating) or array.dtype.newbyteorder("<").str not in _DTYPES:
        kind = array.dtype if isinstance(array, np.ndarray | np.floating) else type(array).__name__
        raise UpdateRefused(f"parameter {position} is {kind}", hint="Give NumPy arrays of float32 or float64")
    return ArrayLayout(tuple(int(n) for n in array.shape), array.dtype.newbyteorder("<").str)


def _size(array: ArrayLayout) -> int:
    return math.prod(array.shape)


def _describe(layout: Layout) -> str:
    return ", ".join(f"{'x'.join(map(str, a.shape)) or 'scalar'} {a.dtype[1:]}" for a in layout.arrays[:8])
