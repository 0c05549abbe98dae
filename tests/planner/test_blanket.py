"""One choice of layers for all phases: priced in full, and never said to answer what it does not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from tests.planner.made_up import TRAINING, make_available, make_costs, policy
from tests.planner.test_plan_properties import PRESENT, SERVERS, all_costs, attempt, policies, workloads

from quatrefoil.errors import CallerError
from quatrefoil.planner import Availability, Costs, threats
from quatrefoil.planner.blanket import Blanket, all_choices, price
from quatrefoil.policy import LAYERS, Allow, Policy
from quatrefoil.workload import Phase, Workload

ELSEWHERE = Phase("elsewhere", "score", "record", 1e9, parameters=30, batch=1000)
INSIDE = replace(ELSEWHERE, name="inside", site="premises")
MIXED = Workload("mixed", (ELSEWHERE, INSIDE))
ASKED = policy(
    {"recorder", "network", "curious-host", "physical-access"},
    allow=Allow(("pq-tls",), ("sev-snp",), ("additive-rlwe", "ckks"), ("bounded-update",)),
    accept_insecure=(),
)
HERE = make_available(
    ("aggregation", "ckks"), ("enclave", "sev-snp"), ("proofs", "bounded-update"), servers=("sev-snp",)
)


def priced(*layers: str, workload: Workload = MIXED, asked: Policy = ASKED, here: Availability = HERE) -> Blanket:
    return price(workload, asked, make_costs(), here, layers)


def test_the_choices_are_all_of_them_once() -> None:
    choices = all_choices()
    assert len(set(choices)) == len(choices) == 8 and choices[0] == ("transport",) and choices[-1] == LAYERS
    assert all(tuple(layer for layer in LAYERS if layer in choice) == choice for choice in choices)


def test_routing_by_phase_is_between_what_answers_too_little_and_what_costs_too_much() -> None:
    routed = attempt(MIXED, ASKED, make_costs(), {("aggregation", "ckks")}, {"sev-snp"})
    assert routed and [phase.layers[1] for phase in routed.phases] == ["aggregation", "enclave"]
    enclaves, ciphertexts = priced("transport", "enclave"), priced("transport", "aggregation")
    assert [(u.threat, u.phase) for u in enclaves.unanswered] == [("physical-access", "elsewhere")]
    assert enclaves.unanswered[0].why.startswith("the policy names it; ")
    assert ciphertexts.unanswered == () and enclaves.ms < routed.ms < ciphertexts.ms


def test_a_choice_without_a_way_to_compute_cannot_run() -> None:
    bare = priced("transport")
    assert bare.plan is None and bare.cannot[0] == (
        "phase 'elsewhere' (score) needs enclave or aggregation, and this choice has neither"
    )
    with pytest.raises(CallerError, match=r"transport has no price\. phase 'elsewhere'"):
        _ = bare.ms
    assert bare.to_json()["ms"] is None and bare.to_json()["phases"] == []


def test_both_ways_are_both_paid_for() -> None:
    both = priced("transport", "enclave", "aggregation")
    assert both.plan and both.unanswered == ()
    for phase in both.plan.phases:
        assert phase.layers == ("transport", "enclave", "aggregation")
    assert both.ms > max(priced("transport", way).ms for way in ("enclave", "aggregation"))


def test_every_phase_uses_what_can_run_for_its_kind_and_what_it_needs() -> None:
    used = priced(
        "enclave", "proofs", workload=TRAINING, asked=policy({"network"}, allow=ASKED.allow, accept_insecure=())
    ).plan
    assert used is not None
    assert {phase.name: phase.layers for phase in used.phases} == {
        "channels": ("transport",),
        "collect": ("transport", "aggregation", "proofs"),
        "sum": ("aggregation", "proofs"),
        "keys": ("transport", "enclave", "aggregation", "proofs"),
        "log": (),
    }


def test_what_is_not_there_is_named_and_not_left_out() -> None:
    here = make_available(("aggregation", "ckks"), ("enclave", "sev-snp"), servers=("sev-snp",))
    asked = policy({"network"}, allow=ASKED.allow, accept_insecure=())
    missing = priced("proofs", workload=TRAINING, asked=asked, here=here)
    assert missing.plan is None and len(missing.cannot) == 3
    assert "phase 'sum' (aggregate) needs a backend of proofs, and has none" in missing.cannot[1]
    assert "proofs/bounded-update (does not exist yet)" in missing.cannot[1]


def test_requirements_that_are_not_kept_to_are_listed_and_the_price_stands() -> None:
    tight = Workload("w", (replace(ELSEWHERE, latency_ms=1.0, largest_bytes=5, largest_error=1e-9),))
    found = priced("aggregation", workload=tight)
    assert found.plan and found.ms > 1
    for said, expected in zip(
        found.broken, ("over the limit of 1 ms", "over largest_bytes = 5", "and largest_error = 1e-09"), strict=True
    ):
        assert said.startswith("phase 'elsewhere' (score) ") and expected in said


@pytest.mark.parametrize("layers", [(), ("channels",), ("transport", "transport"), ("transport", ""), ("all",)])
def test_what_is_no_choice_of_layers(layers: tuple[str, ...]) -> None:
    with pytest.raises(CallerError, match=r"is no layer|is empty, or names one twice"):
        priced(*layers)


@settings(max_examples=80, deadline=None)
@given(workloads(), policies(), all_costs(), PRESENT, SERVERS)
def test_no_choice_answers_the_same_for_less_and_none_claims_more_than_it_answers(
    workload: Workload, asked: Policy, costs: Costs, present: set[tuple[str, str]], servers: set[str]
) -> None:
    """A plan takes no stand-in for a price, so a choice may be cheaper only by one, or by what isolates nothing."""
    here = make_available(*present, servers=tuple(servers))
    routed = attempt(workload, asked, costs, present, servers)
    for layers in all_choices():
        found = price(workload, asked, costs, here, layers)
        if found.plan is None:
            assert found.cannot
            continue
        assert {(u.threat, u.phase) for u in found.unanswered} == {
            (u.threat, u.phase) for u in found.plan.unprotected if u.threat in asked.threats
        }
        for phase, planned in zip(workload.phases, found.plan.phases, strict=True):
            used = dict(zip(planned.layers, planned.backends, strict=True))
            assert {a.threat for a in planned.threats} == threats.answered(phase.kind, used).keys() & set(
                threats.exposed(phase.kind, phase.data, phase.site)
            )
        if not found.unanswered and not found.broken:
            assert routed is not None, "what one choice answers, routing finds as well"
            weak = found.plan.insecure or any(phase.isolation == "none" for phase in found.plan.phases)
            assert weak or found.ms >= routed.ms * (1 - 1e-12)
