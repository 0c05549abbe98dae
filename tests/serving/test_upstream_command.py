"""Gateway mode in processes of its own, with a real TPM in software: sealed weights, their key to the upstream under a
lease, the gateway before it, and a client that holds both to one policy."""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from collections.abc import Iterator

import pytest

from broker_room import SOON, Room, Running, said
from quatrefoil import cli, exchange
from quatrefoil.client import Client
from quatrefoil.demo.processes import free_port
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.transport import TrustAnchor
from software_tpm import needs_tpm, software_tpm
from support import Consortium
from upstreams import running

pytestmark = needs_tpm

CHAT = "/v1/chat/completions"
MARKER = "MARKER-of-a-patient"
MADE_UP = "00112233445566778899aabbccddeeff" * 2


class Ward(Room):
    """The broker's room, with sealed weights, an upstream that is to have their key, and a gateway."""

    def seal_weights(self) -> None:
        running.trained(self.folder)
        root = self.model_sealed("ward-notes.npz", "ward-notes", 3600)
        text = (running.EXAMPLE / "policy.toml").read_text()
        text = text.replace(MADE_UP, root).replace("../appraisal/sev-snp.toml", "machine.toml")
        (self.folder / "policy.toml").write_text(text)
        self.asks("register ward-notes.sealed")

    def upstream(self, port: int, policy: str = "policy.toml") -> Running:
        return self.process(
            f"broker hold ward-notes.sealed --stage serve --broker-name vault --identity worker --root root.pem "
            f"--broker 127.0.0.1:{self.port} {self.collecting} -- {sys.executable} {running.EXAMPLE / 'upstream.py'} "
            f"ward-notes.sealed --policy {policy} --root root.pem --listen 127.0.0.1:{port}"
        )

    def gateway(self, upstream: str, model: str = "ward-notes.sealed", policy: str = "policy.toml") -> Running:
        return self.process(
            f"serve {model} --upstream {upstream} --policy {policy} --listen 127.0.0.1:0 --identity worker "
            f"--root root.pem --state gateway --collateral collateral {self.collecting}"
        )

    def client(self, port: str) -> Client:
        return Client(
            f"https://127.0.0.1:{port}",
            policy=exchange.load(self.folder / "policy.toml"),
            collateral=Collateral.load(self.folder / "collateral"),
            identity=self.people.identity("hospital", "silo"),
            trust=TrustAnchor.load(self.root),
        )


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    folder = tmp_path_factory.mktemp("ward")
    with pytest.MonkeyPatch.context() as patch, software_tpm() as machine:
        patch.chdir(folder)
        made = Ward(folder, machine, Consortium(folder / "ca"))
        new = "broker new --identity vault --root root.pem --state vault-state --root-key vault.key"
        assert cli.main(new.split()) == 0
        made.start()
        try:
            made.asks("key --out vault.cert --unattested")
            assert cli.main(["model", "key", "owner.pem"]) == 0
            made.seal_weights()
            yield made
        finally:
            made.kill()


def test_sealed_weights_answer_behind_the_gateway_while_their_lease_lasts(ward: Ward) -> None:
    port = free_port()
    gateway = ward.gateway(f"http://127.0.0.1:{port}")
    at = ward.waited(gateway, r"answers for model ward-notes on 127.0.0.1:(\d+)")
    assert "not ready until it does" in said(gateway)
    upstream = ward.upstream(port)
    asked = {"messages": [{"role": "user", "content": f"how is bed 7? {MARKER}"}], "temperature": 0}
    with ward.client(at) as client:
        end = time.monotonic() + SOON
        while (answer := client.request("GET", "/v1/models")).status == 503:
            assert time.monotonic() < end and upstream.poll() is None, said(upstream)
            time.sleep(0.1)
        assert answer.status == 200
        answer = client.request("POST", CHAT, json=asked)
        assert answer.status == 200
        text = answer.json()["choices"][0]["message"]["content"]
        with client.stream("POST", CHAT, json={**asked, "stream": True}) as streamed:
            lines = [line[6:] for line in streamed.iter_lines() if line.startswith("data: ")]
        assert lines.pop() == "[DONE]"
        parts = [choice["delta"] for line in lines for choice in json.loads(line)["choices"]]
        assert "".join(part.get("content", "") for part in parts) == text
        assert answer.receipt is not None and streamed.receipt is not None
        root = exchange.load(ward.folder / "policy.toml").model.root
        assert answer.receipt.fields.model == streamed.receipt.fields.model == root

        # The holder ends, its upstream with it, and the gateway has nobody to ask.
        upstream.send_signal(signal.SIGTERM)
        upstream.wait(SOON)
        assert client.request("POST", CHAT, json=asked).status in (502, 503)
    gateway.send_signal(signal.SIGTERM)
    assert gateway.wait(SOON) == 0
    for file in ward.folder.rglob("*"):
        if file.is_file() and not file.is_symlink():
            assert MARKER.encode() not in file.read_bytes(), file
    assert cli.main(["audit", "verify", "gateway/log", "--trust", "root.pem", "--json", "audit.json"]) == 0


def test_what_is_not_of_the_policy_does_not_begin(ward: Ward) -> None:
    other = (ward.folder / "policy.toml").read_text()
    (ward.folder / "other.toml").write_text(re.sub(r'root = "\w+"', f'root = "{"00" * 32}"', other))
    upstream = ward.upstream(free_port(), policy="other.toml")
    gateway = ward.gateway("http://127.0.0.1:1", policy="other.toml")
    far = ward.gateway("http://192.0.2.1:9000")
    assert upstream.wait(SOON) == 1 and "its root is" in said(upstream)
    assert gateway.wait(SOON) == 1 and "its root is" in said(gateway)
    assert far.wait(SOON) == 1 and "only at an address of this machine's loopback" in said(far)
