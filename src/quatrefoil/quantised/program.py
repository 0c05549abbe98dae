"""What is public of an integer graph, and its weights, as the bytes that proofs are about.

docs/inference-proofs.md specifies both.
"""

from __future__ import annotations

import hashlib
import math
import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quatrefoil.errors import CallerError, ModelRefused
from quatrefoil.quantised.float_model import Floats
from quatrefoil.quantised.graph import IntegerGraph
from quatrefoil.quantised.steps import (
    ArgMax,
    AveragePool,
    Conv,
    Dense,
    Flatten,
    Integers,
    MaxPool,
    Requantise,
    Shape,
    Step,
    Sum,
    Value,
)

MAGIC = b"QFPROG01"
KINDS: dict[type, int] = {Dense: 0, Conv: 1, Sum: 2, AveragePool: 3, MaxPool: 4, Flatten: 5, ArgMax: 6}

LARGEST_SHIFT = 16
LARGEST_Q_BITS = 15
LARGEST_DIGIT = 16
SINGLE_DIGIT = 12
"""Bits of what an ArgMax compares that are looked up at once: a table of them is small beside two columns."""

LARGEST_FEATURES = 1 << 24
LARGEST_SUM = 1 << 50
"""Every sum of products stays below this, whatever weights of its range a prover commits to."""

LARGEST_WORK = 1 << 36
"""Products of all Convs and AveragePools, which a verifier goes through."""

LARGEST_TAKEN = 1 << 27
"""Entries of all sources of all steps, of which a verifier holds a weight each."""

_ENTERED_AT_ONCE = 1 << 16
"""Numbers that are rounded together: they stay in a cache."""

_FEWER = "Quantise with fewer bits a weight or a value, on samples that are more like what will come"


@dataclass(frozen=True)
class Program:
    """``content``: the program's bytes. ``inputs``, ``outputs``: entries of one input and of one output."""

    content: bytes
    inputs: int
    outputs: int

    @property
    def digest(self) -> bytes:
        """SHA-256 of the content."""
        return hashlib.sha256(self.content).digest()


@dataclass(frozen=True)
class Entrance:
    """What a program takes: the sizes of one input, and the range of its integers."""

    shape: Shape
    low: int
    high: int

    @property
    def size(self) -> int:
        """Integers of one input."""
        return math.prod(self.shape)

    def enter(self, samples: Floats, exponent: int) -> NDArray[np.int32]:
        """The integers (B, F) of samples (B, ...) in float32, times 2^exponent: what is no number is 0, halves go to
        the even neighbour, and the range clips."""
        given = np.asarray(samples, np.float32)
        if given.shape[1:] != self.shape or not len(given):
            raise CallerError(
                f"samples of {given.shape} for inputs of {self.shape}", hint="Give the model's inputs, one a row"
            )
        found = np.empty((len(given), self.size), np.int32)
        rows = given.reshape(len(given), -1)
        at_once = max(1, _ENTERED_AT_ONCE // self.size)
        for start in range(0, len(rows), at_once):
            scaled = _scaled(rows[start : start + at_once], exponent)
            np.rint(scaled, out=scaled)
            np.clip(scaled, self.low, self.high, out=scaled)
            strange = np.isnan(scaled)
            if strange.any():
                scaled[strange] = 0
            found[start : start + at_once] = scaled
        return found


def _scaled(values: NDArray[np.float32], exponent: int) -> NDArray[np.float32]:
    """Times 2^exponent, to the bit wherever a whole number comes of it. A float32 that is given a power of two in its
    own range only ever loses bits below a half, or becomes infinite."""
    with np.errstate(over="ignore", under="ignore"):
        if -126 <= exponent <= 127:
            return values * np.float32(2.0**exponent)
        return np.ldexp(values, exponent)


def entrance_of(content: bytes) -> Entrance:
    """What the program in ``content`` takes; the rest of it is for the kernel to read. ``ModelRefused`` where it does
    not begin like one."""
    try:
        (rank,) = struct.unpack_from("<I", content, len(MAGIC))
        if not content.startswith(MAGIC) or rank not in (1, 3):
            raise ValueError
        *shape, low, high = struct.unpack_from(f"<{rank}I2i", content, len(MAGIC) + 4)
        if min(shape) < 1 or not low <= 0 <= high:
            raise ValueError
    except (struct.error, ValueError):
        raise ModelRefused("the bytes are no program", hint="Commit to the model again") from None
    return Entrance(tuple(shape), low, high)


def program_of(graph: IntegerGraph) -> Program:
    """The program of a graph: everything but its weights and biases, of which it tells the largest magnitude and the
    range of each step's sums. ``ModelRefused`` names the step that no proof is about, with the numbers."""
    steps, values = graph.steps, graph.values
    compares = isinstance(steps[-1], ArgMax)
    if compares and steps[-1].sources != (len(steps) - 1,):
        raise ModelRefused("the largest is taken of something else than the last step", hint="Quantise the model again")
    for value in values[:-1] if compares else values:
        if len(value.shape) not in (1, 3) or features(value) > LARGEST_FEATURES:
            raise ModelRefused(
                f"a value of sizes {value.shape}, of {features(value):,} entries",
                hint=f"Proofs are about vectors and images of up to {LARGEST_FEATURES:,} entries",
            )
    if not any(isinstance(step, Dense | Conv) for step in steps):
        raise ModelRefused("the model has no weights: there is nothing to commit to", hint="Prove a model that learned")
    work = sum(_work(step, values[number + 1]) for number, step in enumerate(steps))
    if work > LARGEST_WORK:
        raise ModelRefused(
            f"the model's convolutions and pools have {work:,} products an inference, over {LARGEST_WORK:,}",
            hint="Prove a smaller model: who checks its proofs goes through all of them",
        )
    taken = sum(features(values[source]) for step in steps for source in step.sources)
    if taken > LARGEST_TAKEN:
        raise ModelRefused(
            f"the model's steps take {taken:,} entries an inference, over {LARGEST_TAKEN:,}",
            hint="Prove a smaller model: who checks its proofs holds something for each of them",
        )
    largest = max(1, *(_magnitude(step.weights) for step in steps if isinstance(step, Dense | Conv)))
    entry, shape = graph.input, graph.input.shape
    header = struct.pack(f"<I{len(shape)}I2i2I", len(shape), *shape, entry.low, entry.high, largest, len(steps))
    described = b"".join(
        _comparison(step, graph)
        if isinstance(step, ArgMax)
        else _step(step, [values[source] for source in step.sources], largest)
        for step in steps
    )
    content = MAGIC + header + described
    return Program(content, features(values[0]), features(values[-1]))


def weights_of(graph: IntegerGraph) -> bytes:
    """Of each Dense and Conv in order of steps: its weights, row-major, then its biases; i32, little endian."""
    parts: list[bytes] = []
    for step in graph.steps:
        if isinstance(step, Dense | Conv):
            for name, array in (("weights", step.weights), ("biases", step.bias)):
                if _magnitude(array) >= 1 << 31:
                    raise ModelRefused(f"{name} of {step.name!r} reach {_magnitude(array)}, over 32 bits", hint=_FEWER)
                parts.append(np.ascontiguousarray(array, "<i4").tobytes())
    return b"".join(parts)


def features(value: Value) -> int:
    """Entries of a value."""
    return int(np.prod(value.shape, dtype=object))


def _step(step: Step, given: list[Value], largest: int) -> bytes:
    fields = struct.pack(f"<{1 + len(step.sources)}I", KINDS[type(step)], *step.sources)
    if isinstance(step, Dense):
        _fits(step, step.weights.shape[1], largest, given)
        return fields + struct.pack("<I", len(step.weights)) + _rounding(step, step.requantise, _sums(step, given[0]))
    if isinstance(step, Conv):
        _fits(step, step.weights[0].size, largest, given)
        kernel = (len(step.weights), *step.weights.shape[2:], *step.strides, *step.pads)
        return fields + struct.pack("<9I", *kernel) + _rounding(step, step.requantise, _sums(step, given[0]))
    if isinstance(step, Sum):
        _fits(step, 2, 1 << max(step.left_shifts), given)
        pairs = [
            (value.low << shift, value.high << shift) for value, shift in zip(given, step.left_shifts, strict=True)
        ]
        reach = (sum(low for low, _ in pairs), sum(high for _, high in pairs))
        return fields + struct.pack("<2I", *step.left_shifts) + _rounding(step, step.requantise, reach)
    if isinstance(step, AveragePool):
        places = step.kernel[0] * step.kernel[1]
        _fits(step, places, step.multiplier, given)
        reach = (places * step.multiplier * given[0].low, places * step.multiplier * given[0].high)
        window = struct.pack("<5I", *step.kernel, *step.strides, step.multiplier)
        return fields + window + _rounding(step, step.requantise, reach)
    if isinstance(step, MaxPool):
        return fields + struct.pack("<8I", *step.kernel, *step.strides, *step.pads)
    assert isinstance(step, Flatten)
    return fields


def _comparison(step: ArgMax, graph: IntegerGraph) -> bytes:
    """An ArgMax, with the bits of what it compares: all at once where that is a small table, else in two halves."""
    (source,) = step.sources
    given = graph.values[source]
    before = graph.steps[source - 1] if source else None
    if isinstance(before, Dense) and before.requantise is None:
        # Of sums no more is told than how many bits they have.
        low, high = _sums(before, graph.values[before.sources[0]])
        bits = 1 + max(high, ~low, 0).bit_length()
    else:
        bits = max(1, (given.high - given.low).bit_length())
    if bits > 2 * LARGEST_DIGIT:
        raise ModelRefused(
            f"{step.name!r} takes the largest of sums of {bits} bits; proofs are about up to {2 * LARGEST_DIGIT}",
            hint=_FEWER,
        )
    shift = 0 if bits <= SINGLE_DIGIT else bits // 2
    return struct.pack("<5I", KINDS[ArgMax], source, step.last, shift, bits - shift)


def _work(step: Step, found: Value) -> int:
    """Products of a Conv or an AveragePool."""
    if isinstance(step, Conv):
        return features(found) * math.prod(step.weights.shape[1:])
    return features(found) * math.prod(step.kernel) if isinstance(step, AveragePool) else 0


def _fits(step: Step, products: int, weight: int, given: list[Value]) -> None:
    """Products of a sum times the largest weight times the largest value, as a program is held to."""
    most = products * weight * max(value.magnitude for value in given)
    if most >= LARGEST_SUM:
        raise ModelRefused(
            f"sums of {step.name!r} may reach {most:,}, with {products:,} products, weights of {weight:,}; proofs are "
            f"about sums below {LARGEST_SUM:,}",
            hint=_FEWER,
        )
    if isinstance(step, Dense | Conv) and given[0].shape and features(given[0]) < 2:
        raise ModelRefused(f"{step.name!r} takes a single value", hint="Proofs are about layers of two values or more")


def _sums(step: Dense | Conv, given: Value) -> tuple[int, int]:
    """The least and the largest sum that any input can lead to; at an image's rim fewer products are added, and every
    product's range holds 0."""
    rows = step.weights.reshape(len(step.weights), -1)
    up, down = np.maximum(rows, 0).sum(axis=1), np.minimum(rows, 0).sum(axis=1)
    pairs = [(int(u), int(d), int(b)) for u, d, b in zip(up, down, step.bias, strict=True)]
    return (
        min(u * given.low + d * given.high + b for u, d, b in pairs),
        max(u * given.high + d * given.low + b for u, d, b in pairs),
    )


def _rounding(step: Step, rule: Requantise | None, reach: tuple[int, int]) -> bytes:
    if rule is None:
        return struct.pack("<I", 0)
    if rule.shift > LARGEST_SHIFT:
        raise ModelRefused(
            f"sums of {step.name!r} are shortened by {rule.shift} bits; proofs are about up to {LARGEST_SHIFT}",
            hint="Quantise with fewer bits a weight",
        )
    low, high = ((total + rule.half) >> rule.shift for total in reach)
    bits = max(1, max(0, high).bit_length(), max(0, -low - 1).bit_length())
    # Sums travel as 32 bits. Beside the widest range and shift, half of a rounding step could lead out of them.
    if bits > LARGEST_Q_BITS or not -(1 << 31) <= reach[0] <= reach[1] < 1 << 31:
        raise ModelRefused(
            f"sums of {step.name!r} are {reach[0]:,} .. {reach[1]:,}, and {low:,} .. {high:,} when {rule.shift} bits "
            f"are off; proofs are about {-1 << LARGEST_Q_BITS:,} .. {(1 << LARGEST_Q_BITS) - 1:,}",
            hint=_FEWER,
        )
    return struct.pack("<2I2iI", 1, rule.shift, rule.low, rule.high, bits)


def _magnitude(array: Integers) -> int:
    return int(np.abs(array).max(initial=0))


__all__ = ["Entrance", "Program", "entrance_of", "features", "program_of", "weights_of"]
