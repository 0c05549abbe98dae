"""``quatrefoil aggregator``: plans the job, enrols silos, adds what it cannot read."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from pathlib import Path

from quatrefoil.cli.aggregator_program import AggregatorProgram
from quatrefoil.cli.aggregator_upper import (
    add_first_model_options,
    add_upper_options,
    first_model,
    upper_party,
)
from quatrefoil.cli.enclaves import add_keeper_enclave_option
from quatrefoil.cli.parties import (
    PartyFiles,
    add_party_options,
    add_pin_option,
    address,
    patience,
    seconds,
)
from quatrefoil.cli.running import Service, add_running_options
from quatrefoil.output import add_json_option, require_writable

NAME = "aggregator"
HELP = "plan a job, enrol its silos, and add their updates without reading them"


def configure(parser: argparse.ArgumentParser) -> None:
    add_job_options(parser)
    parser.add_argument("--listen", required=True, type=address, metavar="HOST:PORT", help="where silos connect to")
    add_first_model_options(parser)
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the final model (.npz)")
    add_upper_options(parser)


def add_job_options(parser: argparse.ArgumentParser) -> None:
    """All that an aggregator needs but where its silos come from, and the model that it begins with."""
    add_party_options(parser)
    parser.add_argument(
        "--workload", required=True, type=Path, metavar="FILE", help="the workload whose collect phase is run"
    )
    parser.add_argument(
        "--keeper",
        type=address,
        metavar="HOST:PORT",
        help="where the keeper listens; none where the policy has a committee",
    )
    add_pin_option(parser, "the keeper")
    add_keeper_enclave_option(parser, "default: none")
    parser.add_argument("--silos", required=True, metavar="NAME,NAME,...", help="whom to invite")
    parser.add_argument(
        "--parent-provenance",
        type=Path,
        metavar="FILE",
        help="the provenance.json of the job that --initial came out of (default: given as is)",
    )
    parser.add_argument("--job", required=True, metavar="NAME", help="a name that no earlier job had")
    parser.add_argument("--costs", type=Path, metavar="FILE", help="measured costs (default: a short calibration)")
    parser.add_argument(
        "--deadline", type=seconds, default=60.0, metavar="S", help="seconds a round waits for every silo (default: 60)"
    )
    parser.add_argument(
        "--give-up",
        type=patience,
        default=600.0,
        metavar="S",
        help="seconds it waits for the minimum, or `never` (default: 600)",
    )
    parser.add_argument(
        "--record", type=Path, metavar="DIR", help="keep contributions as received: what crosses the wire"
    )
    add_running_options(parser)
    add_json_option(parser)


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
