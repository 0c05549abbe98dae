"""``quatrefoil proof``: a verdict and a reason, and the terms of the soundness."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from proving import BINDING, CONTEXT, Instance

from quatrefoil import cli


def line(small: Instance, tmp_path: Path, proof: bytes, **changed: str) -> list[str]:
    ciphertext, file = tmp_path / "ciphertext", tmp_path / "proof"
    ciphertext.write_bytes(small.encrypted.ciphertext)
    file.write_bytes(proof)
    options = {
        "ciphertext": str(ciphertext),
        "proof": str(file),
        "bound": str(small.statement.bound),
        "context": CONTEXT.hex(),
        "binding": BINDING.hex(),
        "json": str(tmp_path / "verdict.json"),
    } | changed
    return ["proof", "verify", *(part for name, value in options.items() for part in (f"--{name}", value))]


def test_an_accepted_proof_is_shown_with_its_statement(
    small: Instance, small_proof: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(line(small, tmp_path, small_proof)) == 0
    verdict = json.loads((tmp_path / "verdict.json").read_text())
    assert verdict["verdict"] == "accepted" and verdict["schema"] == "quatrefoil.proof-verify/1"
    assert verdict["statement"] == small_proof[12:44].hex() and verdict["values"] == 545
    assert (verdict["root"], verdict["key_value"]) == (small_proof[44:76].hex(), small_proof[76:92].hex())
    shown = capsys.readouterr().out
    assert "Accepted" in shown and verdict["statement"] in shown


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"bound": "7"}, "it proves another statement"),
        ({"binding": "00" * 32}, "it proves another statement"),
        ({"binding": "0"}, "--binding is not 32 bytes in hexadecimal"),
        ({"context": "00" * 32}, "belongs to the round context 000102030405060"),
        ({"bits": "12"}, "parameters"),
        ({"bits": "32"}, "parameters"),
        ({"bound": "-1"}, "a bound of -1"),
        ({"threads": "0"}, "0 threads"),
        ({"soundness": "110"}, "bits of soundness, 110 are asked for"),
    ],
)
def test_another_statement_is_refused_with_the_reason(
    small: Instance,
    small_proof: bytes,
    tmp_path: Path,
    changed: dict[str, str],
    reason: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(line(small, tmp_path, small_proof, **changed)) == 1
    shown = capsys.readouterr()
    assert reason in shown.err and shown.out == ""


def test_a_rejected_proof_has_a_verdict_too(
    small: Instance, small_proof: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(line(small, tmp_path, small_proof[:-1])) == 1
    verdict = json.loads((tmp_path / "verdict.json").read_text())
    assert verdict["verdict"] == "rejected" and "are needed" in verdict["reason"]
    assert verdict["reason"] in capsys.readouterr().err
    assert cli.main(line(small, tmp_path, small_proof, ciphertext=str(tmp_path / "proof"))) == 1
    assert "quatrefoil: " in capsys.readouterr().err


@pytest.mark.parametrize("bits", ["nan", "inf", "0", "-1", "1e9", "many"])
def test_what_is_no_number_of_bits_is_refused(
    small: Instance, small_proof: bytes, tmp_path: Path, bits: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main(line(small, tmp_path, small_proof, soundness=bits))
    assert "--soundness" in capsys.readouterr().err


def test_the_terms_add_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["proof", "parameters", "--parameters", "131072", "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    total = sum(2.0 ** term["log2_error"] for term in found["terms"])
    assert 2.0 ** -found["soundness_bits"] == pytest.approx(total)
    assert found["shape"]["rows"] == 16_384 and found["parameter_set"] == "sum-256-w16"
    assert cli.main(["proof", "parameters", "--bits", "12"]) == 0
    shown = capsys.readouterr().out
    assert "soundness_bits" in shown and "sum-32-w12" in shown
