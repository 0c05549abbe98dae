"""``quatrefoil bench proof``: proofs of bounded updates, beside the encryption and a training."""

from __future__ import annotations

import argparse
from typing import Any

from quatrefoil import output
from quatrefoil.bench.proof import measure_levels, measure_proof

_COLUMNS = ("prove_ms", "prove_cpu_ms", "prove_over_best", "verify_ms", "verify_cpu_ms", "verify_over_best")


def add_options(parser: argparse.ArgumentParser) -> None:
    for name, default, metavar, what in (
        ("--parameters", 1_048_576, "N", "values in an update"),
        ("--threads", 1, "T", "threads the kernel may use; beside more than one, one is measured too"),
    ):
        parser.add_argument(name, type=int, default=default, metavar=metavar, help=f"{what} (default: {default})")
    parser.add_argument("--parts", type=int, default=0, metavar="P", help="norms of equal parts to prove besides")
    parser.add_argument("--direction", action="store_true", help="prove agreement with a direction besides")
    copies = parser.add_mutually_exclusive_group()
    copies.add_argument(
        "--level",
        metavar="LEVEL",
        help="copy of the loops: avx512ifma, avx512, avx2, portable (default: the best here)",
    )
    copies.add_argument("--levels", action="store_true", help="only how long each copy of the loops takes, in turns")
    output.add_json_option(parser)
    parser.set_defaults(bench=_run)


def _run(args: argparse.Namespace) -> None:
    console = output.progress_console()

    def progress(step: str) -> None:
        console.print(step, markup=False)

    if args.levels:
        rows = measure_levels(args.parameters, args.threads, progress)
        output.write_json(args.json, "quatrefoil.bench-proof-levels/1", {"rows": rows})
        if not output.only_json(args):
            _show_levels(rows)
        return
    row = measure_proof(
        args.parameters, args.threads, progress, level=args.level, parts=args.parts, direction=args.direction
    )
    output.write_json(args.json, "quatrefoil.bench-proof/1", row)
    if output.only_json(args):
        return
    cells = [(name.replace("_", " "), _shown(value)) for name, value in row.items()]
    title = f"Proof of a bounded update of {args.parameters} float32"
    output.console().print(output.table(title, ("figure", "value"), cells))


def _show_levels(rows: list[dict[str, Any]]) -> None:
    title = f"Proof of {rows[0]['parameters']} float32 on {rows[0]['threads']} thread(s), by copy of the loops"
    names = ("copy", *(column.replace("_", " ") for column in _COLUMNS))
    cells = [(row["level"], *(_shown(row[column]) for column in _COLUMNS)) for row in rows]
    shown = output.console()
    shown.print(output.table(title, names, cells))
    shown.print("Over best: ratios of processor time. Each is the best of several, all copies in turns.")


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
