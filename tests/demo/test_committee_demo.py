"""The demo without a keeper: the hospitals hold the keys of each other's rounds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import quatrefoil
from quatrefoil.audit import MemoryLog
from quatrefoil.audit.dsse import Envelope
from quatrefoil.audit.provenance import read
from quatrefoil.demo import job, protection
from quatrefoil.demo.baselines import train_round
from quatrefoil.demo.loopback import run_job
from quatrefoil.errors import PhaseUnprotected, PolicyInvalid
from quatrefoil.federation.vectors import layout_of
from quatrefoil.planner import plan
from quatrefoil.planner.host import availability
from quatrefoil.policy import Policy
from quatrefoil.stack import appraiser_of, attester_of
from quatrefoil.transport import system_clock

FILE = job.built_in(job.COMMITTEE)


def test_no_stand_in_is_accepted_and_three_of_four_have_to_answer():
    policy = Policy.load(FILE)
    assert policy.accept_insecure == () and policy.threshold is not None
    assert (policy.threshold.members, policy.threshold.recovery) == (4, 3)


def test_one_silent_of_four_is_one_too_many():
    text = FILE.read_text()
    with pytest.raises(PolicyInvalid, match="a committee of 4, of whom 1 may be silent, 1 lie and 1 collude"):
        Policy.parse(text.replace("silent = 0", "silent = 1"), source="test")


def test_a_job_from_python_has_no_keeper_and_says_so(train, start, costs):
    log = MemoryLog()
    found = quatrefoil.run(
        job.workload_for(start, rounds=2),
        Policy.load(FILE),
        train=train_round,
        data=train,
        samples={name: len(labels) for name, (_, labels) in train.items()},
        initial=start,
        costs=costs,
        log=log,
    )
    kinds = {entry.kind for entry in log.entries()}
    assert found.insecure == () and len(found.rounds) == 2
    assert {"member-key", "member-answer"} <= kinds and not {"key-release", "confirmation", "measurement"} & kinds
    assert found.plan.backend("enclave") == "committee"
    assert protection.key_authority(found.plan).startswith("No keeper")
    assert any("more members than may collude" in one for one in protection.seen(found.plan))
    assert read(Envelope.decode(found.provenance)).predicate.keeper is None


def test_a_plan_needs_proofs_for_it_and_answers_the_host_of_keys(start, costs):
    made = plan(job.workload_for(start), Policy.load(FILE), costs, availability(keeper=()))
    assert made.insecure == ()
    keys = next(phase for phase in made.phases if phase.kind == "keys")
    assert {"curious-host", "malicious-server"} <= {answer.threat for answer in keys.threats}
    here = availability(keeper=())
    few = replace(here, absent={**here.absent, ("proofs", "bounded-update"): "not here"}, largest_proof={})
    with pytest.raises(PhaseUnprotected):
        plan(job.workload_for(start), Policy.load(FILE), costs, few)


def test_there_is_no_keeper_to_start_and_no_evidence_to_appraise():
    policy = Policy.load(FILE)
    with pytest.raises(PolicyInvalid, match="there is no keeper"):
        attester_of(policy, "committee", None)
    with pytest.raises(PolicyInvalid, match="there is no keeper"):
        appraiser_of(policy, "committee", None, clock=system_clock)


@pytest.mark.slow
def test_four_hospitals_train_in_processes_of_their_own(tmp_path, splits, start, costs):
    found = run_job(tmp_path, FILE, splits, costs, backend="additive-rlwe")
    assert layout_of(found.model).length == layout_of(start).length
    assert all(np.isfinite(mean).all() for mean in found.means) and len(found.means) == 15
    assert {one.peer for one in found.channels} == set(splits)
