"""What an aggregator sends before a job starts: signed by it, and otherwise whatever it likes."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from tests.fuzz import rooms
from tests.fuzz.held import refused_or

from quatrefoil.aggregation import AdditiveAggregation, ParameterSet
from quatrefoil.federation.agreement import agree, open_job
from quatrefoil.federation.messages import Consent, EnrolledJob, Job, Member
from quatrefoil.federation.proving import JobProofs
from quatrefoil.federation.vectors import ArrayLayout, Layout
from quatrefoil.policy import Policy
from quatrefoil.transport import PostQuantumTransport, statement, system_clock

EXAMPLES = Path(__file__).parents[3] / "examples"
POLICY = Policy.load(EXAMPLES / "policies" / "hospitals.toml")
AGGREGATION = AdditiveAggregation(ParameterSet.named("sum-256-w16"))
PROOFS = JobProofs(None, POLICY)


@cache
def security() -> PostQuantumTransport:
    return PostQuantumTransport(rooms.member(), rooms.trust(), clock=system_clock)


def seeds() -> list[bytes]:
    return [
        b"\0" + sound_job(),
        b"\1" + EnrolledJob(job=b"", consents=()).encode(),
        b"\1" + Consent(bytes(32)).encode(),
    ]


def one(data: bytes) -> None:
    """By the first byte: the body of a job, or everything that was enrolled."""
    how, content = data[:1], data[1:]
    shared = {"security": security(), "policy": POLICY, "aggregation": AGGREGATION, "proofs": PROOFS}
    if how == b"\1":
        refused_or(lambda: agree(content, **shared))
        return
    signed = statement.sign(content, rooms.member("hub", "aggregator"))
    job = refused_or(lambda: open_job(signed, **shared))
    assert job is None or job.encode() == content


def sound_job() -> bytes:
    """A job that its parties could agree to."""

    def one(name: str, role: str, samples: int = 0) -> Member:
        return Member(name, rooms.member(name, role).fingerprint, samples)

    return Job(
        name="fuzz",
        policy=POLICY.digest(),
        plan=bytes(32),
        scheme=AGGREGATION.scheme.name,
        scheme_digest=AGGREGATION.scheme.digest,
        proofs=PROOFS.scheme,
        update_norm=POLICY.limits.update_norm,
        layout=Layout((ArrayLayout((31,), "<f8"),)),
        clip=POLICY.limits.clip,
        rounds=1,
        model=bytes(32),
        receipt_key=b"",
        parent=b"",
        heaviest=10,
        upper=b"",
        aggregator=one("hub", "aggregator"),
        keeper=one("keeper", "keeper"),
        roster=tuple(one(name, "silo", 10) for name in ("east", "north", "south", "west")),
    ).encode()
