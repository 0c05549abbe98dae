"""What the silos of a tree train: every round moves every value by the silo's own step, which is made of whole grains.

While a file ``hold`` or ``hold-GROUP`` lies in the working folder, training waits: tests keep rounds open with it.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np


def initial() -> list[np.ndarray]:
    return [np.zeros((2, 3)), np.zeros(4)]


def train(parameters: list[np.ndarray], data: dict[str, np.ndarray]) -> list[np.ndarray]:
    while Path("hold").exists() or Path(f"hold-{data['group'][0]}").exists():
        time.sleep(0.02)
    return [array + float(data["steps"][0]) for array in parameters]
