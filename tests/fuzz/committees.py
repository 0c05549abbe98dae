"""What targets of a committee need: a job of four silos, who are its members, and one attempt of it as it should go."""

from __future__ import annotations

from functools import cache

import numpy as np
from tests.fuzz import rooms

from quatrefoil.aggregation import AdditiveAggregation, ParameterSet
from quatrefoil.audit import MemoryLog
from quatrefoil.contracts import Recipient
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import AgreedJob
from quatrefoil.federation.authorities import NOBODY
from quatrefoil.federation.committee_messages import MemberKey, MemberKeys, SignedKeys
from quatrefoil.federation.contributing import Contributing
from quatrefoil.federation.dealing import Dealer
from quatrefoil.federation.messages import Job, Member, OpenRound, RoundContext, RoundOffer
from quatrefoil.federation.proving import JobProofs
from quatrefoil.federation.vectors import ArrayLayout, Layout
from quatrefoil.policy import Policy
from quatrefoil.proofs import BoundedUpdateProofs
from quatrefoil.transport import PostQuantumTransport, system_clock

SILOS = ("east", "north", "south", "west")
LENGTH = 31
SET = ParameterSet.named("sum-256-w16")
POLICY = Policy.parse(
    """
name = "fuzz-committee"
threats = ["recorder", "network", "curious-aggregator", "colluding-silos", "byzantine-silo"]
on_excess = "refuse"
[limits]
minimum_silos = 3
colluding_silos = 1
largest_sample_count = 1000
clip = 1.0
value_bits = 16
minimum_roster_group = 1
rounds = 2
update_norm = 3.0
[allow]
transport = ["pq-tls"]
enclave = ["committee"]
aggregation = ["additive-rlwe"]
proofs = ["bounded-update"]
[insecure]
accept = []
[key_authority]
kind = "committee"
members = 4
silent = 0
liars = 1
""",
    source="fuzz",
)
assert POLICY.threshold is not None
THRESHOLD = POLICY.threshold


def security(name: str) -> PostQuantumTransport:
    """What a silo, or the aggregator ``hub``, signs with. A new trust for each input, which remembers none before."""
    return PostQuantumTransport(
        rooms.member(name, "aggregator" if name == "hub" else "silo"), rooms.trust(), clock=system_clock
    )


def sign_as(name: str, body: bytes) -> bytes:
    return security(name).sign(body)


def log() -> MemoryLog:
    return MemoryLog(system_clock)


@cache
def aggregation() -> AdditiveAggregation:
    return AdditiveAggregation(SET)


@cache
def proofs() -> JobProofs:
    return JobProofs(BoundedUpdateProofs(SET), POLICY)


@cache
def job() -> AgreedJob:
    def one(name: str, role: str, samples: int = 0) -> Member:
        return Member(name, rooms.member(name, role).fingerprint, samples)

    agreed = Job(
        name="fuzz",
        policy=POLICY.digest(),
        plan=bytes(32),
        scheme=aggregation().scheme.name,
        scheme_digest=aggregation().scheme.digest,
        proofs=proofs().scheme,
        update_norm=POLICY.limits.update_norm,
        layout=Layout((ArrayLayout((LENGTH,), "<f8"),)),
        clip=POLICY.limits.clip,
        rounds=1,
        model=bytes(32),
        receipt_key=b"",
        parent=b"",
        heaviest=10,
        upper=b"",
        aggregator=one("hub", "aggregator"),
        keeper=NOBODY,
        roster=tuple(one(name, "silo", 10) for name in SILOS),
        members=SILOS,
    )
    return AgreedJob(agreed, agreed.digest(), b"", POLICY.threshold, POLICY.key_authority.silent)


@cache
def opening() -> OpenRound:
    return OpenRound(job().digest, 1, 0, bytes(32), POLICY.limits.update_norm, b"")


@cache
def recipients() -> dict[str, Recipient]:
    """Each member's key for the attempt."""
    return {name: security(name).new_recipient() for name in SILOS}


@cache
def member_keys() -> tuple[bytes, ...]:
    """What each member signed of it."""
    return tuple(
        sign_as(name, MemberKey(opening().digest(), recipient.public).encode())
        for name, recipient in recipients().items()
    )


@cache
def context() -> RoundContext:
    agreed = job().job
    return RoundContext(
        job=job().digest,
        round=1,
        attempt=0,
        model=bytes(32),
        scheme_digest=agreed.scheme_digest,
        length=LENGTH,
        clip=agreed.clip,
        update_norm=agreed.update_norm,
        direction=b"",
        sealing_key=MemberKeys(tuple(one.public for one in recipients().values())).encode(),
    )


def offer() -> RoundOffer:
    return RoundOffer(context(), SignedKeys(member_keys()).encode())


@cache
def dealer() -> tuple[Dealer, list[bytes]]:
    """Silo ``north`` as a dealer in this attempt, with what it sends: signed contribution, sealed shares, ciphertext,
    proof."""
    found = Dealer(security("north"), aggregation(), log(), most=POLICY.key_authority.liars)
    contributing = Contributing(security("north"), aggregation(), proofs(), found)
    update = np.linspace(-0.25, 0.25, LENGTH)
    return found, parts.split(contributing.message(job(), context(), update, b""), 4)


@cache
def shares() -> tuple[bytes, ...]:
    """Of ``north``'s key, by member, as they were sealed."""
    sealed = parts.split(dealer()[1][1], len(SILOS))
    return tuple(
        bytes(recipient.open(one, context=context().digest()).plaintext)
        for recipient, one in zip(recipients().values(), sealed, strict=True)
    )
