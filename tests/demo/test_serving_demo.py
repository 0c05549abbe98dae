"""The demo's last part: the trained model as ONNX, sealed, served by real processes, asked, and proven."""

from __future__ import annotations

import io
import json
import shutil
import socket
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from quatrefoil import cli, stack
from quatrefoil.demo import flow, models, onnx_model, serving, software_tpm
from quatrefoil.demo.data import Split
from quatrefoil.demo.serving import Served, View, serve_and_ask
from quatrefoil.demo.serving_report import render_not_served, render_served
from quatrefoil.demo.wire_tap import tapped
from quatrefoil.errors import CallerError, DependencyMissing, HostError
from quatrefoil.inference import InferRequest, OnnxEngine
from software_tpm import needs_tpm

# --------------------------------------------------------------------------------------------------------------- onnx


@settings(max_examples=20, deadline=None)
@given(
    kind=st.sampled_from(models.KINDS),
    features=st.integers(1, 40),
    rows=st.integers(1, 9),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_onnx_file_computes_what_the_model_does(kind, features, rows, seed) -> None:
    random = np.random.default_rng(seed)
    parameters = [random.normal(size=one.shape) for one in models.initial(kind, features, seed)]
    patients = random.random((rows, features)).astype(np.float32)
    engine = OnnxEngine(onnx_model.encode(parameters), name="heart")
    found = engine.infer(InferRequest({onnx_model.INPUT: patients})).outputs[onnx_model.OUTPUT]
    assert found.shape == (rows,) and found.dtype == np.float32
    expected = models.predict_probability(parameters, patients.astype(np.float64))
    assert np.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    "wrong", [[], [np.zeros((1, 3))], [np.zeros((1, 3)), np.zeros(1), np.zeros(1)], [np.zeros((2, 3)), np.zeros(2)]]
)
def test_what_is_no_model_of_the_demo_is_refused(wrong) -> None:
    with pytest.raises(CallerError, match="no parameters of the demo"):
        onnx_model.encode(wrong)


def test_without_onnx_it_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(DependencyMissing, match=r"onnx is not installed.*quatrefoil\[demo\]"):
        onnx_model.encode(models.initial("mlp", 3, 0))


# ---------------------------------------------------------------------------------------------------------------- tap


def test_the_tap_carries_and_keeps_both_directions() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            taken, _ = listener.accept()
            with taken:
                said = b""
                while piece := taken.recv(1000):
                    said += piece
                taken.sendall(said[::-1] * 1000)

        thread = threading.Thread(target=answer)
        thread.start()
        with tapped(listener.getsockname()[1]) as tap, socket.create_connection(("127.0.0.1", tap.port)) as near:
            near.sendall(b"a patient")
            near.shutdown(socket.SHUT_WR)
            heard = b""
            while piece := near.recv(1 << 16):
                heard += piece
            thread.join()
            assert heard == b"tneitap a" * 1000
            assert b"a patient" in tap.seen and heard in tap.seen
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", tap.port))


# --------------------------------------------------------------------------------------------------- what is missing


@pytest.fixture
def without(monkeypatch):
    """Takes programs away."""

    def take(*names: str) -> None:
        found = shutil.which
        monkeypatch.setattr(shutil, "which", lambda name, *more, **named: None if name in names else found(name))

    return take


def test_what_is_not_installed_is_named_and_nothing_runs(without, monkeypatch) -> None:
    without("swtpm", "tpm2_quote")
    monkeypatch.setattr(serving, "PACKAGES", ("onnx", "no_such_package"))
    assert serving.missing() == ["no_such_package", "swtpm", "tpm2_quote"]
    with pytest.raises(HostError, match="needs no_such_package, swtpm, tpm2_quote: not installed"):
        serve_and_ask(models.initial("mlp", 3, 0), "Hungary", None, tell=pytest.fail)
    with pytest.raises(HostError, match="swtpm, tpm2_quote cannot be found"), software_tpm.software_tpm():
        pytest.fail("there is none")


def test_a_tpm_that_does_not_start_is_told(tmp_path, monkeypatch) -> None:
    for tool in software_tpm.NEEDED:
        (tmp_path / tool).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / tool).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError, match="swtpm does not start"), software_tpm.software_tpm():
        pytest.fail("there is none")


@needs_tpm
def test_a_tool_that_fails_is_told_in_its_words(tmp_path, monkeypatch) -> None:
    (tmp_path / "tpm2_createak").write_text("#!/bin/sh\necho no such parent >&2\nexit 1\n")
    (tmp_path / "tpm2_createak").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(HostError, match="tpm2_createak failed: no such parent"), software_tpm.software_tpm():
        pytest.fail("it has no key")


def test_the_command_says_so_before_it_trains(without, capfd, monkeypatch) -> None:
    without("swtpm")
    monkeypatch.setattr(stack, "measure_host", lambda *_, **__: pytest.fail("nothing is measured"))
    assert cli.main(["demo", "--serve-only"]) == 1
    said = capfd.readouterr()
    assert said.err.startswith("quatrefoil: serving the model needs swtpm") and "apt-get install swtpm" in said.err


@pytest.mark.parametrize("more", [["--splits", "3"], ["--attack", "transport"]])
def test_serving_alone_goes_with_no_splits_and_no_attack(more, monkeypatch, capfd) -> None:
    monkeypatch.setattr(serving, "missing", list)
    assert cli.main(["demo", "--serve-only", *more]) == 1
    assert "Leave out" in capfd.readouterr().err


# ------------------------------------------------------------------------------------------------------------- report


def rendered(draw, *arguments) -> str:
    stream = io.StringIO()
    draw(Console(file=stream, width=100, highlight=False), *arguments)
    return stream.getvalue()


FOUND = Served(
    hospital="Hungary",
    predictions=73,
    differing=0,
    difference=1e-7,
    plain_ms=1.0,
    ms=4.0,
    first_ms=50.0,
    request_bytes=272,
    network_bytes=34000,
    root="ab" * 32,
    measurement="tpm.pcr0=" + "cd" * 32,
    receipt=74,
    tampered="it is about another answer",
    log_entries=78,
    checks=16,
    views=(View("the network", "a patient's record", True, False),),
    seconds=9.0,
)


def test_the_report_says_first_what_stands_in() -> None:
    shown = rendered(render_served, FOUND)
    assert shown.index("INSECURE: the evidence is that of a TPM in software") < shown.index("Plain beside protected")
    for text in ("none", "4.0x", "not found", "another answer", "78 entries", "16 checks", "Hungary"):
        assert text in shown
    assert max(map(len, shown.splitlines())) <= 100
    assert "2 " in rendered(render_served, replace(FOUND, differing=2))


def test_what_did_not_run_is_said_loudly() -> None:
    shown = rendered(render_not_served, ["swtpm", "onnx"])
    assert "NOT SHOWN" in shown and "swtpm, onnx" in shown and serving.INSTALL in shown.replace("\n", " ")


def test_the_json_states_that_nothing_is_isolated() -> None:
    said = json.loads(json.dumps(FOUND.as_json()))
    assert (said["evidence"], said["isolation"], said["latency_ratio"]) == ("tpm", "none", 4.0)
    assert said["seen"] == [{"place": "the network", "what": "a patient's record", "plain": True, "protected": False}]


# ------------------------------------------------------------------------------------------------------- real processes


@needs_tpm
def test_a_model_is_sealed_served_asked_and_proven(splits, start) -> None:
    hungary = splits["hungary"]
    few = Split(hungary.train, (hungary.test[0][:4], hungary.test[1][:4]))
    said: list[str] = []
    found = serve_and_ask(start, "Hungary", few, tell=said.append)
    assert (found.predictions, found.differing) == (4, 0) and found.difference < 1e-6
    assert found.receipt == 5  # one to begin with, four patients, and the one that was tapped: numbers 0 to 5
    assert "another answer" in found.tampered
    assert found.checks >= 10 and found.log_entries >= found.receipt + 2
    assert found.request_bytes < found.network_bytes
    seen = {view.place: (view.plain, view.protected) for view in found.views}
    assert seen == {
        "the network": (True, False),
        "the model's file": (True, False),
        "output and log of the server": (False, False),
        "who runs the server's machine": (True, True),
    }
    assert found.measurement.startswith("tpm.pcr0=") and len(found.root) == 64
    assert len(said) == 4


@needs_tpm
@pytest.mark.slow
def test_the_command_trains_and_serves(monkeypatch, costs, tmp_path, capfd) -> None:
    monkeypatch.setattr(stack, "measure_host", lambda available, **_: costs)
    assert cli.main(["demo", "--serve-only", "--json", str(tmp_path / "served.json")]) == 0
    said = json.loads((tmp_path / "served.json").read_text())
    assert said["schema"] == "quatrefoil.demo-serving/1" and said["serving"]["differing"] == 0
    assert "sealed, served and asked" in capfd.readouterr().out
    assert flow.CLINIC == "hungary"
