"""The demo's result on a terminal: what is unprotected first, then accuracy, attack, channels, costs and the plan.

Colour only repeats what the words say, so nothing is lost in a log; all tables fit 100 columns.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from quatrefoil.demo.attacks.outcome import Outcome
from quatrefoil.demo.baselines import Score
from quatrefoil.demo.leakage import VIEWS
from quatrefoil.demo.result import COLUMNS, DemoResult, ModelResult, Trainings


def render(console: Console, result: DemoResult) -> None:
    """Print the whole report."""
    _insecure(console, result)
    _patients(console, result)
    _accuracy(console, result)
    _attack(console, result)
    _channels(console, result)
    _costs(console, result)
    _plan(console, result)
    _conclusion(console, result)


def render_outcome(console: Console, outcome: Outcome) -> None:
    """Print one attack, mounted without and with its layer."""
    keys = list(dict.fromkeys([*outcome.without, *outcome.with_layer]))
    rows = [
        [key.replace("_", " "), *(_plain(part.get(key)) for part in (outcome.without, outcome.with_layer))]
        for key in keys
    ]
    title = f"Attack {outcome.name}: what {outcome.layer} keeps"
    console.print(_table(title, ["", "without it", "with it"], rows))
    console.print(escape(outcome.verdict), style="" if outcome.protected else "red")


def _insecure(console: Console, result: DemoResult) -> None:
    for name in result.insecure:
        console.print(f"INSECURE stand-in used: {escape(name)}", style="bold red")
    for threat in result.unprotected:
        console.print(f"UNPROTECTED: {escape(threat)}", style="red")
    console.print()


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
    title = f"Accuracy (AUC) on held-out patients, mean of {result.splits} splits"
    headings = ["alone", "pooled", "federated", "encrypted"]
    drawn = _table(title, ["", "majority", *headings], [])
    for model in result.models.values():
        drawn.add_row(f"[bold]{escape(model.title)}[/bold]")
        for name, row in _rows(model):
            drawn.add_row(
                f"  {name}", f"{row.pooled.majority:.3f}", *(_score(getattr(row, column)) for column in COLUMNS)
            )
        drawn.add_section()
    console.print(drawn)
    console.print(
        "Alone: each hospital's own model. Pooled: all records in one place. Federated: updates in the clear. "
        "Majority: saying the same of everyone. 'Own hospital': each patient by the model of the own hospital, which "
        "knows how many of its patients are sick. 'Any hospital': by any hospital's model, the same for a common model."
    )
    console.print(
        f"Encrypted against clear federated: {result.differing_predictions} of {result.predictions} predictions "
        f"differ; weights by at most {result.weight_difference:.1e} (quantisation allows {result.weight_bound:.1e}).\n"
    )


def _rows(model: ModelResult) -> list[tuple[str, Trainings]]:
    """The rows of one model: each hospital, then all patients in the two readings."""
    return [
        *((escape(name), row) for name, row in model.hospitals.items()),
        ("all, own hospital", model.together),
        ("all, any hospital", model.anywhere),
    ]


def _attack(console: Console, result: DemoResult) -> None:
    views = result.attack.views
    rows = [
        [VIEWS[view], f"{one.closest_db:.1f}", f"{one.typical_db:.1f}", result.attack.meaning(view)]
        for view, one in views.items()
    ]
    title = f"Gradient inversion, {result.attack.candidates} guesses: PSNR in dB over the hospitals, higher is closer"
    columns = ["what the attacker holds", "closest patient", "typical patient", "amounts to"]
    drawn = _table(title, columns, rows)
    drawn.columns[3].justify = "left"
    console.print(drawn)


def _channels(console: Console, result: DemoResult) -> None:
    console.print(_table("Channels", ["peer", "key exchange"], [[one.peer, one.group] for one in result.channels]))


def _costs(console: Console, result: DemoResult) -> None:
    rows = [
        [
            one.layer,
            f"{one.milliseconds:.2f}",
            f"{one.plain_milliseconds:.2f}",
            f"{one.bytes:,}",
            f"{one.plain_bytes:,}",
        ]
        for one in result.costs
    ]
    console.print(
        _table(
            "Cost of one round, beside the same in the clear", ["layer", "ms", "ms plain", "bytes", "bytes plain"], rows
        )
    )


def _plan(console: Console, result: DemoResult) -> None:
    rows = [
        [phase.name, ", ".join(phase.layers) or "none", ", ".join(phase.threats) or "none"] for phase in result.plan
    ]
    drawn = _table("The plan that was followed", ["phase", "layers", "threats answered"], rows)
    for column in drawn.columns:
        column.justify = "left"
    console.print(drawn)


def _conclusion(console: Console, result: DemoResult) -> None:
    console.print(f"{result.rounds} encrypted rounds in all, {result.seconds:.1f} s.")
    console.print(
        "[bold]Protected:[/bold] each hospital's update, from the aggregator, from the other hospitals and from "
        "whoever records the network, also with a quantum computer later; as long as the keeper does not help "
        "them and at least two hospitals do not."
    )
    console.print(
        "[bold]Not protected:[/bold] updates, from keeper and aggregator together; what the sum and the finished model "
        "reveal, from everyone who has them; the model, from a hospital that sends poisoned updates; the number of "
        "patients of each hospital, which all parties see. Nothing of this is audited.",
        style="red",
    )


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    drawn = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for position, column in enumerate(columns):
        drawn.add_column(column, justify="left" if position == 0 else "right")
    for row in rows:
        drawn.add_row(*(escape(cell) for cell in row))
    return drawn


def _score(score: Score) -> str:
    return f"{score.accuracy:.3f} ({score.auc:.3f})"


def _plain(value: float | int | str | bool | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 0.01 else f"{value:.3f}".rstrip("0").rstrip(".")
    return str(value)
