"""What each backend answers, written down a second time by hand, and held against every combination that there is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, combinations, product

import pytest
from tests.planner.made_up import TRAINING, make_available, make_costs, policy

from quatrefoil.errors import PhaseUnprotected
from quatrefoil.planner import Plan, plan, threats
from quatrefoil.policy import BACKENDS, LAYERS, THREATS, Allow, Policy
from quatrefoil.workload import DATA, KINDS, SITES, Phase, Workload

CHANNEL = {"pq-tls": {"recorder", "network"}}
ISOLATED = ("tdx", "sev-snp", "sgx", "nitro")
SUMS = ("additive-rlwe", "ckks")
SERVED = {
    **CHANNEL,
    "proven-answers": {"tampered-model", "malicious-server"},
    **{name: {"curious-host", "tampered-model", "malicious-server"} for name in ISOLATED},
}
ASKED = {**CHANNEL, **{name: {"curious-host", "malicious-server"} for name in ISOLATED}}
ELSEWHERE = {"curious-host", "physical-access"}

BY_HAND: dict[str, dict[str, set[str]]] = {
    "transport": CHANNEL,
    "collect": {
        **CHANNEL,
        **{name: {"curious-aggregator", "colluding-silos"} for name in SUMS},
        "bounded-update": {"byzantine-silo"},
    },
    "aggregate": {
        **{name: {"curious-aggregator", "colluding-silos", *ELSEWHERE} for name in SUMS},
        "bounded-update": {"byzantine-silo"},
    },
    "keys": {
        **CHANNEL,
        **{name: {"curious-host", "malicious-server"} for name in (*ISOLATED, "committee")},
        **{name: {"curious-aggregator", "colluding-silos"} for name in SUMS},
        "bounded-update": {"byzantine-silo"},
    },
    "audit": {},
    "infer": {**SERVED, "ckks": ELSEWHERE},
    "score": {**SERVED, "ckks": ELSEWHERE, "bgv": ELSEWHERE},
    "summarise": {**ASKED, "ckks": ELSEWHERE},
    "count": {**ASKED, "bgv": ELSEWHERE},
}
"""kind -> backend -> threats; of proofs of answers beside a server, whatever it is behind.
A backend that is not here answers nothing there: software, a TPM, a GPU, plain sums."""

COMPUTED = {"recorder", "network", "curious-host", "physical-access", "malicious-server"}
FACED: dict[str, set[str]] = {
    "transport": {"network"},
    "collect": set(THREATS) - {"curious-host", "physical-access", "tampered-model"},
    "aggregate": set(THREATS) - {"recorder", "network", "tampered-model"},
    "keys": set(THREATS) - {"tampered-model"},
    "audit": {"malicious-server"},
    "infer": COMPUTED | {"tampered-model"},
    "score": COMPUTED | {"tampered-model"},
    "summarise": COMPUTED,
    "count": COMPUTED,
}


def faced(kind: str, data: str, site: str) -> set[str]:
    """Exposure by hand: what is in clear on a network is recorded, and a model on its way may be another one."""
    found = set(FACED[kind])
    if kind == "transport" and data != "public":
        found.add("recorder")
    if kind == "transport" and data == "model":
        found.add("tampered-model")
    return found - {"physical-access"} if site == "premises" else found


def test_the_table_is_about_every_kind_and_every_threat() -> None:
    assert set(BY_HAND) == set(FACED) == set(KINDS)
    assert {backend for row in BY_HAND.values() for backend in row} <= {b for names in BACKENDS.values() for b in names}
    assert set().union(*(answered for row in BY_HAND.values() for answered in row.values())) == set(THREATS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_combination_answers_what_the_table_says_and_no_more(kind: str) -> None:
    for combination in product(*(("", *BACKENDS[layer]) for layer in LAYERS)):
        backends = {layer: b for layer, b in zip(LAYERS, combination, strict=True) if b}
        counted = [b for b in backends.values() if b != "proven-answers" or "enclave" in backends]
        by_hand = set().union(*(BY_HAND[kind].get(backend, set()) for backend in counted))
        claims = threats.answered(kind, backends)
        assert claims.keys() == by_hand, backends
        for threat, row in claims.items():
            assert threat in BY_HAND[kind][row.backend] and backends[row.layer] == row.backend
            assert not row.beside or row.beside in backends


@pytest.mark.parametrize("kind", KINDS)
def test_every_exposure_is_what_the_table_says(kind: str) -> None:
    for data, site in product(KINDS[kind].data, SITES):
        assert set(threats.exposed(kind, data, site)) == faced(kind, data, site)
    assert set(KINDS[kind].data) <= set(DATA)


# ------------------------------------------------------------------------------------------------- whole plans

SUBSETS = [set(s) for n in range(len(THREATS) + 1) for s in combinations(THREATS, n) if s]
ENCLAVES = ((), ("tpm",), ("sev-snp",), ("tpm", "tdx"))
COMPUTING = {
    "infer": Phase("p", "infer", "record", 1e9, message_bytes=1000, batch=10),
    "network": Phase("p", "infer", "record", 1e9, message_bytes=1000, batch=10, parameters=32, hidden=16),
    "score": Phase("p", "score", "record", 1e9, parameters=30, batch=1000),
    "exact": Phase("p", "score", "record", 1e9, parameters=30, batch=1000, largest_error=0.0),
    "summarise": Phase("p", "summarise", "record", 1e9, parameters=5, batch=1000),
    "count": Phase("p", "count", "record", 1e9, parameters=12, batch=1000),
}
ENCRYPTED = {
    "infer": (),
    "network": ("ckks",),
    "score": ("ckks",),
    "exact": ("bgv",),
    "summarise": ("ckks",),
    "count": ("bgv",),
}
"""By hand: what computes each of them encrypted, of those that the policy allows. A model without `hidden` is none."""


def attempt(workload: Workload, asked: Policy, servers: tuple[str, ...]) -> Plan | None:
    try:
        return plan(
            workload,
            asked,
            make_costs(),
            make_available(("aggregation", "ckks"), ("aggregation", "bgv"), servers=servers),
        )
    except PhaseUnprotected:
        return None


def held_to_the_table(made: Plan, named: set[str]) -> None:
    for phase in made.phases:
        open_threats = faced(phase.kind, phase.data, phase.site)
        by_hand = set().union(*(BY_HAND[phase.kind].get(backend, set()) for backend in phase.backends))
        claimed = {answer.threat for answer in phase.threats}
        left = {u.threat for u in made.unprotected if u.phase == phase.name}
        assert claimed == by_hand & open_threats and left == open_threats - claimed
        assert named & open_threats <= claimed


@pytest.mark.parametrize("enclaves", ENCLAVES, ids="+".join)
@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("what", COMPUTING)
def test_what_is_computed_is_planned_where_the_table_has_a_way_and_refused_elsewhere(
    what: str, site: str, enclaves: tuple[str, ...]
) -> None:
    phase = replace(COMPUTING[what], site=site)
    for named in relevant(faced(phase.kind, "record", site)):
        for aggregation in (("additive-rlwe",), ("bgv",), ("ckks",), ("bgv", "ckks")):
            allow = Allow(("pq-tls",), tuple(sorted(("software", *enclaves))), aggregation, ("bounded-update",))
            asked = policy(named, allow=allow, appraisal=bytes(range(32)) if enclaves else b"")
            made = attempt(Workload("w", (phase,)), asked, enclaves)
            encrypted = set(ENCRYPTED[what]) & set(aggregation)
            ways = [set(way) for way in subsets((*enclaves, *encrypted)) if way]
            possible = any(
                named <= CHANNEL["pq-tls"].union(*(BY_HAND[phase.kind].get(b, set()) for b in way)) for way in ways
            )
            assert (made is not None) == possible, (named, aggregation)
            if made:
                held_to_the_table(made, named)
                assert set(made.phase("p").backends) <= {"pq-tls", *enclaves, *encrypted}
                assert made.insecure == ()


def relevant(exposed: set[str]) -> Iterator[set[str]]:
    return (named for named in SUBSETS if named <= exposed)


def subsets(names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    return chain.from_iterable(combinations(names, n) for n in range(len(names) + 1))


@pytest.mark.parametrize("keeper", [(), ("tpm",), ("tdx",)], ids="+".join)
@pytest.mark.parametrize("proofs", [False, True], ids=["no-proofs", "proofs"])
@pytest.mark.parametrize("site", SITES)
def test_rounds_are_planned_where_the_table_has_a_way_and_refused_elsewhere(
    site: str, proofs: bool, keeper: tuple[str, ...]
) -> None:
    phases = tuple(replace(phase, site=site) if phase.kind == "keys" else phase for phase in TRAINING.phases)
    present = [("enclave", name) for name in keeper] + ([("proofs", "bounded-update")] if proofs else [])
    available, costs = make_available(*present), make_costs()
    usable = {"pq-tls", "software", "additive-rlwe", *keeper, *(["bounded-update"] if proofs else [])}
    for named in SUBSETS:
        try:
            made = plan(replace(TRAINING, phases=phases), policy(named), costs, available)
        except PhaseUnprotected:
            made = None
        possible = all(
            named & faced(phase.kind, phase.data, phase.site)
            <= set().union(*(BY_HAND[phase.kind].get(backend, set()) for backend in usable))
            for phase in phases
        )
        assert (made is not None) == possible, named
        if made:
            held_to_the_table(made, named)


@pytest.mark.parametrize("data", KINDS["transport"].data)
def test_channels_are_planned_where_the_table_has_a_way(data: str) -> None:
    phase = Phase("p", "transport", data, 1e9, message_bytes=1000, silos=4)
    for named in SUBSETS:
        made = attempt(Workload("w", (phase,)), policy(named), ())
        assert (made is not None) == (named & faced("transport", data, "elsewhere") <= CHANNEL["pq-tls"])
        if made:
            held_to_the_table(made, named)
