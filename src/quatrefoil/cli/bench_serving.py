"""``quatrefoil bench serving``: confidential inference beside the same server without the layers."""

from __future__ import annotations

import argparse
from typing import Any

from quatrefoil import output
from quatrefoil.errors import DependencyMissing

WHAT = "a served model, sealed, attested, encrypted and receipted, beside the same server without all that"
MODELS = ("resnet-50", "mobilenet-v2", "tabular")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        action="append",
        choices=MODELS,
        metavar="NAME",
        help=f"{', '.join(MODELS)}; repeat (default: all)",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=20.0,
        metavar="S",
        help="for pairs of requests, and again at saturation, of each model (default: 20)",
    )
    parser.add_argument(
        "--clients", type=int, default=8, metavar="N", help="that ask at once, at saturation (default: 8)"
    )
    parser.add_argument("--threads", type=int, default=1, metavar="T", help="threads of one answer (default: 1)")
    output.add_json_option(parser)
    parser.set_defaults(bench=_run)


def _run(args: argparse.Namespace) -> None:
    output.require_writable(args.json)
    try:
        from quatrefoil.bench.serving import measure_all
    except ImportError as error:
        raise DependencyMissing(f"{error.name} is not installed", hint="pip install 'quatrefoil[bench]'") from None
    console = output.progress_console()
    found = measure_all(
        args.model or MODELS, args.seconds, args.clients, args.threads, lambda step: console.print(step)
    )
    output.write_json(args.json, "quatrefoil.bench-serving/1", found)
    if not output.only_json(args):
        _show(found)


def _show(found: dict[str, Any]) -> None:
    rows, console = found["rows"], output.console()
    columns = ("model", "p50 ms, plain", "p50 ms", "p99 ms, plain", "p99 ms", "added ms", "overhead", "95 %")
    first = rows[0]
    title = f"One request at a time, in pairs; {first['threads']} thread(s), {first['cores']} cores for both ends"
    console.print(output.table(title, columns, [_latency(row) for row in rows]))
    saturated = (
        "model",
        "per s, plain",
        "per s",
        "ratio",
        "bound",
        "server CPU ms",
        "client CPU ms",
        "cold start ms, plain",
        "ms",
    )
    title = f"{first['clients']} clients without pause; processor time an answer, plain and layered"
    console.print(output.table(title, saturated, [_saturated(row) for row in rows]))
    work = ("model", "weights", "parameters", "model bytes", "request bytes", "pairs")
    console.print(output.table("The work", work, [_work(row) for row in rows]))
    console.print(
        f"Receipts: {found['receipts_per_s']:,.0f} a second into journal and log. A streamed token: "
        f"{found['token_us']:.1f} us of the processor added, where each arrives by itself."
    )
    console.print(
        "Plain: the same web server, handler, engine and limits, over HTTP, unattested. Both servers are processes of"
        " this machine, and the client is a third: they share its cores. Overhead: median of the differences within"
        f" pairs, of the plain median. Evidence: {first['evidence']}; what hardware takes is not in these figures."
    )
    cryptography = ", ".join(f"{row['cryptography_ms']:.2f}" for row in rows)
    console.print(
        "Bound: what the ratio would be on these cores if all that the layers take were their cryptography:"
        f" {cryptography} ms an answer at both ends, measured by itself."
    )


def _latency(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["model"],
        *(f"{row[name]:.2f}" for name in ("plain_p50_ms", "p50_ms", "plain_p99_ms", "p99_ms", "added_ms")),
        f"{row['overhead']:.1%}",
        f"{row['overhead_low']:.1%} to {row['overhead_high']:.1%}",
    )


def _saturated(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["model"],
        f"{row['plain_per_s']:.1f}",
        f"{row['per_s']:.1f}",
        f"{row['throughput_ratio']:.2f}",
        f"{row['throughput_bound']:.2f}",
        f"{row['plain_server_cpu_ms']:.2f}, {row['server_cpu_ms']:.2f}",
        f"{row['plain_client_cpu_ms']:.2f}, {row['client_cpu_ms']:.2f}",
        f"{row['plain_cold_start_ms']:.0f}",
        f"{row['cold_start_ms']:.0f}",
    )


def _work(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["model"],
        row["weights"],
        *(f"{row[name]:,}" for name in ("parameters", "model_bytes", "request_bytes", "pairs")),
    )
