"""What the logs say has happened, and under which terms."""

from __future__ import annotations

from datetime import UTC, datetime

from quatrefoil.audit.checks.facts import Facts, Round
from quatrefoil.audit.report.markup import Content, Markup, digest, element, join, table
from quatrefoil.audit.report.shown import NOTHING, with_rounds
from quatrefoil.audit.verification import Examined


def parties(found: Examined) -> Markup:
    rows: list[list[Content]] = []
    for head, facts in zip(found.verdict.heads, found.facts, strict=True):
        rows.append(
            [
                element("b", head.party or "not shown"),
                head.role or "not shown",
                f"{head.size:,}",
                f"{_moment(facts.first)} to {_moment(facts.last)}" if facts.first else "none",
                digest(head.root),
            ]
        )
    if not rows:
        return NOTHING
    columns = ("Party", "Role", "Entries", "From, to (UTC)", "Root of its log")
    return element("section", element("h2", "Who wrote these logs"), table(columns, rows, "parties"))


def rounds(found: Examined) -> Markup:
    main = with_rounds(found)
    if main is None:
        return NOTHING
    rows: list[list[Content]] = [
        [
            f"{one.round}",
            _moment(one.time) + (f", attempt {one.attempt}" if one.attempt else ""),
            _pills(one.contributors),
            _refused(one),
            digest(one.model[:16]),
        ]
        for one in main.rounds
    ]
    columns = ("Round", "Finished (UTC)", "Contributors", "Refused, and why", "Model after it")
    return element(
        "section",
        element("h2", "Rounds"),
        element(
            "p",
            f"From the log of {main.label or found.verdict.heads[0].party}. Attempts at a round count from 0.",
            class_="soft small",
        ),
        table(columns, rows, "rounds"),
        _left_out(main, "rounds"),
        _voids(main),
    )


def _voids(main: Facts) -> Markup:
    if not main.voids:
        return NOTHING
    rows = [[one.what, _moment(one.time), one.reason] for one in main.voids]
    return join(
        [
            element("h3", "Attempts that ended without an answer"),
            table(("Attempt", "When (UTC)", "Reason"), rows, "voids"),
            _left_out(main, "voids"),
        ]
    )


def _pills(names: tuple[str, ...]) -> Markup:
    return join([element("span", name, class_="pill") for name in names])


def _refused(one: Round) -> Markup:
    if not one.refused:
        return element("span", "nobody", class_="soft")
    lines = [element("li", element("b", f"{name}: "), reason) for name, reason in one.refused]
    return element("ul", *lines, class_="reasons")


def leases(found: Examined) -> Markup:
    """Keys that brokers released on evidence, and what they stopped releasing."""
    brokers = [facts for facts in found.facts if facts.leases or facts.revocations or facts.resources]
    if not brokers:
        return NOTHING
    rows: list[list[Content]] = [
        [
            _moment(one.time),
            facts.resources.get(one.resource) or digest(one.resource[:16]),
            one.stage,
            element("b", one.holder),
            f"{one.evidence}, isolation: {one.isolation}",
            f"{_date_of(one.expires)}, renewed {one.renewals} times" if one.renewals else _date_of(one.expires),
            digest(one.appraisal[:16]),
        ]
        for facts in brokers
        for one in facts.leases.values()
    ]
    columns = ("When (UTC)", "Resource", "Stage", "To", "On evidence", "Until (UTC)", "Appraisal policy")
    revoked = [[_moment(one.time), one.what, one.party, one.reason] for facts in brokers for one in facts.revocations]
    return element(
        "section",
        element("h2", "Keys released to measured code"),
        element(
            "p",
            "Every release and renewal as the broker logged it, each with the evidence that it accepted attached to "
            "its entry. An isolation of none separates the code from nobody.",
            class_="soft small",
        ),
        table(columns, rows, "leases"),
        *(_left_out(facts, "leases") for facts in brokers),
        element("h3", "Revoked") if revoked else NOTHING,
        table(("When (UTC)", "What", "By", "Reason"), revoked, "revocations") if revoked else NOTHING,
        *(_left_out(facts, "revocations") for facts in brokers),
    )


def served(found: Examined) -> Markup:
    """What a model answered, by the keyset that its receipts are signed under."""
    servers = [facts for facts in found.facts if facts.served]
    if not servers:
        return NOTHING
    rows: list[list[Content]] = [
        [
            digest(one.keyset[:16]),
            _moment(one.time),
            f"{one.receipts:,}" + (f", {one.incomplete:,} broke off" if one.incomplete else ""),
            f"{_date_of(one.times[0] // 1000)} to {_date_of(one.times[1] // 1000)}" if one.receipts else "none",
            digest(one.model[:16]),
            one.measurement or "not compared by the policy",
            digest(one.policy[:16]),
            one.ended or "not ended",
        ]
        for facts in servers
        for one in facts.served.values()
    ]
    columns = ("Keyset", "Since (UTC)", "Answers", "From, to (UTC)", "Model", "Code", "Serving policy", "End")
    return element(
        "section",
        element("h2", "What a model answered"),
        element(
            "p",
            "Each answer has a receipt under one of these keysets, which evidence of the code is bound to. A receipt "
            "names neither who asked nor what was asked, and whoever holds one that is not here holds the proof.",
            class_="soft small",
        ),
        table(columns, rows, "served"),
        *(_left_out(facts, "keysets") for facts in servers),
        *(_left_out(facts, "answers") for facts in servers),
    )


def refusals(found: Examined) -> Markup:
    rows: list[list[Content]] = [
        [_moment(one.time), facts.label or "this log", one.party or "not named", one.what, one.reason]
        for facts in found.facts
        for one in facts.refusals
    ]
    if not rows:
        return NOTHING
    columns = ("When (UTC)", "Logged by", "About", "What", "Reason")
    return element(
        "section",
        element("h2", "Refusals"),
        element("p", "Everything that a party refused, as it logged it.", class_="soft small"),
        table(columns, rows, "refusals"),
        *(_left_out(facts, "refusals") for facts in found.facts),
    )


def terms(found: Examined) -> Markup:
    policies = {key: name for facts in found.facts for key, name in facts.policies.items()}
    plans = {key: names for facts in found.facts for key, names in facts.plans.items()}
    silos = {name: samples for facts in found.facts for name, samples in facts.silos.items()}
    kept = sorted({one for facts in found.facts for one in facts.isolation})
    shown = sorted({one for facts in found.facts for one in facts.appraised})
    rows: list[list[Content]] = [["Policy", name or "not named here", digest(key)] for key, name in policies.items()]
    rows += [["Plan", f"stand-ins: {', '.join(names) or 'none'}", digest(key)] for key, names in plans.items()]
    if silos:
        rows.append(["Samples stated", ", ".join(f"{name} {count}" for name, count in sorted(silos.items())), ""])
    if kept:
        rows.append(["Keys were held in, by the keeper's word", ", ".join(kept), ""])
    if shown:
        rows.append(["Keys were held in, as silos appraised", ", ".join(shown), ""])
    if not rows:
        return NOTHING
    return element(
        "section", element("h2", "What was agreed"), table(("Term", "What the logs say", "SHA-256"), rows, "terms")
    )


def _left_out(facts: Facts, what: str) -> Markup:
    count = facts.left_out[what]
    return element("p", f"{count} more are in the log.", class_="soft small") if count else NOTHING


def _moment(time: str) -> str:
    return time[:16].replace("T", " ")


def _date_of(seconds: int) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError, OSError):
        return "no time that there is"
