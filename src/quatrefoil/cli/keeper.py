"""``quatrefoil keeper``: holds the key of each round, in its own process."""

from __future__ import annotations

import argparse
import asyncio

from quatrefoil.federation.keeper import Keeper
from quatrefoil.output import report
from quatrefoil.parties.arguments import address
from quatrefoil.parties.channels import TIMEOUT
from quatrefoil.parties.keeper import add_collector_options, keeper_of
from quatrefoil.parties.options import add_enclave_option, add_party_options
from quatrefoil.parties.party import PartyFiles, warn_insecure
from quatrefoil.parties.refusals import Refusals
from quatrefoil.parties.running import Service, add_running_options, report_failures
from quatrefoil.services.keeper import KeeperService
from quatrefoil.services.vitals import Vitals
from quatrefoil.transport import serve, system_clock

NAME = "keeper"
HELP = "hold each round's key, and release the key of the sum once"


def configure(parser: argparse.ArgumentParser) -> None:
    add_party_options(parser)
    add_enclave_option(parser)
    add_collector_options(parser)
    parser.add_argument(
        "--listen", required=True, type=address, metavar="HOST:PORT", help="where the aggregator connects to"
    )
    add_running_options(parser)
    parser.add_argument(
        "--new-key",
        action="store_true",
        help="sign with the identity's newest key from now on; jobs agreed under an older one end",
    )


def run(options: argparse.Namespace) -> None:
    with PartyFiles(options, "keeper", renewing=options.new_key) as files:
        warn_insecure(files.policy)
        keeper = keeper_of(options, files)
        with Service(options, Vitals("keeper"), files.state) as service:
            asyncio.run(_serve(service, files, keeper, options.listen))


async def _serve(service: Service, files: PartyFiles, keeper: Keeper, listen: tuple[str, int]) -> None:
    report_failures()
    service.begin()
    refusals = Refusals(files.log)
    async with await serve(
        *listen,
        credentials=files.credentials,
        policy=files.channel_policy,
        allow_roles=("aggregator",),
        handler=KeeperService(keeper, on_refused=service.refused(refusals.question), vitals=service.vitals).handle,
        on_refused=service.connection_refused(refusals.connection),
        timeout=TIMEOUT,
        clock=system_clock,
    ) as server:
        report(f"keeper {files.identity.name} listens on {listen[0]}:{server.port}")
        service.vitals.gauge("channels", "Channels that are open", lambda: server.channels)
        await service.until_stopped(files.warn)
