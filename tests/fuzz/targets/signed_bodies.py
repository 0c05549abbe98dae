"""What certified parties sign beside rounds, over whatever they like: whose a log is, who witnesses, which weights a
model has, and which key to seal to."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache
from typing import Any

from tests.fuzz import rooms
from tests.fuzz.held import refused_or

from quatrefoil.audit import ownership, witnesses
from quatrefoil.audit.ownership import LogStatement
from quatrefoil.audit.witnesses import WitnessStatement
from quatrefoil.proven import CommittedModel, Port, verify_statement
from quatrefoil.tlog import LogKeys
from quatrefoil.tlog.keys import new_witness_key
from quatrefoil.transport import sealed, statement, system_clock
from quatrefoil.transport.sealed.keys import SealingPublicKey, verify_recipient

NAME = "ward"


def _party() -> Any:
    return rooms.member(NAME, "workload")


@cache
def bodies() -> tuple[bytes, ...]:
    origin = f"quatrefoil/{rooms.trust().fingerprints[0].hex()[:16]}/{NAME}"
    now = int(system_clock().timestamp())
    log = LogKeys.generate(origin)
    own = ownership.sign(log, _party(), system_clock())
    witness = new_witness_key(f"{origin}/witness").verifier
    key = sealed.RecipientKey.generate(sealed.HYBRID_768)
    return (
        statement.body_of(own),
        WitnessStatement(now, witness.encode()).encode(),
        CommittedModel(bytes(32), b"r" * 32, b"p" * 32, 4, Port("x", 64), Port("y", 0), now).encode(),
        SealingPublicKey(suite=key.suite.identifiers, public=key.recipient.public).encode(),
    )


@cache
def readers() -> tuple[tuple[Callable[[bytes], Any], Callable[[bytes], Any]], ...]:
    """What verifies each, and what reads the body alone."""
    trust, clock = rooms.trust(), system_clock
    return (
        (lambda signed: ownership.verify(signed, trust, clock=clock), LogStatement.decode),
        (lambda signed: witnesses.verify(signed, trust, clock=clock), WitnessStatement.decode),
        (lambda signed: verify_statement(signed, trust, clock=clock), CommittedModel.decode),
        (lambda signed: verify_recipient(signed, trust, clock=clock), SealingPublicKey.decode),
    )


def seeds() -> list[bytes]:
    """Each body; and those with a time, at times that are none."""
    timed = [
        body.replace(_number(int(at)), _number(other)) for body in bodies() for at in _times(body) for other in ODD
    ]
    return [*bodies(), *timed]


ODD = (0, 1, (1 << 63) - 1, (1 << 64) - 1, 253402300799, 253402300800, 1 << 40)


def _number(value: int) -> bytes:
    """As CBOR has it."""
    return b"\x1a" + struct.pack(">I", value) if value < 1 << 32 else b"\x1b" + struct.pack(">Q", value)


def _times(body: bytes) -> list[int]:
    for kind in (LogStatement, WitnessStatement, CommittedModel):
        found = refused_or(lambda kind=kind: kind.decode(body))  # type: ignore[misc]
        if found is not None:
            return [found.time]
    return []


def one(data: bytes) -> None:
    """Signed by a certified party: it says what its body says, or is refused."""
    signed = statement.sign(data, _party())
    for verify, decode in readers():
        found = refused_or(lambda verify=verify: verify(signed))  # type: ignore[misc]
        if found is not None:
            assert decode(data).encode() == data
    for verify, _ in readers():  # as it came, from nobody
        assert refused_or(lambda verify=verify: verify(data)) is None  # type: ignore[misc]
    refused_or(lambda: ownership.named(data))
    refused_or(lambda: ownership.named(signed))
