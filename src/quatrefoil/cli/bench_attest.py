"""``quatrefoil bench attest``: what verifying evidence costs, a release by a broker, and sealed models."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from quatrefoil import output
from quatrefoil.bench import broker
from quatrefoil.bench.attest import measure_attestation
from quatrefoil.bench.containers import measure_containers, require_measurable

WHAT = "verification and appraisal of evidence, releases by a broker, and sealed models beside a plain copy"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--repeats", type=int, default=50, metavar="N", help="repetitions, of which the best counts (default: 50)"
    )
    parser.add_argument(
        "--model-mib", type=int, default=256, metavar="N", help="size of the model that is sealed (default: 256)"
    )
    parser.add_argument("--folder", type=Path, metavar="DIR", help="where it is sealed (default: in memory)")
    output.add_json_option(parser)
    parser.set_defaults(bench=_run)


def _run(args: argparse.Namespace) -> None:
    require_measurable(args.model_mib, args.repeats)
    console = output.progress_console()
    rows = measure_attestation(args.repeats, lambda step: console.print(step))
    release = broker.measure_release(args.repeats, args.folder, lambda step: console.print(step))
    containers = measure_containers(args.model_mib, min(args.repeats, 5), args.folder, lambda step: console.print(step))
    last = containers[-1]
    figures = {name: last[name] for name in ("seal_mb_s", "open_mb_s", "copy_mb_s")}
    output.write_json(
        args.json, "quatrefoil.bench-attest/1", {"rows": rows, **release, "containers": containers, **figures}
    )
    if output.only_json(args):
        return
    columns = ("kind", "bytes", "verify ms", "cached ms", "remembered")
    cells = [
        (r["kind"], str(r["evidence_bytes"]), f"{r['verify_ms']:.2f}", f"{r['cached_ms']:.2f}", str(r["remembered"]))
        for r in rows
    ]
    output.console().print(output.table(f"Evidence, best of {args.repeats}", columns, cells))
    title = f"A release over loopback, median of {args.repeats}"
    drawn = [(what, f"{value:.1f}") for what, value in broker.rows(release)]
    output.console().print(output.table(title, ("what", "ms"), drawn))
    _show_containers(containers, args)


def _show_containers(rows: list[dict[str, Any]], args: argparse.Namespace) -> None:
    columns = ("threads", "seal", "open", "read", "copy", "open / copy", "SHA-256", "AES-GCM")
    names = ("seal_mb_s", "open_mb_s", "read_mb_s", "copy_mb_s", "open_of_copy", "sha256_mb_s", "aes_gcm_mb_s")
    cells = [(str(row["threads"]), *(_figure(name, row[name]) for name in names)) for row in rows]
    title = f"A sealed model of {args.model_mib} MiB, megabytes a second"
    output.console().print(output.table(title, columns, cells))


def _figure(name: str, value: float) -> str:
    return f"{value:.2f}" if name == "open_of_copy" else f"{value:,.0f}"
