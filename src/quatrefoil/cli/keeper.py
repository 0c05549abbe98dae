"""``quatrefoil keeper``: holds the key of each round, in its own process."""

from __future__ import annotations

import argparse
import asyncio
import signal

from quatrefoil import stack
from quatrefoil.cli.parties import (
    TIMEOUT,
    PartyFiles,
    Refusals,
    add_party_options,
    address,
    report,
    report_failures,
    warn_insecure,
)
from quatrefoil.federation.keeper import Keeper
from quatrefoil.federation.keeper_service import KeeperService
from quatrefoil.transport import serve, system_clock

NAME = "keeper"
HELP = "hold each round's key, and release the key of the sum once"


def configure(parser: argparse.ArgumentParser) -> None:
    add_party_options(parser)
    parser.add_argument(
        "--listen", required=True, type=address, metavar="HOST:PORT", help="where the aggregator connects to"
    )


def run(options: argparse.Namespace) -> None:
    with PartyFiles(options, "keeper") as files:
        policy = files.policy
        warn_insecure(policy)
        keeper = Keeper(
            security=files.security,
            aggregation=stack.aggregation_of(
                policy, options.backend or stack.only_allowed(policy, "aggregation"), threads=options.threads
            ),
            proofs=stack.proofs_of(policy, stack.proofs_named(policy), threads=options.threads),
            isolation=stack.isolation_of(policy, stack.only_allowed(policy, "enclave")),
            policy=policy,
            state=files.state,
            log=files.log,
        )
        asyncio.run(_serve(files, keeper, options.listen))


async def _serve(files: PartyFiles, keeper: Keeper, listen: tuple[str, int]) -> None:
    report_failures()
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    refusals = Refusals(files.log)
    async with await serve(
        *listen,
        identity=files.identity,
        trust=files.trust,
        allow_roles=("aggregator",),
        handler=KeeperService(keeper, on_refused=refusals.question).handle,
        on_refused=refusals.connection,
        timeout=TIMEOUT,
        clock=system_clock,
    ) as server:
        report(f"keeper {files.identity.name} listens on {listen[0]}:{server.port}")
        await stop.wait()
