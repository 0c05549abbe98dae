"""Whom an aggregator asks for the key of a sum: a keeper over a channel of its own, or the members of a committee, who
are silos, and connect out to it.

Each gives the same four things: an offer, a check before the roster closes, the answer for it, and a void.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from typing import Protocol

from quatrefoil.errors import PolicyError, RoundVoided
from quatrefoil.federation import parts
from quatrefoil.federation.aggregator import Aggregator
from quatrefoil.federation.desk import Desk
from quatrefoil.services.keeper_link import KeeperLink
from quatrefoil.services.standing import Standing
from quatrefoil.services.waiting import Waiting, wait_until, wake


class KeyAuthority(Protocol):
    """For one job, one attempt at a time."""

    async def open(self, aggregator: Aggregator) -> bytes:
        """The offer of the next attempt."""

    async def check(self, aggregator: Aggregator) -> None:
        """Whether the keys of all that was received can be used, and be answered for. What is raised may name a silo,
        which is then to be left out."""

    async def answer(self, aggregator: Aggregator) -> bytes:
        """The release for the proposed roster, and the sum of its keys, joined."""

    async def void(self, aggregator: Aggregator, reason: str) -> bytes:
        """The void of the attempt that is open."""

    async def close(self) -> None:
        """Nothing more is asked."""


class KeeperAuthority:
    """A keeper, asked over its channel."""

    def __init__(self, link: KeeperLink) -> None:
        self._link = link

    async def open(self, aggregator: Aggregator) -> bytes:
        return await self._link.ask("open", parts.join([aggregator.enrolled_job, aggregator.open_request()]))

    async def check(self, aggregator: Aggregator) -> None:
        await self._link.ask("check", aggregator.key_request())

    async def answer(self, aggregator: Aggregator) -> bytes:
        return await self._link.ask("answer", aggregator.key_request())

    async def void(self, aggregator: Aggregator, reason: str) -> bytes:
        return await self._link.ask("void", aggregator.void_request(reason))

    async def close(self) -> None:
        await self._link.close()


class CommitteeAuthority:
    """The members of a committee, asked when they ask what is next: ``standing`` says so to each. ``recover_in``:
    threads in which their answers are put together, while others are still taken."""

    def __init__(self, standing: Standing, waiting: Waiting, recover_in: Executor) -> None:
        self._recover_in = recover_in
        self._standing = standing
        self._waiting = waiting

    async def open(self, aggregator: Aggregator) -> bytes:
        desk = _desk(aggregator)
        desk.opening.begin(aggregator.open_request())
        self._standing.sharing = False
        await wake(self._standing.for_silos)

        def all_here() -> bool:
            return not any(desk.opening.wants_key(name) for name in desk.members.names)

        if not await wait_until(all_here, self._standing.for_rounds, self._waiting.deadline):
            await wait_until(
                lambda: desk.opening.can_open or all_here(), self._standing.for_rounds, self._waiting.give_up
            )
        if not desk.opening.can_open:
            raise PolicyError(
                f"{len(desk.members.usable)} members of the committee have given keys in time, which are too few"
                + self._standing.reasons(name for name in desk.members.names if desk.opening.wants_key(name)),
                hint="Start the missing silos, and run the aggregator again on the same state",
            )
        return desk.opening.offer()

    async def check(self, aggregator: Aggregator) -> None:
        desk = _desk(aggregator)
        self._standing.sharing = True
        await wake(self._standing.for_silos)

        def settled() -> bool:
            reported = not any(desk.shares.wants_report(name) for name in desk.members.usable)
            shown = not any(desk.shares.is_complained_of(name) for name in self._standing.invited)
            return desk.members.is_hopeless or (reported and shown)

        if not await wait_until(settled, self._standing.for_rounds, self._waiting.deadline):

            def enough() -> bool:
                return desk.members.is_hopeless or not desk.shares.lacking()

            await wait_until(enough, self._standing.for_rounds, self._waiting.give_up)
        if desk.members.is_hopeless:
            raise RoundVoided(f"fewer than {desk.members.recovery} members are left", hint="Try the next attempt")
        for silo, reason in {**desk.shares.lacking(), **desk.shares.unresolved()}.items():
            aggregator.exclude(silo, reason)
        aggregator.check_roster()

    async def answer(self, aggregator: Aggregator) -> bytes:
        desk, proposal = _desk(aggregator), self._standing.proposal
        assert proposal is not None
        answers, members = desk.answers, desk.members
        await wake(self._standing.for_silos)

        def ready() -> bool:
            return answers.can_try or members.is_hopeless

        while await wait_until(ready, self._standing.for_rounds, self._waiting.give_up) and answers.can_try:
            trial = self._recover_in.submit(answers.trial())
            await asyncio.gather(asyncio.wrap_future(trial), return_exceptions=True)
            if (found := answers.conclude(proposal, trial.result)) is not None:
                return found
        raise RoundVoided(
            f"{len(answers.answered)} members answered, and {members.recovery} must agree", hint="Try the next attempt"
        )

    async def void(self, aggregator: Aggregator, reason: str) -> bytes:
        desk = _desk(aggregator)
        desk.voids.begin(aggregator.void_request(reason))
        await wake(self._standing.for_silos)
        await wait_until(lambda: desk.voids.void() is not None, self._standing.for_rounds, self._waiting.give_up)
        if (void := desk.voids.void()) is None:
            recovery = desk.members.recovery
            raise PolicyError(
                f"too few members of the committee void an attempt that cannot be answered: {recovery} must",
                hint="Start the missing silos, and run the aggregator again on the same state",
            )
        return void

    async def close(self) -> None:
        pass


def _desk(aggregator: Aggregator) -> Desk:
    assert aggregator.desk is not None, "the job has a committee"
    return aggregator.desk


__all__ = ["CommitteeAuthority", "KeeperAuthority", "KeyAuthority"]
