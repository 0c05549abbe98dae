"""Which committed weights a model has is said by its server, once, and in its log."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from identities import identity
from proven_answers import ROOT, Ward, clock, small_graph, trust
from quatrefoil.errors import CallerError, EvidenceRejected, MessageRefused
from quatrefoil.proofs.inference import WeightsCommitment
from quatrefoil.proven import Port, verify_statement
from quatrefoil.proven.statement import sign_statement
from quatrefoil.quantised import program_of
from quatrefoil.transport import statement


@pytest.fixture
def ward(tmp_path: Path):
    found = Ward(tmp_path, small_graph())
    yield found
    found.close()


def test_what_the_server_signed_is_read_back(ward: Ward):
    signed = sign_statement(ward.said(), ward.identity)
    found = verify_statement(signed, trust(), clock=clock)
    assert found.said == ward.said() and found.signer == "ward" and found.signed == signed
    assert found.said.input.exponent == ward.graph.exponents[0]


@pytest.mark.parametrize("role", ["aggregator", "silo", "keeper", "broker"])
def test_whoever_serves_no_models_says_nothing_of_them(ward: Ward, role: str):
    with pytest.raises(EvidenceRejected, match="serves none"):
        verify_statement(sign_statement(ward.said(), identity("other", role)), trust(), clock=clock)


def test_a_certificate_of_another_root_does_not_count(ward: Ward):
    signed = sign_statement(ward.said(), identity("ward", "workload", root="stranger"))
    with pytest.raises(EvidenceRejected, match="cannot be told"):
        verify_statement(signed, trust(), clock=clock)


@pytest.mark.parametrize("field", ["body", "certificate", "signature"])
def test_a_statement_that_was_altered_is_refused(ward: Ward, field: str):
    parsed = statement.Signed.decode(sign_statement(ward.said(), ward.identity))
    content = bytearray(getattr(parsed, field))
    content[-1] ^= 1
    with pytest.raises(EvidenceRejected, match="cannot be told"):
        verify_statement(replace(parsed, **{field: bytes(content)}).encode(), trust(), clock=clock)


def test_a_statement_about_something_else_is_refused(ward: Ward):
    for body in (b"", Port("x", 1).encode()):
        with pytest.raises(EvidenceRejected, match="cannot be told"):
            verify_statement(statement.sign(body, ward.identity), trust(), clock=clock)


@pytest.mark.parametrize(
    ("changes", "program"),
    [({"root": b"d" * 32}, None), ({"openings": 9}, None), ({}, b"e" * 32)],
)
def test_a_commitment_to_other_weights_is_not_the_one_spoken_of(ward: Ward, changes, program):
    found = verify_statement(sign_statement(ward.said(), ward.identity), trust(), clock=clock)
    content = program_of(ward.graph)
    right = WeightsCommitment(content.content, 8, ROOT, b"", ())
    found.require(right, content.digest)
    with pytest.raises(EvidenceRejected, match="not the one that ward says"):
        found.require(replace(right, **changes), program or content.digest)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": b""},
        {"commitment": bytes(31)},
        {"program": bytes(33)},
        {"openings": 0},
        {"openings": 65},
        {"time": 1 << 50},
    ],
)
def test_a_statement_that_says_nothing_that_can_be_is_refused(ward: Ward, changes):
    with pytest.raises(MessageRefused):
        replace(ward.said(), **changes)


@pytest.mark.parametrize(("name", "scale"), [("", 0), ("x" * 257, 0), ("x", 129)])
def test_ports_that_are_none_are_refused(name, scale):
    with pytest.raises(MessageRefused):
        Port(name, scale)


def test_a_log_has_one_statement_about_a_model(ward: Ward):
    signed = ward.state()
    ward.state(signed)
    entries = [entry for entry in ward.log.entries() if entry.kind == "committed-model"]
    assert [entry.body["model"] for entry in entries] == [ward.root.hex()]
    other = sign_statement(ward.said(commitment=b"d" * 32), ward.identity)
    with pytest.raises(CallerError, match="has another statement about the model"):
        ward.state(other)
    ward.state(sign_statement(ward.said(model=b"n" * 32), ward.identity))
