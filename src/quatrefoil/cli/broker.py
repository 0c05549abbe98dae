"""``quatrefoil broker``: keys for measured code only, and the root key that they are kept under."""

from __future__ import annotations

import argparse

from quatrefoil.cli import broker_client, broker_hold, broker_root, broker_run

NAME = "broker"
HELP = "release keys to measured code only"


def configure(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(metavar="ACTION", required=True)
    broker_run.configure(commands)
    broker_client.configure(commands)
    broker_hold.configure(commands)
    broker_root.configure(commands)


def run(args: argparse.Namespace) -> None:
    args.action(args)
