"""One patient's row as numbers between 0 and 1, with nothing learned from the patients.

Every range, category and replacement below is fixed in advance from public knowledge. A mean or a standard deviation
taken over the hospitals would be a statistic that leaves them outside the protocol, so there is none.

Missing values get a published reference value and a column that says "was missing". That column is honest but not
innocent: some hospitals never recorded some values (Switzerland: no cholesterol at all), so a model can read the
hospital from it, and with the hospital its share of sick patients. Figures over all hospitals together profit from
that; figures of one hospital do not.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from quatrefoil.errors import HostError

# Smallest and largest value that is taken at face value (values beyond are moved to the edge): column -> (low, high).
RANGES: Mapping[str, tuple[float, float]] = {
    "age": (20, 90),  # years
    "trestbps": (60, 220),  # resting systolic blood pressure, mmHg
    "chol": (80, 620),  # serum cholesterol, mg/dl
    "thalch": (50, 220),  # highest heart rate reached, beats a minute
    "oldpeak": (-3, 7),  # ST depression by exercise, mm
    "ca": (0, 3),  # large vessels seen in fluoroscopy
}

CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "cp": ("typical angina", "atypical angina", "non-anginal", "asymptomatic"),
    "restecg": ("normal", "st-t abnormality", "lv hypertrophy"),
    "slope": ("upsloping", "flat", "downsloping"),
    "thal": ("normal", "fixed defect", "reversable defect"),  # spelt as in the file
}

# The text that stands for 1, and the one that stands for 0.
BINARY: Mapping[str, tuple[str, str]] = {
    "sex": ("Male", "Female"),
    "fbs": ("TRUE", "FALSE"),  # fasting blood sugar above 120 mg/dl
    "exang": ("TRUE", "FALSE"),  # angina brought on by exercise
}

# What a missing number is replaced by; a missing category is all zeros. The highest heart rate has no constant:
# 220 minus age, the rule of Fox, Naughton and Haskell (1971).
REFERENCE: Mapping[str, float] = {
    "trestbps": 120,  # upper end of normal: ACC/AHA guideline 2017
    "chol": 200,  # upper end of desirable: NCEP ATP III 2001
    "oldpeak": 0,  # a heart without ischaemia
    "ca": 0,
}

# A living patient has neither: the file writes 0 for "not measured" (Switzerland: every cholesterol).
ZERO_IS_MISSING = frozenset({"trestbps", "chol"})

# Columns that some hospital leaves empty: these get a "was missing" feature.
INCOMPLETE = ("trestbps", "chol", "fbs", "restecg", "thalch", "exang", "oldpeak", "slope", "ca", "thal")

FEATURES: tuple[str, ...] = (
    *RANGES,
    *BINARY,
    *(f"{column}: {category}" for column, categories in CATEGORIES.items() for category in categories),
    *(f"{column}: missing" for column in INCOMPLETE),
)


def encode(row: Mapping[str, str]) -> NDArray[np.float64]:
    """The features of one row in the order of :data:`FEATURES`, each in [0, 1].

    ``HostError`` names the column of a value that is no number or no known category.
    """
    numbers = [_scaled(row, column) for column in RANGES]
    flags = [_flag(row, column) for column in BINARY]
    ones = [_one_hot(row, column, category) for column, known in CATEGORIES.items() for category in known]
    gaps = [float(is_missing(row, column)) for column in INCOMPLETE]
    return np.array([*numbers, *flags, *ones, *gaps], dtype=np.float64)


def is_missing(row: Mapping[str, str], column: str) -> bool:
    """Whether the row has no usable value: empty, or a zero that no living patient has."""
    text = row[column].strip()
    return text == "" or (column in ZERO_IS_MISSING and _number(column, text) == 0)


def _scaled(row: Mapping[str, str], column: str) -> float:
    low, high = RANGES[column]
    if not is_missing(row, column):
        value = _number(column, row[column])
    elif column == "thalch":
        value = 220 - _number("age", row["age"])
    elif column in REFERENCE:
        value = REFERENCE[column]
    else:
        raise _unreadable(column, "")
    return (min(max(value, low), high) - low) / (high - low)


def _flag(row: Mapping[str, str], column: str) -> float:
    one, zero = BINARY[column]
    if row[column] not in (one, zero) and not (column in INCOMPLETE and is_missing(row, column)):
        raise _unreadable(column, row[column])
    return float(row[column] == one)


def _one_hot(row: Mapping[str, str], column: str, category: str) -> float:
    if row[column] not in CATEGORIES[column] and not (column in INCOMPLETE and is_missing(row, column)):
        raise _unreadable(column, row[column])
    return float(row[column] == category)


def _number(column: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise _unreadable(column, text) from None
    if not np.isfinite(value):
        raise _unreadable(column, text)
    return value


def _unreadable(column: str, text: str) -> HostError:
    return HostError(
        f"column {column!r} of the heart-disease file holds {text!r}",
        hint="Install the file that the digest names: pip install 'quatrefoil[demo]'",
    )
