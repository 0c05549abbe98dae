"""What the commands of a job's parties share: who they are, where they listen, what they remember."""

from __future__ import annotations

import argparse
from pathlib import Path

from quatrefoil.audit import FileLog
from quatrefoil.cli.output import progress_console
from quatrefoil.errors import CallerError
from quatrefoil.federation.state import SqliteState
from quatrefoil.policy import Policy
from quatrefoil.transport import Identity, PostQuantumTransport, TrustAnchor, system_clock

TIMEOUT = 60.0
"""Seconds for a handshake, and the longest silence in a channel: more than the patience of a long question."""


def add_party_options(parser: argparse.ArgumentParser) -> None:
    """The options that every party has."""
    parser.add_argument("--identity", required=True, type=Path, metavar="DIR", help="this party's key and certificate")
    parser.add_argument("--root", required=True, type=Path, metavar="FILE", help="the consortium's root certificate")
    parser.add_argument(
        "--policy", required=True, type=Path, metavar="FILE", help="the policy; the same file at every party"
    )
    parser.add_argument("--state", required=True, type=Path, metavar="DIR", help="folder for what must survive a crash")
    parser.add_argument("--backend", metavar="NAME", help="aggregation backend, where the policy allows several")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="threads of the kernel (default: 1)")


class PartyFiles:
    """What a party's files hold, loaded once and checked."""

    def __init__(self, options: argparse.Namespace, role: str) -> None:
        self.identity = Identity.load(options.identity)
        if self.identity.role != role:
            raise CallerError(
                f"{options.identity} is {self.identity.role} {self.identity.name}, and the role needed is {role}",
                hint=f"Have `quatrefoil ca issue` make one with --role {role}",
            )
        self.trust = TrustAnchor.load(options.root)
        self.policy = Policy.load(options.policy)
        self.security = PostQuantumTransport(self.identity, self.trust, clock=system_clock)
        self.state = SqliteState(options.state / "state.sqlite")
        self.log = FileLog(options.state / "log.jsonl")


def address(text: str) -> tuple[str, int]:
    """HOST:PORT, for argparse."""
    host, colon, port = text.rpartition(":")
    if not (host and colon and port.isdigit() and int(port) < 1 << 16):
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def report(text: str) -> None:
    """A line of progress, on standard error."""
    progress_console().print(text, markup=False)


def warn_insecure(policy: Policy) -> None:
    """Say which stand-ins the policy accepts: on every start, and in red."""
    for name in policy.accept_insecure:
        progress_console().print(f"INSECURE stand-in accepted by the policy: {name}", style="bold red")
