"""Shamir's shares: any t give the key, t - 1 are consistent with every key alike, and each damage is found."""

from __future__ import annotations

import contextlib
import itertools
import random as pseudo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference import shamir

from quatrefoil.broker import shares
from quatrefoil.broker.shares import Share, combine, split
from quatrefoil.errors import CallerError, DependencyMissing, MessageRefused, StateCorrupt

KEY = bytearray(range(32))
CEREMONY = bytes(32)

sizes = st.integers(2, 7).flatmap(lambda count: st.tuples(st.integers(2, count), st.just(count)))
keys = st.binary(min_size=32, max_size=32).map(bytearray)


def values(made: list[Share]) -> dict[int, bytearray]:
    return {share.index: share.value for share in made}


# ------------------------------------------------------------------------------------------------- any t recover


@settings(max_examples=15, deadline=None)
@given(key=keys, size=sizes, data=st.data())
def test_any_threshold_of_shares_give_the_key(key, size, data):
    threshold, count = size
    made = values(split(key, threshold, count, CEREMONY))
    for chosen in itertools.islice(itertools.combinations(made, threshold), 10):
        assert combine({index: made[index] for index in chosen}, threshold) == key
    more = data.draw(st.integers(threshold, count))
    assert combine(dict(itertools.islice(made.items(), more)), threshold) == key


@settings(max_examples=5, deadline=None)
@given(key=keys, size=sizes)
def test_an_independent_implementation_reads_the_shares(key, size):
    threshold, count = size
    made = values(split(key, threshold, count, CEREMONY))
    chosen = pseudo.Random(str(size)).sample(sorted(made), threshold)
    for half in (slice(0, 16), slice(16, 32)):
        points = {index: int.from_bytes(made[index][half], "big") for index in chosen}
        assert shamir.interpolate(points, 0, shamir.GF_2_128) == int.from_bytes(key[half], "big")
        for other in made:
            assert shamir.interpolate(points, other, shamir.GF_2_128) == int.from_bytes(made[other][half], "big")


def test_the_shares_of_an_independent_implementation_are_read():
    random = pseudo.Random(7)
    polynomials = [[int.from_bytes(KEY[half], "big"), *(random.getrandbits(128) for _ in range(2))] for half in HALVES]
    made = {
        index: b"".join(shamir.evaluate(one, index, shamir.GF_2_128).to_bytes(16, "big") for one in polynomials)
        for index in (2, 3, 5, 64)
    }
    for chosen in itertools.combinations(made, 3):
        assert combine({index: made[index] for index in chosen}, 3) == KEY


HALVES = (slice(0, 16), slice(16, 32))


# ------------------------------------------------------------------------------------------ t - 1 learn nothing


@pytest.mark.parametrize(("modulus", "threshold"), [(shamir.GF_2_3, 2), (shamir.GF_2_3, 3), (shamir.GF_2_4, 2)])
def test_fewer_shares_fit_every_secret_equally_often(modulus, threshold):
    """Over all polynomials of a small field: whatever t - 1 operators see, each secret explains it as often."""
    field = range(1 << (modulus.bit_length() - 1))
    counted: dict[tuple[int, ...], dict[int, int]] = {}
    for coefficients in itertools.product(field, repeat=threshold):
        seen = tuple(shamir.evaluate(coefficients, index, modulus) for index in range(1, threshold))
        of_secret = counted.setdefault(seen, dict.fromkeys(field, 0))
        of_secret[coefficients[0]] += 1
    assert len(counted) == len(field) ** (threshold - 1)
    assert all(set(of_secret.values()) == {1} for of_secret in counted.values())


@settings(max_examples=5, deadline=None)
@given(key=keys, other=keys, size=sizes)
def test_fewer_shares_of_the_real_field_fit_any_other_key(key, other, size):
    """t - 1 real shares and any other key lie on a polynomial of degree t - 1: they do not exclude it."""
    threshold, count = size
    made = values(split(key, threshold, count, CEREMONY))
    known = dict(itertools.islice(made.items(), threshold - 1))
    forged = bytearray()
    for half in HALVES:
        points = {index: int.from_bytes(value[half], "big") for index, value in known.items()}
        points[0] = int.from_bytes(other[half], "big")
        forged += shamir.interpolate(points, count, shamir.GF_2_128).to_bytes(16, "big")
    assert combine(known | {count: forged}, threshold) == other


def test_two_splits_of_one_key_have_nothing_in_common():
    first, second = (values(split(KEY, 2, 3, CEREMONY)) for _ in range(2))
    assert all(first[index] != second[index] for index in first)


# ---------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(("threshold", "count"), [(1, 3), (0, 3), (4, 3), (2, 65), (-1, 2), (2, 1)])
def test_sizes_that_protect_nothing_are_refused(threshold, count):
    with pytest.raises(CallerError, match=f"{threshold} of {count} shares cannot be asked for"):
        split(KEY, threshold, count, CEREMONY)


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_only_root_keys_are_split(size):
    with pytest.raises(CallerError, match="32 bytes"):
        split(bytearray(size), 2, 3, CEREMONY)


def test_too_few_are_refused():
    made = values(split(KEY, 3, 4, CEREMONY))
    with pytest.raises(MessageRefused, match=r"2 shares are too few: 3 give the key.*Ask 1 more"):
        combine({1: made[1], 4: made[4]}, 3)
    with pytest.raises(MessageRefused, match="0 shares are too few"):
        combine({}, 3)


@settings(max_examples=10, deadline=None)
@given(place=st.integers(0, 31), bit=st.integers(0, 7), wrong=st.integers(1, 4))
def test_a_wrong_value_among_more_than_enough_is_noticed(place, bit, wrong):
    made = values(split(KEY, 3, 4, CEREMONY))
    made[wrong][place] ^= 1 << bit
    with pytest.raises(MessageRefused, match="not of one key"):
        combine(made, 3)


def test_a_library_that_gives_other_shares_is_noticed(monkeypatch):
    real = shares._shamir()

    class Faulty:
        combine = staticmethod(real.combine)

        @staticmethod
        def split(threshold, count, secret):
            made = real.split(threshold, count, secret)
            return [*made[:-1], (made[-1][0], bytes(16))]

    monkeypatch.setattr(shares, "_shamir", lambda: Faulty)
    with pytest.raises(StateCorrupt, match="do not give the key back"):
        split(KEY, 2, 3, CEREMONY)


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "Crypto.Protocol.SecretSharing", None)
    with pytest.raises(DependencyMissing, match=r"quatrefoil\[hsm\]"):
        split(KEY, 2, 3, CEREMONY)


# -------------------------------------------------------------------------------------------- form and commitment


def a_share() -> Share:
    return split(KEY, 2, 3, bytes(range(32)))[1]


def test_the_form_is_as_specified():
    share = a_share()
    encoded = share.encode()
    assert encoded == b"QFSH\x01" + bytes(range(32)) + b"\x02" + share.salt + share.value
    assert len(encoded) == shares.SHARE_BYTES == 102
    assert Share.decode(encoded) == share


def test_every_other_form_is_refused():
    encoded = a_share().encode()
    wrong = [encoded[:-1], encoded + b"\x00", bytearray(), bytearray(102), bytearray(b"QFSH\x02") + encoded[5:]]
    wrong += [bytearray(encoded[:37] + bytes([index]) + encoded[38:]) for index in (0, 65, 255)]
    for content in wrong:
        with pytest.raises(MessageRefused):
            Share.decode(content)


@given(content=st.binary(max_size=150).map(bytearray))
def test_any_bytes_are_a_share_or_refused(content):
    with contextlib.suppress(MessageRefused):
        assert Share.decode(content).encode() == content


def test_a_commitment_fits_its_share_only():
    share = a_share()
    commitment = share.commitment()
    assert share.fits(commitment)
    for place in range(5, shares.SHARE_BYTES):
        altered = share.encode()
        altered[place] ^= 1
        try:
            assert not Share.decode(altered).fits(commitment)
        except MessageRefused:
            assert place == 37  # the index


def test_a_commitment_hides_a_value_that_is_guessed():
    """Without the salt, whoever guesses a value could see that it is right."""
    share = a_share()
    again = Share(share.ceremony, share.index, bytearray(32), share.value)
    assert not again.fits(share.commitment())


def test_secrets_are_not_printed_and_are_wiped():
    share = a_share()
    assert share.value.hex() not in repr(share) and repr(bytes(share.value)) not in repr(share)
    assert repr(bytes(share.salt)) not in repr(share)
    share.wipe()
    assert share.value == bytes(32) and share.salt == bytes(32)
