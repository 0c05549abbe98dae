"""``quatrefoil broker new`` and ``run``: make a broker's sealing key, and serve."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Any

from quatrefoil import attested, output
from quatrefoil.broker import recovery, sealing_key
from quatrefoil.broker.deciding import Judge
from quatrefoil.broker.machine import ROLE, Broker
from quatrefoil.cli import archives, collecting
from quatrefoil.cli.root_place import add_root_key, open_root_key
from quatrefoil.enclave.binding import Keyset
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.errors import CallerError, HostError
from quatrefoil.output import report
from quatrefoil.parties.arguments import address
from quatrefoil.parties.channels import TIMEOUT
from quatrefoil.parties.options import add_database_option
from quatrefoil.parties.party import Party
from quatrefoil.parties.refusals import Refusals
from quatrefoil.parties.running import Service, add_running_options, report_failures
from quatrefoil.services.broker import BrokerService
from quatrefoil.services.keeping import opened_state
from quatrefoil.services.vitals import Vitals
from quatrefoil.transport import ROLES, TrustAnchor, files, policy_named, sealed, serve, system_clock
from quatrefoil.transport.policies import POLICIES
from quatrefoil.transport.sealed import RecipientKey


def configure(commands: argparse._SubParsersAction[Any]) -> None:
    help_text = "make a broker's sealing key, kept under a root key"
    new = commands.add_parser("new", help=help_text, description=help_text)
    archives.add_identity(new)
    archives.add_root(new)
    new.add_argument("--state", required=True, type=Path, metavar="DIR", help="new folder for what it remembers")
    add_database_option(new)
    archives.add_suite(new)
    add_root_key(new)
    output.add_json_option(new)
    new.set_defaults(action=_new)

    help_text = "serve: take keys in from owners, and release them to measured code"
    run = commands.add_parser("run", help=help_text, description=help_text)
    archives.add_identity(run)
    archives.add_root(run)
    run.add_argument("--state", required=True, type=Path, metavar="DIR", help="the folder that `broker new` made")
    add_database_option(run)
    run.add_argument("--listen", required=True, type=address, metavar="HOST:PORT", help="where others connect to")
    run.add_argument(
        "--collateral",
        type=Path,
        metavar="DIR",
        help="folder with certificates, lists and documents to verify evidence with; looked at before each decision",
    )
    add_channels(run)
    run.add_argument(
        "--accept-clock",
        action="store_true",
        help="go on although the clock was ahead before: ends every lease, and is logged",
    )
    add_root_key(run)
    collecting.add_options(run, required=False, why="show owners evidence of what this broker runs on, of this kind")
    add_running_options(run)
    run.set_defaults(action=_run)


def add_channels(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--channels",
        choices=[policy.name for policy in POLICIES],
        default="hybrid-768",
        help="channel policy, the same at every party (default: %(default)s)",
    )


def _new(options: argparse.Namespace) -> None:
    identity = archives.signer(options.identity, TrustAnchor.load(options.root))
    if identity.role != ROLE:
        raise CallerError(
            f"{options.identity} is {identity.role} {identity.name}, and not a broker",
            hint="Have `quatrefoil ca issue` make one with --role broker",
        )
    root = open_root_key(options)
    try:
        files.make_private(options.state)
        state = opened_state(options.state, options.database, identity, report=report)
        try:
            public = sealing_key.create(state, root, broker=identity.name, suite=sealed.named(options.suite))
        finally:
            state.close()
        under = root.identity().hex()
    finally:
        root.close()
    found = sealed.Recipient(sealed.named(options.suite), public, identity.name, ROLE)
    if not output.only_json(options):
        rows = [("broker", identity.name), ("suite", options.suite), ("key", found.fingerprint.hex())]
        archives.show("Sealing key of a broker", [*rows, ("kept under root key", under)])
    content = {"broker": identity.name, "suite": options.suite, "key": found.fingerprint.hex(), "root_key": under}
    output.write_json(options.json, "quatrefoil.broker-new/1", content)


def _run(options: argparse.Namespace) -> None:
    channels = policy_named(options.channels)
    with Party(options, ROLE, channels, renewing=True, database=options.database) as party:
        root = open_root_key(options)
        try:
            key = sealing_key.load(party.state, root, broker=party.identity.name)
        finally:
            root.close()
        if options.accept_clock:
            recovery.accept_clock(party.state, party.log, system_clock)
        broker = Broker(
            security=party.security,
            key=key,
            keyset=_keyset(party, key),
            judge=Judge(CollateralFolder(options.collateral), party.channel_policy),
            attester=collecting.attester(options),
            state=party.state,
            log=party.log,
            clock=system_clock,
        )
        with Service(options, Vitals(ROLE), party.state) as service:
            asyncio.run(_serve(service, party, broker, options))


def _keyset(party: Party, key: RecipientKey) -> Keyset:
    """The keys that this broker answers for, good as long as its certificate is."""
    certificate = party.identity.certificate
    return Keyset(
        sealing=attested.sealing_key(key.recipient.public),
        tls=attested.tls_key(party.identity),
        receipt=b"",
        not_before=int(certificate.not_valid_before_utc.timestamp()),
        expires=int(certificate.not_valid_after_utc.timestamp()),
    )


async def _serve(service: Service, party: Party, broker: Broker, options: argparse.Namespace) -> None:
    report_failures()
    service.begin()
    refusals = Refusals(party.log)
    async with await serve(
        *options.listen,
        credentials=party.credentials,
        policy=party.channel_policy,
        allow_roles=ROLES,
        handler=BrokerService(broker, on_refused=service.refused(refusals.question), vitals=service.vitals).handle,
        on_refused=service.connection_refused(refusals.connection),
        timeout=TIMEOUT,
        clock=system_clock,
    ) as server:
        shows = f"shows {options.collect} evidence" if options.collect else "shows no evidence of what it runs on"
        report(f"broker {party.identity.name} listens on {options.listen[0]}:{server.port} and {shows}")
        service.vitals.gauge("channels", "Channels that are open", lambda: server.channels)
        await service.until_stopped(party.warn)


class CollateralFolder:
    """What evidence is verified with: the folder as it is now, read again when a file in it changed."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._seen: object = None
        self._loaded = Collateral()
        self()  # what is wrong with it is said now

    def __call__(self) -> Collateral:
        if self._folder is None:
            return self._loaded
        try:
            seen = sorted((one.name, files.stamp(one)) for one in self._folder.iterdir())
        except OSError as error:
            raise HostError(
                f"{self._folder} cannot be read ({error.strerror})", hint="Make it readable to the broker"
            ) from None
        if seen != self._seen:
            self._loaded, self._seen = Collateral.load(self._folder), seen
        return self._loaded


__all__ = ["CollateralFolder", "add_channels", "configure"]
