"""Plans as a person reads them: what is not protected first; a phase explained; two plans compared; choices priced."""

from __future__ import annotations

import math

from rich.console import Console
from rich.padding import Padding

from quatrefoil.catching import SHARES
from quatrefoil.output import table
from quatrefoil.planner import Plan, PlannedPhase
from quatrefoil.planner.blanket import Blanket
from quatrefoil.planner.difference import Difference, PhaseDifference
from quatrefoil.planner.plans import Tradeoff
from quatrefoil.planner.proving import Proven
from quatrefoil.planner.threats import exposed
from quatrefoil.policy import THREATS
from quatrefoil.workload import DATA, KINDS


def show(made: Plan, out: Console) -> None:
    """The whole plan, what it leaves unprotected first."""
    left = [[u.threat, u.phase, u.why] for u in made.unprotected]
    if left:
        drawn = table("Not protected", ["threat", "phase", "why"], left)
        drawn.columns[1].justify = drawn.columns[2].justify = "left"
        out.print(drawn)
    else:
        out.print("Not protected: nothing that a phase of this workload is exposed to.")
    if made.insecure:
        out.print(f"Stand-ins in use, accepted by the policy: {', '.join(made.insecure)}")
    if made.unexposed:
        out.print(f"Named by the policy, but no phase is exposed to it: {', '.join(made.unexposed)}")
    if premises := [phase.name for phase in made.phases if phase.site == "premises"]:
        out.print(
            f"The workload's word, which nothing here checks: only those whose data it is can touch the machine of "
            f"{', '.join(premises)}, so no physical-access is answered there."
        )
    drawn = table(
        f"Plan of {made.workload} under {made.policy}",
        ["phase", "layers", "answers", "ms a pass", "bytes a pass", "passes"],
        [
            [
                phase.name,
                "\n".join(_layer(phase, *pair) for pair in zip(phase.layers, phase.backends, strict=True)) or "none",
                "\n".join(f"{answer.threat} ({answer.layer})" for answer in phase.threats) or "nothing",
                f"{phase.predicted_ms:.2f}",
                f"{phase.predicted_bytes:,}",
                f"{phase.rounds:,}",
            ]
            for phase in made.phases
        ],
    )
    drawn.show_lines = True
    drawn.columns[1].justify = drawn.columns[2].justify = "left"
    out.print(drawn)
    for phase in made.phases:
        for tradeoff in phase.tradeoffs:
            out.print(f"{phase.name}: {_tradeoff(phase, tradeoff)}")
    for phase in made.phases:
        if phase.proven:
            out.print(f"{phase.name}: {_proven(phase.proven)}")
    if conditions := _conditions(made):
        out.print("What is answered, is answered while")
        for condition in conditions:
            out.print(Padding(f"{condition};", (0, 0, 0, 2), expand=False))
    for phase in made.phases:
        if phase.excluded:
            out.print(f"Predictions of {phase.name} are what protecting it adds, without {phase.excluded}.")
    afterwards = (
        f" ({made.proving_ms:,.2f} of it to prove answers and verify them afterwards)" if made.proving_ms else ""
    )
    out.print(f"All passes together: {made.ms:,.2f} ms{afterwards} and {made.bytes_sent:,} bytes.")
    out.print(f"Plan {made.digest().hex()}.")
    out.print("Predictions are from one machine. Nothing here is audited.")


def _tradeoff(phase: PlannedPhase, other: Tradeoff) -> str:
    names = ", ".join(map("/".join, zip(other.layers, other.backends, strict=True))) or "no layer"
    names += f" in {other.parameter_set}" if other.parameter_set else ""
    change = other.whole_ms - phase.whole_ms
    cost = f"{abs(change):.2f} ms {'less' if change < 0 else 'more'} a pass"
    parts = [f"leave {', '.join(other.opens)} open"] if other.opens else []
    parts += [f"answer {', '.join(other.closes)}"] if other.closes else []
    return f"{other.direction} is {names}: {cost}; it would {' and '.join(parts)}."


def _proven(found: Proven) -> str:
    """What is proven after a pass, what that takes, and what it catches."""
    chances = ", ".join(f"{_chance(found.caught(share))} where {100 * share:g} % are false" for share in SHARES)
    return (
        f"of the {found.receipts:,} receipts of a pass at least {found.drawn:,} are drawn ({100 * found.share:g} %), "
        f"and those answers proven afterwards: predicted {found.prove_ms:,.2f} ms to prove, {found.verify_ms:,.2f} ms "
        f"to verify, in proofs of {found.proof_bytes:,} bytes. A false one is among them with the chance {chances}."
    )


def _chance(found: float) -> str:
    """Cut, not rounded: what may be missed is never shown as certain."""
    return "1" if found == 1.0 else f"{math.floor(1000 * found) / 1000:.3f}"


def _conditions(made: Plan) -> list[str]:
    """Every part of every condition, once: claims share most of them."""
    whole = [answer.condition for phase in made.phases for answer in phase.threats if answer.condition]
    return list(dict.fromkeys(part for condition in whole for part in condition.split("; ")))


def _layer(phase: PlannedPhase, layer: str, backend: str) -> str:
    remark = {"enclave": f" (isolation: {phase.isolation})", "aggregation": f" (in {phase.parameter_set})"}
    return f"{layer}: {backend}" + (remark.get(layer, "") if layer == "enclave" or phase.parameter_set else "")


def explain(phase: PlannedPhase, made: Plan, out: Console) -> None:
    """One phase: what it is exposed to, what answers each threat and how, why every other backend was refused, and what
    the next cheaper and the next safer choice would change."""
    out.print(f"\n[bold]{phase.name}[/bold] ({phase.kind}): {KINDS[phase.kind].meaning}. Data: {DATA[phase.data]}.")
    answered = {answer.threat: answer for answer in phase.threats}
    left = {u.threat: u.why for u in made.unprotected if u.phase == phase.name}
    for threat in exposed(phase.kind, phase.data, phase.site):
        out.print(f"  {threat}: {THREATS[threat]}")
        if threat in answered:
            answer = answered[threat]
            out.print(f"    answered by {answer.layer}/{answer.backend}: {answer.how}.")
            if answer.condition:
                out.print(f"    holds while {answer.condition}.")
        else:
            out.print(f"    NOT PROTECTED: {left[threat]}.")
    if phase.isolation:
        who = "keeper" if phase.kind == "keys" else "server"
        out.print(f"  isolation of the {who} from its host: {phase.isolation}.")
    if phase.parameter_set:
        by = f": quatrefoil score --set {phase.parameter_set}" if phase.kind in ("score", "infer") else ""
        out.print(f"  rows are encrypted in {phase.parameter_set}{by}.")
    out.print(f"  predicted: {phase.predicted_ms:.2f} ms and {phase.predicted_bytes:,} bytes a pass.")
    if phase.proven:
        out.print(f"  {_proven(phase.proven)}")
    if phase.excluded:
        out.print(f"    not in it: {phase.excluded}.")
    for tradeoff in phase.tradeoffs:
        out.print(f"  {_tradeoff(phase, tradeoff)}")
    for refusal in phase.refused:
        where = f" in {refusal.parameter_set}" if refusal.parameter_set else ""
        out.print(f"  refused {refusal.layer}/{refusal.backend}{where}: {refusal.reason}.")


def show_difference(found: Difference, out: Console) -> None:
    """What another policy would change, phase by phase; phases that it does not change are named together."""
    changed = [phase for phase in found.phases if phase.differs]
    if changed:
        drawn = table(
            f"Under {found.after.policy} instead of {found.before.policy}",
            ["phase", "layers", "answers", "ms a pass", "bytes a pass"],
            [_changes(phase) for phase in changed],
        )
        drawn.show_lines = True
        drawn.columns[1].justify = drawn.columns[2].justify = "left"
        out.print(drawn)
    else:
        out.print(f"Under {found.after.policy} instead of {found.before.policy}, no phase has other layers or answers.")
    if same := [phase.name for phase in found.phases if not phase.differs]:
        out.print(f"As before: {', '.join(same)}.")
    out.print(
        f"All passes together: {found.before.ms:,.2f} ms before, {found.after.ms:,.2f} ms after; "
        f"{found.before.bytes_sent:,} bytes before, {found.after.bytes_sent:,} bytes after."
    )


def _changes(phase: PhaseDifference) -> list[str]:
    layers = [f"- {pair}" for pair in phase.before if pair not in phase.after]
    layers += [f"+ {pair}" for pair in phase.after if pair not in phase.before]
    answers = [f"- {threat}" for threat in phase.lost] + [f"+ {threat}" for threat in phase.gained]
    return [
        phase.name,
        "\n".join(layers) or "the same",
        "\n".join(answers) or "the same",
        f"{phase.before_ms:.2f} -> {phase.after_ms:.2f}",
        f"{phase.before_bytes:,} -> {phase.after_bytes:,}",
    ]


def show_blankets(found: list[Blanket], made: Plan, out: Console) -> None:
    """The plan and each choice for all phases: what it costs, which named threats it leaves open, what it breaks."""
    rows = [["this plan", f"{made.ms:,.2f}", f"{made.bytes_sent:,}", "nothing that the policy names"]]
    for blanket in found:
        price = (
            ("cannot run", "") if blanket.plan is None else (f"{blanket.plan.ms:,.2f}", f"{blanket.plan.bytes_sent:,}")
        )
        remarks = [*blanket.cannot, *(f"{u.threat} in {u.phase}" for u in blanket.unanswered), *blanket.broken]
        rows.append(["+".join(blanket.layers), *price, "\n".join(remarks) or "nothing that the policy names"])
    drawn = table("One choice for all phases", ["choice", "ms", "bytes", "leaves open, or cannot"], rows)
    drawn.show_lines = True
    drawn.columns[3].justify = "left"
    out.print(drawn)


__all__ = ["explain", "show", "show_blankets", "show_difference"]
