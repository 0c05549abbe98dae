"""What the commands of a job's parties share: who they are, where they listen, what they remember."""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from quatrefoil import stack
from quatrefoil.audit import FileLog, Log
from quatrefoil.cli.output import progress_console
from quatrefoil.errors import CallerError, HostError, MessageRefused, PeerError, QuatrefoilError
from quatrefoil.federation.state import SqliteState
from quatrefoil.policy import Policy
from quatrefoil.transport import FixedCredentials, Identity, PostQuantumTransport, TrustAnchor, system_clock

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
    parser.add_argument("--threads", type=count, default=1, metavar="N", help="threads of the kernel (default: 1)")


class PartyFiles:
    """What a party's files hold, loaded once and checked. ``with`` closes its state and its log."""

    def __init__(self, options: argparse.Namespace, role: str) -> None:
        self.identity = Identity.load(options.identity)
        if self.identity.role != role:
            raise CallerError(
                f"{options.identity} is {self.identity.role} {self.identity.name}, and the role needed is {role}",
                hint=f"Have `quatrefoil ca issue` make one with --role {role}",
            )
        self.trust = TrustAnchor.load(options.root)
        try:
            self.trust.verify(self.identity.certificate_der, at=system_clock(), refusal=MessageRefused)
        except MessageRefused as error:  # one's own: every other party would refuse it too
            raise HostError(error.problem, hint=error.hint) from None
        self.policy = Policy.load(options.policy)
        self.credentials = FixedCredentials(self.identity, self.trust)
        self.channel_policy = stack.channel_policy_of(self.policy)
        self.security = PostQuantumTransport(self.identity, self.trust, clock=system_clock, policy=self.channel_policy)
        _make_private(options.state)
        self.log = FileLog(options.state / "log.jsonl")
        try:
            self.state = SqliteState(options.state / "state.sqlite")
        except BaseException:
            self.log.close()
            raise

    def __enter__(self) -> PartyFiles:
        return self

    def __exit__(self, *_: object) -> None:
        self.state.close()
        self.log.close()


class Refusals:
    """What is refused to whoever connects, for the log and for people.

    Anybody can have a connection refused, so of a flood ``MOST_A_MINUTE`` are written: the next entry counts the rest.
    """

    MOST_A_MINUTE = 60

    def __init__(self, log: Log, now: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._now = now
        self._minute = now()
        self._written = 0
        self._left_out = 0

    def connection(self, where: str, error: PeerError) -> None:
        """A connection from ``where``, refused in its handshake or ended by what it sent."""
        if self._now() - self._minute >= 60:
            self._minute, self._written = self._now(), 0
        if self._written >= self.MOST_A_MINUTE:
            self._left_out += 1
            return
        self._written += 1
        body: dict[str, object] = {"address": where, "reason": error.problem}
        if self._left_out:
            body["left_out"], self._left_out = self._left_out, 0
        report(f"refused {where}: {error}")
        try:
            self._log.append("refusal", body)
        except HostError as full:
            report(str(full))

    def question(self, asker: str, error: QuatrefoilError) -> None:
        """A certified party's question: what it does wrong in a round is logged where it is found."""
        report(f"{asker} was refused: {error}")


def report_failures() -> None:
    """In the running loop, print in one line what of our errors ends a handler; anything else is a fault to trace."""

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if isinstance(error := context.get("exception"), QuatrefoilError):
            report(str(error))
        else:
            loop.default_exception_handler(context)

    asyncio.get_running_loop().set_exception_handler(handle)


def _make_private(folder: Path) -> None:
    """The folder of a party's state, for its owner's eyes only if it is new."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise HostError(
            f"state folder {folder} cannot be made ({error.strerror})", hint="Name a folder that you may write"
        ) from None


def address(text: str) -> tuple[str, int]:
    """HOST:PORT, for argparse."""
    host, colon, port = text.rpartition(":")
    if not (host and colon and port.isdigit() and int(port) < 1 << 16):
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def seconds(text: str) -> float:
    """A time to wait, for argparse: finite; 0 means one attempt."""
    value = float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return value


def count(text: str) -> int:
    """A number of at least 1, for argparse."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not at least 1")
    return value


def report(text: str) -> None:
    """A line of progress, on standard error."""
    print(text, file=sys.stderr, flush=True)


def warn_insecure(policy: Policy) -> None:
    """Say which stand-ins the policy accepts: on every start, and in red."""
    for name in policy.accept_insecure:
        progress_console().print(f"INSECURE stand-in accepted by the policy: {name}", style="bold red")
