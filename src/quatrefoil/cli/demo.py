"""``quatrefoil demo``: four real hospitals train together, and every layer is attacked."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from quatrefoil.cli.output import add_json_option, console, only_json, progress_console, write_json
from quatrefoil.demo import mounted
from quatrefoil.demo.flow import SPLITS, built_in, run_demo
from quatrefoil.demo.report import render, render_outcome
from quatrefoil.errors import CallerError

NAME = "demo"
HELP = "train a heart-disease model across four real hospitals, encrypted, and show what was protected"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--attack",
        metavar="NAME",
        choices=sorted(mounted.ATTACKS),
        help=f"turn one layer off and show the loss: {', '.join(sorted(mounted.ATTACKS))}",
    )
    parser.add_argument("--policy", type=Path, metavar="FILE", help="another policy than the demo's own")
    parser.add_argument("--splits", type=int, metavar="N", help=f"repeated splits (default: {SPLITS})")
    add_json_option(parser)


def run(options: argparse.Namespace) -> None:
    if options.attack is not None:
        if options.policy is not None or options.splits is not None:
            raise CallerError("an attack runs on the demo's own policy and split", hint="Leave out --policy, --splits")
        outcome = mounted.ATTACKS[options.attack]()
        if not only_json(options):
            render_outcome(console(), outcome)
        write_json(options.json, "quatrefoil.demo-attack/1", outcome.as_json())
        return
    policy = options.policy if options.policy is not None else built_in("policy.toml")
    splits = options.splits if options.splits is not None else SPLITS
    if splits < 1:
        raise CallerError(f"{splits} splits are none", hint="Give --splits of at least 1")
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    shown = progress_console()
    with Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal) as progress:
        task = progress.add_task("starting", total=None)

        def tell(text: str) -> None:
            progress.update(task, description=text)
            if not shown.is_terminal:
                shown.print(text, markup=False)

        result = run_demo(policy, splits=splits, tell=tell)
    if not only_json(options):
        render(console(), result)
    write_json(options.json, "quatrefoil.demo/1", result.as_json())
