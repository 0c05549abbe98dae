"""``quatrefoil bench transport``: post-quantum channels beside classical mutual TLS."""

from __future__ import annotations

import argparse
import ssl
from typing import Any

from quatrefoil import output
from quatrefoil.bench.transport import measure_transport
from quatrefoil.transport.tls_context import require_support


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--repeats", type=int, default=11, metavar="N", help="times that each session is measured (default: 11)"
    )
    output.add_json_option(parser)
    parser.set_defaults(bench=_run)


def _run(args: argparse.Namespace) -> None:
    console = output.progress_console()
    rows = measure_transport(args.repeats, lambda step: console.print(step))
    libraries = {"classical": ssl.OPENSSL_VERSION, "channels": require_support()}
    output.write_json(args.json, "quatrefoil.bench-transport/1", {"openssl": libraries, "rows": rows})
    if output.only_json(args):
        return
    columns = (
        "session",
        "stack",
        "best ms",
        "median ms",
        "CPU ms, both",
        "work ms",
        "bytes",
        "MB/s",
        "best",
        "median",
        "CPU",
    )
    out = output.console()
    out.print(output.table("Sessions on loopback; ratios to classical TLS", columns, [_cells(row) for row in rows]))
    out.print(
        "A session is one connection, from before its handshake (full, where nothing is said) to the goodbye of both"
        " ends. Classical: the standard library's TLS 1.3, P-256 certificates of both ends, X25519, AES-256-GCM."
        " Under each stack the client blocks on a socket, where nothing is said, and the server is a process of its own"
        " under asyncio. Work: what is to be done at both ends together, without a channel. Bytes: of the handshake,"
        f" both ways, on the wire. {libraries['classical']} beside {libraries['channels']}."
    )


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["shape"],
        row["stack"],
        f"{row['best_ms']:.2f}",
        f"{row['median_ms']:.2f}",
        f"{row['cpu_client_ms'] + row['cpu_server_ms']:.2f}",
        "" if row["work_ms"] is None else f"{row['work_ms']:.2f}",
        "" if row["handshake_bytes"] is None else f"{row['handshake_bytes']:,}",
        "" if row["mb_per_s"] is None else f"{row['mb_per_s']:.0f}",
        *(f"{row[name]:.2f}x" for name in ("ratio_best", "ratio_median", "ratio_cpu")),
    )
