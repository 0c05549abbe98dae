"""``quatrefoil bench byzantine``: what malicious silos cost in accuracy, by attack and defence."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from quatrefoil import output
from quatrefoil.bench.byzantine import ROUNDS, SEEDS, adaptive_cost, measure_byzantine
from quatrefoil.bench.byzantine_norms import FACTOR, FLOOR
from quatrefoil.bench.byzantine_worlds import WORLDS
from quatrefoil.federation.norms import AdaptiveRule

WHAT = "accuracy under malicious silos: proven bounds beside defences that see every update"

_TITLES = {
    "digits": "Digits, 20 equal silos, 4 malicious, 650 values",
    "digits-skewed": "Digits, 20 silos that differ, 4 malicious, 650 values",
    "hospitals": "The four hospitals, cleveland malicious",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    for name, default, metavar, what in (
        ("--rounds", ROUNDS, "R", "rounds of a training"),
        ("--seeds", SEEDS, "S", "draws of records, silos and first model"),
    ):
        parser.add_argument(name, type=int, default=default, metavar=metavar, help=f"{what} (default: {default})")
    for name, fraction, metavar, what in (
        ("--factor", FACTOR, "F", "adaptive bound: times the last mean's norm"),
        ("--floor", FLOOR, "S", "adaptive bound: least share of the last bound, 0 to 1"),
    ):
        parser.add_argument(name, type=float, default=fraction, metavar=metavar, help=f"{what} (default: {fraction:g})")
    output.add_json_option(parser)
    parser.set_defaults(bench=_run)


def _run(args: argparse.Namespace) -> None:
    output.require_writable(args.json)
    console = output.progress_console()
    rule = AdaptiveRule(args.factor, args.floor)
    result = measure_byzantine(args.rounds, args.seeds, lambda step: console.print(step), adaptive=rule)
    output.write_json(args.json, "quatrefoil.bench-byzantine/1", result)
    if not output.only_json(args):
        _print(result)


def _print(result: dict[str, Any]) -> None:
    console = output.console()
    for world in WORLDS:
        rows = [row for row in result["rows"] if row["world"] == world]
        defences = list(dict.fromkeys(row["defence"] for row in rows))
        cells = [
            (attack, *(_shown(_find(rows, attack, defence)) for defence in defences))
            for attack in dict.fromkeys(row["attack"] for row in rows)
        ]
        title = f"{_TITLES[world]}: accuracy, mean and spread of {result['seeds']}, {result['rounds']} rounds"
        console.print(output.table(title, ("attack", *defences), cells))
    console.print(
        "mean: nothing is checked. bound, adaptive-bound, directed-bound: proven, no update is\n"
        "seen. krum, median, trimmed-mean: every update is seen, and the number of malicious silos is\n"
        "known. *: all malicious contributions were refused."
    )
    console.print("What the worse attacker just under the bound still costs, in points of accuracy:")
    for world in WORLDS:
        fixed, adaptive, directed = (
            100 * adaptive_cost(result["rows"], world, name) for name in ("bound", "adaptive-bound", "directed-bound")
        )
        console.print(
            f"  {world}: {fixed:.1f} under the policy's bound, {adaptive:.1f} under the adaptive one, "
            f"{directed:.1f} with a direction"
        )
    cells = [
        (
            f"{one['world']}, {one['attack']}{', directed' * one['directed']}",
            f"{one['norm']:.3f}",
            f"{one['update_norm']:g}",
            one["proof"],
        )
        for one in result["proofs"]
    ]
    title = "One malicious silo's first update, encrypted and proven for real"
    console.print(output.table(title, ("update", "norm", "policy's norm", "proof"), cells))


def _find(rows: Sequence[dict[str, Any]], attack: str, defence: str) -> dict[str, Any]:
    return next(row for row in rows if (row["attack"], row["defence"]) == (attack, defence))


def _shown(row: dict[str, Any]) -> str:
    """The mean accuracy and its standard deviation, marked where every malicious contribution was refused."""
    return f"{row['accuracy']:.3f} ±{row['spread']:.3f}{'*' if row['refused'] == 1 else ' '}"
