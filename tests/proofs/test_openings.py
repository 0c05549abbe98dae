"""An opening is claimed before it is used, and used once; whatever is killed and whenever."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quatrefoil.errors import CommitmentExhausted, ParametersRefused
from quatrefoil.proofs.openings import Opening, Openings
from quatrefoil.state import MemoryState, SqliteState


def claimed(openings: Openings, times: int) -> list[int]:
    return [openings.claim("a proof").number for _ in range(times)]


def test_every_claim_is_another_opening_and_the_last_is_kept_for_a_link():
    openings = Openings(MemoryState(), 4)
    assert claimed(openings, 3) == [1, 2, 3] and openings.left == 1
    with pytest.raises(CommitmentExhausted, match="allows 4 openings, and 3 are used; the last is kept"):
        openings.claim("a proof")
    with pytest.raises(CommitmentExhausted, match="the last is kept"):
        openings.require_left()
    openings.require_left(for_link=True)
    assert openings.claim("a link", for_link=True).number == 4 and openings.left == 0
    for asked in (openings.require_left, partial(openings.claim, "a link")):
        with pytest.raises(CommitmentExhausted, match=r"4 are used, the last of them for a link.*made then"):
            asked(for_link=True)


def test_when_all_are_used_not_even_a_link_is_made():
    openings = Openings(MemoryState(), 1)
    openings.claim("a link", for_link=True)
    for for_link in (False, True):
        with pytest.raises(CommitmentExhausted, match="allows 1 openings, and 1 are used"):
            openings.claim("a link", for_link=for_link)


def test_a_claim_outlives_whoever_made_it(tmp_path: Path):
    for number in (1, 2, 3):
        state = SqliteState(tmp_path / "state.sqlite")
        assert Openings(state, 8).claim("a proof").number == number
        state.close()  # the process that had claimed it is gone, and made nothing with it


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 64), st.lists(st.booleans(), max_size=80))
def test_no_number_is_ever_given_twice(total, asked):
    state, given_out = MemoryState(), []
    for for_link in asked:
        try:
            given_out.append(Openings(state, total).claim("x", for_link=for_link).number)
        except CommitmentExhausted:
            continue
    assert len(set(given_out)) == len(given_out) <= total


def test_what_is_kept_for_a_link_is_claimed_once_whatever_else_is_used():
    openings = Openings(MemoryState(), 4)
    assert openings.claim_last("a link").number == 4
    with pytest.raises(CommitmentExhausted, match="allows 4 openings, and 1 are used, the last of them for a link"):
        openings.claim_last("a link")
    assert claimed(openings, 3) == [1, 2, 3]
    with pytest.raises(CommitmentExhausted, match="4 are used"):
        openings.claim("a link", for_link=True)


class Racing(MemoryState):
    """Another process claims between looking and claiming."""

    def put_once(self, name: str, value: bytes) -> bytes:
        if name.endswith("01"):
            super().put_once(name, b"somebody else's")
        return super().put_once(name, value)


def test_who_comes_second_gets_another():
    assert Openings(Racing(), 4).claim("a proof").number == 2


def test_an_opening_is_for_one_proof():
    opening = Openings(MemoryState(), 2).claim("a proof")
    opening.use()
    with pytest.raises(ParametersRefused, match="opening 1 has been used"):
        opening.use()
    assert isinstance(opening, Opening)


@pytest.mark.parametrize("total", [0, 65, -1])
def test_other_numbers_of_openings_are_refused(total):
    with pytest.raises(ParametersRefused, match="are not 1 to 64"):
        Openings(MemoryState(), total)
