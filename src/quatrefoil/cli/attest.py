"""``quatrefoil attest``: verify evidence of what runs, and check the policies that it is held to."""

from __future__ import annotations

import argparse

from quatrefoil.cli import attest_collateral, attest_policy, attest_verify

NAME = "attest"
HELP = "verify evidence of what runs in an enclave, offline, under a policy"

_COMMANDS = (attest_verify, attest_policy, attest_collateral)


def configure(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(metavar="WHAT", required=True, dest="what")
    for module in _COMMANDS:
        command = commands.add_parser(module.NAME, help=module.HELP, description=module.HELP)
        module.configure(command)
        command.set_defaults(attest=module.run)


def run(options: argparse.Namespace) -> None:
    options.attest(options)
