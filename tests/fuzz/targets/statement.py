"""Envelopes and statements of provenance: from nobody, and signed by members over whatever they like."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache

from tests.fuzz import rooms
from tests.fuzz.held import refused_or, refused_or_same

from quatrefoil import strict_json
from quatrefoil.audit import json_form, provenance
from quatrefoil.audit.ancestry import Model, examine
from quatrefoil.audit.dsse import Envelope, Notary
from quatrefoil.audit.manifest import Manifest, Tensor, header_of, measure
from quatrefoil.audit.provenance import Statement
from quatrefoil.transport import system_clock

NAME = bytes(range(32))
TIME = datetime(2030, 1, 1, tzinfo=UTC)


def manifest() -> Manifest:
    return measure(header_of([Tensor("arr_0", "float32", (1,))]), [bytes(4)])


def notary(name: str = "hub", role: str = "aggregator") -> Notary:
    return Notary(rooms.member(name, role), rooms.trust(), clock=system_clock)


@cache
def statement() -> bytes:
    digests = provenance.ModelDigests.of(manifest())
    silo = provenance.Silo("north", rooms.member().fingerprint, 3, NAME, None)
    one = provenance.Round(1, 0, NAME, ("north",), (), NAME, NAME, NAME, 0.5)
    training = provenance.Training(
        job=provenance.Job("job", NAME, NAME, NAME),
        parameters=provenance.Parameters(1, 1.0, "scheme", NAME, "", ("software-keeper",), None),
        layout=manifest().header,
        initial=provenance.Initial(NAME, digests, None),
        aggregator=provenance.Signer("hub", notary().fingerprint),
        keeper=provenance.Signer("keeper", NAME),
        silos=(silo,),
        rounds=(one,),
        software=provenance.Software("1", NAME),
        started_on=TIME,
        finished_on=TIME,
    )
    return Statement.about(training, manifest()).encode()


def envelope(payload: bytes) -> Envelope:
    return Envelope("application/vnd.in-toto+json", payload, (notary().sign(payload),))


def seeds() -> list[bytes]:
    return [b"\0" + envelope(statement()).encode(), b"\1" + statement(), b"\2" + manifest().header.leaf()]


def one(data: bytes) -> None:
    """By the first byte: an envelope, a payload that a member signs, or the header of a manifest."""
    how, content = data[:1], data[1:]
    refused_or(lambda: strict_json.parse(content, "it", limit=1 << 20))
    if how == b"\2":
        header = content.removeprefix(b"quatrefoil model v1\n")
        kind = type(manifest().header)
        refused_or_same(lambda: json_form.decode(kind, header, "header", limit=1 << 20), json_form.encode, header)
        return
    signed = envelope(content).encode() if how == b"\1" else content
    opened = refused_or(lambda: Envelope.decode(signed))
    if opened is not None:
        assert Envelope.decode(opened.encode()) == opened
        found = refused_or(lambda: provenance.read(opened))
        assert found is None or found.encode() == opened.payload
    checked = examine(Model(manifest(), NAME), signed, [signed], verifier=notary().verifier)
    assert checked.checks and all(check.detail for check in checked.checks)
    assert not checked.valid, "its time is to come, whatever was altered"
