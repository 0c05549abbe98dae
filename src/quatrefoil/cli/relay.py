"""``quatrefoil relay``: carry requests between clients and a server, so that neither sees both who asks and what."""

from __future__ import annotations

import argparse
import asyncio
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from quatrefoil.cli import archives
from quatrefoil.cli.broker_run import add_channels
from quatrefoil.errors import CallerError, PeerError
from quatrefoil.exchange import protocol
from quatrefoil.output import report
from quatrefoil.parties.arguments import address, count, seconds
from quatrefoil.parties.options import add_pin_option
from quatrefoil.parties.running import report_failures
from quatrefoil.transport import ROLES, HybridContext, policy_named, system_clock
from quatrefoil.transport.credentials import Credentials, FolderCredentials, Standing
from quatrefoil.transport.pins import PinnedCredentials, Pins

if TYPE_CHECKING:
    from quatrefoil.web.guard import Fault

NAME = "relay"
HELP = "stand between clients and a server: see who asks, and nothing of what is asked"

_ALPN = b"http/1.1"
_MINUTE = 60.0


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", metavar="URL", type=_origin, help="the server, https://HOST:PORT")
    parser.add_argument("--listen", required=True, type=address, metavar="HOST:PORT", help="where clients connect to")
    parser.add_argument("--identity", required=True, type=Path, metavar="DIR", help="this relay's key and certificate")
    archives.add_root(parser)
    add_pin_option(parser, "the server")
    add_channels(parser)
    parser.add_argument(
        "--connections", type=count, default=1024, metavar="N", help="clients' connections at once (default: 1024)"
    )
    parser.add_argument(
        "--requests", type=count, default=512, metavar="N", help="requests carried at once (default: 512)"
    )
    parser.add_argument(
        "--per-client", type=count, default=64, metavar="N", help="of these, of one certified client (default: 64)"
    )
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=600.0,
        metavar="SECONDS",
        help="that the server may take to begin its answer, or be silent in it (default: 600)",
    )
    parser.add_argument(
        "--drain",
        type=seconds,
        default=30.0,
        metavar="SECONDS",
        help="to finish what was accepted once it is to stop (default: 30)",
    )


def run(options: argparse.Namespace) -> None:
    credentials = FolderCredentials(
        options.identity,
        options.root,
        clock=system_clock,
        on_problem=lambda error: report(f"identity, roots or list not renewed: {error}"),
        on_change=_changed,
    )
    identity = credentials.current().identity
    if identity.role != protocol.SERVER_ROLE:
        raise CallerError(
            f"{options.identity} is {identity.role} {identity.name}, and clients ask a {protocol.SERVER_ROLE}",
            hint=f"Have `quatrefoil ca issue` make one with --role {protocol.SERVER_ROLE}",
        )
    asyncio.run(_serve(options, credentials))


async def _serve(options: argparse.Namespace, credentials: FolderCredentials) -> None:
    # Here, since they are of an extra: without it DependencyMissing says which.
    from quatrefoil.proxy.relay import Relay, RelayLimits
    from quatrefoil.web.client import WebClient
    from quatrefoil.web.limits import ClientLimits, WebLimits
    from quatrefoil.web.server import WebServer

    report_failures()
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    pinned: Credentials = PinnedCredentials(credentials, Pins(options.pin)) if options.pin else credentials
    policy = policy_named(options.channels)
    refused = _Refused()
    patience = ClientLimits(
        connections=options.requests, answer_seconds=options.timeout, idle_seconds=options.timeout, total_seconds=86400
    )
    async with WebClient(
        tls=HybridContext(
            pinned,
            allow_roles=[protocol.SERVER_ROLE],
            clock=system_clock,
            protocol=_ALPN,
            on_refused=lambda _: None,  # the error says it
            policy=policy,
        ),
        limits=patience,
    ) as client:
        relay = Relay(client, options.url, limits=RelayLimits(options.requests, options.per_client), report=report)
        server = WebServer(
            relay,
            host=options.listen[0],
            port=options.listen[1],
            tls=HybridContext(
                credentials,
                allow_roles=ROLES,
                clock=system_clock,
                protocol=_ALPN,
                on_refused=refused.one,
                policy=policy,
            ),
            limits=WebLimits(connections=options.connections),
            on_fault=_fault,
        )
        port = await server.start()
        report(f"relay {credentials.current().identity.name} listens on {options.listen[0]}:{port} for {options.url}")
        await stop.wait()
        report("stopping: what was accepted is finished")
        await server.drain(options.drain)


class _Refused:
    """Counts connections that were refused, and says so once a minute: not whose they were."""

    def __init__(self) -> None:
        self._said = -_MINUTE
        self._count = 0

    def one(self, _error: PeerError) -> None:
        self._count += 1
        if time.monotonic() - self._said >= _MINUTE:
            report(f"connections refused: {self._count}")
            self._said, self._count = time.monotonic(), 0


def _fault(fault: Fault) -> None:
    report(f"a fault: {fault}")


def _changed(standing: Standing) -> None:
    report(f"new connections show certificate {standing.identity.fingerprint.hex()[:16]}")


def _origin(text: str) -> str:
    """https://HOST[:PORT], for argparse."""
    try:
        parts = urlsplit(text)
        fits = parts.scheme == "https" and parts.hostname and "@" not in parts.netloc and (parts.port or 443)
    except ValueError:
        fits = None
    if not fits or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise argparse.ArgumentTypeError(f"{text!r} is not https://HOST:PORT")
    return f"https://{parts.netloc}"


__all__ = ["configure", "run"]
