"""Members of a committee, and its aggregator, killed before and after every durable step and started again."""

from __future__ import annotations

import pytest
from crashing import Drive

from committee_world import CommitteeWorld, run_void
from killing import Fuse
from quatrefoil.errors import RoundVoided
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import sha256
from quatrefoil.federation.committee_messages import MemberAnswer
from quatrefoil.federation.committees import gather_shares
from quatrefoil.federation.messages import RosterProposal, RoundOffer
from signed_messages import body_of
from world import NAMES, UPDATES, expected_mean


def world() -> CommitteeWorld:
    """Four members, of whom three have to answer: one that is started again is silent."""
    return CommitteeWorld(names=NAMES, rounds=1, limits={"members": 4, "silent": 0})


class CommitteeDrive(Drive):
    """``answers``: by member and context, what it said; ``rosters``: by member and round, whom it answered for."""

    world: CommitteeWorld

    def __init__(self, victim: str, fuse: Fuse) -> None:
        self.answers: dict[tuple[str, bytes], set[bytes]] = {}
        self.rosters: dict[tuple[str, int], set[tuple[str, ...]]] = {}
        super().__init__(world(), victim, fuse)

    def _round(self) -> None:
        world, offer = self.world, b""
        try:
            offer = self.witness.offered(world.open())
            self._hand_out()
            for name, silo in world.silos.items():
                trained = [array + array.dtype.type(UPDATES[name]) for array in silo.model]
                message = silo.contribute(offer, trained, world.aggregator.voids)
                world.aggregator.receive(name, self.witness.sent(name, offer, message))
                silo.acknowledged(RoundOffer.decode(body_of(offer)).context)
            gather_shares(world.members)
            world.aggregator.check_roster()
            proposal = self.witness.proposed(world.aggregator.propose())
            world.aggregator.finish(self._answers(offer, proposal))
        except RoundVoided:
            world.aggregator.voided(run_void(world.members, offer, "lost"))

    def _answers(self, offer: bytes, proposal: bytes) -> bytes:
        world, context = self.world, RoundOffer.decode(body_of(offer)).context
        for name, silo in world.silos.items():
            if not world.desk.answers.wants(name):
                continue
            try:
                message = silo.member_answer(offer, world.desk.answers.request(name, proposal))
            except RoundVoided as gone:
                world.desk.members.is_silent(name, gone.problem)
                continue
            self.answers.setdefault((name, context.digest()), set()).add(message)
            asked = RosterProposal.decode(body_of(proposal)).contributors
            self.rosters.setdefault((name, context.round), set()).add(asked)
            world.desk.answers.take(name, message)
            if (found := world.desk.answers.recover(proposal)) is not None:
                return found
        raise RoundVoided("too few answered", hint="Try the next attempt")

    def check(self) -> None:
        self.witness.check()
        assert all(len(forms) == 1 for forms in self.answers.values()), "one question, two answers"
        assert all(len(forms) == 1 for forms in self.rosters.values()), "two rosters of one round's updates"
        for (_, context), forms in self.answers.items():
            for message in forms:
                signed, total = parts.split(message, 2)
                said = MemberAnswer.decode(body_of(signed))
                assert (said.context, said.sum) == (context, sha256(total))


def steps_of(victim: str) -> list[str]:
    fuse = Fuse()
    CommitteeDrive(victim, fuse).run()
    return fuse.steps


STEPS = {victim: steps_of(victim) for victim in ("ambon", "hub")}
OWN = ("member-key", "put member", "shares-checked", "member-answer", "put offer", "put release")


def crashes() -> list[object]:
    """What a committee adds, in every run; all other steps with the slow tests."""
    return [
        pytest.param(
            victim,
            at,
            after,
            id=f"{victim} {'after' if after else 'before'} {at}: {step}",
            marks=[] if any(one in step for one in OWN) else [pytest.mark.slow],
        )
        for victim, steps in STEPS.items()
        for at, step in enumerate(steps)
        for after in (False, True)
    ]


def test_the_steps_of_a_committee_are_the_documented_ones() -> None:
    """Keys and answers are logged before they are stored, as a keeper's are; offer and release are stored first."""
    own = [step.split("/")[0] for step in STEPS["ambon"] if any(one in step for one in OWN)]
    assert own == ["log member-key", "put member", "log shares-checked", "log member-answer", "put member"]
    hub = [step.split("/")[0] for step in STEPS["hub"] if any(one in step for one in OWN)]
    assert hub == ["put offer", "log member-answer+member-answer+member-answer", "put release"]


@pytest.mark.parametrize(("victim", "at", "after"), crashes())
def test_whoever_is_killed_at_a_durable_step_the_job_ends_the_same(victim: str, at: int, after: bool) -> None:
    fuse = Fuse(at, after=after)
    drive = CommitteeDrive(victim, fuse)
    drive.run()
    drive.check()
    assert drive.deaths == 1
    assert drive.world.moved() == pytest.approx(expected_mean(NAMES), abs=1e-3)
    models = {tuple(map(float, silo.model[0].ravel())) for silo in drive.world.silos.values()}
    assert len(models) == 1
