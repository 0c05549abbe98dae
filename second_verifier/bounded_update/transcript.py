"""Fiat-Shamir: a chain of keyed BLAKE3 over the statement and all that is sent (docs/proofs.md, Transcript)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Protocol

from . import blake3
from .field import Ext, P


def _key(name: str) -> bytes:
    return blake3.digest(f"quatrefoil/proof/v1 {name}".encode())


LEAF: Final = _key("leaf")
NODE: Final = _key("node")
CONTENT: Final = _key("content")
TRANSCRIPT: Final = _key("transcript")
LABEL_LENGTH: Final = 16


def content(data: bytes) -> bytes:
    """H_CONTENT."""
    return blake3.digest(data, CONTENT)


def serialize(elements: Iterable[Ext]) -> bytes:
    return b"".join(element.to_bytes() for element in elements)


class Drawn:
    """Challenges read from a stream of bytes, eight at a time."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._words = (piece[i : i + 8] for piece in pieces for i in range(0, len(piece), 8))

    def base(self) -> int:
        """Uniform in F_p: words that are not below p are skipped."""
        return next(word for data in self._words if (word := int.from_bytes(data, "little")) < P)

    def element(self) -> Ext:
        first = self.base()
        return Ext(first, self.base())

    def elements(self, count: int) -> list[Ext]:
        return [self.element() for _ in range(count)]

    def positions(self, size: int, count: int) -> list[int]:
        """The distinct ones of `count` positions below a power of two, ascending."""
        return sorted({int.from_bytes(next(self._words), "little") % size for _ in range(count)})

    def lookup_challenge(self) -> Ext:
        """alpha: its part of X is no tag of a table, so that no denominator is zero."""
        while (alpha := self.element()).b in (1, 2):
            pass
        return alpha


class Challenger(Protocol):
    """Where challenges come from: the transcript, or the coins of an honest verifier."""

    def absorb(self, label: str, data: bytes) -> None: ...

    def draw(self, label: str) -> Drawn: ...


class Transcript:
    def __init__(self, state: bytes) -> None:
        self.state = state

    def absorb(self, label: str, data: bytes) -> None:
        padded = label.encode().ljust(LABEL_LENGTH, b"\0")
        self.state = blake3.digest(self.state + padded + content(data), TRANSCRIPT)

    def draw(self, label: str) -> Drawn:
        self.absorb(label, b"")
        return Drawn(blake3.extended(self.state, TRANSCRIPT))
