"""Models that compute, through ONNX Runtime from bytes in memory; what does not fit their signature is refused."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

import small_models
from quatrefoil.errors import DependencyMissing, EngineFailed, ModelRefused, RequestRefused
from quatrefoil.inference import (
    Bounds,
    InferRequest,
    OnnxEngine,
    RequestedOutput,
    decode_infer,
    decode_infer_response,
    encode_infer,
    encode_infer_request,
    onnx_engine,
)


def engine(model: bytes, **options) -> OnnxEngine:
    return OnnxEngine(model, name="small", **options)


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def strings(*values: bytes):
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def ask(of: OnnxEngine, **inputs):
    return of.infer(InferRequest(inputs)).outputs


def test_it_computes_what_the_model_says():
    x = np.arange(12, dtype="f4").reshape(4, 3)
    found = ask(engine(small_models.linear(), version="3"), x=x)
    np.testing.assert_array_equal(found["y"], x @ small_models.W + small_models.B)


def test_a_trained_model_answers_as_scikit_learn_does_through_the_protocol_in_both_forms():
    classifier, model, images = small_models.trained()
    of = engine(model)
    for binary in (True, False):
        request = decode_infer(*encode_infer_request(InferRequest({"X": images}, binary=binary), binary=binary))
        outputs = decode_infer_response(*encode_infer(request, of.infer(request))).outputs
        assert outputs["label"].tolist() == classifier.predict(images).tolist()
        np.testing.assert_allclose(outputs["probabilities"], classifier.predict_proba(images), rtol=1e-3, atol=1e-5)


def test_a_convolutional_model_answers_for_each_size_as_for_one():
    of = engine(small_models.convolutional(), threads=2)
    x = np.random.default_rng(1).normal(size=(3, 3, 20, 16)).astype("f4")
    whole = ask(of, x=x)["y"]
    assert whole.shape == (3, 10) and np.isfinite(whole).all()
    np.testing.assert_allclose(whole, np.concatenate([ask(of, x=x[i : i + 1])["y"] for i in range(3)]), rtol=1e-4)


def test_its_metadata_is_the_models_signature():
    found = engine(small_models.linear(), version="3").metadata
    (x,), (y,) = found.inputs, found.outputs
    assert (x.name, x.datatype, x.shape, x.symbols) == ("x", "FP32", (-1, 3), ("n", ""))
    assert (y.name, y.shape, found.name, found.versions) == ("y", (-1, 2), "small", ("3",))


def test_only_what_is_asked_for_is_answered_in_that_order():
    _, model, images = small_models.trained()
    wanted = (RequestedOutput("probabilities"), RequestedOutput("label"))
    assert list(engine(model).infer(InferRequest({"X": images[:1]}, outputs=wanted)).outputs) == [
        "probabilities",
        "label",
    ]
    assert list(engine(model).infer(InferRequest({"X": images[:1]}, outputs=wanted[:1])).outputs) == ["probabilities"]


def test_nan_and_infinities_pass_as_they_are():
    x = np.array([[np.nan, 0, 0], [np.inf, 0, 0], [1, 1, 1]], dtype="f4")
    found = ask(engine(small_models.linear()), x=x)["y"]
    assert np.isnan(found[0]).all() and np.isposinf(found[1]).all()
    np.testing.assert_array_equal(found[2], [9.5, 11.5])


def test_strings_pass_with_every_character():
    found = ask(engine(small_models.lookup()), d=strings(b"a\0b", "é東".encode(), b""), i=np.array([1, 0, 2]))
    assert found["y"].tolist() == ["é東".encode(), b"a\0b", b""]


def test_empty_batches_and_scalars_of_no_row_compute():
    assert ask(engine(small_models.linear()), x=np.zeros((0, 3), dtype="f4"))["y"].shape == (0, 2)


def test_threads_may_ask_at_once():
    of = engine(small_models.linear())
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda k: ask(of, x=np.full((2, 3), k, dtype="f4"))["y"][0, 0], range(64)))
    assert answers == [9 * k + 0.5 for k in range(64)]


F4 = "f4"


@pytest.mark.parametrize(
    ("inputs", "status"),
    [
        ({}, 400),
        ({"z": np.zeros((1, 3), F4)}, 400),
        ({"x": np.zeros((1, 3), F4), "z": np.zeros((1, 3), F4)}, 400),
        ({"x": np.zeros((1, 3), "f8")}, 400),
        ({"x": np.zeros((1, 3), "i4")}, 400),
        ({"x": strings(b"1", b"2", b"3").reshape(1, 3)}, 400),
        ({"x": np.zeros(3, F4)}, 400),
        ({"x": np.zeros((1, 1, 3), F4)}, 400),
        ({"x": np.zeros((1, 4), F4)}, 400),
        ({"x": np.zeros((3, 1), F4)}, 400),
        ({"x": np.zeros((9, 3), F4)}, 413),
        ({"x": np.zeros((8, 3), F4)}, 413),
    ],
)
def test_what_does_not_fit_the_signature_is_refused_before_the_model_runs(inputs, status):
    of = engine(small_models.linear(), bounds=Bounds(dimension=8, elements=23))
    with pytest.raises(RequestRefused) as refused:
        of.infer(InferRequest(inputs))
    assert refused.value.status == status


def test_outputs_that_the_model_has_not_are_refused():
    with pytest.raises(RequestRefused, match="no such output"):
        engine(small_models.linear()).infer(
            InferRequest({"x": np.zeros((1, 3), "f4")}, outputs=(RequestedOutput("z"),))
        )


def test_dimensions_of_one_name_have_one_size():
    of = engine(small_models.sum_of_two())
    assert ask(of, a=np.ones((2, 2), F4), b=np.ones((2, 2), F4))["y"].sum() == 8
    with pytest.raises(RequestRefused, match="calls 'n' differ"):  # ONNX would stretch the one row
        ask(of, a=np.ones((2, 2), F4), b=np.ones((1, 2), F4))


def test_strings_that_are_not_utf_8_are_refused():
    with pytest.raises(RequestRefused, match="not UTF-8") as refused:
        ask(engine(small_models.lookup()), d=strings(b"\xffsecret"), i=np.array([0]))
    assert refused.value.__context__ is None and "secret" not in str(refused.value)


def test_strings_of_a_model_that_are_not_utf_8_are_a_failure_of_the_model():
    constant = helper.make_tensor("c", small_models.STRING, [1], [b"\xff\xfe"])
    model = small_models.model(
        [helper.make_node("Concat", ["d", "c"], ["y"], axis=0)],
        [("d", small_models.STRING, ["n"])],
        [("y", small_models.STRING, ["m"])],
        [constant],
    )
    with pytest.raises(EngineFailed) as failed:
        ask(engine(model), d=strings(b"a"))
    assert failed.value.__context__ is None


def sequence_model() -> bytes:
    node = helper.make_node("SequenceConstruct", ["x"], ["y"])
    output = helper.make_tensor_sequence_value_info("y", small_models.FLOAT, ["n"])
    graph = helper.make_graph([node], "g", [helper.make_tensor_value_info("x", small_models.FLOAT, ["n"])], [output])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10).SerializeToString()


@pytest.mark.parametrize(
    "model",
    [
        b"",
        b"\0",
        b"no model",
        bytes(100),
        b"\x10\0\0\0ORTM" + bytes(100),
        small_models.linear()[:-1],
        small_models.linear()[:40],
        small_models.linear() + b"\x07",
        small_models.linear() * 2,
        small_models.model([helper.make_node("NoSuch", ["x"], ["y"])], [("x", 1, ["n"])], [("y", 1, ["n"])]),
        small_models.model(
            [helper.make_node("Neg", ["x"], ["y"], domain="own.library")], [("x", 1, ["n"])], [("y", 1, ["n"])]
        ),
        small_models.model([helper.make_node("Neg", ["x"], ["y"])], [("x", 16, ["n"])], [("y", 16, ["n"])]),
        sequence_model(),
    ],
    ids=range(13),
)
def test_bytes_that_are_no_model_to_serve_are_refused(model, capfd):
    with pytest.raises(ModelRefused) as refused:
        engine(model)
    assert refused.value.__context__ is None
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("options", [{"threads": 0}, {"threads": -1}])
def test_no_threads_are_refused(options):
    with pytest.raises(ValueError, match="threads"):
        engine(small_models.linear(), **options)


@pytest.mark.parametrize("field", ["dimension", "elements"])
def test_bounds_of_nothing_are_refused(field):
    with pytest.raises(ValueError, match="at least 1"):
        Bounds(**{field: 0})


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    onnx_engine._runtime.cache_clear()
    with pytest.raises(DependencyMissing, match=r"quatrefoil\[serve\]"):
        engine(small_models.linear())
    monkeypatch.undo()
    onnx_engine._runtime.cache_clear()


def test_no_file_is_opened_and_nothing_is_written(tmp_path: Path):
    """In a process of its own, in an empty folder; what Python opens is seen, what the runtime would write is found."""
    program = """
import sys, numpy as np, onnxruntime
from quatrefoil.inference import InferRequest, OnnxEngine
model = sys.stdin.buffer.read()
opened = []
sys.addaudithook(lambda event, args: opened.append(args[0]) if event == "open" else None)
OnnxEngine(model, name="m").infer(InferRequest({"x": np.zeros((1, 3), "f4")}))
assert not opened, opened
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, input=small_models.linear(), cwd=tmp_path, capture_output=True, timeout=100)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert list(tmp_path.iterdir()) == []


def test_memory_stays_flat_over_many_shapes_and_refusals():
    of = engine(small_models.convolutional(), bounds=Bounds(dimension=64))

    def some(count: int) -> None:
        for number in range(count):
            height, width = 8 + number % 37, 8 + number % 41  # 1,517 shapes
            ask(of, x=np.ones((1 + number % 3, 3, height, width), dtype="f4"))
            with pytest.raises(RequestRefused):
                ask(of, x=np.ones((1, 3, 65, 8), dtype="f4"))

    some(500)
    gc.collect()
    before = resident()
    some(1500)
    gc.collect()
    assert resident() - before < 16 << 20
