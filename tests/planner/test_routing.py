"""What is planned, what is refused and in which words."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.planner.made_up import ADDITIVE, PLAIN, TRAINING, make_available, make_costs, policy

from quatrefoil.errors import CallerError, PhaseUnprotected, PolicyError, PolicyInvalid
from quatrefoil.federation.rosters import check_rosters
from quatrefoil.planner import Availability, Costs, Plan, plan
from quatrefoil.policy import BACKENDS, Limits, Policy
from quatrefoil.workload import Workload

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMED = {"recorder", "network", "curious-aggregator", "colluding-silos"}


def example(workload: str, policy_name: str) -> tuple[Workload, Policy]:
    return (
        Workload.load(EXAMPLES / "workloads" / f"{workload}.toml"),
        Policy.load(EXAMPLES / "policies" / f"{policy_name}.toml"),
    )


def made(named: set[str] = NAMED, **changed: object) -> Plan:
    return plan(TRAINING, policy(named, **changed), make_costs(), make_available())  # type: ignore[arg-type]


def refusal(
    workload: Workload, asked: Policy, costs: Costs | None = None, available: Availability | None = None
) -> str:
    with pytest.raises(PhaseUnprotected) as caught:
        plan(workload, asked, costs or make_costs(), available or make_available())
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ------------------------------------------------------------------------------------------------- what is planned


def test_hospitals_are_planned_with_the_keeper_named_as_a_stand_in() -> None:
    planned = plan(*example("hospital-training", "hospitals"), make_costs(), make_available())
    assert planned.insecure == ("software-keeper",)
    assert planned.phase("keys").backends == ("pq-tls", "software", "additive-rlwe")
    assert planned.phase("collect").layers == ("transport", "aggregation")
    assert planned.backend("aggregation") == "additive-rlwe"
    left = {(u.threat, u.phase) for u in planned.unprotected}
    assert ("curious-host", "keys") in left and ("byzantine-silo", "aggregate") in left
    conditions = {a.threat: a.condition for a in planned.phase("aggregate").threats}
    assert "the keeper and the aggregator are run by parties that do not pool" in conditions["curious-aggregator"]
    assert "at most 1 of the silos collude, of at least 3 in a round" in conditions["colluding-silos"]


def test_in_the_clear_the_plan_says_what_is_lost() -> None:
    planned = plan(*example("hospital-training", "clear"), make_costs(), make_available())
    assert planned.insecure == ("plain-aggregation", "software-keeper")
    left = {(u.threat, u.phase) for u in planned.unprotected}
    assert {("curious-aggregator", "collect"), ("colluding-silos", "aggregate")} <= left
    assert all(answer.backend == "pq-tls" for phase in planned.phases for answer in phase.threats)


def test_a_policy_without_colluders_is_not_told_that_collusion_is_answered() -> None:
    alone = made(limits=Limits(2, 0, 1000, 1.0, 16, 2, 100))
    (condition,) = [a.condition for a in alone.phase("sum").threats if a.threat == "colluding-silos"]
    assert condition.startswith("no silo colludes, nor takes its own update out of the published sum, of at least 2")


def test_the_limit_on_rosters_is_claimed_for_every_combination_of_sums() -> None:
    """Three rosters that differ pairwise in two silos: the first silo's update is a combination of their sums. The rule
    that the claim rests on refuses the second of them."""
    (condition,) = [a.condition for a in made().phase("sum").threats if a.threat == "curious-aggregator"]
    assert "no combination of a job's sums sets fewer than 3 silos apart" in condition
    rosters = np.array([[1, 1, 0], [1, 0, 1], [0, 1, 1]])
    updates = np.random.default_rng(1).normal(size=(3, 5))
    np.testing.assert_allclose(np.array([1, 1, -1]) / 2 @ (rosters @ updates), updates[0])
    with pytest.raises(PolicyError, match="sets apart A: 1"):
        check_rosters(["AB"], "AC", 2)


@pytest.mark.parametrize(("group", "colluding"), [(1, 1), (2, 1), (1, 0)])
def test_rosters_that_may_nearly_repeat_weaken_the_claim_in_words(group: int, colluding: int) -> None:
    weak = made(limits=Limits(3, colluding, 1000, 1.0, 16, group, 100))
    (condition,) = [a.condition for a in weak.phase("sum").threats if a.threat == "curious-aggregator"]
    assert f"may set as few as {group} of the silos apart" in condition
    assert f"at least {colluding + 2} would prevent it" in condition


def test_a_majority_that_must_confirm_is_said() -> None:
    (how,) = [a.how for a in made().phase("keys").threats if a.threat == "curious-aggregator"]
    assert "only when more than half of the job's silos have confirmed" in how


def test_a_real_backend_is_preferred_to_an_accepted_stand_in_however_cheap() -> None:
    assert made({"network"}, aggregation=("additive-rlwe", "plain")).backend("aggregation") == "additive-rlwe"
    attested = plan(TRAINING, policy({"network"}), make_costs(), make_available(("enclave", "tdx")))
    assert attested.phase("keys").backends == ("pq-tls", "tdx", "additive-rlwe")
    assert attested.insecure == ()


def test_every_backend_not_used_is_refused_with_a_reason() -> None:
    planned = made({"network"}, aggregation=("additive-rlwe", "plain"))
    reasons = {(r.layer, r.backend): r.reason for r in planned.phase("keys").refused}
    assert reasons["aggregation", "plain"] == "a stand-in, and additive-rlwe is there"
    assert reasons["enclave", "tdx"] == "does not exist yet"
    assert reasons["proofs", "bounded-update"] == "does not exist yet"
    named = made(aggregation=("additive-rlwe", "plain"))
    reasons = {(r.layer, r.backend): r.reason for r in named.phase("collect").refused}
    assert reasons["aggregation", "plain"] == "leaves curious-aggregator unanswered; leaves colluding-silos unanswered"
    assert reasons["enclave", "software"] == "answers no threat that this phase is exposed to"
    for phase in named.phases:
        assert len(phase.refused) + len(phase.layers) == sum(map(len, BACKENDS.values()))
    both = plan(TRAINING, policy(NAMED), make_costs(), make_available(("proofs", "bounded-update")))
    reasons = {(r.layer, r.backend): r.reason for r in both.phase("sum").refused}
    assert reasons["proofs", "bounded-update"].startswith("not needed: it answers byzantine-silo")
    assert reasons["aggregation", "plain"] == "the policy does not allow it"


PROVING = ("proofs", "bounded-update")
BYZANTINE = NAMED | {"byzantine-silo"}


def test_byzantine_silos_are_answered_by_proofs_wherever_updates_and_keys_come_in() -> None:
    planned = plan(TRAINING, policy(BYZANTINE), make_costs(), make_available(PROVING))
    assert planned.optional("proofs") == "bounded-update" and made().optional("proofs") == ""
    for name in ("collect", "sum", "keys"):
        (answer,) = [a for a in planned.phase(name).threats if a.threat == "byzantine-silo"]
        assert answer.layer == "proofs" and "an update of a norm up to 2.5" in answer.condition
    assert not [left for left in planned.unprotected if left.threat == "byzantine-silo"]
    assert planned.digest() != made().digest()


def test_proofs_are_priced_where_they_are_made_and_checked() -> None:
    with_proofs, without = plan(TRAINING, policy(BYZANTINE), make_costs(), make_available(PROVING)), made()
    collect, keys = (
        with_proofs.phase(name).predicted_ms - without.phase(name).predicted_ms for name in ("collect", "keys")
    )
    sent = 120_000 + 0.2 * 1000
    verified = 2 + 1e-4 * 1000  # by the aggregator, and before that by the silo that made it
    assert collect == pytest.approx(10 + 2e-3 * 1000 + verified + 4 * (verified + 3e-6 * sent))
    assert keys == pytest.approx(4 * 0.25)
    assert with_proofs.phase("collect").predicted_bytes - without.phase("collect").predicted_bytes == 4 * sent
    assert with_proofs.phase("sum").predicted_ms == without.phase("sum").predicted_ms


def test_a_named_threat_to_which_nothing_is_exposed_is_said() -> None:
    workload = replace(TRAINING, phases=TRAINING.phases[1:])
    assert plan(workload, policy(NAMED | {"tampered-model"}), make_costs(), make_available()).unexposed == (
        "tampered-model",
    )


def test_predictions_follow_the_sizes() -> None:
    small = made()
    phases = tuple(replace(p, parameters=100_000) if p.parameters else p for p in TRAINING.phases)
    large = plan(replace(TRAINING, phases=phases), policy(NAMED), make_costs(), make_available())
    for name in ("collect", "sum"):
        assert large.phase(name).predicted_ms > small.phase(name).predicted_ms
        assert large.phase(name).predicted_bytes > small.phase(name).predicted_bytes
    assert small.phase("collect").predicted_bytes == 4 * (32_768 + 4 * 1000 + 9_000 + 12_000)
    assert small.phase("channels").predicted_bytes == 4 * (21_000 + 1_000)
    assert small.phase("channels").predicted_ms == pytest.approx(4 * (4.0 + 0.1 + 0.003))
    assert small.phase("sum").predicted_ms == pytest.approx(4 * 0.021 + 0.205 + 2 * 0.5 + 5 * 0.3)
    assert small.phase("log").predicted_ms == pytest.approx(1.0)
    assert [phase.rounds for phase in small.phases] == [1, 3, 3, 3, 1]


# ------------------------------------------------------------------------------------------------- digest and JSON


def test_the_digest_names_the_route_and_not_the_machine() -> None:
    slow = make_costs(replace(ADDITIVE, key_bytes=64.0), PLAIN)
    again = plan(TRAINING, policy(NAMED), slow, make_available(("proofs", "bounded-update")))
    assert again.digest() == made().digest() and len(again.digest()) == 32


def test_the_digest_changes_with_policy_workload_and_route() -> None:
    digests = {
        made().digest(),
        made(NAMED - {"recorder"}).digest(),
        made(limits=Limits(3, 1, 1000, 1.0, 16, 3, 101)).digest(),
        plan(replace(TRAINING, name="other"), policy(NAMED), make_costs(), make_available()).digest(),
        plan(TRAINING, policy(NAMED), make_costs(), make_available(("enclave", "tdx"))).digest(),
    }
    assert len(digests) == 5


def test_the_json_form_holds_the_interface() -> None:
    content = json.loads(json.dumps(made().to_json(), allow_nan=False))
    for phase in content["phases"]:
        assert {"name", "layers", "backends", "threats", "predicted_ms", "predicted_bytes", "refused"} <= phase.keys()
        assert all({"layer", "backend", "parameter_set", "reason"} == refused.keys() for refused in phase["refused"])
        assert len(phase["layers"]) == len(phase["backends"])
    assert all({"threat", "phase", "why"} == u.keys() for u in content["unprotected"])
    assert list(content).index("unprotected") < list(content).index("phases")
    keys = next(phase for phase in content["phases"] if phase["name"] == "keys")
    assert keys["threats"]["curious-aggregator"]["backend"] == "additive-rlwe"


# ------------------------------------------------------------------------------------------------- what is refused


def test_strict_is_refused_for_every_phase_by_name() -> None:
    message = refusal(*example("hospital-training", "strict"))
    assert "phase 'aggregate' (aggregate) is exposed to byzantine-silo, which nothing available answers: " in message
    assert "proofs/bounded-update (does not exist yet)" in message
    assert "phase 'keys' (keys) needs a backend of enclave, and has none" in message
    assert "phase 'audit' (audit) is exposed to malicious-server" in message
    assert "silos can witness the log (audit.witnesses), and plans do not credit that yet" in message


@pytest.mark.parametrize(
    ("threat", "expected"),
    [
        (
            "byzantine-silo",
            "phase 'sum' (aggregate) is exposed to byzantine-silo, which nothing available answers: proofs/",
        ),
        (
            "curious-host",
            "phase 'keys' (keys) is exposed to curious-host, which nothing available answers: enclave/tdx",
        ),
        (
            "physical-access",
            "phase 'keys' (keys) is exposed to physical-access, which nothing available answers: an enclave falls to",
        ),
        ("malicious-server", "phase 'log' (audit) is exposed to malicious-server"),
        ("tampered-model", "phase 'channels' (transport) is exposed to tampered-model"),
    ],
)
def test_the_software_keeper_and_missing_layers_answer_nothing(threat: str, expected: str) -> None:
    assert expected in refusal(TRAINING, policy({threat}))


def byzantine(*, values: int = 1000, aggregation: tuple[str, ...] = ("additive-rlwe",), **limits: object) -> str:
    phases = tuple(replace(phase, parameters=values) if phase.parameters else phase for phase in TRAINING.phases)
    asked = policy({"byzantine-silo"}, aggregation)
    asked = replace(asked, limits=replace(asked.limits, **limits))  # type: ignore[arg-type]
    return refusal(replace(TRAINING, phases=phases), asked, available=make_available(PROVING))


def test_what_cannot_be_proven_is_refused_with_the_numbers() -> None:
    for refused, reason in (
        (byzantine(value_bits=32), "it proves values of 12 and 16 bits, and limits.value_bits is 32"),
        (byzantine(update_norm=math.inf), "the policy gives no limits.update_norm to prove"),
        (byzantine(values=20_001), "one proof is about at most 20000 values at 16 bits, not 20001"),
        (byzantine(aggregation=("plain",)), "nothing can be proven of sums by plain"),
    ):
        for phase in ("'collect' (collect)", "'sum' (aggregate)", "'keys' (keys)"):
            assert f"phase {phase} is exposed to byzantine-silo, which nothing available answers" in refused
        assert f"proofs/bounded-update ({reason})" in refused
    assert plan(TRAINING, policy({"byzantine-silo"}, ("additive-rlwe", "plain")), make_costs(), make_available(PROVING))


def test_plain_sums_never_stand_in_for_encryption() -> None:
    message = refusal(TRAINING, policy({"curious-aggregator"}, aggregation=("plain",)))
    assert "aggregation/additive-rlwe (the policy does not allow it)" in message
    today = make_available()
    gone = Availability(
        {**today.absent, ("aggregation", "additive-rlwe"): "the kernel is not built"}, today.largest_roster
    )
    message = refusal(TRAINING, policy({"curious-aggregator"}, aggregation=("additive-rlwe", "plain")), available=gone)
    assert "aggregation/additive-rlwe (the kernel is not built)" in message
    message = refusal(TRAINING, policy({"curious-aggregator"}), available=gone)
    assert "phase 'sum' (aggregate) needs a backend of aggregation, and has none" in message


def test_without_channels_nothing_is_planned() -> None:
    today = make_available()
    gone = Availability({**today.absent, ("transport", "pq-tls"): "OpenSSL is too old"}, today.largest_roster)
    assert "needs a backend of transport, and has none" in refusal(TRAINING, policy({"byzantine-silo"}), available=gone)
    assert "transport/pq-tls (OpenSSL is too old)" in refusal(TRAINING, policy({"network"}), available=gone)


def test_numbers_beyond_the_policy_or_the_parameters() -> None:
    few = policy(NAMED, limits=Limits(5, 1, 1000, 1.0, 16, 3, 100))
    assert "has 4 silos, and the policy asks for at least 5" in refusal(TRAINING, few)
    short = policy(NAMED, limits=Limits(3, 1, 1000, 1.0, 16, 3, 2))
    assert "has 3 rounds, and the policy allows 2" in refusal(TRAINING, short)
    crowd = tuple(replace(p, silos=257) if p.silos else p for p in TRAINING.phases)
    message = refusal(replace(TRAINING, phases=crowd), policy(NAMED))
    assert "has 257 silos, and additive-rlwe adds at most 256 at 16 bits" in message
    wide = policy(NAMED, limits=Limits(3, 1, 1000, 1.0, 32, 3, 100))
    assert plan(replace(TRAINING, phases=crowd), wide, make_costs(), make_available()).backend("aggregation")


def test_a_latency_that_cannot_be_met() -> None:
    tight = tuple(replace(p, latency_ms=0.01) if p.kind == "keys" else p for p in TRAINING.phases)
    message = refusal(replace(TRAINING, phases=tight), policy(NAMED))
    assert "phase 'keys' (keys) is predicted to take" in message and "over the limit of 0.01 ms" in message
    assert "over the limit of 0.5 ms" in refusal(TRAINING, policy(NAMED, max_latency_ms=0.5))


def test_costs_without_a_figure_are_said_and_not_guessed() -> None:
    costs = make_costs()
    with pytest.raises(PolicyInvalid, match="no figures for transport/pq-tls"):
        plan(TRAINING, policy(NAMED), replace(costs, transport={}), make_available())
    with pytest.raises(PolicyInvalid, match="no figures for aggregation/additive-rlwe/16 bits"):
        plan(TRAINING, policy(NAMED), replace(costs, aggregation={}), make_available())


def test_asking_a_plan_for_what_it_does_not_hold() -> None:
    with pytest.raises(CallerError, match="has no phase 'nap'"):
        made().phase("nap")
    with pytest.raises(PolicyInvalid, match="no figures for proofs/bounded-update/16 bits"):
        plan(TRAINING, policy(BYZANTINE), replace(make_costs(), proofs={}), make_available(PROVING))
    with pytest.raises(CallerError, match="present without its largest update"):
        Availability(
            {key: why for key, why in make_available().absent.items() if key != PROVING},
            make_available().largest_roster,
        )
    with pytest.raises(CallerError, match="uses nothing for proofs"):
        made().backend("proofs")


def test_availability_is_complete_or_refused() -> None:
    with pytest.raises(CallerError, match="no backend enclave/magic"):
        Availability({("enclave", "magic"): "no"}, {})
    with pytest.raises(CallerError, match="absent without a reason"):
        Availability({("enclave", "tdx"): ""}, {})
    with pytest.raises(CallerError, match="without its largest roster at 12 bits"):
        Availability({}, {})


# ------------------------------------------------------------------------------------------- a TPM is no enclave


TPM, TDX = ("enclave", "tpm"), ("enclave", "tdx")


def test_a_tpm_alone_is_used_and_counts_for_nothing() -> None:
    planned = plan(TRAINING, policy(NAMED), make_costs(), make_available(TPM))
    keys = planned.phase("keys")
    assert keys.backends == ("pq-tls", "tpm", "additive-rlwe") and keys.isolation == "none"
    assert planned.insecure == (), "it is no stand-in: its evidence is real"
    assert not [answer for answer in keys.threats if answer.layer == "enclave"]
    (left,) = [u for u in planned.unprotected if (u.threat, u.phase) == ("curious-host", "keys")]
    assert left.why.startswith("tpm isolates nothing from its host; the policy does not name it; enclave/tdx")
    assert planned.to_json()["phases"][3]["isolation"] == "none"
    assert planned.to_json()["phases"][0]["isolation"] is None


@pytest.mark.parametrize("threat", ["curious-host", "malicious-server"])
def test_a_tpm_does_not_satisfy_who_asks_for_isolation(threat: str) -> None:
    message = refusal(TRAINING, policy(NAMED | {threat}), available=make_available(TPM))
    assert f"phase 'keys' (keys) is exposed to {threat}, which nothing available answers: enclave/tdx" in message
    assert "enclave/tpm" not in message


def test_isolation_is_preferred_to_a_tpm_and_a_tpm_to_a_stand_in() -> None:
    both = plan(TRAINING, policy(NAMED), make_costs(), make_available(TPM, TDX)).phase("keys")
    assert "tdx" in both.backends and both.isolation == "vm"
    reasons = {refusal.backend: refusal.reason for refusal in both.refused}
    assert reasons["tpm"] == "isolates nothing, and tdx does"
    assert reasons["software"] == "a stand-in, and tdx is there"
    alone = plan(TRAINING, policy(NAMED), make_costs(), make_available(TPM)).phase("keys")
    assert {r.backend: r.reason for r in alone.refused}["software"] == "a stand-in, and tpm is there"


def test_isolation_answers_the_host_on_conditions_that_name_the_appraisal_policy() -> None:
    keys = plan(TRAINING, policy(NAMED | {"curious-host"}), make_costs(), make_available(TDX)).phase("keys")
    (answer,) = [one for one in keys.threats if one.threat == "curious-host"]
    assert (answer.layer, answer.backend) == ("enclave", "tdx")
    assert f"appraisal policy {bytes(range(32)).hex()[:16]}" in answer.condition


def test_no_phase_but_that_of_the_keys_is_said_to_be_isolated() -> None:
    planned = plan(TRAINING, policy(NAMED), make_costs(), make_available(TDX))
    assert {phase.kind: phase.isolation for phase in planned.phases if phase.isolation} == {"keys": "vm"}
    assert {u.phase for u in planned.unprotected if u.threat == "malicious-server"} >= {"collect", "sum"}
