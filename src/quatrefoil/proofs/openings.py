"""How often a commitment to weights has been opened, kept across crashes.

Property: no opening is used twice, whatever is killed and whenever: an opening is claimed, durably, before anything is
made with it. A crash wastes the one that was claimed. A state that is put back from a backup has forgotten claims:
``quatrefoil.proven`` refuses the copies that it can tell (docs/audit-proofs.md).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Protocol

from quatrefoil.errors import CommitmentExhausted, ParametersRefused

PREFIX = "opening/"
MOST_OPENINGS = 64
"""That a commitment may allow (docs/inference-proofs.md)."""

USUAL_OPENINGS = 16
"""Unless whoever commits says otherwise. More make proofs larger and slower, small ones most of all."""

FEWEST_OPENINGS = 3
"""With which a commitment proves anything: the first goes to the proof of range, or to the link before, and the last is
kept for the link after. One that has fewer is still verified, as long as nothing is proven with it."""

TOKEN_BYTES = 16


class Once(Protocol):
    """Durable names that are given a value once, as ``quatrefoil.state.State`` has them."""

    def put_once(self, name: str, value: bytes) -> bytes: ...
    def names(self, prefix: str) -> list[str]: ...


class Opening:
    """One opening, to be used for one proof. Made by :class:`Openings` alone."""

    def __init__(self, number: int, purpose: str) -> None:
        self.number = number
        self.purpose = purpose
        self._used = False

    def use(self) -> None:
        """``ParametersRefused`` where something has been made with it already."""
        if self._used:
            raise ParametersRefused(
                f"opening {self.number} has been used for {self.purpose}", hint="Claim another one for another proof"
            )
        self._used = True


class Openings:
    """The openings that a commitment allows, ``total`` of them. The last is kept for a link to a fresh commitment."""

    def __init__(self, state: Once, total: int, *, random: Callable[[int], bytes] = os.urandom) -> None:
        if not 1 <= total <= MOST_OPENINGS:
            raise ParametersRefused(f"{total} openings are not 1 to {MOST_OPENINGS}", hint="Allow fewer, and link")
        self._state = state
        self._total = total
        self._random = random

    @property
    def left(self) -> int:
        """How many can still be claimed, that of a link included."""
        return self._total - len(self._state.names(PREFIX))

    def claim(self, purpose: str, *, for_link: bool = False) -> Opening:
        """The next opening, noted durably with its ``purpose``; ``CommitmentExhausted`` where there is none."""
        return self._claim(range(1, self._total + for_link), purpose, for_link=for_link)

    def claim_last(self, purpose: str) -> Opening:
        """The one that is kept for a link: whoever has forgotten which others are used may use that, if no link has."""
        return self._claim(range(self._total, self._total + 1), purpose, for_link=True)

    def require_left(self, *, for_link: bool = False) -> None:
        """``CommitmentExhausted`` where :meth:`claim` would find none, before anything is computed for it."""
        if self.left <= (not for_link):
            raise self._exhausted(for_link=for_link)

    def _claim(self, numbers: range, purpose: str, *, for_link: bool) -> Opening:
        for number in numbers:
            token = purpose.encode() + b" " + self._random(TOKEN_BYTES).hex().encode()
            if self._state.put_once(f"{PREFIX}{number:02}", token) == token:
                return Opening(number, purpose)
        raise self._exhausted(for_link=for_link)

    def _exhausted(self, *, for_link: bool) -> CommitmentExhausted:
        used = f"the commitment allows {self._total} openings, and {self._total - self.left} are used"
        if for_link:
            return CommitmentExhausted(
                f"{used}, the last of them for a link", hint="Link the folder that was made then: it proves the same"
            )
        return CommitmentExhausted(
            f"{used}; the last is kept for a link",
            hint="Make a fresh commitment to the same weights (`quatrefoil model commit --link`) and prove with that",
        )


def require_enough(openings: int) -> None:
    """``ParametersRefused`` where a commitment with so many could prove no answers, or opens more than is hidden."""
    if not FEWEST_OPENINGS <= openings <= MOST_OPENINGS:
        raise ParametersRefused(
            f"{openings} openings are not {FEWEST_OPENINGS} to {MOST_OPENINGS}: the first goes to the proof of range "
            "and the last is kept for a link, so that fewer leave none for a proof of answers",
            hint=f"Allow {FEWEST_OPENINGS} to {MOST_OPENINGS}, and link when they are used",
        )


__all__ = [
    "FEWEST_OPENINGS",
    "MOST_OPENINGS",
    "PREFIX",
    "USUAL_OPENINGS",
    "Once",
    "Opening",
    "Openings",
    "require_enough",
]
