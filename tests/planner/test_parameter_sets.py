"""Which parameter set a phase is computed in: the cheapest that is exact enough and that the table fits."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.planner.made_up import make_available, make_costs, policy

from quatrefoil.errors import PhaseUnprotected, PolicyInvalid
from quatrefoil.planner import Plan, encrypted, plan, requirements
from quatrefoil.planner.blanket import price
from quatrefoil.planner.costs import Costs, Line
from quatrefoil.planner.difference import compare
from quatrefoil.policy import Allow, Policy
from quatrefoil.workload import Phase, Workload

LINEAR, PRODUCT = encrypted.PARAMETER_SETS["score", "ckks"]
SCORE = Phase("p", "score", "record", 1e9, parameters=30, batch=1000)
SUMMARISE = Phase("p", "summarise", "record", 1e9, parameters=5, batch=1000)
COUNT = Phase("p", "count", "record", 1e9, parameters=12, batch=1000)
NETWORK = Phase("p", "infer", "record", 1e9, parameters=32, hidden=16, message_bytes=300, batch=2)
ANY = policy(
    {"physical-access"},
    allow=Allow(("pq-tls",), ("sev-snp", "tpm"), ("bgv", "ckks"), ("bounded-update",)),
    accept_insecure=(),
)
HOST = policy({"curious-host"}, allow=ANY.allow, accept_insecure=())


def made(phase: Phase, asked: Policy = ANY, *servers: str, costs: Costs | None = None) -> Plan:
    present = (("aggregation", "ckks"), ("aggregation", "bgv"), *(("enclave", name) for name in servers))
    available = make_available(*present, servers=servers)
    return plan(Workload("w", (phase,)), asked, costs or make_costs(), available)


def refusal(phase: Phase, asked: Policy = ANY, *servers: str) -> str:
    with pytest.raises(PhaseUnprotected) as caught:
        made(phase, asked, *servers)
    return str(caught.value)


def error(phase: Phase, parameter_set: str) -> float:
    return requirements.largest_error(phase, {"aggregation": "ckks"}, parameter_set, ANY)


# ------------------------------------------------------------------------------------------------- which set


@pytest.mark.parametrize(
    ("phase", "largest_error", "expected"),
    [
        (SCORE, math.inf, "ckks-linear-4096"),
        (SCORE, 1e-4, "ckks-linear-4096"),
        (SCORE, 9.6e-6, "ckks-linear-4096"),
        (SCORE, 9.5e-6, "ckks-product-8192"),
        (SCORE, 1e-7, "ckks-product-8192"),
        (SCORE, 2.8e-8, "ckks-product-8192"),
        (SCORE, 0.0, "bgv-linear-4096"),
        (SUMMARISE, math.inf, "ckks-product-8192"),
        (SUMMARISE, 1e-6, "ckks-product-8192"),
        (COUNT, math.inf, "bgv-product-8192"),
        (COUNT, 0.0, "bgv-product-8192"),
        (NETWORK, math.inf, "ckks-network-8192"),
    ],
)
def test_the_cheapest_set_that_is_exact_enough(phase: Phase, largest_error: float, expected: str) -> None:
    assert made(replace(phase, largest_error=largest_error)).phase("p").parameter_set == expected


def test_where_nothing_is_encrypted_there_is_no_set() -> None:
    planned = made(replace(SCORE, largest_error=1e-12), HOST, "sev-snp").phase("p")
    assert planned.layers == ("transport", "enclave") and planned.parameter_set == ""


def test_the_set_is_priced_and_the_cheaper_one_is_refused_with_its_error() -> None:
    coarse, fine = (made(replace(SCORE, largest_error=e)).phase("p") for e in (1e-4, 1e-7))
    assert fine.predicted_ms > coarse.predicted_ms and fine.predicted_bytes > 3 * coarse.predicted_bytes
    (said,) = (r.reason for r in fine.refused if r.parameter_set)
    assert said == f"can be wrong by {error(SCORE, LINEAR):.2g} of its bound in {LINEAR}, and largest_error = 1e-07"
    (other,) = (r for r in coarse.refused if r.parameter_set)
    assert (other.layer, other.backend, other.parameter_set) == ("aggregation", "ckks", PRODUCT)
    assert other.reason.startswith(f"{LINEAR} costs no more: ")


def test_a_finer_set_is_taken_where_it_costs_less() -> None:
    costs = make_costs()
    slow = replace(costs.homomorphic[LINEAR], open_ms=Line(1e4, 0.0))
    planned = made(SCORE, costs=replace(costs, homomorphic={**costs.homomorphic, LINEAR: slow})).phase("p")
    assert planned.parameter_set == PRODUCT
    assert any(r.reason.startswith(f"{PRODUCT} costs no more") for r in planned.refused if r.parameter_set == LINEAR)


def test_a_cheaper_enclave_is_taken_before_a_finer_set_and_named_threats_before_both() -> None:
    exact = replace(SCORE, largest_error=1e-7)
    assert made(exact, HOST, "sev-snp").phase("p").layers == ("transport", "enclave")
    both = replace(HOST, threats=("curious-host", "physical-access"))
    assert made(exact, both, "sev-snp").phase("p").parameter_set == PRODUCT


def test_tradeoffs_are_in_the_cheapest_set_that_is_exact_enough() -> None:
    for largest, expected in ((math.inf, LINEAR), (1e-7, PRODUCT)):
        planned = made(replace(SCORE, largest_error=largest), HOST, "sev-snp").phase("p")
        (safer,) = (t for t in planned.tradeoffs if t.direction == "safer")
        assert "aggregation" in safer.layers and safer.parameter_set == expected


def test_one_choice_for_all_phases_uses_the_set_that_keeps_to_the_phase() -> None:
    workload = Workload("w", (SCORE, replace(SCORE, name="exact", largest_error=1e-7)))
    available = make_available(("aggregation", "ckks"))
    found = price(workload, ANY, make_costs(), available, ("transport", "aggregation"))
    assert found.plan is not None and not found.broken
    assert [phase.parameter_set for phase in found.plan.phases] == [LINEAR, PRODUCT]
    tight = Workload("w", (replace(SCORE, largest_error=1e-10),))
    (broken,) = price(tight, ANY, make_costs(), available, ("transport", "aggregation")).broken
    assert f"in {PRODUCT}, and largest_error = 1e-10" in broken


# ------------------------------------------------------------------------------------------------- what is refused


def test_a_refusal_gives_the_numbers_of_the_finest_set() -> None:
    message = refusal(replace(SCORE, largest_error=1e-9))
    said = f"can be wrong by {error(SCORE, PRODUCT):.2g} of its bound in {PRODUCT}, and largest_error = 1e-09"
    assert said in message and LINEAR not in message


def test_a_finer_set_that_the_table_does_not_fit_is_named_beside_the_error() -> None:
    """300 ciphertexts: of 65,665 bytes they fit a message, of 262,273 they do not."""
    wide = replace(SCORE, parameters=300)
    assert made(wide).phase("p").parameter_set == LINEAR
    message = refusal(replace(wide, largest_error=1e-6))
    assert f"can be wrong by {error(wide, LINEAR):.2g} of its bound in {LINEAR}, and largest_error = 1e-06" in message
    assert f"does not fit {PRODUCT}: the table has 78681900 bytes encrypted, and a message holds at most" in message
    (other,) = (r for r in made(wide).phase("p").refused if r.parameter_set)
    assert other.parameter_set == PRODUCT and "the table has 78681900 bytes encrypted" in other.reason


@pytest.mark.parametrize(
    ("field", "said"), [("latency_ms", "over the limit of"), ("largest_bytes", "over largest_bytes =")]
)
def test_a_finer_set_that_is_too_slow_or_too_large_is_refused_by_that(field: str, said: str) -> None:
    coarse, fine = (made(replace(SCORE, largest_error=e)).phase("p") for e in (1e-4, 1e-7))
    between = (coarse.predicted_ms + fine.predicted_ms) / 2
    limit = between if field == "latency_ms" else fine.predicted_bytes - 1
    assert made(replace(SCORE, largest_error=1e-4, **{field: limit})).phase("p").parameter_set == LINEAR
    message = refusal(replace(SCORE, largest_error=1e-7, **{field: limit}))
    assert said in message and "can be wrong by" not in message


def test_costs_without_the_finer_set_are_refused_and_it_is_not_taken_for_the_coarser() -> None:
    costs = make_costs()
    bare = replace(costs, homomorphic={k: v for k, v in costs.homomorphic.items() if k != PRODUCT})
    with pytest.raises(PolicyInvalid, match=f"the parameter set {PRODUCT}"):
        made(SCORE, costs=bare)


# ------------------------------------------------------------------------------------------------- said and agreed on


def test_parties_that_plan_another_set_have_another_digest() -> None:
    """By their costs alone: workload and policy are the same, and so are layers, backends and claims."""
    costs = make_costs()
    slow = replace(costs.homomorphic[LINEAR], open_ms=Line(1e4, 0.0))
    one, other = made(SCORE), made(SCORE, costs=replace(costs, homomorphic={**costs.homomorphic, LINEAR: slow}))
    assert (one.workload_digest, one.policy_digest) == (other.workload_digest, other.policy_digest)
    assert one.phase("p").backends == other.phase("p").backends
    assert {one.phase("p").parameter_set, other.phase("p").parameter_set} == {LINEAR, PRODUCT}
    assert one.digest() != other.digest()
    (phase,) = compare(one, other).phases
    assert phase.differs and "aggregation/ckks in ckks-product-8192" in phase.after


def test_the_digest_covers_the_set_alone() -> None:
    found = made(SCORE)
    (phase,) = found.phases
    digests = {
        replace(found, phases=(replace(phase, parameter_set=name),)).digest() for name in (LINEAR, PRODUCT, "", "x")
    }
    assert len(digests) == 4 and found.digest() in digests


def test_json_has_the_set_and_null_where_there_is_none() -> None:
    (phase,) = made(replace(SCORE, largest_error=1e-7)).to_json()["phases"]
    assert phase["parameter_set"] == PRODUCT
    assert {entry["parameter_set"] for entry in phase["refused"]} == {None, LINEAR}
    (served,) = made(SCORE, HOST, "sev-snp").to_json()["phases"]
    assert served["parameter_set"] is None and served["tradeoffs"][0]["parameter_set"] == LINEAR


def test_the_page_says_how_exact_the_sets_are() -> None:
    text = " ".join((Path(__file__).parents[2] / "docs" / "planner.md").read_text().split())
    for name, said, tighter in ((LINEAR, 9.6e-6, 9.5e-6), (PRODUCT, 2.8e-8, 2.7e-8)):
        assert tighter < error(SCORE, name) <= said
    assert f"`{LINEAR}` down to `largest_error = 9.6e-6`" in text and "bytes, down to 2.8e-8." in text


# ------------------------------------------------------------------------------------------------- whatever the costs

ERRORS = st.one_of(st.just(math.inf), st.floats(-12, 0).map(lambda power: 10.0**power))


@st.composite
def some_costs(draw: st.DrawFn) -> Costs:
    ms = st.floats(0, 50)
    costs = make_costs()
    sets = {name: replace(one, open_ms=Line(draw(ms), 0.0)) for name, one in costs.homomorphic.items()}
    serving = {name: replace(one, exchange_ms=Line(draw(ms), 0.0)) for name, one in costs.serving.items()}
    return replace(costs, homomorphic=sets, serving=serving)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from((SCORE, SUMMARISE, COUNT)),
    st.sampled_from((1, 5, 30, 300)),
    st.sampled_from((2, 1000, 9000)),
    ERRORS,
    ERRORS,
    st.sampled_from((ANY, HOST)),
    st.sets(st.sampled_from(("sev-snp", "tpm"))),
    some_costs(),
)
def test_a_tighter_error_never_takes_a_coarser_set_and_saves_nothing(
    kind: Phase, parameters: int, batch: int, one: float, other: float, asked: Policy, servers: set[str], costs: Costs
) -> None:
    """Above 0, which says besides that rows are integers. Nothing is saved but by a server that isolates nothing, which
    is taken only where nothing better keeps to the error."""
    phase = replace(kind, parameters=parameters, batch=batch)
    loose, tight = max(one, other), min(one, other)

    def attempt(largest: float) -> Plan | None:
        try:
            return made(replace(phase, largest_error=largest), asked, *sorted(servers), costs=costs)
        except PhaseUnprotected:
            return None

    before, after = attempt(loose), attempt(tight)
    if after is None:
        return
    assert before is not None, "a refused plan does not become possible by asking for more"
    was, found = before.phase("p"), after.phase("p")
    ranks = [(made_of.isolation == "none", made_of.predicted_ms) for made_of in (was, found)]
    assert ranks[0] <= ranks[1]
    for planned, largest in ((was, loose), (found, tight)):
        used = dict(zip(planned.layers, planned.backends, strict=True))
        assert requirements.largest_error(phase, used, planned.parameter_set, asked) <= largest
        assert planned.parameter_set in (
            encrypted.PARAMETER_SETS[phase.kind, used["aggregation"]] if "aggregation" in used else ("",)
        )
    if was.parameter_set and found.parameter_set:
        names = encrypted.PARAMETER_SETS[phase.kind, "ckks" if phase.kind != "count" else "bgv"]
        assert names.index(found.parameter_set) >= names.index(was.parameter_set)
