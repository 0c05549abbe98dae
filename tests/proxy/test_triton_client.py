"""Triton's own client, unmodified, through the proxy."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest
import tritonclient.http.aio
from endpoints import LocalModel, Refusing, running
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from quatrefoil.errors import EvidenceRejected
from quatrefoil.inference import OnnxEngine
from small_models import B, W, linear

X = np.array([[1, 2, 3], [4, 5, 6]], dtype="f4")


@pytest.fixture
def model():
    return LocalModel(OnnxEngine(linear(), name="small"))


@pytest.fixture
def port(model):
    with running(model) as port:
        yield port


@pytest.fixture
def client(port):
    with InferenceServerClient(f"127.0.0.1:{port}") as client:
        yield client


def inputs(array=X, *, binary=True, kind=InferInput):
    tensor = kind("x", list(array.shape), "FP32")
    tensor.set_data_from_numpy(array, binary_data=binary)
    return [tensor]


@pytest.mark.parametrize("answered_in_binary", [True, False])
@pytest.mark.parametrize("binary", [True, False])
def test_a_model_computes(client, binary, answered_in_binary):
    outputs = [InferRequestedOutput("y", binary_data=answered_in_binary)]
    found = client.infer("small", inputs(binary=binary), outputs=outputs, request_id="r-1")
    np.testing.assert_allclose(found.as_numpy("y"), X @ W + B, rtol=1e-6)
    assert found.get_response()["id"] == "r-1"


def test_the_server_and_its_model_describe_themselves(client):
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("small")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    assert [one["name"] for one in client.get_model_metadata("small")["inputs"]] == ["x"]


def test_a_server_that_is_not_ready_is_not(model, client):
    model.ready = False
    assert client.is_server_live() and not client.is_server_ready() and not client.is_model_ready("small")


def test_a_server_that_is_refused_is_neither_live_nor_ready_and_its_user_reads_why():
    with (
        running(Refusing(EvidenceRejected("its evidence is not accepted", hint="Ask its operator"))) as port,
        InferenceServerClient(f"127.0.0.1:{port}") as client,
    ):
        assert not client.is_server_ready() and not client.is_server_live()
        with pytest.raises(InferenceServerException, match="its evidence is not accepted") as refused:
            client.infer("small", inputs())
        assert refused.value.status() == "502"


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_compressed_requests_are_sent_on_uncompressed(model, client, coding):
    found = client.infer("small", inputs(), request_compression_algorithm=coding, response_compression_algorithm=coding)
    np.testing.assert_allclose(found.as_numpy("y"), X @ W + B, rtol=1e-6)
    assert model.fields[-1] == [b"inference-header-content-length"]


@pytest.mark.parametrize(
    "more", [{"timeout": 1000}, {"priority": 1}, {"sequence_id": 3}, {"parameters": {"own": "value"}}], ids=str
)
def test_what_the_server_does_not_do_is_refused_and_not_dropped(client, more):
    with pytest.raises(InferenceServerException, match="not known"):
        client.infer("small", inputs(), **more)


@pytest.mark.parametrize(
    ("name", "array", "match"), [("small", np.zeros((2, 4), "f4"), "shape|size|dimension"), ("sm/all", X, "path")]
)
def test_what_the_server_refuses_arrives_as_its_own_error(client, name, array, match):
    with pytest.raises(InferenceServerException, match=match):
        client.infer(name, inputs(array))


def test_the_name_localhost_works(port):
    with InferenceServerClient(f"localhost:{port}") as client:
        assert client.is_server_ready()


def test_its_own_async_calls_work(client):
    asked = [client.async_infer("small", inputs(X * number)) for number in range(6)]
    for number, one in enumerate(asked):
        np.testing.assert_allclose(one.get_result().as_numpy("y"), X * number @ W + B, rtol=1e-5)


def test_its_asyncio_client_works(port):
    async def ask():
        async with tritonclient.http.aio.InferenceServerClient(f"127.0.0.1:{port}") as client:
            assert await client.is_server_ready()
            return (await client.infer("small", inputs(kind=tritonclient.http.aio.InferInput))).as_numpy("y")

    np.testing.assert_allclose(asyncio.run(ask()), X @ W + B, rtol=1e-6)


def test_several_threads_each_get_their_own_answers(port):
    wrong = []

    def ask(number):
        with InferenceServerClient(f"127.0.0.1:{port}") as client:
            for turn in range(5):
                array = X * number + turn
                if not np.allclose(client.infer("small", inputs(array)).as_numpy("y"), array @ W + B, rtol=1e-5):
                    wrong.append((number, turn))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
