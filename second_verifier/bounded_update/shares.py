"""Keys in shares: a dealer, a member's check, and the sum of keys from members' answers (docs/committee.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from . import blake3
from .encryption import stream
from .errors import Rejected
from .field import Ext, P, eq_vector, inner_base, total
from .keeper import key_point
from .shape import ParameterSet, log2
from .threshold import Threshold, interpolation
from .transcript import Drawn

SHARE: Final = blake3.digest(b"quatrefoil/proof/v1 share")
SALT: Final = 32


@dataclass(frozen=True)
class Dealt:
    """The polynomials of a key by their values at the base points, [i][j], and the mask by its own."""

    threshold: Threshold
    values: list[list[int]]
    mask: list[Ext]
    salts: list[bytes]

    def share(self, member: int) -> bytes:
        weights = interpolation(self.threshold.base_points, member)
        elements = [sum(w * x for w, x in zip(weights, at, strict=True)) % P for at in zip(*self.values, strict=True)]
        mask = total(x.scale(w) for w, x in zip(weights, self.mask, strict=True))
        return self.salts[member - 1] + b"".join(x.to_bytes(8, "little") for x in elements) + mask.to_bytes()

    @property
    def commitments(self) -> tuple[bytes, ...]:
        return tuple(commitment(self.share(member)) for member in range(1, self.threshold.members + 1))


def key_blocks(key: Sequence[int], packing: int) -> list[list[int]]:
    """p_j(x_i) = s[i m + j] for the first l base points."""
    m = len(key) // packing
    return [[x % P for x in key[i * m : (i + 1) * m]] for i in range(packing)]


def deal(parameters: ParameterSet, threshold: Threshold, key: Sequence[int], sharing_seed: bytes) -> Dealt:
    context, m = parameters.digest() + threshold.to_bytes(), parameters.N // threshold.packing

    def drawn(part: int) -> Drawn:
        return Drawn(stream(sharing_seed, "quatrefoil/committee/v1/sharing", context, part))

    def salt(member: int) -> bytes:
        pieces = stream(sharing_seed, "quatrefoil/committee/v1/salt", context, member)
        return next(pieces) + next(pieces)

    values = key_blocks(key, threshold.packing)
    for member in range(1, threshold.privacy + 1):
        source = drawn(member)
        values.append([source.base() for _ in range(m)])
    salts = [salt(member) for member in range(1, threshold.members + 1)]
    return Dealt(threshold, values, drawn(0).elements(threshold.recovery), salts)


def commitment(share: bytes) -> bytes:
    """h_k."""
    return blake3.digest(share, SHARE)


def split(share: bytes) -> tuple[list[int], Ext]:
    """The elements and the share of the mask; Rejected where a word is not below p."""
    words = [int.from_bytes(share[i : i + 8], "little") for i in range(SALT, len(share), 8)]
    if not all(word < P for word in words):
        raise Rejected("a word of the share is not below p")
    return words[:-2], Ext(words[-2], words[-1])


def check_share(
    statement_digest: bytes,
    root1: bytes,
    values: Sequence[Ext],
    threshold: Threshold,
    commitments: Sequence[bytes],
    member: int,
    share: bytes,
    N: int = 4096,
) -> None:
    """A member's check. It says something only beside a verified proof of the same statement, root 1 and V."""
    m = N // threshold.packing
    if len(share) != SALT + 8 * m + 16:
        raise Rejected("the share has another length")
    if commitment(share) != commitments[member - 1]:
        raise Rejected("the share is not what was committed to")
    elements, mask = split(share)
    across = eq_vector(key_point(statement_digest, root1, N)[log2(N) - log2(m) :])
    weights = interpolation(threshold.base_points, member)
    expected = total(value.scale(weight) for value, weight in zip(values, weights, strict=True))
    if mask + inner_base(across, elements) != expected:
        raise Rejected("the share is not on the polynomials that V is of")


def add(shares: Sequence[bytes]) -> list[int]:
    """A member's answer, without its header."""
    return [sum(words) % P for words in zip(*(split(share)[0] for share in shares), strict=True)]


def recover(
    answers: Mapping[int, Sequence[int]], threshold: Threshold, largest: int
) -> list[tuple[list[int], tuple[int, ...]]]:
    """Every sum of keys that some set of answers gives with no coefficient further from zero than `largest`, and whose
    answers are not on the polynomials of that set; in the order in which sets are tried."""
    sets = sorted(combinations(sorted(answers), threshold.recovery), key=lambda members: members[::-1])
    found = []
    for members in sets:
        sums = [_at(answers, members, at) for at in threshold.base_points[: threshold.packing]]
        key = [x if x <= P // 2 else x - P for part in sums for x in part]
        if all(abs(x) <= largest for x in key):
            others = (member for member in sorted(answers) if member not in members)
            liars = tuple(k for k in others if _at(answers, members, k) != list(answers[k]))
            found.append((key, liars))
    return found


def _at(answers: Mapping[int, Sequence[int]], members: Sequence[int], at: int) -> list[int]:
    weights = interpolation(list(members), at)
    columns = zip(*(answers[member] for member in members), strict=True)
    return [sum(w * x for w, x in zip(weights, column, strict=True)) % P for column in columns]


def values_of(dealt: Dealt, zeta: Sequence[Ext]) -> list[Ext]:
    """V at the base points."""
    across = eq_vector(zeta[len(zeta) - log2(len(dealt.values[0])) :])
    return [mask + inner_base(across, values) for mask, values in zip(dealt.mask, dealt.values, strict=True)]
