"""Content of requests reaches no error, no log and no stream, whatever goes wrong with it."""

from __future__ import annotations

import json
import logging
import traceback

import numpy as np
import pytest

import small_models
from quatrefoil.errors import EngineFailed, QuatrefoilError, RequestRefused
from quatrefoil.inference import (
    InferRequest,
    InferResponse,
    OnnxEngine,
    RequestedOutput,
    decode_infer,
    encode_error,
    encode_infer,
    encode_infer_request,
)

MARK = "Xq7zMarkerV9"
BYTES = MARK.encode()
INDEX = 98761234


def strings(*values: bytes):
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def handle(engine, headers, body):
    """What a server does with a request: its answer, and what was raised on the way."""
    try:
        request = decode_infer(headers, body)
        return (200, *encode_infer(request, engine.infer(request))), None
    except Exception as error:
        logging.getLogger("server").exception("a request failed")
        return encode_error(error), error


def request(d=(BYTES,), i=(0,), **more):
    return encode_infer_request(InferRequest({"d": strings(*d), "i": np.array(i)}, **more))


def failing() -> dict[str, tuple]:
    good = json.dumps({"inputs": [{"name": MARK, "shape": [1], "datatype": "BYTES", "data": [MARK]}]})
    return {
        "outside of the dictionary": request(i=(INDEX,)),
        "not UTF-8": request(d=(b"\xff" + MARK.encode(),)),
        "no JSON": ([], f'{{"{MARK}'.encode()),
        "a number": ([], f'{{"inputs": [{INDEX}e9999, "{MARK}"]}}'.encode()),
        "bad UTF-8": ([], MARK.encode() + b"\xff"),
        "another name": ([], good.encode()),
        "another member": ([], good.replace("shape", MARK + "s").encode()),
        "another datatype": ([], good.replace('"BYTES"', f'"{MARK}"').encode()),
        "another output": request(outputs=(RequestedOutput(MARK),)),
        "an id": ([], json.dumps({"id": MARK + "\n", "inputs": []}).encode()),
        "another type": ([(b"content-type", MARK.encode())], good.encode()),
        "another length": ([(b"inference-header-content-length", MARK.encode())], good.encode()),
        "no JSON form": request(d=(MARK.encode(),), outputs=(RequestedOutput("y"), RequestedOutput("y"))),
    }


@pytest.mark.parametrize("fault", failing())
def test_a_failing_request_leaves_nothing_of_itself(fault, caplog, capfd):
    engine = OnnxEngine(small_models.lookup(), name="m")
    (status, _, body), error = handle(engine, *failing()[fault])
    assert status in (400, 415, 500) and isinstance(error, RequestRefused | EngineFailed)
    assert error.__cause__ is None and error.__context__ is None
    streams = capfd.readouterr()
    shown = "".join(traceback.format_exception(error)) + repr(error) + caplog.text + streams.out + streams.err
    for content in (MARK, str(INDEX)):
        assert content not in shown and content not in body.decode()
    assert json.loads(body)["error"] == str(error)


def test_the_runtime_itself_would_say_it(capfd):
    """What the settings of the engine are for: with the runtime's defaults the index is in its error and its log."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 2
    session = onnxruntime.InferenceSession(small_models.lookup(), options, providers=["CPUExecutionProvider"])
    quiet = onnxruntime.RunOptions()
    quiet.log_severity_level = 2
    with pytest.raises(Exception, match=str(INDEX)):
        session.run(None, {"d": np.array(["a"], dtype=object), "i": np.array([INDEX])}, quiet)
    assert str(INDEX) in capfd.readouterr().err


@pytest.mark.parametrize("error", [ValueError(MARK), KeyError(MARK), QuatrefoilError(MARK, hint=MARK), MemoryError()])
def test_errors_of_others_are_answered_without_their_text(error):
    status, headers, body = encode_error(error)
    assert status == 500 and MARK.encode() not in body and "error" in json.loads(body)
    assert dict(headers)[b"content-length"] == b"%d" % len(body)


def test_values_print_as_nothing_of_what_they_hold():
    held = (
        RequestedOutput(MARK),
        InferRequest({MARK: strings(MARK.encode())}, id=MARK),
        InferResponse("m", {MARK: strings(b"")}, id=MARK),
    )
    assert MARK not in repr(held) and MARK not in str(held[0]) + str(held[1])
