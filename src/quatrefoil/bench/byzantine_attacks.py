"""What a malicious silo sends. All of them know each other's records, the model, and the norm in force."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from quatrefoil.bench.byzantine_norms import Norms
from quatrefoil.bench.byzantine_worlds import CLIP, Vector
from quatrefoil.federation.directions import made_to_agree

SCALE = -10.0
NOISE = 10.0


@dataclass(frozen=True)
class Turn:
    """One malicious silo in one round. ``own``: the update that it would send if it were honest; ``flipped``: the one
    that wrong labels give. ``common``: the mean of what all malicious silos would send. ``norms``, ``norm``: what is
    checked, and the norm and the direction in force."""

    own: Vector
    flipped: Callable[[], Vector]
    common: Vector
    norms: Norms
    norm: float
    random: np.random.Generator
    direction: bytes = b""

    def longest(self, wanted: Vector) -> Vector:
        """As far into what is wanted as is let pass: what points away from the direction is left out first."""
        agreeing = np.asarray(made_to_agree(wanted, self.direction), np.float64) if self.direction else wanted
        return self.norms.longest(agreeing, self.norm)


def _scaled(turn: Turn) -> Vector:
    """As the poisoning hospital of the demo: -10 times its update, every value within the clip bound."""
    return np.clip(SCALE * turn.own, -CLIP, CLIP)


def _sign_flipped(turn: Turn) -> Vector:
    return -turn.own


def _random(turn: Turn) -> Vector:
    """Gaussian, 10 times as long as its update."""
    noise = turn.random.standard_normal(len(turn.own))
    return np.clip(noise * (NOISE * np.linalg.norm(turn.own) / np.linalg.norm(noise)), -CLIP, CLIP)


def _label_flipped(turn: Turn) -> Vector:
    return turn.flipped()


def _adaptive(turn: Turn) -> Vector:
    """Against what all of them know to be right, and as long as is let pass."""
    return turn.longest(-turn.common)


def _adaptive_labels(turn: Turn) -> Vector:
    """What wrong labels give, made as long as is let pass."""
    return turn.longest(turn.flipped())


ADAPTIVE = ("adaptive", "adaptive-labels")
ATTACKS: Mapping[str, Callable[[Turn], Vector]] = {
    "none": lambda turn: turn.own,
    "scaled": _scaled,
    "sign-flipped": _sign_flipped,
    "random": _random,
    "label-flipped": _label_flipped,
    "adaptive": _adaptive,
    "adaptive-labels": _adaptive_labels,
}

__all__ = ["ADAPTIVE", "ATTACKS", "Turn"]
