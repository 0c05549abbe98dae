"""``quatrefoil bench score``: encrypted scoring, of tables and by a network, beside TenSEAL's vectors and the clear."""

from __future__ import annotations

import argparse
from typing import Any

from quatrefoil import output
from quatrefoil.bench.score import measure_score
from quatrefoil.bench.score_network import measure_network

WHAT = "encrypted scoring, of a linear model and of a network, beside TenSEAL's vectors and the clear"
_STEPS = ("encrypt_ms", "compute_ms", "decrypt_ms", "total_ms", "over_plain")
_COLUMNS = (*_STEPS, "over_ours", "sent_bytes")
_OF_NETWORK = ("keys_ms", "prepare_ms", *_STEPS, "sent_bytes", "answer_bytes", "keys_bytes")
_ERRORS = ("max_abs_error", "error_bound")


def add_options(parser: argparse.ArgumentParser) -> None:
    for name, default, metavar, what in (
        ("--rows", 10_000, "N", "rows to score"),
        ("--columns", 30, "K", "columns of each, and inputs of the network"),
        ("--hidden", 32, "H", "hidden units of the network"),
        ("--repeats", 3, "R", "runs of each way, of which the best counts"),
    ):
        parser.add_argument(name, type=int, default=default, metavar=metavar, help=f"{what} (default: {default})")
    output.add_json_option(parser)
    parser.set_defaults(bench=_run)


def _run(args: argparse.Namespace) -> None:
    console = output.progress_console()

    def progress(step: str) -> None:
        console.print(step, markup=False)

    rows = measure_score(args.rows, args.columns, args.repeats, progress)
    network = measure_network(args.columns, args.hidden, args.repeats, progress)
    output.write_json(args.json, "quatrefoil.bench-score/1", {"rows": rows, "network": network})
    if output.only_json(args):
        return
    _print(f"{args.rows} rows x {args.columns} columns scored, one thread", _COLUMNS, rows)
    _print(f"One row through a network of {args.columns} x {args.hidden} x 1, one thread", _OF_NETWORK, network)
    if not any(row["way"].startswith("tenseal") for row in rows):
        output.console().print(
            "Peer tenseal: not installed, so not measured (pip install 'quatrefoil[bench]').", markup=False
        )


def _print(title: str, columns: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
    names = ("way", *(column.replace("_", " ") for column in columns), "error", "error bound")
    cells = [(row["way"], *(_shown(row.get(column)) for column in (*columns, *_ERRORS))) for row in rows]
    output.console().print(output.table(title, names, cells))


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.3g}" if value < 100 else f"{value:.0f}"
