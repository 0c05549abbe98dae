"""The tree of RFC 6962 and 9162: roots and proofs against a slow reference, and every proof that is not one refused."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference import merkle as reference

from quatrefoil.errors import CallerError, EvidenceRejected
from quatrefoil.tlog import merkle
from quatrefoil.tlog.merkle import (
    EMPTY_ROOT,
    LARGEST_SIZE,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_from_inclusion,
    root_of,
    verify_consistency,
    verify_inclusion,
)

# The leaves, roots and proofs that implementations of RFC 6962 test themselves with. They come from
# cpp/merkletree/merkle_tree_test.cc of github.com/google/certificate-transparency; leaves and roots are also in
# testonly/constants.go of github.com/transparency-dev/merkle.
PUBLISHED_LEAVES = [
    bytes.fromhex(one)
    for one in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
PUBLISHED_ROOTS = [
    bytes.fromhex(one)
    for one in (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    )
]
PUBLISHED_INCLUSION = {
    (2, 3): ("fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",),
    (1, 5): (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ),
    (0, 8): (
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ),
    (5, 8): (
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
}
PUBLISHED_CONSISTENCY = {
    (1, 8): (
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ),
    (6, 8): (
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (2, 5): (
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ),
}


def data(size: int) -> list[bytes]:
    return [b"leaf %d" % number for number in range(size)]


def reads(leaves: list[bytes]) -> merkle.HashReader:
    """Complete subtrees by the reference, so that nothing of ours is below the proofs."""

    def read(height: int, index: int) -> bytes:
        found = leaves[index << height : (index + 1) << height]
        assert len(found) == 1 << height, "asked for a subtree that is not complete"
        return reference.mth(found)

    return read


sizes = st.integers(1, 70)

# ------------------------------------------------------------------------------------------------------------ vectors


@pytest.mark.parametrize("size", range(9))
def test_published_roots(size: int) -> None:
    leaves = PUBLISHED_LEAVES[:size]
    assert root_of(map(leaf_hash, leaves)) == reference.mth(leaves) == PUBLISHED_ROOTS[size]
    assert merkle.root_at(size, reads(PUBLISHED_LEAVES)) == PUBLISHED_ROOTS[size]


@pytest.mark.parametrize("index, size", PUBLISHED_INCLUSION)
def test_published_inclusion(index: int, size: int) -> None:
    proof = [bytes.fromhex(one) for one in PUBLISHED_INCLUSION[index, size]]
    assert inclusion_proof(index, size, reads(PUBLISHED_LEAVES)) == proof
    verify_inclusion(leaf_hash(PUBLISHED_LEAVES[index]), index, size, proof, PUBLISHED_ROOTS[size])


@pytest.mark.parametrize("old, new", PUBLISHED_CONSISTENCY)
def test_published_consistency(old: int, new: int) -> None:
    proof = [bytes.fromhex(one) for one in PUBLISHED_CONSISTENCY[old, new]]
    assert consistency_proof(old, new, reads(PUBLISHED_LEAVES)) == proof
    verify_consistency(old, PUBLISHED_ROOTS[old], new, PUBLISHED_ROOTS[new], proof)


# ----------------------------------------------------------------------------------------------------- every small tree


def test_every_inclusion_proof_of_small_trees_is_that_of_the_reference() -> None:
    for size in range(1, 23):
        leaves = data(size)
        root = reference.mth(leaves)
        for index in range(size):
            proof = inclusion_proof(index, size, reads(leaves))
            assert proof == reference.path(index, leaves)
            verify_inclusion(leaf_hash(leaves[index]), index, size, proof, root)


def test_every_consistency_proof_of_small_trees_is_that_of_the_reference() -> None:
    leaves = data(22)
    roots = [reference.mth(leaves[:size]) for size in range(23)]
    for new in range(1, 23):
        for old in range(1, new):
            proof = consistency_proof(old, new, reads(leaves))
            assert proof == reference.proof(old, leaves[:new])
            verify_consistency(old, roots[old], new, roots[new], proof)


def test_a_proof_is_of_one_index_and_of_no_other_size_that_has_its_root_elsewhere() -> None:
    """Every index and size up to 20, for every proof of a tree of 13: only its own holds."""
    leaves = data(13)
    root = reference.mth(leaves)
    for index in range(13):
        proof, hashed = reference.path(index, leaves), leaf_hash(leaves[index])
        for claimed in range(20):
            if claimed != index:
                with pytest.raises(EvidenceRejected) as refused:
                    verify_inclusion(hashed, claimed, 13, proof, root)
                assert refused.value.check == "inclusion"


# --------------------------------------------------------------------------------------------------------- random trees


@given(sizes, st.data())
def test_inclusion(size: int, draw: st.DataObject) -> None:
    leaves = draw.draw(st.lists(st.binary(max_size=9), min_size=size, max_size=size))
    index = draw.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, size, reads(leaves))
    assert proof == reference.path(index, leaves)
    assert root_from_inclusion(leaf_hash(leaves[index]), index, size, proof) == reference.mth(leaves)


@given(sizes, st.data())
def test_consistency(new: int, draw: st.DataObject) -> None:
    old = draw.draw(st.integers(0, new))
    leaves = data(new)
    proof = consistency_proof(old, new, reads(leaves))
    assert proof == (reference.proof(old, leaves) if 0 < old < new else [])
    verify_consistency(old, reference.mth(leaves[:old]), new, reference.mth(leaves), proof)


@given(st.lists(st.integers(1, 60), max_size=5))
def test_a_frontier_grows_as_the_tree_does(steps: list[int]) -> None:
    tree, size = Frontier(), 0
    for step in steps:
        kept = tree.copy()
        for content in data(size + step)[size:]:
            tree.append(leaf_hash(content))
        assert kept.root() == reference.mth(data(size)), "a copy goes on growing"
        size += step
        assert tree.root() == reference.mth(data(size)) and tree.size == size


Alteration = Callable[[list[bytes], int], list[bytes]]

ALTERED: dict[str, Alteration] = {
    "a bit": lambda proof, at: [*proof[:at], bytes([proof[at][0] ^ 1]) + proof[at][1:], *proof[at + 1 :]],
    "order": lambda proof, at: [*proof[at + 1 :], *proof[: at + 1]],
    "one left out": lambda proof, at: proof[:at] + proof[at + 1 :],
    "one twice": lambda proof, at: proof[: at + 1] + proof[at:],
    "one more": lambda proof, at: [*proof, bytes(32)],
    "a short hash": lambda proof, at: [*proof[:at], proof[at][:31], *proof[at + 1 :]],
    "a long hash": lambda proof, at: [*proof[:at], proof[at] + b"\0", *proof[at + 1 :]],
    "none": lambda proof, at: [],
}


@pytest.mark.parametrize("how", ALTERED)
@given(st.integers(2, 70), st.data())
@settings(max_examples=25)
def test_an_altered_proof_of_inclusion_is_refused(how: str, size: int, draw: st.DataObject) -> None:
    leaves = data(size)
    index = draw.draw(st.integers(0, size - 1))
    proof = reference.path(index, leaves)
    altered = ALTERED[how](proof, draw.draw(st.integers(0, len(proof) - 1)))
    if altered != proof:
        with pytest.raises(EvidenceRejected) as refused:
            verify_inclusion(leaf_hash(leaves[index]), index, size, altered, reference.mth(leaves))
        assert refused.value.check == "inclusion" and refused.value.hint


@pytest.mark.parametrize("how", ALTERED)
@given(st.integers(2, 70), st.data())
@settings(max_examples=25)
def test_an_altered_proof_of_consistency_is_refused(how: str, new: int, draw: st.DataObject) -> None:
    leaves = data(new)
    old = draw.draw(st.integers(1, new - 1))
    proof = reference.proof(old, leaves)
    altered = ALTERED[how](proof, draw.draw(st.integers(0, len(proof) - 1)))
    if altered != proof:
        with pytest.raises(EvidenceRejected) as refused:
            verify_consistency(old, reference.mth(leaves[:old]), new, reference.mth(leaves), altered)
        assert refused.value.check == "consistency" and refused.value.hint


@given(sizes, st.data())
def test_another_leaf_index_or_root_is_refused(size: int, draw: st.DataObject) -> None:
    leaves = data(size)
    index = draw.draw(st.integers(0, size - 1))
    proof, root, hashed = reference.path(index, leaves), reference.mth(leaves), leaf_hash(leaves[index])
    other = draw.draw(st.integers(0, size + 3).filter(lambda one: one != index))
    for wrong in (
        (leaf_hash(b"another"), index, size, proof, root),
        (hashed, other, size, proof, root),
        (hashed, index, size, proof, hashlib.sha256(root).digest()),
    ):
        with pytest.raises(EvidenceRejected):
            verify_inclusion(*wrong)


@given(st.integers(1, 70), st.data())
def test_trees_that_differ_are_not_consistent(new: int, draw: st.DataObject) -> None:
    """A leaf among the old ones was changed after the fact: no proof of either tree shows what is not so."""
    old = draw.draw(st.integers(1, new))
    at = draw.draw(st.integers(0, old - 1))
    before = data(new)
    after = [*before[:at], b"rewritten", *before[at + 1 :]]
    for source in (before, after):
        proof = reference.proof(old, source) if old < new else []
        with pytest.raises(EvidenceRejected):
            verify_consistency(old, reference.mth(before[:old]), new, reference.mth(after), proof)


@given(st.integers(2, 70), st.data())
def test_consistency_of_other_sizes_is_refused(new: int, draw: st.DataObject) -> None:
    """The sizes are bound where the shape of the proof depends on them: one that holds gives both roots anyway."""
    leaves = data(new)
    old = draw.draw(st.integers(1, new - 1))
    other = draw.draw(st.integers(1, new - 1).filter(lambda one: one != old)) if new > 2 else new
    proof = reference.proof(old, leaves)
    with pytest.raises(EvidenceRejected):
        verify_consistency(other, reference.mth(leaves[:old]), new, reference.mth(leaves), proof)
    with pytest.raises(EvidenceRejected):
        verify_consistency(old, reference.mth(leaves), new, reference.mth(leaves[:old]), proof)
    with pytest.raises(EvidenceRejected):
        verify_consistency(new, reference.mth(leaves), old, reference.mth(leaves[:old]), proof)


# -------------------------------------------------------------------------------------------------- edges of the range


@pytest.mark.parametrize(
    "index, size",
    [(0, 0), (1, 1), (-1, 1), (5, 4), (0, LARGEST_SIZE + 1), (0, -1)],
)
def test_no_leaf_is_outside_of_its_tree(index: int, size: int) -> None:
    with pytest.raises(EvidenceRejected, match="cannot be in a tree"):
        verify_inclusion(bytes(32), index, size, [], bytes(32))


@pytest.mark.parametrize("old, new", [(-1, 4), (5, 4), (1, LARGEST_SIZE + 1)])
def test_no_tree_shrinks(old: int, new: int) -> None:
    with pytest.raises(EvidenceRejected, match="cannot have grown"):
        verify_consistency(old, bytes(32), new, bytes(32), [])


def test_the_largest_tree_has_proofs_of_63_hashes_at_most() -> None:
    root_from_inclusion(bytes(32), 0, LARGEST_SIZE, [bytes(32)] * 63)
    with pytest.raises(EvidenceRejected, match="left over"):
        root_from_inclusion(bytes(32), 0, LARGEST_SIZE, [bytes(32)] * 64)
    with pytest.raises(EvidenceRejected, match="ends before"):
        root_from_inclusion(bytes(32), 0, LARGEST_SIZE, [bytes(32)] * 62)


def test_an_empty_tree_is_the_beginning_of_each_and_has_one_root() -> None:
    root = reference.mth(data(3))
    verify_consistency(0, EMPTY_ROOT, 3, root, [])
    verify_consistency(0, EMPTY_ROOT, 0, EMPTY_ROOT, [])
    verify_consistency(3, root, 3, root, [])
    for old, old_root, new, new_root in (
        (0, root, 3, root),
        (0, root, 0, root),
        (0, EMPTY_ROOT, 0, root),
        (3, EMPTY_ROOT, 3, root),
    ):
        with pytest.raises(EvidenceRejected, match="different roots"):
            verify_consistency(old, old_root, new, new_root, [])
    for old, old_root in ((0, EMPTY_ROOT), (3, root)):
        with pytest.raises(EvidenceRejected, match="should be empty"):
            verify_consistency(old, old_root, 3, root, [bytes(32)])


@pytest.mark.parametrize("index, size", [(-1, 3), (3, 3), (0, 0)])
def test_a_proof_of_a_leaf_that_is_not_there_is_the_callers_fault(index: int, size: int) -> None:
    with pytest.raises(CallerError, match="is not in a tree"):
        inclusion_proof(index, size, reads(data(3)))


@pytest.mark.parametrize("old, new", [(-1, 3), (4, 3)])
def test_a_proof_between_sizes_in_the_wrong_order_is_the_callers_fault(old: int, new: int) -> None:
    with pytest.raises(CallerError, match="is not older"):
        consistency_proof(old, new, reads(data(3)))


def test_a_leaf_is_not_an_inner_node() -> None:
    """The prefixes keep the concatenation of two hashes, sent as a leaf, from passing for the node above them."""
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert merkle.node_hash(left, right) == hashlib.sha256(b"\x01" + left + right).digest()
    assert leaf_hash(left + right) != merkle.node_hash(left, right)
