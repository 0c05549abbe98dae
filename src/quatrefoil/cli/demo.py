"""``quatrefoil demo``: four real hospitals train together, and every layer is attacked. docs/demo.md explains it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from quatrefoil.demo import mounted
from quatrefoil.demo.flow import SPLITS, Prepared, Tell, prepare, run_demo, train_and_serve
from quatrefoil.demo.job import COMMITTEE, POLICIES, built_in
from quatrefoil.demo.report import render, render_opening, render_outcome
from quatrefoil.demo.serving import require_everything
from quatrefoil.demo.serving_report import render_served
from quatrefoil.errors import CallerError
from quatrefoil.output import add_json_option, console, only_json, progress_console, write_json

NAME = "demo"
HELP = "train a heart-disease model across four real hospitals, encrypted, and show what was protected"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--attack",
        metavar="NAME",
        choices=sorted(mounted.ATTACKS),
        help=f"turn one layer off and show the loss: {', '.join(sorted(mounted.ATTACKS))}",
    )
    parser.add_argument(
        "--serve-only", action="store_true", help="train once, then seal, serve and ask the model; nothing else"
    )
    parser.add_argument(
        "--aggregation",
        choices=sorted(POLICIES),
        help="how updates are encrypted and added (default: additive, which alone has proofs)",
    )
    parser.add_argument(
        "--committee",
        action="store_true",
        help="no keeper: the hospitals hold the keys of each other's rounds, in shares",
    )
    parser.add_argument("--policy", type=Path, metavar="FILE", help="another policy than the demo's own")
    parser.add_argument("--splits", type=_at_least_one, metavar="N", help=f"repeated splits (default: {SPLITS})")
    add_json_option(parser)


def run(options: argparse.Namespace) -> None:
    if options.attack is not None:
        given = (options.policy, options.splits, options.aggregation)
        if options.serve_only or options.committee or any(one is not None for one in given):
            raise CallerError("an attack runs on the demo's own policy and split", hint="Leave out all but --json")
        _attack(options)
        return
    if options.committee + (options.policy is not None) + (options.aggregation is not None) > 1:
        raise CallerError(
            "a policy says itself how updates are added and who holds keys: --policy, --aggregation and --committee "
            "each choose one",
            hint="Leave out all but one of them",
        )
    if options.serve_only:
        require_everything()
        if options.splits is not None:
            raise CallerError("to serve a model it is trained on one split", hint="Leave out --splits")
    with _progress() as tell:
        own = COMMITTEE if options.committee else POLICIES[options.aggregation or "additive"]
        prepared = prepare(options.policy or built_in(own), tell=tell)
    if not only_json(options):
        render_opening(console(), prepared.plan)
    if options.serve_only:
        _serve(options, prepared)
        return
    with _progress() as tell:
        result = run_demo(prepared, splits=options.splits or SPLITS, tell=tell)
    if not only_json(options):
        render(console(), result)
    write_json(options.json, "quatrefoil.demo/1", result.as_json())


def _serve(options: argparse.Namespace, prepared: Prepared) -> None:
    with _progress() as tell:
        served = train_and_serve(prepared, tell=tell)
    if not only_json(options):
        render_served(console(), served)
    write_json(options.json, "quatrefoil.demo-serving/1", {"serving": served.as_json()})


def _attack(options: argparse.Namespace) -> None:
    with _progress() as tell:
        tell(f"mounting the attack {options.attack}, without its layer and with it")
        outcome = mounted.ATTACKS[options.attack]()
    if not only_json(options):
        render_outcome(console(), outcome)
    write_json(options.json, "quatrefoil.demo-attack/1", outcome.as_json())


@contextmanager
def _progress() -> Iterator[Tell]:
    """What is being done: one moving line on a terminal, a line each in a log; on standard error."""
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    shown = progress_console()
    with Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal) as progress:
        task = progress.add_task("starting", total=None)

        def tell(text: str) -> None:
            progress.update(task, description=text)
            if not shown.is_terminal:
                shown.print(text, markup=False)

        yield tell


def _at_least_one(text: str) -> int:
    """A count of splits, for argparse."""
    if not (text.isascii() and text.isdigit() and int(text) >= 1):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)
