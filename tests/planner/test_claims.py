"""A plan claims what its layers answer and no more: over all combinations of threats, backends and availability."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import chain, combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.planner.made_up import ADDITIVE, PLAIN, TRAINING, make_available, make_costs, policy

from quatrefoil.errors import PhaseUnprotected
from quatrefoil.planner import Line, Plan, answer, plan, threats
from quatrefoil.policy import BACKENDS, CHANNEL_POLICIES, ISOLATED_FROM, ISOLATING, LAYERS, STAND_INS, THREATS
from quatrefoil.transport import policy_named
from quatrefoil.workload import KINDS

FUTURE = (("enclave", "tdx"), ("proofs", "bounded-update"))
TPM = ("enclave", "tpm")
ALL_THREATS = [set(s) for s in chain.from_iterable(combinations(THREATS, n) for n in range(1, len(THREATS) + 1))]
AGGREGATIONS = (("additive-rlwe",), ("plain",), ("additive-rlwe", "plain"))


def claimed(made: Plan) -> set[tuple[str, str]]:
    return {(phase.name, answer.threat) for phase in made.phases for answer in phase.threats}


def attempt(*args: object) -> Plan | None:
    try:
        return plan(*args)  # type: ignore[arg-type]
    except PhaseUnprotected:
        return None


@pytest.mark.parametrize(
    "future",
    [(), FUTURE[:1], FUTURE[1:], FUTURE, (TPM,), (TPM, *FUTURE)],
    ids=["today", "tdx", "proofs", "both", "tpm", "all"],
)
@pytest.mark.parametrize("aggregation", AGGREGATIONS, ids="+".join)
def test_a_plan_claims_exactly_what_its_layers_answer(
    aggregation: tuple[str, ...], future: tuple[tuple[str, str], ...]
) -> None:
    available, costs, made_any = make_available(*future), make_costs(), False
    for named in ALL_THREATS:
        made = attempt(TRAINING, policy(named, aggregation), costs, available)
        if made is None:
            continue
        made_any = True
        for phase in made.phases:
            exposed = threats.EXPOSED[phase.kind, phase.data]
            pairs = list(zip(phase.layers, phase.backends, strict=True))
            by_table = {
                row.threat for row in threats.ANSWERS if row.kind == phase.kind and (row.layer, row.backend) in pairs
            }
            answered = {answer.threat for answer in phase.threats}
            left = {u.threat for u in made.unprotected if u.phase == phase.name}
            assert answered == by_table & set(exposed)
            assert all((a.layer, a.backend) in pairs and a.kind == phase.kind for a in phase.threats)
            assert answered | left == set(exposed) and not answered & left
            assert not left & named, "a named threat is answered or the plan is refused"
            assert all(available.has(*pair) for pair in pairs)
            assert all(backend in policy(named, aggregation).allow.of(layer) for layer, backend in pairs)
    assert made_any


@pytest.mark.parametrize("future", [(), FUTURE, (TPM, *FUTURE)], ids=["today", "future", "all"])
@pytest.mark.parametrize("aggregation", AGGREGATIONS, ids="+".join)
def test_adding_a_threat_never_drops_a_protection_nor_saves(
    aggregation: tuple[str, ...], future: tuple[tuple[str, str], ...]
) -> None:
    available, costs = make_available(*future), make_costs()
    plans = {frozenset(n): attempt(TRAINING, policy(n, aggregation), costs, available) for n in ALL_THREATS}
    compared = 0
    for named, before in plans.items():
        for threat in THREATS.keys() - named:
            after = plans[named | {threat}]
            if before is None:
                assert after is None, "a refused plan does not become possible by asking for more"
            elif after is not None:
                compared += 1
                assert claimed(after) >= claimed(before)
                assert sum(p.predicted_ms for p in after.phases) >= sum(p.predicted_ms for p in before.phases)
    assert compared or (aggregation == ("plain",) and not future)


@settings(max_examples=60, deadline=None)
@given(
    st.sets(st.sampled_from(sorted(THREATS)), min_size=1),
    st.sampled_from(sorted(THREATS)),
    st.floats(0, 100),
    st.floats(0, 100),
)
def test_whatever_the_costs_adding_a_threat_drops_nothing(
    named: set[str], threat: str, one: float, other: float
) -> None:
    costs = make_costs(replace(ADDITIVE, encrypt_ms=Line(one, 0.0)), replace(PLAIN, encrypt_ms=Line(other, 0.0)))
    both = ("additive-rlwe", "plain")
    before = attempt(TRAINING, policy(named, both), costs, make_available(*FUTURE))
    after = attempt(TRAINING, policy(named | {threat}, both), costs, make_available(*FUTURE))
    if before is None:
        assert after is None
    elif after is not None:
        assert claimed(after) >= claimed(before)


def test_a_stand_in_answers_nothing() -> None:
    assert not [row for row in threats.ANSWERS if (row.layer, row.backend) in STAND_INS.values()]


def test_the_tables_keep_to_the_vocabularies() -> None:
    assert set(threats.EXPOSED) == {(name, data) for name, kind in KINDS.items() for data in kind.data}
    assert {threat for exposed in threats.EXPOSED.values() for threat in exposed} == set(THREATS)
    assert set(threats.NEEDED) == set(KINDS) >= set(threats.COMPUTING)
    for row in threats.ANSWERS:
        assert row.backend in BACKENDS[row.layer] and row.how
        assert any(row.threat in threats.EXPOSED[row.kind, data] for data in KINDS[row.kind].data), row
    rows = [(row.layer, row.backend, row.kind, row.threat, row.beside) for row in threats.ANSWERS]
    assert len(set(rows)) == len(rows)
    filled = {
        "answered",
        "apart",
        "appraisal",
        "colluders",
        "drop",
        "hybrid",
        "minimum_silos",
        "norm",
        "rosters",
        "share",
    }
    assert threats.placeholders() == filled
    assert all(layer in LAYERS for layers in threats.NEEDED.values() for layer in layers)


@pytest.mark.parametrize("channels", CHANNEL_POLICIES)
def test_a_plan_names_the_key_agreement_that_its_policy_negotiates(channels: str) -> None:
    """A claim of a hybrid under a policy without one would be false."""
    first = policy_named(channels).groups[0]
    said = answer.key_agreement(channels)
    assert re.search(r"ML-KEM-\d+", said)[0].replace("-", "") in first.replace("-", "")
    assert ("together" in said) == (first != "MLKEM1024")


def test_an_enclave_is_credited_with_what_its_isolation_answers_and_nothing_else() -> None:
    enclaves = {(row.backend, row.kind, row.threat) for row in threats.ANSWERS if row.layer == "enclave"}
    served = (*ISOLATED_FROM, "tampered-model")
    by_kind = {
        "keys": ISOLATED_FROM,
        "infer": served,
        "score": served,
        "summarise": ISOLATED_FROM,
        "count": ISOLATED_FROM,
    }
    committee = {("committee", "keys", threat) for threat in ISOLATED_FROM}
    isolating = {(name, kind, threat) for kind in by_kind for name in ISOLATING for threat in by_kind[kind]}
    assert enclaves == isolating | committee, "no one machine of a committee holds a key; it isolates nothing else"
    assert {kind: threats.needing_isolation(kind) for kind in by_kind} == {k: set(v) for k, v in by_kind.items()}
    assert all(row.condition for row in threats.ANSWERS if row.layer == "enclave")
    assert not {"tpm", "software", "nvidia-cc"} & {name for name, _, _ in enclaves}


def test_only_isolation_answers_the_threats_that_are_said_to_need_it() -> None:
    """What parties hold to without a plan (``Policy.wants_isolation``) is what plans say."""
    keys = {row.threat: set[str]() for row in threats.ANSWERS if row.kind == "keys"}
    for row in threats.ANSWERS:
        if row.kind == "keys":
            keys[row.threat].add(row.layer)
    assert tuple(threat for threat, layers in keys.items() if layers == {"enclave"}) == ISOLATED_FROM


def test_what_nothing_answers_yet_has_no_row() -> None:
    answered = {(row.kind, row.threat) for row in threats.ANSWERS}
    assert not answered & set(threats.NOTHING_YET)
