"""The demo's result on a terminal: what is unprotected first, then accuracy, attack, channels, costs and the plan.

Colour only repeats what the words say, so nothing is lost in a log; everything fits 100 columns.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from quatrefoil.demo import protection
from quatrefoil.demo.attacks.outcome import Outcome
from quatrefoil.demo.attacks.poison import FACTOR
from quatrefoil.demo.baselines import Score
from quatrefoil.demo.leakage import VIEWS
from quatrefoil.demo.poisoning import NORM
from quatrefoil.demo.result import COLUMNS, DemoResult, ModelResult, Poisoned, Trainings
from quatrefoil.demo.serving_report import render_not_served, render_served
from quatrefoil.planner import Plan

NOT_PROVEN = (
    "Sums in CKKS: a hospital that sends a malformed or poisoned update is neither refused nor found out. Nothing can "
    "be proven of these ciphertexts, so byzantine-silo is not answered; the additive encryption has proofs."
)


def render_opening(console: Console, plan: Plan) -> None:
    """What is about to be shown, what stands in for protection, and what nothing protects against."""
    if plan.backend("aggregation") == "ckks":
        console.print(NOT_PROVEN, style="bold red")
    console.print(
        "Four hospitals train one heart-disease model, in separate processes, on the route that the policy "
        f"{escape(plan.policy)} leads to. Shown next: what that costs in accuracy, what an attacker reads in each "
        "place, and what is protected from whom. Unaudited.\n"
    )
    for name, what in protection.stand_ins(plan).items():
        console.print(f"INSECURE: {escape(name)} stands in: {escape(what)}.", style="bold red")
    console.print(protection.key_authority(plan))
    if rows := protection.unprotected(plan):
        title = "UNPROTECTED: threats that the policy does not name and that nothing answers"
        console.print()
        console.print(_table(title, ["threat", "in phase", "what would answer it"], rows, style="red", left=True))


def render(console: Console, result: DemoResult) -> None:
    """Print the whole report, after :func:`render_opening`."""
    _patients(console, result)
    _accuracy(console, result)
    _fidelity(console, result)
    _attack(console, result)
    _poisoned(console, result.poisoned)
    _channels(console, result)
    _costs(console, result)
    _plan(console, result.plan)
    if result.served is not None:
        render_served(console, result.served)
    else:
        render_not_served(console, result.not_served)
    _conclusion(console, result)


def render_outcome(console: Console, outcome: Outcome) -> None:
    """Print one attack: what was turned off, what was then read, what is read with it on, and the verdict."""
    console.print(f"[bold]Attack {escape(outcome.name)}: without {escape(outcome.layer)}[/bold]")
    for heading, text in (
        ("turned off", outcome.turned_off),
        ("attacker wins", outcome.won),
        ("with it on", outcome.left),
        ("verdict", outcome.verdict),
    ):
        lines = textwrap.fill(text, console.width, initial_indent=f"  {heading:15}", subsequent_indent=" " * 17)
        style = "red" if heading == "verdict" and not outcome.protected else ""
        console.print(lines, style=style, markup=False, soft_wrap=True)


def _patients(console: Console, result: DemoResult) -> None:
    rows = []
    for row in result.data:
        gaps = {column: count for column, count in row.items() if isinstance(count, int)}
        patients, positives = gaps.pop("patients"), gaps.pop("positives")
        worst = sorted(((count, column) for column, count in gaps.items() if 2 * count > patients), reverse=True)
        rows.append(
            [
                str(row["hospital"]),
                str(patients),
                f"{positives} ({positives / patients:.0%})",
                str(sum(gaps.values())),
                ", ".join(f"{column} {count}" for count, column in worst) or "-",
            ]
        )
    columns = ["hospital", "patients", "sick", "missing values", "lacking for more than half"]
    console.print(_table("The patients: UCI heart disease, four real hospitals", columns, rows))


def _accuracy(console: Console, result: DemoResult) -> None:
    title = f"Accuracy (AUC) on held-out patients, mean of {result.splits} {_plural('split', result.splits)}"
    last = "encrypted" if result.encrypted else "not encrypted"
    drawn = _table(title, ["", "majority", "alone", "pooled", "federated", last], [])
    for model in result.models.values():
        drawn.add_row(f"[bold]{escape(model.title)}[/bold]")
        for name, row in _rows(model):
            drawn.add_row(
                f"  {name}", f"{row.pooled.majority:.3f}", *(_score(getattr(row, column)) for column in COLUMNS)
            )
        drawn.add_section()
    console.print(drawn)
    console.print(
        "Majority: saying the same of everyone. Alone: each hospital's own model. Pooled: all records in one place. "
        "Federated: updates added in the clear, in one process. "
        + (
            "Encrypted: the same under the plan. "
            if result.encrypted
            else "Not encrypted: the same under the plan, whose aggregator adds updates in the clear. "
        )
        + "'Own hospital': each patient by the model of the own hospital, which knows how many of its "
        "patients are sick. 'Any hospital': by any hospital's model, the same for a common model.\n"
    )


def _rows(model: ModelResult) -> list[tuple[str, Trainings]]:
    """The rows of one model: each hospital, then all patients in the two readings."""
    return [
        *((escape(name), row) for name, row in model.hospitals.items()),
        ("all, own hospital", model.together),
        ("all, any hospital", model.anywhere),
    ]


def _fidelity(console: Console, result: DemoResult) -> None:
    exact = result.fidelity
    scheme = "Encrypted" if result.encrypted else "Under the plan (not encrypted)"
    console.print(
        f"{scheme} beside clear federated: {result.differing_predictions} of {result.predictions} predictions differ. "
        f"Every published mean is the exact mean of its updates to {exact.mean_error:.1e} at worst; the stated bound "
        f"is {exact.mean_bound:.1e}. Final weights differ by at most {exact.final_difference:.1e}; the rounds' bounds "
        f"add up to {exact.added_bounds:.1e}, which is a comparison and no bound, as training reacts to its own start."
    )
    if result.clipped_values:
        console.print(f"{result.clipped_values:,} values of updates were set to the policy's clip bound.", style="red")
    console.print()


def _attack(console: Console, result: DemoResult) -> None:
    views = result.attack.views
    rows = [
        [VIEWS[view], f"{one.closest_db:.1f}", f"{one.typical_db:.1f}", result.attack.meaning(view)]
        for view, one in views.items()
    ]
    title = f"Gradient inversion of round 1, {result.attack.candidates} guesses: PSNR in dB, mean over the hospitals"
    columns = ["what the attacker holds", "closest patient", "typical patient", "amounts to"]
    drawn = _table(title, columns, rows)
    drawn.columns[3].justify = "left"
    console.print(drawn)
    console.print("99 dB: the record itself. 20 dB: off by a tenth of each range. Like chance: nothing was read.\n")


def _poisoned(console: Console, one: Poisoned) -> None:
    rows = [
        [proofs, _score(training.score), ", ".join(training.refused) or "nobody"]
        for proofs, training in (("without proofs", one.without_proofs), ("with proofs", one.with_proofs))
    ]
    title = f"Poison: {one.name} sends {FACTOR:g} times its update, encrypted, in every round"
    console.print(_table(title, ["", "accuracy (AUC)", "refused by name"], rows))
    console.print(
        f"With proofs, every hospital proves in zero knowledge that its update has a norm of at most {NORM:g}. A "
        "poisoned update within that norm would still be added.\n"
    )


def _channels(console: Console, result: DemoResult) -> None:
    rows = [[one.peer, one.group] for one in result.channels]
    console.print(_table("Channels of the aggregator", ["peer", "negotiated key exchange"], rows))


def _costs(console: Console, result: DemoResult) -> None:
    rows = [
        [one.layer, f"{one.ms:.2f}", f"{one.plain_ms:.2f}", f"{one.bytes:,}", f"{one.plain_bytes:,}"]
        for one in result.costs
    ]
    columns = ["layer", "ms", "ms plain", "bytes", "bytes plain"]
    console.print(_table("Cost of one round, all parties together, beside the same in the clear", columns, rows))
    console.print(
        "Layers: work and bytes made, counted in one process. Last row: wall time of a round in real processes, and "
        "the bytes of contributions and means; TLS framing and waiting for each other's polls are part of the time.\n"
    )


def _plan(console: Console, plan: Plan) -> None:
    rows = [
        [
            phase.name,
            ", ".join(map("/".join, zip(phase.layers, phase.backends, strict=True))) or "none",
            ", ".join(answer.threat for answer in phase.threats) or "none",
        ]
        for phase in plan.phases
    ]
    title = f"The plan that was followed: {plan.digest().hex()[:16]}"
    console.print(_table(title, ["phase", "layers", "threats answered"], rows, left=True))


def _conclusion(console: Console, result: DemoResult) -> None:
    rows = [
        [one.threat, one.what, ", ".join(one.answered) or "-", ", ".join(one.unanswered) or "-"]
        for one in protection.standings(result.plan)
    ]
    columns = ["threat", "who", "answered in", "open in"]
    console.print(_table("What the plan protects from whom", columns, rows, left=True))
    for heading, lines, style in (
        ("That rests on this:", protection.conditions(result.plan), ""),
        ("Seen all the same:", protection.seen(result.plan), "red"),
    ):
        if lines:
            console.print(heading, style=f"bold {style}".strip())
        for line in lines:
            console.print(f"  - {escape(line)}", style=style)
    console.print()
    console.print(f"{result.rounds} rounds a training, {result.seconds:.1f} s in all. Nothing of this is audited.")


def _table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, style: str = "", left: bool = False
) -> Table:
    drawn = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False, style=style
    )
    # A title that is wider than its table would wrap at the table's width.
    drawn.min_width = len(title)
    for position, column in enumerate(columns):
        drawn.add_column(column, justify="left" if left or position == 0 else "right")
    for row in rows:
        drawn.add_row(*(escape(cell) for cell in row))
    return drawn


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"


def _score(score: Score) -> str:
    return f"{score.accuracy:.3f} ({score.auc:.3f})"
