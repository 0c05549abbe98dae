"""What another policy would change, and what the next cheaper and the next safer choice would."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from tests.planner.made_up import TRAINING, make_available, make_costs, policy
from tests.planner.test_plan_properties import PRESENT, SERVERS, all_costs, attempt, policies, workloads

from quatrefoil.errors import CallerError
from quatrefoil.planner import Costs, Plan, plan, threats
from quatrefoil.planner.difference import compare
from quatrefoil.policy import STAND_INS, Allow, Policy
from quatrefoil.workload import Phase, Workload

SCORING = Workload("scoring", (Phase("score", "score", "record", 1e9, parameters=30, batch=1000),))
ALLOW = Allow(("pq-tls",), ("sev-snp",), ("additive-rlwe", "ckks"), ("bounded-update",))


def made(*named: str, workload: Workload = SCORING, enclaves: tuple[str, ...] = ("sev-snp",)) -> Plan:
    asked = policy(set(named), allow=ALLOW, accept_insecure=())
    available = make_available(
        ("aggregation", "ckks"), ("enclave", "sev-snp"), ("proofs", "bounded-update"), servers=enclaves
    )
    return plan(workload, asked, make_costs(), available)


def test_a_change_of_route_says_what_is_gained_lost_and_paid() -> None:
    found = compare(made("curious-host"), made("curious-host", "physical-access"))
    (phase,) = found.phases
    assert phase.before == ("transport/pq-tls", "enclave/sev-snp") and phase.after == (
        "transport/pq-tls",
        "aggregation/ckks in ckks-linear-4096",
    )
    assert phase.gained == ("physical-access",) and phase.lost == ("tampered-model", "malicious-server")
    assert phase.differs and found.differs and phase.after_ms > phase.before_ms
    content = found.to_json()
    assert content["phases"][0]["lost"] == ["tampered-model", "malicious-server"]
    assert content["before_digest"] != content["after_digest"]
    assert content["after_ms"] == pytest.approx(found.after.ms, abs=1e-4)


def test_a_phase_that_stays_as_it_is_is_there_and_does_not_differ() -> None:
    found = compare(made("network", workload=TRAINING), made("network", "byzantine-silo", workload=TRAINING))
    assert {phase.name for phase in found.phases if phase.differs} == {"collect", "sum", "keys"}
    assert all(phase.gained == ("byzantine-silo",) for phase in found.phases if phase.differs)
    assert not compare(made("network"), made("network")).differs


def test_plans_of_two_workloads_are_not_compared() -> None:
    other = replace(SCORING, phases=(replace(SCORING.phases[0], batch=1001),))
    with pytest.raises(CallerError, match="plans of two workloads are compared: scoring and scoring"):
        compare(made("network"), made("network", workload=other))


@settings(max_examples=60, deadline=None)
@given(workloads(), policies(), policies(), all_costs(), PRESENT, SERVERS)
def test_there_and_back_is_the_same_the_other_way_round(
    workload: Workload, one: Policy, two: Policy, costs: Costs, present: set[tuple[str, str]], servers: set[str]
) -> None:
    first, second = (attempt(workload, asked, costs, present, servers) for asked in (one, two))
    if first is None or second is None:
        return
    there, back = compare(first, second), compare(second, first)
    for was, now in zip(there.phases, back.phases, strict=True):
        assert (was.gained, was.lost, was.before, was.after) == (now.lost, now.gained, now.after, now.before)
        assert (was.before_ms, was.after_ms) == (now.after_ms, now.before_ms)


# ------------------------------------------------------------------------------------------------- trade-offs


def test_the_next_cheaper_choice_says_what_it_would_leave_open() -> None:
    (phase,) = made("curious-host", "physical-access").phases
    cheaper, safer = phase.tradeoffs
    assert (cheaper.direction, cheaper.backends) == ("cheaper", ("pq-tls", "sev-snp"))
    assert cheaper.opens == ("physical-access",) and cheaper.closes == ("tampered-model", "malicious-server")
    assert cheaper.predicted_ms < phase.predicted_ms
    assert (safer.direction, safer.backends) == ("safer", ("pq-tls", "sev-snp", "ckks"))
    assert safer.opens == () and safer.closes == ("tampered-model", "malicious-server")


def test_the_next_safer_choice_says_what_it_would_cost() -> None:
    planned = made("network", workload=TRAINING)
    for name in ("collect", "sum", "keys"):
        (safer,) = planned.phase(name).tradeoffs
        assert safer.direction == "safer" and safer.closes == ("byzantine-silo",) and "proofs" in safer.layers
        assert safer.predicted_ms >= planned.phase(name).predicted_ms
    proven = made("network", "byzantine-silo", workload=TRAINING)
    (cheaper,) = proven.phase("collect").tradeoffs
    assert (cheaper.direction, cheaper.opens) == ("cheaper", ("byzantine-silo",))
    assert planned.phase("log").tradeoffs == planned.phase("channels").tradeoffs == ()


def test_json_has_them() -> None:
    phase = made("curious-host", "physical-access").to_json()["phases"][0]
    assert [one["direction"] for one in phase["tradeoffs"]] == ["cheaper", "safer"]
    assert phase["tradeoffs"][0]["opens"] == ["physical-access"]


@settings(max_examples=100, deadline=None)
@given(workloads(), policies(), all_costs(), PRESENT, SERVERS)
def test_what_is_said_of_another_choice_is_so(
    workload: Workload, asked: Policy, costs: Costs, present: set[tuple[str, str]], servers: set[str]
) -> None:
    found = attempt(workload, asked, costs, present, servers)
    for phase, planned in zip(workload.phases, found.phases if found else (), strict=False):
        now = {answer.threat for answer in planned.threats}
        for other in planned.tradeoffs:
            used = dict(zip(other.layers, other.backends, strict=True))
            exposed = set(threats.exposed(phase.kind, phase.data, phase.site))
            then = threats.answered(phase.kind, used).keys() & exposed
            assert set(other.opens) == now - then and set(other.closes) == then - now
            assert all(backend in asked.allow.of(layer) for layer, backend in used.items())
            stand_ins = [pair for pair in STAND_INS.values() if pair in used.items()]
            assert len(stand_ins) <= len(found.insecure if found else ())
            if other.direction == "cheaper":
                assert other.predicted_ms < planned.predicted_ms and other.opens
            else:
                assert other.closes and not other.opens
