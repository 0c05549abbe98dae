"""Where a root key is, as commands are told: in a file, or in a PKCS #11 token. The PIN is never an argument."""

from __future__ import annotations

import argparse
from pathlib import Path

from quatrefoil.broker.root_file import FileRootKey
from quatrefoil.broker.root_key import RootKey
from quatrefoil.broker.root_pkcs11 import TokenRootKey, identities
from quatrefoil.broker.root_token import PIN_VARIABLE, Place, pin_from
from quatrefoil.cli.hexadecimal import digest
from quatrefoil.errors import CallerError


def add_root_key(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """The options by which a command is told where the root key is."""
    where = parser.add_mutually_exclusive_group(required=required)
    where.add_argument("--root-key", type=Path, metavar="FILE", help="the root key, in a file")
    where.add_argument("--token", metavar="LABEL", help="the PKCS #11 token that holds the root key")
    add_token_access(parser)
    add_identity(parser, "which root key, where the token holds several")


def add_identity(parser: argparse.ArgumentParser, text: str, *, required: bool = False) -> None:
    parser.add_argument("--root-identity", type=digest, required=required, metavar="HEX", help=text)


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
    if args.token is not None:
        return TokenRootKey(token_place(args), pin_from(args.pin_file), identity=args.root_identity)
    key = FileRootKey.load(args.root_key)
    found = key.identity()
    if args.root_identity not in (None, found):
        key.close()
        raise CallerError(
            f"{args.root_key} holds root key {found.hex()[:16]}, not {args.root_identity.hex()[:16]}",
            hint="Name the file of the one that is meant",
        )
    return key


def token_place(args: argparse.Namespace) -> Place:
    """The token that --token and --pkcs11 name."""
    if args.pkcs11 is None:
        raise CallerError(
            f"token {args.token!r} is reached through a PKCS #11 module, and none is named",
            hint="Give --pkcs11, like /usr/lib/softhsm/libsofthsm2.so",
        )
    return Place(args.pkcs11, args.token)


def held(args: argparse.Namespace) -> list[bytes]:
    """The identities of the root keys in the token that is named."""
    return identities(token_place(args), pin_from(args.pin_file))
