"""``quatrefoil model quantise``: what it prints, writes and refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import policy_text
from float_models import digits, model, node, numbers
from quatrefoil.cli import main
from quatrefoil.quantised import Rule, decode


@pytest.fixture
def here(tmp_path: Path) -> Path:
    float_model, images, labels = digits()
    (tmp_path / "model.onnx").write_bytes(float_model)
    np.savez(tmp_path / "samples.npz", inputs=images[:300], labels=labels[:300])
    np.savez(tmp_path / "others.npz", inputs=images[1200:], labels=labels[1200:])
    np.save(tmp_path / "bare.npy", images[:50])
    return tmp_path


def command(here: Path, *more: str, samples: str = "samples.npz") -> list[str]:
    files = [str(here / "model.onnx"), "--samples", str(here / samples), "--out", str(here / "integers.onnx")]
    return ["model", "quantise", *files, *more]


def test_a_model_is_compiled_and_what_it_loses_is_said(here, capsys):
    assert main([*command(here, "--held-out", str(here / "others.npz")), "--json", str(here / "out.json")]) == 0
    shown = capsys.readouterr().out
    assert "2,410 weights in integers" in shown and "Of 597 answers" in shown and "by the float model" in shown
    said = json.loads((here / "out.json").read_text())
    assert said["schema"] == "quatrefoil.model-quantise/1"
    assert said["accuracy"]["samples"] == 597 and said["accuracy"]["drop"] < 0.01
    assert [step["step"] for step in said["steps"]] == ["Dense", "Dense"]
    graph = decode((here / "integers.onnx").read_bytes())
    assert graph.weights == said["weights"] == 2410
    assert (said["inputs"], said["cells"]) == (graph.inputs, graph.cells) == (64, 32)
    assert "for a workload: 64 inputs, 32 cells" in shown
    assert said["unprovable"] == "" and "cannot be proven" not in shown


@pytest.mark.parametrize(
    ("bits", "why"),
    [
        ((16, 15), r"sums of 'node-h' are .*\d+.*; proofs are about .*\d"),
        ((8, 3), "no field hash: the range 0 to 7 is not of 16 to"),
    ],
)
def test_a_model_whose_answers_cannot_be_proven_is_said_to_be_such(here, capsys, bits, why):
    """It is written and can be served; committed to it is not."""
    widths = ("--weight-bits", str(bits[0]), "--value-bits", str(bits[1]), "--largest-drop", "1")
    assert main([*command(here, *widths), "--json", str(here / "out.json")]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert re.search(f"Answers of it cannot be proven: {why}", shown), shown
    assert re.search(why, json.loads((here / "out.json").read_text())["unprovable"])
    assert main(["model", "commit", str(here / "integers.onnx"), "--out", str(here / "committed")]) == 1
    assert re.search(why, " ".join(capsys.readouterr().err.split())) and not (here / "committed").exists()


def test_the_rule_for_clients_is_that_of_the_graph(here):
    assert main(command(here, "--rule", str(here / "rule.json"))) == 0
    rule = Rule.decode((here / "rule.json").read_bytes())
    assert rule == Rule.of(decode((here / "integers.onnx").read_bytes()))


@pytest.mark.parametrize("there", ["integers.onnx", "rule.json"])
def test_what_is_there_is_not_overwritten(here, capsys, there: str):
    """Found before anything is computed, and nothing is written beside it."""
    (here / there).write_bytes(b"kept")
    assert main(command(here, "--rule", str(here / "rule.json"))) == 1
    told = capsys.readouterr().err
    assert f"{there} exists already" in told and "choosing scales" not in told
    assert (here / there).read_bytes() == b"kept"
    assert sum((here / one).exists() for one in ("integers.onnx", "rule.json")) == 1


def test_model_and_rule_are_two_files(here, capsys):
    assert main(command(here, "--rule", str(here / "integers.onnx"))) == 1
    assert "would be one file" in capsys.readouterr().err and not (here / "integers.onnx").exists()


def test_a_bare_array_serves_as_samples(here, capsys):
    assert main([*command(here, samples="bare.npy"), "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"]["accuracy"] is None


def test_a_model_that_loses_too_much_is_not_written(here, capsys):
    assert main(command(here, "--weight-bits", "2", "--value-bits", "2", "--largest-drop", "0.001")) == 1
    assert "over the 0.001 allowed" in capsys.readouterr().err
    assert not (here / "integers.onnx").exists()


def test_what_is_refused_is_not_written(here, capsys):
    softmax = [node("MatMul", ["x", "w"], "h"), node("Softmax", ["h"], "y")]
    (here / "model.onnx").write_bytes(model(softmax, ("x", [64]), ("y", [4]), {"w": numbers(1, 64, 4)}))
    assert main(command(here)) == 1
    assert "node node-y is Softmax" in capsys.readouterr().err
    assert not (here / "integers.onnx").exists()


@pytest.mark.parametrize(
    ("saved", "why"),
    [
        ({"wrong": np.zeros((3, 64))}, "does not hold 'inputs'"),
        ({"inputs": np.zeros((3, 64)), "labels": np.zeros(2, int)}, "not one integer a sample"),
        ({"inputs": np.zeros((3, 64)), "labels": np.zeros(3)}, "not one integer a sample"),
        ({"inputs": np.array(["a"])}, "Give numbers"),
        ({"inputs": np.zeros((3, 63))}, r"for inputs of \(64,\)"),
    ],
)
def test_samples_that_do_not_fit_are_refused(here, capsys, saved, why):
    np.savez(here / "samples.npz", **saved)
    assert main(command(here)) == 1
    assert re.search(why, capsys.readouterr().err)


@pytest.mark.parametrize(
    ("file", "content", "why"),
    [
        ("samples.npz", b"PK garbage", "no .npz that can be read"),
        ("model.onnx", b"garbage", "no ONNX model"),
    ],
)
def test_garbage_is_refused(here, capsys, file, content, why):
    (here / file).write_bytes(content)
    assert main(command(here)) == 1
    assert why in capsys.readouterr().err


def test_a_share_is_a_share(here, capsys):
    assert main(command(here, "--largest-drop", "2")) == 1
    assert "is no share" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_said(here, capsys):
    where = "/proc/none/integers.onnx"
    files = [str(here / "model.onnx"), "--samples", str(here / "samples.npz"), "--out", where]
    assert main(["model", "quantise", *files]) == 1
    assert "cannot be written" in capsys.readouterr().err


def policy(here: Path, drop: str) -> str:
    (here / "policy.toml").write_text(policy_text.TEXT + f"[inference]\nlargest_accuracy_drop = {drop}\n")
    return str(here / "policy.toml")


def test_the_policy_says_how_much_may_be_lost(here, capsys):
    few = ["--weight-bits", "2", "--value-bits", "2"]
    assert main(command(here, *few, "--policy", policy(here, "0.001"))) == 1
    assert "over the 0.001 allowed" in capsys.readouterr().err
    assert not (here / "integers.onnx").exists()
    assert main(command(here, *few, "--policy", policy(here, "1.0"))) == 0


def test_the_command_allows_no_more_than_the_policy(here, capsys):
    assert main(command(here, "--policy", policy(here, "0.001"), "--largest-drop", "0.01")) == 1
    assert "over the 0.001 that the policy allows" in capsys.readouterr().err
    assert main(command(here, "--policy", policy(here, "0.5"), "--largest-drop", "0.01")) == 0


@pytest.mark.parametrize("drop", ["-0.1", "1.5", '"much"', "nan"])
def test_a_policy_with_no_share_is_refused(here, capsys, drop):
    assert main(command(here, "--policy", policy(here, drop))) == 1
    assert "largest_accuracy_drop" in capsys.readouterr().err
