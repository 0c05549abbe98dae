"""Attack: an aggregator keeps two logs under its keys, and shows each silo the one that it wants it to see.

Both verify: without witnesses nobody notices. With them, an operator and f colluding silos get two logs past a quorum
of q of n silos only where 2 q <= n + f; and what a silo sees of both convicts the operator by its own signatures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from quatrefoil.audit import PartyLog
from quatrefoil.audit.log import LOG_FOLDER
from quatrefoil.audit.witnesses import judge_evidence
from quatrefoil.errors import EvidenceRejected, PolicyError
from quatrefoil.federation.cosigning import Cosigning
from quatrefoil.federation.witnessing import SiloWitness
from quatrefoil.state import MemoryState
from quatrefoil.tlog.evidence import Evidence
from quatrefoil.tlog.monitor import Monitor
from quatrefoil.tlog.witness import with_statements
from witnesses import TRUST, Witnesses, cosign, cosigning_of, hub_log, meet, second_log
from world import NAMES, World


@dataclass
class Split:
    """A round is over, and ends two logs."""

    world: World
    sides: tuple[Cosigning, Cosigning]
    witnesses: Witnesses
    folder: Path

    def show(self, side: int, names: Sequence[str]) -> dict[str, SiloWitness]:
        """Have these silos cosign one of the logs."""
        found = {name: self.witnesses[name] for name in names}
        for name, one in found.items():
            meet(self.sides[side], one, name)
            cosign(self.sides[side], one, name)
        return found


@pytest.fixture
def split(tmp_path: Path, request: pytest.FixtureRequest) -> Split:
    world = World(limits={"witnesses": getattr(request, "param", 3)}, rounds=3)
    world.logs["hub"] = hub_log(tmp_path / "a", world)
    world.enrolments = world.make_enrolments()
    world.begin().run_round()
    other = second_log(tmp_path / "a", tmp_path / "b", world)
    for entry in list(world.logs["hub"].entries())[1:]:
        other.append(entry.kind, {**entry.body, "reason": "another history"})
    job = world.enrolments.agreed()
    assert job is not None
    sides = (
        cosigning_of(world, world.logs["hub"], MemoryState())(job),
        cosigning_of(world, other, MemoryState())(job),
    )
    for side in sides:
        for name in NAMES:
            side.register(name, Witnesses(world)[name].statement)
    return Split(world, sides, Witnesses(world), tmp_path)


def begin(split: Split) -> None:
    for side in split.sides:
        side.begin(1)


def evidence_of(split: Split, silo: str) -> Evidence:
    entry = split.witnesses.logged(silo, "refusal")[-1]
    return Evidence.decode(split.witnesses.logs[silo].payload(entry.attached["evidence"].sha256))


def checkpoint_of(witnesses: Witnesses, silo: str) -> bytes:
    """What a silo has logged that it cosigned."""
    entry = witnesses.logged(silo, "witnessed")[-1]
    return witnesses.logs[silo].payload(entry.attached["checkpoint"].sha256)


def test_without_witnesses_both_logs_hold_and_nobody_notices(split: Split) -> None:
    for name in ("a", "b"):
        log = PartyLog.in_folder(split.folder / name / LOG_FOLDER, TRUST, clock=split.world.clock)
        assert [entry.kind for entry in log.entries()].count("round-finished") == 1
        assert log.owner.name == "hub"


@pytest.mark.parametrize("split", [2], indirect=True, ids=["q=2"])
def test_a_quorum_of_half_the_silos_lets_two_logs_pass_and_two_of_them_together_show_it(split: Split) -> None:
    """The job ends for both halves. Whoever then compares what two silos cosigned convicts the operator."""
    begin(split)
    halves = split.show(0, NAMES[:2]), split.show(1, NAMES[2:])
    for side, half in zip(split.sides, halves, strict=True):
        side.require_quorum()
        for one in half.values():
            assert one.require_quorum(side.final, split.world.aggregator.job)
    notes = [checkpoint_of(split.witnesses, name) for name in (NAMES[0], NAMES[3])]
    log = split.world.logs["hub"]
    with Monitor(split.folder / "monitor", log.keys.verifiers) as monitor:
        assert monitor.hear(notes[0]).evidence == ()
        (found,) = monitor.hear(notes[1]).evidence
    judged = judge_evidence(with_statements(found, log.owner), TRUST, clock=split.world.clock)
    assert (judged.owner.name, judged.verdict.why, judged.both) == ("hub", "fork", ())


def test_a_quorum_of_more_than_half_ends_neither(split: Split) -> None:
    begin(split)
    halves = split.show(0, NAMES[:2]), split.show(1, NAMES[2:])
    for side, half, missing in zip(split.sides, halves, (NAMES[2:], NAMES[:2]), strict=True):
        with pytest.raises(PolicyError, match=f"missing {', '.join(missing)}"):
            side.require_quorum()
        for one in half.values():
            with pytest.raises(EvidenceRejected, match=r"2 witnesses of its log .* the policy asks for 3"):
                one.require_quorum(side.final, split.world.aggregator.job)


def test_the_silo_that_was_shown_the_other_log_does_not_leave_and_holds_the_proof(split: Split) -> None:
    begin(split)
    split.show(0, NAMES[:3])
    (alone,) = split.show(1, NAMES[3:]).values()
    job = split.world.aggregator.job
    with pytest.raises(EvidenceRejected, match="1 witnesses of its log"):
        alone.require_quorum(split.sides[1].final, job)
    with pytest.raises(EvidenceRejected, match="another one than it had this silo cosign") as raised:
        alone.require_quorum(split.sides[0].final, job)
    assert raised.value.party == "hub"
    judged = judge_evidence(evidence_of(split, NAMES[3]), TRUST, clock=split.world.clock)
    assert (judged.owner.name, judged.verdict.why, judged.verdict.proven) == ("hub", "fork", True)


def test_a_silo_that_is_shown_both_cosigns_one_and_holds_the_proof(split: Split) -> None:
    begin(split)
    (one,) = split.show(0, NAMES[:1]).values()
    with pytest.raises(EvidenceRejected, match="aggregator hub shows a log that this silo does not cosign"):
        one.cosign(split.sides[1].request(NAMES[0], one.size))
    judged = judge_evidence(evidence_of(split, NAMES[0]), TRUST, clock=split.world.clock)
    assert judged.verdict.why == "fork"
    assert split.sides[1].cosigned == ()


def test_a_silo_that_lies_for_the_operator_is_named_by_what_it_signed(split: Split) -> None:
    """With one liar of four, three are a quorum on either side of a division: 2 * 2 <= 4 + 1 but 2 * 3 > 4 + 1."""
    begin(split)
    liar = NAMES[0]
    split.show(0, NAMES[:2])
    split.show(1, NAMES[2:])
    forgetful = Witnesses(split.world)
    cosign(split.sides[1], meet(split.sides[1], forgetful[liar], liar), liar)
    assert split.sides[1].cosigned == tuple(sorted((liar, *NAMES[2:]))) and split.sides[1].has_quorum
    with pytest.raises(PolicyError, match="2 silos cosigned"):
        split.sides[0].require_quorum()
    evidence = Evidence("fork", checkpoint_of(split.witnesses, liar), checkpoint_of(forgetful, liar))
    statements = [split.witnesses[name].statement for name in NAMES]
    whole = with_statements(evidence, split.world.logs["hub"].owner, statements)
    judged = judge_evidence(Evidence.decode(whole.encode()), TRUST, clock=split.world.clock)
    assert judged.both == (liar,)


def test_evidence_without_its_statements_says_nothing_to_an_outsider(split: Split) -> None:
    begin(split)
    (one,) = split.show(0, NAMES[:1]).values()
    with pytest.raises(EvidenceRejected):
        one.cosign(split.sides[1].request(NAMES[0], one.size))
    evidence = evidence_of(split, NAMES[0])
    for owner in (b"", split.witnesses[NAMES[0]].statement):
        with pytest.raises(EvidenceRejected, match="whose log it is cannot be told"):
            judge_evidence(with_statements(evidence, owner), TRUST, clock=split.world.clock)
