"""A scikit-learn model for Quatrefoil: where it starts, and one round of a silo's own training.

Parameters go in and come out as a list of NumPy arrays of the same shapes. What happens in between is yours.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from sklearn.linear_model import SGDClassifier

FEATURES = 30
EPOCHS = 5


def initial() -> list[np.ndarray]:
    """The common start: the coefficients (1 x 30) and the intercept (1) of a logistic regression."""
    return [np.zeros((1, FEATURES), np.float32), np.zeros(1, np.float32)]


def train(parameters: list[np.ndarray], data: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """A few epochs from ``parameters`` on this silo's rows (``features``: n x 30, ``labels``: n, 0 or 1)."""
    coefficients, intercept = parameters
    model = SGDClassifier(
        loss="log_loss", learning_rate="constant", eta0=0.02, alpha=1e-4, max_iter=EPOCHS, tol=None, random_state=0
    )
    model.fit(data["features"], data["labels"], coef_init=coefficients.copy(), intercept_init=intercept.copy())
    return [model.coef_.astype(np.float32), model.intercept_.astype(np.float32)]


def accuracy(parameters: list[np.ndarray], data: Mapping[str, np.ndarray]) -> float:
    """The share of rows on the right side."""
    coefficients, intercept = parameters
    predicted = data["features"] @ coefficients[0] + intercept[0] > 0
    return float(np.mean(predicted == (data["labels"] == 1)))
