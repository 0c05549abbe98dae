"""``quatrefoil bench flower``: the same app inside Flower, plain and confidential."""

from __future__ import annotations

import argparse
from typing import Any

from quatrefoil import output
from quatrefoil.bench.flower import measure_flower
from quatrefoil.parties.arguments import count

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
    title = f"{found['silos']} silos x {found['parameters']} float32, {found['rounds']} round(s)"
    columns: tuple[str, ...] = ("seconds", "total", "before the rounds", "each round", "after them")
    rows = [_phases(kind, found[f"{kind}_s"], found["phases"][kind]) for kind in ("plain", "confidential")]
    output.console().print(output.table(title, columns, rows))
    layers = [
        (row["step"], f"{row['cpu_ms']:.1f}", f"{row['ms']:.1f}", f"{row['bytes']:,.0f}") for row in found["layers"]
    ]
    columns = ("of one silo, mean", "ms of processor time", "ms on the clock", "bytes")
    output.console().print(output.table("Layers, the whole run", columns, layers))
    for line in _sentences(found):
        output.console().print(line)


def _phases(kind: str, total: float, phases: dict[str, Any]) -> tuple[str, ...]:
    rounds = ", ".join(f"{one:.1f}" for one in phases["rounds_s"])
    return kind, f"{total:.1f}", f"{phases['before_s']:.1f}", rounds, f"{phases['after_s']:.1f}"


def _sentences(found: dict[str, Any]) -> list[str]:
    messages, plain, confidential = found["messages"], found["starts"]["plain"], found["starts"]["confidential"]
    return [
        f"Layers add {found['layers_cpu_ms_per_silo_and_round']:.0f} ms of processor time a silo and round, on one core"
        f" ({found['layers_ms_per_silo_and_round']:.0f} ms on the clock, while {found['silos']} silos shared this"
        " machine's cores).",
        f"Messages: {messages['per_silo']:.1f} a silo with {messages['bytes_per_silo']:,.0f} bytes both ways; plain"
        f" {plain['per_silo']:.1f}. Flower takes {messages['carried_s_per_message']:.1f} s to carry one and its reply:"
        " its looks for messages and work, and the start of a process, are in it.",
        f"Of each message's process: {confidential['flower_cpu_ms']:.0f} ms of processor time until it loads the app"
        f" (plain {plain['flower_cpu_ms']:.0f}), {confidential['app_cpu_ms']:.0f} ms for loading it"
        f" (plain {plain['app_cpu_ms']:.0f}), {messages['silo_cpu_ms_per_message']:.0f} ms for the message.",
        f"Not in these: {found['calibration_s']:.1f} s of calibration, once a machine.",
    ]
