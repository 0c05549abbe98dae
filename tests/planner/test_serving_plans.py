"""Plans of served models: over all combinations they claim what layers answer, and nothing is served otherwise."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.planner.made_up import SERVING, TRAINING, make_available, make_costs, policy

from quatrefoil import ohttp
from quatrefoil.errors import CallerError, PhaseUnprotected, PolicyInvalid
from quatrefoil.exchange.policy import LARGEST_BODY
from quatrefoil.planner import Availability, Plan, host, plan, serving, threats
from quatrefoil.policy import BACKENDS, CHANNEL_POLICIES, ISOLATING, THREATS, Allow, Policy
from quatrefoil.wire import LARGEST_MESSAGE
from quatrefoil.workload import Phase, Workload

EXAMPLES = Path(__file__).parents[2] / "examples"
KINDS = tuple(name for name in BACKENDS["enclave"] if name not in ("software", "committee", *host.UNCOLLECTED))
OPENED = "physical-access"
"""What no enclave answers."""
EXPOSED = tuple(threat for threat in threats.EXPOSED["infer", "record"] if threat != OPENED)
SUBSETS = [set(s) for s in chain.from_iterable(combinations(EXPOSED, n) for n in range(1, len(EXPOSED) + 1))]
ISOLATED = {"curious-host", "tampered-model", "malicious-server"}


def allowing(named: set[str], *enclaves: str, **changed: object) -> Policy:
    allow = Allow(("pq-tls",), tuple(sorted(enclaves)), ("additive-rlwe",), ("bounded-update",))
    accepted = ("software-keeper",) if "software" in enclaves else ()
    appraisal = bytes(range(32)) if set(enclaves) - {"software"} else b""
    return policy(named, allow=allow, accept_insecure=accepted, appraisal=appraisal, **changed)


def served(asked: Policy, *servers: str, workload: Workload = SERVING) -> Plan:
    return plan(workload, asked, make_costs(), make_available(servers=servers))


def refusal(asked: Policy, *servers: str, workload: Workload = SERVING) -> str:
    with pytest.raises(PhaseUnprotected) as caught:
        served(asked, *servers, workload=workload)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ------------------------------------------------------------------------------------------------- what is claimed


@pytest.mark.parametrize("servers", [(), *((name,) for name in KINDS), ("tpm", "sev-snp"), KINDS], ids="+".join)
def test_a_plan_claims_exactly_what_its_layers_answer(servers: tuple[str, ...]) -> None:
    """For every set of threats, every set of allowed enclaves, and what a machine offers."""
    for named in SUBSETS:
        for allowed in chain.from_iterable(combinations(("software", *KINDS), n) for n in (1, 2, 5)):
            asked, usable = allowing(named, *allowed), set(allowed) & set(servers)
            isolating = usable & set(ISOLATING)
            if not usable or (named & ISOLATED and not isolating):
                assert "phase 'answer' (infer)" in refusal(asked, *servers)
                continue
            made = served(asked, *servers)
            phase = made.phase("answer")
            assert phase.layers == ("transport", "enclave") and phase.backends[0] == "pq-tls"
            assert phase.backends[1] in (isolating or usable)
            answered = {answer.threat for answer in phase.threats}
            assert answered == {"recorder", "network"} | (ISOLATED if isolating else set())
            assert {u.threat for u in made.unprotected if u.phase == "answer"} == {*EXPOSED, OPENED} - answered
            assert made.insecure == ()


@settings(max_examples=80, deadline=None)
@given(
    st.sets(st.sampled_from(EXPOSED), min_size=1),
    st.sampled_from(sorted(THREATS)),
    st.sets(st.sampled_from(KINDS)),
    st.sets(st.sampled_from(("software", *KINDS)), min_size=1),
)
def test_adding_a_threat_never_drops_a_protection_nor_saves(
    named: set[str], threat: str, servers: set[str], allowed: set[str]
) -> None:
    def attempt(threats: set[str]) -> Plan | None:
        try:
            return served(allowing(threats, *allowed), *servers)
        except PhaseUnprotected:
            return None

    before, after = attempt(named), attempt(named | {threat})
    if before is None:
        assert after is None
    elif after is not None:
        claims = [{(p.name, a.threat) for p in one.phases for a in p.threats} for one in (before, after)]
        assert claims[0] <= claims[1]
        assert sum(p.predicted_ms for p in before.phases) <= sum(p.predicted_ms for p in after.phases)


def test_a_tpm_answers_nothing_of_who_runs_the_server() -> None:
    made = served(allowing({"network"}, "tpm"), "tpm")
    assert made.phase("answer").isolation == "none"
    left = {u.threat: u.why for u in made.unprotected if u.threat != OPENED}
    assert set(left) == ISOLATED
    assert all(why.startswith("tpm isolates nothing from its host") for why in left.values())
    for threat in ISOLATED:
        assert f"is exposed to {threat}, which nothing available answers" in refusal(allowing({threat}, "tpm"), "tpm")


def test_isolation_is_preferred_to_a_tpm() -> None:
    phase = served(allowing({"network"}, "tpm", "sev-snp"), "tpm", "sev-snp").phase("answer")
    assert (phase.backends[1], phase.isolation) == ("sev-snp", "vm")
    assert {r.backend: r.reason for r in phase.refused}["tpm"] == "isolates nothing, and sev-snp does"


def test_every_claim_says_what_it_rests_on() -> None:
    claims = {a.threat: a for a in served(allowing(set(EXPOSED), "sev-snp"), "sev-snp").phase("answer").threats}
    assert list(claims) == list(EXPOSED) and all(answer.condition for answer in claims.values())
    for threat in ISOLATED:
        assert f"the appraisal policy {bytes(range(32)).hex()[:16]}" in claims[threat].condition
    assert "which nothing shows where answers are not proven" in claims["malicious-server"].condition
    assert "which a gateway to an upstream does not" in claims["tampered-model"].condition
    assert "sizes and times are seen" in claims["network"].condition
    assert "sealed end to end" in claims["recorder"].how


# ------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("servers", [(), KINDS], ids=["none", "all"])
def test_nothing_stands_in_for_a_server(servers: tuple[str, ...]) -> None:
    asked = allowing({"network"}, "software")
    assert "needs a backend of enclave, and has none (and is exposed to network): enclave/software" in refusal(
        asked, *servers
    )
    real = host.availability(server=servers)
    with pytest.raises(
        PhaseUnprotected, match=r"enclave/software \(nothing stands in for a server that gives evidence"
    ):
        plan(SERVING, asked, make_costs(), real)
    assert plan(TRAINING, asked, make_costs(), make_available()).insecure == ("software-keeper",)


@pytest.mark.parametrize("channels", [name for name in CHANNEL_POLICIES if name != serving.SEALED_UNDER])
def test_a_policy_that_asks_for_stronger_keys_than_requests_are_sealed_under(channels: str) -> None:
    """Channels would be as strong as asked for, and a relay that records what it carries would not be held to it."""
    message = refusal(allowing({"recorder"}, "sev-snp", channels=channels), "sev-snp")
    assert f"seals requests under hybrid-768, and transport.policy asks for {channels}" in message


def test_requests_that_no_message_holds() -> None:
    def of(size: int) -> Workload:
        return replace(SERVING, phases=(replace(SERVING.phases[1], message_bytes=size),))

    asked = allowing({"recorder"}, "sev-snp")
    assert served(asked, "sev-snp", workload=of(LARGEST_MESSAGE))
    assert f"and a sealed one holds at most {LARGEST_MESSAGE}" in refusal(
        asked, "sev-snp", workload=of(LARGEST_MESSAGE + 1)
    )
    assert LARGEST_MESSAGE == LARGEST_BODY == ohttp.Limits().content


def test_a_keepers_enclave_is_not_a_servers() -> None:
    asked = allowing({"network"}, "tdx")
    with pytest.raises(PhaseUnprotected, match=r"enclave/tdx.*\(no such server\)"):
        plan(SERVING, asked, make_costs(), make_available(("enclave", "tdx")))
    both = replace(TRAINING, phases=(*TRAINING.phases, SERVING.phases[1]))
    message = refusal(asked, "tdx", workload=both)
    assert "phase 'keys' (keys) needs a backend of enclave" in message and "(infer)" not in message


def test_a_plan_tells_the_parties_of_a_round_their_backends_whatever_is_computed_beside_it() -> None:
    scored = Phase("scored", "score", "record", 1e6, parameters=30, batch=100)
    both = replace(TRAINING, phases=(*TRAINING.phases, SERVING.phases[1], scored))
    allow = Allow(("pq-tls",), ("software", "tdx"), ("additive-rlwe", "ckks"), ("bounded-update",))
    asked = replace(policy({"network"}), allow=allow)
    available = make_available(("aggregation", "ckks"), servers=("tdx",))
    slow = replace(scored, name="slow", largest_bytes=1 << 40)
    made = plan(both, asked, make_costs(), available)
    assert made.backend("enclave") == "software" and made.phase("answer").backends == ("pq-tls", "tdx")
    assert made.backend("aggregation") == "additive-rlwe" and made.optional("proofs") == ""
    without = plan(replace(both, phases=(slow,)), asked, make_costs(), make_available(("aggregation", "ckks")))
    assert without.backend("aggregation") == "ckks"


def test_who_may_serve_is_said_or_nobody_does() -> None:
    today = make_available()
    silent = Availability(today.absent, today.largest_roster)
    with pytest.raises(PhaseUnprotected, match="no server of models is said to be behind it"):
        plan(SERVING, allowing({"network"}, "tdx"), make_costs(), silent)
    with pytest.raises(CallerError, match="enclave/software is said to serve models"):
        Availability(today.absent, today.largest_roster, {}, {})
    with pytest.raises(CallerError, match="enclave/tdx is absent without a reason"):
        Availability(today.absent, today.largest_roster, {}, {"software": "no", "tdx": ""})
    with pytest.raises(CallerError, match="no backend enclave/magic"):
        Availability(today.absent, today.largest_roster, {}, {"software": "no", "magic": "no"})


# ------------------------------------------------------------------------------------------------- predictions


def test_predictions_are_what_protection_adds_to_each_request() -> None:
    phase = served(allowing({"network"}, "sev-snp"), "sev-snp").phase("answer")
    sent = 1_226 + 2 * 1000 + 3_668
    assert phase.predicted_bytes == 10 * sent
    assert phase.predicted_ms == pytest.approx(10 * (0.5 + 2e-6 * 1000 + 1.0 + 3e-6 * 1000 + 0.1 + 3e-6 * sent))
    assert phase.excluded.startswith("the model's own computing")


def test_without_figures_nothing_is_guessed() -> None:
    with pytest.raises(PolicyInvalid, match="no figures for serving over transport/pq-tls"):
        plan(
            SERVING,
            allowing({"network"}, "sev-snp"),
            replace(make_costs(), serving={}),
            make_available(servers=("sev-snp",)),
        )


def test_a_latency_that_sealing_alone_breaks() -> None:
    tight = replace(SERVING, phases=(replace(SERVING.phases[1], latency_ms=1.0),))
    assert "over the limit of 1 ms" in refusal(allowing({"network"}, "sev-snp"), "sev-snp", workload=tight)


# ------------------------------------------------------------------------------------------------- examples


@pytest.mark.parametrize("name", ["attested", "strict"])
def test_the_example_plans_where_the_policy_allows_isolation(name: str) -> None:
    workload = Workload.load(EXAMPLES / "workloads" / "hospital-serving.toml")
    made = served(Policy.load(EXAMPLES / "policies" / f"{name}.toml"), "sev-snp", workload=workload)
    assert [left.threat for left in made.unprotected] == [OPENED] and made.insecure == ()
    assert made.phase("answer").isolation == "vm"


@pytest.mark.parametrize("name", ["hospitals", "clear"])
def test_the_example_is_refused_where_no_enclave_is_allowed(name: str) -> None:
    workload = Workload.load(EXAMPLES / "workloads" / "hospital-serving.toml")
    message = refusal(Policy.load(EXAMPLES / "policies" / f"{name}.toml"), *KINDS, workload=workload)
    assert "phase 'answer' (infer) needs a backend of enclave, and has none" in message
    assert "enclave/sev-snp (the policy does not allow it)" not in message.split("enclave/software")[0]
