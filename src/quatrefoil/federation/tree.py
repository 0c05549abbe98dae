"""A tree of aggregators: the aggregator of a group of silos is itself a silo of an upper job, and adds its group's sum.

For more silos than one parameter set holds, and for more work than one host does. The lower job is a job like any
other, with a keeper, proofs, receipts and a log of its own; its aggregator opens the group's sum, and instead of
publishing its mean it contributes the sum to the upper job, as exact integers (``group_sums``). What the upper job
publishes, the groups publish to their silos as the round's mean. So a silo needs to know of nothing but ``Job.upper``,
which its policy has to ask for, and a group that fails is to the upper job a silo that stays away.

Property: the mean that silos get is that of all silos whose contributions are in a group's sum which is in the upper
sum, exact over the integers; what a group's sum is, its own aggregator learns and no other party of the tree. Of two
groups in an upper sum each has the other's by subtraction: an upper policy must ask for three or more.
docs/scale.md has the bytes, who sees what, and what nobody checks.
"""

from __future__ import annotations

import math

import numpy as np

from quatrefoil.errors import CallerError, PolicyError
from quatrefoil.federation import parts
from quatrefoil.federation.accounts import account
from quatrefoil.federation.aggregator import Aggregator
from quatrefoil.federation.group_sums import LARGEST, GroupSum, group_sum, upper_layout
from quatrefoil.federation.messages import Job
from quatrefoil.federation.publishing import FinishedRound
from quatrefoil.federation.silo import Silo
from quatrefoil.federation.sums import OpenedSum
from quatrefoil.policy import PROVEN, Limits, Policy
from quatrefoil.state import State
from quatrefoil.transport.statement import Signed

LEAST_GROUPS = 3
"""In an upper sum: an aggregator of a group subtracts its own, and what is left must be of two groups or more."""

UPPER_BITS = 32
"""``limits.value_bits`` of an upper policy."""

_ENDED = "ended"


class UpperSilo:
    """The silo that a group's aggregator is in the upper job, and what it has taken there and the group has not
    published yet. ``state``: the silo's. ``length`` and ``rounds``: values of the group's model, and its rounds.

    Refused are an upper job of another length, clip bound or number of rounds and one that weighs groups other than 1,
    before they are consented to; and, when this is built, a policy that lets fewer than three groups be added.
    """

    def __init__(self, silo: Silo, state: State, *, name: str, length: int, rounds: int) -> None:
        self.silo = silo
        self._state = state
        self._name = name
        self._length = length
        self._rounds = rounds
        if silo.minimum_silos < LEAST_GROUPS:
            raise _too_few(silo.minimum_silos)
        if silo.started:
            self._require_fitting(silo.job)

    def consent(self, signed_job: bytes) -> bytes:
        """A signed :class:`Consent` to an upper job that this group's sums fit into."""
        # What is read here is verified by the silo, which signs exactly these bytes or nothing.
        self._require_fitting(Job.decode(Signed.decode(signed_job).body))
        return self.silo.consent(signed_job)

    def contribute(self, offer: bytes, total: GroupSum, voids: tuple[bytes, ...] = ()) -> bytes:
        """The group's sum as a contribution to the offered attempt; always the same bytes for one."""
        return self.silo.contribute_update(offer, total.encode(), voids)

    def take(self, offer: bytes, release: bytes, result: bytes, receipts: bytes) -> None:
        """Take the result of the upper job's next round. Its mean is durable before that: :meth:`total` has it after a
        restart."""
        self._state.replace({_taken(self.silo.rounds_done + 1): parts.split(result, 2)[1]})
        self.silo.accept(offer, release, result, receipts)

    def total(self, number: int) -> GroupSum | None:
        """The sum over all groups that was taken for this round; None before, and once it is forgotten."""
        mean = self._state.get(_taken(number))
        if mean is None or self.silo.rounds_done < number:  # what is there was not taken: it was refused, or cut short
            return None
        return GroupSum.of_mean(mean, len(account(self._state, number).contributors))

    @property
    def held(self) -> list[int]:
        """The rounds of which :meth:`total` is there."""
        found = [int(name.removeprefix(_TAKEN)) for name in self._state.names(_TAKEN)]
        return [number for number in found if number <= self.silo.rounds_done]

    def forget(self, number: int) -> None:
        """What was taken up to this round, which the group has published."""
        if gone := {_taken(one): None for one in self.held if one <= number}:
            self._state.replace(gone)

    @property
    def ended(self) -> bool:
        """Whether the upper job is over for this group."""
        return self._state.get(_ENDED) is not None

    def end(self) -> None:
        """The upper job has said that it is done, and asks for nothing more. Durable."""
        self._state.put_once(_ENDED, b"")

    def _require_fitting(self, job: Job) -> None:
        wanted = upper_layout(self._length)
        if (job.layout, job.clip) != (wanted, float(LARGEST)):
            raise CallerError(
                f"job {job.name} adds {job.layout.length} values up to {job.clip}, and the sums of this group "
                f"are {wanted.length} up to {LARGEST}",
                hint=f"Start the upper aggregator with --groups-of {self._length} under limits.clip = {LARGEST}.0",
            )
        if job.rounds != self._rounds:
            raise CallerError(
                f"job {job.name} has {job.rounds} rounds, and this group {self._rounds}",
                hint="Make both with as many",
            )
        counts = {member.name: member.samples for member in job.roster}
        if set(counts.values()) != {1} or self._name not in counts:
            raise CallerError(
                f"job {job.name} weighs groups by counts of {sorted(set(counts.values()))}, and what goes up is "
                "weighed",
                hint="Enrol every group with 1 sample",
            )


class GroupAggregator:
    """Drives the aggregator of a group (``lower``) and its ``upper`` silo, for one round at a time.

    ``grain``: of the lower job's encryption, clip / (2^(w-1) - 1). Refused when it is built: a lower job that names
    another upper job, or that adds one silo.
    """

    def __init__(self, lower: Aggregator, upper: UpperSilo, *, grain: float) -> None:
        self.lower = lower
        self.upper = upper
        self._grain = grain
        require_going_up(lower, upper.silo.job.digest(), upper.silo.job.name)

    def contribute(self, opened: OpenedSum, offer: bytes, voids: tuple[bytes, ...] = ()) -> bytes:
        """The group's sum as a contribution to the offered attempt of the upper job; always the same bytes for one."""
        return self.upper.contribute(offer, group_sum(opened, self._grain), voids)

    def finish(self, opened: OpenedSum, offer: bytes, release: bytes, result: bytes, receipts: bytes) -> FinishedRound:
        """Take the upper job's result, and publish its mean to the group as that of the round.

        What was taken is kept: after a restart between the two, :meth:`finish_taken` goes on.
        """
        if self.upper.silo.rounds_done < self.lower.rounds_done + 1:
            self.upper.take(offer, release, result, receipts)
        return self.finish_taken(opened)

    def finish_taken(self, opened: OpenedSum) -> FinishedRound:
        """Publish what was taken of the upper job for the round that the group is in."""
        number = self.lower.rounds_done + 1
        total = self.upper.total(number)
        if total is None:
            raise CallerError(f"no upper result of round {number} has been taken", hint="Call finish() with it")
        finished = publish_total(self.lower, opened, total, self._grain)
        self.upper.forget(number)
        return finished


def require_going_up(lower: Aggregator, upper: bytes, name: str) -> None:
    """Refuse a group's aggregator whose job does not go up to the one of this digest, or whose sum hides nobody."""
    if lower.job.upper != upper:
        raise CallerError(
            f"group {lower.job.name} does not go up to job {name}", hint="Make the group's job with its digest"
        )
    if lower.minimum_silos < 2:
        raise PolicyError("a group of one silo has no sum that hides it", hint="Make the groups larger")


def require_upper_policy(policy: Policy) -> None:
    """``PolicyError`` where sums of groups cannot be added under this policy, with the lines that it needs."""
    limits = policy.limits
    if (limits.clip, limits.value_bits) != (float(LARGEST), UPPER_BITS):
        raise PolicyError(
            f"policy {policy.name} adds values up to {limits.clip:g} in {limits.value_bits} bits, and sums of groups "
            "are integers that are not to be rounded",
            hint=f"Agree on an upper policy with clip = {LARGEST}.0 and value_bits = {UPPER_BITS}",
        )
    if PROVEN in policy.threats:
        committee, keeper = (
            (", as a committee needs,", ", and appoint a keeper") if policy.key_authority.is_committee else ("", "")
        )
        raise PolicyError(
            f"policy {policy.name} names {PROVEN}{committee} and there are no proofs about values of {UPPER_BITS} bits",
            hint=f"Take {PROVEN} out of the upper policy{keeper}; in a group's own it has silos prove what they add",
        )
    if limits.update_norm != math.inf:
        raise PolicyError(
            f"policy {policy.name} holds what is added to a norm of {limits.update_norm:g}, and a group's sum, with "
            "the counts beside it, would be scaled down to that",
            hint="Take update_norm out of the upper policy; in a group's own it bounds what each silo adds",
        )
    if limits.minimum_silos < LEAST_GROUPS:
        raise _too_few(limits.minimum_silos)
    if policy.goes_up:
        raise PolicyError(
            f"policy {policy.name} is of a group, and adds groups", hint="A tree has two levels: take [tree] out of it"
        )


def require_group_policy(policy: Policy, aggregation: str) -> None:
    """``PolicyError`` where what is added under this policy, with this backend, cannot go up."""
    if not policy.goes_up:
        raise PolicyError(
            f"policy {policy.name} says that its jobs stand alone, and this one is to go up to another",
            hint='Have all parties of the group agree on place = "group" under [tree]',
        )
    if aggregation != "additive-rlwe":
        raise PolicyError(
            f"policy {policy.name} leads to {aggregation}, whose sums are not exact integers",
            hint="Allow additive-rlwe alone under [allow] aggregation",
        )
    if policy.limits.clip == float(LARGEST):
        raise PolicyError(
            f"policy {policy.name} is of a job that adds groups, and would go up itself", hint="A tree has two levels"
        )


def grain_of(limits: Limits) -> float:
    """What one integer of a sum under these limits stands for."""
    return limits.clip / float((1 << (limits.value_bits - 1)) - 1)


def publish_total(lower: Aggregator, opened: OpenedSum, total: GroupSum, grain: float) -> FinishedRound:
    """Publish the mean over all groups to a group, as that of the round that it is in."""
    weight = total.samples / lower.job.heaviest
    mean = np.ascontiguousarray(total.grains * grain / weight, dtype="<f8").tobytes()
    error_bound = total.contributors * (grain + 2.0**-50 * lower.job.clip) / weight
    return lower.publish(opened, mean, error_bound)


def _too_few(minimum: int) -> PolicyError:
    return PolicyError(
        f"the upper policy adds {minimum} groups, and of two each has the other's sum",
        hint=f"Agree on an upper policy with minimum_silos = {LEAST_GROUPS} or more, and colluding_silos = 1",
    )


_TAKEN = "upper/"


def _taken(number: int) -> str:
    return f"{_TAKEN}{number:08d}"


__all__ = [
    "LEAST_GROUPS",
    "UPPER_BITS",
    "GroupAggregator",
    "UpperSilo",
    "grain_of",
    "publish_total",
    "require_going_up",
    "require_group_policy",
    "require_upper_policy",
]
