"""That a member lied, anybody repeats from the aggregator's log; a framed member's accuser is found out."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from committee_world import EIGHT, CommitteeWorld
from identities import identity
from quatrefoil.audit.accusations import MemberAnswer, TriedAnswers, require_liar
from quatrefoil.audit.checks.statements import CHECKERS, Context
from quatrefoil.audit.entries import Entry
from quatrefoil.errors import EvidenceRejected, MessageRefused
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import sha256
from signed_messages import changed


def accusing(liar: str = "ambon") -> tuple[CommitteeWorld, Entry, dict[str, bytes]]:
    """A round in which ``liar`` lied, with the entry of the aggregator's log that says so, and what it attaches."""
    world = CommitteeWorld()
    world.begin()
    world.send(world.open())

    def lie(message: bytes) -> bytes:
        signed, total = parts.split(message, 2)
        wrong = total[:-8] + bytes(7) + b"\x01"
        return parts.join([changed(signed, MemberAnswer, identity(liar, "silo"), sum=sha256(wrong)), wrong])

    world.lies[liar] = lie
    world.finish()
    log = world.log
    (entry,) = [one for one in log.entries() if one.kind == "refusal" and "another sum" in one.body["reason"]]
    attached = {name: log.payload(one.sha256) for name, one in entry.attached.items()}
    return world, entry, attached


@pytest.fixture(scope="module")
def accused() -> tuple[CommitteeWorld, Entry, dict[str, bytes]]:
    return accusing()


def judged(
    accused: tuple[CommitteeWorld, Entry, dict[str, bytes]], who: str, tried: TriedAnswers, **other: Any
) -> None:
    world, entry, _ = accused
    require_liar(tried, who, other.get("context", entry.body["context"]), world.hub_security.verify)


def test_the_log_shows_to_anybody_who_lied(accused: Any) -> None:
    world, entry, attached = accused
    assert entry.body["silo"] == "ambon" and set(attached) == {"answer", "tried"}
    tried = TriedAnswers.decode(attached["tried"])
    assert len(tried.answers) == len(tried.sums) == 6
    judged(accused, "ambon", tried)
    context = Context(world_anchor(world), world.clock(), None, {})
    assert CHECKERS["refusal"](entry, attached, context) == ()


def world_anchor(world: CommitteeWorld) -> Any:
    return world.hub_security._trust


@pytest.mark.parametrize("framed", EIGHT[1:6])
def test_an_aggregator_that_frames_a_member_is_found_out(accused: Any, framed: str) -> None:
    _, _, attached = accused
    with pytest.raises(EvidenceRejected, match=f"accuses {framed} of a lie, and its own evidence.*the sums name ambon"):
        judged(accused, framed, TriedAnswers.decode(attached["tried"]))


def test_an_entry_that_names_another_is_refused_by_the_audit(accused: Any) -> None:
    world, entry, attached = accused
    framed = dataclasses.replace(entry, body={**entry.body, "silo": "cusco"})
    context = Context(world_anchor(world), world.clock(), None, {})
    with pytest.raises(EvidenceRejected, match="the aggregator accuses cusco of a lie"):
        CHECKERS["refusal"](framed, attached, context)


def without(tried: TriedAnswers, *left: int) -> TriedAnswers:
    keep = [at for at in range(len(tried.answers)) if at not in left]
    return TriedAnswers(tuple(tried.answers[at] for at in keep), tuple(tried.sums[at] for at in keep))


def test_what_does_not_show_a_lie_is_refused(accused: Any) -> None:
    _, _, attached = accused
    tried = TriedAnswers.decode(attached["tried"])
    wrong = tried.sums[1][:-8] + bytes(8)
    for false, problem in (
        (without(tried, 0), "the sums name nobody"),
        (without(tried, 4, 5), "4 well-formed answers|fewer than 5"),
        (without(tried, 5), "give a key that decrypts"),
        (without(tried, *range(6)), "different rosters"),
        (dataclasses.replace(tried, sums=tried.sums[1:]), "6 answers and 5 sums"),
        (dataclasses.replace(tried, sums=(tried.sums[0], wrong, *tried.sums[2:])), "no answer of this attempt with"),
        (TriedAnswers(tried.answers + tried.answers[:1], tried.sums + tried.sums[:1]), "is there twice"),
    ):
        with pytest.raises(EvidenceRejected, match=problem):
            judged(accused, "ambon", false)
    with pytest.raises(EvidenceRejected, match="no answer of this attempt"):
        judged(accused, "ambon", tried, context="00" * 32)


def test_sums_that_nobody_signed_frame_nobody(accused: Any) -> None:
    """The aggregator makes a sum up for bari, and can sign only as itself, or with another silo that is with it."""
    _, _, attached = accused
    tried = TriedAnswers.decode(attached["tried"])
    wrong = tried.sums[1][:-8] + bytes(7) + b"\x02"
    for who in (identity("hub", "aggregator"), identity("cusco", "silo")):
        made_up = changed(tried.answers[1], MemberAnswer, who, sum=sha256(wrong))
        false = TriedAnswers((*tried.answers[2:], tried.answers[0], made_up), (*tried.sums[2:], tried.sums[0], wrong))
        with pytest.raises((EvidenceRejected, MessageRefused)):
            judged(accused, "bari", false)
