"""Proofs as bytes: every part of a toy proof changed, cut, moved or encoded otherwise is rejected with a reason."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_proofs import Silo, run, toy_shape

import bounded_update.proof_bytes
from bounded_update import Rejected, Statement, verify
from bounded_update.field import P
from bounded_update.proof_bytes import Proof, Reader, fixed_length, largest_length, regions
from bounded_update.tree import Tree, leaf, node, root_of, siblings

SHAPE = toy_shape(2, 2, 40)
BYTES = ("magic", "version", "reserved", "statement", "root", "salt", "path")


@pytest.fixture(scope="module")
def honest() -> tuple[Statement, list[list[int]], Proof]:
    silo = Silo(SHAPE)
    statement, blocks, proof = silo.statement(), silo.blocks(), run(silo.prover())
    verify(statement, blocks, proof.to_bytes())
    return statement, blocks, proof


Honest = tuple[Statement, list[list[int]], Proof]


def rejected(honest: Honest, data: bytes) -> str:
    with pytest.raises(Rejected) as caught:
        verify(honest[0], honest[1], data)
    return caught.value.reason


def test_the_parts_are_the_whole(honest: Honest) -> None:
    parts = regions(SHAPE, honest[2])
    assert parts[0][1] == 0 and parts[-1][1] + parts[-1][2] == len(honest[2].to_bytes())
    for (_, at, size), (_, next_at, _) in pairwise(parts):
        assert at + size == next_at
    assert fixed_length(SHAPE) < len(honest[2].to_bytes()) <= largest_length(SHAPE)


def test_a_change_of_any_part_is_rejected(honest: Honest) -> None:
    """The first, the last and one more word or byte of every part."""
    data, draw = honest[2].to_bytes(), random.Random(1)
    for name, at, size in regions(SHAPE, honest[2]):
        width = 1 if name.startswith(BYTES) else 8
        for offset in {0, size - width, draw.randrange(size // width) * width}:
            place = at + offset
            if width == 1:
                now = bytes([data[place] ^ 1 << draw.randrange(8)])
            else:
                now = ((int.from_bytes(data[place : place + 8], "little") + 1) % P).to_bytes(8, "little")
            assert rejected(honest, data[:place] + now + data[place + width :]), name


def test_every_eleventh_byte_is_looked_at(honest: Honest) -> None:
    data = honest[2].to_bytes()
    for place in range(0, len(data), 11 * 8 + 3):
        rejected(honest, data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :])


def test_a_proof_cut_anywhere_is_rejected(honest: Honest) -> None:
    data = honest[2].to_bytes()
    cuts = {at for _, at, _ in regions(SHAPE, honest[2])} | set(range(0, 300, 7)) | {len(data) - 1}
    for length in cuts:
        reason = rejected(honest, data[:length])
        assert reason in ("the proof is too short for the shape", "the proof ends early")


def test_a_longer_proof_is_rejected(honest: Honest) -> None:
    data = honest[2].to_bytes()
    assert rejected(honest, data + b"\0") == "the proof goes on after its end"
    space = largest_length(SHAPE) - len(data)
    assert rejected(honest, data + bytes(space)) == "the proof goes on after its end"
    assert rejected(honest, data + bytes(space + 1)) == "the proof is too long for the shape"


def test_lengths_are_looked_at_before_anything_is_computed(honest: Honest, monkeypatch: pytest.MonkeyPatch) -> None:
    def computed(*_: object) -> None:
        raise AssertionError("something was computed")

    monkeypatch.setattr(bounded_update.proof_bytes.Reader, "head", computed)
    rejected(honest, bytes(fixed_length(SHAPE) - 1))
    rejected(honest, bytes(largest_length(SHAPE) + 1))


def test_parts_that_change_places_are_rejected(honest: Honest) -> None:
    data, parts = honest[2].to_bytes(), regions(SHAPE, honest[2])
    moved = 0
    for (one, at, size), (other, there, same) in pairwise(part for part in parts if part[2] >= 8):
        changed = data[:at] + data[there : there + same] + data[at : at + size] + data[there + same :]
        if changed != data:
            assert rejected(honest, changed), (one, other)
            moved += 1
    assert moved > 50


def test_words_that_are_not_reduced_are_rejected(honest: Honest) -> None:
    data = honest[2].to_bytes()
    for name, at, size in regions(SHAPE, honest[2]):
        if not name.startswith(BYTES):
            for offset in (0, size - 8):
                for word in (P, 2**64 - 1):
                    changed = data[: at + offset] + word.to_bytes(8, "little") + data[at + offset + 8 :]
                    reason = rejected(honest, changed)
                    if offset == 0 and name in ("v", "round 0", "y", "sigma", "u_m"):
                        assert reason == "an element of the proof is not below p"


@pytest.mark.parametrize(
    ("at", "value", "reason"),
    [(0, b"QFADDSUM", "no proof"), (8, b"\2\0", "version"), (8, b"\0\0", "version"), (10, b"\1\0", "reserved")],
)
def test_other_kinds_of_bytes_are_named(honest: Honest, at: int, value: bytes, reason: str) -> None:
    data = honest[2].to_bytes()
    assert reason in rejected(honest, data[:at] + value + data[at + len(value) :])


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_no_bytes_do_anything_but_be_rejected(honest: Honest, data: st.DataObject) -> None:
    good = honest[2].to_bytes()
    start = data.draw(st.integers(0, len(good)))
    piece = data.draw(st.binary(max_size=100))
    changed = good[:start] + piece + good[start + data.draw(st.integers(0, 100)) :]
    if changed != good:
        rejected(honest, changed)


def test_no_opening_is_longer_than_the_largest() -> None:
    draw = random.Random(2)
    for _ in range(50):
        positions = sorted(draw.sample(range(128), 12))
        assert len(siblings(positions, 7)) <= sum(min(12, 128 >> level + 1) for level in range(7))


def test_paths_lead_to_the_root_and_hold_what_is_needed_only() -> None:
    draw = random.Random(3)
    leaves = [leaf(bytes([i]) * 32, [i, i + 1]) for i in range(16)]
    tree = Tree(leaves)
    assert tree.root == node(*tree.levels[-2])
    for _ in range(40):
        positions = sorted(draw.sample(range(16), draw.randint(1, 16)))
        path = tree.path(positions)
        opened = {i: leaves[i] for i in positions}
        assert root_of(opened, 4, path) == tree.root
        if path:
            spoiled = [bytes(32), *path[1:]]
            assert root_of(opened, 4, spoiled) != tree.root
        other = opened | {positions[0]: bytes(32)}
        assert root_of(other, 4, path) != tree.root
    assert tree.path(list(range(16))) == []


def test_salts_and_words_are_both_in_a_leaf() -> None:
    assert (
        len({leaf(bytes(32), [1, 2]), leaf(bytes([1]) * 32, [1, 2]), leaf(bytes(32), [2, 1]), leaf(b"", [1, 2])}) == 4
    )


def test_a_reader_takes_nothing_that_is_not_there() -> None:
    reader = Reader(SHAPE, bytes(fixed_length(SHAPE)))
    with pytest.raises(Rejected, match="ends early"):
        reader._take(fixed_length(SHAPE) + 1)
