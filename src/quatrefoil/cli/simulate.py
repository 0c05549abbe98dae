"""``quatrefoil simulate``: hundreds of silos with dropouts, slow links and liars, and what they cost a server."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.markup import escape

from quatrefoil import output
from quatrefoil.bench.simulation.population import Options
from quatrefoil.bench.simulation.running import simulate
from quatrefoil.errors import PolicyError
from quatrefoil.offline.pools import KINDS

NAME = "simulate"
HELP = "run rounds of many silos on this machine, some away, slow or lying, and say what a silo costs"


def configure(parser: argparse.ArgumentParser) -> None:
    for name, metavar, what in (("--silos", "N", "how many"), ("--parameters", "D", "values in an update")):
        parser.add_argument(name, required=True, type=int, metavar=metavar, help=what)
    for name, what in (
        ("--dropout", "share that stays away"),
        ("--liars", "share that lies"),
        ("--slow", "share that comes last, half of it too late"),
    ):
        parser.add_argument(name, type=float, default=0.0, metavar="SHARE", help=f"{what} (default: 0)")
    parser.add_argument("--rounds", type=int, default=1, metavar="R", help="rounds (default: 1)")
    parser.add_argument(
        "--group", type=int, metavar="G", help="silos of a group (default: one group to 256 silos, then 125)"
    )
    parser.add_argument(
        "--executor", choices=KINDS, default="threads", help="where proofs are verified (default: threads)"
    )
    parser.add_argument("--workers", type=int, metavar="P", help="processes of silos (default: one a core)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of roles and updates (default: 0)")
    parser.add_argument("--disks", action="store_true", help="give every silo a state and a log on a disk")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="keep disks and logs there (default: nowhere)")
    output.add_json_option(parser)


def run(options: argparse.Namespace) -> None:
    console = output.progress_console()
    result = simulate(
        Options(
            silos=options.silos,
            parameters=options.parameters,
            dropout=options.dropout,
            liars=options.liars,
            slow=options.slow,
            rounds=options.rounds,
            group=options.group,
            executor=options.executor,
            workers=options.workers,
            seed=options.seed,
            disks=options.disks,
        ),
        lambda step: console.print(step, markup=False),
        folder=options.folder,
    )
    output.write_json(options.json, "quatrefoil.simulate/2", result)
    if not output.only_json(options):
        _show(result)
    if not (result["exact"] and result["complete"] and result["liars_refused"]):
        raise PolicyError(
            "the sum is not that of exactly the silos that kept to the protocol",
            hint="Read the result with --json; and report it, with --seed",
        )


def _show(result: dict[str, Any]) -> None:
    console = output.console()
    yes = {True: "yes", False: "NO"}
    rows = [
        ("accepted / refused / away", f"{result['accepted']} / {result['refused']} / {result['absent']}"),
        ("sum exact, of exactly the honest", f"{yes[result['exact']]}, {yes[result['complete']]}"),
        ("every liar refused", yes[result["liars_refused"]]),
        ("server, ms a silo: processor / clock", _two(result["server_ms_per_silo"], result["server_wall_ms_per_silo"])),
        *(
            (f"  {one['step']}", _two(one["cpu_ms_per_silo"], one["wall_ms_per_silo"]))
            for one in result["server_steps"]
        ),
        ("silo, ms: contribution / confirmation / result", _three(result)),
        ("bytes from / to a silo", f"{result['bytes_per_silo']:,.0f} / {result['bytes_to_silo']:,.0f}"),
        ("server's memory at most, MB", f"{result['peak_rss_mb']:.0f}"),
        ("enrolment / last round, s", f"{result['enrolment_s']:.1f} / {result['round_s'][-1]:.1f}"),
    ]
    title = f"{result['silos']} silos, {result['parameters']} parameters, {result['groups']} group(s)"
    console.print(output.table(title, ("", "figure"), rows))
    if result["lies"]:
        told = [
            (lie, str(row["told"]), str(row["refused"]), escape(row["reason"][:70]))
            for lie, row in result["lies"].items()
        ]
        console.print(output.table("Liars", ("lie", "told", "refused", "one reason"), told))


def _two(one: float, other: float) -> str:
    return f"{one:.2f} / {other:.2f}"


def _three(result: dict[str, Any]) -> str:
    return " / ".join(f"{result[name]:.1f}" for name in ("silo_ms", "silo_confirm_ms", "silo_accept_ms"))
