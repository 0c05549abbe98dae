"""A tree of aggregators: the aggregator of a group of silos is itself a silo of an upper job, and adds its group's sum.

For more silos than one parameter set holds, and for more work than one host does. The lower job is a job like any
other, with a keeper, proofs, receipts and a log of its own; its aggregator opens the group's sum, and instead of
publishing its mean it contributes the sum to the upper job, as exact integers. What the upper job publishes, the groups
publish to their silos as the round's mean. So a silo needs to know of nothing but ``Job.upper``, and a group that fails
is to the upper job a silo that stays away.

Property: the mean that silos get is that of all silos whose contributions are in a group's sum which is in the upper
sum, exact over the integers; what a group's sum is, its own aggregator learns and no other party of the tree. Of two
groups in an upper sum each has the other's by subtraction: an upper policy must ask for three or more.
docs/scale.md has the bytes, who sees what, and what nobody checks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quatrefoil.errors import CallerError, MessageRefused, PolicyError, UpdateRefused
from quatrefoil.federation import parts
from quatrefoil.federation.aggregator import Aggregator
from quatrefoil.federation.messages import Job, KeyRelease
from quatrefoil.federation.publishing import FinishedRound
from quatrefoil.federation.silo import Silo
from quatrefoil.federation.sums import OpenedSum
from quatrefoil.federation.vectors import ArrayLayout, Arrays, Layout
from quatrefoil.state import State
from quatrefoil.transport.statement import Signed

LARGEST = (1 << 31) - 1
"""What an entry of an upper contribution is at most: the clip bound of an upper job, so that one grain of its
encryption is 1 and an integer is never rounded."""

TAIL = 3
"""Entries behind the group's sum: how many silos are in it, and the sum of their counts in two digits."""

LEAST_GROUPS = 3
"""In an upper sum: an aggregator of a group subtracts its own, and what is left must be of two groups or more."""

_DIGIT = 1 << 24
_WHOLE = 2.0**-10
"""How far a decrypted value may be from an integer: rounding to float64 moves it by less than 2^-20."""


@dataclass(frozen=True)
class GroupSum:
    """What goes up: the sum of a group's updates in ``grains``, integers of which one is clip / (2^(w-1) - 1) of the
    lower job, the ``samples`` of its contributors together, and their number."""

    grains: NDArray[np.int64]
    samples: int
    contributors: int

    def encode(self) -> NDArray[np.float64]:
        """As an update of the upper job; ``UpdateRefused`` where an entry does not fit."""
        largest = int(np.abs(self.grains).max(initial=0))
        high, low = divmod(self.samples, _DIGIT)
        for what, value in (("a sum", largest), ("the count of silos", self.contributors), ("samples", high)):
            if not 0 <= value <= LARGEST:
                raise UpdateRefused(
                    f"{what} of {value} does not fit into an upper job, which holds {LARGEST}",
                    hint="Make the groups smaller, or add another level",
                )
        return np.concatenate([self.grains, [self.contributors, low, high]]).astype(np.float64)

    @classmethod
    def of_mean(cls, mean: bytes, groups: int) -> GroupSum:
        """The sum over ``groups`` groups, of the mean that an upper job published; ``MessageRefused`` where that is
        not what such a sum leads to."""
        means = np.frombuffer(mean, "<f8") if len(mean) % 8 == 0 else np.zeros(0)
        # A mean of entries is no larger than they may be: so nothing below overflows.
        bounded = len(means) > TAIL and bool((np.abs(means) < LARGEST + 1).all())
        values = means * groups if bounded else np.zeros(0)
        whole = np.rint(values)
        if not bounded or (np.abs(values - whole) > _WHOLE).any():
            raise MessageRefused(
                "the upper job published what is no sum of integers", hint="Ask the upper aggregator's operator"
            )
        contributors, low, high = (int(value) for value in whole[-TAIL:])
        if min(low, high) < 0 or not 1 <= contributors <= low + high * _DIGIT:
            raise MessageRefused(
                f"the upper job published a sum of {contributors} silos with {low + high * _DIGIT} samples",
                hint="Ask the upper aggregator's operator",
            )
        return cls(whole[:-TAIL].astype(np.int64), low + high * _DIGIT, contributors)


def upper_layout(length: int) -> Layout:
    """The layout of an upper job over groups with models of ``length`` values."""
    return Layout((ArrayLayout((length + TAIL,), "<f8"),))


def upper_initial(length: int) -> Arrays:
    """The model that an upper job begins with. Nobody trains it: its means add up in it."""
    return [np.zeros(length + TAIL)]


def grains_of(values: NDArray[np.float64], grain: float) -> NDArray[np.int64]:
    """The integers that a decrypted sum is made of; ``UpdateRefused`` where it is not made of any."""
    counted = values / grain
    whole = np.rint(counted)
    if not np.isfinite(counted).all() or (np.abs(counted - whole) > _WHOLE).any():
        raise UpdateRefused(
            "the group's sum is not made of whole grains", hint="Add it with additive-rlwe: other sums are not exact"
        )
    return whole.astype(np.int64)


class GroupAggregator:
    """Drives the aggregator of a group (``lower``) and the silo that it is in the upper job, for one round at a time.

    ``grain``: of the lower job's encryption, clip / (2^(w-1) - 1). ``state``: the group aggregator's. Refused when it
    is built: a lower job that names another upper job, an upper job of another length, clip bound or number of rounds,
    one that weighs this group other than 1, or one that adds fewer than three groups.
    """

    def __init__(self, lower: Aggregator, upper: Silo, *, name: str, grain: float, state: State) -> None:
        self.lower = lower
        self.upper = upper
        self._grain = grain
        self._state = state
        _check(lower.job, upper.job, name)
        if lower.minimum_silos < 2:
            raise PolicyError("a group of one silo has no sum that hides it", hint="Make the groups larger")
        if upper.minimum_silos < LEAST_GROUPS:
            raise PolicyError(
                f"job {upper.job.name} adds {upper.minimum_silos} groups, and of two each has the other's sum",
                hint=f"Agree on an upper policy with minimum_silos = {LEAST_GROUPS} or more, and colluding_silos = 1",
            )

    def contribute(self, opened: OpenedSum, offer: bytes, voids: tuple[bytes, ...] = ()) -> bytes:
        """The group's sum as a contribution to the offered attempt of the upper job; always the same bytes for one."""
        total = GroupSum(grains_of(opened.values, self._grain), opened.samples, len(opened.contributors))
        return self.upper.contribute_update(offer, total.encode(), voids)

    def finish(self, opened: OpenedSum, offer: bytes, release: bytes, result: bytes, receipts: bytes) -> FinishedRound:
        """Take the upper job's result, and publish its mean to the group as that of the round.

        What was taken is kept: after a restart between the two, :meth:`finish_taken` goes on.
        """
        number = self.lower.rounds_done + 1
        if self.upper.rounds_done != number:
            # Before it is taken: whatever is here when it has been, is what was taken.
            self._state.replace({_taken(number): parts.join([release, result])})
            self.upper.accept(offer, release, result, receipts)
        return self.finish_taken(opened)

    def finish_taken(self, opened: OpenedSum) -> FinishedRound:
        """Publish what was taken of the upper job for the round that the group is in."""
        number = self.lower.rounds_done + 1
        stored = self._state.get(_taken(number))
        if stored is None or self.upper.rounds_done != number:
            raise CallerError(f"no upper result of round {number} has been taken", hint="Call finish() with it")
        release, result = parts.split(stored, 2)
        groups = len(KeyRelease.decode(Signed.decode(release).body).contributors)
        total = GroupSum.of_mean(parts.split(result, 2)[1], groups)
        weight = total.samples / self.lower.job.heaviest
        mean = np.ascontiguousarray(total.grains * self._grain / weight, dtype="<f8").tobytes()
        clip = self.lower.job.clip
        error_bound = total.contributors * (self._grain + 2.0**-50 * clip) / weight
        finished = self.lower.publish(opened, mean, error_bound)
        self._state.replace({_taken(number): None})
        return finished


def _check(lower: Job, upper: Job, name: str) -> None:
    if lower.upper != upper.digest():
        raise CallerError(
            f"group {lower.name} does not go up to job {upper.name}", hint="Make the group's job with its digest"
        )
    wanted = upper_layout(lower.layout.length)
    if (upper.layout, upper.clip) != (wanted, float(LARGEST)):
        raise CallerError(
            f"job {upper.name} adds {upper.layout.length} values up to {upper.clip}, and sums of group {lower.name} "
            f"are {wanted.length} up to {LARGEST}",
            hint=f"Make the upper job with limits.clip = {LARGEST}.0, value_bits = 32 and tree.upper_layout",
        )
    if upper.rounds != lower.rounds:
        raise CallerError(
            f"job {upper.name} has {upper.rounds} rounds, and group {lower.name} {lower.rounds}",
            hint="Make both with as many",
        )
    counts = {member.name: member.samples for member in upper.roster}
    if set(counts.values()) != {1} or name not in counts:
        raise CallerError(
            f"job {upper.name} weighs groups by counts of {sorted(set(counts.values()))}, and what goes up is weighed",
            hint="Enrol every group with 1 sample",
        )


def _taken(number: int) -> str:
    return f"upper/{number:08d}"


__all__ = [
    "LARGEST",
    "LEAST_GROUPS",
    "TAIL",
    "GroupAggregator",
    "GroupSum",
    "grains_of",
    "upper_initial",
    "upper_layout",
]
