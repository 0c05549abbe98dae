"""What a release costs over loopback: nonce, evidence, appraisal, log, state, and the key opened, in milliseconds.

Broker and client are two threads of one process with channels between them, state and log on a disk, and a TPM that is
a key in this process (``quoting``): what real hardware takes to make evidence comes on top. The channel stands already;
``dial_ms`` is what a new one costs. Medians of several releases, each of its own lease.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from quatrefoil import attested
from quatrefoil.appraisal.policy import AppraisalPolicy, Least, Listed, Rule
from quatrefoil.audit import TileLog
from quatrefoil.bench.quoting import VALUES, Quoting
from quatrefoil.broker.deciding import Judge
from quatrefoil.broker.holder import Holder
from quatrefoil.broker.machine import Broker
from quatrefoil.broker.messages import Asker
from quatrefoil.enclave.binding import Keyset
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.errors import ParametersRefused
from quatrefoil.resources import OwnedResource, ReleasePolicy, Resource, Stage, key_commitment, seal_key, sign, verify
from quatrefoil.services.broker import BrokerService
from quatrefoil.services.broker_link import question
from quatrefoil.state import SqliteState
from quatrefoil.transport import (
    HYBRID_768,
    AsyncChannel,
    CertificateAuthority,
    FixedCredentials,
    Identity,
    PostQuantumTransport,
    open_channel,
    sealed,
    serve,
    system_clock,
)
from quatrefoil.transport.sealed import RecipientKey

HOST, TIMEOUT = "127.0.0.1", 30.0
_HOUR = 3600


def measure_release(repeats: int, folder: Path | None, progress: Callable[[str], None]) -> dict[str, float]:
    """``release_ms`` and its parts. ``folder``: where state and log lie (default: where temporary files do)."""
    if repeats < 1:
        raise ParametersRefused(f"{repeats} repetitions measure nothing", hint="Choose a number like 50")
    progress("release keys over loopback")
    with tempfile.TemporaryDirectory(prefix="quatrefoil-", dir=folder) as place:
        site = _Site(Path(place))
        try:
            with site:
                return asyncio.run(_releases(site, repeats))
        finally:
            site.close()


class _Site:
    """Everybody's identities, and a broker in a thread of its own while it is entered."""

    def __init__(self, folder: Path) -> None:
        authority = CertificateAuthority.create(folder / "ca", "bench", clock=system_clock)
        self.trust = authority.trust
        self.people = {
            role: authority.issue(role, role, directory=folder / role) for role in ("broker", "silo", "workload")
        }
        self.machine = Quoting()
        self.state = SqliteState(folder / "state" / "state.sqlite")
        self.log = TileLog(folder / "state", self.people["broker"], self.trust)
        key = RecipientKey.generate(sealed.HYBRID_768)
        self.broker = Broker(
            security=self.security("broker"),
            key=key,
            keyset=_keyset(key, self.people["broker"]),
            judge=Judge(lambda: Collateral(keys=(self.machine.spki,)), HYBRID_768),
            attester=None,
            state=self.state,
            log=self.log,
            clock=system_clock,
        )
        secret = os.urandom(32)
        self.resource = _resource(self.security("silo"), secret)
        key_sealed = seal_key(self.resource, secret, key.recipient.public)
        self.broker.register(self.resource.signed, key_sealed, asker=Asker("silo", "silo"))
        self.port = 0
        self._ready = threading.Event()
        self._stop: Callable[[], object] = lambda: None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def security(self, role: str) -> PostQuantumTransport:
        return PostQuantumTransport(self.people[role], self.trust, clock=system_clock)

    async def _serve(self) -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        self._stop = lambda: loop.call_soon_threadsafe(stop.set)
        async with await serve(
            HOST,
            0,
            credentials=FixedCredentials(self.people["broker"], self.trust),
            allow_roles=["workload"],
            handler=BrokerService(self.broker, on_refused=lambda *_: None).handle,
            on_refused=lambda *_: None,
            timeout=TIMEOUT,
            clock=system_clock,
        ) as server:
            self.port = server.port
            self._ready.set()
            await stop.wait()

    def __enter__(self) -> _Site:
        self._thread.start()
        self._ready.wait(TIMEOUT)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._thread.join(TIMEOUT)

    def close(self) -> None:
        self.state.close()
        self.log.close()


async def _releases(site: _Site, repeats: int) -> dict[str, float]:
    found: dict[str, list[float]] = {}

    def took(name: str, since: float) -> float:
        now = time.perf_counter()
        found.setdefault(name, []).append((now - since) * 1e3)
        return now

    security = site.security("workload")
    for number in range(repeats + 1):
        holder = Holder(
            site.resource,
            "serve",
            broker="broker",
            security=security,
            attester=site.machine.attester,
            clock=system_clock,
            tls_key=attested.tls_key(site.people["workload"]),
            keyset_s=_HOUR,
        )
        begun = time.perf_counter()
        async with await _dial(site) as channel:
            whole = at = took("dial_ms", begun)
            nonce = await question(channel, "nonce")
            at = took("nonce_ms", at)
            request = holder.request(nonce, exporter=attested.exported(channel, nonce, of_peer=False))
            at = took("evidence_ms", at)
            answer = await question(channel, "release", request)
            at = took("decision_ms", at)
            holder.accept(answer)
            took("open_ms", at)
            took("release_ms", whole)
            at = time.perf_counter()
            nonce = await question(channel, "nonce")
            request = holder.request(nonce, exporter=attested.exported(channel, nonce, of_peer=False))
            holder.accept(await question(channel, "renew", request))
            took("renewal_ms", at)
        if not number:
            found.clear()  # what is loaded and remembered once
    return {name: statistics.median(values) for name, values in found.items()}


async def _dial(site: _Site) -> AsyncChannel:
    return await open_channel(
        HOST,
        site.port,
        identity=site.people["workload"],
        trust=site.trust,
        expect_role="broker",
        timeout=TIMEOUT,
        clock=system_clock,
    )


def _keyset(key: RecipientKey, identity: Identity) -> Keyset:
    now = int(time.time())
    return Keyset(attested.sealing_key(key.recipient.public), attested.tls_key(identity), b"", now - _HOUR, now + _HOUR)


def _resource(security: PostQuantumTransport, secret: bytes) -> OwnedResource:
    registers = tuple(Listed(f"pcr{number}", (value.hex(),)) for number, value in enumerate(VALUES) if any(value))
    rule = Rule(
        kind="tpm",
        measurements=registers,
        platforms=(Listed("ak", ("any",)),),
        refused=(),
        required=(),
        listed=(Listed("bank", ("sha256",)),),
        minimum_tcb=(Least("TPM", "firmware", 0),),
    )
    stage = Stage("serve", AppraisalPolicy("bench", "required", (rule,)), _HOUR, "allowed", ())
    policy = ReleasePolicy("bench", ("serve",), (stage,))
    content = hashlib.sha256(b"bench").digest()
    body = Resource("model", "bench", 1, 0, content, key_commitment(secret), ("serve",), policy.encode(), b"")
    return verify(sign(body, security.sign), security.verify)


def rows(found: dict[str, float]) -> list[tuple[str, Any]]:
    """The parts, in the order in which they happen."""
    names = {
        "nonce_ms": "a nonce",
        "evidence_ms": "evidence, by a key in software",
        "decision_ms": "the broker's decision, in log and state",
        "open_ms": "the answer checked and opened",
        "release_ms": "a release, all of these",
        "renewal_ms": "a renewal, the same without a key",
        "dial_ms": "a new channel before it",
    }
    return [(said, found[name]) for name, said in names.items()]


__all__ = ["measure_release", "rows"]
