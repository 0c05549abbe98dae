"""Who is protected from what, and who is not: read from a plan and from nothing else, so that it is never more.

Every claim here is a threat that the plan answers in a phase, with the conditions that the plan puts on it. What
nothing of this release hides, whatever the plan, is :data:`ALWAYS_SEEN`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quatrefoil.planner import Plan
from quatrefoil.policy import BACKENDS, COMMITTEE, STAND_INS, THREATS

ALWAYS_SEEN = (
    "what the published means and the finished model tell about the patients, by everyone who has them",
    "which hospitals took part, and how many patients each trains on, by all parties",
)
"""Seen under every plan: secure sums hide single updates and nothing else."""


@dataclass(frozen=True)
class Standing:
    """One threat: what it is, the phases in which the plan answers it, and those in which nothing does."""

    threat: str
    what: str
    answered: tuple[str, ...]
    unanswered: tuple[str, ...]


def standings(plan: Plan) -> list[Standing]:
    """Every threat that some phase is exposed to: those answered everywhere first, those answered nowhere last."""
    answered: dict[str, list[str]] = {threat: [] for threat in THREATS}
    unanswered: dict[str, list[str]] = {threat: [] for threat in THREATS}
    for phase in plan.phases:
        for answer in phase.threats:
            answered[answer.threat].append(phase.name)
    for left in plan.unprotected:
        unanswered[left.threat].append(left.phase)
    found = [
        Standing(
            threat,
            what.replace("`colluding_silos`", "the agreed number of"),
            tuple(answered[threat]),
            tuple(unanswered[threat]),
        )
        for threat, what in THREATS.items()
        if answered[threat] or unanswered[threat]
    ]
    return sorted(found, key=lambda one: (bool(one.unanswered), not one.answered))


def unprotected(plan: Plan) -> list[tuple[str, str, str]]:
    """Threats that nothing answers, with the phases and with what would answer them; rows that agree are one."""
    rows: dict[tuple[str, str], list[str]] = {}
    for left in plan.unprotected:
        rows.setdefault((left.threat, left.why.removeprefix("the policy does not name it; ")), []).append(left.phase)
    return [(threat, ", ".join(phases), why) for (threat, why), phases in rows.items()]


def conditions(plan: Plan) -> list[str]:
    """What the plan's claims rest on beyond the cryptography, each once, in the order of the phases."""
    texts = (answer.condition for phase in plan.phases for answer in phase.threats)
    return list(dict.fromkeys(part for text in texts for part in text.split("; ") if part))


def stand_ins(plan: Plan) -> Mapping[str, str]:
    """The stand-ins that the plan uses, and what each really is."""
    return {name: BACKENDS[layer][backend] for name, (layer, backend) in STAND_INS.items() if name in plan.insecure}


def key_authority(plan: Plan) -> str:
    """Who holds the keys of a round, in a sentence."""
    if plan.backend("enclave") == COMMITTEE:
        return "No keeper: the hospitals hold the keys of each other's rounds in shares, and none has any."
    return f"Isolation of the keeper from its host: {isolation(plan)}."


def isolation(plan: Plan) -> str:
    """What separates the keeper from the host that it runs on: "none", "process" or "vm"."""
    return next(phase.isolation for phase in plan.phases if phase.isolation)


def seen(plan: Plan) -> Sequence[str]:
    """What is seen by whom although the plan was followed."""
    kinds = {phase.name: phase.kind for phase in plan.phases}
    left = {(one.threat, kinds[one.phase]) for one in plan.unprotected}
    readers = []
    if ("curious-aggregator", "collect") in left:
        readers.append("each hospital's update, by the aggregator")
    elif plan.backend("enclave") == COMMITTEE:
        readers.append(
            "each hospital's update, by the aggregator's operator together with more members than may collude"
        )
    elif ("curious-host", "keys") in left:
        readers.append("each hospital's update, by the keeper's and the aggregator's operators together")
    return [*readers, *ALWAYS_SEEN]
