"""Plans with proofs of answers: what they claim, what they cost, and what is refused where nothing can be proven."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from itertools import chain, combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.planner.made_up import ANSWERS, SERVING, TRAINING, make_available, make_costs, policy

from quatrefoil.audit.sampling import MOST_DRAWN
from quatrefoil.audit.sampling.rule import share_of
from quatrefoil.bench.proven_costs import dense_graph
from quatrefoil.catching import SHARES, caught
from quatrefoil.errors import ModelRefused, ParametersRefused, PhaseUnprotected, PolicyInvalid
from quatrefoil.planner import Plan, plan, proving, threats
from quatrefoil.planner.blanket import all_choices, price
from quatrefoil.planner.difference import compare
from quatrefoil.policy import PROVEN_ANSWERS, Allow, Policy
from quatrefoil.proofs.field_hash import field_hash
from quatrefoil.proofs.inference import LARGEST_BATCH, shape
from quatrefoil.quantised import program_of
from quatrefoil.workload import Phase, Workload

ANSWER = Phase(
    "answer",
    "infer",
    "record",
    1e6,
    message_bytes=1000,
    batch=1000,
    model="integers",
    inputs=784,
    cells=128,
    weights=101_770,
)
SCORE = Phase("score", "score", "record", 1e6, parameters=30, batch=1000, model="integers")
INTEGRITY = {"tampered-model", "malicious-server"}
EXPOSED = threats.EXPOSED["infer", "record"]


def asking(
    named: set[str], *enclaves: str, share: float = 0.02, aggregation: str = "ckks", **changed: object
) -> Policy:
    """Allows proofs of answers, of ``share`` of the receipts; 0 for none."""
    proofs = ("bounded-update", PROVEN_ANSWERS) if share else ("bounded-update",)
    return policy(
        named,
        allow=Allow(("pq-tls",), tuple(sorted(enclaves)), (aggregation,), proofs),
        accept_insecure=(),
        proven_share=share,
        **changed,
    )


def work(*phases: Phase) -> Workload:
    return Workload("w", phases)


def planned(asked: Policy, *servers: str, phase: Phase = ANSWER) -> Plan:
    here = make_available(("proofs", PROVEN_ANSWERS), ("aggregation", "ckks"), servers=servers)
    return plan(work(phase), asked, make_costs(), here)


def refusal(asked: Policy, *servers: str, phase: Phase = ANSWER) -> str:
    with pytest.raises(PhaseUnprotected) as caught:
        planned(asked, *servers, phase=phase)
    return str(caught.value)


# ------------------------------------------------------------------------------------------------- what is claimed


@pytest.mark.parametrize("phase", [ANSWER, SCORE], ids=lambda one: one.kind)
def test_a_machine_that_isolates_nothing_gives_integrity_by_proofs_and_no_secrecy(phase: Phase) -> None:
    made = planned(asking({"network", *INTEGRITY}, "tpm"), "tpm", phase=phase).phases[0]
    assert made.backends == ("pq-tls", "tpm", PROVEN_ANSWERS) and made.isolation == "none"
    claims = {answer.threat: answer for answer in made.threats}
    assert set(claims) == {"recorder", "network", *INTEGRITY}
    assert all(claims[threat].layer == "proofs" for threat in INTEGRITY)


def test_every_claim_of_proofs_says_what_it_rests_on() -> None:
    made = planned(asking(INTEGRITY, "tpm", largest_accuracy_drop=0.01), "tpm").phases[0]
    for claim in (answer for answer in made.threats if answer.threat in INTEGRITY):
        assert "of the receipts 2 % are drawn" in claim.how
        assert "looks for them in the log" in claim.condition and "--computes --committed" in claim.condition
        assert "by a challenge that comes after witnesses have cosigned" in claim.condition
        assert "the chance to be caught is what deters" in claim.condition and "nobody has audited" in claim.condition
    model = next(answer for answer in made.threats if answer.threat == "tampered-model")
    assert "which may give 1 % fewer right answers" in model.condition
    unlimited = planned(asking(INTEGRITY, "tpm"), "tpm").phases[0].threats
    assert "the policy sets no limit" in next(a.condition for a in unlimited if a.threat == "tampered-model")


@pytest.mark.parametrize("threat", ["curious-host", "physical-access"])
def test_proofs_keep_no_host_from_reading(threat: str) -> None:
    assert f"is exposed to {threat}, which nothing available answers" in refusal(asking({threat}, "tpm"), "tpm")
    left = {one.threat for one in planned(asking(INTEGRITY, "tpm"), "tpm").unprotected}
    assert left == {"curious-host", "physical-access"}


def test_what_isolation_answers_is_not_proven_unless_it_is_asked_for() -> None:
    asked = asking({"curious-host", *INTEGRITY}, "sev-snp")
    assert planned(asked, "sev-snp").phases[0].backends == ("pq-tls", "sev-snp")
    both = planned(asked, "sev-snp", phase=replace(ANSWER, answers="proven")).phases[0]
    assert both.backends == ("pq-tls", "sev-snp", PROVEN_ANSWERS)
    claims = {answer.threat: answer for answer in both.threats}
    assert claims["malicious-server"].layer == "enclave" and "2 % are drawn" in claims["malicious-server"].how
    assert "or the answer is among those that are proven" in claims["malicious-server"].condition
    assert {answer.threat for answer in both.threats} == set(EXPOSED) - {"physical-access"}


def test_isolation_is_preferred_to_proofs_where_both_would_do() -> None:
    asked = asking(INTEGRITY, "sev-snp", "tpm")
    assert planned(asked, "sev-snp", "tpm").phases[0].backends == ("pq-tls", "sev-snp")


@pytest.mark.parametrize("servers", [("tpm",), ("sev-snp",), ("tpm", "sev-snp")], ids="+".join)
@pytest.mark.parametrize("share", [0.0, 0.02])
@pytest.mark.parametrize("phase", [ANSWER, replace(ANSWER, model="float", inputs=0, cells=0, weights=0), SCORE])
def test_over_all_threats_a_plan_claims_what_its_layers_answer(
    phase: Phase, share: float, servers: tuple[str, ...]
) -> None:
    for named in chain.from_iterable(combinations(EXPOSED, n) for n in range(1, len(EXPOSED) + 1)):
        for answers in ("signed", "proven"):
            wanted = replace(phase, answers=answers)
            provable = bool(share) and phase.model == "integers"
            by_enclave = {"curious-host", *INTEGRITY} if "sev-snp" in servers else set[str]()
            by_proofs = INTEGRITY if provable else set[str]()
            by_ckks = {"curious-host", "physical-access"} if phase.kind == "score" else set[str]()
            channel = {"recorder", "network"}
            ways = [channel | by_enclave | by_proofs]
            if answers == "signed":
                ways.append(channel | by_enclave | by_ckks)
            possible = any(set(named) <= way for way in ways) and (answers == "signed" or provable)
            try:
                made = planned(asking(set(named), *servers, share=share), *servers, phase=wanted)
            except PhaseUnprotected:
                assert not possible, (named, answers)
                continue
            assert possible, (named, answers)
            found = made.phases[0]
            assert set(named) <= {answer.threat for answer in found.threats}
            assert (found.proven is not None) == (PROVEN_ANSWERS in found.backends)
            assert not ("proofs" in found.layers and "aggregation" in found.layers)
            if answers == "proven":
                assert found.proven


# ------------------------------------------------------------------------------------------------- what is refused


def test_a_float_model_or_one_that_nobody_commits_to_is_refused_with_a_hint() -> None:
    floating = replace(ANSWER, model="float", inputs=0, cells=0, weights=0)
    message = refusal(asking(INTEGRITY, "tpm"), "tpm", phase=floating)
    assert 'proofs/proven-answers (the phase does not say model = "integers"' in message
    assert "quatrefoil model quantise, quatrefoil model commit" in message
    demanded = refusal(asking({"network"}, "tpm"), "tpm", phase=replace(floating, answers="proven"))
    assert 'asks for answers = "proven", which nothing available shows' in demanded
    assert "quatrefoil model quantise" in demanded


def test_a_demand_that_the_policy_does_not_allow_is_refused() -> None:
    demanded = replace(ANSWER, answers="proven")
    message = refusal(asking({"network"}, "sev-snp", share=0.0), "sev-snp", phase=demanded)
    assert "proofs/proven-answers (the policy does not allow it)" in message and "bounded-update" not in message


def test_a_host_that_proves_nothing_is_no_way_out() -> None:
    with pytest.raises(PhaseUnprotected, match=r"proofs/proven-answers \(does not exist yet\)"):
        plan(work(ANSWER), asking(INTEGRITY, "tpm"), make_costs(), make_available(servers=("tpm",)))


def test_nothing_is_proven_of_what_is_computed_on_ciphertexts() -> None:
    demanded = replace(SCORE, answers="proven")
    message = refusal(asking({"physical-access"}, "tpm"), "tpm", phase=demanded)
    assert "by aggregation it proves nothing" in message and 'answers = "proven"' in message
    both = planned(asking({"physical-access"}, "tpm"), "tpm", phase=SCORE).phases[0]
    assert both.backends == ("pq-tls", "ckks") and both.proven is None


@pytest.mark.parametrize(
    ("phase", "said"),
    [
        (replace(ANSWER, inputs=(1 << 20) + 1), "proven of models of 2 to 1048576 inputs, not 1048577"),
        (replace(SCORE, parameters=1), "proven of models of 2 to 1048576 inputs, not 1"),
        (replace(SCORE, batch=(1 << 14) + 1), "one proof is about at most 16384 rows, and the table has 16385"),
        (replace(ANSWER, batch=10_000_000), "a sample draws at most 65536 receipts"),
    ],
)
def test_what_no_proof_or_sample_holds_is_refused_with_the_numbers(phase: Phase, said: str) -> None:
    assert said in refusal(asking(INTEGRITY, "tpm"), "tpm", phase=phase)


@pytest.mark.parametrize("kind", ["summarise", "count"])
def test_a_graph_without_weights_is_not_proven(kind: str) -> None:
    phase = Phase("p", kind, "record", 1e6, parameters=20, batch=100)
    message = refusal(asking({"malicious-server"}, "tpm"), "tpm", phase=phase)
    assert "is exposed to malicious-server" in message and PROVEN_ANSWERS not in message
    assert f"{kind} phases have none" in proving.unprovable(phase, asking({"network"}, "tpm"))


def test_proofs_of_updates_do_nothing_for_an_answer() -> None:
    here = make_available(("proofs", PROVEN_ANSWERS), ("proofs", "bounded-update"), servers=("tpm",))
    made = plan(work(ANSWER), asking(INTEGRITY, "tpm"), make_costs(), here).phases[0]
    assert {one.backend: one.reason for one in made.refused}["bounded-update"] == "it does nothing in infer phases"


def test_proofs_of_answers_do_nothing_for_a_round() -> None:
    asked = replace(
        policy({"byzantine-silo"}),
        allow=Allow(("pq-tls",), ("software",), ("additive-rlwe",), (PROVEN_ANSWERS,)),
        proven_share=0.5,
        appraisal=b"",
    )
    here = make_available(("proofs", PROVEN_ANSWERS), ("proofs", "bounded-update"))
    with pytest.raises(PhaseUnprotected, match=r"byzantine-silo.*bounded-update \(the policy does not allow it\)"):
        plan(TRAINING, asked, make_costs(), here)


def test_without_figures_no_proof_is_priced() -> None:
    here = make_available(("proofs", PROVEN_ANSWERS), servers=("tpm",))
    for costs in (replace(make_costs(), answers={}), replace(make_costs(), threads=3)):
        with pytest.raises(PolicyInvalid, match="no figures for proofs/proven-answers in"):
            plan(work(ANSWER), asking(INTEGRITY, "tpm"), costs, here)


# ------------------------------------------------------------------------------------------------- what is predicted


def test_audit_mode_is_in_the_pass_and_proofs_are_after_it() -> None:
    signed = planned(asking({"network"}, "tpm", share=0.0), "tpm").phases[0]
    proven = planned(asking(INTEGRITY, "tpm"), "tpm").phases[0]
    found = proven.proven
    assert found is not None and signed.proven is None
    assert (found.receipts, found.drawn, found.rows, found.proofs) == (1000, 20, 20, 1)
    assert proven.predicted_ms - signed.predicted_ms == pytest.approx(1000 * (0.3 + 0.5 + 784e-4))
    assert found.prove_ms == pytest.approx(20 + 8 + 2e-3 * 128 * 32 + 1e-4 * 784 * 20 + 1e-4 * 101_770)
    assert found.verify_ms == pytest.approx(1 + 0.1 + 1e-5 * 128 * 32 + 1e-5 * 784 * 20 + 1e-7 * 101_770)
    assert found.proof_bytes == round(250_000 + 400 * math.sqrt(128 * 32) + 80 * math.sqrt(101_770))
    assert proven.whole_ms == proven.predicted_ms + found.ms
    assert proven.predicted_bytes == signed.predicted_bytes
    assert "the commitment to the weights" in proven.excluded and "commitment" not in signed.excluded


def test_a_table_is_one_receipt_and_always_drawn() -> None:
    found = planned(asking(INTEGRITY, "tpm"), "tpm", phase=SCORE).phases[0].proven
    assert found is not None
    assert (found.receipts, found.drawn, found.rows, found.proofs) == (1, 1, 1000, 1)
    assert found.prove_ms == pytest.approx(20 + 1e-4 * 30 * 1000 + 1e-4 * 30), "one layer rounds nothing"


def test_a_sample_over_one_proof_takes_several() -> None:
    everything = asking(INTEGRITY, "tpm", share=1.0)
    found = planned(everything, "tpm", phase=replace(ANSWER, batch=40_000)).phases[0].proven
    assert found is not None and (found.rows, found.proofs) == (40_000, 3)
    one, rest = (ANSWERS.verify_ms.at(rows, 784, 128, 101_770) for rows in (16_384, 40_000 - 2 * 16_384))
    assert found.verify_ms == pytest.approx(2 * one + rest)


def test_proofs_are_made_when_nobody_waits_but_audit_mode_is_waited_for() -> None:
    slow = replace(
        make_costs(), answers={"proven-answers/1": replace(ANSWERS, prove_ms=replace(ANSWERS.prove_ms, fixed=1e7))}
    )
    here = make_available(("proofs", PROVEN_ANSWERS), servers=("tpm",))
    assert plan(work(ANSWER), asking(INTEGRITY, "tpm"), slow, here).phases[0].whole_ms > ANSWER.latency_ms
    tight = replace(ANSWER, latency_ms=2000.0)
    message = refusal(asking(INTEGRITY, "tpm"), "tpm", phase=tight)
    assert "over the limit of 2e+03 ms" in message
    assert planned(asking({"network"}, "tpm", share=0.0), "tpm", phase=tight)


def test_totals_differences_and_choices_for_all_have_the_proofs_in_them() -> None:
    asked, here = asking(INTEGRITY, "tpm"), make_available(("proofs", PROVEN_ANSWERS), servers=("tpm",))
    made = plan(work(ANSWER), asked, make_costs(), here)
    assert made.ms == pytest.approx(made.phases[0].whole_ms) and made.proving_ms == made.phases[0].proven.ms > 0
    assert made.to_json()["proving_ms"] == round(made.proving_ms, 4)
    before = plan(work(ANSWER), asking({"network"}, "tpm", share=0.0), make_costs(), here)
    (changed,) = compare(before, made).phases
    assert set(changed.gained) == INTEGRITY and "proofs/proven-answers" in changed.after
    assert changed.after_ms == made.phases[0].whole_ms
    for layers in all_choices():
        found = price(work(ANSWER), asked, make_costs(), here, layers)
        assert found.plan is not None and ("proofs" in found.plan.phases[0].layers) == ("proofs" in layers)
        assert bool(found.unanswered) == ("proofs" not in layers)
    floating = price(SERVING, asked, make_costs(), here, ("transport", "enclave", "proofs"))
    assert floating.plan is not None and {u.threat for u in floating.unanswered} == INTEGRITY


def test_a_choice_with_ciphertexts_is_spared_proofs() -> None:
    asked = asking({"network"}, "tpm")
    here = make_available(("proofs", PROVEN_ANSWERS), ("aggregation", "ckks"), servers=("tpm",))
    found = price(work(SCORE), asked, make_costs(), here, ("transport", "aggregation", "proofs"))
    assert found.plan is not None and found.plan.phases[0].layers == ("transport", "aggregation")


def test_the_digest_covers_the_share_and_the_proofs_and_no_prediction() -> None:
    made = planned(asking(INTEGRITY, "tpm"), "tpm")
    assert planned(asking(INTEGRITY, "tpm", share=0.03), "tpm").digest() != made.digest()
    assert planned(asking({"network"}, "tpm"), "tpm").digest() != made.digest()
    here = make_available(("proofs", PROVEN_ANSWERS), servers=("tpm",))
    dear = replace(make_costs(), answers={"proven-answers/1": replace(ANSWERS, verify_ms=ANSWERS.prove_ms)})
    assert plan(work(ANSWER), asking(INTEGRITY, "tpm"), dear, here).digest() == made.digest()


# ------------------------------------------------------------------------------------------------- numbers elsewhere


def test_limits_are_those_of_what_proves_and_draws() -> None:
    assert proving.LARGEST_BATCH == LARGEST_BATCH and proving.LARGEST_SAMPLE == MOST_DRAWN
    assert field_hash(proving.MOST_INPUTS, -128, 127)
    with pytest.raises(ParametersRefused, match=str(proving.MOST_INPUTS + 1)):
        field_hash(proving.MOST_INPUTS + 1, -128, 127)
    assert shape(program_of(dense_graph((proving.LEAST_INPUTS, 1))).content, 16, 1, hidden=False)
    with pytest.raises(ModelRefused, match="layers of two values or more"):
        program_of(dense_graph((proving.LEAST_INPUTS - 1, 1)))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 20_000), st.floats(1e-4, 1.0), st.sampled_from(SHARES))
def test_what_a_sample_catches_is_what_the_audit_says(receipts: int, share: float, false: float) -> None:
    phase = replace(ANSWER, batch=receipts)
    found = proving.predicted(phase, asking(INTEGRITY, "tpm", share=share), ANSWERS)
    assert 1 <= found.drawn <= receipts
    assert found.caught(false) == caught(receipts, found.drawn, false).probability


@pytest.mark.parametrize("share", ["0.07", "0.01", "0.29", "1.0", "0.001"])
def test_as_many_are_drawn_as_the_auditors_command_draws(share: str) -> None:
    for receipts in (1, 99, 100, 10_000):
        assert proving.drawn(receipts, float(share)) == share_of(Fraction(share), receipts)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5000), st.floats(1e-3, 1.0), st.floats(1e-3, 1.0))
def test_a_larger_share_catches_no_less_and_costs_no_less(receipts: int, one: float, other: float) -> None:
    few, many = sorted((one, other))
    phase = replace(ANSWER, batch=receipts)
    found = [proving.predicted(phase, asking(INTEGRITY, "tpm", share=share), ANSWERS) for share in (few, many)]
    assert found[0].ms <= found[1].ms and found[0].drawn <= found[1].drawn
    assert found[0].caught(0.01) <= found[1].caught(0.01) + 1e-12
