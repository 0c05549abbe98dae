"""The Merkle tree of RFC 6962 section 2.1: its hashes, and proofs that a verifier with a root needs nothing else for.

Property: whoever holds a root of ``size`` leaves is shown that a leaf is among them (inclusion, RFC 9162 section 2.1.3)
and that an older tree is the beginning of a newer one (consistency, section 2.1.4), at the cost of a logarithm of
hashes. It rests on the collision resistance of SHA-256 alone, which a quantum computer does not break.

Hashes are 32 bytes. A tree is read through :data:`HashReader`, so that nothing here knows where it is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

from quatrefoil.errors import CallerError, EvidenceRejected

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()
"""The root of a tree without leaves."""

LARGEST_SIZE = (1 << 63) - 1
"""Leaves that a tree can have; C2SP proofs then have at most 63 hashes."""

HashReader: TypeAlias = Callable[[int, int], bytes]
"""``read(height, index)``: the root of the complete subtree over the leaves ``index << height`` up to, excluding,
``(index + 1) << height``."""

_HINT = "Nothing may be concluded from it: fetch log and proof again, and keep both as evidence if it stays so"


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf: a prefix keeps leaves and inner nodes apart."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """A tree that only grows, in the memory of a logarithm of its size."""

    def __init__(self, size: int = 0, complete: Sequence[bytes] = ()) -> None:
        """``complete``: the roots of the complete subtrees that ``size`` leaves make, the widest first."""
        self.size = size
        self._complete = list(complete)

    def append(self, leaf: bytes) -> None:
        """Add a leaf by its hash."""
        position, node = self.size, leaf
        while position & 1:
            node = node_hash(self._complete.pop(), node)
            position >>= 1
        self._complete.append(node)
        self.size += 1

    def root(self) -> bytes:
        return join(self._complete)

    def copy(self) -> Frontier:
        return Frontier(self.size, self._complete)


def join(complete: Sequence[bytes]) -> bytes:
    """The root over complete subtrees that lie side by side, each narrower than the one before."""
    if not complete:
        return EMPTY_ROOT
    root = complete[-1]
    for left in reversed(complete[:-1]):
        root = node_hash(left, root)
    return root


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root of the tree over these leaf hashes."""
    tree = Frontier()
    for leaf in leaves:
        tree.append(leaf)
    return tree.root()


# ---------------------------------------------------------------------------------------------------------- proofs made


def root_at(size: int, read: HashReader) -> bytes:
    """The root that the tree had at ``size`` leaves."""
    return _range_root(0, size, read) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, read: HashReader) -> list[bytes]:
    """The hashes beside the way from leaf ``index`` to the root at ``size``, from the leaf on."""
    if not 0 <= index < size:
        raise CallerError(f"leaf {index} is not in a tree of {size}", hint="Ask for a leaf below the size")
    begin, end, path = 0, size, list[bytes]()
    while end - begin > 1:
        middle = begin + _left_width(end - begin)
        if index < middle:
            path.append(_range_root(middle, end, read))
            end = middle
        else:
            path.append(_range_root(begin, middle, read))
            begin = middle
    return path[::-1]


def consistency_proof(old: int, new: int, read: HashReader) -> list[bytes]:
    """The hashes that show the tree of ``old`` leaves to be the beginning of that of ``new``; none for 0 or equals."""
    if not 0 <= old <= new:
        raise CallerError(f"a tree of {old} is not older than one of {new}", hint="Give the smaller size first")
    if old in (0, new):
        return []
    return _consistency(old, 0, new, read, whole=True)


def _consistency(old: int, begin: int, end: int, read: HashReader, *, whole: bool) -> list[bytes]:
    """SUBPROOF of RFC 9162 section 2.1.4.1 over leaves ``begin`` to ``end``; ``old`` of them are in the old tree."""
    if old == end - begin:
        return [] if whole else [_range_root(begin, end, read)]
    middle = begin + _left_width(end - begin)
    if old <= middle - begin:
        return [*_consistency(old, begin, middle, read, whole=whole), _range_root(middle, end, read)]
    return [
        *_consistency(old - (middle - begin), middle, end, read, whole=False),
        _range_root(begin, middle, read),
    ]


def _range_root(begin: int, end: int, read: HashReader) -> bytes:
    """The root over leaves that begin where a complete subtree of at least their number does."""
    return join([read(height, index) for height, index in _complete_subtrees(begin, end)])


def _complete_subtrees(begin: int, end: int) -> Iterator[tuple[int, int]]:
    while begin < end:
        height = (end - begin).bit_length() - 1
        yield height, begin >> height
        begin += 1 << height


def _left_width(count: int) -> int:
    """The largest power of two under ``count``."""
    return 1 << ((count - 1).bit_length() - 1)


# ------------------------------------------------------------------------------------------------------- proofs checked


def root_from_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """The root at ``size`` that a proof of inclusion leads to (RFC 9162 section 2.1.3.2), whatever it is worth.

    ``EvidenceRejected`` where no proof of this length can be one of this index and size.
    """
    if not 0 <= index < size <= LARGEST_SIZE:
        raise _refused("inclusion", f"leaf {index} cannot be in a tree of {size}")
    _require_hashes("inclusion", (leaf, *proof))
    position, last, root = index, size - 1, leaf
    for beside in proof:
        if last == 0:
            raise _refused("inclusion", "the proof of inclusion has hashes left over")
        if position & 1 or position == last:
            root = node_hash(beside, root)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            root = node_hash(root, beside)
        position, last = position >> 1, last >> 1
    if last:
        raise _refused("inclusion", "the proof of inclusion ends before the root")
    return root


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """``EvidenceRejected`` unless the leaf of this hash is leaf ``index`` of the tree of ``size`` with this root."""
    if root_from_inclusion(leaf, index, size, proof) != root:
        raise _refused("inclusion", f"leaf {index} is not in the tree of {size} with this root")


def verify_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """``EvidenceRejected`` unless the tree of ``old`` leaves is the beginning of that of ``new`` (RFC 9162 section
    2.1.4.2). An empty tree is the beginning of every tree, and its root is :data:`EMPTY_ROOT`."""
    if not 0 <= old <= new <= LARGEST_SIZE:
        raise _refused("consistency", f"a tree of {old} cannot have grown into one of {new}")
    _require_hashes("consistency", (old_root, new_root, *proof))
    if old in (0, new):
        if proof:
            raise _refused("consistency", "the proof of consistency should be empty, and is not")
        if old_root != (new_root if old else EMPTY_ROOT) or (old == new and old_root != new_root):
            raise _refused("consistency", f"two trees of {old} leaves have different roots")
        return
    hashes = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not hashes:
        raise _refused("consistency", "the proof of consistency is empty")
    position, last = old - 1, new - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    found_old = found_new = hashes[0]
    for beside in hashes[1:]:
        if last == 0:
            raise _refused("consistency", "the proof of consistency has hashes left over")
        if position & 1 or position == last:
            found_old, found_new = node_hash(beside, found_old), node_hash(beside, found_new)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            found_new = node_hash(found_new, beside)
        position, last = position >> 1, last >> 1
    if last:
        raise _refused("consistency", "the proof of consistency ends before the root")
    if (found_old, found_new) != (old_root, new_root):
        raise _refused("consistency", f"the tree of {old} leaves is not the beginning of that of {new}")


def _require_hashes(check: str, hashes: Iterable[bytes]) -> None:
    if any(len(one) != HASH_BYTES for one in hashes):
        raise _refused(check, f"a hash does not have {HASH_BYTES} bytes")


def _refused(check: str, problem: str) -> EvidenceRejected:
    return EvidenceRejected(problem, hint=_HINT, check=check)
