"""Tiles: their names and widths as C2SP tlog-tiles gives them, and what is no tile refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.reference import merkle as reference

from quatrefoil.errors import CallerError, EvidenceRejected
from quatrefoil.tlog.edge import Edge
from quatrefoil.tlog.merkle import LARGEST_SIZE, leaf_hash
from quatrefoil.tlog.tiles import (
    ENTRIES,
    LARGEST_LEAF,
    Tile,
    bundle,
    levels_of,
    split_bundle,
    split_hashes,
    subtree_root,
    tile_at,
    tiles_of,
)


def widths(size: int, level: int) -> tuple[int, list[int]]:
    """Full tiles of a level, and the widths of the others."""
    tiles = list(tiles_of(size, level))
    return sum(tile.width == 256 for tile in tiles), [tile.width for tile in tiles if tile.width < 256]


@pytest.mark.parametrize(
    "tile, path",
    [
        (Tile(0, 1234067), "tile/0/x001/x234/067"),  # the example of tlog-tiles.md
        (Tile(0, 0), "tile/0/000"),
        (Tile(1, 999), "tile/1/999"),
        (Tile(2, 1000), "tile/2/x001/000"),
        (Tile(3, 1000000), "tile/3/x001/x000/000"),
        (Tile(0, 273, 112), "tile/0/273.p/112"),
        (Tile(ENTRIES, 1234067, 8), "tile/entries/x001/x234/067.p/8"),
        (Tile(63, 5, 255), "tile/63/005.p/255"),
    ],
)
def test_names(tile: Tile, path: str) -> None:
    assert tile.path == path and tile.full.path == path.partition(".p")[0]


def test_the_example_of_70000_leaves() -> None:
    """tlog-tiles.md, "Partial Tiles"."""
    assert list(levels_of(70000)) == [0, 1, 2]
    assert [widths(70000, level) for level in range(4)] == [(273, [112]), (1, [17]), (0, [1]), (0, [])]
    assert widths(70000, ENTRIES) == (273, [112])
    assert [widths(256, level) for level in range(3)] == [(1, []), (0, [1]), (0, [])]


@given(st.integers(0, 70_000) | st.integers(0, LARGEST_SIZE), st.integers(0, 9))
def test_widths_are_those_of_the_formula(size: int, level: int) -> None:
    width = size // 256**level % 256
    hashes = size // 256**level
    assert (level in levels_of(size)) == bool(hashes)
    if width:
        assert tile_at(size, level, hashes // 256) == Tile(level, hashes // 256, width)
    else:
        with pytest.raises(CallerError, match="has no tile"):
            tile_at(size, level, hashes // 256)
    if hashes >= 256:
        assert tile_at(size, level, hashes // 256 - 1) == Tile(level, hashes // 256 - 1)


@pytest.mark.parametrize("index", [-1, 2, 1000])
def test_a_tile_outside_of_the_tree_is_the_callers_fault(index: int) -> None:
    with pytest.raises(CallerError, match=f"of 300 leaves has no tile {index} at level 0"):
        tile_at(300, 0, index)


def test_an_edge_gives_every_tile_of_every_size_up_to_70000() -> None:
    """Full tiles as they fill up, partial ones at sizes drawn, each hash as the formula of tlog-tiles.md has it."""
    leaves = [b"%d" % number for number in range(70_000)]
    hashes = [leaf_hash(leaf) for leaf in leaves]
    full: dict[Tile, bytes] = {}
    looked_at = {0, 1, 2, 255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537, 65_792, 69_999, 70_000}
    edge = Edge()
    for size in range(70_001):
        if size in looked_at:
            edge = edge.copy()
            partial = dict(edge.partial())
            for level in (ENTRIES, *levels_of(size)):
                for tile in tiles_of(size, level):
                    content = (full if tile.width == 256 else partial).pop(tile, None)
                    assert content is not None, tile.path
                    full |= {tile: content} if tile.width == 256 else {}
                    begin = tile.index * 256
                    if level == ENTRIES:
                        assert split_bundle(tile, content) == leaves[begin : begin + tile.width]
                    elif level == 0:
                        assert split_hashes(tile, content) == hashes[begin : begin + tile.width]
                    else:
                        below = [
                            subtree_root(split_hashes(one, full[one]))
                            for one in (Tile(level - 1, begin + number) for number in range(tile.width))
                        ]
                        assert split_hashes(tile, content) == below
            assert not partial, "a tile that the tree does not have"
            if size < 600:
                assert edge.root() == reference.mth(leaves[:size])
        if size < 70_000:
            full |= dict(edge.append(leaves[size]))
    assert len(full) == 273 + 273 + 1


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=256))
def test_a_bundle_reads_back(leaves: list[bytes]) -> None:
    content = b"".join(map(bundle, leaves))
    tile = Tile(ENTRIES, 0, len(leaves))
    assert split_bundle(tile, content) == leaves
    for wrong in (content[:-1], content + b"\0", content + b"\0\0", content + bundle(b"more"), content[1:]):
        if wrong != content:
            with pytest.raises(EvidenceRejected) as raised:
                split_bundle(tile, wrong)
            assert raised.value.check == "leaves" and tile.path in raised.value.problem


def test_a_leaf_has_65535_bytes_at_most() -> None:
    largest = bytes(LARGEST_LEAF)
    assert split_bundle(Tile(ENTRIES, 0, 1), bundle(largest)) == [largest]
    with pytest.raises(CallerError, match="over the limit of 65535"):
        bundle(largest + b"\0")


@pytest.mark.parametrize("length", [0, 1, 31, 33, 95, 97, 128])
def test_a_tile_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(EvidenceRejected, match=f"tile/0/000.p/3 has {length} bytes, not 96") as raised:
        split_hashes(Tile(0, 0, 3), bytes(length))
    assert raised.value.check == "tiles"
