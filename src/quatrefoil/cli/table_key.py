"""``quatrefoil table-key``: the key of encrypted tables, sealed for measured code, and its public half."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quatrefoil import output
from quatrefoil.cli import archives, container_commands, containers
from quatrefoil.errors import HostError
from quatrefoil.transport import TrustAnchor, files, sealed, system_clock

if TYPE_CHECKING:
    from quatrefoil.analytics import HolderKey

NAME = "table-key"
HELP = "make the key of encrypted tables, sealed for measured code, and see whose a public one is"
_KIND = "table-key"


def configure(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    new = commands.add_parser("new", help="draw a key: its secret half sealed under a policy, its public half signed")
    new.add_argument("--set", default="ckks-product-8192", metavar="NAME", help="parameter set (default: %(default)s)")
    new.add_argument("--public", required=True, type=Path, metavar="FILE", help="new file for the signed public half")
    container_commands.add_sealing(new)
    archives.add_new_file(new, "the sealed secret half")
    output.add_json_option(new)
    new.set_defaults(run=_new)

    show = commands.add_parser("show", help="verify a public key, and say whose it is and how it is named")
    show.add_argument("public", type=Path, metavar="FILE", help="the public half, as its holder signed it")
    archives.add_root(show)
    containers.add_judgement(show)
    output.add_json_option(show)
    show.set_defaults(run=_show)

    container_commands.add_inspect(commands, _KIND)


def run(options: argparse.Namespace) -> None:
    options.run(options)


def _new(options: argparse.Namespace) -> None:
    from quatrefoil.aggregation.he import HeParameters
    from quatrefoil.table_keys import make, read_key

    archives.no_stdout(options.out)
    parameters = HeParameters.named(options.set)
    given = container_commands.sealing_of(_KIND, options, media="")
    if options.public.exists():  # before anything is written: no sealed key without its public half
        raise HostError(f"{options.public} exists already", hint="Name another place; nothing is overwritten")
    with sealed.new_file(options.out, mode=files.PUBLIC) as sink:
        _, signed = make(parameters, sink, about=given.about, owner=given.owner, brokers=given.brokers)
    files.write_new(options.public, signed)
    front = container_commands.show_sealed(options, given.trust)
    key = read_key(signed, given.trust, judged=sealed.Judged.NOW, clock=system_clock)
    _print(f"{options.public}: the public half", key, options)
    output.write_json(
        options.json, "quatrefoil.table-key-new/1", {"public": _as_json(key), "sealed": containers.as_json(front)}
    )


def _show(options: argparse.Namespace) -> None:
    from quatrefoil.table_keys import read_key

    signed = files.read(options.public, "public key")
    key = read_key(signed, TrustAnchor.load(options.root), judged=archives.judged(options), clock=system_clock)
    _print(f"{options.public}: a public key of encrypted tables", key, options)
    output.write_json(options.json, "quatrefoil.table-key-show/1", _as_json(key))


def _print(title: str, key: HolderKey, options: argparse.Namespace) -> None:
    if output.only_json(options):
        return
    made = datetime.fromtimestamp(key.said.made_at, UTC)
    rows = [
        ("holder", f"{key.holder.signer} ({key.holder.role}), who says {made:%Y-%m-%d %H:%M} UTC"),
        ("name and number", f"{key.said.name}, {key.said.serial}"),
        ("parameters", key.parameters.name),
        ("secret half sealed as", key.said.resource.hex()),
        ("digest, which tells it from every other", key.digest.hex()),
    ]
    archives.show(title, rows)


def _as_json(key: HolderKey) -> dict[str, Any]:
    return {
        "digest": key.digest.hex(),
        "holder": {"name": key.holder.signer, "role": key.holder.role, "certificate": key.holder.fingerprint.hex()},
        "name": key.said.name,
        "serial": key.said.serial,
        "made_at": key.said.made_at,
        "parameters": key.parameters.name,
        "key_id": key.key_id.hex(),
        "resource": key.said.resource.hex(),
    }
