"""Two small models in NumPy: logistic regression, and a perceptron with one hidden layer of 16.

Both are lists of arrays, weights (out x in) and bias (out) a layer, ``tanh`` between layers and a sigmoid at the end;
so the same functions train both. No weight decay: it would only blur what the attacks measure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from quatrefoil.demo.data import Labelled
from quatrefoil.errors import CallerError

Parameters = list[NDArray[np.float64]]
Arrays = Sequence[NDArray[np.floating[Any]]]
Kind = Literal["logistic", "mlp"]

KINDS: tuple[Kind, ...] = ("logistic", "mlp")
HIDDEN = 16


def initial(kind: Kind, features: int, seed: int) -> Parameters:
    """The common start of every silo: zeros for ``logistic``; for ``mlp`` Glorot-uniform weights (2010) by ``seed``."""
    if kind == "logistic":
        return [np.zeros((1, features)), np.zeros(1)]
    if kind != "mlp":
        raise CallerError(f"there is no model {kind!r}", hint=f"Choose one of {', '.join(KINDS)}")
    random = np.random.default_rng(seed)
    parameters: Parameters = []
    for fan_in, fan_out in ((features, HIDDEN), (HIDDEN, 1)):
        edge = np.sqrt(6 / (fan_in + fan_out))
        parameters += [random.uniform(-edge, edge, (fan_out, fan_in)), np.zeros(fan_out)]
    return parameters


def train(parameters: Arrays, data: Labelled, *, epochs: int = 5, learning_rate: float = 0.5) -> Parameters:
    """``parameters`` after ``epochs`` steps of gradient descent over all of ``data``: a silo's work of one round.

    Deterministic. The arrays passed in are left as they were; the update of a round is the difference.
    """
    features, labels = data
    if epochs < 1 or not learning_rate > 0:
        raise CallerError(
            f"{epochs} epochs at learning rate {learning_rate} train nothing", hint="Pass positive numbers"
        )
    trained = [np.array(array, dtype=np.float64) for array in parameters]
    for _ in range(epochs):
        for array, slope in zip(trained, gradient(trained, (features, labels)), strict=True):
            array -= learning_rate * slope
    return trained


def gradient(parameters: Arrays, data: Labelled) -> Parameters:
    """The gradient of the mean cross-entropy over ``data``, shaped like ``parameters``."""
    features, labels = data
    inputs = _inputs(parameters, features)
    error = ((_sigmoid(inputs[-1][:, 0]) - labels) / len(labels))[:, None]
    slopes: Parameters = []
    for layer in reversed(range(len(parameters) // 2)):
        slopes = [error.T @ inputs[layer], error.sum(axis=0), *slopes]
        if layer > 0:  # inputs[layer] is a tanh, whose derivative is 1 - tanh^2
            error = (error @ parameters[2 * layer]) * (1 - inputs[layer] ** 2)
    return slopes


def predict_probability(parameters: Arrays, features: NDArray[np.float64]) -> NDArray[np.float64]:
    """The probability of heart disease of each row."""
    return _sigmoid(_inputs(parameters, features)[-1][:, 0])


def difference(new: Arrays, old: Arrays) -> Parameters:
    """The update that leads from ``old`` to ``new``."""
    return [after - before for after, before in zip(new, old, strict=True)]


def apply(parameters: Arrays, update: Arrays) -> Parameters:
    """``parameters`` moved by ``update``."""
    return [before + step for before, step in zip(parameters, update, strict=True)]


def largest(update: Arrays) -> float:
    """The largest absolute value in an update: what the clip bound of the policy must exceed."""
    return max(float(np.abs(array).max()) for array in update)


def _inputs(parameters: Arrays, features: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """What enters each layer, and last the output before its sigmoid."""
    if len(parameters) < 2 or len(parameters) % 2 or parameters[0].shape[1] != features.shape[1]:
        shapes = [array.shape for array in parameters]
        raise CallerError(
            f"parameters of shapes {shapes} do not take {features.shape[1]} features",
            hint="Pass weights (out x in) and bias (out) for each layer, as initial() gives them",
        )
    values = [features]
    for layer in range(0, len(parameters), 2):
        value = values[-1] @ parameters[layer].T + parameters[layer + 1]
        values.append(value if layer == len(parameters) - 2 else np.tanh(value))
    return values


def _sigmoid(value: NDArray[np.float64]) -> NDArray[np.float64]:
    # Through tanh: no overflow for large negative values.
    return np.asarray(0.5 * (1 + np.tanh(value / 2)), dtype=np.float64)
