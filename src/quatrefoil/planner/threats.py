"""Two tables: which threats a phase is exposed to, and which of them a backend answers there.

Everything that a plan claims is a row of :data:`ANSWERS`; what no row says is not protected. Rows stand here for
backends that a host does not offer as well, so that a refusal can name what would satisfy it: they are never chosen.
The rows of what is computed are in ``serving`` and ``computing``.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from string import Formatter

from quatrefoil.planner import computing, serving
from quatrefoil.planner.answer import AUTHORITY, HYBRID, MUTUAL, Answer
from quatrefoil.policy import COMMITTEE, ISOLATING
from quatrefoil.workload import Phase

_COMPUTED = ("recorder", "network", "curious-host", "physical-access")

EXPOSED: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("transport", "update"): ("recorder", "network"),
    ("transport", "model"): ("recorder", "network", "tampered-model"),
    ("transport", "record"): ("recorder", "network"),
    ("transport", "log"): ("recorder", "network"),
    ("transport", "public"): ("network",),
    ("collect", "update"): (
        "recorder",
        "network",
        "curious-aggregator",
        "colluding-silos",
        "byzantine-silo",
        "malicious-server",
    ),
    ("aggregate", "update"): (
        "curious-aggregator",
        "colluding-silos",
        "curious-host",
        "physical-access",
        "byzantine-silo",
        "malicious-server",
    ),
    ("keys", "key"): (
        "recorder",
        "network",
        "curious-aggregator",
        "colluding-silos",
        "curious-host",
        "physical-access",
        "byzantine-silo",
        "malicious-server",
    ),
    ("audit", "log"): ("malicious-server",),
    ("infer", "record"): (*_COMPUTED, "tampered-model", "malicious-server"),
    ("score", "record"): (*_COMPUTED, "tampered-model", "malicious-server"),
    ("summarise", "record"): (*_COMPUTED, "malicious-server"),
    ("count", "record"): (*_COMPUTED, "malicious-server"),
}
"""(kind, data class) -> threats, where the machine stands elsewhere. A test holds it to the vocabulary of workloads and
policies."""

NEEDED: Mapping[str, tuple[str, ...]] = {
    "transport": ("transport",),
    "collect": ("transport", "aggregation"),
    "aggregate": ("aggregation",),
    "keys": ("transport", "enclave", "aggregation"),
    "audit": (),
    "infer": ("transport",),
    "score": ("transport",),
    "summarise": ("transport",),
    "count": ("transport",),
}
"""kind -> layers without which the phase cannot run at all: keys must be held somewhere, updates added somehow."""

ROUTES = ("enclave", "aggregation")
"""Layers of which a phase that computes on rows needs one: code that shows what it is, or ciphertexts. With both,
attested code computes on ciphertexts; nothing stands in for both."""

COMPUTING: Mapping[str, tuple[str, ...]] = {
    "collect": ("additive-rlwe", "plain", "ckks"),
    "aggregate": ("additive-rlwe", "plain", "ckks"),
    "keys": ("additive-rlwe", "plain", "ckks"),
    **computing.COMPUTED,
}
"""kind -> backends of aggregation that do there what it is about; those of one round are the same ones."""

_SIGNED = "messages are signed with ML-DSA and bound to the round"
_APART = "{apart}"
_COLLUDING = (
    "{colluders}, of at least {minimum_silos} in a round; each silo is an institution of its own; "
    + _APART
    + "; {rosters}"
)
_DAMAGE = (
    "what a silo can do with an update of a norm up to {norm}, and a sample count up to the cap, is accepted as damage"
)
_ONE_SUM = "each update is encrypted under a fresh key; only the key of the sum of all of them is ever released"
_ONE_ANSWER = "keys travel sealed, and {answered}, for one roster of at least the minimum"


def _pq_tls(kind: str) -> tuple[Answer, ...]:
    authentic = MUTUAL if kind == "transport" else f"{MUTUAL}; {_SIGNED}"
    secret = HYBRID if kind != "keys" else f"{HYBRID}; keys are sealed to the round's key, which is wiped at its end"
    return (
        Answer("transport", "pq-tls", kind, "recorder", secret),
        Answer("transport", "pq-tls", kind, "network", authentic, AUTHORITY),
    )


_FRESH_KEYS = ("additive-rlwe", "ckks")
"""Backends with a key a silo and round, of which only the sum is released."""


def _summed(kind: str, how: str) -> tuple[Answer, ...]:
    return tuple(
        Answer("aggregation", backend, kind, threat, how, condition)
        for backend in _FRESH_KEYS
        for threat, condition in (
            ("curious-aggregator", f"{_APART}; {{rosters}}"),
            ("colluding-silos", _COLLUDING),
        )
    )


def _bounded(kind: str, how: str) -> tuple[Answer, ...]:
    return (Answer("proofs", "bounded-update", kind, "byzantine-silo", how, _DAMAGE),)


_ATTESTED = (
    "every silo holds the keeper's evidence to the appraisal policy {appraisal}, with collateral of its own; the code "
    "that it names is a keeper's; nobody takes its machine apart, or has its maker's keys (docs/attestation.md)"
)


def _attested(threat: str, how: str) -> tuple[Answer, ...]:
    """By isolation alone: what is measured and not isolated, as behind a TPM, answers nothing."""
    return tuple(Answer("enclave", name, "keys", threat, how, _ATTESTED) for name in ISOLATING)


_MEMBERS = "{apart}; of the members, no more lie or are silent than the policy allows for"


def _shared_out(threat: str, how: str) -> Answer:
    return Answer("enclave", COMMITTEE, "keys", threat, how, _MEMBERS)


ANSWERS: tuple[Answer, ...] = (
    *_pq_tls("transport"),
    *_pq_tls("collect"),
    *_pq_tls("keys"),
    *_summed("collect", _ONE_SUM),
    *_summed("aggregate", _ONE_SUM),
    *_summed("keys", _ONE_ANSWER),
    *(
        Answer(
            "aggregation",
            backend,
            "aggregate",
            threat,
            "the machine that adds holds ciphertexts, and in the end the sum",
            f"{_APART}; {{rosters}}",
        )
        for backend in _FRESH_KEYS
        for threat in ("curious-host", "physical-access")
    ),
    *_bounded(
        "collect", "each silo proves its update within the bounds, unseen; what does not verify is refused by name"
    ),
    *_bounded("aggregate", "only ciphertexts with a verified proof are added: well formed, and within the bounds"),
    *_bounded("keys", "a sealed key that is not the one of the proven ciphertext is refused by name"),
    *_attested("curious-host", "keys are released only to attested code in memory that the host cannot read"),
    *_attested("malicious-server", "attested code answers once a round, for one roster"),
    _shared_out("curious-host", "each key is shared among the members, and no one machine ever holds one"),
    _shared_out("malicious-server", "two rosters of a round would need an honest member who answers twice"),
    *serving.ANSWERS,
    *computing.ANSWERS,
)
"""Everything that a plan may claim. Of rows for one backend, kind and threat the first whose ``beside`` is used."""

NOTHING_YET: Mapping[tuple[str, str], str] = {
    ("transport", "tampered-model"): "no channel shows which model is right: phases that infer do",
    ("collect", "malicious-server"): "nothing shows that a model was not chosen to draw out a silo's data",
    ("aggregate", "malicious-server"): "no aggregator gives evidence of what it runs",
    ("keys", "physical-access"): "an enclave falls to whoever opens its machine, and the keys of a round are in one",
    ("audit", "malicious-server"): "silos can witness the log (audit.witnesses), and plans do not credit that yet",
}
"""(kind, threat) that no row answers: what would, and that it is missing."""

PROVABLE: Mapping[str, tuple[str, ...]] = {"bounded-update": ("additive-rlwe",)}
"""Proof backend -> the aggregation backends whose ciphertexts it is about."""


def _place(row: Answer) -> tuple[str, str, str]:
    return row.layer, row.backend, row.kind


def exposed(kind: str, data: str, site: str = "elsewhere") -> tuple[str, ...]:
    """Who stands before a machine on the premises is whoever owns the data: nobody else opens it."""
    return tuple(t for t in EXPOSED[kind, data] if site == "elsewhere" or t != "physical-access")


_ROWS: Mapping[tuple[str, str, str], tuple[Answer, ...]] = {
    key: tuple(rows) for key, rows in groupby(sorted(ANSWERS, key=_place), key=_place)
}


def answers(layer: str, backend: str, kind: str) -> tuple[Answer, ...]:
    """What ``backend`` answers in phases of ``kind``; empty for a stand-in."""
    return _ROWS.get((layer, backend, kind), ())


def answered(kind: str, backends: Mapping[str, str]) -> dict[str, Answer]:
    """threat -> the first layer's answer to it, in the order of the layers."""
    out: dict[str, Answer] = {}
    for layer, backend in backends.items():
        for row in answers(layer, backend, kind):
            if not row.beside or row.beside in backends:
                out.setdefault(row.threat, row)
    return out


def routes(phase: Phase) -> tuple[str, ...]:
    """The layers of which ``phase`` needs one; empty where it needs none of several. A model that is no network of the
    form that is evaluated encrypted has one route."""
    if phase.kind not in computing.COMPUTED:
        return ()
    return ROUTES[:1] if phase.kind == "infer" and not phase.hidden else ROUTES


def needing_isolation(kind: str) -> set[str]:
    """Threats that a backend answers in phases of ``kind`` by isolating code from its host."""
    return {row.threat for row in ANSWERS if (row.layer, row.kind) == ("enclave", kind)}


def placeholders() -> set[str]:
    """Names used in claims; a test holds them to what :meth:`Answer.under` fills."""
    return {name for row in ANSWERS for _, name, _, _ in Formatter().parse(row.how + row.condition) if name}


__all__ = [
    "ANSWERS",
    "COMPUTING",
    "EXPOSED",
    "NEEDED",
    "NOTHING_YET",
    "PROVABLE",
    "ROUTES",
    "answered",
    "answers",
    "exposed",
    "needing_isolation",
    "routes",
]
