"""What the encrypted training is measured against: each hospital alone, all records pooled, federated in the clear."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quatrefoil.demo import metrics, models
from quatrefoil.demo.data import Labelled, Split
from quatrefoil.demo.models import Arrays, Kind, Parameters
from quatrefoil.errors import CallerError

ROUNDS = 15
EPOCHS = 10
LEARNING_RATE = 0.5

CLIP = 1.0
"""Recommended clip bound. The largest value of an honest update is about 0.6, in the first round: `largest_update`."""

Train = Callable[[Parameters, Labelled], Parameters]
Aggregate = Callable[[Sequence[Parameters], Sequence[int], int], Parameters]
"""(updates, patients of each silo, round from 0) -> the mean update, weighted by the patients."""


@dataclass(frozen=True)
class Score:
    """Accuracy and AUC on held-out patients; ``majority`` is the accuracy of saying the same of everyone."""

    accuracy: float
    auc: float
    majority: float


@dataclass(frozen=True)
class Federated:
    """A federated training: the model, and the largest absolute value that any silo's update held."""

    parameters: Parameters
    largest_update: float


def train_round(parameters: Arrays, data: Labelled) -> Parameters:
    """What a silo of the demo does in one round; fits ``quatrefoil.run(..., train=train_round)``."""
    return models.train(parameters, data, epochs=EPOCHS, learning_rate=LEARNING_RATE)


def alone(start: Parameters, data: Labelled, *, rounds: int = ROUNDS) -> Parameters:
    """One hospital by itself, with as many steps as a silo makes in all rounds together."""
    return models.train(start, data, epochs=EPOCHS * rounds, learning_rate=LEARNING_RATE)


def pooled(start: Parameters, silos: Sequence[Labelled], *, rounds: int = ROUNDS) -> Parameters:
    """All records in one place, in the clear: what confidentiality forbids, and accuracy is measured against."""
    everything = (np.concatenate([x for x, _ in silos]), np.concatenate([y for _, y in silos]))
    return alone(start, everything, rounds=rounds)


def federated(
    start: Parameters,
    silos: Sequence[Labelled],
    aggregate: Aggregate,
    *,
    rounds: int = ROUNDS,
    train: Train = train_round,
) -> Federated:
    """FedAvg (McMahan et al. 2017): train locally, ``aggregate`` the updates, move the common model, ``rounds`` times.

    ``aggregate`` decides who sees what: :func:`clear_mean` here, an encrypted sum elsewhere, in the same loop.
    """
    if rounds < 1 or not silos:
        raise CallerError(f"{rounds} rounds over {len(silos)} silos train nothing", hint="Pass at least one of each")
    parameters, counts, largest = start, [len(labels) for _, labels in silos], 0.0
    for number in range(rounds):
        updates = [models.difference(train(parameters, data), parameters) for data in silos]
        largest = max(largest, *(models.largest(update) for update in updates))
        parameters = models.apply(parameters, aggregate(updates, counts, number))
    return Federated(parameters, largest)


def clear_mean(updates: Sequence[Parameters], counts: Sequence[int], number: int) -> Parameters:  # noqa: ARG001
    """The mean weighted by patients, from updates in the clear: whoever computes it sees every one of them."""
    total = sum(counts)
    weighted = [[count / total * array for array in update] for count, update in zip(counts, updates, strict=True)]
    return [np.sum(arrays, axis=0) for arrays in zip(*weighted, strict=True)]


def score(parameters: Arrays, held_out: Labelled) -> Score:
    """One model on one set of held-out patients."""
    features, labels = held_out
    return _score(labels, models.predict_probability(parameters, features))


def score_own(own: Mapping[str, Arrays], splits: Mapping[str, Split]) -> Score:
    """All held-out patients together, each judged by the model of their own hospital."""
    labels = np.concatenate([split.test[1] for split in splits.values()])
    probability = [models.predict_probability(own[name], split.test[0]) for name, split in splits.items()]
    return _score(labels, np.concatenate(probability))


def score_everywhere(own: Mapping[str, Arrays], splits: Mapping[str, Split]) -> Score:
    """All held-out patients together, judged by each hospital's model in turn; the mean over the models.

    What a model is worth to a patient who may walk into any of the hospitals. For one common model this equals
    :func:`score_own`; for models trained alone it does not.
    """
    together = (
        np.concatenate([split.test[0] for split in splits.values()]),
        np.concatenate([split.test[1] for split in splits.values()]),
    )
    return mean([score(parameters, together) for parameters in own.values()])


def mean(scores: Sequence[Score]) -> Score:
    """The mean of several scores: over models, or over repeated splits."""
    return Score(
        accuracy=float(np.mean([one.accuracy for one in scores])),
        auc=float(np.mean([one.auc for one in scores])),
        majority=float(np.mean([one.majority for one in scores])),
    )


def start_of(kind: Kind, silos: Sequence[Labelled], seed: int) -> Parameters:
    """The common first model for these silos."""
    return models.initial(kind, silos[0][0].shape[1], seed)


def _score(labels: NDArray[np.float64], probability: NDArray[np.float64]) -> Score:
    return Score(
        metrics.accuracy(labels, probability), metrics.auc(labels, probability), metrics.majority_share(labels)
    )
