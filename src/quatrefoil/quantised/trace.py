"""A batch put through an integer graph, with the exact sums that a proof needs; at the speed of matrix products.

Sums below 2^24 are made in 32-bit floating point, the others in 64 bits: exact in whatever order they are added.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from quatrefoil.errors import CallerError
from quatrefoil.quantised.blas import threads_for
from quatrefoil.quantised.float_model import Floats
from quatrefoil.quantised.graph import IntegerGraph
from quatrefoil.quantised.program import Entrance
from quatrefoil.quantised.steps import ArgMax, AveragePool, Conv, Dense, Flatten, MaxPool, Requantise, Step, Sum

Values = NDArray[np.int32]

_WINDOWS = 1 << 24
"""Entries of windows that are copied out of images at once, 64 MiB in 32 bits."""


@dataclass(frozen=True, eq=False)
class Trace:
    """``outputs`` (B, F) of the last step, (B, 1) places of an ArgMax. ``sums``: of each Dense and Conv but one that is
    the last step, in order of steps, (B, F) with the bias and without half of a rounding step. F counts the entries
    row-major."""

    outputs: Values
    sums: tuple[Values, ...]


def enter(graph: IntegerGraph, samples: Floats) -> Values:
    """The input's integers (B, F) of samples (B, ...) in float32."""
    given = graph.input
    return Entrance(given.shape, given.low, given.high).enter(samples, given.exponent)


def trace_of(graph: IntegerGraph, inputs: NDArray[Any]) -> Trace:
    """``inputs`` (B, F), integers of the input's range. ``CallerError`` for others."""
    given = np.asarray(inputs)
    entry = graph.input
    if given.dtype.kind not in "iu" or given.ndim != 2 or given.shape[1] != int(np.prod(entry.shape)) or not len(given):
        raise CallerError(
            f"inputs {given.dtype} {given.shape} for {entry.shape}", hint="Give integers, one input a row"
        )
    if given.min() < entry.low or given.max() > entry.high:
        raise CallerError(
            f"inputs from {given.min()} to {given.max()}, outside {entry.low} .. {entry.high}",
            hint="Round and clip them as the model does",
        )
    with threads_for(len(given) * graph.products):
        return _computed(graph, given.astype(np.int32, copy=False).reshape(len(given), *entry.shape))


def _computed(graph: IntegerGraph, inputs: Values) -> Trace:
    values: list[Values] = [inputs]
    sums: list[Values] = []
    for number, step in enumerate(graph.steps):
        taken = [values[source] for source in step.sources]
        if isinstance(step, ArgMax):
            values.append(_places(step, taken[0]))
            continue
        total = _total(step, taken, np.float32 if graph.is_single(number) else np.float64)
        rule: Requantise | None = getattr(step, "requantise", None)
        if isinstance(step, Dense | Conv) and (rule is not None or number + 1 < len(graph.steps)):
            sums.append(_rows(total.astype(np.int32)))
        values.append(total.astype(np.int32) if rule is None else _rounded(total, rule))
    return Trace(_rows(values[-1]), tuple(sums))


def _rows(array: Values) -> Values:
    return np.ascontiguousarray(array.reshape(len(array), -1))


def _total(step: Step, given: list[Values], dtype: type) -> NDArray[Any]:
    if isinstance(step, Dense):
        return _whole(given[0].astype(dtype) @ step.weights.T.astype(dtype) + step.bias.astype(dtype))
    if isinstance(step, Conv):
        return _convolved(step, given[0], dtype)
    if isinstance(step, Sum):
        first, second = (value.astype(np.int64) << shift for value, shift in zip(given, step.left_shifts, strict=True))
        return first + second
    if isinstance(step, AveragePool):
        return step.multiplier * _pooled(given[0], step.kernel, step.strides, np.sum, dtype=np.int64)
    if isinstance(step, MaxPool):
        # Every window has a place in the image: what stands outside is never the largest.
        padded = _padded(given[0], step.pads, int(np.iinfo(np.int32).min))
        return _pooled(padded, step.kernel, step.strides, np.max)
    assert isinstance(step, Flatten)
    return _rows(given[0])


def _places(step: ArgMax, given: Values) -> Values:
    """Of the largest of each row."""
    places = given.shape[1] - 1 - given[:, ::-1].argmax(axis=1) if step.last else given.argmax(axis=1)
    return np.asarray(places, np.int32)


def _convolved(step: Conv, images: Values, dtype: type) -> NDArray[Any]:
    """As one matrix product over all windows, of as many images at once as their windows leave room for."""
    channels, _, *kernel = step.weights.shape
    matrix: NDArray[Any] = step.weights.reshape(channels, -1).T.astype(dtype)
    bias: NDArray[Any] = step.bias.astype(dtype)
    padded = _padded(images, step.pads, 0)
    windows = sliding_window_view(padded, tuple(kernel), axis=(2, 3))[:, :, :: step.strides[0], :: step.strides[1]]
    batch, _, high, wide = windows.shape[:4]
    at_once = max(1, _WINDOWS // (high * wide * len(matrix)))
    found = np.empty((batch, channels, high, wide), np.int64)
    for start in range(0, batch, at_once):
        rows: NDArray[Any] = (
            windows[start : start + at_once].transpose(0, 2, 3, 1, 4, 5).astype(dtype).reshape(-1, len(matrix))
        )
        product = _whole(rows @ matrix + bias).reshape(-1, high, wide, channels)
        found[start : start + at_once] = product.transpose(0, 3, 1, 2)
    return found


def _padded(images: Values, pads: tuple[int, int, int, int], filled: int) -> Values:
    top, left, bottom, right = pads
    return np.pad(images, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=filled)


def _pooled(
    images: Values, kernel: tuple[int, int], strides: tuple[int, int], reduced: Callable[..., Any], **options: Any
) -> NDArray[Any]:
    windows = sliding_window_view(images, kernel, axis=(2, 3))[:, :, :: strides[0], :: strides[1]]
    return np.asarray(reduced(windows, axis=(4, 5), **options))


def _whole(sums: NDArray[Any]) -> NDArray[np.int64]:
    return sums.astype(np.int64)


def _rounded(total: NDArray[Any], rule: Requantise) -> Values:
    shifted: NDArray[np.int64] = (total.astype(np.int64) + rule.half) >> rule.shift
    return np.clip(shifted, rule.low, rule.high).astype(np.int32)


__all__ = ["Trace", "Values", "enter", "trace_of"]
