"""Sums in CKKS in a plan: what they answer, what they never do, and when there are none."""

from __future__ import annotations

import dataclasses

import pytest
from tests.planner.made_up import ADDITIVE, TRAINING, make_available, make_costs, policy

from quatrefoil import stack
from quatrefoil.contracts import SumShape
from quatrefoil.errors import DependencyMissing, PolicyError, PolicyInvalid
from quatrefoil.planner import Availability, Costs, Line, Plan, host, plan, threats
from quatrefoil.planner.requirements import CKKS_SUM
from quatrefoil.policy import VALUE_BITS

NAMED = {"recorder", "network", "curious-aggregator", "colluding-silos"}
CKKS = dataclasses.replace(ADDITIVE, encrypt_ms=Line(3.0, 4e-4), ciphertext_bytes=Line(32_864.0, 8.0), key_bytes=4096.0)


def available(*more: tuple[str, str]) -> Availability:
    found = make_available(("aggregation", "ckks"), *more)
    largest = {**found.largest_roster, **{("ckks", bits): 256 for bits in VALUE_BITS}}
    return dataclasses.replace(found, largest_roster=largest)


def costs() -> Costs:
    made = make_costs()
    return dataclasses.replace(made, aggregation={**made.aggregation, **{f"ckks/{bits}": CKKS for bits in VALUE_BITS}})


def made(named: set[str] = NAMED, aggregation: tuple[str, ...] = ("ckks",), **changed: object) -> Plan:
    return plan(TRAINING, policy(named, aggregation, **changed), costs(), available(("proofs", "bounded-update")))


def test_it_answers_what_fresh_keys_answer_under_the_same_conditions() -> None:
    ckks, additive = made(), made(aggregation=("additive-rlwe",))
    for kind in ("collect", "sum", "keys"):
        answered = {one.threat: (one.how, one.condition) for one in ckks.phase(kind).threats}
        assert answered == {one.threat: (one.how, one.condition) for one in additive.phase(kind).threats}
    assert ckks.backend("aggregation") == "ckks"
    assert "byzantine-silo" in {one.threat for one in ckks.unprotected}


def test_no_row_claims_proofs_or_isolation_of_it() -> None:
    claimed = {row.threat for row in threats.ANSWERS if row.backend == "ckks" and row.kind in ("collect", "keys")}
    assert claimed == {"curious-aggregator", "colluding-silos"}
    assert "ckks" not in threats.PROVABLE["bounded-update"]


def test_a_policy_that_names_byzantine_silos_is_refused_and_not_quietly_kept_to_less() -> None:
    with pytest.raises(PolicyError, match="nothing can be proven of sums by ckks"):
        made({*NAMED, "byzantine-silo"})
    both = made({*NAMED, "byzantine-silo"}, ("additive-rlwe", "ckks"))
    assert both.backend("aggregation") == "additive-rlwe"


def test_of_both_the_cheaper_is_chosen_for_the_whole_round() -> None:
    both = made(aggregation=("additive-rlwe", "ckks"))
    assert both.backend("aggregation") == "additive-rlwe"
    refused = {(one.layer, one.backend): one.reason for one in both.phase("collect").refused}
    assert ("aggregation", "ckks") in refused


def test_a_roster_beyond_its_set_is_refused_with_the_numbers() -> None:
    crowd = dataclasses.replace(
        TRAINING, phases=tuple(dataclasses.replace(p, silos=257) if p.silos else p for p in TRAINING.phases)
    )
    with pytest.raises(PolicyError, match="has 257 silos, and ckks adds at most 256 at 16 bits"):
        plan(crowd, policy(NAMED, ("ckks",)), costs(), available())


def test_without_seal_it_is_absent_and_nothing_takes_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "homomorphic_missing", lambda: "the extra he is not installed")
    found = host.availability()
    assert found.absent["aggregation", "ckks"] == "the extra he is not installed"
    assert ("ckks", 16) not in found.largest_roster
    with pytest.raises(PolicyError, match=r"aggregation/ckks.*\(the extra he is not installed\)"):
        plan(TRAINING, policy(NAMED, ("ckks",)), costs(), found)


def test_the_set_is_finer_than_any_number_of_value_bits() -> None:
    for bits in VALUE_BITS:
        scheme = host.aggregation("ckks", bits)
        shape = SumShape(10, 1.0, bytes(32))
        assert scheme.error_bound(shape, 4) < 4 * 1.5 / (2 ** (bits - 1) - 1)  # type: ignore[attr-defined]
        assert scheme.scheme.largest_roster == 256
    # What requirements of accuracy are held to.
    found = [scheme.error_bound(shape, count) / count for count in range(1, 257)]  # type: ignore[attr-defined]
    assert max(found) < CKKS_SUM < 2 * max(found)


def test_the_stack_builds_it_where_the_policy_allows_it_and_nothing_else() -> None:
    ours = policy(NAMED, ("ckks",))
    assert stack.aggregation_of(ours, "ckks", threads=2).scheme.name == "ckks/ckks-sum-4096"
    assert stack.only_allowed(ours, "aggregation") == "ckks"
    for other in ("additive-rlwe", "plain", "bgv"):
        with pytest.raises(PolicyInvalid, match="does not allow aggregation backend"):
            stack.aggregation_of(ours, other, threads=1)
    with pytest.raises(PolicyInvalid, match="--backend"):
        stack.only_allowed(policy(NAMED, ("additive-rlwe", "ckks")), "aggregation")
    with pytest.raises(DependencyMissing, match="bgv adds no updates"):
        stack.aggregation_of(policy(NAMED, ("bgv",)), "bgv", threads=1)
