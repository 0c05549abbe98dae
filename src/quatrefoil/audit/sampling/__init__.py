"""Samples of inference receipts, drawn by a public rule from a witnessed checkpoint. docs/audit-sampling.md."""

from quatrefoil.audit.sampling.answered import Answered, answered
from quatrefoil.audit.sampling.rule import MOST_DRAWN, Terms
from quatrefoil.audit.sampling.sample import (
    DrawnReceipt,
    EndedKeyset,
    OpenKeyset,
    Sample,
    draw,
    population_size,
    verify,
)

__all__ = [
    "MOST_DRAWN",
    "Answered",
    "DrawnReceipt",
    "EndedKeyset",
    "OpenKeyset",
    "Sample",
    "Terms",
    "answered",
    "draw",
    "population_size",
    "verify",
]
