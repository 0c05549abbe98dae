"""``quatrefoil proxy``: a local endpoint for clients that know nothing of this."""

from __future__ import annotations

import argparse
import asyncio
import signal
from pathlib import Path

from quatrefoil import exchange
from quatrefoil.cli import archives
from quatrefoil.cli.broker_run import CollateralFolder
from quatrefoil.output import report
from quatrefoil.parties.arguments import address
from quatrefoil.parties.running import report_failures
from quatrefoil.transport import system_clock
from quatrefoil.transport.credentials import FolderCredentials, Standing

NAME = "proxy"
HELP = "let local KServe, Triton and OpenAI clients ask an attested server"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", metavar="URL", help="the server: https://HOST[:PORT]")
    parser.add_argument(
        "--policy", required=True, type=Path, metavar="FILE", help="the serving policy; the same file at both ends"
    )
    parser.add_argument(
        "--listen", required=True, type=address, metavar="HOST:PORT", help="a loopback address, for local clients"
    )
    parser.add_argument("--identity", required=True, type=Path, metavar="DIR", help="the party that asks")
    archives.add_root(parser)
    parser.add_argument(
        "--collateral",
        required=True,
        type=Path,
        metavar="DIR",
        help="folder to verify evidence with",
    )
    parser.add_argument("--relay", metavar="URL", help="ask through this relay, which cannot read: https://HOST[:PORT]")
    parser.add_argument(
        "--receipts", type=Path, metavar="DIR", help="keep every receipt here; what cannot be kept is not answered"
    )
    parser.add_argument(
        "--token",
        type=Path,
        metavar="FILE",
        help="let in whoever sends this file's content as bearer token (default: programs of this user only)",
    )


def run(options: argparse.Namespace) -> None:
    # Here, so that the other commands work without the extra that it needs.
    from quatrefoil.client import AsyncClient, ReceiptFolder
    from quatrefoil.proxy import access, endpoint

    host, port = options.listen
    access.require_loopback(host)
    token = None if options.token is None else access.load_token(options.token)
    policy = exchange.load(options.policy)
    credentials = FolderCredentials(
        options.identity,
        options.root,
        clock=system_clock,
        on_problem=lambda error: report(f"identity, roots or list not renewed: {error}"),
        on_change=_changed,
    )
    receipts = None if options.receipts is None else ReceiptFolder(options.receipts)

    async def serve() -> None:
        report_failures()
        stop = asyncio.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
        client = AsyncClient(
            options.url,
            policy=policy,
            collateral=CollateralFolder(options.collateral),
            credentials=credentials,
            relay=options.relay,
            timeout=policy.limits.seconds + 2 * endpoint.LATE_S,
        )
        async with client:
            await endpoint.serve(
                client,
                policy,
                host=host,
                port=port,
                token=token,
                receipts=receipts,
                stop=stop,
                report=report,
            )

    asyncio.run(serve())


def _changed(standing: Standing) -> None:
    report(f"new connections show certificate {standing.identity.fingerprint.hex()[:16]}")


__all__ = ["HELP", "NAME", "configure", "run"]
