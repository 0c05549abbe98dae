"""Splits scikit-learn's breast-cancer data over three silos and a held-out part: four files in the folder named.

python make_data.py DIRECTORY
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer

SILOS = ("north", "south", "west")

# The data has ten measurements of a cell nucleus, each as mean, standard error and worst value. Every silo scales them
# by the same round numbers, chosen in advance: a mean over the silos' patients would be a statistic that leaves them.
_MEASUREMENT = [30, 40, 200, 2500, 0.2, 0.4, 0.5, 0.2, 0.4, 0.1]
SCALE = np.concatenate([np.array(_MEASUREMENT) * factor for factor in (1.0, 0.15, 1.5)])


def main(directory: Path) -> None:
    features, labels = load_breast_cancer(return_X_y=True)
    features = (features / SCALE - 0.5).astype(np.float32)
    order = np.random.default_rng(0).permutation(len(labels))
    parts = np.array_split(order, len(SILOS) + 1)
    directory.mkdir(parents=True, exist_ok=True)
    for name, rows in zip((*SILOS, "held-out"), parts, strict=True):
        np.savez(directory / f"{name}.npz", features=features[rows], labels=labels[rows])
        print(f"{directory / name}.npz: {len(rows)} patients")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python make_data.py DIRECTORY")
    main(Path(sys.argv[1]))
