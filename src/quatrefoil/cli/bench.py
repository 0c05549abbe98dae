"""``quatrefoil bench``: measure a layer beside doing without it, and beside its peers."""

from __future__ import annotations

import argparse
from typing import Any

from quatrefoil import output
from quatrefoil.bench.accuracy import measure_accuracy
from quatrefoil.bench.aggregation import measure
from quatrefoil.bench.streaming import measure_streams
from quatrefoil.cli import (
    bench_all,
    bench_attest,
    bench_audit,
    bench_byzantine,
    bench_committee,
    bench_constant_time,
    bench_flower,
    bench_inference_proof,
    bench_kernel,
    bench_planner,
    bench_proof,
    bench_routing,
    bench_scale,
    bench_score,
    bench_serving,
    bench_transport,
)

NAME = "bench"
HELP = "measure a layer beside doing without it, and beside its peers"


def configure(parser: argparse.ArgumentParser) -> None:
    benches = parser.add_subparsers(metavar="LAYER", required=True, dest="layer")
    for name, what, add_options in (
        ("all", bench_all.WHAT, bench_all.add_options),
        ("aggregation", "encrypted sums beside plain ones", _aggregation),
        ("kernel", "each step of the encryption beside the ceilings of this machine", bench_kernel.add_options),
        ("transport", "post-quantum channels beside classical mutual TLS", bench_transport.configure),
        ("accuracy", "what rounding to fewer bits costs, on real digits", _accuracy),
        ("constant-time", bench_constant_time.WHAT, bench_constant_time.configure),
        ("proof", "proofs of bounded updates beside the encryption and a training", bench_proof.add_options),
        ("committee", "keys shared among a committee beside one at a keeper", bench_committee.add_options),
        ("inference-proof", bench_inference_proof.WHAT, bench_inference_proof.add_options),
        ("flower", bench_flower.WHAT, bench_flower.add_options),
        ("byzantine", bench_byzantine.WHAT, bench_byzantine.add_options),
        ("attest", bench_attest.WHAT, bench_attest.add_options),
        ("audit", bench_audit.WHAT, bench_audit.add_options),
        ("serving", bench_serving.WHAT, bench_serving.add_options),
        ("planner", bench_planner.WHAT, bench_planner.add_options),
        ("score", bench_score.WHAT, bench_score.add_options),
        ("routing", bench_routing.WHAT, bench_routing.add_options),
        ("scale", bench_scale.WHAT, bench_scale.add_options),
    ):
        add_options(benches.add_parser(name, help=what, description=what))


def run(args: argparse.Namespace) -> None:
    args.bench(args)


def _aggregation(parser: argparse.ArgumentParser) -> None:
    _number(parser, "--parameters", 1_000_000, "N", "values in an update")
    _number(parser, "--silos", 8, "K", "updates that are added")
    _number(parser, "--threads", 1, "T", "threads each backend may use")
    parser.add_argument(
        "--stream", action="store_true", help="stream from and to files, holding no update or ciphertext whole"
    )
    output.add_json_option(parser)
    parser.set_defaults(bench=_run_aggregation)


def _accuracy(parser: argparse.ArgumentParser) -> None:
    _number(parser, "--silos", 8, "K", "silos that train together, 2 to 32")
    _number(parser, "--rounds", 20, "R", "rounds of a training")
    _number(parser, "--seeds", 5, "S", "trainings from different starts")
    output.add_json_option(parser)
    parser.set_defaults(bench=_run_accuracy)


def _run_aggregation(args: argparse.Namespace) -> None:
    if args.stream:
        _run_streams(args)
        return
    rows = measure(args.parameters, args.silos, args.threads, _progress())
    output.write_json(args.json, "quatrefoil.bench-aggregation/1", {"rows": rows})
    if output.only_json(args):
        return
    first = rows[0]
    steps = ("encrypt", "serialise", "deserialise", "add", "keys", "decrypt")
    title = (
        f"{first['silos']} silos x {first['parameters']} float32, {first['threads']} thread(s), "
        f"milliseconds; plain sum {first['plain_ms']:.2f}"
    )
    columns = ("backend", *steps, "overhead", "bytes/silo", "error")
    console = output.console()
    console.print(output.table(title, columns, [_cells(row) for row in rows]))
    console.print("Overhead: one silo's encrypt and serialise, and everything at the server, over the plain sum.")
    for row in rows:
        if (ratio := row.get("encrypt_serialise_over_additive")) is not None:
            console.print(
                f"Encrypt and serialise: {row['backend']} takes {ratio:.1f} times as long as {first['backend']}."
            )
    if all(row["backend"] != "tenseal" for row in rows):
        console.print("Peer tenseal: not installed, so not measured (pip install 'quatrefoil[bench]').")


def _run_streams(args: argparse.Namespace) -> None:
    row = measure_streams(args.parameters, args.silos, args.threads, _progress())
    output.write_json(args.json, "quatrefoil.bench-streams/1", {"rows": [row]})
    if not output.only_json(args):
        _print_fields(f"Streams of {args.parameters} float32 by {args.silos} silos, from and to files", row)


def _run_accuracy(args: argparse.Namespace) -> None:
    rows = measure_accuracy(args.silos, args.rounds, args.seeds, _progress())
    output.write_json(args.json, "quatrefoil.bench-accuracy/1", {"rows": rows})
    if output.only_json(args):
        return
    title = f"Digits, {args.silos} silos, {args.rounds} rounds, mean of {args.seeds} trainings"
    shown = [key for key in rows[0] if key not in ("silos", "rounds", "seeds")]
    drawn = output.table(
        title, [key.replace("_", " ") for key in shown], [[_shown(r[key]) for key in shown] for r in rows]
    )
    output.console().print(drawn)


def _print_fields(title: str, row: dict[str, Any]) -> None:
    cells = [(key.replace("_", " "), _shown(value)) for key, value in row.items()]
    output.console().print(output.table(title, ("figure", "value"), cells))


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "-" if value is None else str(value)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    times = ("encrypt_ms", "serialise_ms", "deserialise_all_ms", "add_ms", "combine_keys_ms", "decrypt_ms")
    return (
        row["backend"].rpartition("/")[2],
        *(f"{row[name]:.2f}" for name in times),
        f"{row['overhead']:.1f}x",
        f"{row['bytes_per_silo']}",
        f"{row['max_abs_error']:.1e}",
    )


def _number(parser: argparse.ArgumentParser, name: str, default: int, metavar: str, what: str) -> None:
    parser.add_argument(name, type=int, default=default, metavar=metavar, help=f"{what} (default: {default})")


def _progress() -> Any:
    console = output.progress_console()
    return lambda step: console.print(step)
