"""The kernel's verifier and the second one say the same of every proof with further claims, and of other claims."""

from __future__ import annotations

import random
from functools import cache

import numpy as np
import pytest
from both_verifiers import accepted_by_both, second_statement
from numpy.typing import NDArray
from proving import NARROW, WIDE, Instance, instance, rounded
from test_verifiers_agree import HOW, mutated

from quatrefoil.aggregation import ParameterSet
from quatrefoil.contracts import BoundedUpdate, FurtherClaims, PartNorm
from quatrefoil.proofs import BoundedUpdateProofs

LARGEST = 2**62 - 1
Part = tuple[int, int, int]


def claiming(one: Instance, parts: list[Part], entries: NDArray[np.int16] | None) -> BoundedUpdate:
    direction = None if entries is None else one.backend.direction(entries)
    return one.stated(further=FurtherClaims(tuple(PartNorm(*part) for part in parts), direction))


def true_parts(one: Instance, *ranges: tuple[int, int]) -> list[Part]:
    values = rounded(one)
    return [(first, end, sum(value * value for value in values[first:end])) for first, end in ranges]


def direction(one: Instance, seed: int) -> NDArray[np.int16]:
    """All 16 bits, signs of both kinds, and the sum of products is not negative."""
    source, values = np.random.default_rng(seed), np.array(rounded(one))
    entries = source.integers(-32_767, 32_768, len(values))
    entries = entries if values @ entries >= 0 else -entries
    # The lowest there is, where it does not make the sum smaller.
    return np.where((entries == -32_767) & (values < 0), -32_768, entries).astype(np.int16)


@cache
def proven(name: str) -> tuple[Instance, list[Part], BoundedUpdate, bytes]:
    one = instance(ParameterSet.named(name), 5_000)
    parts = true_parts(one, (0, 5_000), (4_095, 4_097), (100, 4_500))
    statement = claiming(one, parts, direction(one, 1))
    return one, parts, statement, one.backend.prove(statement, one.hidden)


@pytest.mark.parametrize(
    ("parameters", "length", "blocks"),
    [
        (WIDE, 1, 1),
        (WIDE, 3 * 8_192 - 5, 3),
        (NARROW, 12_289, 2),
        pytest.param(NARROW, 5 * 12_288 + 4_097, 6, marks=pytest.mark.slow),
        pytest.param(WIDE, 9 * 8_192 - 4_000, 9, marks=pytest.mark.slow),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_they_agree_on_proofs_of_every_shape(parameters: ParameterSet, length: int, blocks: int) -> None:
    """Parts that begin and end anywhere, in either order, over each other, and at the ends of slots and blocks."""
    one, source = instance(parameters, length), random.Random(length)
    edges = [edge for edge in range(4_096, length, 4_096) for edge in (edge - 1, edge, edge + 1) if edge < length]
    anywhere = [*edges, *(source.randrange(length + 1) for _ in range(10)), 0, length]
    pairs = [sorted(source.sample(anywhere, 2)) for _ in range(12)]
    parts = true_parts(one, *((first, end) for first, end in pairs if first < end), (length - 1, length))
    statement = claiming(one, parts, direction(one, 2))
    proof = one.backend.prove(statement, one.hidden)
    name = parameters.name
    assert len(one.encrypted.ciphertext) == 96 + 8 * 4_096 * blocks
    assert accepted_by_both(one.backend, name, statement, proof)
    assert not accepted_by_both(one.backend, name, claiming(one, parts, None), proof)


@pytest.mark.parametrize("count", [1, 55, 56])
def test_they_agree_on_the_most_claims_there_are(count: int) -> None:
    one, _, _, _ = proven(WIDE.name)
    parts = [(i, 5_000 - i, LARGEST) for i in range(count)]
    statement = claiming(one, parts, direction(one, 3) if count == 55 else None)
    assert accepted_by_both(one.backend, WIDE.name, statement, one.backend.prove(statement, one.hidden))


def test_they_agree_on_a_direction_alone() -> None:
    one, _, _, _ = proven(NARROW.name)
    statement = claiming(one, [], direction(one, 4))
    assert accepted_by_both(one.backend, NARROW.name, statement, one.backend.prove(statement, one.hidden))


@pytest.mark.parametrize("name", [WIDE.name, pytest.param(NARROW.name, marks=pytest.mark.slow)])
def test_they_agree_that_a_proof_is_of_its_own_claims(name: str) -> None:
    one, parts, statement, proof = proven(name)
    entries, (first, second, third) = direction(one, 1), parts
    assert accepted_by_both(one.backend, name, statement, proof)
    turned, first_entry, last_entry = -np.maximum(entries, -32_767), entries.copy(), entries.copy()
    first_entry[0] ^= 1
    last_entry[-1] ^= 1
    larger, smaller = ((first[0], first[1], first[2] + by) for by in (1, -1))
    others = [
        claiming(one, [], None),
        claiming(one, parts, None),
        claiming(one, [], entries),
        claiming(one, [second, first, third], entries),
        claiming(one, [*parts, third], entries),
        claiming(one, [larger, second, third], entries),
        claiming(one, [smaller, second, third], entries),
        claiming(one, [first, (4_095, 4_098, second[2]), third], entries),
        claiming(one, [first, second, (101, 4_500, third[2])], entries),
        claiming(one, parts, turned),
        claiming(one, parts, first_entry),
        claiming(one, parts, last_entry),
    ]
    for which, other in enumerate(others):
        assert not accepted_by_both(one.backend, name, other, proof)
        if which % 4:
            continue
        # With the digest of the other statement put in its place, what is wrong is the argument itself.
        about, blocks = second_statement(name, other)
        digest = about.digest(blocks)
        assert not accepted_by_both(one.backend, name, other, proof[:12] + digest + proof[44:])


@pytest.mark.parametrize(
    "parts",
    [
        [(3, 3, 1)],
        [(4, 3, 1)],
        [(0, 5_001, 1)],
        [(5_000, 5_001, 1)],
        [(0, 1, 2**62)],
        [(0, 1, -1)],
        [(-1, 2, 1)],
        [(0, 1, LARGEST)] * 57,
    ],
)
def test_they_agree_on_what_is_no_claim(parts: list[Part]) -> None:
    one, _, _, proof = proven(WIDE.name)
    assert not accepted_by_both(one.backend, WIDE.name, claiming(one, parts, None), proof)


def test_they_agree_on_what_is_no_direction() -> None:
    one, _, _, proof = proven(WIDE.name)
    for entries in (np.zeros(4_999, np.int16), np.zeros(5_001, np.int16)):
        assert not accepted_by_both(one.backend, WIDE.name, claiming(one, [], entries), proof)
    too_many = claiming(one, [(0, 1, LARGEST)] * 56, direction(one, 1))
    assert not accepted_by_both(one.backend, WIDE.name, too_many, proof)


def agree_on_changes(name: str, how: str, count: int) -> None:
    one, _, statement, proof = proven(name)
    source = random.Random(f"claims {name} {how}")
    other = BoundedUpdateProofs(one.parameters, random=lambda count: b"\x04" * count).prove(statement, one.hidden)
    for _ in range(count):
        changed = mutated(source, how, proof, other)
        assert accepted_by_both(one.backend, name, statement, changed) == (changed == proof)


@pytest.mark.parametrize("how", HOW)
def test_they_agree_on_changed_proofs_with_claims(how: str) -> None:
    agree_on_changes(random.Random(how).choice((WIDE.name, NARROW.name)), how, 1)


@pytest.mark.slow
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("name", [WIDE.name, NARROW.name])
def test_they_agree_on_many_changed_proofs_with_claims(name: str, how: str) -> None:
    agree_on_changes(name, how, 20)
