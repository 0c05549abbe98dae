"""``quatrefoil attest``: collect and verify evidence of what runs, and check the policies that it is held to."""

from __future__ import annotations

import argparse

from quatrefoil.cli import attest_collateral, attest_collect, attest_keyset, attest_policy, attest_verify

NAME = "attest"
HELP = "collect evidence of what runs in an enclave, or verify it, offline, under a policy"

_COMMANDS = (attest_collect, attest_collateral, attest_verify, attest_keyset, attest_policy)


def configure(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(metavar="WHAT", required=True, dest="what")
    for module in _COMMANDS:
        command = commands.add_parser(module.NAME, help=module.HELP, description=module.HELP)
        module.configure(command)
        command.set_defaults(attest=module.run)


def run(options: argparse.Namespace) -> None:
    options.attest(options)
