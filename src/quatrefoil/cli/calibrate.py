"""``quatrefoil calibrate``: measure this host once, for all plans that are made on it."""

from __future__ import annotations

import argparse
import os
from dataclasses import astuple, fields
from pathlib import Path

from rich.table import Table

from quatrefoil import output
from quatrefoil.bench.calibrated import measure_costs
from quatrefoil.cli import kept_costs
from quatrefoil.errors import CallerError, HostError
from quatrefoil.planner import Costs, Line, RoundCosts, host

NAME = "calibrate"
HELP = "measure what each layer costs on this machine, for the plans that are made on it"
SCHEMA = "quatrefoil.calibration/1"
SECONDS = 20.0
MOST_SECONDS = 3600.0


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", metavar="FILE", type=Path, help="keep the costs in FILE (default: where quatrefoil plan looks)"
    )
    parser.add_argument(
        "--seconds", metavar="S", type=float, default=SECONDS, help=f"about how long (default: {SECONDS:g})"
    )
    parser.add_argument(
        "--threads",
        metavar="N",
        type=int,
        help="measure the kernel in 1, 2, 4 ... up to N threads (default: the cores that are there)",
    )
    output.add_json_option(parser)


def run(options: argparse.Namespace) -> None:
    cores = len(os.sched_getaffinity(0))
    most = cores if options.threads is None else options.threads
    if not 1 <= most <= 1024:
        raise CallerError(f"{most} threads are none, or too many", hint="Give 1 to 1024")
    if not 0 < options.seconds <= MOST_SECONDS:
        raise CallerError(f"{options.seconds:g} s are no time to measure in", hint=f"Give up to {MOST_SECONDS:g}")
    file = options.out or kept_costs.place()
    if options.out is None:
        _make_folder(file.parent)
    output.require_writable(file)
    told = output.progress_console()

    def tell(step: str) -> None:
        told.print(step, markup=False)

    costs = measure_costs(host.availability(), seconds=options.seconds, threads=counts_up_to(most), progress=tell)
    costs.save(file)
    output.write_json(options.json, SCHEMA, {"file": str(file), "costs": costs.to_json()})
    if not output.only_json(options):
        out = output.console()
        for drawn in tables_of(costs):
            out.print(drawn)
        out.print(f"Kept in {file}. quatrefoil plan uses it until it is stale.", markup=False, soft_wrap=True)


def counts_up_to(most: int) -> list[int]:
    """1, 2, 4 ... and ``most``."""
    counts = [1]
    while counts[-1] * 2 < most:
        counts.append(counts[-1] * 2)
    return counts if counts[-1] == most else [*counts, most]


def tables_of(costs: Costs) -> list[Table]:
    """Every figure; a line as its fixed part, and what each further unit adds."""
    kernel = [
        (layer, by_key, names)
        for layer, by_key, names in (
            ("Sums, by values", costs.aggregation, ("encrypt_ms", "add_ms", "decrypt_ms", "ciphertext_bytes")),
            ("Proofs, by values", costs.proofs, ("prove_ms", "verify_ms", "check_key_ms", "proof_bytes")),
            (
                "Encrypted tables, by ciphertexts",
                costs.homomorphic,
                ("encrypt_ms", "weigh_ms", "open_ms", "product_ms", "total_ms", "keys_ms", "keys_bytes"),
            ),
        )
        if by_key
    ]
    drawn = []
    for title, by_key, names in kernel:
        cells = [(key, *(_shown(getattr(one, name)) for name in names)) for key, one in sorted(by_key.items())]
        drawn.append(output.table(title, ("backend", *map(_spoken, names)), cells))
    others = [
        (f"{backend} {_spoken(field.name)}", _shown(getattr(one, field.name)))
        for by_backend in (costs.transport, costs.serving)
        for backend, one in by_backend.items()
        for field in fields(one)
    ]
    drawn += [
        output.table(
            f"Proofs of answers ({key}), by rows and their inputs, rounded sums and weights",
            ("figure", *(_spoken(field.name) for field in fields(one.prove_ms))),
            [
                (_spoken(name), *(f"{value:.3g}" for value in astuple(getattr(one, name))))
                for name in ("prove_ms", "verify_ms")
            ],
        )
        for key, one in sorted(costs.answers.items())
    ]
    others += [
        (f"audit mode, ms of a request, {_spoken(field.name)}", f"{getattr(one.recorded_ms, field.name):.3g}")
        for one in list(costs.answers.values())[:1]
        for field in fields(one.recorded_ms)
    ]
    others += [
        (f"proof of answers, bytes, {_spoken(field.name)}", f"{getattr(one.proof_bytes, field.name):.4g}")
        for one in list(costs.answers.values())[:1]
        for field in fields(one.proof_bytes)
    ]
    others += [
        (f"row of a network in {name}, ms by rotations", _shown(one.row_ms)) for name, one in costs.networks.items()
    ]
    others += [(f"round, besides, {_spoken(f.name)} by silos", _shown(getattr(costs.rounds, f.name))) for f in _ROUND]
    others.append(("log append ms", _shown(costs.log_append_ms)))
    return [*drawn, output.table("Messages, requests, entries; by bytes", ("what", "takes"), others)]


_ROUND = fields(RoundCosts)


def _shown(value: Line | float) -> str:
    if isinstance(value, Line):
        return f"{value.fixed:.3g} + {value.each:.2g} n"
    return f"{value:.4g}"


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HostError(f"{folder} cannot be made ({error.strerror})", hint="Name a file with --out") from None
