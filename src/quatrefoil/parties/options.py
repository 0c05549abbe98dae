"""What parties are told: options that a command line has, and a file of an app of Flower, of the same names."""

from __future__ import annotations

import argparse
from pathlib import Path

from quatrefoil import stack
from quatrefoil.output import add_json_option
from quatrefoil.parties.arguments import address, count, patience, pin, seconds
from quatrefoil.parties.running import add_running_options
from quatrefoil.policy import COMMITTEE


def add_party_options(parser: argparse.ArgumentParser) -> None:
    """The options that every party has."""
    parser.add_argument("--identity", required=True, type=Path, metavar="DIR", help="this party's key and certificate")
    parser.add_argument("--root", required=True, type=Path, metavar="FILE", help="the consortium's root certificate")
    parser.add_argument(
        "--policy", required=True, type=Path, metavar="FILE", help="the policy; the same file at every party"
    )
    parser.add_argument("--state", required=True, type=Path, metavar="DIR", help="folder for what must survive a crash")
    add_database_option(parser)
    parser.add_argument("--backend", metavar="NAME", help="aggregation backend, where the policy allows several")
    parser.add_argument("--threads", type=count, default=1, metavar="N", help="threads of the kernel (default: 1)")


def add_database_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--database",
        metavar="URL",
        help="keep the state in PostgreSQL and not in a file: postgresql://..., its password in a file (PGPASSFILE)",
    )


def add_pin_option(parser: argparse._ActionsContainer, peer: str, option: str = "--pin") -> None:
    parser.add_argument(
        option,
        action="append",
        type=pin,
        metavar="SHA256",
        help=f"refuse {peer} unless this is its key or certificate, as `ca show` prints them; repeat for its next key",
    )


def add_enclave_option(
    parser: argparse._ActionsContainer,
    option: str = "--enclave",
    keeper: str = "the keeper",
    policy: str = "the policy",
) -> None:
    parser.add_argument(
        option,
        choices=[name for name in stack.EXISTING["enclave"] if name != COMMITTEE],
        help=f"what {keeper} is behind, where {policy} allows several",
    )


def add_keeper_enclave_option(parser: argparse.ArgumentParser, otherwise: str) -> None:
    """For who plans: the keeper runs on another machine, whose devices are not seen from here."""
    parser.add_argument(
        "--keeper-enclave",
        action="append",
        choices=[name for name in stack.EXISTING["enclave"] if name not in (stack.SOFTWARE, COMMITTEE)],
        help=f"evidence that the keeper's machine gives, which silos appraise; repeat for several ({otherwise})",
    )


def add_server_enclave_option(parser: argparse.ArgumentParser, otherwise: str) -> None:
    """For who plans: the same of the machine that serves a model."""
    parser.add_argument(
        "--server-enclave",
        action="append",
        choices=[name for name in stack.EXISTING["enclave"] if name not in (stack.SOFTWARE, COMMITTEE)],
        help=f"evidence that a model server's machine gives, which clients appraise; repeat for several ({otherwise})",
    )


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


__all__ = [
    "add_database_option",
    "add_enclave_option",
    "add_job_options",
    "add_keeper_enclave_option",
    "add_party_options",
    "add_pin_option",
    "add_server_enclave_option",
]
