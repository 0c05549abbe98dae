"""Keys in shares: what members answer gives the sum of exactly those keys, whoever is silent; and whoever lies is
named."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quatrefoil.aggregation import AdditiveAggregation, ParameterSet
from quatrefoil.contracts import DealtKey, SumShape, Threshold
from quatrefoil.errors import CiphertextRefused, ParametersRefused

SHAPE = SumShape(9_001, 1.0, b"c" * 32)
BACKEND = AdditiveAggregation(ParameterSet.named("sum-256-w16"))
THRESHOLD = Threshold.fitting(members=8, silent=2, liars=1, colluding=3)
COUNT, HEADER, MODULUS = 3, 60, 2**64 - 2**32 + 1
MEMBERS = range(1, 9)


@cache
def contributions() -> tuple[bytes, list[bytes]]:
    """The ciphertext of a sum, and its keys."""
    total, keys = BACKEND.accumulator(shape=SHAPE), []
    for seed in range(COUNT):
        values = np.random.default_rng(seed).uniform(-0.5, 0.5, SHAPE.length)
        encrypted = BACKEND.encrypt(values, weight=0.3, shape=SHAPE)
        total.add(encrypted.ciphertext)
        keys.append(bytes(encrypted.key))
    return total.total(), keys


@cache
def dealt(threshold: Threshold = THRESHOLD) -> list[DealtKey]:
    return [BACKEND.deal_key(key, threshold) for key in contributions()[1]]


def answers(threshold: Threshold = THRESHOLD) -> dict[int, bytes]:
    members = range(1, threshold.members + 1)
    return {k: BACKEND.add_shares([one.shares[k - 1] for one in dealt(threshold)], threshold) for k in members}


def recovered(
    given: dict[int, bytes], threshold: Threshold = THRESHOLD, count: int = COUNT
) -> tuple[bool, tuple[int, ...]]:
    """Whether it is the sum of the keys, and who is said to lie."""
    total, keys = contributions()
    found = BACKEND.recover_key(given, threshold, total=total, shape=SHAPE, count=count)
    return found.combined_key == BACKEND.combine_keys(keys), found.liars


def altered(answer: bytes, seed: int = 1) -> bytes:
    words = np.frombuffer(answer[HEADER:], dtype="<u8").copy()
    words[::7] = np.random.default_rng(seed).integers(0, MODULUS, len(words[::7]), dtype=np.uint64)
    return answer[:HEADER] + words.tobytes()


@pytest.mark.parametrize(
    "threshold",
    [THRESHOLD, Threshold(8, 1, 4), Threshold(5, 3, 1), Threshold(3, 1, 1), Threshold(16, 5, 8)],
    ids=lambda t: f"{t.members}-{t.privacy}-{t.packing}",
)
def test_any_quorum_gives_the_sum_of_the_keys(threshold: Threshold) -> None:
    all_answers = answers(threshold)
    assert recovered(all_answers, threshold) == (True, ())
    for quorum in itertools.islice(itertools.combinations(all_answers, threshold.recovery), 0, None, 97):
        assert recovered({k: all_answers[k] for k in quorum}, threshold) == (True, ())


def test_the_sum_decrypts() -> None:
    total, _ = contributions()
    key = BACKEND.recover_key(answers(), THRESHOLD, total=total, shape=SHAPE, count=COUNT).combined_key
    exact = sum(0.3 * np.random.default_rng(seed).uniform(-0.5, 0.5, SHAPE.length) for seed in range(COUNT))
    found = BACKEND.decrypt(total, key, shape=SHAPE, count=COUNT)
    assert np.abs(found.values - exact).max() <= found.error_bound


@settings(max_examples=25, deadline=None)
@given(st.permutations(MEMBERS), st.integers(0, 2**32 - 1))
def test_two_silent_and_one_who_lies_as_the_policy_allows(order: list[int], seed: int) -> None:
    given = {k: answers_once()[k] for k in order[2:]}
    given[order[2]] = altered(given[order[2]], seed)
    assert recovered(given) == (True, (order[2],))


@cache
def answers_once() -> dict[int, bytes]:
    return answers()


def test_a_lie_that_leaves_small_coefficients_is_seen_by_the_residual() -> None:
    """The first set of answers gives a sum of keys that is short and wrong: without the residual it would pass."""
    threshold = Threshold(4, 2, 1)
    given = answers(threshold)
    word = int.from_bytes(given[1][HEADER : HEADER + 8], "little")
    given[1] = given[1][:HEADER] + ((word + 1) % MODULUS).to_bytes(8, "little") + given[1][HEADER + 8 :]
    assert recovered(given, threshold) == (True, (1,))
    with pytest.raises(CiphertextRefused, match="no 3 of 3 answers"):
        recovered({k: given[k] for k in (1, 2, 3)}, threshold)


def test_answers_without_the_form_are_liars_too() -> None:
    good = answers_once()
    wrong = {
        "length": good[3][:-1],
        "empty": b"",
        "count": good[3][:12] + b"\x04" + good[3][13:],
        "parameters": good[3][:16] + bytes(32) + good[3][48:],
        "threshold": good[3][:52] + b"\x02" + good[3][53:],
        "magic": b"X" + good[3][1:],
        "word": good[3][:HEADER] + b"\xff" * 8 + good[3][HEADER + 8 :],
    }
    for name, answer in wrong.items():
        assert recovered(good | {3: answer}) == (True, (3,)), name


def test_the_answer_of_another_member_is_a_lie() -> None:
    good = answers_once()
    assert recovered(good | {3: good[4]}) == (True, (3,))


def test_an_answer_for_another_roster_is_a_lie() -> None:
    other = BACKEND.add_shares([one.shares[4] for one in dealt()[:2]], THRESHOLD)
    swapped = BACKEND.add_shares(
        [one.shares[4] for one in (*dealt()[:2], BACKEND.deal_key(bytes(32), THRESHOLD))], THRESHOLD
    )
    for answer in (other, swapped):
        assert recovered(answers_once() | {5: answer}) == (True, (5,))


def test_two_rosters_have_no_quorum_each() -> None:
    """Five answer one roster and three another: whoever asked for both has the sum of the first only."""
    total = BACKEND.accumulator(shape=SHAPE)
    for _ in range(2):
        total.add(BACKEND.encrypt(np.zeros(SHAPE.length), weight=0.3, shape=SHAPE).ciphertext)
    second = {k: BACKEND.add_shares([one.shares[k - 1] for one in dealt()[:2]], THRESHOLD) for k in (6, 7, 8)}
    assert recovered({k: answers_once()[k] for k in range(1, 6)}) == (True, ())
    with pytest.raises(CiphertextRefused, match="3 well-formed answers"):
        BACKEND.recover_key(second, THRESHOLD, total=total.total(), shape=SHAPE, count=2)


def test_when_more_lie_than_can_be_told_nobody_is_named() -> None:
    good = answers_once()
    for liars in ((1, 2, 3, 4), (5, 6, 7, 8)):
        with pytest.raises(CiphertextRefused, match="no 5 of 8 answers"):
            recovered(good | {k: altered(good[k], k) for k in liars})
    three = {k: altered(good[k], k) for k in (1, 4, 8)}
    assert recovered(good | three) == (True, (1, 4, 8)), "all eight answered, so that three can be told"


def test_two_liars_in_league_accuse_nobody() -> None:
    """With packing 2 they cannot; with packing 1 they could, which is why no threshold allows for two there."""
    good = answers_once()
    given = good | {1: altered(good[1], 1), 2: altered(good[2], 2)}
    assert recovered(given) == (True, (1, 2))


@pytest.mark.parametrize("members", [0, 9, -1, True, "1"])
def test_members_that_there_are_not(members: int) -> None:
    with pytest.raises(ParametersRefused, match="no member"):
        recovered(dict(answers_once()) | {members: b""} if members is not True else {members: b""})


def test_too_few_answers() -> None:
    with pytest.raises(CiphertextRefused, match="4 well-formed answers"):
        recovered({k: answers_once()[k] for k in (1, 2, 3, 4)})
    with pytest.raises(CiphertextRefused, match="0 well-formed answers"):
        recovered({})


def test_a_sum_of_other_ciphertexts_does_not_decrypt() -> None:
    total = BACKEND.accumulator(shape=SHAPE)
    for _ in range(COUNT):
        total.add(BACKEND.encrypt(np.zeros(SHAPE.length), weight=0.3, shape=SHAPE).ciphertext)
    with pytest.raises(CiphertextRefused, match="no 5 of 8 answers"):
        BACKEND.recover_key(answers_once(), THRESHOLD, total=total.total(), shape=SHAPE, count=COUNT)


def test_what_is_no_share_is_not_added() -> None:
    shares = [one.shares[0] for one in dealt()]
    large = shares[0][:32] + b"\xff" * 8 + shares[0][40:]
    for wrong, said in (
        ([*shares, shares[0]], "share 3 is the same"),
        ([shares[0], shares[1][:-1]], "share 1 has"),
        ([shares[0], b""], "share 1 has 0 bytes"),
        ([shares[1], large], "share 1 holds a word"),
    ):
        with pytest.raises(CiphertextRefused, match=said):
            BACKEND.add_shares(wrong, THRESHOLD)
    with pytest.raises(ParametersRefused, match="0 contributions"):
        BACKEND.add_shares([], THRESHOLD)


def test_a_key_that_is_none_is_not_dealt() -> None:
    with pytest.raises(ParametersRefused, match="31 bytes"):
        BACKEND.deal_key(bytes(31), THRESHOLD)
    short = AdditiveAggregation(ParameterSet.named("sum-32-w12"), random=lambda _: b"")
    with pytest.raises(ParametersRefused, match="0 bytes"):
        short.deal_key(bytes(32), THRESHOLD)


def test_two_deals_of_one_key_have_nothing_in_common() -> None:
    one, two = (BACKEND.deal_key(bytes(32), THRESHOLD) for _ in range(2))
    assert not set(one.commitments) & set(two.commitments)
    for a, b in zip(one.shares, two.shares, strict=True):
        assert len(a) == 32 + 8 * 2048 + 16 and a != b
    assert "bytearray" not in repr(one)


def test_the_first_shares_tell_nothing_of_the_key() -> None:
    """Under one sharing seed, two keys give the first t_p members the same shares: they are the randomness itself."""
    seeded = AdditiveAggregation(ParameterSet.named("sum-256-w16"), random=lambda count: b"\x05" * count)
    one, two = (seeded.deal_key(bytes([key]) * 32, THRESHOLD) for key in (1, 2))
    assert one.shares[:3] == two.shares[:3]
    assert all(a != b for a, b in zip(one.shares[3:], two.shares[3:], strict=True))
