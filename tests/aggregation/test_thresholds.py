"""Thresholds of committees: every one that fits keeps its conditions, and what does not fit is refused with numbers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quatrefoil.contracts import LARGEST_COMMITTEE, LARGEST_TRIALS, Threshold
from quatrefoil.errors import ParametersRefused, PolicyInvalid

NUMBERS = st.fixed_dictionaries(
    {
        "members": st.integers(0, 64),
        "silent": st.integers(0, 20),
        "liars": st.integers(0, 8),
        "colluding": st.integers(0, 30),
    }
)


def holds(threshold: Threshold, *, members: int, silent: int, liars: int, colluding: int) -> bool:
    return (
        threshold.members == members
        and threshold.privacy >= max(liars, colluding, 1)
        and 2 * threshold.recovery > members + liars
        and threshold.recovery <= members - silent - liars
        and threshold.packing >= max(liars, 1)
        and threshold.packing.bit_count() == 1
        and threshold.recovery == threshold.privacy + threshold.packing
    )


def exists(*, members: int, silent: int, liars: int, colluding: int) -> bool:
    """By trying all."""
    for recovery in range(1, members - silent - liars + 1):
        for packing in (1, 2, 4, 8, 16, 32):
            fits = recovery - packing >= max(liars, colluding, 1) and packing >= liars
            if fits and 2 * recovery > members + liars:
                return math.comb(members - silent, liars) <= LARGEST_TRIALS
    return False


@given(NUMBERS)
def test_a_threshold_is_found_just_where_there_is_one(numbers: dict[str, int]) -> None:
    if exists(**numbers):
        assert holds(Threshold.fitting(**numbers), **numbers)
    else:
        with pytest.raises(PolicyInvalid) as refusal:
            Threshold.fitting(**numbers)
        assert refusal.value.hint


@given(NUMBERS)
def test_as_many_members_as_the_refusal_asks_for_are_enough(numbers: dict[str, int]) -> None:
    try:
        Threshold.fitting(**numbers)
    except PolicyInvalid as refusal:
        if not refusal.hint.startswith("Appoint at least "):
            return
        least = int(refusal.hint.split()[3])
        assert exists(**numbers | {"members": least}) or math.comb(least - numbers["silent"], numbers["liars"]) > 1e5
        assert not exists(**numbers | {"members": least - 1})


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((8, 2, 1, 1), (5, 1, 4)),
        ((8, 2, 1, 3), (5, 3, 2)),
        ((16, 3, 2, 5), (11, 7, 4)),
        ((3, 0, 0, 0), (3, 1, 2)),
    ],
)
def test_the_table_of_the_page(numbers: tuple[int, int, int, int], expected: tuple[int, int, int]) -> None:
    members, silent, liars, colluding = numbers
    found = Threshold.fitting(members=members, silent=silent, liars=liars, colluding=colluding)
    assert (found.recovery, found.privacy, found.packing) == expected


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ((8, 3, 2, 1), "least 13 members"),
        ((8, 2, 1, 5), "least 9 members"),
        ((64, 20, 10, 5), "least 71|it would take 71 members"),
        ((64, 6, 10, 20), "trials"),
        ((-1, 0, 0, 0), "-1 members"),
        ((65, 0, 0, 0), "65 members"),
        ((8, True, 1, 1), "True silent"),
    ],
)
def test_what_cannot_be_is_refused_by_name(numbers: tuple[int, int, int, int], said: str) -> None:
    members, silent, liars, colluding = numbers
    with pytest.raises(PolicyInvalid, match=said):
        Threshold.fitting(members=members, silent=silent, liars=liars, colluding=colluding)


@pytest.mark.parametrize(
    "numbers",
    [
        (8, 0, 5),
        (8, 3, 0),
        (8, 2, 3),
        (8, 2, 2),
        (8, 7, 2),
        (65, 40, 4),
        (8, -1, 8),
        (8, 3.0, 2),
        (8, True, 4),
        (0, 1, 1),
    ],
)
def test_what_is_no_threshold_is_refused(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(ParametersRefused, match="no threshold"):
        Threshold(*numbers)


def test_a_committee_has_at_most_as_many_members_as_the_kernel_takes() -> None:
    assert Threshold(LARGEST_COMMITTEE, 32, 32).recovery == 64
