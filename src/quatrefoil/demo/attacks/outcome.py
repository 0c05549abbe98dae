"""The result of an attack mounted twice: once with a layer turned off, once with it on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quatrefoil.demo.encoding import FEATURES, RANGES
from quatrefoil.demo.inversion import Records

Figures = Mapping[str, float | int | str | bool]

DECIBEL = "(PSNR; 99 dB: the record itself, 20 dB: off by a tenth of each range)"
"""What a reader needs to know of a figure in decibel."""

_SHOWN = {"age": "age {:.0f}", "trestbps": "blood pressure {:.0f} mmHg", "chol": "cholesterol {:.0f}"}


@dataclass(frozen=True)
class Outcome:
    """What ``name`` won without ``layer`` and with it: in sentences for people, in figures for programs.

    ``turned_off``: what was changed. ``won``: what the attacker then read. ``left``: what it reads with the layer on.
    ``protected``: whether anything in this release stops the attack. Where there is no such layer at all,
    ``with_layer`` is empty.
    """

    name: str
    layer: str
    turned_off: str
    won: str
    left: str
    verdict: str
    without: Figures
    with_layer: Figures
    protected: bool

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "layer": self.layer,
            "turned_off": self.turned_off,
            "won": self.won,
            "left": self.left,
            "verdict": self.verdict,
            "without": dict(self.without),
            "with": dict(self.with_layer),
            "protected": self.protected,
        }


def patient(record: Records) -> str:
    """Some features of one record in their own units."""
    return ", ".join(text.format(_natural(record, column)) for column, text in _SHOWN.items())


def _natural(record: Records, column: str) -> float:
    low, high = RANGES[column]
    return low + (high - low) * float(record[FEATURES.index(column)])
