"""Confidential serving as a whole, in processes: what is asked and answered is nowhere but at the two ends.

A marker goes through a relay and a proxy, as tensors of a sealed model and as text of a language model, whole and
streamed. Then it is looked for in every file, output and count, and in the memory of the relay and the broker; and, so
that the search is known to find it, in that of the ends.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import openai
import pytest
from confidential import MODEL, Site, W, site
from tritonclient.http import InferenceServerClient, InferInput

from broker_room import said
from process_memory import NotReadable, found_in
from quatrefoil import cli
from quatrefoil.transport.credentials import CHECK_SECONDS
from software_tpm import needs_tpm
from upstreams import running as upstreams

pytestmark = needs_tpm

NOTE = f"marker-{secrets.token_hex(16)}"
CODES = np.array([secrets.randbits(62) | 1 << 61 for _ in range(4)], "i8")
X = np.random.default_rng().normal(size=(2, 4)).astype("f4")
LINKS = ("relay", "gateway-relay", "broker")
"""Who must not see it."""
ENDS = ("server", "gateway", "proxy", "gateway-proxy")


def forms(text: str) -> dict[str, bytes]:
    """What somebody might have made of a text."""
    raw = text.encode()
    found = {"text": raw, "hex": raw.hex().encode(), "UTF-16": text.encode("utf-16-le")}
    for shift in range(3):
        coded = base64.b64encode(bytes(shift) + raw)
        found[f"base64, {shift}"] = coded[4 if shift else 0 : -4]
    return found


MARKERS: dict[str, bytes] = {
    **forms(NOTE),
    "codes": CODES.tobytes()[:16],
    "one code": CODES[:1].tobytes(),
    "codes in decimal": str(CODES[1]).encode(),
    "answered codes": (-CODES).tobytes()[:16],
    "floats": X.tobytes()[:12],
    "answered floats": (X @ W).astype("f4").tobytes()[:8],
}
WEIGHTS = {"weights": W.tobytes()[:16], "weights in base64": base64.b64encode(W.tobytes())[:20]}


@dataclass
class Asked:
    """What was answered, and what was there right after it. ``memory`` is None where it may not be read."""

    site: Site
    lease_renewals: tuple[int, int] = (0, 0)
    answers: list[str] = field(default_factory=list)
    metrics: dict[str, bytes] = field(default_factory=dict)
    memory: dict[str, set[str]] | None = None
    files: dict[str, bytes] = field(default_factory=dict)
    files_at_the_end: dict[str, bytes] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    folder, files = tmp_path_factory.mktemp("parties"), tmp_path_factory.mktemp("own")
    (folder / "tmp").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("TMPDIR", str(folder / "tmp"))  # what a process puts aside is looked at too
        with site(folder, files) as here:
            found = Asked(here)
            triton(here)  # connections of the old certificates
            here.renew_certificates()
            before = here.renewals()  # from here on, renewed over a new certificate or not at all
            time.sleep(CHECK_SECONDS)  # they look at their files no more often
            ask_everything(found)
            look_around(found)
            here.until(lambda: here.renewals() > before, "the lease is not renewed under the new certificate")
            found.lease_renewals = (before, here.renewals())
            here.stop()
            found.codes = {name: process.returncode for name, process in here.running.items()}
            found.files_at_the_end = dict(here.written())
            yield found


def triton(here: Site) -> None:
    with InferenceServerClient(
        f"127.0.0.1:{here.port_of('proxy')}", connection_timeout=60, network_timeout=60
    ) as client:
        inputs = [InferInput("x", [2, 4], "FP32"), InferInput("note", [1], "BYTES"), InferInput("codes", [4], "INT64")]
        inputs[0].set_data_from_numpy(X)
        inputs[1].set_data_from_numpy(np.array([NOTE.encode()], dtype=object))
        inputs[2].set_data_from_numpy(CODES)
        answer = client.infer(MODEL, inputs)
        np.testing.assert_allclose(answer.as_numpy("y"), X @ W, rtol=1e-5)
        assert answer.as_numpy("noted").tolist() == [NOTE.encode()]
        assert (answer.as_numpy("coded") == -CODES).all()


def ask_everything(found: Asked) -> None:
    """As Triton's client, curl and `quatrefoil predict` ask a model, and `openai` a language model."""
    here = found.site
    triton(here)
    request = {
        "inputs": [
            {"name": "x", "shape": [2, 4], "datatype": "FP32", "data": X.ravel().tolist()},
            {"name": "note", "shape": [1], "datatype": "BYTES", "data": [NOTE]},
            {"name": "codes", "shape": [4], "datatype": "INT64", "data": CODES.tolist()},
        ]
    }
    file = here.files / "request.json"
    file.write_text(json.dumps(request))
    url = f"http://127.0.0.1:{here.port_of('proxy')}/v2/models/{MODEL}/infer"
    by_curl = subprocess.run(["curl", "-sS", "--json", f"@{file}", url], capture_output=True, timeout=60, check=True)
    assert NOTE.encode() in by_curl.stdout
    predict = (
        f"predict {here.url('server')} --relay {here.url('relay')} --input {file} --policy serving.toml "
        f"--identity hospital --root root.pem --collateral collateral --receipts kept-predict "
        f"--json {here.files / 'answer.json'}"
    )
    said_by_predict = subprocess.run(
        [sys.executable, "-m", "quatrefoil.cli", *predict.split()], capture_output=True, timeout=60, check=True
    )
    # Its table is for whoever asked; what it says on the way is not.
    (here.folder / "predict.err").write_bytes(said_by_predict.stderr)
    outputs = {one["name"]: one["data"] for one in json.loads((here.files / "answer.json").read_text())["outputs"]}
    assert outputs["noted"] == [NOTE] and outputs["coded"] == (-CODES).tolist()

    base = f"http://127.0.0.1:{here.port_of('gateway-proxy')}/v1"
    question = [{"role": "user", "content": f"how is bed 7? {NOTE}"}]
    with openai.OpenAI(base_url=base, api_key="none", max_retries=0, timeout=60) as client:
        here.until(lambda: _lists(client), "the gateway's upstream is not there")
        whole = client.chat.completions.create(model=upstreams.NAME, messages=question, temperature=0)
        stream = client.chat.completions.create(model=upstreams.NAME, messages=question, temperature=0, stream=True)
        parts = [one.choices[0].delta.content or "" for one in stream if one.choices]
        found.answers = [str(whole.choices[0].message.content), "".join(parts)]
        client.embeddings.create(model=upstreams.NAME, input=NOTE)
        client.completions.create(model=upstreams.NAME, prompt=NOTE, max_tokens=4)
        # Errors say nothing of it either.
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(model=upstreams.NAME, messages=question, user=NOTE)
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model=NOTE, messages=question)


def _lists(client: openai.OpenAI) -> bool:
    try:
        return [one.id for one in client.models.list()] == [upstreams.NAME]
    except openai.APIStatusError:
        return False


def look_around(found: Asked) -> None:
    """While all of them run, right after they were asked."""
    here = found.site
    processes = {**here.running, "broker": here.broker}
    known = {"relay": b"message/ohttp-req", "gateway-relay": b"message/ohttp-req", "broker": b"vault-state"}
    try:
        found.memory = {
            name: found_in(processes[name].pid, {**MARKERS, **WEIGHTS, "known": known.get(name, b"quatrefoil")})
            for name in (*LINKS, *ENDS)
        }
    except NotReadable:
        found.memory = None
    for name in ("server", "gateway"):
        port = here.waited(here.running[name], r"counts are read on 127.0.0.1:(\d+)")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
            found.metrics[name] = answer.read()
    found.files = dict(here.written())


# ------------------------------------------------------------------------------------------------------------ the tests


def memory(asked: Asked) -> dict[str, set[str]]:
    if asked.memory is None:
        pytest.skip("NOT TESTED: this user may not read the memory of processes that hold keys; run as root")
    return asked.memory


def test_the_memory_of_relay_and_broker_holds_nothing_of_it(asked: Asked) -> None:
    for name in LINKS:
        assert memory(asked)[name] == {"known"}, name


def test_the_same_search_finds_it_at_the_ends(asked: Asked) -> None:
    found = memory(asked)
    assert "known" in found["server"] and found["server"] & WEIGHTS.keys()
    assert "text" in found["proxy"] | found["server"] and "text" in found["gateway-proxy"] | found["gateway"]
    assert found["proxy"] & {"codes", "one code", "codes in decimal", "answered codes"}
    assert not found["proxy"] & WEIGHTS.keys()


@pytest.mark.parametrize("when", ["while they run", "after they have ended"])
def test_no_file_holds_it_nor_the_weights(asked: Asked, when: str) -> None:
    """State, log, journal, receipts, what was said, what was put aside: of every party."""
    files = asked.files if when == "while they run" else asked.files_at_the_end
    names = " ".join(files)
    journal = ["server/receipts/"] if when == "while they run" else []
    for needed in ("server/log", "kept-server/", "kept-gateway/", "kept-predict/", ".err", ".out", *journal):
        assert needed in names, needed
    assert len(files) > 40
    for name, content in files.items():
        for form, needle in {**MARKERS, **WEIGHTS}.items():
            assert needle not in content, (name, form)


def test_counts_say_nothing_of_it(asked: Asked) -> None:
    for name, text in asked.metrics.items():
        assert re.search(rb'status="200"\S* [1-9]|200\D+[1-9]', text), name
        for form, needle in MARKERS.items():
            assert needle not in text, (name, form)
        assert MODEL.encode() not in text and b"/v2/" not in text and b"/v1/" not in text


def test_certificates_were_renewed_under_all_of_them(asked: Asked) -> None:
    """What was asked went over the new ones: the old ones were revoked by then."""
    before, after = asked.lease_renewals
    assert after > before
    for name in ("server", "gateway"):
        assert "new channels show certificate" in said(asked.site.running[name]), name
    for name in ("relay", "gateway-relay", "proxy", "gateway-proxy"):
        assert "new connections show certificate" in said(asked.site.running[name]), name
    for name, process in asked.site.running.items():
        assert "not renewed" not in said(process), name


def test_they_answered_and_ended_well(asked: Asked) -> None:
    whole, streamed = asked.answers
    assert whole == streamed and whole
    ended = {name: code for name, code in asked.codes.items() if name != "upstream"}
    assert set(ended.values()) == {0}, ended
    for name in ("server", "gateway"):
        line = ["audit", "verify", f"{name}/log", "--trust", "root.pem", "--json", f"{name}.json"]
        assert cli.main(line) == 0
