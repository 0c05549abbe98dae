"""``quatrefoil demo``: four real hospitals train together, and every layer is attacked."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from quatrefoil.cli.output import add_json_option, console, progress_console, write_json
from quatrefoil.demo import mounted
from quatrefoil.demo.flow import SPLITS, built_in, run_demo
from quatrefoil.demo.report import render, render_outcome

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
    parser.add_argument("--splits", type=int, default=SPLITS, metavar="N", help=f"repeated splits (default {SPLITS})")
    add_json_option(parser)


def run(options: argparse.Namespace) -> None:
    if options.attack is not None:
        outcome = mounted.ATTACKS[options.attack]()
        render_outcome(console(), outcome)
        write_json(options.json, "quatrefoil.demo-attack/1", outcome.as_json())
        return
    policy = options.policy if options.policy is not None else built_in("policy.toml")
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=progress_console(), transient=True) as progress:
        task = progress.add_task("starting", total=None)

        def tell(text: str) -> None:
            progress.update(task, description=text)
            if not progress.console.is_terminal:
                progress.console.print(text, markup=False)

        result = run_demo(policy, splits=options.splits, tell=tell)
    render(console(), result)
    write_json(options.json, "quatrefoil.demo/1", result.as_json())
