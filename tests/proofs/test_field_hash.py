"""The field hash: the vectors of a second implementation, linearity, every entry, every refusal."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference import field_hash as reference
from tests.vectors.field_hash import generate

from quatrefoil.errors import CallerError, ParametersRefused
from quatrefoil.proofs.field_hash import FieldHash, field_hash

P = reference.P
VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "field_hash" / "field_hash.json").read_text()
)
SMALL = FieldHash(12, -20, 40)


def words(encoded: bytes) -> list[int]:
    return [int.from_bytes(encoded[at : at + 8], "little") for at in range(0, len(encoded), 8)]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda one: f"{one['size']} in {one['low']}..{one['high']}")
def test_the_hashes_are_those_of_the_second_implementation(vector: dict[str, Any]) -> None:
    made = FieldHash(vector["size"], vector["low"], vector["high"])
    randomness = bytes.fromhex(vector["randomness"])
    assert (made.rows, made.rho_entries) == (vector["rows"], vector["rho_entries"])
    assert hashlib.sha256(made.rho(randomness).astype("<i4").tobytes()).hexdigest() == vector["rho_sha256"]
    found = made.hash(np.array(vector["inputs"]), randomness)
    assert hashlib.sha256(found).hexdigest() == vector["hash_sha256"]
    assert vector["hash"] in ("", found.hex())


def test_the_vectors_are_what_their_generator_writes() -> None:
    size, low, high = generate.SHAPES[1]
    assert generate.one(size, low, high, "drawn") == VECTORS[1]


entries = st.lists(st.integers(-20, 40), min_size=12, max_size=12)


@given(entries, entries, st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_it_is_linear_in_inputs_and_rho(first: list[int], second: list[int], random: Any) -> None:
    """h(x) + h(y) = h(z) + h(x + y - z) for whatever stays in range: z the entry-wise least of both."""
    least, most = np.minimum(first, second), np.maximum(first, second)
    a, b = (random.randbytes(SMALL.rho_bytes) for _ in range(2))
    mixed = bytes(min(x % 32, y % 32) for x, y in zip(a, b, strict=True))
    other = bytes(max(x % 32, y % 32) for x, y in zip(a, b, strict=True))
    one, two = words(SMALL.hash(np.array(first), a)), words(SMALL.hash(np.array(second), b))
    three, four = words(SMALL.hash(least, mixed)), words(SMALL.hash(most, other))
    assert [(x + y) % P for x, y in zip(one, two, strict=True)] == [
        (x + y) % P for x, y in zip(three, four, strict=True)
    ]


@given(entries, st.integers(0, 11), st.integers(-20, 40))
@settings(max_examples=60, deadline=None)
def test_every_entry_counts(inputs: list[int], place: int, value: int) -> None:
    rho = bytes(SMALL.rho_bytes)
    changed = [*inputs[:place], value, *inputs[place + 1 :]]
    same = SMALL.hash(np.array(inputs), rho) == SMALL.hash(np.array(changed), rho)
    assert same == (inputs == changed)


def test_every_byte_of_rho_counts_and_only_its_whole_bits() -> None:
    inputs, rho = np.zeros(12, np.int32), bytearray(SMALL.rho_bytes)
    plain = SMALL.hash(inputs, bytes(rho))
    for place in range(0, SMALL.rho_bytes, 97):
        rho[place] = 1
        assert SMALL.hash(inputs, bytes(rho)) != plain
        rho[place] = 0
    # 61 integers have five whole bits: the others of a byte are not read.
    assert SMALL.hash(inputs, bytes([0xE0]) + bytes(SMALL.rho_bytes - 1)) == plain


def test_one_input_under_fresh_rho_has_another_hash_each_time_and_rho_stays_in_the_range() -> None:
    inputs, seen = np.full(12, 7), set()
    for _ in range(20):
        randomness = os.urandom(SMALL.rho_bytes)
        entries = SMALL.rho(randomness)
        assert entries.min() == -20 and entries.max() == 11
        seen.add(SMALL.hash(inputs, randomness))
    assert len(seen) == 20


def test_rho_has_256_bits_more_than_the_hash() -> None:
    for size, low, high in generate.SHAPES:
        made = FieldHash(size, low, high)
        bits = made.rho_entries * ((high - low + 1).bit_length() - 1)
        assert 64 * made.rows + 256 <= bits < 64 * made.rows + 256 + 16


@pytest.mark.parametrize("size", [30, 300])
def test_a_combination_of_rows_is_that_of_the_reference(size: int) -> None:
    made = FieldHash(size, -128, 127)
    point = [[(17 * k + 3) ** 9 % P, (5 * k + 1) ** 11 % P] for k in range(8)]
    encoded = b"".join(part.to_bytes(8, "little") for one in point for part in one)
    found = made.row_combination(encoded)
    assert len(found) == 16 * (size + made.rho_entries)
    weights = eq([tuple(one) for one in point])[: made.rows]
    matrix = reference.matrix(size, -128, 127)
    for column in (0, 1, size - 1, size, len(matrix) - 1):
        expected = [
            sum(weight[part] * word for weight, word in zip(weights, matrix[column], strict=True)) % P
            for part in (0, 1)
        ]
        assert words(found[16 * column : 16 * column + 16]) == expected


def eq(point: list[tuple[int, ...]]) -> list[tuple[int, int]]:
    """eq(r, i) for every i, variable 0 the most significant bit; docs/proofs.md, Notation."""
    table = [(1, 0)]
    for re, im in point:
        table = [one for old in table for one in (times(old, ((1 - re) % P, -im % P)), times(old, (re, im)))]
    return table


def times(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    return (a[0] * b[0] + 7 * a[1] * b[1]) % P, (a[0] * b[1] + a[1] * b[0]) % P


# ------------------------------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize("bad", [-21, 41, 1 << 31, -(1 << 31) - 1, (1 << 32) + 5, 1 << 62])
def test_what_is_out_of_range_is_refused_and_not_named(bad: int) -> None:
    inputs = np.zeros(12, np.int64)
    inputs[3] = bad
    with pytest.raises(CallerError, match="outside -20 to 40") as refusal:
        SMALL.hash(inputs, bytes(SMALL.rho_bytes))
    assert str(bad) not in str(refusal.value)


@pytest.mark.parametrize("inputs", [np.zeros(11, int), np.zeros(13, int), np.zeros(0, int), np.zeros(12)])
def test_what_is_no_sample_is_refused(inputs: Any) -> None:
    with pytest.raises(CallerError, match="not 12 integers"):
        SMALL.hash(inputs, bytes(SMALL.rho_bytes))


@pytest.mark.parametrize("length", [0, SMALL.rho_bytes - 1, SMALL.rho_bytes + 1])
def test_another_length_of_rho_is_refused(length: int) -> None:
    with pytest.raises(CallerError, match="bytes for rho"):
        SMALL.hash(np.zeros(12, int), bytes(length))
    with pytest.raises(CallerError, match="bytes for rho"):
        SMALL.rho(bytes(length))


@pytest.mark.parametrize(
    ("size", "low", "high"),
    [(0, 0, 255), (-1, 0, 255), ((1 << 20) + 1, 0, 255), (5, 0, 14), (5, 3, 2), (5, 0, 65536), (5, -32769, 0)],
)
def test_sizes_and_ranges_without_an_estimate_are_refused(size: int, low: int, high: int) -> None:
    with pytest.raises(ParametersRefused, match="no field hash"):
        FieldHash(size, low, high)


@pytest.mark.parametrize("point", [b"", bytes(16 * 7), bytes(16 * 9), P.to_bytes(8, "little") * 16])
def test_a_point_of_another_length_or_beyond_p_is_refused(point: bytes) -> None:
    with pytest.raises(CallerError, match="no point"):
        SMALL.row_combination(point)


def test_the_last_ones_are_kept() -> None:
    assert field_hash(30, 0, 255) is field_hash(30, 0, 255)
    assert field_hash(30, 0, 255) is not field_hash(30, -128, 127)
