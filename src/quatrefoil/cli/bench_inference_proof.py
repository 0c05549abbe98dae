"""``quatrefoil bench inference-proof``: proofs of a model's answers beside computing them, and beside EZKL."""

from __future__ import annotations

import argparse
from typing import Any

from quatrefoil import output
from quatrefoil.errors import DependencyMissing

WHAT = "proofs of a model's answers beside ONNX Runtime without proof, and beside EZKL"
MODELS = ("784-128-10", "2048-2048-2048", "lenet-5")
SCHEMA = "quatrefoil.bench-inference-proof/1"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        action="append",
        choices=MODELS,
        metavar="NAME",
        help=f"{', '.join(MODELS)}; repeat (default: all)",
    )
    for name, default, metavar, what in (
        ("--threads", 1, "T", "threads of the prover, of ONNX Runtime and of EZKL"),
        ("--repeats", 3, "R", "proofs of each row, of which the best counts"),
    ):
        parser.add_argument(name, type=int, default=default, metavar=metavar, help=f"{what} (default: {default})")
    parser.add_argument(
        "--ezkl", default="", metavar="PYTHON", help="measure EZKL under this Python, which has it (default: this one)"
    )
    output.add_json_option(parser)
    parser.set_defaults(bench=_run)


def _run(args: argparse.Namespace) -> None:
    output.require_writable(args.json)
    try:
        from quatrefoil.bench.inference_proof import measure_with_peer
        from quatrefoil.bench.inference_prover import commit
    except ImportError as error:
        raise DependencyMissing(f"{error.name} is not installed", hint="pip install 'quatrefoil[bench]'") from None
    console = output.progress_console()

    def progress(step: str) -> None:
        console.print(step, markup=False)

    found = measure_with_peer(commit, args.threads, args.repeats, progress, models=args.model or (), ezkl=args.ezkl)
    output.write_json(args.json, SCHEMA, found)
    if not output.only_json(args):
        show(found)


def show(found: dict[str, Any]) -> None:
    """The tables for people."""
    rows, console = found["rows"], output.console()
    columns = ("model", "batch", "plain ms", "prove ms", "ratio", "reach", "an inference, ms", "verify ms", "reach")
    title = f"Proofs of answers, inputs and outputs public; {rows[0]['threads']} thread(s)"
    console.print(output.table(title, columns, [_times(row) for row in rows]))
    columns = (
        "model",
        "weights",
        "batch",
        "proof bytes",
        "reach",
        "soundness",
        "commit ms",
        "peak MB",
        "accuracy drop",
    )
    console.print(output.table("What is proven, and what it takes", columns, [_sizes(row) for row in rows]))
    for row in rows:
        if row["missed"]:
            missed = ", ".join(f"{name.replace('_', ' ')} {_shown(row[name])}" for name in row["missed"])
            console.print(f"{row['shape']}: above what was hoped for: {missed}.", markup=False)
    console.print(
        "Plain: ONNX Runtime, the float model, as many threads. A ratio is of its shape alone. Prove: from inputs as"
        " they come, computing the model in integers among it. Accuracy drop: right answers that quantising loses.",
        markup=False,
    )
    if (peer := found["peer"]) is None:
        console.print(f"Peer EZKL: not measured. {found['peer_problem']}", markup=False)
    else:
        _show_peer(peer, rows)


def _show_peer(peer: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    figures = ("prove_ms", "prove_cpu_ms", "verify_ms", "proof_bytes", "setup_ms", "once_ms", "peak_rss_mb")
    cells = [(peer["peer"], *(_shown(peer[name]) for name in figures))]
    console = output.console()
    columns = ("peer", *(name.replace("_", " ") for name in figures))
    console.print(output.table(f"One inference of {peer['model']}", columns, cells))
    for row in rows:
        if (ratio := row.get("ezkl_over_ours")) is not None:
            console.print(f"{row['shape']}: {peer['peer']} takes {ratio:,.0f} times as long for one.", markup=False)
    settings = ", ".join(f"{name} {value}" for name, value in sorted(peer["settings"].items()))
    console.print(f"EZKL, settings calibrated for resources: {settings}.", markup=False)


def _times(row: dict[str, Any]) -> tuple[str, ...]:
    reach = row["reach"]
    proving = f"{reach['ratio']:g}x" if "ratio" in reach else f"{reach['prove_ms']:g} ms"
    return (
        row["model"],
        f"{row['batch']:,}",
        f"{row['plain_ms']:.3f}",
        _shown(row["prove_ms"]),
        f"{row['ratio']:,.0f}x",
        f"<= {proving}",
        f"{row['per_inference_ms']:.3f}",
        _shown(row["verify_ms"]),
        f"<= {reach['verify_ms']:g}",
    )


def _sizes(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["model"],
        f"{row['weights']:,}",
        f"{row['batch']:,}",
        f"{row['proof_bytes']:,}",
        f"<= {row['reach']['proof_bytes']:,}",
        f"{row['soundness_bits']:.1f} bits",
        _shown(row["commit_ms"]),
        f"{row['peak_rss_mb']:.0f}",
        f"{row['accuracy_drop']:.4f}",
    )


def _shown(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.1f}" if value < 1000 else f"{value:,.0f}"


__all__ = ["SCHEMA", "WHAT", "add_options", "show"]
