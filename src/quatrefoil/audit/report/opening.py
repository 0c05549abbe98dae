"""The opening of the report: the verdict, what limits it, and what is claimed."""

from __future__ import annotations

from quatrefoil.audit.report.markup import Content, Markup, digest, element
from quatrefoil.audit.report.shown import NOTHING, silos_of, with_rounds
from quatrefoil.audit.verification import Examined


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
    if (main := with_rounds(found)) is not None:
        shown.append((f"{len(main.rounds) + main.left_out['rounds']}", "rounds finished"))
        shown.append((f"{len(silos_of(main))}", "contributing silos"))
        shown.append((f"{sum(len(one.refused) for one in main.rounds)}", "refused in them"))
    entries = sum(head.size for head in found.verdict.heads)
    logs = len(found.verdict.heads)
    shown += [(f"{logs}", "log" if logs == 1 else "logs"), (f"{entries:,}", "entries")]
    times = [time for facts in found.facts for time in (facts.first, facts.last) if time]
    if times:
        shown += [(min(times)[:10], "first entry"), (max(times)[:10], "last entry")]
    return element("ul", *(element("li", element("b", value), name) for value, name in shown), class_="figures")


def claim(found: Examined) -> Markup:
    main = with_rounds(found)
    lines: list[Content] = [
        "Each party below kept a log of its own. Every entry is under a checkpoint that the log's two keys signed "
        "(Ed25519 and ML-DSA-44), and the party signed with its certified ML-DSA key that the log is its own."
    ]
    if main is not None:
        count = len(main.rounds) + main.left_out["rounds"]
        lines.append(
            f"By these logs, {count} rounds of training were finished by {', '.join(silos_of(main))[:400]}. In each, "
            "the updates of the contributors named were summed while encrypted, and the key of the sum was released "
            "once."
        )
    return element("section", element("h2", "What is claimed"), *(element("p", line) for line in lines))
