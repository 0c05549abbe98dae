"""RFC 9162 section 2.1 as it is written there, over lists of leaves: MTH, PATH and PROOF by their definitions.

Recursive and slow, every tree from its leaves, and nothing of ours. RFC 6962 section 2.1 defines the same hashes and
proofs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def split(n: int) -> int:
    """``k``, the largest power of two smaller than ``n``: k < n <= 2k."""
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def mth(d: Sequence[bytes]) -> bytes:
    """Section 2.1.1: the Merkle Tree Hash of leaves."""
    n = len(d)
    if n == 0:
        return hashlib.sha256().digest()
    if n == 1:
        return hashlib.sha256(b"\x00" + d[0]).digest()
    k = split(n)
    return hashlib.sha256(b"\x01" + mth(d[:k]) + mth(d[k:])).digest()


def path(m: int, d: Sequence[bytes]) -> list[bytes]:
    """Section 2.1.3.1: the inclusion proof of leaf ``m``."""
    n = len(d)
    if n == 1:
        return []
    k = split(n)
    if m < k:
        return [*path(m, d[:k]), mth(d[k:])]
    return [*path(m - k, d[k:]), mth(d[:k])]


def proof(m: int, d: Sequence[bytes]) -> list[bytes]:
    """Section 2.1.4.1: the consistency proof of the first ``m`` leaves, 0 < m < n."""
    return subproof(m, d, True)


def subproof(m: int, d: Sequence[bytes], b: bool) -> list[bytes]:
    n = len(d)
    if m == n:
        return [] if b else [mth(d)]
    k = split(n)
    if m <= k:
        return [*subproof(m, d[:k], b), mth(d[k:])]
    return [*subproof(m - k, d[k:], False), mth(d[:k])]
