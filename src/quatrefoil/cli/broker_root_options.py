"""The options of ``quatrefoil broker root``."""

from __future__ import annotations

import argparse
from pathlib import Path

from quatrefoil.broker.root_ceremony import LIFETIME
from quatrefoil.cli import archives, root_place


def add_out(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("out", metavar="DIR", type=Path, help=f"new folder for {what}")


def add_party(parser: argparse.ArgumentParser) -> None:
    archives.add_identity(parser)
    archives.add_root(parser)
    parser.add_argument("--state", type=Path, metavar="DIR", help="the broker's folder, in whose log it is written")


def add_destination(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--in-file", action="store_true", help="keep the key in DIR/root.key: who reads it has the key")
    parser.add_argument("--token", metavar="LABEL", help="keep the key in this PKCS #11 token")
    root_place.add_token_access(parser)


def add_operators(parser: argparse.ArgumentParser, *, required: bool) -> None:
    parser.add_argument(
        "--to",
        action="append",
        type=Path,
        required=required,
        metavar="CERT",
        help="an operator's sealing certificate, of `quatrefoil seal-key`; repeat for each",
    )
    parser.add_argument(
        "--threshold", type=int, required=required, metavar="T", help="how many shares give the key back"
    )
    archives.add_minimum(parser)
    parser.add_argument(
        "--days", type=int, default=LIFETIME.days, help="how long the shares are good for (default: %(default)s)"
    )


def add_handed_over(parser: argparse.ArgumentParser, *, required: bool) -> None:
    parser.add_argument(
        "--ceremony",
        type=Path,
        required=required,
        metavar="FILE",
        help="the statement of the ceremony, ceremony.statement",
    )
    parser.add_argument(
        "--share",
        action="append",
        type=Path,
        required=required,
        metavar="FILE",
        help="a share that its operator handed over with `quatrefoil rewrap`; repeat for each",
    )
    parser.add_argument(
        "--key", type=Path, required=required, metavar="DIR", help="the sealing key that they were handed over to"
    )
    root_place.add_identity(parser, "the root key that is meant, as the broker's log names it", required=required)
    parser.add_argument("--accept-expired", action="store_true", help="take shares past their end; the log says so")
