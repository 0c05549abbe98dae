"""The files that an app of Flower names: TOML with the options of ``quatrefoil aggregator`` and ``quatrefoil silo``.

An app has no command line of its own. Its keys are those options, with the same names, kinds and meanings, read by the
same parser; paths are relative to the file. docs/flower.md lists what each party gives.
"""

from __future__ import annotations

import argparse
import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from quatrefoil.configuration import parse, read_text
from quatrefoil.errors import CallerError
from quatrefoil.parties.arguments import count
from quatrefoil.parties.options import add_enclave_option, add_job_options, add_party_options
from quatrefoil.parties.relying import add_relying_options
from quatrefoil.policy import Policy
from quatrefoil.transport.profile import check_name

PAGE = "docs/flower.md"
NODE_KEY = "quatrefoil"
SEAT = "seat.sock"
"""In the folder of a silo's state: where its seat listens, if its file names no other place."""

SIMULATED = "QUATREFOIL_SIMULATED_SILOS"
"""Environment of a simulation, where nodes have no configuration of their own: a folder with ``silo-N.toml``."""


def aggregator_settings(file: Path) -> argparse.Namespace:
    """What a ServerApp is started with."""
    return _read(file, add_job_options)


def silo_settings(file: Path) -> argparse.Namespace:
    """What a silo is, on its own machine."""
    return _read(file, _silo_options)


def seat_of(options: argparse.Namespace) -> Path | None:
    """Where the seat of a silo listens; None for a silo that needs none and names none.

    A member of a committee holds its key of an attempt in memory only, and a ClientApp is a process for each message.
    """
    named: Path | None = options.seat
    if named is None and Policy.load(options.policy).key_authority.is_committee:
        return Path(options.state) / SEAT
    return named


def state_named(options: argparse.Namespace) -> str:
    """Where the silo's state is, as its file says it, and not as links lead: an app's user may not look there."""
    return os.path.abspath(str(options.state))  # noqa: PTH100


def silo_file(node_config: Mapping[str, Any]) -> Path:
    """The file of the silo that this node is.

    It is named where the node is started, never by whoever starts a run: that would choose among the files here.
    """
    if isinstance(named := node_config.get(NODE_KEY), str):
        return Path(named)
    if (folder := os.environ.get(SIMULATED)) and "partition-id" in node_config:
        return Path(folder) / f"silo-{int(node_config['partition-id'])}.toml"
    raise CallerError(
        "this node does not say which silo it is",
        hint=f"Start the SuperNode with --node-config '{NODE_KEY}=\"/path/to/silo.toml\"'",
    )


def _silo_options(parser: argparse.ArgumentParser) -> None:
    add_party_options(parser)
    add_enclave_option(parser)
    add_relying_options(parser)
    parser.add_argument(
        "--aggregator", required=True, type=check_name, metavar="NAME", help="whose runs it takes part in"
    )
    parser.add_argument("--samples", required=True, type=count, metavar="N", help="how many samples it trains on")
    parser.add_argument(
        "--metrics", action="append", default=[], metavar="NAME", help="what the aggregator may be told"
    )
    parser.add_argument("--commit", action="append", default=[], type=Path, metavar="PATH", help="data to commit to")
    parser.add_argument("--seat", type=Path, metavar="FILE", help="the socket that its seat listens at")
    parser.add_argument("--app-user", metavar="USER", help="as whom the app's code runs, if not as the seat's user")
    parser.add_argument(
        "--app-seconds", type=count, default=86400, metavar="N", help="how long the app may train (default: a day)"
    )
    parser.add_argument("--costs", type=Path, metavar="FILE", help="append what each layer took, as lines of JSON")


class _Parser(argparse.ArgumentParser):
    def __init__(self, file: Path) -> None:
        super().__init__(prog=str(file), add_help=False, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise CallerError(f"{self.prog}: {message}", hint=f"See {PAGE}")


def _read(file: Path, configure: Callable[[argparse.ArgumentParser], None]) -> argparse.Namespace:
    text = read_text(file)
    parse(text, str(file), page=PAGE)  # for errors with their lines
    parser = _Parser(file)
    configure(parser)
    actions = {action.dest.replace("_", "-"): action for action in parser._actions}
    arguments: list[str] = []
    for key, value in tomllib.loads(text).items():
        action = actions.get(key)
        if action is None:
            raise CallerError(f"{file}: {key} is not a known key", hint=f"Known here: {', '.join(sorted(actions))}")
        for one in _texts(file, key, value, joined=action.dest == "silos"):
            text = str(file.parent / one) if action.type is Path else one
            arguments.append(f"--{key}={text}")
    return parser.parse_args(arguments)


def _texts(file: Path, key: str, value: object, *, joined: bool) -> list[str]:
    items = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str | int | float) and not isinstance(item, bool) for item in items):
        raise CallerError(f"{file}: {key} is neither text nor a number, nor a list of them", hint=f"See {PAGE}")
    return [",".join(map(str, items))] if joined else [str(item) for item in items]


__all__ = [
    "NODE_KEY",
    "SEAT",
    "SIMULATED",
    "aggregator_settings",
    "seat_of",
    "silo_file",
    "silo_settings",
    "state_named",
]
