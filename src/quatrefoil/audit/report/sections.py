"""The parts of the report, in the order of the page."""

from __future__ import annotations

from datetime import UTC, datetime

from quatrefoil.audit.checks.facts import Facts, Round
from quatrefoil.audit.report.markup import Content, Markup, digest, element, join, table
from quatrefoil.audit.verdict import CHECKS, Check
from quatrefoil.audit.verification import Examined

NOTHING = Markup("")

NOT_COVERED = (
    (
        "What a party never wrote down",
        "A log shows what its owner logged. An event that was left out leaves no trace in that owner's log; the logs "
        "of the other parties may have it.",
    ),
    (
        "Two histories for two readers",
        "An owner could keep a second log and show that one to others. Two checkpoints of the same log that do not fit "
        "together prove it; until witnesses cosign, nothing in one log alone does.",
    ),
    (
        "What came after",
        "This is the log as of its checkpoint. Whether it is the newest one, and what was logged since, it cannot say.",
    ),
    (
        "When things happened",
        "Times are those of the parties' own clocks. The order within a log is certain, times are not.",
    ),
    (
        "What is true outside the log",
        "Whether records were those of real patients, whether the stated number of samples is right, and whether the "
        "model is any good are outside of what is signed here.",
    ),
    (
        "The software itself",
        "Quatrefoil is unaudited. A signature shows which key signed, not that the machine that holds it was sound.",
    ),
)
"""docs/audit.md has the same list."""


def subject(found: Examined) -> str:
    jobs = [job for facts in found.facts for job in facts.jobs]
    if jobs:
        return jobs[0]
    return ", ".join(head.party for head in found.verdict.heads[:3] if head.party) or "no log that can be read"


def heading(found: Examined, name: str, when: str) -> Markup:
    return element(
        "header",
        element(
            "div",
            element("div", "Evidence report", class_="soft small"),
            element("h1", subject(found)),
        ),
        element("div", f"{name}, checked {when}", class_="soft small"),
    )


def verdict(found: Examined) -> Markup:
    checks, failed = found.verdict.checks, found.verdict.failed
    pinned = found.trusted is not None and found.trusted.pinned
    if not failed:
        said = "The logs are whole, signed by the parties named below, and consistent."
        if not pinned:
            said = (
                "The logs are whole and consistent, and signed under the root certificate that came along with them. "
                "Whose that is, this check cannot say: see below."
            )
        return element(
            "section",
            element("strong", f"\N{CHECK MARK} All {len(checks)} checks passed"),
            element("p", said),
            class_="verdict good",
        )
    names = ", ".join(dict.fromkeys(f"{one.name} ({one.log})" if one.log else one.name for one in failed))
    return element(
        "section",
        element("strong", f"\N{BALLOT X} {len(failed)} of {len(checks)} checks did not pass"),
        element("p", f"Do not rely on this evidence. Not passed: {names}."),
        *(element("p", element("b", f"{one.name}: "), one.detail) for one in failed[:3]),
        class_="verdict bad",
    )


def root_warning(found: Examined) -> Markup:
    if found.trusted is None or found.trusted.pinned:
        return NOTHING
    return element(
        "section",
        element("b", "The root certificate came along with the evidence.", class_="warn"),
        element(
            "p",
            "Whoever made the evidence could have made the root as well. Compare this SHA-256 with one that the "
            "consortium gave you by another way, or repeat the check with your own copy of the certificate:",
        ),
        *(element("p", digest(one)) for one in found.trusted.fingerprints),
        class_="note",
    )


def insecure(found: Examined) -> Markup:
    accepted = sorted({name for facts in found.facts for names in facts.plans.values() for name in names})
    if not accepted:
        return NOTHING
    return element(
        "section",
        element("b", f"Insecure stand-ins were in use: {', '.join(accepted)}.", class_="warn"),
        element("p", "They protect nothing. The policy accepted them by name, and every silo signed that policy."),
        class_="note",
    )


def figures(found: Examined) -> Markup:
    shown: list[tuple[str, str]] = []
    if (main := _with_rounds(found)) is not None:
        shown.append((f"{len(main.rounds) + main.left_out['rounds']}", "rounds finished"))
        shown.append((f"{len(_silos(main))}", "contributing silos"))
        shown.append((f"{sum(len(one.refused) for one in main.rounds)}", "refused in them"))
    entries = sum(head.size for head in found.verdict.heads)
    shown += [(f"{len(found.verdict.heads)}", "logs"), (f"{entries:,}", "entries")]
    times = [time for facts in found.facts for time in (facts.first, facts.last) if time]
    if times:
        shown += [(min(times)[:10], "first entry"), (max(times)[:10], "last entry")]
    return element("ul", *(element("li", element("b", value), name) for value, name in shown), class_="figures")


def claim(found: Examined) -> Markup:
    main = _with_rounds(found)
    lines: list[Content] = [
        "Each party below kept a log of its own. Every entry is under a checkpoint that the log's two keys signed "
        "(Ed25519 and ML-DSA-44), and the party signed with its certified ML-DSA key that the log is its own."
    ]
    if main is not None:
        count = len(main.rounds) + main.left_out["rounds"]
        lines.append(
            f"By these logs, {count} rounds of training were finished by {', '.join(_silos(main))[:400]}. In each, the "
            "updates of the contributors named were summed while encrypted, and the key of the sum was released once."
        )
    return element("section", element("h2", "What is claimed"), *(element("p", line) for line in lines))


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
    main = _with_rounds(found)
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
            f"{_until(one.expires)}, renewed {one.renewals} times" if one.renewals else _until(one.expires),
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
            f"{_until(one.times[0] // 1000)} to {_until(one.times[1] // 1000)}" if one.receipts else "none",
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


def _until(moment: int) -> str:
    try:
        return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError, OSError):
        return "no time that there is"


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


def checks(found: Examined) -> Markup:
    rows: list[list[Content]] = [
        [element("div", name), _mark(ones), _details(name, ones)] for name, ones in found.verdict.by_name().items()
    ]
    for one in found.verdict.not_made:
        said = join([_meaning(one.name), element("div", f"Not checked: {one.why}.", class_="soft small")])
        rows.append([element("div", one.name), element("span", "not checked", class_="mark"), said])
    return element(
        "section",
        element("h2", "What was checked"),
        element(
            "p",
            "Every check was run as far as it could be, also after another failed. One that could not be run counts as "
            "not passed.",
            class_="soft small",
        ),
        table(("Check", "Result", "What it shows, and what was found"), rows, "checks"),
    )


def _mark(ones: list[Check]) -> Markup:
    if all(one.passed for one in ones):
        return element("span", "\N{CHECK MARK} passed", class_="mark good")
    return element("span", "\N{BALLOT X} not passed", class_="mark bad")


def _meaning(name: str) -> Markup:
    meaning = CHECKS[name]
    return element("div", f"{meaning[0].upper()}{meaning[1:]}.")


def _details(name: str, ones: list[Check]) -> Markup:
    lines = [_meaning(name)]
    said = list(dict.fromkeys(one.detail for one in ones))
    if len(said) == 1 and len(ones) > 1 and all(one.passed for one in ones):
        lines.append(element("div", f"All {len(ones)} logs: {said[0]}", class_="soft small"))
        return join(lines)
    for one in ones:
        whose: Content = element("b", f"{one.log}: ") if one.log else NOTHING
        lines.append(element("div", whose, one.detail, class_="soft small" if one.passed else "bad small"))
    return join(lines)


def not_covered(found: Examined) -> Markup:
    lines = [element("li", element("b", f"{what}. "), why) for what, why in NOT_COVERED]
    if len(found.verdict.heads) == 1:
        only = found.verdict.heads[0].party
        lines.insert(
            0,
            element("li", element("b", "The other parties. "), f"Only the log of {only} is here, its own word alone."),
        )
    return element("section", element("h2", "What this does not show"), element("ul", *lines))


def identity(found: Examined) -> Markup:
    rows: list[list[Content]] = []
    if found.trusted is not None:
        source = "given by the auditor" if found.trusted.pinned else "came along with the evidence"
        rows += [["Consortium's root", source, digest(one)] for one in found.trusted.fingerprints]
    rows += [
        [f"{head.role} {head.party}", head.origin, digest(head.certificate)]
        for head in found.verdict.heads
        if head.certificate
    ]
    columns = ("Certificate", "Log or source", "SHA-256")
    return element(
        "section",
        element("h2", "Identities to compare"),
        element(
            "p",
            "SHA-256 of each certificate. Compare the root's with the consortium, and a party's with that party.",
            class_="soft small",
        ),
        table(columns, rows, "identity") if rows else element("p", "None could be read."),
    )


def repeat(name: str) -> Markup:
    commands = f"quatrefoil audit verify {name} --trust root.pem\nquatrefoil audit show {name} --trust root.pem"
    return element(
        "section",
        element("h2", "How to repeat this check"),
        element(
            "p",
            "On any machine, without a network, with the evidence and the consortium's root certificate. The log "
            "itself is in the formats of C2SP (tlog-tiles, signed notes) over RFC 6962, which other programs read too.",
        ),
        element("pre", element("code", *_lines(commands))),
    )


def _lines(commands: str) -> list[Content]:
    first, *rest = commands.split("\n")
    return [first, *(part for line in rest for part in (Markup("\n"), line))]


def _with_rounds(found: Examined) -> Facts | None:
    return next((facts for facts in found.facts if facts.rounds), None)


def _silos(facts: Facts) -> list[str]:
    return sorted({name for one in facts.rounds for name in one.contributors})


def _pills(names: tuple[str, ...]) -> Markup:
    return join([element("span", name, class_="pill") for name in names])


def _refused(one: Round) -> Markup:
    if not one.refused:
        return element("span", "nobody", class_="soft")
    lines = [element("li", element("b", f"{name}: "), reason) for name, reason in one.refused]
    return element("ul", *lines, class_="reasons")


def _left_out(facts: Facts, what: str) -> Markup:
    count = facts.left_out[what]
    return element("p", f"{count} more are in the log.", class_="soft small") if count else NOTHING


def _moment(time: str) -> str:
    return time[:16].replace("T", " ")
