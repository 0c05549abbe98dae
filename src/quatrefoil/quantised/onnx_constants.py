"""What of an ONNX graph is known before any input comes: its constants, and shapes that begin with the batch.

Exporters store a bias once more in another form, and flatten by a shape for which they ask how many samples a value
has: ``x.view(x.size(0), -1)`` of PyTorch is Shape, Gather, Unsqueeze, Concat and Reshape. None of that touches a value
of the network, so that it is followed here and makes no step.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from enum import Enum
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]

BATCH = 0
"""In a shape that a Reshape takes: as many as there are samples. It copies the first size where it finds a 0."""


class _About(Enum):
    """A tensor that says of a value: all its sizes; or how many samples it has, alone or in a vector of one."""

    SIZES = 1
    SAMPLES = 2


class Constants:
    """Of one graph, by name of the tensor. ``arrays``: what is stored in it."""

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self._arrays = dict(arrays)
        self._about: dict[str, _About] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def __getitem__(self, name: str) -> Array:
        return self._arrays[name]

    def add(self, name: str, array: Array) -> None:
        self._arrays[name] = array

    def shape(self, name: str) -> tuple[int, ...] | None:
        """What a Reshape takes, :data:`BATCH` among it; None where it is not known."""
        if name in self._shapes:
            return self._shapes[name]
        array = self._arrays.get(name)
        return None if array is None or array.ndim != 1 or not _is_whole(array) else tuple(int(one) for one in array)

    def follow(
        self, operator: str, given: Sequence[str], target: str, how: dict[str, Any], values: Collection[str]
    ) -> bool:
        """Whether a node is about constants, or about how many samples one of ``values`` has, and nothing else: what
        it gives is known then. ``how``: its attributes."""
        first, *others = given or ("",)
        more = [self._arrays[name] for name in others if name in self._arrays]
        if len(more) != len(others) or not all(map(_is_whole, more)):
            return False
        if operator == "Shape" and first in values and how in ({}, {"start": 0, "end": 1}):
            self._about[target] = _About.SAMPLES if how else _About.SIZES
        elif first in self._arrays and operator in _OF_CONSTANTS:
            found = _OF_CONSTANTS[operator](self._arrays[first], more, how)
            if found is None:
                return False
            self._arrays[target] = found
        elif first in self._about and _samples(operator, self._about[first], more):
            self._about[target] = _About.SAMPLES
        elif operator == "Concat" and self._about.get(first) is _About.SAMPLES:
            self._shapes[target] = (BATCH, *(int(size) for one in more for size in one.reshape(-1)))
        else:
            return False
        return True


def _is_whole(array: Array) -> bool:
    """As shapes, axes and places are."""
    return array.dtype.kind in "iu"


def _samples(operator: str, about: _About, more: Sequence[Array]) -> bool:
    """Whether a node takes the first of all sizes, or leaves it what it is."""
    if about is _About.SAMPLES:
        return operator in ("Identity", "Squeeze", "Unsqueeze")
    numbers = [one.reshape(-1).tolist() for one in more]
    if operator == "Gather":
        return numbers == [[0]]
    return operator == "Slice" and numbers in ([[0], [1]], [[0], [1], [0]], [[0], [1], [0], [1]])


# ----------------------------------------------------------------------- the same numbers in another form, or None


def _identity(given: Array, more: Sequence[Array], _how: dict[str, Any]) -> Array | None:
    return None if more else given


def _transposed(given: Array, more: Sequence[Array], how: dict[str, Any]) -> Array | None:
    order = tuple(how.get("perm", range(given.ndim)[::-1]))
    return None if more or sorted(order) != list(range(given.ndim)) else given.transpose(order)


def _reshaped(given: Array, more: Sequence[Array], how: dict[str, Any]) -> Array | None:
    if len(more) != 1 or how.get("allowzero", 0):
        return None
    sizes = [int(one) for one in more[0].reshape(-1)]
    if any(size == 0 and place >= given.ndim for place, size in enumerate(sizes)):
        return None
    return _formed(given, [size or given.shape[place] for place, size in enumerate(sizes)])


def _squeezed(given: Array, more: Sequence[Array], how: dict[str, Any]) -> Array | None:
    axes = {one % max(1, given.ndim) for one in _axes(more, how)} or {
        n for n, size in enumerate(given.shape) if size == 1
    }
    return _formed(given, [size for place, size in enumerate(given.shape) if place not in axes])


def _unsqueezed(given: Array, more: Sequence[Array], how: dict[str, Any]) -> Array | None:
    axes = _axes(more, how)
    rank = given.ndim + len(axes)
    sizes = list(given.shape)
    for axis in sorted(one % rank for one in axes):
        sizes.insert(axis, 1)
    return _formed(given, sizes)


def _axes(more: Sequence[Array], how: dict[str, Any]) -> list[int]:
    """An attribute before opset 13, an input since."""
    return [int(one) for one in (more[0].reshape(-1) if more else how.get("axes", ()))]


def _formed(given: Array, sizes: Sequence[int]) -> Array | None:
    try:
        return given.reshape(sizes)
    except ValueError:
        return None


_OF_CONSTANTS: dict[str, Callable[[Array, Sequence[Array], dict[str, Any]], Array | None]] = {
    "Identity": _identity,
    "Reshape": _reshaped,
    "Squeeze": _squeezed,
    "Transpose": _transposed,
    "Unsqueeze": _unsqueezed,
}


__all__ = ["BATCH", "Array", "Constants"]
