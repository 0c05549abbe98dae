"""The two servers of the serving bench, each a process: ``python -m quatrefoil.bench.serving_far KIND FOLDER``.

``KIND``: plain or layered. ``FOLDER``: that of a ``ServingSite``. Prints its port once it answers; ends by SIGTERM.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from quatrefoil import attested
from quatrefoil.audit import TileLog
from quatrefoil.bench import serving_site
from quatrefoil.bench.broker_site import HOST, TIMEOUT
from quatrefoil.bench.quoting import Quoting
from quatrefoil.broker.holder import Holder
from quatrefoil.demo.plain_server import serve_plain, stopping, tell_port
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.exchange import ServingPolicy, protocol
from quatrefoil.inference import Engine, OnnxEngine
from quatrefoil.resources.container import claimed_time
from quatrefoil.services.lease_holder import LeaseHolder
from quatrefoil.serving.keys import ServingKeys
from quatrefoil.serving.model import acquire, read_model, require_served
from quatrefoil.serving.oip import OipHandler
from quatrefoil.serving.receipt_log import ReceiptLog
from quatrefoil.serving.receipts import ReceiptIssuer
from quatrefoil.serving.server import Serving
from quatrefoil.transport import (
    Dialer,
    FixedCredentials,
    HybridContext,
    Identity,
    PostQuantumTransport,
    TrustAnchor,
    system_clock,
)
from quatrefoil.transport.sealed import Judged

_KEYSET_S = 3600


def main() -> None:
    kind, folder = sys.argv[1], Path(sys.argv[2])
    policy = ServingPolicy.decode((folder / serving_site.POLICY).read_bytes())
    threads = int((folder / serving_site.THREADS).read_text())
    if kind == "plain":
        asyncio.run(_plain(folder, policy, threads))
    else:
        asyncio.run(
            serve_layered(
                folder, policy, lambda model: OnnxEngine(model, name=policy.model.name, threads=threads), threads
            )
        )


async def _plain(folder: Path, policy: ServingPolicy, threads: int) -> None:
    model = (folder / serving_site.MODEL).read_bytes()
    await serve_plain(model, policy, threads=threads, stop=stopping(), tell=tell_port)


async def serve_layered(
    folder: Path, policy: ServingPolicy, engine_of: Callable[[bytes], Engine], threads: int = 1
) -> None:
    """Serve until SIGTERM. ``engine_of`` is given the content of the sealed container; ``threads``: for opening it."""
    stop = stopping()
    identity, trust = Identity.load(folder / protocol.SERVER_ROLE), TrustAnchor.load(folder / "root.pem")
    machine = Quoting.load(folder / serving_site.MACHINE)
    container = folder / serving_site.SEALED
    verifying = claimed_time(trust, judged=Judged.NOW, clock=system_clock)
    owned = require_served(container, verifying, policy).owned
    holder = Holder(
        owned,
        serving_site.STAGE,
        broker="broker",
        security=PostQuantumTransport(identity, trust, clock=system_clock),
        attester=machine.attester,
        clock=system_clock,
        tls_key=attested.tls_key(identity),
        keyset_s=_KEYSET_S,
    )
    dialer = Dialer(
        HOST,
        int((folder / serving_site.BROKER).read_text()),
        credentials=FixedCredentials(identity, trust),
        expect_role="broker",
        timeout=TIMEOUT,
        clock=system_clock,
    )
    async with LeaseHolder(holder, dialer.open, report=_report) as held:
        await acquire(held, patience_s=TIMEOUT, report=_report)
        model = read_model(container, verifying, held.key, policy, resource=owned.digest, threads=threads)
        engine = engine_of(model)
        log = TileLog(folder / "server-state", identity, trust)
        try:
            server = _serving(folder, policy, engine, machine, log, identity, trust)
            await server.run(stop, started=lambda: tell_port(server.port))
        finally:
            log.close()


def _serving(
    folder: Path,
    policy: ServingPolicy,
    engine: Engine,
    machine: Quoting,
    log: TileLog,
    identity: Identity,
    trust: TrustAnchor,
) -> Serving:
    issuer = ReceiptIssuer(
        issuer=identity.name,
        model=policy.model.root,
        commitment=b"",
        measurement="",
        policy=policy.digest(),
        plan=policy.plan,
        journal=folder / "server-state" / "receipts",
        log=log,
        clock=system_clock,
    )
    records = ReceiptLog(issuer, policy.attestation.appraisal, _report)
    pinned = Collateral(keys=(machine.spki,))
    keys = ServingKeys(machine, policy, collateral=lambda: pinned, events=records, clock=system_clock)
    tls = HybridContext(
        FixedCredentials(identity, trust),
        allow_roles=["silo"],
        clock=system_clock,
        protocol=b"http/1.1",
        on_refused=lambda error: _report(str(error)),
    )
    handler = OipHandler(engine, policy)
    return Serving(handler, keys, records, policy, listen=(HOST, 0), tls=tls, clock=system_clock, report=_report)


def _report(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
