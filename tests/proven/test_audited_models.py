"""Digits and hearts, from a trained float model to an auditor's verdict, by the commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

import sampled
from float_models import digits, hearts
from identities import TRUSTED, consortium
from proven_answers import Ward, clock
from quatrefoil.audit.sampling import draw
from quatrefoil.cli import archives, auditing, main, model_commit, proof_prove, proof_verify
from quatrefoil.proven import ProofFile
from quatrefoil.quantised import decode
from quatrefoil.transport import sealed
from second_opinion import Rejected, second_opinion

Trained = tuple[bytes, np.ndarray, np.ndarray]
"""The float model, inputs, and the place of each right answer."""


@dataclass
class Audited:
    """What operator and auditor have when all is done, in ``folder``."""

    folder: Path
    proved: dict
    verified: dict


@pytest.fixture(autouse=True)
def tests_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' consortium lives in a year of its own."""
    for module in (model_commit, proof_prove, proof_verify, archives, auditing):
        monkeypatch.setattr(module, "system_clock", clock)


def run(*arguments: object) -> None:
    assert main([str(one) for one in arguments]) == 0


def audited(folder: Path, trained: Trained, *, drawn: int, hidden: bool) -> Audited:
    """Quantise, commit, serve, draw, prove, verify."""
    float_model, inputs, labels = trained
    (folder / "float.onnx").write_bytes(float_model)
    np.savez(folder / "samples.npz", inputs=inputs[:600], labels=labels[:600])
    np.savez(folder / "others.npz", inputs=inputs[600:], labels=labels[600:])
    root = consortium(TRUSTED).directory / "root.pem"
    compiled = ("--samples", folder / "samples.npz", "--held-out", folder / "others.npz")
    run(
        "model",
        "quantise",
        folder / "float.onnx",
        *compiled,
        "--out",
        folder / "integers.onnx",
        "--largest-drop",
        "0.01",
    )
    ward = Ward(folder, decode((folder / "integers.onnx").read_bytes()))
    signing = ("--identity", consortium(TRUSTED).folder("ward", "workload"), "--root", root)
    run("model", "commit", folder / "integers.onnx", *signing, "--openings", 4, "--out", folder / "committed")
    ward.state((folder / "committed" / "statement").read_bytes())
    key = sealed.RecipientKey.generate(sealed.HYBRID_768)
    key.save(folder / "prover", b"whoever needs it")
    ward.audit(folder / "records", key.recipient)
    for number in range(40):
        ward.answer(inputs[600 + number : 601 + number], number=number)
    ward.end()
    ward.close()
    state = folder / "state"
    sample = draw(sampled.server(state), sampled.Cosigners().cosigned(state), sampled.terms(drawn), sampled.quiet)
    (folder / "may.sample").write_bytes(sample.encode())
    chosen = (
        "--receipts",
        folder / "records",
        "--key",
        folder / "prover",
        "--sample",
        folder / "may.sample",
        "--log",
        state,
        "--trust",
        root,
    )
    shown = ("--hidden",) if hidden else ()
    made = ("--out", folder / "P", "--json", folder / "p.json", *shown)
    run("proof", "prove", "--model", folder / "committed", *chosen, *made)
    run("proof", "verify", folder / "P", "--trust", root, "--log", state, "--json", folder / "v.json")
    return Audited(folder, *(json.loads((folder / name).read_text()) for name in ("p.json", "v.json")))


@pytest.mark.parametrize(("trained", "hidden"), [(digits, False), (hearts, True)], ids=["digits", "heart"])
def test_from_training_to_verdict(tmp_path: Path, trained: Callable[[], Trained], hidden: bool, capsys):
    found = audited(tmp_path, trained(), drawn=12, hidden=hidden)
    assert found.verified["valid"] is True and found.verified["batch"] == 12
    assert found.verified["model_root"] == found.proved["model_root"]
    assert found.verified["log"].endswith("/ward") and found.verified["soundness_bits"] > 95
    assert found.proved["openings_left"] == 2 and found.verified["hidden"] is hidden
    file = ProofFile.decode((found.folder / "P").read_bytes())
    assert second_opinion(file).hex() == found.verified["statement"]
    moved = replace(file.receipts[0], entry=file.receipts[0].entry + 1000)
    with pytest.raises(Rejected):
        second_opinion(replace(file, receipts=(moved, *file.receipts[1:])))
    refused_by_the_commands(found)
    told_no_more_than_was_checked(found, capsys)
    judged_with_the_logs(found)


def judged_with_the_logs(found: Audited) -> None:
    """The auditor's verdict on a bundle: with the proof of all that were drawn, without it, and with a changed one."""
    folder, root = found.folder, consortium(TRUSTED).directory / "root.pem"
    for name in sampled.NAMES:
        (folder / name).write_text(sampled.witness_key(name).verifier.encode())
    witnesses = [part for name in sampled.NAMES for part in ("--witness", folder / name)]
    at = (sampled.SIGNED + timedelta(hours=1)).isoformat()
    for name, given, right in (
        ("all", ("--proof", folder / "P"), True),
        ("none", (), False),
        ("changed", ("--proof", folder / "P", "--proof", folder / "Q"), False),
    ):
        bundle, out = folder / f"{name}.zip", folder / f"{name}.json"
        run("audit", "bundle", folder / "state", "--sample", folder / "may.sample", *given, "--out", bundle)
        terms = ("--trust", root, "--at", at, *witnesses, "--count", 12, "--json", out)
        assert main([str(one) for one in ("audit", "verify", bundle, *terms)]) == (0 if right else 1)
        content = json.loads(out.read_text())
        failed = {check["name"] for check in content["checks"] if not check["passed"]}
        assert failed == (set() if right else {"proofs"})
        assert content["samples"][0]["lacking"] == (12 if name == "none" else 0)
        assert content["proofs"] == [] or found.verified["model_root"] in {
            one["model_root"] for one in content["proofs"]
        }


def told_no_more_than_was_checked(found: Audited, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a log nobody is said to have answered; with one, whose word the weights of the served file are."""
    verify = ("proof", "verify", found.folder / "P", "--trust", consortium(TRUSTED).directory / "root.pem")
    told = []
    for more in ((), ("--log", found.folder / "state")):
        capsys.readouterr()
        run(*verify, *more)
        told.append(" ".join(capsys.readouterr().out.split()))
    alone, logged = told
    assert "that a server answered so is NOT shown" in alone and "whoever made the file can have made them" in alone
    assert "logged" not in alone and "Every answer" not in alone
    assert "Every answer in these logged receipts" in logged and "NOT shown" not in logged
    assert all("is the word of ward: no proof shows it" in one for one in told)


def refused_by_the_commands(found: Audited) -> None:
    """A changed file, and receipts that another log has."""
    root = consortium(TRUSTED).directory / "root.pem"
    content = bytearray((found.folder / "P").read_bytes())
    content[-1] ^= 1
    (found.folder / "Q").write_bytes(content)
    options = ["--trust", str(root), "--json", str(found.folder / "q.json")]
    assert main(["proof", "verify", str(found.folder / "Q"), *options]) == 1
    said = json.loads((found.folder / "q.json").read_text())
    assert said["valid"] is False and "rejected" in said["reason"]
    assert main(["proof", "verify", str(found.folder / "P"), *options]) == 0
    assert "not looked up" in json.loads((found.folder / "q.json").read_text())["log"]
