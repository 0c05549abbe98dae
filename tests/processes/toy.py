"""What the silos of the process tests train: every round moves every parameter by the silo's own step.

While a file ``hold`` lies in the working folder, training waits: the tests use it to keep a round open.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np


def initial() -> list[np.ndarray]:
    return [np.zeros((2, 3)), np.zeros(5, np.float32)]


def train(parameters: list[np.ndarray], data: dict[str, np.ndarray]) -> list[np.ndarray]:
    while Path("hold").exists():
        time.sleep(0.02)
    step = float(data["steps"][0])
    return [array + array.dtype.type(step) for array in parameters]


def too_large(parameters: list[np.ndarray], data: dict[str, np.ndarray]) -> list[np.ndarray]:
    return [array + array.dtype.type(1000.0) for array in parameters]
