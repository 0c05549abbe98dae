"""What the commands under ``quatrefoil audit`` share: which log, and whom the auditor trusts."""

from __future__ import annotations

import argparse
from pathlib import Path

from quatrefoil.audit import PartyLog
from quatrefoil.audit.log import LOG_FOLDER, TRUST_FOLDER
from quatrefoil.errors import CallerError
from quatrefoil.tlog.tiles import CHECKPOINT
from quatrefoil.transport import TrustAnchor


def add_log_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("log", type=Path, metavar="DIR", help="a party's --state folder, or the log folder in it")
    parser.add_argument(
        "--trust",
        type=Path,
        metavar="FILE",
        help="the consortium's root certificate, its crl.pem beside it (default: those that lie beside the log)",
    )


def open_log(options: argparse.Namespace) -> PartyLog:
    folder = log_folder(options.log)
    return PartyLog.in_folder(folder, TrustAnchor.load(options.trust or folder / TRUST_FOLDER))


def log_folder(given: Path) -> Path:
    """The folder of tiles in what was given."""
    for folder in (given, given / LOG_FOLDER):
        if (folder / CHECKPOINT).exists():
            return folder
    raise CallerError(f"there is no log at {given}", hint="Name a party's --state folder")
