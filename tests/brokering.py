"""A broker, an owner and machines with a software-made TPM, for tests: every input is in the test's hands."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from identities import Clock, identity, speaking_as
from quatrefoil import attested
from quatrefoil.appraisal import AppraisalPolicy
from quatrefoil.appraisal.policy import Least, Listed, Rule
from quatrefoil.audit import Log, MemoryLog
from quatrefoil.audit.leases import Lease
from quatrefoil.broker.deciding import Judge
from quatrefoil.broker.holder import Holder
from quatrefoil.broker.machine import Broker
from quatrefoil.broker.messages import Asker, Release, Revocation
from quatrefoil.enclave.binding import Keyset
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import EvidenceSet
from quatrefoil.resources import (
    Output,
    OwnedResource,
    ReleasePolicy,
    Resource,
    Stage,
    key_commitment,
    seal_key,
    sign,
    verify,
)
from quatrefoil.state import MemoryState, State
from quatrefoil.transport import HYBRID_768, sealed
from quatrefoil.transport.sealed import RecipientKey
from signed_messages import body_of
from tpm_quotes import Made, key

GOOD = {number: bytes([number]) * 32 for number in (0, 1, 2, 7)}
"""What the accepted code's registers hold."""
HOUR = 3600
KEY = bytes(range(7, 39))
OWNER, BROKER = Asker("hospital", "silo"), Asker("broker", "broker")
OPERATOR = BROKER


def appraisal_policy(name: str = "machine", values: Iterable[str] | None = None) -> AppraisalPolicy:
    """Accepts a TPM whose register 7 holds one of ``values``."""
    rule = Rule(
        kind="tpm",
        measurements=(Listed("pcr7", tuple(sorted(values or [GOOD[7].hex()]))),),
        platforms=(Listed("ak", ("any",)),),
        refused=(),
        required=(),
        listed=(Listed("bank", ("sha256",)),),
        minimum_tcb=(Least("TPM", "firmware", 0),),
    )
    return AppraisalPolicy(name, "required", (rule,))


def chain_policy(
    *, lease_s: int = HOUR, renewal: str = "allowed", train: AppraisalPolicy | None = None
) -> ReleasePolicy:
    """train -> aggregate -> serve: each stage with a register value of its own, but for train's."""
    return ReleasePolicy(
        "chain",
        ("train",),
        (
            Stage(
                "aggregate",
                appraisal_policy("aggregate", ["aa" * 32]),
                lease_s,
                renewal,
                (Output("model", ("serve",)),),
            ),
            Stage("serve", appraisal_policy("serve", ["bb" * 32]), lease_s, renewal, ()),
            Stage("train", train or appraisal_policy(), lease_s, renewal, (Output("dataset", ("aggregate",)),)),
        ),
    )


@cache
def broker_key() -> RecipientKey:
    return RecipientKey.generate(sealed.HYBRID_768)


def resource_of(
    asker: Asker = OWNER,
    *,
    name: str = "patients",
    kind: str = "dataset",
    policy: ReleasePolicy | None = None,
    stages: tuple[str, ...] = ("train",),
    parent: bytes = b"",
    secret: bytes = KEY,
    policy_bytes: bytes | None = None,
) -> OwnedResource:
    policy_bytes = policy_bytes or (policy or chain_policy()).encode()
    content = hashlib.sha256(name.encode()).digest() if kind != "round-key" else b""
    body = Resource(kind, name, 1, 0, content, key_commitment(secret), stages, policy_bytes, parent)
    security = speaking_as(identity(asker.name, asker.role))
    return verify(sign(body, security.sign), security.verify)


def sealed_for(owned: OwnedResource, secret: bytes = KEY) -> bytes:
    return seal_key(owned, secret, broker_key().recipient.public)


@dataclass
class Machine:
    """A machine with a TPM: ``attester`` quotes ``values`` by ``ak``."""

    values: dict[int, bytes] = field(default_factory=lambda: dict(GOOD))
    ak: int = 0
    collected: int = 0

    def attester(self, report_data: bytes) -> EvidenceSet:
        self.collected += 1
        made = Made(key=key("p256", self.ak), nonce=report_data, values=self.values)
        return EvidenceSet(made.evidence())

    @property
    def spki(self) -> bytes:
        return Made(key=key("p256", self.ak)).spki


class Site:
    """A broker that pins the keys of two machines, with its state, log and clock."""

    def __init__(self, *, clock: Clock | None = None, state: State | None = None, log: Log | None = None) -> None:
        self.clock = clock or Clock()
        self.state: State = state if state is not None else MemoryState()
        self.log: Log = log or MemoryLog(self.clock)
        self.collateral = Collateral(keys=(Machine().spki, Machine(ak=1).spki))
        self.security = speaking_as(identity(BROKER.name, BROKER.role), self.clock)
        self.broker = self.make()

    def make(self, state: State | None = None, log: Log | None = None, **changes: Any) -> Broker:
        """The broker, started (again) on ``state`` and ``log``."""
        given: dict[str, Any] = {
            "security": self.security,
            "key": broker_key(),
            "keyset": keyset_of(broker_key().recipient.public, self.clock),
            "judge": Judge(lambda: self.collateral, HYBRID_768),
            "attester": None,
            "state": state if state is not None else self.state,
            "log": log or self.log,
            "clock": self.clock,
        }
        return Broker(**given | changes)

    def restart(self) -> None:
        self.broker = self.make()

    def registered(self, owned: OwnedResource | None = None, secret: bytes = KEY) -> OwnedResource:
        owned = owned or resource_of(secret=secret)
        asker = Asker(owned.owner.signer, owned.owner.role)
        self.broker.register(owned.signed, sealed_for(owned, secret), asker=asker)
        return owned

    def workload(self, owned: OwnedResource, stage: str = "train", name: str = "worker", **more: Any) -> Workload:
        return Workload(self, owned, stage, Asker(name, "workload"), **more)

    def revoke(self, by: Asker = OPERATOR, **fields: Any) -> None:
        self.broker.revoke(revocation(by, clock=self.clock, **fields))

    # ---------------------------------------------------------------------------------------------------- inspection

    def logged(self, kind: str) -> list[dict[str, Any]]:
        return [dict(entry.body) for entry in self.log.entries() if entry.kind == kind]


class Workload:
    """Code on a machine that asks a broker for one key, without a channel unless ``exporter`` says so."""

    def __init__(
        self,
        site: Site,
        owned: OwnedResource,
        stage: str,
        asker: Asker,
        *,
        machine: Machine | None = None,
        tls_key: bytes = b"",
    ) -> None:
        self.site = site
        self.asker = asker
        self.machine = machine or Machine()
        self.elapsed = 0.0
        self.exporter = self.peer_key = b""
        self.security = speaking_as(identity(asker.name, asker.role), site.clock)
        self.holder = Holder(
            owned,
            stage,
            broker=BROKER.name,
            security=self.security,
            attester=self.machine.attester,
            clock=site.clock,
            tls_key=tls_key,
            keyset_s=30 * 86400,
            elapsed=lambda: self.elapsed,
        )

    def pass_time(self, seconds: float) -> None:
        self.elapsed += seconds
        self.site.clock.pass_time(seconds=seconds)

    def nonce(self) -> bytes:
        return self.site.broker.nonce(self.asker)

    def request(self, nonce: bytes | None = None) -> bytes:
        return self.holder.request(nonce or self.nonce(), exporter=self.exporter)

    def ask(self, request: bytes) -> bytes:
        return self.site.broker.release(request, asker=self.asker, exporter=self.exporter, peer_key=self.peer_key)

    def acquire(self) -> Lease:
        return self.holder.accept(self.ask(self.request()))

    def ask_renewal(self, request: bytes) -> bytes:
        return self.site.broker.renew(request, asker=self.asker, exporter=self.exporter, peer_key=self.peer_key)

    def renew(self) -> Lease:
        return self.holder.accept(self.ask_renewal(self.request()))

    def derived(self, owned: OwnedResource, secret: bytes) -> bytes:
        request = self.holder.derive(self.nonce(), owned.signed, sealed_for(owned, secret), exporter=self.exporter)
        return self.site.broker.derive(request, asker=self.asker, exporter=self.exporter, peer_key=self.peer_key)


def revocation(by: Asker = OPERATOR, *, clock: Callable[[], Any] | None = None, **fields: Any) -> bytes:
    """A signed :class:`Revocation`."""
    given = {"what": "resource", "kind": "", "name": "", "value": b"", "resource": b"", "reason": "test"} | fields
    return speaking_as(identity(by.name, by.role), clock).sign(Revocation(**given).encode())


def keyset_of(public: bytes, clock: Clock) -> Keyset:
    now = int(clock.now.timestamp())
    return Keyset(attested.sealing_key(public), b"", b"", now - HOUR, now + 365 * 86400)


def lease_of(answer: bytes) -> Lease:
    return Lease.decode(body_of(Release.decode(answer).lease))


def altered(request: bytes, kind: type[Any], **changes: Any) -> bytes:
    """A request with some fields changed."""
    return replace(kind.decode(request), **changes).encode()


def rolled(state: MemoryState) -> MemoryState:
    """A backup of a disk."""
    return state.copy()


def other_key() -> bytes:
    return os.urandom(32)
