"""Keys in shares: who of a committee it takes to have a sum of keys, and what its members deal, hold and answer."""

from __future__ import annotations

import math
from dataclasses import dataclass

from quatrefoil.errors import ParametersRefused, PolicyInvalid

LARGEST_COMMITTEE = 64
"""Members of a committee. Shares go through the aggregator, one for each member and contribution."""
LARGEST_TRIALS = 100_000
"""Sets of answers that are tried, at the most, to find one without a lie."""


@dataclass(frozen=True)
class Threshold:
    """Who of a committee it takes to have the sum of keys (docs/committee.md). ``members`` (n): who holds a share.
    ``privacy`` (t_p): so many together learn nothing of a key. ``packing`` (l): values that one polynomial shares, a
    power of two. ``recovery`` (t_rec): so many answers give the sum; any two such sets have a member in common.

    ``ParametersRefused`` for what is no threshold; :meth:`fitting` finds the one for what may go wrong.
    """

    members: int
    privacy: int
    packing: int

    def __post_init__(self) -> None:
        n, privacy, packing = numbers = (self.members, self.privacy, self.packing)
        whole = all(type(number) is int and number >= 1 for number in numbers)
        if not (whole and n <= LARGEST_COMMITTEE and packing & (packing - 1) == 0 and n < 2 * self.recovery <= 2 * n):
            raise ParametersRefused(
                f"{n} members with privacy {privacy} and packing {packing} are no threshold: packing is a power of "
                "two, privacy + packing are more than half of the members and not more than all, "
                f"and those are at most {LARGEST_COMMITTEE}",
                hint="Take the threshold from the signed round context, or from Threshold.fitting",
            )

    @property
    def recovery(self) -> int:
        return self.privacy + self.packing

    @classmethod
    def fitting(cls, *, members: int, silent: int, liars: int, colluding: int) -> Threshold:
        """The threshold for a committee of which ``silent`` members may not answer, ``liars`` others may answer
        anything, and ``colluding`` may put together what they hold. It takes as many answers as are sure to come and to
        be true, the largest packing that the privacy leaves, and what is over for privacy.

        ``PolicyInvalid``, with the numbers, where there is none.
        """
        for what, number in (("members", members), ("silent", silent), ("liars", liars), ("colluding", colluding)):
            if type(number) is not int or not 0 <= number <= LARGEST_COMMITTEE:
                raise PolicyInvalid(
                    f"{number} {what} are not 0 to {LARGEST_COMMITTEE}", hint="Correct the policy's key authority"
                )
        private = max(liars, colluding, 1)
        # With less packing, as many liars could answer so that an honest member seems to be one.
        least_packing = 1 << max(liars - 1, 0).bit_length()
        recovery = members - silent - liars
        least = max(2 * silent + 3 * liars + 1, silent + liars + private + least_packing)
        asked = f"a committee of {members}, of whom {silent} may be silent, {liars} lie and {colluding} collude"
        if members < least:
            raise PolicyInvalid(
                f"there are no keys for {asked}: {recovery} answers are sure to come and to be true, of which any two "
                f"sets must share an honest member, and which hide keys from {private}",
                hint=f"Appoint at least {least} members, or allow for fewer who are silent, lie or collude"
                if least <= LARGEST_COMMITTEE
                else f"Allow for fewer: it would take {least} members, and there are at most {LARGEST_COMMITTEE}",
            )
        trials = math.comb(members - silent, liars)
        if trials > LARGEST_TRIALS:
            raise PolicyInvalid(
                f"{asked}: it would take {trials} trials to find the lies, over {LARGEST_TRIALS}",
                hint="Allow for fewer liars, or appoint fewer members",
            )
        packing = 1 << ((recovery - private).bit_length() - 1)
        return cls(members, recovery - packing, packing)


@dataclass(frozen=True)
class DealtKey:
    """One contribution's key in shares: member k, from 1 on, gets ``shares[k - 1]``, which fits ``commitments[k - 1]``,
    32 public bytes. ``hidden`` is for the proof only. The holder wipes ``shares`` once they are sealed, and
    ``hidden``."""

    threshold: Threshold
    shares: tuple[bytearray, ...]
    commitments: tuple[bytes, ...]
    hidden: bytearray

    def __repr__(self) -> str:
        return f"DealtKey({self.threshold}, shares=<{len(self.shares)} secrets>)"


@dataclass(frozen=True)
class Recovered:
    """The sum of keys that a committee's answers give, and whose answers were not the sums of their shares, by
    number."""

    combined_key: bytes
    liars: tuple[int, ...]


__all__ = [
    "LARGEST_COMMITTEE",
    "LARGEST_TRIALS",
    "DealtKey",
    "Recovered",
    "Threshold",
]
