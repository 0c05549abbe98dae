"""``quatrefoil audit``: read a party's log, and check what it says without trusting whoever keeps it."""

from __future__ import annotations

import argparse

from quatrefoil.cli import (
    audit_bundle,
    audit_cosign,
    audit_monitor,
    audit_prove,
    audit_receipt,
    audit_report,
    audit_sample,
    audit_show,
    audit_verify,
)

NAME = "audit"
HELP = "check and read what a party has logged"

_COMMANDS = (
    audit_verify,
    audit_show,
    audit_prove,
    audit_receipt,
    audit_cosign,
    audit_sample,
    audit_bundle,
    audit_report,
    audit_monitor,
)


def configure(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(metavar="WHAT", required=True, dest="what")
    for module in _COMMANDS:
        command = commands.add_parser(module.NAME, help=module.HELP, description=module.HELP)
        module.configure(command)
        command.set_defaults(audit=module.run)


def run(options: argparse.Namespace) -> None:
    options.audit(options)
