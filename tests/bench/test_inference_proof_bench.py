"""The bench of proofs of answers: its models are what they say, its rows hold together, nothing unverified is a row,
and the peer is measured or said to be missing. How fast anything is, is no test."""

from __future__ import annotations

import argparse
import json
import os
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from inference_stand_in import Rejecting, StandIn, dying, refusing

from quatrefoil.bench import ezkl_peer, inference_proof, inference_prover
from quatrefoil.bench.ezkl_peer import measure_ezkl
from quatrefoil.bench.inference_models import MODELS, Case, lenet, perceptron, wide
from quatrefoil.bench.inference_proof import SHAPES, Shape, measure_inference_proofs, measure_row, measure_with_peer
from quatrefoil.bench.report.figures import load
from quatrefoil.cli import bench_inference_proof as command
from quatrefoil.errors import CallerError, DependencyMissing, HostError, ProofRejected
from quatrefoil.quantised import measure_accuracy, quantise
from quatrefoil.quantised.steps import Dense

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("sklearn")

FIGURES = Path(__file__).parents[2] / "docs" / "figures.json"
SMALL = {"784-128-10": partial(perceptron, 4, epochs=1), "wide": partial(wide, 16)}


@pytest.fixture(scope="module")
def small() -> Case:
    return perceptron(4, epochs=1)


# ---------------------------------------------------------------------------------------------------------- the models


@pytest.mark.parametrize("made", [partial(perceptron, epochs=2), partial(lenet, epochs=2), partial(wide, 64)])
def test_models_are_mostly_right_and_take_any_batch_or_one(made) -> None:
    case = made()
    whole = measure_accuracy(case.model, case.model, case.held_out, case.labels)
    assert whole.accuracy is not None and whole.accuracy > 0.8
    alone = measure_accuracy(case.single, case.model, case.held_out[:3])
    assert alone.agreement == 1 and alone.largest_difference < 1e-5
    assert len(case.batch(1)) == 1 and np.array_equal(case.batch(600)[len(case.held_out)], case.held_out[0])


def test_shapes_are_those_of_their_names() -> None:
    case = perceptron(epochs=0)
    layers = [step.weights.shape for step in quantise(case.model, case.samples).steps if isinstance(step, Dense)]
    assert case.name == "784-128-10" and layers == [(128, 784), (10, 128)]
    case = lenet(epochs=0)
    steps = quantise(case.model, case.samples).steps
    assert [step.weights.shape for step in steps if hasattr(step, "weights")] == [
        *[(6, 1, 5, 5), (16, 6, 5, 5)],
        *[(120, 400), (84, 120), (10, 84)],
    ]
    assert wide(8).name == "8-8-8" and wide.__defaults__ is not None and wide.__defaults__[0] == 2048
    assert tuple(MODELS) == command.MODELS and {shape.model for shape in SHAPES} == set(MODELS)


# ------------------------------------------------------------------------------------------------------------ the rows


def test_rows_hold_together_and_each_is_of_a_process_of_its_own() -> None:
    shapes = (
        Shape("784-128-10", 1, {"prove_ms": 0, "verify_ms": 1e9}),
        Shape("784-128-10", 6, {"ratio": 1e9}),
        Shape("wide", 5, {"proof_bytes": 1}),
    )
    said, before = [], dict(os.environ)
    rows = measure_inference_proofs(StandIn, 2, 2, said.append, shapes=shapes, models=SMALL)
    assert [(row["model"], row["batch"], row["threads"]) for row in rows] == [(s.model, s.batch, 2) for s in shapes]
    assert [row["missed"] for row in rows] == [["prove_ms"], [], ["proof_bytes"]]
    assert len({row["soundness_bits"] for row in rows} | {float(os.getpid())}) == 4
    for row, shape in zip(rows, shapes, strict=True):
        assert row["ratio"] == pytest.approx(row["prove_ms"] / row["plain_ms"]) and row["plain_ms"] > 0
        assert row["per_inference_ms"] == pytest.approx(row["prove_ms"] / shape.batch)
        assert row["peak_rss_mb"] >= row["start_rss_mb"] > 10 and 0 <= row["accuracy_drop"] <= 1
        assert row["shape"] == f"{shape.model}, {shape.batch} at once" and row["proof_bytes"] > 2
        assert row["reach"] == shape.reach and row["made"]
    assert sum("quantise" in text for text in said) == 2  # a model is made once
    assert dict(os.environ) == before


def test_the_readme_claims_what_rows_have() -> None:
    (row,) = measure_inference_proofs(StandIn, 1, 1, lambda _: None, shapes=(Shape("wide", 2),), models=SMALL)
    result = {"rows": [row | {"model": shape.model, "batch": shape.batch} for shape in SHAPES]}
    claims = [claim for claim in load(FIGURES).rows if claim.part.name == "inference-proof"]
    assert claims and all(source.read(result) for claim in claims for source in claim.values.values())
    lacking = {"rows": [one for one in result["rows"] if one["model"] != "lenet-5"]}
    assert not all(source.read(lacking) for claim in claims for source in claim.values.values())


@pytest.mark.parametrize(
    ("prover", "said"), [(Rejecting, "a sum does not fit"), (refusing, "sums of 'sums0'"), (dying, "was killed")]
)
def test_what_is_refused_or_does_not_verify_is_no_row(prover, said: str) -> None:
    shapes = (Shape("wide", 2),)
    with pytest.raises(HostError, match=said):
        measure_inference_proofs(prover, 1, 1, lambda _: None, shapes=shapes, models=SMALL)


@pytest.mark.parametrize(("threads", "repeats"), [(0, 1), (1, 0)])
def test_nothing_cannot_be_measured(threads: int, repeats: int) -> None:
    with pytest.raises(CallerError, match="at least one of each"):
        measure_inference_proofs(StandIn, threads, repeats, lambda _: None)


# ---------------------------------------------------------------------------------------------------------- our prover


def test_our_prover_proves_and_another_answer_is_rejected(small) -> None:
    graph = quantise(small.model, small.samples)
    row = measure_row(small, graph, 3, inference_prover.commit, 1, 1)
    assert row["soundness_bits"] > 90 and row["proof_bytes"] > 1000
    made = inference_prover.commit(graph, 1)
    proof = made.prove(small.batch(3))
    assert made.verify(proof) == row["soundness_bits"]
    made.prove(small.batch(4)[1:])  # what is verified is now another batch
    with pytest.raises(ProofRejected):
        made.verify(proof)


# ------------------------------------------------------------------------------------------------------------ the peer


def another_python(folder: Path, text: str) -> str:
    """A program that is started as the Python of the peer, and gets its arguments."""
    file = folder / "python"
    file.write_text(f"#!{sys.executable}\nimport json, os, sys\nfrom pathlib import Path\n{text}\n")
    file.chmod(0o700)
    return str(file)


PEER = {
    "version": "1.2",
    "settings": {"logrows": 16},
    "ms": {"calibrate": 1.0, "setup": 2.0, "witness": 4.0, "prove": 8.0, "verify": 16.0},
    "cpu_ms": {"witness": 0.5, "prove": 0.25},
    "proof_bytes": 3,
    "proving_key_bytes": 4,
    "verifying_key_bytes": 5,
    "peak_rss_mb": 6.0,
}
ANSWER = f"""
folder = Path(sys.argv[2])
assert Path(sys.argv[1]).name == "ezkl_child.py" and os.environ["RAYON_NUM_THREADS"] == "2"
assert len(json.loads((folder / "input.json").read_text())["input_data"][0]) == 784
assert json.loads((folder / "arguments.json").read_text())["param_visibility"] == "fixed"
print("prove", file=sys.stderr)
print("a report of ezkl")
print('{json.dumps(PEER)}')
"""


def test_the_peer_runs_in_a_process_of_its_own(small, tmp_path) -> None:
    said: list[str] = []
    row = measure_ezkl(small, 2, said.append, python=another_python(tmp_path, ANSWER))
    assert said == ["ezkl: prove"] and row["peer"] == "ezkl 1.2" and row["model"] == small.name
    assert (row["prove_ms"], row["prove_cpu_ms"], row["once_ms"], row["setup_ms"]) == (12.0, 0.75, 3.0, 2.0)
    assert (row["batch"], row["threads"], row["settings"]) == (1, 2, {"logrows": 16})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sys.exit('out of rows')", "out of rows"),
        ("os.abort()", "ended with -6: it said nothing"),
        ("", "said nothing"),
    ],
)
def test_a_peer_that_fails_is_heard(small, tmp_path, text: str, said: str) -> None:
    with pytest.raises(HostError, match=said):
        measure_ezkl(small, 1, lambda _: None, python=another_python(tmp_path, text))


def test_a_peer_that_takes_too_long_is_stopped(small, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(ezkl_peer, "_LONGEST", 0.5)
    with pytest.raises(HostError, match="ended with -9"):
        measure_ezkl(small, 1, lambda _: None, python=another_python(tmp_path, "import time\ntime.sleep(600)"))


def test_a_python_that_there_is_not(small, tmp_path) -> None:
    with pytest.raises(HostError, match="cannot be run"):
        measure_ezkl(small, 1, lambda _: None, python=str(tmp_path / "none"))


@pytest.mark.skipif(find_spec("ezkl") is not None, reason="ezkl is installed")
def test_a_python_without_ezkl_says_so(small) -> None:
    with pytest.raises(HostError, match="ezkl cannot be imported"):
        measure_ezkl(small, 1, lambda _: None, python=sys.executable)
    with pytest.raises(DependencyMissing, match="ezkl is not installed"):
        measure_ezkl(small, 1, lambda _: None)


@pytest.mark.slow
def test_ezkl_itself(small) -> None:
    pytest.importorskip("ezkl")
    row = measure_ezkl(small, 2, print)
    assert row["prove_ms"] > row["verify_ms"] > 0 and row["proof_bytes"] > 1000 and row["settings"]["logrows"] > 5


# --------------------------------------------------------------------------------------------------------- the command


@pytest.fixture
def run(monkeypatch):
    """The command with the stand-in for a prover, and small models."""
    shapes = tuple(Shape("784-128-10", batch, {"prove_ms": 0, "verify_ms": 1, "proof_bytes": 9}) for batch in (1, 2))
    monkeypatch.setattr(inference_proof, "SHAPES", shapes)
    monkeypatch.setattr(inference_proof, "MODELS", SMALL)
    monkeypatch.setattr(inference_prover, "commit", StandIn)

    def run(*arguments: str) -> None:
        parser = argparse.ArgumentParser()
        command.add_options(parser)
        args = parser.parse_args(["--repeats", "1", *arguments])
        args.bench(args)

    return run


def test_the_table_names_shapes_reach_and_peer(run, tmp_path, capsys) -> None:
    file = tmp_path / "bench.json"
    run("--threads", "2", "--ezkl", another_python(tmp_path, ANSWER), "--json", str(file))
    found, shown = json.loads(file.read_text()), " ".join(capsys.readouterr().out.split())
    assert found["peer_problem"] == "" and [row["batch"] for row in found["rows"]] == [1, 2]
    assert found["peer"]["prove_ms"] == 12.0
    for row in found["rows"]:
        assert row["ezkl_over_ours"] == pytest.approx(12.0 / row["per_inference_ms"])
    assert "784-128-10, 2 at once: above what was hoped for: prove ms" in shown and "<= 0 ms" in shown
    assert "ezkl 1.2" in shown and "logrows 16" in shown


def test_the_missing_peer_is_said(run, tmp_path, capsys) -> None:
    run("--ezkl", str(tmp_path / "none"))
    assert "Peer EZKL: not measured" in " ".join(capsys.readouterr().out.split())
    run("--ezkl", str(tmp_path / "none"), "--json", "-")
    found = json.loads(capsys.readouterr().out)
    assert found["peer"] is None and "cannot be run" in found["peer_problem"] and found["rows"]


def test_the_peer_is_measured_beside_its_model_alone() -> None:
    found = measure_with_peer(StandIn, 1, 1, lambda _: None, models=["none"])
    assert found == {"rows": [], "peer": None, "peer_problem": "EZKL is measured beside 784-128-10 alone"}
