"""``quatrefoil aggregator``: plans the job, enrols silos, adds what it cannot read."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from pathlib import Path

from quatrefoil.cli.aggregator_tree import add_first_model_options, add_upper_options, first_model
from quatrefoil.output import require_writable
from quatrefoil.parties.aggregator import AggregatorProgram
from quatrefoil.parties.arguments import address
from quatrefoil.parties.options import add_job_options
from quatrefoil.parties.party import PartyFiles
from quatrefoil.parties.running import Service
from quatrefoil.parties.upper import upper_party

NAME = "aggregator"
HELP = "plan a job, enrol its silos, and add their updates without reading them"


def configure(parser: argparse.ArgumentParser) -> None:
    add_job_options(parser)
    parser.add_argument("--listen", required=True, type=address, metavar="HOST:PORT", help="where silos connect to")
    add_first_model_options(parser)
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the final model (.npz)")
    add_upper_options(parser)


def run(options: argparse.Namespace) -> None:
    require_writable(options.out)
    initial = first_model(options)
    with contextlib.ExitStack() as opened:
        files = opened.enter_context(PartyFiles(options, "aggregator"))
        if (upper := upper_party(options)) is not None:
            opened.enter_context(upper)
        program = AggregatorProgram(options, files, initial, upper, adds_groups=options.groups_of is not None)
        service = opened.enter_context(Service(options, program.vitals, files.state))
        program.listens, program.noticed = service.manager.ready, service.notice
        asyncio.run(service.run(program.serve()))
