"""What was checked, what that does not show, and how to repeat it."""

from __future__ import annotations

from quatrefoil.audit.report.markup import Content, Markup, digest, element, join, table
from quatrefoil.audit.report.shown import NOTHING
from quatrefoil.audit.verdict import CHECKS, Check
from quatrefoil.audit.verification import Examined

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


def _meaning(name: str) -> Markup:
    meaning = CHECKS[name]
    return element("div", f"{meaning[0].upper()}{meaning[1:]}.")


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
