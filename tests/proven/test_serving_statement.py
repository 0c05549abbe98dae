"""A server logs which committed weights its model has before it answers, and logs nothing that is not about it."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from proven_answers import Ward, clock, small_graph, trust
from quatrefoil.cli import serve
from quatrefoil.errors import CallerError, EvidenceRejected
from quatrefoil.proven.statement import sign_statement
from world import identity


@pytest.fixture
def ward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(serve, "system_clock", clock)
    found = Ward(tmp_path, small_graph())
    yield found
    found.close()


def started(ward: Ward, statement: bytes | None) -> list[str]:
    """What the log of a server that starts with this statement has of models."""
    file = ward.folder / "statement"
    if statement is not None:
        file.write_bytes(statement)
    party: Any = SimpleNamespace(trust=trust(), identity=ward.identity, log=ward.log)
    policy: Any = SimpleNamespace(model=SimpleNamespace(root=ward.root))
    serve._log_committed(Namespace(committed=None if statement is None else file), party, policy)
    return [entry.body["commitment"] for entry in ward.log.entries() if entry.kind == "committed-model"]


def test_the_statement_is_logged_once(ward: Ward):
    signed = sign_statement(ward.said(), ward.identity)
    assert started(ward, None) == []
    assert started(ward, signed) == started(ward, signed) == [ward.said().commitment.hex()]


def test_a_statement_about_another_model_or_of_another_server_is_not_logged(ward: Ward):
    for said, signer in (
        (ward.said(model=bytes(32)), ward.identity),
        (ward.said(), identity("other", "workload")),
    ):
        with pytest.raises(CallerError, match="about the model"):
            started(ward, sign_statement(said, signer))
    with pytest.raises(EvidenceRejected):
        started(ward, b"no statement")
    assert started(ward, None) == []


def test_a_second_statement_about_the_model_is_not_logged(ward: Ward):
    started(ward, sign_statement(ward.said(), ward.identity))
    with pytest.raises(CallerError, match="another statement about the model"):
        started(ward, sign_statement(ward.said(commitment=b"d" * 32), ward.identity))
