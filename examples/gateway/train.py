"""Train the example's model and write its weights: ``python train.py MODEL.npz``. Takes seconds."""

from __future__ import annotations

import sys
from pathlib import Path

import notes
import numpy as np
from character_gru import CharacterGru

EXCHANGES, UNITS, STEPS = 1500, 64, 400


def train(*, steps: int = STEPS, seed: int = 1) -> CharacterGru:
    """The model, the same for everybody up to the rounding of the processor's arithmetic."""
    return CharacterGru.fresh(notes.ALPHABET, UNITS, seed).trained(notes.make(EXCHANGES, seed), steps)


def bits_per_character(model: CharacterGru, text: str) -> float:
    """How well it predicts text that it has not seen: the mean loss, in bits."""
    loss, _, _ = model.loss(np.array([model.tokens(text)]), model.beginning()[None])
    return loss / float(np.log(2))


def main() -> None:
    model = train()
    model.save(Path(sys.argv[1]))
    print(f"{sum(one.size for one in model.weights.values())} weights in {sys.argv[1]}")
    print(f"{bits_per_character(model, notes.make(50, seed=2)):.2f} bits a character on text that it has not seen")


if __name__ == "__main__":
    main()
