"""The rule of an integer graph, as a client is given it: what goes in and what is said of answers follow."""

from __future__ import annotations

import numpy as np
from tests.fuzz.held import refused_or

from quatrefoil.quantised import Rule
from quatrefoil.quantised.program import Entrance

LARGEST = 1 << 16
"""Integers of an input that is tried."""


def seeds() -> list[bytes]:
    rules = [
        Rule("x", Entrance((3,), -128, 127), 4, "y", 7),
        Rule("image", Entrance((1, 8, 8), 0, 255), 0, "class", 0),
        Rule("", Entrance((1,), -1, 1), -64, "", 64),
    ]
    told = rules[0].encode()
    odd = [b"[3, 0]", b"[1e3]", b"[true]", b"3", b"[]", b"[99999999999999999999, 99999999999999999999]"]
    return [*(one.encode() for one in rules), *(told.replace(b"[3]", one) for one in odd), told.replace(b"4,", b"65,")]


def one(data: bytes) -> None:
    """A rule that is accepted reads back, takes rows of its size in, and finds again what it says of answers."""
    rule = refused_or(lambda: Rule.decode(data))
    if rule is None:
        return
    assert Rule.decode(rule.encode()) == rule
    entrance = rule.entrance
    if entrance.size <= LARGEST:
        entered = rule.entered(np.linspace(-9, 9, 2 * entrance.size).reshape(2, *entrance.shape))
        assert entered.shape == (2, entrance.size)
        assert entrance.low <= entered.min() and entered.max() <= entrance.high
        refused_or(lambda: rule.entered(np.full((1, entrance.size + 1), 0.5)))
    found = refused_or(lambda: rule.answered([[1.0, -2.0], [0.5, 3e9]]))
    if found is not None:
        assert (np.ldexp(found.astype(np.float64), -rule.output_exponent) == [[1.0, -2.0], [0.5, 3e9]]).all()
    for answers in ([], [float("nan")], [[float("inf")]], [["1"]]):
        refused_or(lambda answers=answers: rule.answered(answers))  # type: ignore[misc]
