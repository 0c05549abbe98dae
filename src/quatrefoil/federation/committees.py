"""A committee asked in one process: what services ask of it over channels, handed over directly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from quatrefoil.contracts import LARGEST_COMMITTEE
from quatrefoil.errors import PeerError, RoundVoided
from quatrefoil.federation import parts
from quatrefoil.federation.aggregator import Aggregator
from quatrefoil.federation.desk import Desk
from quatrefoil.federation.silo import Silo


@dataclass(frozen=True)
class Members:
    """The silos of a job that can be asked now, members of its committee or not; and its aggregator."""

    aggregator: Aggregator
    silos: Mapping[str, Silo]

    @property
    def desk(self) -> Desk:
        assert self.aggregator.desk is not None, "the job has a committee"
        return self.aggregator.desk

    def open(self) -> bytes:
        """The offer of the next attempt, with the keys of all members that give one; the aggregator has taken it."""
        desk = self.desk
        desk.opening.begin(self.aggregator.open_request())
        for name, silo in self.silos.items():
            if desk.opening.wants_key(name):
                try:
                    desk.opening.take_key(name, silo.member_key(desk.opening.request))
                except RoundVoided as gone:
                    desk.members.is_silent(name, gone.problem)
        offer = desk.opening.offer()
        self.aggregator.opened(offer)
        return offer

    def answers(self, offer: bytes, proposal: bytes) -> bytes:
        """The release for a proposed roster and the sum of its keys, joined; ``RoundVoided`` where too few answer."""
        desk = self.desk
        for name, silo in self.silos.items():
            if not desk.answers.wants(name):
                continue
            try:
                desk.answers.take(name, silo.member_answer(offer, desk.answers.request(name, proposal)))
            except RoundVoided as gone:
                desk.members.is_silent(name, gone.problem)
                continue
            if (found := desk.answers.recover(proposal)) is not None:
                return found
        raise RoundVoided(
            f"{len(desk.answers.answered)} members answered, and {desk.members.recovery} must agree",
            hint="Try the next attempt",
        )


def gather_shares(members: Members) -> None:
    """Have members check their shares of all that was received; silos that they complain of, and that show no share
    that fits, are left out of the attempt."""
    desk, aggregator = members.desk, members.aggregator
    offer = desk.opening.offer()
    for name, silo in members.silos.items():
        if desk.shares.wants_report(name):
            try:
                desk.shares.take_report(name, silo.check_shares(offer, desk.shares.request(name)))
            except RoundVoided as gone:
                desk.members.is_silent(name, gone.problem)
    for name, silo in members.silos.items():
        if desk.shares.is_complained_of(name):
            try:
                desk.shares.take_shown(
                    name, silo.open_shares(offer, parts.split_list(desk.shares.complaints(name), LARGEST_COMMITTEE))
                )
            except PeerError:
                continue  # it is left out below, and the reason is in the log
    for name, reason in desk.shares.unresolved().items():
        aggregator.exclude(name, reason)


__all__ = ["Members", "gather_shares"]
