"""``quatrefoil broker root show``: which root key there is, or what a ceremony's or a recovery's statement says."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.markup import escape

from quatrefoil import output
from quatrefoil.broker import root_ceremony, root_recovery
from quatrefoil.broker.root_ceremony import Ceremony
from quatrefoil.broker.root_recovery import Recovery
from quatrefoil.cli import root_place
from quatrefoil.errors import CallerError, MessageRefused
from quatrefoil.transport import TrustAnchor, files, system_clock
from quatrefoil.transport.statement import Signed
from quatrefoil.wire import type_of

SCHEMA = "quatrefoil.broker-root/1"


def configure(actions: argparse._SubParsersAction[Any]) -> None:
    text = "open a root key and say which it is, or verify the statement of a ceremony or a recovery"
    show = actions.add_parser("show", help=text, description=text)
    show.add_argument("statement", metavar="STATEMENT", nargs="?", type=Path, help="a statement, instead of a key")
    show.add_argument("--root", type=Path, metavar="FILE", help="with STATEMENT: the consortium's root certificate")
    root_place.add_root_key(show, required=False)
    output.add_json_option(show)
    show.set_defaults(action=_show)


def print_statement(file: Path, trust: TrustAnchor) -> None:
    """What a statement says, once it is verified."""
    _print(_described(file, trust))


def _show(args: argparse.Namespace) -> None:
    if (args.statement is None) == (args.root_key is None and args.token is None):
        raise CallerError("there is one thing to show", hint="Name a STATEMENT with --root, or --root-key, or --token")
    if args.statement is None:
        content = _described_key(args)
    elif args.root is None:
        raise CallerError("a statement is verified against a root certificate", hint="Give --root")
    else:
        content = _described(args.statement, TrustAnchor.load(args.root))
    if not output.only_json(args):
        _print(content)
    output.write_json(args.json, SCHEMA, content)


def _described_key(args: argparse.Namespace) -> dict[str, Any]:
    key = root_place.open_root_key(args)
    try:
        where = f"file {args.root_key}" if args.token is None else f"token {args.token}"
        return {"what": "root-key", "root": key.identity().hex(), "kept_in": where}
    finally:
        key.close()


def _described(file: Path, trust: TrustAnchor) -> dict[str, Any]:
    signed = files.read(file, "statement")
    what = type_of(Signed.decode(signed).body)
    if what == Ceremony.TYPE:
        return _described_ceremony(root_ceremony.verify(signed, trust, clock=system_clock))
    if what == Recovery.TYPE:
        recovery, by = root_recovery.verify(signed, trust, clock=system_clock)
        return {
            "what": f"root-recovery to {recovery.purpose}",
            "root": recovery.root.hex(),
            "ceremony": recovery.ceremony.hex(),
            "by": by,
            "at": _time(recovery.recovered_at),
            "contributors": list(recovery.contributors),
            "expired": recovery.expired,
        }
    raise MessageRefused(f"{file} is neither a ceremony nor a recovery", hint="Name what `broker root` wrote")


def _described_ceremony(held: root_ceremony.Held) -> dict[str, Any]:
    said = held.ceremony
    return {
        "what": "root-ceremony",
        "root": said.root.hex(),
        "ceremony": said.digest().hex(),
        "previous": said.previous.hex(),
        "by": held.holder.name,
        "at": _time(said.made_at),
        "expires": _time(said.expires),
        "threshold": said.threshold,
        "operators": [
            {"index": one.index, "name": one.name, "role": one.role, "key": one.key.hex()} for one in said.operators
        ],
    }


def _print(content: dict[str, Any]) -> None:
    rows = []
    for name, value in content.items():
        if name == "operators":
            rows += [(f"operator {one['index']}", f"{one['name']} ({one['role']}), {one['key'][:16]}") for one in value]
        elif isinstance(value, list):
            rows.append((name, ", ".join(value)))
        else:
            rows.append((name.replace("_", " "), str(value)))
    if content.get("what") == "root-ceremony" and not content["operators"]:
        rows.append(("backup", "none: the key is lost with its token"))
    output.console().print(output.table("Root key", ("what", "value"), [(name, escape(value)) for name, value in rows]))


def _time(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


__all__ = ["configure", "print_statement"]
