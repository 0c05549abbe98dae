"""What rounding costs in accuracy: federated training on real digits, with updates summed in the clear and encrypted.

scikit-learn's 1,797 handwritten digits (8 by 8 pixels), split by a fixed seed into a test set of 30 % and equal silos.
A perceptron of one hidden layer is trained by federated averaging; each round's updates are clipped, weighted, summed
and added to the model. The runs differ in nothing but how the sum is made; initial weights change with the seed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quatrefoil.aggregation import AdditiveAggregation, ParameterSet
from quatrefoil.contracts import SumShape
from quatrefoil.errors import DependencyMissing, ParametersRefused

HIDDEN = 64
CLIP = 0.25
RATE = 0.2
LOCAL_STEPS = 10
PARAMETER_SETS = ("sum-256-w16", "sum-32-w12")

Vector = NDArray[np.float64]
Sum = Callable[[list[Vector]], Vector]
Data = tuple[Vector, NDArray[np.int64]]


def measure_accuracy(silos: int, rounds: int, seeds: int, progress: Callable[[str], None]) -> list[dict[str, Any]]:
    """One row for the sum in the clear and one for each parameter set: test accuracy, mean and extremes over ``seeds``.

    ``difference``: of the mean accuracy from the one in the clear. ``loss``: the mean cross-entropy, which shows what
    accuracy is too coarse for. ``bytes_per_value``: of a full block.
    """
    if not 2 <= silos <= 32 or rounds < 1 or seeds < 1:
        raise ParametersRefused(
            f"{silos} silos, {rounds} rounds and {seeds} seeds cannot be measured",
            hint="Choose 2 to 32 silos, and at least one round and one seed",
        )
    parts, test = _digits(silos)
    rows: list[dict[str, Any]] = []
    for name in ("clear", *PARAMETER_SETS):
        progress(f"{name}: {seeds} trainings of {rounds} rounds by {silos} silos")
        total = _in_the_clear if name == "clear" else _encrypted(ParameterSet.named(name))
        results = [_train(parts, test, total, rounds, seed) for seed in range(seeds)]
        accuracies = [accuracy for accuracy, _ in results]
        mean = float(np.mean(accuracies))
        rows.append(
            {
                "sum": name,
                "bytes_per_value": 4.0 if name == "clear" else ParameterSet.named(name).bytes_per_value,
                "accuracy": mean,
                "lowest": min(accuracies),
                "highest": max(accuracies),
                "difference": mean - rows[0]["accuracy"] if rows else 0.0,
                "loss": float(np.mean([loss for _, loss in results])),
                "silos": silos,
                "rounds": rounds,
                "seeds": seeds,
            }
        )
    return rows


def _digits(silos: int) -> tuple[list[Data], Data]:
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise DependencyMissing(
            "scikit-learn is not installed", hint="Install the extra: pip install 'quatrefoil[demo]'"
        ) from None
    images, labels = load_digits(return_X_y=True)
    images = images / 16.0
    order = np.random.default_rng(7).permutation(len(labels))
    held_out = round(0.3 * len(labels))
    test, train = order[:held_out], order[held_out:]
    parts = [(images[part], labels[part]) for part in np.array_split(train, silos)]
    return parts, (images[test], labels[test])


def _train(parts: list[Data], test: Data, total: Sum, rounds: int, seed: int) -> tuple[float, float]:
    generator = np.random.default_rng(seed)
    model = np.concatenate(
        [
            generator.normal(0, np.sqrt(2 / 64), 64 * HIDDEN),
            np.zeros(HIDDEN),
            generator.normal(0, np.sqrt(1 / HIDDEN), HIDDEN * 10),
            np.zeros(10),
        ]
    )
    for _ in range(rounds):
        updates = [np.clip(_trained(model, part) - model, -CLIP, CLIP) for part in parts]
        model = model + total(updates)
    images, labels = test
    scores = _forward(model, images)[1]
    losses = np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(len(labels)), labels]
    return float(np.mean(scores.argmax(axis=1) == labels)), float(losses.mean())


def _trained(model: Vector, part: Data) -> Vector:
    """The model after full-batch gradient descent on the cross-entropy of one silo's digits."""
    images, labels = part
    model = model.copy()
    for _ in range(LOCAL_STEPS):
        hidden, scores = _forward(model, images)
        probabilities = np.exp(scores - scores.max(axis=1, keepdims=True))
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        probabilities[np.arange(len(labels)), labels] -= 1
        slope = probabilities / len(labels)
        _, _, second, _ = _unpacked(model)
        back = (slope @ second.T) * (hidden > 0)
        gradient = [(images.T @ back).ravel(), back.sum(axis=0), (hidden.T @ slope).ravel(), slope.sum(axis=0)]
        model -= RATE * np.concatenate(gradient)
    return model


def _forward(model: Vector, images: Vector) -> tuple[Vector, Vector]:
    first, bias, second, last_bias = _unpacked(model)
    hidden = np.maximum(images @ first + bias, 0)
    return hidden, hidden @ second + last_bias


def _unpacked(model: Vector) -> tuple[Vector, Vector, Vector, Vector]:
    first, bias, second, last = np.split(model, np.cumsum([64 * HIDDEN, HIDDEN, HIDDEN * 10]))
    return first.reshape(64, HIDDEN), bias, second.reshape(HIDDEN, 10), last


def _in_the_clear(updates: list[Vector]) -> Vector:
    return np.mean(updates, axis=0)  # type: ignore[no-any-return]


def _encrypted(parameters: ParameterSet) -> Sum:
    backend, rounds = AdditiveAggregation(parameters), itertools.count()

    def total(updates: list[Vector]) -> Vector:
        shape = SumShape(len(updates[0]), CLIP, next(rounds).to_bytes(32, "big"))
        accumulator, keys = backend.accumulator(shape=shape), []
        for update in updates:
            encrypted = backend.encrypt(update, weight=1 / len(updates), shape=shape)
            accumulator.add(encrypted.ciphertext)
            keys.append(encrypted.key)
        key = backend.combine_keys(keys)
        return backend.decrypt(accumulator.total(), key, shape=shape, count=len(updates)).values

    return total


__all__ = ["measure_accuracy"]
