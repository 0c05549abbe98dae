"""``quatrefoil model commit``, ``proof prove`` and ``proof verify P``: what they refuse before anything is computed."""

from __future__ import annotations

from pathlib import Path

import pytest

from proven_answers import small_graph
from quatrefoil.cli import main
from quatrefoil.quantised import encode
from quatrefoil.transport import CertificateAuthority, system_clock


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("commit")
    authority = CertificateAuthority.create(folder / "ca", "root", clock=system_clock)
    for role in ("workload", "silo"):
        authority.issue("ward", role, directory=folder / role)
    (folder / "model.onnx").write_bytes(encode(small_graph()))
    (folder / "other.onnx").write_bytes(b"no model")
    (folder / "P").write_bytes(b"no proof")
    return folder


def refused(here: Path, capsys: pytest.CaptureFixture[str], line: str, why: str) -> None:
    assert main([part.replace("HERE", str(here)) for part in line.split()]) == 1
    assert why in capsys.readouterr().err


COMMIT = "model commit HERE/model.onnx --identity HERE/workload --root HERE/ca/root.pem --out HERE/out"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (COMMIT.replace("HERE/workload", "HERE/silo"), "is silo ward, and models are served by a workload"),
        (COMMIT.replace("model.onnx", "other.onnx"), "describes no integer graph"),
        (COMMIT.replace("model.onnx", "none.onnx"), "cannot be read"),
        (COMMIT + " --openings 1", "1 openings are not 3 to 64: the first goes to the proof of range"),
        (COMMIT + " --openings 2", "2 openings are not 3 to 64: the first goes to the proof of range"),
        (COMMIT + " --openings 65", "65 openings are not 3 to 64"),
        (COMMIT + " --link HERE/committed", "either a model is committed to, or a commitment linked"),
        ("model commit HERE/model.onnx --root HERE/ca/root.pem --out HERE/out", "has an identity and a root"),
        ("model commit HERE/model.onnx --identity HERE/workload --out HERE/out", "has an identity and a root"),
        ("model commit --link HERE/none --root HERE/ca/root.pem --out HERE/out", "either a model is committed to"),
        ("model commit --out HERE/out", "either a model is committed to"),
        ("model commit --link HERE/none --out HERE/out", "cannot be read"),
        ("model commit --link HERE/none --openings 8 --out HERE/out", "either a model is committed to"),
    ],
)
def test_what_cannot_be_committed_to_is_refused_and_leaves_nothing(here: Path, capsys, line: str, why: str):
    refused(here, capsys, line, why)
    assert not (here / "out").exists()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("proof verify HERE/P --trust HERE/ca/root.pem", "the file is no proof of answers"),
        ("proof verify HERE/none --trust HERE/ca/root.pem", "cannot be read"),
        ("proof verify HERE/P", "nobody is trusted"),
        ("proof verify HERE/P --trust HERE/ca/root.pem --json HERE/none/x.json", "cannot be written"),
    ],
)
def test_a_file_that_is_none_is_refused(here: Path, capsys, line: str, why: str):
    refused(here, capsys, line, why)


def test_a_verdict_is_written_also_where_a_file_is_refused(here: Path, capsys):
    refused(here, capsys, "proof verify HERE/P --trust HERE/ca/root.pem --json HERE/v.json", "no proof of answers")
    assert '"valid": false' in (here / "v.json").read_text()


@pytest.mark.parametrize("line", ["proof verify", "proof verify P --proof p", "proof verify --proof p --trust t"])
def test_two_kinds_of_proofs_are_not_mixed(capsys, line: str):
    with pytest.raises(SystemExit):
        main(line.split())
    assert "give P with --trust" in capsys.readouterr().err


def test_nothing_is_overwritten_by_a_proof(here: Path, capsys):
    options = "--model HERE/none --receipts HERE/none --key HERE/none --log HERE/none --trust HERE/ca/root.pem"
    refused(here, capsys, f"proof prove {options} --out HERE/P", "exists already")
    refused(here, capsys, f"proof prove {options} --out HERE/Q", "cannot be read")
    refused(here, capsys, f"proof prove {options} --out HERE/P/x", "cannot be written")
    refused(here, capsys, f"proof prove {options} --out HERE/nowhere/x", "cannot be written")
