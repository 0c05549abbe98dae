"""``quatrefoil bench all``: every bench beside its peers, resumable, into a folder with one page."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from quatrefoil import output
from quatrefoil.bench.report.apart import found_in
from quatrefoil.bench.report.parts import FLOWER, NAMES, PARTS, chosen
from quatrefoil.bench.report.summary import SCHEMA, summary, write_report
from quatrefoil.bench.report.svg import require_matplotlib
from quatrefoil.bench.report.whole import Outcome, Progress, measure_all
from quatrefoil.errors import HostError

WHAT = "every bench with its peers, and one page of what came out; what is finished is not measured again"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--report", type=Path, required=True, metavar="DIR", help="folder of results and page")
    parser.add_argument(
        "--quick", action="store_true", help="small shapes, to see that all works: no figures to compare"
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=NAMES,
        metavar="PART",
        help=f"measure this part, also if it is finished; repeat. Parts: {', '.join(NAMES)}",
    )
    parser.add_argument(
        "--flower",
        type=Path,
        metavar="PYTHON",
        help="the Python of an environment with the extra flower, for the part flower; without it that is missing",
    )
    output.add_json_option(parser)
    parser.set_defaults(bench=_run)


def _run(args: argparse.Namespace) -> None:
    output.require_writable(args.json)
    require_matplotlib()  # before anything is measured
    apart = {FLOWER: found_in(args.flower, FLOWER, _program()[1:])} if args.flower else {}
    console, began = output.progress_console(), time.monotonic()

    def say(progress: Progress) -> None:
        what = f": {progress.line}" if progress.line else f", about {_minutes(progress.left_s)} to go"
        console.print(f"[{progress.number}/{progress.count}] {progress.part.name}{what}", markup=False)

    outcomes = measure_all(
        args.report,
        only=chosen(args.only or ()),
        quick=args.quick,
        commands=_commands(),
        program=_program(),
        say=say,
        apart=apart,
    )
    page = write_report(args.report, outcomes, quick=args.quick)
    output.write_json(args.json, SCHEMA, summary(outcomes, quick=args.quick))
    if not output.only_json(args):
        _show(outcomes, page, time.monotonic() - began)
    if failed := [one.part.name for one in outcomes if one.state == "failed"]:
        raise HostError(
            f"{', '.join(failed)} failed; the page says why", hint=f"Correct that, and run it again into {args.report}"
        )


def _program() -> tuple[str, ...]:
    return (sys.executable, "-m", "quatrefoil.cli.bench_child", str(os.getpid()))


def _show(outcomes: list[Outcome], page: Path, seconds: float) -> None:
    cells = [
        (
            one.part.name,
            one.state,
            f"{one.kept.record.seconds:.0f}" if one.kept else "-",
            _percent(one.kept.record.others) if one.kept else "-",
            one.why or ", ".join(f"{name}: missing" for name, found in _peers(one) if not found) or "-",
        )
        for one in outcomes
    ]
    columns = ("part", "state", "seconds", "others' load", "why, and missing peers")
    shown = output.console()
    drawn = output.table(f"{len(PARTS)} parts, {_minutes(seconds)}", columns, cells)
    drawn.columns[4].justify = "left"
    shown.print(drawn)
    shown.print(f"Page: {page}", markup=False, soft_wrap=True)


def _peers(one: Outcome) -> Iterator[tuple[str, str]]:
    yield from one.kept.record.peers.items() if one.kept else ()


def _percent(part: float | None) -> str:
    return "-" if part is None else f"{part:.0%}"


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} minutes"


def _commands() -> Collection[tuple[str, ...]]:
    """The commands of one and two words that this version has."""
    from quatrefoil.cli import parser

    found: set[tuple[str, ...]] = set()
    for name, command in _children(parser()):
        found |= {(name,), *((name, below) for below, _ in _children(command))}
    return found


def _children(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()
