"""``quatrefoil bench``: measure a layer beside doing without it, and beside its peers."""

from __future__ import annotations

import argparse
from typing import Any

from quatrefoil.bench import aggregation
from quatrefoil.cli import output

NAME = "bench"
HELP = "measure a layer beside doing without it, and beside its peers"
SCHEMA = "quatrefoil.bench-aggregation/1"


def configure(parser: argparse.ArgumentParser) -> None:
    benches = parser.add_subparsers(metavar="LAYER", required=True, dest="layer")
    parser = benches.add_parser(
        "aggregation", help="encrypted sums beside plain ones", description="encrypted sums beside plain ones"
    )
    parser.add_argument(
        "--parameters", type=int, default=1_000_000, metavar="N", help="values in an update (default: %(default)s)"
    )
    parser.add_argument(
        "--silos", type=int, default=8, metavar="K", help="updates that are added (default: %(default)s)"
    )
    parser.add_argument(
        "--threads", type=int, default=1, metavar="T", help="threads each backend may use (default: %(default)s)"
    )
    output.add_json_option(parser)


def run(args: argparse.Namespace) -> None:
    progress = output.progress_console()
    rows = aggregation.measure(args.parameters, args.silos, args.threads, lambda step: progress.print(step))
    output.write_json(args.json, SCHEMA, {"rows": rows})
    if output.only_json(args):
        return
    first = rows[0]
    console = output.console()
    console.print(
        output.table(
            f"{first['silos']} silos x {first['parameters']} float32, {first['threads']} thread(s), "
            f"milliseconds; plain sum {first['plain_ms']:.2f}",
            (
                "backend",
                "encrypt",
                "serialise",
                "deserialise",
                "add",
                "keys",
                "decrypt",
                "overhead",
                "bytes/silo",
                "error",
            ),
            [_cells(row) for row in rows],
        )
    )
    console.print("Overhead: one silo's encrypt and serialise, and everything at the server, over the plain sum.")
    peer = next((row for row in rows if row["backend"] == "tenseal"), None)
    if peer is None:
        console.print("Peer tenseal: not installed, so not measured (pip install 'quatrefoil[bench]').")
    else:
        ratio = peer["encrypt_serialise_over_additive"]
        console.print(f"Encrypt and serialise: tenseal takes {ratio:.1f} times as long as {first['backend']}.")


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    times = ("encrypt_ms", "serialise_ms", "deserialise_all_ms", "add_ms", "combine_keys_ms", "decrypt_ms")
    return (
        row["backend"].removeprefix("additive-rlwe/"),
        *(f"{row[name]:.2f}" for name in times),
        f"{row['overhead']:.1f}x",
        f"{row['bytes_per_silo']}",
        f"{row['max_abs_error']:.1e}",
    )
