"""The part of the report about samples of receipts and proofs of the answers drawn."""

from __future__ import annotations

from quatrefoil.audit.checks.samples import SampleFacts
from quatrefoil.audit.report.markup import Content, Markup, digest, element, table
from quatrefoil.audit.verification import Examined

_DRAWN = (
    "Server",
    "Entries",
    "Receipts",
    "Drawn",
    "Proven",
    "No answer",
    "Nothing computed",
    "Not proven",
    "Challenge",
)
_PROOFS = ("Proof", "Receipts", "Committed weights", "Soundness", "Result")


def sampled(found: Examined) -> Markup:
    """Nothing where no samples were checked."""
    samples, proofs = found.sampled.samples, found.sampled.proofs
    if not samples and not proofs:
        return Markup("")
    drawn: list[list[Content]] = [
        [
            one.party,
            f"{one.size:,}",
            f"{one.population:,}",
            f"{one.drawn:,}",
            f"{one.proven:,}",
            f"{one.unanswered:,}",
            f"{one.silent:,}",
            element("b", f"{one.lacking:,}", class_="warn") if one.lacking else "0",
            _challenge(one),
        ]
        for one in samples
    ]
    shown: list[list[Content]] = [
        [
            one.name.rpartition("/")[2][:16],
            f"{one.receipts:,}",
            digest(one.model_root[:16]) if one.model_root else "",
            f"{one.soundness_bits:.1f} bits" if not one.problem else "",
            element("b", f"does not hold: {one.problem}", class_="warn") if one.problem else "holds",
        ]
        for one in proofs
    ]
    lines = [
        f"Receipt {one.sequence} of keyset {one.keyset.hex()[:16]}, entry {one.entry}, is drawn and not proven."
        for sample in samples
        for one in sample.missing
    ]
    more = sum(one.lacking - len(one.missing) for one in samples)
    if more:
        lines.append(f"{more:,} more are not proven.")
    return element(
        "section",
        element("h2", "Which answers were proven"),
        element(
            "p",
            "A public rule drew these receipts from a checkpoint that the auditor's witnesses cosigned. A proof shows "
            "that the committed weights compute an answer, whatever the server runs on.",
            class_="soft small",
        ),
        table(_DRAWN, drawn, "samples") if drawn else Markup(""),
        *(element("p", line, class_="warn") for line in lines),
        table(_PROOFS, shown, "proofs") if shown else element("p", "No proof came along."),
    )


def _challenge(one: SampleFacts) -> str:
    if not one.challenged:
        return "none: whoever asked for cosignatures could try out samples"
    if one.checkpoint_given:
        return "yes"
    return "yes; no checkpoint was named by the auditor: it counts if the auditor had this one before the challenge"
