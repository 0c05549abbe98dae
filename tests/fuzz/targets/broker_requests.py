"""What a broker is asked: requests of code on a machine, and whatever owners and operators sign."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

from tests.fuzz.held import refused_or

from brokering import KEY, OPERATOR, OWNER, Site, Workload, lease_of, resource_of, revocation, sealed_for
from identities import identity, speaking_as
from quatrefoil.audit import MemoryLog
from quatrefoil.broker.messages import Asker, DeriveRequest, ReleaseRequest, RenewalRequest
from quatrefoil.resources import OwnedResource, verify

RELEASE, RENEW, DERIVE, REGISTER, REVOKE = range(5)
ASKER = Asker("worker", "workload")


@cache
def _site() -> tuple[Site, OwnedResource, Workload]:
    """A broker with one resource, which code holds under a lease."""
    site = Site()
    owned = site.registered()
    workload = site.workload(owned)
    workload.acquire()
    return site, owned, workload


def _fresh() -> Site:
    """The same broker as it was before anything of this input: started again on copies of its state and log."""
    site, _, _ = _site()
    log = MemoryLog(site.clock)
    for entry in site.log.entries():
        attached = {name: site.log.payload(one.sha256) for name, one in entry.attached.items()}
        log.append(entry.kind, entry.body, attached)
    return Site(clock=site.clock, state=site.state.copy(), log=log)  # type: ignore[attr-defined]


def seeds() -> list[bytes]:
    site, owned, workload = _site()
    release = Workload(site, owned, "train", ASKER).request()
    renewal = workload.request()
    derived = resource_of(ASKER, name="model", stages=("aggregate",), parent=owned.digest)
    derive = workload.holder.derive(workload.nonce(), derived.signed, sealed_for(derived), exporter=b"")
    revocations = [
        {"what": "resource", "value": owned.digest},
        {"what": "lease", "value": bytes(32)},
        {"what": "measurement", "kind": "tpm", "name": "pcr7", "value": b"\7" * 32},
        {"what": "platform", "kind": "tpm", "name": "ak", "value": bytes(32), "resource": owned.digest},
    ]
    signed = [speaking_as(identity(OPERATOR.name, OPERATOR.role)).verify(revocation(**one)).body for one in revocations]
    bodies = [owned.resource.encode(), resource_of(name="other", secret=KEY).resource.encode()]
    requests = [(RELEASE, release), (RENEW, renewal), (DERIVE, derive)]
    requests += [*((REGISTER, body) for body in bodies), *((REVOKE, body) for body in signed)]
    return [bytes([how]) + content for how, content in requests]


def one(data: bytes) -> None:
    """By the first byte: a request, as it is and with a nonce that is good, or a body that owner and operator sign.

    What is given is a lease of whoever asked; and the broker starts again on what it stored."""
    how, content = (data[0] if data else 0) % 5, data[1:]
    site = _fresh()
    broker = site.broker
    if how in (RELEASE, RENEW, DERIVE):
        kind: Any = (ReleaseRequest, RenewalRequest, DeriveRequest)[how]
        ask = (broker.release, broker.renew, broker.derive)[how]
        wanted = refused_or(lambda: kind.decode(content))
        again = b"" if wanted is None else replace(wanted, nonce=broker.nonce(ASKER)).encode()
        for request in (content, again):
            answer = refused_or(lambda request=request: ask(request, asker=ASKER, exporter=b"", peer_key=b""))  # type: ignore[misc]
            if answer is not None and how != DERIVE:
                assert lease_of(answer).holder == ASKER.name
    elif how == REGISTER:
        security = speaking_as(identity(OWNER.name, OWNER.role))
        signed = security.sign(content)
        owned = refused_or(lambda: verify(signed, security.verify))
        sealed_key = b"" if owned is None else refused_or(lambda: sealed_for(owned)) or b""
        refused_or(lambda: broker.register(signed, sealed_key, asker=OWNER))
    else:
        for by in (OPERATOR, OWNER):
            refused_or(lambda by=by: broker.revoke(speaking_as(identity(by.name, by.role)).sign(content)))  # type: ignore[misc]
    broker.leases(OPERATOR)
    broker.resources(OPERATOR)
    site.restart()
