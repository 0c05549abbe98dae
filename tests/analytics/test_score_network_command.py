"""``quatrefoil score`` with a network: in one call, as two parties, and what it refuses."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from test_network_onnx import model as onnx_model
from test_network_onnx import outputs

from quatrefoil import cli

NETWORK = {
    "kind": "network",
    "features": ["age", "bmi"],
    "hidden": {"weights": [[0.01, -0.02], [-0.02, 0.05], [0.005, 0.01]], "biases": [0.1, 0.2, -0.3]},
    "output": {"weights": [[1, -0.5, 2], [0.25, 1, -1]], "biases": [-1, 0.5]},
    "outputs": ["ill", "well, or not"],
    "activation": "sigmoid",
}
LINEAR = {"kind": "linear", "features": ["age"], "weights": [1], "intercept": 0}
ROWS = "bmi,age\n25.5,61\n31,47\n\n-2,38\n"
ENCRYPT = (
    "--step encrypt --bound 64 --set ckks-network-8192 --data @rows.csv --key @key --table @table "
    "--evaluation-keys @keys"
)
COMPUTE = "--step compute --model @network.json --table @table --evaluation-keys @keys --answer @answer"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    one = NETWORK | {
        "output": {"weights": [[1, -0.5, 2]], "biases": [-1]},
        "outputs": ["ill"],
        "activation": "identity",
    }
    (tmp_path / "network.json").write_text(json.dumps(NETWORK))
    (tmp_path / "one.json").write_text(json.dumps(one))
    (tmp_path / "linear.json").write_text(json.dumps(LINEAR))
    (tmp_path / "model.onnx").write_bytes(onnx_model().SerializeToString())
    (tmp_path / "rows.csv").write_text(ROWS)
    (tmp_path / "three.csv").write_text("c,a,b\n1,2,-0.5\n0.25,0,1\n")
    return tmp_path


def run(folder: Path, line: str) -> int:
    return cli.main([word.replace("@", f"{folder}/") for word in f"score {line}".split()])


def probabilities() -> np.ndarray:
    values = np.array([[61, 25.5], [47, 31], [38, -2]])
    squares = (values @ np.array(NETWORK["hidden"]["weights"]).T + NETWORK["hidden"]["biases"]) ** 2
    return 1 / (1 + np.exp(-(squares @ np.array(NETWORK["output"]["weights"]).T + NETWORK["output"]["biases"])))


def test_in_one_call_with_a_file_of_scores(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "--model @network.json --data @rows.csv --scores @scores.csv --json -") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "quatrefoil.score/1" and found["outputs"] == NETWORK["outputs"]
    assert np.abs(np.array(found["scores"]) - probabilities()).max() <= found["error"] < 1e-3
    assert found["evaluation_keys_bytes"] > 20e6
    with (folder / "scores.csv").open(newline="") as file:
        names, *rows = csv.reader(file)
    assert names == NETWORK["outputs"] and [list(map(float, row)) for row in rows] == found["scores"]
    assert run(folder, "--model @one.json --data @rows.csv --bound 64") == 0
    shown = capsys.readouterr()
    assert "ckks-network-8192" in shown.out and "evaluating row 3 of 3" in shown.err


def test_onnx_takes_columns_in_their_order(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "--model @model.onnx --data @three.csv --json -") == 0
    found = json.loads(capsys.readouterr().out)
    exact = outputs((folder / "model.onnx").read_bytes(), np.array([[1, 2, -0.5], [0.25, 0, 1]]))
    assert np.abs(np.array(found["scores"]) - exact.ravel()).max() <= found["error"] < 1e-3
    assert run(folder, "--model @model.onnx --data @three.csv --columns a,b,c --json -") == 0
    exact = outputs((folder / "model.onnx").read_bytes(), np.array([[2, -0.5, 1], [0, 1, 0.25]]))
    assert np.abs(np.array(json.loads(capsys.readouterr().out)["scores"]) - exact.ravel()).max() <= found["error"]


def test_two_parties_in_three_steps(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, ENCRYPT) == 0
    assert (folder / "key").stat().st_mode & 0o777 == 0o600
    assert "64, 64" in capsys.readouterr().out
    assert run(folder, COMPUTE) == 0
    capsys.readouterr()
    assert run(folder, "--step decrypt --key @key --answer @answer --json -") == 0
    found = json.loads(capsys.readouterr().out)
    assert np.abs(np.array(found["scores"]) - probabilities()).max() <= found["error"]
    # What does not belong together is refused: another table's keys, a model that is no network, tables by columns.
    assert run(folder, ENCRYPT.replace("@key ", "@key2 ").replace("@table", "@table2").replace("@keys", "@keys2")) == 0
    assert run(folder, COMPUTE.replace("@keys", "@keys2").replace("@answer", "@answer2")) == 1
    assert "under another key" in capsys.readouterr().err
    assert run(folder, "--step decrypt --key @key2 --answer @answer") == 1
    assert "under another key" in capsys.readouterr().err
    assert run(folder, "--step compute --model @linear.json --table @table --answer @answer2") == 1
    assert "received 'urn:quatrefoil:encrypted-rows'" in capsys.readouterr().err
    assert run(folder, "--step encrypt --data @rows.csv --key @key3 --table @table3") == 0
    assert run(folder, COMPUTE.replace("@table", "@table3").replace("@answer", "@answer3")) == 1
    assert "received 'urn:quatrefoil:encrypted-table'" in capsys.readouterr().err
    assert not (folder / "answer2").exists() and not (folder / "answer3").exists()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (ENCRYPT.replace("--evaluation-keys @keys", ""), "needs --evaluation-keys"),
        (ENCRYPT.replace("--bound 64", ""), "need --bound"),
        (ENCRYPT.replace("64", "inf"), "beyond its column's bound"),
        (ENCRYPT.replace("@keys", "@rows.csv"), "rows.csv exists already"),
        (ENCRYPT.replace("ckks-network-8192", "ckks-product-8192"), "takes no --evaluation-keys"),
        (f"{ENCRYPT} --scheme bgv", "is evaluated in CKKS"),
        (f"{ENCRYPT} --columns x", "has no column 'x'"),
        ("--step compute --model @network.json --table @rows.csv --answer @x", "needs --evaluation-keys"),
        (COMPUTE.replace("@table", "@rows.csv"), "is not a [type, version, fields] array"),
        (COMPUTE.replace("@network", "@linear").replace("@table", "@rows.csv"), "takes no --evaluation-keys"),
        ("--model @network.json --data @rows.csv --evaluation-keys @keys", "takes no --evaluation-keys"),
        ("--model @network.json --data @rows.csv --set ckks-product-8192", "in a set for networks"),
        ("--model @network.json --data @rows.csv --scheme bgv", "is evaluated in CKKS"),
        ("--model @network.json --data @rows.csv --columns age", "names its columns"),
        ("--model @linear.json --data @rows.csv --columns age", "names its columns"),
        ("--model @network.json --data @rows.csv --largest-error 1e-12", "at most 1e-12 is asked for"),
        ("--model @network.json --data @three.csv", "has no column 'age'"),
        ("--model @network.json --data @rows.csv --bound 10", "beyond its column's bound"),
        ("--model @model.onnx --data @rows.csv", "3 inputs without names, and the rows 2 columns"),
        ("--model @broken.onnx --data @rows.csv", "broken.onnx cannot be read"),
    ],
)
def test_refusals(folder: Path, capsys: pytest.CaptureFixture[str], line: str, problem: str) -> None:
    before = sorted(folder.iterdir())
    assert run(folder, line) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("quatrefoil: ") and problem in said[-1]
    assert sorted(folder.iterdir()) == before, "a refusal leaves no file"


def test_a_file_that_is_no_network_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "model.onnx").write_bytes(b"\xff\xff")
    assert run(folder, "--model @model.onnx --data @rows.csv") == 1
    assert "no ONNX file" in capsys.readouterr().err
    (folder / "network.json").write_text('{"kind": "network"}')
    assert run(folder, "--model @network.json --data @rows.csv") == 1
    assert "does not have exactly" in capsys.readouterr().err
