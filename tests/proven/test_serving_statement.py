"""A server logs which committed weights its model has before it answers, and logs nothing that is not about it.

What the model's owner signed in its manifest needs no other word, and no other word stands against it.
"""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from identities import identity
from proven_answers import Ward, clock, small_graph, trust
from quatrefoil.cli import serve_model
from quatrefoil.errors import CallerError, EvidenceRejected
from quatrefoil.proven import Committed, Port, log_statement, verify_statement
from quatrefoil.proven.statement import read_statement, sign_statement
from quatrefoil.resources.container.layout import CIPHER, Manifest
from quatrefoil.serving.committed import CommittedWeights, committed_weights, log_served, require_audited

OWNERS = CommittedWeights(b"w" * 32, 8)


@pytest.fixture
def ward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(serve_model, "system_clock", clock)
    found = Ward(tmp_path, small_graph())
    yield found
    found.close()


def manifest(commitment: bytes = OWNERS.root, openings: int = OWNERS.openings) -> Manifest:
    return Manifest(CIPHER, "file", "onnx", 100, bytes(32), bytes(32), bytes(32), commitment, openings)


def given(ward: Ward, statement: bytes | None) -> Committed | None:
    """What a server that starts with this statement takes of it."""
    file = ward.folder / "statement"
    if statement is not None:
        file.write_bytes(statement)
    party: Any = SimpleNamespace(trust=trust(), identity=ward.identity, log=ward.log)
    policy: Any = SimpleNamespace(model=SimpleNamespace(root=ward.root))
    return serve_model.stated(Namespace(committed=None if statement is None else file), party, policy)


def said_of(ward: Ward, weights: CommittedWeights, stated: Committed | None) -> list[str]:
    """What the log has of models once the server has opened the model."""
    content = ward.model.read_bytes()
    log_served(ward.log, content, model=ward.root, weights=weights, stated=stated, identity=ward.identity, clock=clock)
    return logged(ward)


def logged(ward: Ward) -> list[str]:
    return [entry.body["commitment"] for entry in ward.log.entries() if entry.kind == "committed-model"]


def stated(ward: Ward, **changes: Any) -> Committed:
    return verify_statement(sign_statement(ward.said(**changes), ward.identity), trust(), clock=clock)


def test_the_statement_is_logged_once(ward: Ward):
    assert given(ward, None) is None
    signed = sign_statement(ward.said(), ward.identity)
    taken = given(ward, signed)
    assert taken is not None and taken.signed == signed
    weights = require_audited(committed_weights(None, taken))
    assert said_of(ward, weights, taken) == said_of(ward, weights, taken) == [ward.said().commitment.hex()]
    again = given(ward, sign_statement(ward.said(), ward.identity))
    log_statement(ward.log, again.signed)
    assert said_of(ward, weights, again) == [ward.said().commitment.hex()]


def test_a_statement_about_another_model_or_of_another_server_is_not_taken(ward: Ward):
    for said, signer in (
        (ward.said(model=bytes(32)), ward.identity),
        (ward.said(), identity("other", "workload")),
    ):
        with pytest.raises(CallerError, match="about the model"):
            given(ward, sign_statement(said, signer))
    with pytest.raises(EvidenceRejected):
        given(ward, b"no statement")
    assert logged(ward) == []


def test_a_second_statement_about_the_model_is_not_logged(ward: Ward):
    first, second = stated(ward), stated(ward, commitment=b"d" * 32)
    said_of(ward, CommittedWeights(first.said.commitment, 8), first)
    with pytest.raises(CallerError, match="another statement about the model"):
        said_of(ward, CommittedWeights(second.said.commitment, 8), second)
    assert logged(ward) == [first.said.commitment.hex()]


@pytest.mark.parametrize(
    "changes", [{"program": b"p" * 32}, {"input": Port("other", 64)}, {"output": Port("y", 3)}, {"openings": 9}]
)
def test_a_statement_about_another_graph_is_not_logged(ward: Ward, changes: dict[str, Any]):
    one = stated(ward, **changes)
    with pytest.raises(CallerError, match="about another program than the model computes"):
        said_of(ward, CommittedWeights(one.said.commitment, 8), one)
    assert logged(ward) == []


def test_the_owners_manifest_is_enough(ward: Ward):
    """The server makes the statement itself then, and once."""
    weights = require_audited(committed_weights(manifest(), None))
    assert weights == OWNERS
    assert said_of(ward, weights, None) == said_of(ward, weights, None) == [OWNERS.root.hex()]
    (entry,) = (entry for entry in ward.log.entries() if entry.kind == "committed-model")
    signed = ward.log.payload(entry.attached["committed"].sha256)
    found = verify_statement(signed, trust(), clock=clock)
    assert found.signer == "ward" and found.said == read_statement(signed)
    assert found.said.agrees_with(ward.said(commitment=OWNERS.root))


@pytest.mark.parametrize("changes", [{"commitment": b"d" * 32}, {"commitment": OWNERS.root, "openings": 9}])
def test_a_statement_against_the_owners_manifest_is_refused(ward: Ward, changes: dict[str, Any]):
    with pytest.raises(CallerError, match="and the model's owner"):
        committed_weights(manifest(), stated(ward, **changes))
    assert committed_weights(manifest(), stated(ward, commitment=OWNERS.root)) == OWNERS


def test_audit_mode_without_committed_weights_is_refused(ward: Ward):
    for one in (None, manifest(b"", 0)):
        with pytest.raises(CallerError, match="nothing names the model's committed weights"):
            require_audited(committed_weights(one, None))
    assert committed_weights(manifest(b"", 0), stated(ward)) == CommittedWeights(ward.said().commitment, 8)
