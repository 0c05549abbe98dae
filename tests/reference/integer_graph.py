"""An integer graph computed the slow way: Python's integers, one sum at a time, from docs/quantised-models.md alone."""

from __future__ import annotations

from fractions import Fraction

import numpy as np


def answers(graph, samples):
    """The output's integers for each sample, as nested lists."""
    return [answer(graph, sample) for sample in np.asarray(samples, np.float32)]


def answer(graph, sample):
    values = [np.array([entry(graph.input, x) for x in sample.reshape(-1)], dtype=object).reshape(sample.shape)]
    for step in graph.steps:
        values.append(COMPUTED[type(step).__name__](step, [values[source] for source in step.sources]))
    return values[-1]


def entry(given, x):
    """round(x 2^e), halves to the even neighbour, clipped; NaN is 0."""
    if np.isnan(x):
        return min(max(0, given.low), given.high)
    if np.isinf(x):
        return given.high if x > 0 else given.low
    return min(max(round(Fraction(float(x)) * Fraction(2) ** given.exponent), given.low), given.high)


def rounded(rule, total):
    if rule is None:
        return total
    if rule.shift:
        total = (total + 2 ** (rule.shift - 1)) // 2**rule.shift
    return min(max(total, rule.low), rule.high)


def dense(step, given):
    (x,) = given
    rows = range(len(step.weights))
    totals = [sum(int(w) * x[i] for i, w in enumerate(step.weights[o])) + int(step.bias[o]) for o in rows]
    return np.array([rounded(step.requantise, total) for total in totals], dtype=object)


def conv(step, given):
    (x,) = given
    top, left, bottom, right = step.pads
    padded = np.zeros((x.shape[0], x.shape[1] + top + bottom, x.shape[2] + left + right), dtype=object)
    padded[:, top : top + x.shape[1], left : left + x.shape[2]] = x
    out, channels, high, wide = step.weights.shape
    rows, columns = ((padded.shape[1] - high) // step.strides[0] + 1, (padded.shape[2] - wide) // step.strides[1] + 1)
    found = np.zeros((out, rows, columns), dtype=object)
    for o, r, c in np.ndindex(out, rows, columns):
        total = int(step.bias[o])
        for i, a, b in np.ndindex(channels, high, wide):
            total += int(step.weights[o, i, a, b]) * padded[i, r * step.strides[0] + a, c * step.strides[1] + b]
        found[o, r, c] = rounded(step.requantise, total)
    return found


def windows(step, x, reduced, pads=(0, 0, 0, 0)):
    """Each window's values that are in the image, reduced to one."""
    top, left, bottom, right = pads
    rows = (x.shape[1] + top + bottom - step.kernel[0]) // step.strides[0] + 1
    columns = (x.shape[2] + left + right - step.kernel[1]) // step.strides[1] + 1
    found = np.zeros((x.shape[0], rows, columns), dtype=object)
    for i, r, c in np.ndindex(*found.shape):
        first, second = r * step.strides[0] - top, c * step.strides[1] - left
        inside = x[i, max(first, 0) : first + step.kernel[0], max(second, 0) : second + step.kernel[1]]
        found[i, r, c] = reduced(inside.reshape(-1).tolist())
    return found


def average(step, given):
    return windows(step, given[0], lambda window: rounded(step.requantise, step.multiplier * sum(window)))


def added(step, given):
    pairs = zip(given[0].reshape(-1), given[1].reshape(-1), strict=True)
    a, b = step.left_shifts
    flat = [rounded(step.requantise, x * 2**a + y * 2**b) for x, y in pairs]
    return np.array(flat, dtype=object).reshape(given[0].shape)


def place(step, values):
    """Of the largest: the first, or the last one."""
    places = [k for k, value in enumerate(values) if all(value >= other for other in values)]
    found = places[-1 if step.last else 0]
    return [found] if step.keep_dims else found


COMPUTED = {
    "Dense": dense,
    "Conv": conv,
    "Sum": added,
    "AveragePool": average,
    "MaxPool": lambda step, given: windows(step, given[0], max, step.pads),
    "Flatten": lambda step, given: given[0].reshape(-1),
    "ArgMax": lambda step, given: place(step, list(given[0])),
}
