"""``quatrefoil serve`` in processes of its own, with a real TPM in software: a sealed model, its lease, and the end.

An owner seals a model to the broker; the server shows what it is, gets the key, and answers clients who hold it to the
same policy. Then a broker that is away, a restart, a register that changes, and what the log says of all that.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from broker_room import SOON, said
from float_models import numbers, perceptron
from quatrefoil import cli, exchange
from quatrefoil.errors import QuatrefoilError
from quatrefoil.quantised import Rule, onnx_form, quantise
from quatrefoil.serving.audited import AuditedModel
from quatrefoil.serving.record_reader import read_records
from quatrefoil.transport import TrustAnchor, sealed, system_clock
from serving_policies import serving_policy
from serving_room import Ward, serving_room
from small_models import B, W, linear
from software_tpm import needs_tpm

pytestmark = needs_tpm


@pytest.fixture
def ward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ward]:
    with serving_room(tmp_path, monkeypatch) as made:
        yield made


def test_a_sealed_model_is_served_by_measured_code_until_it_changes(ward: Ward) -> None:
    ward.seal_model("quick", 16)
    ward.asks("register quick.sealed")
    ward.kill()

    # A broker that is away is waited for, and then the model is served.
    server = ward.serving("quick")
    ward.waited(server, "the broker does not answer")
    ward.start()
    url = ward.url(server)
    x = np.array([[4711.5, 2, 3], [4, 5, 6]], "f4")
    cores = Path(f"/proc/{server.pid}/limits")
    assert re.search(r"Max core file size +0 +0", cores.read_text())
    with ward.client(url) as client:
        answer = client.infer({"x": x})
        assert np.allclose(answer.outputs["y"], x @ W + B)
        assert answer.receipt is not None
        model = exchange.load(ward.folder / "serving.toml").model
        assert answer.receipt.fields.model == model.root

    # Killed and started again: what it had given out is in the log.
    server.kill()
    server.wait(SOON)
    server = ward.serving("quick")
    with ward.client(ward.url(server)) as client:
        client.infer({"x": x})
        assert "an earlier process was killed" in said(server)

        # Its machine changes: the renewal is refused, and the server ends with the reason.
        ward.machine.tool("tpm2_pcrextend", "7:sha256=" + "ab" * 32)
        assert server.wait(SOON) == 1
        assert "accepted-pcr7" in said(server)
        with pytest.raises(QuatrefoilError):
            client.infer({"x": x})
    late = ward.serving("quick")
    assert late.wait(SOON) == 1 and "accepted-pcr7" in said(late)
    for file in (ward.folder / "server-quick").rglob("*"):
        if file.is_file():
            for found in (x.tobytes(), (x @ W + B).astype("f4").tobytes(), linear()[:64]):
                assert found not in file.read_bytes(), file
    assert cli.main(["audit", "verify", "server-quick/log", "--trust", "root.pem", "--json", "audit.json"]) == 0
    for text in ("4711", "0.5"):
        assert text not in said(server)


def test_an_integer_graph_is_served_in_audit_mode(ward: Ward, capsys: pytest.CaptureFixture[str]) -> None:
    graph = quantise(perceptron(), numbers(7, 40, 6))
    (ward.folder / "integers.onnx").write_bytes(onnx_form.encode(graph))
    (ward.folder / "rule.json").write_bytes(Rule.of(graph).encode())
    assert cli.main(["model", "commit", "integers.onnx", "--openings", "3", "--out", "committed"]) == 0
    root = ward.model_sealed("integers.onnx", "graph", 3600, "--committed committed")
    (ward.folder / "serving.toml").write_text(serving_policy("linear", root))
    ward.asks("register graph.sealed")
    key = sealed.RecipientKey.generate(sealed.HYBRID_768)
    (ward.folder / "prover.cert").write_bytes(sealed.certify(key, ward.people.identity("hospital", "silo")))
    server = ward.serving("graph", "--audit recorded --audit-to prover.cert")
    url = ward.url(server)
    assert "answers are recorded in recorded for hospital (silo)" in said(server)
    np.save(ward.folder / "x.npy", samples := numbers(11, 3, 6))
    ward.people.identity("hospital", "silo")
    asked = f"predict {url} --input x.npy --policy serving.toml --identity hospital --root root.pem"
    assert cli.main([*asked.split(), "--collateral", "collateral", "--computes", "rule.json"]) == 0
    server.send_signal(signal.SIGTERM)
    assert server.wait(SOON) == 0
    (found,) = read_records(
        ward.folder / "recorded",
        AuditedModel(onnx_form.encode(graph)).field_hash,
        key=key,
        trust=TrustAnchor.load(ward.root),
        sender="worker",
        clock=system_clock,
        report=pytest.fail,
    )
    assert (found.inputs == Rule.of(graph).entered(samples)).all()
    assert cli.main(["audit", "verify", "server-graph/log", "--trust", "root.pem", "--json", "audit.json"]) == 0
    # What nobody has committed to is not served so.
    ward.seal_model("plain", 3600)
    ward.asks("register plain.sealed")
    refused = ward.serving("plain", "--audit other --audit-to prover.cert")
    assert refused.wait(SOON) == 1 and "nothing names the model's committed weights" in said(refused)


def test_a_server_drains_and_ends_well_and_says_why_it_does_not_begin(
    ward: Ward, capsys: pytest.CaptureFixture[str]
) -> None:
    ward.seal_model("slow", 3600)
    ward.asks("register slow.sealed")
    server = ward.serving("slow", "--metrics 127.0.0.1:0")
    with ward.client(ward.url(server)) as client:
        assert client.infer({"x": np.ones((1, 3), "f4")}).outputs["y"].shape == (1, 2)
    ward.waited(server, r"counts are read on 127.0.0.1:(\d+)")
    server.send_signal(signal.SIGTERM)
    assert server.wait(SOON) == 0
    # A revoked resource: nothing is released, and so nothing served.
    digest = ward.asks("resources")["resources"][0]["resource"]
    ward.asks(f"revoke resource {digest} --reason over")
    refused = ward.serving("slow")
    assert refused.wait(SOON) == 1 and "revoked" in said(refused)
    ward.kill()
    away = ward.serving("slow", "--wait 1")
    assert away.wait(SOON) == 1
    assert "asking again" in said(away)

    text = (ward.folder / "serving.toml").read_text()
    line = (
        "serve slow.sealed --policy serving.toml --listen 127.0.0.1:0 --identity {who} --root root.pem --state other "
        "--broker 127.0.0.1:1 --broker-name vault --stage {stage} --collateral collateral {collecting}"
    )
    cases = [
        ({}, "worker", "train", "is not released to the stage"),
        ({}, "hospital", "serve", "the role needed is workload"),
        ({"root": "00" * 32}, "worker", "serve", "root"),
    ]
    for changes, who, stage, problem in cases:
        changed = re.sub(r'root = "\w+"', f'root = "{changes["root"]}"', text) if changes else text
        (ward.folder / "serving.toml").write_text(changed)
        assert _fails(line.format(who=who, stage=stage, collecting=ward.collecting), capsys, problem)
    assert _fails(
        line.format(who="worker", stage="serve", collecting=ward.collecting) + " --upstream http://127.0.0.1:1",
        capsys,
        "either a model is served or an upstream",
    )
    ward.start()


@pytest.mark.slow
def test_a_broker_that_goes_away_later_is_not_missed_until_the_lease_ends(ward: Ward) -> None:
    ward.seal_model("quick", 16)
    ward.asks("register quick.sealed")
    server = ward.serving("quick")
    x = np.ones((1, 3), "f4")
    with ward.client(ward.url(server)) as client:
        client.infer({"x": x})
        ward.kill()
        ward.waited(server, "the broker does not answer")
        client.infer({"x": x})
        assert server.wait(SOON) == 1
    assert "was not renewed in time" in said(server)
    ward.start()


def _fails(line: str, capsys: pytest.CaptureFixture[str], problem: str) -> bool:
    capsys.readouterr()
    assert cli.main(line.split()) == 1
    found = capsys.readouterr().err
    assert problem in found, found
    return True
