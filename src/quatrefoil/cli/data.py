"""``quatrefoil data``: data sets sealed together with the policy that governs their release."""

from __future__ import annotations

import argparse

from quatrefoil.cli.container_commands import add_commands

NAME = "data"
HELP = "seal a data set together with the policy that governs its release"


def configure(parser: argparse.ArgumentParser) -> None:
    add_commands(parser.add_subparsers(metavar="COMMAND", required=True), "dataset")


def run(options: argparse.Namespace) -> None:
    options.run(options)
