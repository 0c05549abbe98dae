"""Every example of a workload under every example of a policy: it plans, or is refused for the reason written here."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.planner.made_up import make_available, make_costs

from quatrefoil.errors import PhaseUnprotected, PolicyInvalid
from quatrefoil.planner import plan
from quatrefoil.policy import Policy
from quatrefoil.workload import Workload

EXAMPLES = Path(__file__).parents[2] / "examples"
WORKLOADS = sorted(file.stem for file in (EXAMPLES / "workloads").glob("*.toml"))
POLICIES = sorted(file.stem for file in (EXAMPLES / "policies").glob("*.toml"))
ALL_THERE = make_available(
    ("enclave", "sev-snp"),
    ("aggregation", "ckks"),
    ("aggregation", "bgv"),
    ("proofs", "bounded-update"),
    ("proofs", "proven-answers"),
    servers=("sev-snp", "tpm"),
)
NO_WAY = "needs a backend of enclave or aggregation, and has none"
NO_SERVER = "'answer' (infer) needs a backend of enclave, and has none"
NO_ROUNDS = "rounds, and the policy allows 1"
OPENED = "'answer' (infer) is exposed to physical-access, which nothing available answers"
FLOATING = 'proofs/proven-answers (the phase does not say model = "integers"'
LYING_LOG = "'audit' (audit) is exposed to malicious-server, which nothing available answers"
REFUSED = {
    ("credit-scoring", "clear"): NO_WAY,
    ("credit-scoring", "hospitals"): NO_WAY,
    ("credit-scoring", "proven"): FLOATING,
    ("credit-scoring", "strict"): LYING_LOG,
    ("hospital-serving", "bank"): OPENED,
    ("hospital-serving", "clear"): NO_SERVER,
    ("hospital-serving", "hospitals"): NO_SERVER,
    ("hospital-serving", "night"): OPENED,
    ("hospital-serving", "proven"): FLOATING,
    ("hospital-training", "bank"): NO_ROUNDS,
    ("hospital-training", "night"): NO_ROUNDS,
    ("hospital-training", "proven"): NO_ROUNDS,
    ("hospital-training", "strict"): LYING_LOG,
    ("hospital-training-and-serving", "bank"): NO_ROUNDS,
    ("hospital-training-and-serving", "clear"): NO_WAY,
    ("hospital-training-and-serving", "hospitals"): NO_WAY,
    ("hospital-training-and-serving", "night"): NO_ROUNDS,
    ("hospital-training-and-serving", "proven"): NO_ROUNDS,
    ("hospital-training-and-serving", "strict"): LYING_LOG,
    ("nightly-analytics", "clear"): NO_WAY,
    ("nightly-analytics", "hospitals"): NO_WAY,
    ("nightly-analytics", "proven"): FLOATING,
    ("nightly-analytics", "strict"): LYING_LOG,
    ("proven-serving", "bank"): OPENED,
    ("proven-serving", "clear"): NO_SERVER,
    ("proven-serving", "hospitals"): NO_SERVER,
    ("proven-serving", "night"): OPENED,
}


def loaded(workload: str, policy: str) -> tuple[Workload, Policy]:
    return Workload.load(EXAMPLES / "workloads" / f"{workload}.toml"), Policy.load(
        EXAMPLES / "policies" / f"{policy}.toml"
    )


def test_every_example_plans_somewhere() -> None:
    planned = {(w, p) for w in WORKLOADS for p in POLICIES} - set(REFUSED)
    assert {w for w, _ in planned} == set(WORKLOADS) and {p for _, p in planned} == set(POLICIES)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("workload", WORKLOADS)
def test_it_plans_or_is_refused_for_this_reason(workload: str, policy: str) -> None:
    work, asked = loaded(workload, policy)
    if (workload, policy) in REFUSED:
        with pytest.raises((PhaseUnprotected, PolicyInvalid)) as refused:
            plan(work, asked, make_costs(), ALL_THERE)
        assert REFUSED[workload, policy] in str(refused.value)
        return
    made = plan(work, asked, make_costs(), ALL_THERE)
    assert {one.threat for one in made.unprotected}.isdisjoint(asked.threats)


@pytest.mark.parametrize("policy", ["bank", "night"])
def test_ciphertexts_where_strangers_could_open_the_machine_and_an_enclave_on_the_premises(policy: str) -> None:
    for workload, elsewhere, backend in (
        ("nightly-analytics", "registry", "bgv"),
        ("credit-scoring", "score", "ckks"),
    ):
        made = plan(*loaded(workload, policy), make_costs(), ALL_THERE)
        computing = {
            phase.name: phase.backends for phase in made.phases if phase.kind in ("score", "summarise", "count")
        }
        assert computing.pop(elsewhere) == ("pq-tls", backend)
        assert set(computing.values()) == {("pq-tls", "sev-snp")}


def test_proofs_where_the_machine_isolates_nothing_and_an_enclave_where_it_does() -> None:
    by_policy = {name: plan(*loaded("proven-serving", name), make_costs(), ALL_THERE) for name in ("proven", "strict")}
    assert by_policy["proven"].phase("answer").backends == ("pq-tls", "tpm", "proven-answers")
    assert by_policy["strict"].phase("answer").backends == ("pq-tls", "sev-snp")
    left = {one.threat for one in by_policy["proven"].unprotected}
    assert left == {"curious-host", "physical-access"}
