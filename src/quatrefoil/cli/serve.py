"""``quatrefoil serve``: answer requests to a sealed model, encrypted to keys that evidence is bound to."""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quatrefoil.broker.holder import Holder
from quatrefoil.cli import archives, collecting, containers
from quatrefoil.cli.broker_run import CollateralFolder, add_channels
from quatrefoil.cli.serve_model import ServedModel, model_of, opened
from quatrefoil.enclave.collectors import Collector
from quatrefoil.enclave.evidence import EvidenceSet
from quatrefoil.errors import CallerError
from quatrefoil.exchange import ServingPolicy, load
from quatrefoil.exchange.protocol import SERVER_ROLE
from quatrefoil.output import report
from quatrefoil.parties.arguments import address, count, pin, seconds
from quatrefoil.parties.channels import TIMEOUT
from quatrefoil.parties.party import Party
from quatrefoil.parties.refusals import Refusals
from quatrefoil.parties.running import report_failures
from quatrefoil.planner.plan_file import PlanFile
from quatrefoil.services.lease_holder import LeaseHolder
from quatrefoil.serving.handler import Handler
from quatrefoil.serving.keys import ServingKeys
from quatrefoil.serving.model import acquire, require_named, require_served
from quatrefoil.serving.oip import OipHandler
from quatrefoil.serving.promised import require_planned, require_recorded
from quatrefoil.serving.receipt_log import ReceiptLog
from quatrefoil.serving.receipts import ReceiptIssuer
from quatrefoil.serving.record_writer import Recorder
from quatrefoil.transport import ROLES, Dialer, HybridContext, policy_named, system_clock

NAME = "serve"
HELP = "answer requests to a sealed model, encrypted to attested keys"

if TYPE_CHECKING:
    from quatrefoil.serving.server import Serving

JOURNAL = "receipts"
"""In the state folder: receipts that are not in the log yet."""
ALPN = b"http/1.1"
_KEYSET_S = 30 * 86400
"""Seconds that the key is good to which the broker releases: leases end before it does."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, nargs="?", metavar="MODEL", help="the sealed model")
    parser.add_argument(
        "--policy", required=True, type=Path, metavar="FILE", help="the serving policy; the same file at every client"
    )
    parser.add_argument("--listen", required=True, type=address, metavar="HOST:PORT", help="where clients connect to")
    archives.add_identity(parser)
    archives.add_root(parser)
    parser.add_argument("--state", required=True, type=Path, metavar="DIR", help="folder for the log")
    parser.add_argument("--broker", type=address, metavar="HOST:PORT", help="who releases the model's key")
    parser.add_argument("--broker-name", metavar="NAME", help="the broker's certified name")
    parser.add_argument("--stage", metavar="NAME", help="the stage of the model's release policy that this is")
    parser.add_argument(
        "--upstream",
        metavar="URL",
        help="a server of OpenAI's API on this machine's loopback answers; MODEL need only be of the policy's root",
    )
    parser.add_argument(
        "--audit",
        type=Path,
        metavar="DIR",
        help="serve an integer graph, commit to inputs and outputs in receipts, and keep what proves answers here",
    )
    parser.add_argument(
        "--audit-to",
        action="append",
        type=Path,
        metavar="CERT",
        help="who proves answers and alone can read what --audit keeps: a sealing certificate; repeat for more",
    )
    parser.add_argument(
        "--collateral",
        required=True,
        type=Path,
        metavar="DIR",
        help="what clients verify evidence with",
    )
    parser.add_argument(
        "--committed",
        type=Path,
        metavar="FILE",
        help="the statement of `model commit` about MODEL; not needed where MODEL is sealed with a commitment",
    )
    parser.add_argument(
        "--plan",
        type=Path,
        metavar="FILE",
        help="what `plan --json` wrote: the policy has to be of this plan, and to promise the proofs that it does",
    )
    parser.add_argument("--threads", type=count, default=1, metavar="N", help="threads of one answer (default: 1)")
    parser.add_argument(
        "--metrics", type=address, metavar="HOST:PORT", help="counts for Prometheus, on a loopback address"
    )
    parser.add_argument(
        "--wait", type=seconds, default=60.0, metavar="SECONDS", help="for a broker that is away (default: 60)"
    )
    parser.add_argument(
        "--pin", action="append", type=pin, metavar="SHA256", help="refuse the broker unless this is its key; repeat"
    )
    add_channels(parser)
    containers.add_judgement(parser)
    collecting.add_options(parser, required=True, why="evidence of what runs here, of this kind")


def run(options: argparse.Namespace) -> None:
    _require_one(options)
    policy = load(options.policy)
    if options.plan:
        require_planned(policy, PlanFile.load(options.plan))
    require_recorded(policy, recorded=options.audit is not None)
    front = None if options.upstream else require_served(options.model, containers.verifying(options), policy)
    if options.upstream and options.model:
        require_named(options.model, containers.verifying(options), policy)
    collateral = CollateralFolder(options.collateral)
    collector = collecting.chosen(options)
    assert collector is not None  # the option is required
    with Party(options, SERVER_ROLE, policy_named(options.channels), renewing=True) as party:
        model = None if front is None else model_of(options, party, policy, front)
        asyncio.run(_served(options, party, policy, model, collector, collateral))


def _require_one(options: argparse.Namespace) -> None:
    """A model with a broker, or an upstream without one; and of audit mode both options or none."""
    if (options.audit is None) != (options.audit_to is None):
        raise CallerError(
            "audit mode has a folder and a reader", hint="Give --audit DIR and --audit-to CERT, or neither"
        )
    of_broker = [options.broker, options.broker_name, options.stage]
    if options.upstream:
        wrong = any(one is not None for one in of_broker)
        if options.audit or options.committed:
            raise CallerError(
                "what an upstream computes cannot be proven",
                hint="Serve an integer graph of `quatrefoil model quantise`",
            )
    else:
        wrong = any(one is None for one in (options.model, *of_broker))
    if wrong:
        raise CallerError(
            "either a model is served or an upstream",
            hint="Give MODEL with --broker, --broker-name and --stage, or --upstream without these three",
        )


async def _served(
    options: argparse.Namespace,
    party: Party,
    policy: ServingPolicy,
    model: ServedModel | None,
    collector: Collector,
    collateral: CollateralFolder,
) -> None:
    report_failures()
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    if model is not None:
        await _with_model(options, party, policy, model, collector, collateral, stop)
        return
    from quatrefoil.serving.upstream import UpstreamHandler  # an extra, which other commands do without

    handler = UpstreamHandler(options.upstream, policy)
    await handler.open()
    if not handler.ready:
        report(f"{options.upstream} does not list the model {policy.model.name} yet: not ready until it does")
    server = _server(options, party, policy, handler, collector, collateral, commitment=b"")
    await server.run(stop, started=lambda: _started(options, party, policy, server))


async def _with_model(
    options: argparse.Namespace,
    party: Party,
    policy: ServingPolicy,
    model: ServedModel,
    collector: Collector,
    collateral: CollateralFolder,
    stop: asyncio.Event,
) -> None:
    """Serve it under a lease, which ends the server when it is over."""
    holder = Holder(
        model.owned,
        options.stage,
        broker=options.broker_name,
        security=party.security,
        attester=lambda report_data: EvidenceSet(collector.collect(report_data)),
        clock=system_clock,
        tls_key=b"",  # renewed while the lease goes on: each request is bound to its channel by the exporter
        keyset_s=_KEYSET_S,
    )
    async with LeaseHolder(holder, _dialer(options, party).open, report=report) as held:
        if not await _unless(stop, acquire(held, patience_s=options.wait, report=report)):
            return
        keeping = asyncio.ensure_future(held.keep())
        try:
            engine, recorder = await asyncio.to_thread(opened, options, party, held, policy, model)
            handler = OipHandler(engine, policy, recorder=recorder)
            server = _server(
                options, party, policy, handler, collector, collateral, commitment=model.commitment, recorder=recorder
            )
            await server.run(stop, keeping=lambda: keeping, started=lambda: _started(options, party, policy, server))
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)


def _started(options: argparse.Namespace, party: Party, policy: ServingPolicy, server: Serving) -> None:
    report(f"server {party.identity.name} answers for model {policy.model.name} on {options.listen[0]}:{server.port}")
    if options.metrics:
        report(f"counts are read on {options.metrics[0]}:{server.metrics_port}")


def _server(
    options: argparse.Namespace,
    party: Party,
    policy: ServingPolicy,
    handler: Handler,
    collector: Collector,
    collateral: CollateralFolder,
    *,
    commitment: bytes,
    recorder: Recorder | None = None,
) -> Serving:
    from quatrefoil.serving.server import Serving  # an extra, which other commands do without

    issuer = ReceiptIssuer(
        issuer=party.identity.name,
        model=policy.model.root,
        commitment=commitment,
        measurement="",  # each keyset has its own, from its own evidence
        policy=policy.digest(),
        plan=policy.plan,
        journal=options.state / JOURNAL,
        log=party.log,
        clock=system_clock,
    )
    left = issuer.recovered
    if left.ended:
        report(f"an earlier process was killed: {left.logged} of its receipts are in the log now")
    records = ReceiptLog(issuer, policy.attestation.appraisal, report, recorder=recorder)
    keys = ServingKeys(collector, policy, collateral=collateral, events=records, clock=system_clock)
    refusals = Refusals(party.log)
    tls = HybridContext(
        party.credentials,
        allow_roles=ROLES,
        clock=system_clock,
        protocol=ALPN,
        on_refused=lambda error: refusals.connection(error.party or "a client", error),
        policy=party.channel_policy,
    )
    return Serving(
        handler,
        keys,
        records,
        policy,
        listen=options.listen,
        tls=tls,
        metrics=options.metrics,
        clock=system_clock,
        report=report,
    )


async def _unless(stop: asyncio.Event, step: Coroutine[Any, Any, None]) -> bool:
    """Do a step to its end, and say so; or give it up where this process is to stop."""
    doing, stopping = asyncio.ensure_future(step), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            return False
        doing.result()
        return True
    finally:
        for one in (doing, stopping):
            one.cancel()
        await asyncio.gather(doing, stopping, return_exceptions=True)


def _dialer(options: argparse.Namespace, party: Party) -> Dialer:
    return Dialer(
        *options.broker,
        credentials=party.pinning(options.pin),
        expect_role="broker",
        timeout=TIMEOUT,
        clock=system_clock,
        policy=party.channel_policy,
    )


__all__ = ["HELP", "NAME", "configure", "run"]
