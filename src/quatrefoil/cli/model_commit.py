"""``quatrefoil model commit``: commit to a model's weights, so that its answers can be proven."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.markup import escape

from quatrefoil.cli import archives, containers
from quatrefoil.errors import CallerError
from quatrefoil.output import add_json_option, console, only_json, progress_console, require_writable, table, write_json
from quatrefoil.parties.arguments import count
from quatrefoil.proofs.inference import shape
from quatrefoil.proofs.openings import USUAL_OPENINGS, require_enough
from quatrefoil.proven import ModelFolder
from quatrefoil.proven.statement import ROLE
from quatrefoil.transport import Identity, TrustAnchor, system_clock

SCHEMA = "quatrefoil.model-commit/1"


def add_commit(commands: Any) -> None:
    parser = commands.add_parser("commit", help="commit to the weights of an integer model, to prove its answers")
    parser.add_argument(
        "model", type=Path, nargs="?", metavar="MODEL", help="the integer model, as `model quantise` wrote it"
    )
    parser.add_argument("--openings", type=count, metavar="T", help="how often it may be opened, 3 to 64 (default: 16)")
    parser.add_argument(
        "--identity",
        type=Path,
        metavar="DIR",
        help="the server, which signs what the model's weights are; not needed where `model seal --committed` follows",
    )
    parser.add_argument("--root", type=Path, metavar="FILE", help="the consortium's root certificate")
    parser.add_argument(
        "--link", type=Path, metavar="DIR", help="instead of MODEL: commit afresh to the weights of this commitment"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new folder for it; it holds a secret")
    containers.add_threads(parser)
    add_json_option(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    require_writable(options.json)
    signing = (options.identity, options.root)
    of_model = (*signing, options.openings)
    if (options.link is None) != (options.model is not None) or (options.link and any(of_model)):
        raise CallerError(
            "either a model is committed to, or a commitment linked",
            hint="Give MODEL, with --identity and --root where its server signs; or --link and none of these",
        )
    if (options.identity is None) != (options.root is None):
        raise CallerError("a signature has an identity and a root", hint="Give --identity and --root, or neither")
    told = progress_console()

    def say(what: str) -> None:
        told.print(what)

    if options.link:
        folder = ModelFolder(options.link).link(options.out, threads=options.threads, told=say)
    else:
        openings = USUAL_OPENINGS if options.openings is None else options.openings
        require_enough(openings)
        identity = _server(options) if options.identity else None
        folder = ModelFolder.create(
            options.out, options.model, openings, identity, at=system_clock(), threads=options.threads, told=say
        )
    _show(options, folder)


def _server(options: argparse.Namespace) -> Identity:
    identity = archives.signer(options.identity, TrustAnchor.load(options.root))
    if identity.role != ROLE:
        raise CallerError(
            f"{options.identity} is {identity.role} {identity.name}, and models are served by a {ROLE}",
            hint=f"Have `quatrefoil ca issue` make one with --role {ROLE}",
        )
    return identity


def _show(options: argparse.Namespace, folder: ModelFolder) -> None:
    commitment, said = folder.commitment, folder.committed
    one = shape(commitment.program, commitment.openings, 1, hidden=False)
    found: dict[str, Any] = {
        "model": said.model.hex(),
        "model_root": commitment.root.hex(),
        "root": commitment.current.hex(),
        "program": said.program.hex(),
        "weights": folder.graph.weights,
        "signed": folder.server or "by no server: seal the model with --committed",
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
