"""``quatrefoil bench flower``: the same app inside Flower, plain and confidential."""

from __future__ import annotations

import argparse

from quatrefoil.bench.flower import measure_flower
from quatrefoil.cli import output
from quatrefoil.cli.parties import count

WHAT = "an app inside Flower, plain and confidential, over a real SuperLink and SuperNodes"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--silos", type=count, default=8, metavar="K", help="silos, each with a SuperNode (default: 8)")
    parser.add_argument(
        "--parameters",
        type=count,
        default=1_000_000,
        metavar="N",
        help="float32 values in the model (default: 1000000)",
    )
    parser.add_argument("--rounds", type=count, default=1, metavar="R", help="rounds of each (default: 1)")
    output.add_json_option(parser)
    parser.set_defaults(bench=_run)


def _run(options: argparse.Namespace) -> None:
    console = output.progress_console()
    found = measure_flower(options.silos, options.parameters, options.rounds, console.print)
    output.write_json(options.json, "quatrefoil.bench-flower/1", found)
    if output.only_json(options):
        return
    title = (
        f"{found['silos']} silos x {found['parameters']} float32, {found['rounds']} round(s): "
        f"plain {found['plain_s']:.1f} s, confidential {found['confidential_s']:.1f} s"
    )
    rows = [(row["step"], f"{row['ms']:.1f}", f"{row['bytes']:,.0f}") for row in found["layers"]]
    output.console().print(output.table(title, ("a silo's", "ms", "bytes"), rows))
    output.console().print(f"Layers add {found['layers_ms_per_silo_and_round']:.0f} ms a silo and round, on one core.")
