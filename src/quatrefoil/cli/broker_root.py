"""``quatrefoil broker root``: the root key of a broker, its backup and its recovery."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from quatrefoil.broker.root_file import FileRootKey
from quatrefoil.broker.root_key import RootKey
from quatrefoil.cli import archives, output


def configure(commands: argparse._SubParsersAction[Any]) -> None:
    """Add ``root`` to the commands of ``quatrefoil broker``; each action sets ``action``."""
    help_text = "make, split, recover and show the root key"
    actions = commands.add_parser("root", help=help_text, description=help_text).add_subparsers(
        metavar="ACTION", required=True
    )
    show = actions.add_parser("show", help="open a root key and say which it is")
    add_root_key(show)
    output.add_json_option(show)
    show.set_defaults(action=_show)


def add_root_key(parser: argparse.ArgumentParser) -> None:
    """The options by which a command is told where the root key is."""
    parser.add_argument("--root-key", required=True, type=Path, metavar="FILE", help="the root key, in a file")


def open_root_key(args: argparse.Namespace) -> RootKey:
    """The root key that :func:`add_root_key`'s options name."""
    return FileRootKey.load(args.root_key)


def _show(args: argparse.Namespace) -> None:
    key = open_root_key(args)
    try:
        identity = key.identity().hex()
    finally:
        key.close()
    if not output.only_json(args):
        archives.show("Root key", [("kept in", f"file {args.root_key}"), ("identity", identity)])
    output.write_json(args.json, "quatrefoil.broker-root/1", {"kept_in": "file", "identity": identity})
