"""Accepted rosters of a job: no combination of their sums sets fewer than the minimum of silos apart."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quatrefoil.errors import PolicyError
from quatrefoil.federation.rosters import check_rosters


def rank(rows: Sequence[Sequence[int | Fraction]]) -> int:
    """Of a matrix over the rationals, by elimination."""
    matrix = [[Fraction(value) for value in row] for row in rows]
    found = 0
    for column in range(len(matrix[0]) if matrix else 0):
        pivot = next((row for row in range(found, len(matrix)) if matrix[row][column]), None)
        if pivot is None:
            continue
        matrix[found], matrix[pivot] = matrix[pivot], matrix[found]
        for row in range(found + 1, len(matrix)):
            factor = matrix[row][column] / matrix[found][column]
            matrix[row] = [a - factor * b for a, b in zip(matrix[row], matrix[found], strict=True)]
        found += 1
    return found


def indicator(roster: frozenset[int], count: int) -> list[int]:
    return [int(silo in roster) for silo in range(count)]


def told_apart(rosters: Sequence[frozenset[int]], count: int) -> set[frozenset[int]]:
    """Every set of silos of which some combination of the sums tells something, and of nobody else.

    A set S is told apart if a combination of the rosters' indicator vectors is not zero on S and zero outside: that
    is, if the rows' restriction to the others has a smaller rank than the rows.
    """
    rows = [indicator(roster, count) for roster in rosters]
    found = set()
    for size in range(1, count + 1):
        for silos in combinations(range(count), size):
            outside = [[value for silo, value in enumerate(row) if silo not in silos] for row in rows]
            if rank(outside) < rank(rows):
                found.add(frozenset(silos))
    return found


def names(roster: frozenset[int]) -> str:
    return "".join("ABCDEF"[silo] for silo in roster)


def accepted(tried: Sequence[frozenset[int]], minimum: int) -> list[frozenset[int]]:
    """Those of the rosters, in their order, that are accepted after the ones accepted before."""
    kept: list[frozenset[int]] = []
    for roster in tried:
        try:
            check_rosters([names(one) for one in kept], names(roster), minimum)
        except PolicyError:
            continue
        kept.append(roster)
    return kept


sets = st.integers(2, 6).flatmap(
    lambda count: st.tuples(
        st.just(count),
        st.integers(1, count),
        st.lists(st.frozensets(st.integers(0, count - 1), min_size=1), min_size=1, max_size=8),
    )
)


@given(sets)
def test_no_combination_of_accepted_sums_sets_fewer_than_the_minimum_apart(
    tried: tuple[int, int, list[frozenset[int]]],
) -> None:
    """Whatever is added and subtracted, with any weights: fewer than ``minimum`` silos are never left alone in it."""
    count, minimum, rosters = tried
    kept = accepted(rosters, minimum)
    assert all(len(silos) >= minimum for silos in told_apart(kept, count))


@given(sets, st.data())
def test_every_combination_weighs_the_members_of_a_group_alike(
    tried: tuple[int, int, list[frozenset[int]]], data: st.DataObject
) -> None:
    """So a silo is always hidden behind at least ``minimum - 1`` others of the same weight."""
    count, minimum, rosters = tried
    kept = accepted(rosters, minimum)
    factors = data.draw(st.lists(st.fractions(), min_size=len(kept), max_size=len(kept)))
    weights = [sum(f for f, roster in zip(factors, kept, strict=True) if silo in roster) for silo in range(count)]
    for silo in range(count):
        alike = [other for other in range(count) if all((silo in roster) == (other in roster) for roster in kept)]
        assert len({weights[other] for other in alike}) == 1
        assert len(alike) >= minimum or not any(silo in roster for roster in kept)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_with_a_minimum_of_two_nobody_is_ever_alone_in_all_pairs_and_triples_of_rosters(count: int) -> None:
    """Without sampling: every sequence of three rosters of up to four silos."""
    rosters = [frozenset(chosen) for size in range(1, count + 1) for chosen in combinations(range(count), size)]
    for tried in product(rosters, repeat=3):
        kept = accepted(tried, 2)
        singles = [
            silo
            for silo in range(count)
            if kept and rank([*(indicator(r, count) for r in kept), indicator(frozenset([silo]), count)])
            == rank([indicator(r, count) for r in kept])
        ]  # fmt: skip
        assert singles == []


def test_the_check_of_combinations_sees_what_three_pairs_give() -> None:
    """The test above could fail: of AB, AC and BC every two differ in two silos, and together they give each one."""
    pairs = [frozenset(pair) for pair in ((0, 1), (0, 2), (1, 2))]
    assert frozenset([0]) in told_apart(pairs, 3)
    assert accepted(pairs, 1) == pairs
    assert accepted(pairs, 2) == pairs[:1]


@pytest.mark.parametrize(
    ("earlier", "roster", "minimum", "apart"),
    [
        ([], "AB", 3, "A, B: 2"),
        (["ABCD"], "ABC", 2, "D: 1"),
        (["ABC"], "ABCD", 2, "D: 1"),
        (["AB"], "AC", 2, "A: 1"),
        (["ABCDEF", "ABC"], "ABCDEFG", 3, "G: 1"),
        (["ABC", "DEF"], "ABCDEFG", 2, "G: 1"),
        (["ABCD", "EFGH"], "CDEF", 3, "A, B: 2"),
    ],
)
def test_a_roster_that_makes_a_small_group_is_refused(
    earlier: list[str], roster: str, minimum: int, apart: str
) -> None:
    with pytest.raises(PolicyError, match=f"sets apart {apart}, the policy's minimum is {minimum}"):
        check_rosters(earlier, roster, minimum)


@pytest.mark.parametrize(
    ("earlier", "roster", "minimum"),
    [
        ([], "ABC", 3),
        (["ABCD"], "ABCD", 4),
        (["ABCD", "ABCD"], "DCBA", 4),
        (["ABCD"], "AB", 2),
        (["ABC"], "DEF", 3),
        (["ABC", "DEF"], "ABCDEF", 3),
        (["AB"], "AC", 1),
    ],
)
def test_a_roster_that_leaves_large_groups_is_accepted(earlier: list[str], roster: str, minimum: int) -> None:
    check_rosters(earlier, roster, minimum)


def test_the_order_of_rounds_does_not_matter() -> None:
    three = ["ABCDEF", "ABC", "DEFGHI"]
    for last in three:
        check_rosters([one for one in three if one != last], last, 3)
        with pytest.raises(PolicyError):
            check_rosters([one for one in three if one != last], last, 4)
