"""Unmodified clients, the proxy, and the real server behind hybrid TLS."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from served import serving
from tritonclient.http import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

import attesting
from quatrefoil.appraisal import load
from quatrefoil.audit import inference_receipts
from quatrefoil.enclave.binding import Keyset
from quatrefoil.errors import EvidenceRejected, LeaseEnded
from quatrefoil.ohttp import Response, ResponseHead
from quatrefoil.serving.handler import EVENTS, Streamed
from serving_parts import MODEL, SnpMachine, own_roots, serving_policy
from small_models import B, W

X = np.array([[1, 2, 3], [4, 5, 6]], dtype="f4")
MARKER = "marked-content-4711"
QUESTION = [{"role": "user", "content": MARKER}]

__all__ = ["own_roots"]


@pytest.fixture(autouse=True)
def trusting(own_roots: None) -> None:
    """In every test here."""


@pytest.fixture
def served(consortium, tmp_path):
    with serving(consortium, tmp_path) as served:
        yield served


def infer(port, array=X, model=MODEL):
    tensor = InferInput("x", list(array.shape), "FP32")
    tensor.set_data_from_numpy(array)
    with InferenceServerClient(f"127.0.0.1:{port}") as client:
        return client.infer(model, [tensor])


class Words:
    """Answers chats: a handler that says what it was asked, in words. ``breaks``: in the middle of a stream."""

    name, ready, breaks = "words", True, False

    async def answer(self, request, caller):
        asked = json.loads(request.content)
        words = ["It", " said ", asked["messages"][0]["content"]]
        json_kind = ((b"content-type", b"application/json"),)
        if not asked.get("stream"):
            document = _chunk("chat.completion", {"message": {"role": "assistant", "content": "".join(words)}})
            return Response(ResponseHead(200, json_kind), json.dumps(document).encode())
        return Streamed(ResponseHead(200, ((b"content-type", EVENTS),)), self._events(words))

    async def _events(self, words):
        for number, word in enumerate(words):
            if self.breaks and number == 2:
                raise RuntimeError(MARKER)
            yield b"data: %s\n\n" % json.dumps(_chunk("chat.completion.chunk", {"delta": {"content": word}})).encode()
            await asyncio.sleep(0)
        yield b"data: [DONE]\n\n"

    def refusal(self, status, error):
        return Response(ResponseHead(status), b"{}")

    async def close(self):
        pass


def _chunk(kind, choice):
    choices = [{"index": 0, "finish_reason": None, **choice}]
    return {"id": "c", "object": kind, "created": 0, "model": MODEL, "choices": choices}


@pytest.fixture
def words():
    return Words()


@pytest.fixture
def speaking(consortium, tmp_path, words):
    with serving(consortium, tmp_path, handler=words) as served:
        yield served


def chat(port, **more):
    with openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="sk-none", max_retries=0) as client:
        found: Any = client.chat.completions.create(model=MODEL, messages=QUESTION, **more)
        return [one.choices[0].delta.content for one in found] if more else found.choices[0].message.content


def verified(folder: Path, name: str):
    """The receipt that was kept under ``name``, verified with nothing but what lies beside it."""
    encoded = (folder / f"{name}.receipt").read_bytes()
    named = inference_receipts.read(encoded).keyset.hex()[:32]
    return inference_receipts.verify(encoded, Keyset.decode((folder / f"{named}.keyset").read_bytes()))


# -------------------------------------------------------------------------------------------------------- the way


def test_triton_asks_an_attested_model(served):
    with InferenceServerClient(f"127.0.0.1:{served.port}") as client:
        assert client.is_server_live() and client.is_server_ready() and client.is_model_ready(MODEL)
    np.testing.assert_allclose(infer(served.port).as_numpy("y"), X @ W + B, rtol=1e-6)
    assert served.said[0].startswith("the server is attested: sev-snp.measurement=")


def test_the_header_is_the_receipt_of_the_answer_and_so_is_the_file(served):
    with urllib.request.urlopen(f"http://127.0.0.1:{served.port}/v2/models/{MODEL}") as answer:
        content, fields = answer.read(), answer.headers
    name = fields["quatrefoil-exchange"]
    receipt = verified(served.receipts, name)
    assert (served.receipts / f"{name}.receipt").read_bytes() == base64.b64decode(fields["quatrefoil-receipt"])
    salt = bytes.fromhex((served.receipts / f"{name}.salt").read_text())
    path = f"/v2/models/{MODEL}".encode()
    assert receipt.request == inference_receipts.commit_request(salt, b"GET", path, b"")
    assert receipt.answer == inference_receipts.commit_answer(salt, 200, content)
    assert {file.stat().st_mode & 0o777 for file in served.receipts.iterdir()} == {0o600}


def test_the_servers_own_refusals_arrive_with_receipts(served):
    with pytest.raises(InferenceServerException) as refused:
        infer(served.port, model="another")
    assert refused.value.status() == "404"
    with pytest.raises(InferenceServerException) as refused:
        infer(served.port, np.zeros((2, 4), "f4"))
    assert refused.value.status() == "400"
    assert len(list(served.receipts.glob("*.receipt"))) == 2


def test_openai_asks_it_whole_and_streamed(speaking):
    assert chat(speaking.port) == f"It said {MARKER}"
    assert "".join(chat(speaking.port, stream=True)) == f"It said {MARKER}"
    kept = [verified(speaking.receipts, file.stem) for file in speaking.receipts.glob("*.receipt")]
    assert len(kept) == 2 and all(one.complete for one in kept)


def test_a_stream_names_its_receipt_before_it_begins(speaking):
    body = json.dumps({"messages": QUESTION, "stream": True})
    url = f"http://127.0.0.1:{speaking.port}/v1/chat/completions"
    command = ["curl", "--silent", "--no-buffer", "--include", "--json", body, url]
    shown = subprocess.run(command, capture_output=True, timeout=60, check=True).stdout
    head, _, content = shown.partition(b"\r\n\r\n")
    (name,) = (line.partition(b": ")[2] for line in head.split(b"\r\n") if line.startswith(b"quatrefoil-exchange"))
    receipt = verified(speaking.receipts, name.decode())
    salt = bytes.fromhex((speaking.receipts / f"{name.decode()}.salt").read_text())
    commitment = inference_receipts.AnswerCommitment(salt, 200)
    commitment.update(content)
    assert receipt.answer == commitment.digest() and content.endswith(b"data: [DONE]\n\n")


# ------------------------------------------------------------------------------------------------------- failures


def test_an_upstream_that_fails_in_the_middle_leaves_no_end_and_no_receipt(speaking, words):
    words.breaks = True
    with pytest.raises(openai.APIConnectionError):
        chat(speaking.port, stream=True)
    assert list(speaking.receipts.glob("*.receipt")) == []
    assert any(line.startswith("refused:") for line in speaking.said)


def test_a_server_of_other_code_is_refused_before_anything_listens(consortium, tmp_path):
    other = bytes([7]) * 48
    text = (attesting.FOLDER / "policy.toml").read_text().replace(attesting.MEASUREMENT.hex(), other.hex())
    (tmp_path / "appraisal.toml").write_text(text)
    policy = serving_policy(attestation__appraisal=load(tmp_path / "appraisal.toml"))
    with (
        pytest.raises(EvidenceRejected, match="measurement"),
        serving(
            consortium,
            tmp_path,
            machine=SnpMachine(measurement=other),
            policy=policy,
            held_to=serving_policy(),
        ),
    ):
        pass


def test_a_server_that_goes_away_is_a_503_and_not_ready(served):
    assert infer(served.port) is not None
    served.server.stop()
    with InferenceServerClient(f"127.0.0.1:{served.port}") as client:
        assert not client.is_server_ready()
    with pytest.raises(InferenceServerException) as refused:
        infer(served.port)
    assert refused.value.status() == "503"


def test_keys_that_are_gone_are_asked_for_again(served):
    assert infer(served.port) is not None
    served.server.forget_keys()
    assert infer(served.port) is not None


def test_a_server_whose_lease_is_over_is_not_ready(served):
    with InferenceServerClient(f"127.0.0.1:{served.port}") as client:
        assert client.is_server_ready()
        served.server.end_lease(LeaseEnded("the lease is over", hint="Ask the broker"))
        served.server.join()
        assert not client.is_server_ready()


def test_a_server_under_another_policy_is_refused(consortium, tmp_path):
    other = serving_policy(limits__seconds=19)
    with serving(consortium, tmp_path, held_to=other) as served, pytest.raises(InferenceServerException) as refused:
        infer(served.port)
    assert refused.value.status() == "502" and "policy" in str(refused.value)


def test_a_folder_that_takes_no_receipt_stops_the_answers(served):
    assert infer(served.port) is not None
    for file in served.receipts.iterdir():
        file.unlink()
    served.receipts.rmdir()
    served.receipts.write_bytes(b"a file in its place")
    with pytest.raises(InferenceServerException, match="receipt cannot be kept") as refused:
        infer(served.port)
    assert refused.value.status() == "500"


# ------------------------------------------------------------------------------------------------ what is written


def test_nothing_that_is_written_holds_content(speaking, words, capfd, caplog):
    caplog.set_level(0)
    chat(speaking.port)
    chat(speaking.port, stream=True)
    words.breaks = True
    with pytest.raises(openai.APIConnectionError):
        chat(speaking.port, stream=True)
    written = b"".join(file.read_bytes() for file in speaking.folder.rglob("*") if file.is_file())
    ours = [
        one.getMessage()
        for one in caplog.records
        if one.name.startswith(("quatrefoil", "uvicorn", "aiohttp", "asyncio"))
    ]
    shown = "".join([*capfd.readouterr(), *ours, *speaking.said])
    for form in (MARKER, json.dumps(MARKER)[1:-1], base64.b64encode(MARKER.encode()).decode(), MARKER.encode().hex()):
        assert form.encode() not in written and form not in shown
    assert "/v1/chat" not in shown and "sk-none" not in shown
