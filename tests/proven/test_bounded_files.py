"""Files that others wrote are read no further than their formats go, and no opening is used for a file too large."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from float_models import numbers
from identities import START, TRUSTED, consortium
from proven_answers import Ward, clock, small_graph, trust
from quatrefoil.audit.evidence import LARGEST_PROOF
from quatrefoil.cli import main
from quatrefoil.errors import CallerError, EvidenceRejected, HostError, MessageRefused
from quatrefoil.proven import ModelFolder, logged_answers, prove_answers, verify_answers
from quatrefoil.transport import files

ENDLESS = Path("/dev/zero")
ROOT = consortium(TRUSTED).directory / "root.pem"


def test_a_file_is_read_no_further_than_its_format_goes(tmp_path: Path):
    (tmp_path / "file").write_bytes(bytes(10))
    assert files.read(tmp_path / "file", "proof", largest=10) == bytes(10)
    for file, largest in ((tmp_path / "file", 9), (ENDLESS, 1000)):
        with pytest.raises(MessageRefused, match=rf"proof {file} has over {largest:,} bytes"):
            files.read(file, "proof", largest=largest)
    with pytest.raises(HostError, match="cannot be read"):
        files.read(tmp_path / "none", "proof", largest=10)


def test_a_proof_without_end_is_refused_with_a_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "v.json"
    assert main(["proof", "verify", str(ENDLESS), "--trust", str(ROOT), "--json", str(out)]) == 1
    assert "has over 67,108,864 bytes" in capsys.readouterr().err
    assert json.loads(out.read_text())["valid"] is False
    with pytest.raises(EvidenceRejected, match="over 67,108,864 bytes"):
        verify_answers(bytes(LARGEST_PROOF + 1), trust(), clock=clock, log=None)


def test_no_opening_is_used_for_a_file_that_would_be_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    ward = Ward(tmp_path, small_graph())
    folder = ModelFolder.create(tmp_path / "committed", ward.model, 4, ward.identity, at=START)
    ward.state(folder.statement)
    record = ward.answer(numbers(1, 2, 6))
    log = ward.logged()
    ward.close()
    logged = logged_answers(log, {record.receipt.digest()}, folder.committed)
    made = prove_answers(folder, [record], logged)
    left, size = folder.left, len(made.encode())
    monkeypatch.setattr("quatrefoil.proven.proving.LARGEST_PROOF", size - 1)
    with pytest.raises(CallerError, match="about 1 receipts is over"):
        prove_answers(folder, [record], logged)
    assert folder.left == left
