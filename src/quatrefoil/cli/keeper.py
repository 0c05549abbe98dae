"""``quatrefoil keeper``: holds the key of each round, in its own process."""

from __future__ import annotations

import argparse
import asyncio
import signal

from quatrefoil import stack
from quatrefoil.cli.parties import TIMEOUT, PartyFiles, add_party_options, address, report, warn_insecure
from quatrefoil.errors import PeerError
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
    files = PartyFiles(options, "keeper")
    policy = files.policy
    warn_insecure(policy)
    keeper = Keeper(
        security=files.security,
        aggregation=stack.aggregation_of(
            policy, options.backend or stack.only_allowed(policy, "aggregation"), threads=options.threads
        ),
        isolation=stack.isolation_of(policy, stack.only_allowed(policy, "enclave")),
        policy=policy,
        state=files.state,
        log=files.log,
    )

    def refused(where: str, error: PeerError) -> None:
        files.log.append("refusal", {"address": where, "reason": error.problem})
        report(f"refused {where}: {error}")

    asyncio.run(_serve(files, KeeperService(keeper), options.listen, refused))


async def _serve(files: PartyFiles, service: KeeperService, listen: tuple[str, int], refused: object) -> None:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with await serve(
        *listen,
        identity=files.identity,
        trust=files.trust,
        allow_roles=("aggregator",),
        handler=service.handle,
        on_refused=refused,  # type: ignore[arg-type]
        timeout=TIMEOUT,
        clock=system_clock,
    ):
        report(f"keeper {files.identity.name} listens on {listen[0]}:{listen[1]}")
        await stop.wait()
