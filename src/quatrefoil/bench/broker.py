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
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from quatrefoil import attested
from quatrefoil.bench.broker_site import HOST, TIMEOUT, BrokerSite, serving_release
from quatrefoil.broker.holder import Holder
from quatrefoil.broker.messages import Asker
from quatrefoil.errors import ParametersRefused
from quatrefoil.resources import OwnedResource, Resource, key_commitment, seal_key, sign, verify
from quatrefoil.services.broker_link import question
from quatrefoil.transport import AsyncChannel, open_channel, system_clock

_HOUR = 3600


def measure_release(repeats: int, folder: Path | None, progress: Callable[[str], None]) -> dict[str, float]:
    """``release_ms`` and its parts. ``folder``: where state and log lie (default: where temporary files do)."""
    if repeats < 1:
        raise ParametersRefused(f"{repeats} repetitions measure nothing", hint="Choose a number like 50")
    progress("release keys over loopback")
    with tempfile.TemporaryDirectory(prefix="quatrefoil-", dir=folder) as place, BrokerSite(Path(place)) as site:
        return asyncio.run(_releases(site, _registered(site), repeats))


async def _releases(site: BrokerSite, resource: OwnedResource, repeats: int) -> dict[str, float]:
    found: dict[str, list[float]] = {}

    def took(name: str, since: float) -> float:
        now = time.perf_counter()
        found.setdefault(name, []).append((now - since) * 1e3)
        return now

    security = site.security("workload")
    for number in range(repeats + 1):
        holder = Holder(
            resource,
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


async def _dial(site: BrokerSite) -> AsyncChannel:
    return await open_channel(
        HOST,
        site.port,
        identity=site.people["workload"],
        trust=site.trust,
        expect_role="broker",
        timeout=TIMEOUT,
        clock=system_clock,
    )


def _registered(site: BrokerSite) -> OwnedResource:
    """A model that nobody reads, whose key the broker has."""
    secret, security = os.urandom(32), site.security("silo")
    policy, content = serving_release("bench"), hashlib.sha256(b"bench").digest()
    body = Resource("model", "bench", 1, 0, content, key_commitment(secret), ("serve",), policy.encode(), b"")
    owned = verify(sign(body, security.sign), security.verify)
    site.broker.register(owned.signed, seal_key(owned, secret, site.recipient), asker=Asker("silo", "silo"))
    return owned


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
