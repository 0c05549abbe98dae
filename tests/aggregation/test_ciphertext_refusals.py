"""Ciphertexts, sums, rosters and keys that the additive backend must not accept, and what it says."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pytest
from tests.aggregation.support import SETS, added, seeded, seeds, shape, updates

from quatrefoil import _core
from quatrefoil.aggregation import AdditiveAggregation, ParameterSet
from quatrefoil.aggregation.ciphertext import HEADER_BYTES, KEY_HEADER_BYTES
from quatrefoil.contracts import SumShape
from quatrefoil.errors import CiphertextRefused, ParametersRefused

BACKEND = AdditiveAggregation(SETS[0])
FORM = shape(100)


def contribution(form: SumShape = FORM, parameters: ParameterSet = SETS[0]) -> bytes:
    values = np.zeros(form.length, dtype=np.float32)
    return seeded(parameters, "good").encrypt(values, weight=1.0, shape=form).ciphertext


# ----------------------------------------------------------------------------------------------------- ciphertexts

GOOD = contribution()


def with_bytes(data: bytes, offset: int, new: bytes) -> bytes:
    return data[:offset] + new + data[offset + len(new) :]


DAMAGED = {
    "empty": (b"", "0 bytes, fewer than a header"),
    "header only": (GOOD[:HEADER_BYTES], f"has {HEADER_BYTES} bytes, not 32864"),
    "one byte short": (GOOD[:-1], "32863 bytes, not 32864"),
    "one byte long": (GOOD + b"\0", "32865 bytes, not 32864"),
    "one block long": (GOOD + bytes(32768), "65632 bytes, not 32864"),
    "magic": (with_bytes(GOOD, 0, b"X"), "starts with"),
    "version": (with_bytes(GOOD, 8, b"\2"), "version 2, not 1"),
    "reserved": (with_bytes(GOOD, 10, b"\1"), "1 in a reserved field"),
    "count": (with_bytes(GOOD, 12, b"\2"), "sums 2 contributions, not 1"),
    "length": (with_bytes(GOOD, 16, b"\x63"), "holds 99 values, not 100"),
    "parameters": (contribution(parameters=SETS[1]), r"uses the parameters .*sum-256-w16"),
    "round": (contribution(shape(100, context=bytes(32))), "belongs to the round context 0000"),
    "clip bound": (contribution(shape(100, clip=2.0)), r"clip bound of 2\.0, not 1\.0"),
    "a word of p": (with_bytes(GOOD, HEADER_BYTES + 8 * 7, struct.pack("<Q", _core.MODULUS)), "at word 7, not below"),
    "a word of ones": (GOOD[:-8] + b"\xff" * 8, "holds 18446744073709551615 at word 4095"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_contributions_are_named_and_refused(name: str) -> None:
    damaged, message = DAMAGED[name]
    with pytest.raises(CiphertextRefused, match=rf"ciphertext 0 .*{message.split(',')[0]}"):
        added(BACKEND, [damaged], FORM)
    accumulator = BACKEND.accumulator(shape=FORM)
    accumulator.add(GOOD)
    before = accumulator.total()
    with pytest.raises(CiphertextRefused, match=rf"ciphertext 1 .*{message.split(',')[0]}"):
        accumulator.add(damaged)
    assert (accumulator.count, accumulator.total()) == (1, before)


@pytest.mark.parametrize("name", [name for name in DAMAGED if name != "count"])
def test_damaged_sums_do_not_decrypt(name: str) -> None:
    damaged, message = DAMAGED[name]
    with pytest.raises(CiphertextRefused, match=message):
        BACKEND.decrypt(damaged, BACKEND.combine_keys([next(seeds("good"))]), shape=FORM, count=1)


def test_rosters_that_are_too_large_or_empty() -> None:
    parameters = replace(SETS[0], max_silos=3, name="three")
    backend = AdditiveAggregation(parameters)
    inputs = [backend.encrypt(np.zeros(100), weight=1.0, shape=FORM) for _ in range(4)]
    for call in (
        lambda: added(backend, [c.ciphertext for c in inputs], FORM),
        lambda: backend.combine_keys([c.key for c in inputs]),
        lambda: backend.decrypt(b"", b"", shape=FORM, count=4),
    ):
        with pytest.raises(ParametersRefused, match="4 contributions are not within 1 to 3"):
            call()
    accumulator = backend.accumulator(shape=FORM)
    with pytest.raises(ParametersRefused, match="0 contributions"):
        accumulator.total()
    for c in inputs[:3]:
        accumulator.add(c.ciphertext)
    with pytest.raises(ParametersRefused, match="4 contributions"):
        accumulator.add(inputs[3].ciphertext)
    assert accumulator.total() == added(backend, [c.ciphertext for c in inputs[:3]], FORM)
    for call in (lambda: added(backend, [], FORM), lambda: backend.combine_keys([])):
        with pytest.raises(ParametersRefused, match="0 contributions"):
            call()


# ------------------------------------------------------------------------------------------------------------ keys

CONTRIBUTIONS = [seeded(SETS[0], f"key {i}").encrypt(u, weight=0.5, shape=FORM) for i, u in enumerate(updates(3, 100))]
TOTAL = added(BACKEND, [c.ciphertext for c in CONTRIBUTIONS], FORM)
KEY = BACKEND.combine_keys([c.key for c in CONTRIBUTIONS])

WRONG_KEYS = {
    "empty": (b"", "0 bytes, not 32816"),
    "too short": (KEY[:-1], "32815 bytes"),
    "too long": (KEY + b"\0", "32817 bytes"),
    "magic": (with_bytes(KEY, 0, b"X"), "starts with"),
    "version": (with_bytes(KEY, 8, b"\7"), "version 7"),
    "reserved": (with_bytes(KEY, 10, b"\1"), "reserved"),
    "count": (BACKEND.combine_keys([c.key for c in CONTRIBUTIONS[:2]]), "sums 2 secrets, not 3"),
    "parameters": (AdditiveAggregation(SETS[1]).combine_keys([c.key for c in CONTRIBUTIONS]), "uses the parameters"),
    "another silo": (
        BACKEND.combine_keys([CONTRIBUTIONS[0].key, CONTRIBUTIONS[1].key, bytes(32)]),
        "does not belong to this sum: coefficient .* residual",
    ),
    "one coefficient off by one": (
        with_bytes(
            KEY, KEY_HEADER_BYTES, struct.pack("<Q", (struct.unpack_from("<Q", KEY, 48)[0] + 1) % _core.MODULUS)
        ),
        "does not belong to this sum",
    ),
    "a coefficient no secrets add up to": (
        with_bytes(KEY, KEY_HEADER_BYTES + 8, struct.pack("<Q", 127)),
        "coefficient 1 ",
    ),
    "a word of p": (with_bytes(KEY, KEY_HEADER_BYTES, struct.pack("<Q", _core.MODULUS)), "not below p"),
}


@pytest.mark.parametrize("name", WRONG_KEYS)
def test_keys_that_do_not_belong_to_the_sum(name: str) -> None:
    key, message = WRONG_KEYS[name]
    with pytest.raises(CiphertextRefused, match=message):
        BACKEND.decrypt(TOTAL, key, shape=FORM, count=3)


def test_the_right_key_still_decrypts() -> None:
    exact = sum(0.5 * u for u in updates(3, 100))
    decrypted = BACKEND.decrypt(TOTAL, KEY, shape=FORM, count=3)
    assert np.abs(decrypted.values - exact).max() <= decrypted.error_bound


@pytest.mark.parametrize("count", [2, 4])
def test_a_count_that_is_not_the_sums(count: int) -> None:
    with pytest.raises(CiphertextRefused, match=f"sums 3 contributions, not {count}"):
        BACKEND.decrypt(TOTAL, KEY, shape=FORM, count=count)


@pytest.mark.parametrize("bit", [0, 7, 14, 15, 30, 46, 60])
def test_a_flipped_bit_in_the_sum_changes_noise_or_value_and_never_passes_as_noise(bit: int) -> None:
    """Flips below the shift are seen as noise; those above it are a change of the sum that signatures must catch."""
    word = struct.unpack_from("<Q", TOTAL, HEADER_BYTES)[0] ^ (1 << bit)
    damaged = with_bytes(TOTAL, HEADER_BYTES, struct.pack("<Q", word))
    honest = BACKEND.decrypt(TOTAL, KEY, shape=FORM, count=3).values
    try:
        values = BACKEND.decrypt(damaged, KEY, shape=FORM, count=3).values
    except CiphertextRefused:
        return
    if bit >= 15:
        assert values[0] != honest[0]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ([b""], "key 0 has 0 bytes"),
        ([bytes(32), bytes(31)], "key 1 has 31 bytes"),
        ([bytes(32), b"x" * 32, bytearray(32)], "key 2 is the same as an earlier one"),
    ],
)
def test_keys_that_are_none_or_repeat(keys: list[bytes], message: str) -> None:
    with pytest.raises(CiphertextRefused, match=message):
        BACKEND.combine_keys(keys)


# ---------------------------------------------------------------------------------------------------------- kernel


def test_the_kernel_checks_lengths_itself() -> None:
    layout = SETS[0].layout
    seed = bytes(32)
    known = {"clip": 1.0, "factor": 1.0, "context": seed, "key_seed": seed, "noise_seed": seed, "threads": 1}
    for change in ({"context": b""}, {"key_seed": b"x"}, {"noise_seed": bytes(64)}, {"threads": 0}, {"factor": 1e9}):
        with pytest.raises(ValueError):
            _core.encrypt(layout, b"", np.zeros(5), **{**known, **change})
    with pytest.raises(TypeError):
        _core.encrypt(layout, b"", np.zeros(5, dtype=np.int32), **known)
    accumulator = _core.Accumulator(0, 32768)
    for data, offset in ((b"", 0), (bytes(32767), 0), (bytes(65536), 0), (bytes(32768), 1), (bytes(32768), 1 << 40)):
        with pytest.raises(ValueError):
            accumulator.add(data, offset)
    with pytest.raises(ValueError):
        _core.Layout(16, 2, 24, 16, bytes(32))
    with pytest.raises(ValueError):
        _core.Accumulator(96, 0)
    with pytest.raises(ValueError):
        _core.combine_keys(layout, b"", [bytes(31)])
