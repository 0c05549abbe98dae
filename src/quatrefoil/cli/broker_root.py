"""``quatrefoil broker root``: the root key of a broker, its backup and its recovery."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from quatrefoil.broker.root_file import FileRootKey
from quatrefoil.broker.root_key import IDENTITY_BYTES, RootKey
from quatrefoil.broker.root_pkcs11 import TokenRootKey
from quatrefoil.broker.root_token import PIN_VARIABLE, Place, pin_from
from quatrefoil.cli import archives, output
from quatrefoil.errors import CallerError


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
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--root-key", type=Path, metavar="FILE", help="the root key, in a file")
    where.add_argument("--token", metavar="LABEL", help="the PKCS #11 token that holds the root key")
    add_token_access(parser)
    parser.add_argument(
        "--root-identity", type=_identity, metavar="HEX", help="which root key, where the token holds several"
    )


def add_token_access(parser: argparse.ArgumentParser) -> None:
    """How a token is reached: nothing here is secret."""
    parser.add_argument(
        "--pkcs11", type=Path, metavar="FILE", help="with --token: the shared library that came with the token"
    )
    parser.add_argument(
        "--pin-file", type=Path, metavar="FILE", help=f"with --token: holds its PIN (default: from {PIN_VARIABLE})"
    )


def open_root_key(args: argparse.Namespace) -> RootKey:
    """The root key that :func:`add_root_key`'s options name."""
    if args.token is None:
        key = FileRootKey.load(args.root_key)
        if args.root_identity not in (None, key.identity()):
            raise CallerError(
                f"{args.root_key} holds root key {key.identity().hex()[:16]}, not {args.root_identity.hex()[:16]}",
                hint="Name the file of the one that is meant",
            )
        return key
    return TokenRootKey(token_place(args), pin_from(args.pin_file), identity=args.root_identity)


def token_place(args: argparse.Namespace) -> Place:
    """The token that --token and --pkcs11 name."""
    if args.pkcs11 is None:
        raise CallerError(
            f"token {args.token!r} is reached through a PKCS #11 module, and none is named",
            hint="Give --pkcs11, like /usr/lib/softhsm/libsofthsm2.so",
        )
    return Place(args.pkcs11, args.token)


def _identity(text: str) -> bytes:
    """The identity of a root key, for argparse."""
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != IDENTITY_BYTES:
        raise argparse.ArgumentTypeError(f"{text!r} is not {IDENTITY_BYTES} bytes in hexadecimal")
    return found


def _show(args: argparse.Namespace) -> None:
    key = open_root_key(args)
    try:
        identity = key.identity().hex()
    finally:
        key.close()
    where = "file" if args.token is None else "token"
    if not output.only_json(args):
        archives.show("Root key", [("kept in", f"{where} {args.token or args.root_key}"), ("identity", identity)])
    output.write_json(args.json, "quatrefoil.broker-root/1", {"kept_in": where, "identity": identity})
