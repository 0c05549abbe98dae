"""``quatrefoil model commit``: commit to a model's weights, so that its answers can be proven."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.markup import escape

from quatrefoil.cli import archives, containers
from quatrefoil.cli.output import (
    add_json_option,
    console,
    only_json,
    progress_console,
    require_writable,
    table,
    write_json,
)
from quatrefoil.cli.parties import count
from quatrefoil.errors import CallerError
from quatrefoil.proofs.inference import shape
from quatrefoil.proven import ModelFolder
from quatrefoil.proven.statement import ROLE
from quatrefoil.transport import TrustAnchor, system_clock

SCHEMA = "quatrefoil.model-commit/1"


def add_commit(commands: Any) -> None:
    parser = commands.add_parser("commit", help="commit to the weights of an integer model, to prove its answers")
    parser.add_argument(
        "model", type=Path, nargs="?", metavar="MODEL", help="the integer model, as `model quantise` wrote it"
    )
    parser.add_argument("--openings", type=count, metavar="T", help="how often it may be opened, 4 to 64 (default: 64)")
    parser.add_argument(
        "--identity", type=Path, metavar="DIR", help="the server, which signs what the model's weights are"
    )
    parser.add_argument("--root", type=Path, metavar="FILE", help="the consortium's root certificate")
    parser.add_argument(
        "--link", type=Path, metavar="DIR", help="instead of MODEL: commit afresh to the weights of this commitment"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new folder for it; it holds a secret")
    containers.add_threads(parser)
    add_json_option(parser)
    parser.set_defaults(run=_run)


FEWEST_OPENINGS = 4
"""Proof of range, two links, and one proof of answers."""


def _run(options: argparse.Namespace) -> None:
    require_writable(options.json)
    given = (options.model, options.identity, options.root)
    if (options.link is None) != all(one is not None for one in given) or (options.link and options.openings):
        raise CallerError(
            "either a model is committed to, or a commitment linked",
            hint="Give MODEL with --identity and --root, or --link without them and without --openings",
        )
    told = progress_console()

    def say(what: str) -> None:
        told.print(what)

    if options.link:
        folder = ModelFolder(options.link).link(options.out, threads=options.threads, told=say)
    else:
        openings = 64 if options.openings is None else options.openings
        if not FEWEST_OPENINGS <= openings <= 64:
            raise CallerError(f"{openings} openings are not {FEWEST_OPENINGS} to 64", hint="Give a number of these")
        identity = archives.signer(options.identity, TrustAnchor.load(options.root))
        if identity.role != ROLE:
            raise CallerError(
                f"{options.identity} is {identity.role} {identity.name}, and models are served by a {ROLE}",
                hint=f"Have `quatrefoil ca issue` make one with --role {ROLE}",
            )
        folder = ModelFolder.create(
            options.out, options.model, openings, identity, at=system_clock(), threads=options.threads, told=say
        )
    _show(options, folder)


def _show(options: argparse.Namespace, folder: ModelFolder) -> None:
    commitment, said = folder.commitment, folder.committed
    one = shape(commitment.program, commitment.openings, 1, hidden=False)
    found: dict[str, Any] = {
        "model": said.model.hex(),
        "model_root": commitment.root.hex(),
        "root": commitment.current.hex(),
        "program": said.program.hex(),
        "weights": folder.graph.weights,
        "openings": commitment.openings,
        "openings_left": folder.left,
        "links": len(commitment.links),
        "commitment_bytes": len(commitment.encode()),
    }
    if not only_json(options):
        rows = [
            (name.replace("_", " "), f"{value:,}" if isinstance(value, int) else value) for name, value in found.items()
        ]
        console().print(table(escape(f"{options.out}: keep it secret, and in no backup"), ("", ""), rows))
    write_json(options.json, SCHEMA, {**found, "shape_of_one": one})


__all__ = ["add_commit"]
