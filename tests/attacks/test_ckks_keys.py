"""Whose key opens what in a round in CKKS: what one key for all silos gives away, and ternary ones, and reused ones."""

from __future__ import annotations

import numpy as np
import pytest

from quatrefoil.aggregation import CkksAggregation, CkksSumSet
from quatrefoil.aggregation.ciphertext import HEADER_BYTES, KEY_HEADER_BYTES
from quatrefoil.aggregation.ckks import backend as under_attack
from quatrefoil.aggregation.ckks.polynomials import OneKey, reference
from quatrefoil.aggregation.he.context import context
from quatrefoil.aggregation.he.keys import SecretKey
from quatrefoil.contracts import Encrypted, SumShape
from quatrefoil.errors import CiphertextRefused

SET = CkksSumSet.named("ckks-sum-4096")
BACKEND = CkksAggregation(SET)
FORM = SumShape(4096, 1.0, b"a round's context, 32 bytes long")
DRAW = np.random.default_rng(11)
UPDATES = [DRAW.uniform(-1, 1, FORM.length) for _ in range(3)]


def sent(updates: list[np.ndarray] = UPDATES) -> list[Encrypted]:
    return [BACKEND.encrypt(update, weight=1.0, shape=FORM) for update in updates]


def read_with(key: bytes | bytearray, ciphertext: bytes) -> np.ndarray:
    """What whoever has this one key makes of this ciphertext: the values at full precision, unchecked."""
    one = OneKey(context(SET.seal), np.frombuffer(key, np.int8), SET.scale)
    return one.decrypt(words(ciphertext), reference(SET, FORM.context, 0))


def words(ciphertext: bytes) -> np.ndarray:
    return np.frombuffer(ciphertext, "<u8", offset=HEADER_BYTES)


def alike(found: np.ndarray, update: np.ndarray) -> float:
    """The correlation: 1 is the update, and 5 / sqrt(4096) = 0.08 is what chance does not reach."""
    return abs(float(np.corrcoef(found, update)[0, 1]))


def test_with_one_shared_key_any_silo_reads_everyone(monkeypatch: pytest.MonkeyPatch) -> None:
    """CKKS as it comes: what NVFlare and TenSEAL's examples do."""
    shared = under_attack.fresh_secret(context(SET.seal))
    monkeypatch.setattr(under_attack, "fresh_secret", lambda _: bytearray(shared))
    mine, *others = sent()
    for other, update in zip(others, UPDATES[1:], strict=True):
        assert np.abs(read_with(mine.key, other.ciphertext) - update).max() < SET.error(1)
    # The key authority would notice.
    with pytest.raises(CiphertextRefused, match="key 1 is the same as an earlier one"):
        BACKEND.combine_keys([mine.key, *(other.key for other in others)])


def test_with_fresh_keys_no_silo_reads_another() -> None:
    mine, *others = sent()
    for other, update in zip(others, UPDATES[1:], strict=True):
        assert alike(read_with(mine.key, other.ciphertext), update) < 0.08


def test_the_sum_of_the_keys_opens_no_single_ciphertext_and_no_other_sum() -> None:
    given = sent()
    combined = BACKEND.combine_keys([one.key for one in given])
    total = np.frombuffer(combined, "<i2", offset=KEY_HEADER_BYTES)
    key = OneKey(context(SET.seal), total, SET.scale)
    for one, update in zip(given, UPDATES, strict=True):
        found = key.decrypt(words(one.ciphertext), reference(SET, FORM.context, 0))
        assert alike(found, update) < 0.08
    partial = (words(given[0].ciphertext) + words(given[1].ciphertext)) % np.uint64(SET.modulus)
    found = key.decrypt(partial, reference(SET, FORM.context, 0))
    assert alike(found, UPDATES[0] + UPDATES[1]) < 0.08


def test_the_limit_who_subtracts_what_it_knows_has_the_sum_of_the_rest() -> None:
    """Two colluding silos of three, with the aggregator: one honest silo is its own sum."""
    given = sent()
    found = BACKEND.decrypt(added(given), BACKEND.combine_keys([one.key for one in given]), shape=FORM, count=3).values
    assert np.abs(found - UPDATES[1] - UPDATES[2] - UPDATES[0]).max() < SET.error(3) + SET.step(3)
    assert alike(found - UPDATES[2], UPDATES[0]) < 0.9  # one colluding: two are left, and hide each other


def added(given: list[Encrypted]) -> bytes:
    accumulator = BACKEND.accumulator(shape=FORM)
    for one in given:
        accumulator.add(one.ciphertext)
    return accumulator.total()


def test_a_key_that_serves_twice_in_a_round_shows_how_the_update_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Why a key is drawn inside every encryption, and cannot be handed in."""
    reused = under_attack.fresh_secret(context(SET.seal))
    monkeypatch.setattr(under_attack, "fresh_secret", lambda _: bytearray(reused))
    first, second = sent([UPDATES[0], UPDATES[1]])
    difference = words(first.ciphertext) + np.uint64(SET.modulus) - words(second.ciphertext)
    any_key = OneKey(context(SET.seal), np.ones(SET.ring_degree, np.int8), SET.scale)
    found = any_key.decrypt(difference % np.uint64(SET.modulus), np.zeros(SET.ring_degree, np.uint64))
    assert np.abs(found - (UPDATES[0] - UPDATES[1])).max() < 2 * SET.error(1)


def seals_own() -> np.ndarray:
    """The coefficients of a secret as SEAL draws it for itself: ternary."""
    key = SecretKey.generate(SET.seal)
    values = np.frombuffer(key.save(), "<u8", offset=88)[: SET.ring_degree]
    # Opening (0, 1) under a key gives the key.
    from tests.reference.he import coefficients

    found = np.array(coefficients(values.tolist(), SET.modulus), dtype=object)
    return np.where(found > SET.modulus // 2, found - SET.modulus, found).astype(np.int64)


def test_of_the_sum_of_two_ternary_keys_2_in_9_coefficients_follow_and_of_ours_none() -> None:
    """The sum of the keys is released to the aggregator."""
    ternary = [seals_own() for _ in range(2)]
    assert set(np.unique(ternary[0])) == {-1, 0, 1}
    revealed = ternary[0] + ternary[1]
    certain = np.abs(revealed) == 2
    np.testing.assert_array_equal(ternary[0][certain], revealed[certain] // 2)
    assert np.mean(certain) == pytest.approx(2 / 9, abs=0.04)
    ours = [np.frombuffer(one.key, np.int8).astype(int) for one in sent()[:2]]
    both = ours[0] + ours[1]
    assert not (np.abs(both) == 84).any()
    guess = np.rint(both / 2)
    assert np.mean(guess == ours[0]) < 0.2  # 2^-3.03 = 0.12, docs/security-level.md
    assert np.var(ours[0] - both / 2) == pytest.approx(10.5, rel=0.15)
