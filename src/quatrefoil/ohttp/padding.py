"""Sizes rounded up, so that what a message weighs says less about what it holds.

A policy maps a size to the size that is sent. RFC 9292 section 3.8 pads a message at its end only; a stream of events
can be padded in between, with comments that its readers skip. What each policy leaks is in docs/ohttp.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from quatrefoil.errors import CallerError


class Padding(Protocol):
    """``padded(size)``: at least ``size``, and never less for more."""

    def padded(self, size: int) -> int: ...


@dataclass(frozen=True)
class NoPadding:
    """The size itself: everything about it is seen."""

    def padded(self, size: int) -> int:
        return size


@dataclass(frozen=True)
class PowerOfTwo:
    """The next power of two, and not below ``least``: up to twice the size."""

    least: int = 256

    def __post_init__(self) -> None:
        _check_least(self.least)

    def padded(self, size: int) -> int:
        return max(self.least, 1 << max(0, size - 1).bit_length())


@dataclass(frozen=True)
class Padme:
    """PADMÉ (Nikitin et al., "Reducing metadata leakage from encrypted files and communication with PURBs", PoPETs
    2019(4), section 4): at most 12 % more, and log log of the size leaks. Not below ``least``."""

    least: int = 256

    def __post_init__(self) -> None:
        _check_least(self.least)

    def padded(self, size: int) -> int:
        size = max(self.least, size)
        exponent = size.bit_length() - 1
        kept = exponent.bit_length()  # floor(log2 of the exponent) + 1
        mask = (1 << max(0, exponent - kept)) - 1
        return (size + mask) & ~mask


@dataclass(frozen=True)
class Buckets:
    """The first of ``sizes`` that holds it; beyond the last, a multiple of that."""

    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.sizes or self.sizes[0] < 1 or list(self.sizes) != sorted(set(self.sizes)):
            raise CallerError("buckets are not sizes of 1 and more that grow", hint="List them from small to large")

    def padded(self, size: int) -> int:
        largest = self.sizes[-1]
        return next((one for one in self.sizes if one >= size), -(-size // largest) * largest)


def padding_for(size: int, policy: Padding) -> int:
    """How many bytes to add to ``size``; ``CallerError`` where a policy makes it smaller."""
    added = policy.padded(size) - size
    if added < 0:
        raise CallerError("a padding policy makes messages smaller", hint="Let padded(size) be size or more")
    return added


SMALLEST_COMMENT = 3


def pad_events(events: bytes, policy: Padding) -> bytes:
    """Whole events of ``text/event-stream``, and a comment that fills them up to a size of ``policy``.

    A comment (WHATWG HTML section 9.2.6) is a line that begins with a colon, and readers skip it. Nothing is added to a
    size that fits as it is. ``events`` may be empty: then all of it is comment.
    """
    if events and not events.endswith((b"\n\n", b"\r\n\r\n", b"\r\r")):
        raise CallerError("the events do not end with an empty line", hint="Pass whole events")
    added = padding_for(len(events), policy)
    if 0 < added < SMALLEST_COMMENT:
        added = SMALLEST_COMMENT + padding_for(len(events) + SMALLEST_COMMENT, policy)
    if added == 0:
        return events
    return events + b":" + b" " * (added - SMALLEST_COMMENT) + b"\n\n"


def _check_least(least: int) -> None:
    if least < 1:
        raise CallerError("the least size is not 1 or more", hint="Use 256, for example")
