"""A job whose keys a committee of eight silos holds, of whom two may be silent and one may lie."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

import world
from identities import identity
from quatrefoil.errors import PeerError, RoundVoided
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import sha256
from quatrefoil.federation.authorities import NOBODY
from quatrefoil.federation.committee_messages import MemberAnswer
from quatrefoil.federation.committees import Members, gather_shares
from quatrefoil.federation.desk import Desk
from quatrefoil.federation.enrolment import JobTerms
from quatrefoil.federation.messages import RosterProposal
from quatrefoil.federation.publishing import FinishedRound
from quatrefoil.policy import Policy
from signed_messages import body_of, changed
from world import World, expected_mean

EIGHT = ("ambon", "bari", "cusco", "dakar", "elba", "faro", "graz", "huesca")
world.SAMPLES.setdefault("huesca", 60)
world.UPDATES.setdefault("huesca", 0.125)

POLICY = """
name = "test-committee"
threats = ["recorder", "network", "curious-aggregator", "colluding-silos", "byzantine-silo"]
on_excess = "refuse"
[limits]
minimum_silos = {minimum}
colluding_silos = {colluding}
largest_sample_count = {heaviest}
clip = {clip}
value_bits = 16
minimum_roster_group = {group}
rounds = 20
update_norm = 3.0
[allow]
transport = ["pq-tls"]
enclave = ["committee"]
aggregation = ["additive-rlwe"]
proofs = ["bounded-update"]
[insecure]
accept = []
[key_authority]
kind = "committee"
members = {members}
silent = {silent}
liars = {liars}
"""


def policy_text(**changes: object) -> str:
    given = {"members": 8, "silent": 2, "liars": 1, "colluding": 1, "group": 1}
    given |= {"minimum": 3, "heaviest": 1000, "clip": 1.0}
    return POLICY.format(**given | changes)


def committee_policy(**changes: object) -> Policy:
    return Policy.parse(policy_text(**changes), source="test")


@dataclass
class CommitteeWorld(World):
    """``down``: silos that nothing is asked of. ``lies``: by member, what becomes of the answer that it gives."""

    names: Any = EIGHT
    rounds: int = 3
    down: set[str] = field(default_factory=set)
    lies: dict[str, Callable[[bytes], bytes]] = field(default_factory=dict)
    after: Callable[[], None] = lambda: None

    def make_policy(self) -> Policy:
        return committee_policy(**self.limits)

    def appraiser(self) -> Any:
        return None

    def make_keeper(self, state: object = None) -> Any:
        return None

    def terms(self, **changes: object) -> JobTerms:
        return super().terms(**({"keeper": NOBODY} | changes))

    @property
    def desk(self) -> Desk:
        assert self.aggregator.desk is not None
        return self.aggregator.desk

    @property
    def members(self) -> Members:
        """Those that can be asked."""
        return Members(self.aggregator, {name: silo for name, silo in self.silos.items() if name not in self.down})

    def open(self) -> bytes:
        self.offer = self.members.open()
        return self.offer

    def share(self) -> None:
        """Have members check their shares of what was received; dealers that show none are left out."""
        gather_shares(self.members)

    def propose(self) -> bytes:
        self.share()
        self.aggregator.check_roster()
        self.proposal = self.aggregator.propose()
        return self.proposal

    def answer_of(self, name: str) -> bytes:
        """A member's answer, as it sends it."""
        message = self.silos[name].member_answer(self.offer, self.desk.answers.request(name, self.proposal))
        return self.lies[name](message) if name in self.lies else message

    def answer(self, confirming: Collection[str] | None = None) -> bytes:
        """The release and the key, with answers of these members (default: all that are not down)."""
        self.propose()
        return self.gathered(self.members.silos if confirming is None else confirming)

    def gathered(self, names: Collection[str]) -> bytes:
        found = None
        for name in names:
            if self.desk.answers.wants(name) and found is None:
                self.desk.answers.take(name, self.answer_of(name))
                found = self.desk.answers.recover(self.proposal)
        assert found is not None
        return found

    def void(self, reason: str = "test") -> bytes:
        void = run_void(self.members, self.offer, reason)
        self.aggregator.voided(void)
        return void

    def restart(self, name: str) -> None:
        """Start a silo again, on the disk that it has."""
        self.silos[name] = self.make_silo(name)

    def restart_hub(self) -> None:
        job = self.enrolments.agreed()
        assert job is not None
        self.aggregator = self.make_aggregator(job)

    def finish(self, confirming: Any = None) -> FinishedRound:
        return self.aggregator.finish(self.answer(confirming))


def sealed_shares(message: bytes) -> list[bytes]:
    """By member, in a contribution as it travels."""
    return parts.split(parts.split(message, 4)[1], 8)


def started(**limits: object) -> CommitteeWorld:
    found = CommitteeWorld(limits=limits)
    found.begin()
    return found


def close_to_the_mean(world: CommitteeWorld, names: tuple[str, ...] = EIGHT, bound: float = 1e-3) -> bool:
    return world.moved() == pytest.approx(expected_mean(names), abs=bound)


def other_sum(world: CommitteeWorld, name: str) -> None:
    """``name`` answers with another sum than that of its shares, and signs it."""

    def lie(message: bytes) -> bytes:
        signed, total = parts.split(message, 2)
        wrong = total[:-8] + bytes(7) + b"\x01"
        return parts.join([changed(signed, MemberAnswer, identity(name, "silo"), sum=sha256(wrong)), wrong])

    world.lies[name] = lie


def liars_in(world: CommitteeWorld) -> list[str]:
    return [body["silo"] for body in world.logged("refusal") if "another sum" in body["reason"]]


def run_void(members: Members, offer: bytes, reason: str) -> bytes:
    """The members' void of the attempt that is open; ``RoundVoided`` where too few sign it."""
    desk = members.desk
    desk.voids.begin(members.aggregator.void_request(reason))
    for name, silo in members.silos.items():
        if desk.voids.wants(name) and desk.voids.request is not None:
            try:
                desk.voids.take(name, silo.member_void(offer, desk.voids.request))
            except PeerError as error:
                desk.members.is_silent(name, error.problem)
    if (void := desk.voids.void()) is None:
        raise RoundVoided(
            f"too few members void the attempt: {desk.members.recovery} must", hint="Start the missing members"
        )
    return void


def two_rosters(world: CommitteeWorld) -> tuple[bytes, bytes]:
    """Proposals of an aggregator that signs two for one attempt."""
    first = world.propose()
    proposal = RosterProposal.decode(body_of(first))
    less = replace(proposal, contributors=proposal.contributors[:-1], contributions=proposal.contributions[:-1])
    return first, world.hub_security.sign(less.encode())
