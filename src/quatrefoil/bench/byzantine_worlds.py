"""What a byzantine silo is measured on: scikit-learn's digits at 20 equal silos, and the demo's four hospitals.

A model is one flat vector here, as it is in a contribution. A world is one draw: which records are held out, which silo
has which, and where the model starts all follow from a seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quatrefoil.demo import baselines, models
from quatrefoil.demo.data import load_hospitals, split_all
from quatrefoil.demo.inversion import shaped_like
from quatrefoil.demo.poisoning import NORM as HOSPITALS_NORM
from quatrefoil.demo.poisoning import POISONING
from quatrefoil.errors import DependencyMissing

Vector = NDArray[np.float64]
Data = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Features, n x d; labels, n."""

CLIP = 1.0
"""Every value of an update lies in [-clip, clip], in both worlds."""

SILOS, MALICIOUS = 20, 4
DIGITS, PIXELS = 10, 64
STEPS, RATE = 5, 1.0
HELD_OUT = 0.25
DIGITS_NORM = 1.6
"""Honest updates of the first rounds are longer than this, and kept within it; later ones are shorter by themselves."""

SKEW = 0.5
"""Concentration of the Dirichlet distribution by which a digit is shared out among the silos of ``digits-skewed``."""


@dataclass(frozen=True)
class World:
    """One federated training that may be attacked.

    ``silos``: training records of each; ``shares``: its weight in the mean, by records. ``malicious``: who attacks.
    ``norm``: the policy's ``update_norm``. ``train``: the model after the local steps of a round. ``flip``: the same
    records with wrong labels. ``accuracy``: of a model on held-out records.
    """

    silos: Sequence[Data]
    malicious: frozenset[int]
    start: Vector
    norm: float
    train: Callable[[Vector, Data], Vector]
    flip: Callable[[Data], Data]
    accuracy: Callable[[Vector], float]

    @property
    def shares(self) -> Vector:
        counts = np.array([len(labels) for _, labels in self.silos], np.float64)
        shares: Vector = counts / counts.sum()
        return shares


def digits(seed: int, *, skewed: bool = False) -> World:
    """Multinomial logistic regression (650 values) on 1,797 digits by 20 silos, of which 4 are malicious.

    Equal silos with digits of every kind, or ``skewed``: each digit is shared out by a Dirichlet draw, so that silos
    differ in size and in which digits they know.
    """
    images, labels = _load_digits()
    random = np.random.default_rng([seed, SILOS])
    order = random.permutation(len(labels))
    held_out = round(HELD_OUT * len(labels))
    test, rest = order[:held_out], order[held_out:]
    parts = _skewed(rest, labels, random) if skewed else np.array_split(rest, SILOS)
    return World(
        silos=[(images[part], labels[part]) for part in parts],
        malicious=frozenset(range(MALICIOUS)),
        start=np.zeros((PIXELS + 1) * DIGITS),
        norm=DIGITS_NORM,
        train=_train_digits,
        flip=lambda data: (data[0], DIGITS - 1 - data[1]),
        accuracy=lambda model: float((_scores(model, images[test]).argmax(axis=1) == labels[test]).mean()),
    )


def hospitals(seed: int) -> World:
    """The demo's perceptron, training and norm; ``seed`` draws the split. Cleveland, the largest, is malicious."""
    splits = split_all(load_hospitals(), seed)
    names, silos = list(splits), [split.train for split in splits.values()]
    shapes = baselines.start_of("mlp", silos, seed)
    tests = [split.test for split in splits.values()]
    held_out = (np.concatenate([x for x, _ in tests]), np.concatenate([y for _, y in tests]))
    return World(
        silos=silos,
        malicious=frozenset({names.index(POISONING)}),
        start=flat(shapes),
        norm=HOSPITALS_NORM,
        train=lambda model, data: flat(baselines.train_round(shaped_like(model, shapes), data)),
        flip=lambda data: (data[0], 1 - data[1]),
        accuracy=lambda model: baselines.score(shaped_like(model, shapes), held_out).accuracy,
    )


WORLDS: Mapping[str, Callable[[int], World]] = {
    "digits": digits,
    "digits-skewed": lambda seed: digits(seed, skewed=True),
    "hospitals": hospitals,
}


def flat(arrays: models.Arrays) -> Vector:
    return np.concatenate([np.ravel(array) for array in arrays]).astype(np.float64)


def _load_digits() -> Data:
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise DependencyMissing(
            "scikit-learn is not installed", hint="Install the extra: pip install 'quatrefoil[demo]'"
        ) from None
    images, labels = load_digits(return_X_y=True)
    return images / 16.0, labels


def _skewed(records: NDArray[np.int64], labels: Vector, random: np.random.Generator) -> list[NDArray[np.int64]]:
    parts: list[list[int]] = [[] for _ in range(SILOS)]
    for digit in range(DIGITS):
        members = records[labels[records] == digit]
        cuts = (np.cumsum(random.dirichlet([SKEW] * SILOS))[:-1] * len(members)).astype(int)
        for part, share in zip(parts, np.split(members, cuts), strict=True):
            part.extend(int(record) for record in share)
    # Nobody is left without a record: a silo that has nothing takes no part in a job.
    largest = max(parts, key=len)
    return [np.array(part or [largest.pop()]) for part in parts]


def _train_digits(model: Vector, data: Data) -> Vector:
    """Full-batch gradient descent on the cross-entropy."""
    images, labels = data
    wanted = np.eye(DIGITS)[labels.astype(int)]
    model = model.copy()
    for _ in range(STEPS):
        scores = _scores(model, images)
        likely = np.exp(scores - scores.max(axis=1, keepdims=True))
        slope = (likely / likely.sum(axis=1, keepdims=True) - wanted) / len(labels)
        model -= RATE * np.concatenate([(images.T @ slope).ravel(), slope.sum(axis=0)])
    return model


def _scores(model: Vector, images: NDArray[np.float64]) -> NDArray[np.float64]:
    weights, bias = np.split(model, [PIXELS * DIGITS])
    scores: NDArray[np.float64] = images @ weights.reshape(PIXELS, DIGITS) + bias
    return scores


__all__ = ["CLIP", "WORLDS", "Data", "Vector", "World", "digits", "hospitals"]
