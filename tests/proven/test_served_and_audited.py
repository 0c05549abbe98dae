"""A model's whole way: trained, quantised, committed to, served by a process, asked, drawn, proved and judged."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from broker_room import SOON, said
from float_models import digits, hearts
from quatrefoil.cli import main
from quatrefoil.proven import ProofFile
from quatrefoil.transport import sealed
from serving_policies import serving_policy
from serving_room import Ward, serving_room
from software_tpm import needs_tpm

pytestmark = needs_tpm
SECOND_VERIFIER = Path(__file__).parents[2] / "second_verifier"
WITNESSES = ("hospital", "clinic")
ASKED = 5
DRAWN = 2 * ASKED + 3
"""All: each request asks for the inputs' name first; one more is refused after it has, and the last by its client."""
TRUST = "--trust root.pem"
TERMS = (
    " ".join(f"--witness {who}.witness" for who in WITNESSES)
    + f" --challenge {'5a' * 32} --count {DRAWN} --checkpoint cosigned-{WITNESSES[-1]}"
)


@pytest.fixture
def ward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ward]:
    with serving_room(tmp_path, monkeypatch) as made:
        yield made


def run(line: str, code: int = 0) -> None:
    assert main(line.split()) == code, line


def content(file: str) -> dict:
    return dict(json.loads(Path(file).read_text()))


def test_served_by_a_process_and_proved_to_an_auditor(ward: Ward) -> None:
    proven_as_served(ward, *digits(), chosen=1200)
    held_to_what_was_promised()

    # What an auditor refuses: no proof, one of other receipts, a changed output, a server that never said what it runs.
    judged("none", "", right=False, lacking=ASKED)
    proved("pieces", "--batch 2 --processes 1")
    piece = max((file for file in Path("pieces").rglob("*") if file.is_file()), key=lambda file: file.stat().st_size)
    of = len(ProofFile.decode(piece.read_bytes()).receipts)
    judged("others", f"--proof {piece}", right=False, lacking=ASKED - of)
    changed_output(Path("P"), Path("changed"))
    run("proof verify changed --trust root.pem --log server-graph --json changed.json", 1)
    assert content("changed.json")["valid"] is False and "other outputs" in content("changed.json")["reason"]
    judged("altered", "--proof changed", right=False, lacking=ASKED)
    sealed_with_its_commitment(ward)


def test_hearts_are_served_by_a_process_and_proved_to_an_auditor(ward: Ward) -> None:
    proven_as_served(ward, *hearts(), chosen=600)
    judged("none", "", right=False, lacking=ASKED)
    changed_output(Path("hidden"), Path("changed"))
    judged("altered", "--proof changed", right=False, lacking=ASKED)


def proven_as_served(ward: Ward, float_model: bytes, inputs: np.ndarray, labels: np.ndarray, *, chosen: int) -> None:
    """All that was drawn, with inputs public and hidden, and both verifiers agree."""
    model_ready(ward, float_model, inputs, labels, chosen)
    served(ward, "server-graph", "recorded", ASKED, "--committed committed/statement")
    drawn()
    for name, more in (("P", ""), ("hidden", "--hidden")):
        proved(name, f"--sample may.sample {more}")
        verified(name)
        second_verifier(Path(name))
    judged("whole", "--proof P", right=True)
    judged("hiding", "--proof hidden", right=True)


def held_to_what_was_promised() -> None:
    """By the policy that clients have, and by the server's own log: all receipts, and no fewer."""
    given = f"whole.zip {TRUST} {TERMS}"
    run(f"audit verify {given} --serving-policy serving.toml")
    fewer = TERMS.replace(f"--count {DRAWN}", f"--count {DRAWN - 1}")
    run(f"audit sample server-graph {fewer} --out fewer.sample {TRUST}")
    run("audit bundle server-graph --sample fewer.sample --proof P --out fewer.zip")
    for asked in ("", "--serving-policy serving.toml"):
        run(f"audit verify fewer.zip {TRUST} {fewer} {asked} --json fewer.json", 1)
        (check,) = [check for check in content("fewer.json")["checks"] if not check["passed"]]
        assert check["name"] == "promised", check
        assert f"{DRAWN} of {DRAWN} receipts of worker, and {DRAWN - 1} are drawn" in check["detail"]
    run(f"audit verify whole.zip {TRUST} --json unasked.json")
    assert "promised" in {one["name"] for one in content("unasked.json")["not_made"]}
    run(f"audit verify whole.zip {TRUST} --serving-policy serving.toml", 1)
    promising = Path("serving.toml").read_text()
    Path("plain.toml").write_text(promising.partition("[proofs]")[0])
    run(f"audit verify {given} --serving-policy plain.toml", 1)  # it promises nothing


def sealed_with_its_commitment(ward: Ward) -> None:
    """By the model's owner, whose manifest names the root: no server has to be told it, and none is told another."""
    run("model commit integers.onnx --openings 4 --out owners --json owners.json")
    root = ward.model_sealed("integers.onnx", "own", 3600, "--committed owners")
    named = content("owners.json")["model_root"]
    assert content("front.json") | {"root": root, "commitment": named, "openings": 4} == content("front.json")
    ward.asks("register own.sealed")
    for wrong, why in (("--committed committed/statement", "and the model's owner"), ("", "names the commitment")):
        # Another root than the manifest's; and the manifest's, where the log has had the other one.
        state = "server-own" if wrong else "server-graph"
        refused = ward.serving("own", f"--state {state} --audit other --audit-to prover.cert {wrong}")
        assert refused.wait(SOON) == 1 and ("another statement" if not wrong else why) in said(refused), said(refused)
    served(ward, "server-own", "own-records", 1, "", model="own", asking=f"--committed {named}")
    line = f"--receipts own-records --key prover --log server-own {TRUST}"
    run(
        f"proof prove --model committed {line} --out own.P", 1
    )  # a commitment of the same weights, and not the one named
    run(f"proof prove --model owners {line} --out own.P")
    run(f"proof verify own.P {TRUST} --log server-own --json own.json")
    assert content("own.json")["model_root"] == named
    run(f"proof verify P {TRUST} --log server-own --json other.json", 1)
    assert content("other.json")["valid"] is False


def test_audit_mode_takes_no_model_without_committed_weights(ward: Ward) -> None:
    model_ready(ward, *digits(), chosen=1200)
    refused = ward.serving("graph")
    assert refused.wait(SOON) == 1 and "and without audit mode none can be" in said(refused)
    refused = ward.serving("graph", "--audit recorded --audit-to prover.cert")
    assert refused.wait(SOON) == 1 and "nothing names the model's committed weights" in said(refused)
    assert not Path("recorded").exists()


def model_ready(ward: Ward, float_model: bytes, inputs: np.ndarray, labels: np.ndarray, chosen: int) -> None:
    """In integers, by scales that the first samples chose; committed to by the server's operator, sealed and
    registered."""
    Path("float.onnx").write_bytes(float_model)
    np.savez("samples.npz", inputs=inputs[:chosen], labels=labels[:chosen])
    np.savez("others.npz", inputs=inputs[chosen:], labels=labels[chosen:])
    run("model quantise float.onnx --samples samples.npz --held-out others.npz --out integers.onnx --rule rule.json")
    run("model commit integers.onnx --identity worker --root root.pem --openings 8 --out committed")
    root = ward.model_sealed("integers.onnx", "graph", 3600)
    Path("serving.toml").write_text(serving_policy("linear", root) + "[proofs]\nshare = 1\n")
    ward.asks("register graph.sealed")
    key = sealed.RecipientKey.generate(sealed.HYBRID_768)
    certificate = sealed.certify(key, ward.people.identity("hospital", "silo"))
    key.save(Path("prover"), certificate)
    Path("prover.cert").write_bytes(certificate)


def served(
    ward: Ward, state: str, records: str, count: int, more: str, *, model: str = "graph", asking: str = ""
) -> None:
    """Requests of one sample each, whose inputs' name is asked for first, and one of a size that the model refuses."""
    server = ward.serving(model, f"--state {state} --audit {records} --audit-to prover.cert {more}")
    url = ward.url(server)
    samples = np.load("others.npz")["inputs"]
    asked = f"predict {url} --policy serving.toml --identity hospital --root root.pem --collateral collateral"
    for number in range(count):
        np.save("x.npy", samples[number : number + 1])
        run(f"{asked} --input x.npy --computes rule.json --json answer.json {asking}")
    np.save("x.npy", samples[:1, 1:])
    run(f"{asked} --input x.npy --computes rule.json", 1)
    other = "00" * 32
    run(f"{asked} --input x.npy --computes rule.json --committed {other}", 1)
    server.send_signal(signal.SIGTERM)
    assert server.wait(SOON) == 0, said(server)


def drawn() -> None:
    """By a challenge that came after the checkpoint, which the witnesses signed one after the other."""
    before = ""
    for who in WITNESSES:
        paths = f"--state witness-{who} --out cosigned-{who} --statement {who}.witness"
        run(f"audit cosign server-graph --identity {who} --root root.pem {paths} {before}")
        before = f"--checkpoint cosigned-{who}"
    run(f"audit sample server-graph {TERMS} --out may.sample --trust root.pem --json may.json")
    run(f"audit sample server-graph {TERMS} --check may.sample --trust root.pem")


def proved(name: str, more: str) -> None:
    run(
        "proof prove --model committed --receipts recorded --key prover --log server-graph --trust root.pem "
        f"--out {name} --json {name}.made.json {more}"
    )


def verified(name: str) -> None:
    run(f"proof verify {name} --trust root.pem --log server-graph --json {name}.json")
    found, made = content(f"{name}.json"), content(f"{name}.made.json")
    assert found["valid"] is True and found["soundness_bits"] > 95
    assert found["hidden"] is (name == "hidden") and found["log"].endswith("/worker")
    file = ProofFile.decode(Path(name).read_bytes())
    assert found["batch"] == len(file.receipts) == ASKED
    assert found["model_root"] == made["model_root"] and len(bytes.fromhex(found["statement"])) == 32


def second_verifier(proof: Path) -> None:
    """By its own command, in a process that has nothing of the product."""
    file = ProofFile.decode(proof.read_bytes())
    batch = file.batch()
    for name, data in (
        ("second.program", file.commitment.program),
        ("second.inputs", batch.inputs),
        ("second.outputs", batch.outputs),
        ("second.proof", file.proof),
    ):
        Path(name).write_bytes(data)
    fields = {
        "program": "second.program",
        "batch": batch.size,
        "openings": file.commitment.openings,
        "hidden": batch.hidden,
        "root": file.commitment.current.hex(),
        "binding": batch.binding.hex(),
        "inputs": "second.inputs",
        "outputs": "second.outputs",
    }
    expected = content(f"{proof}.json")["statement"]
    for binding, code in ((fields["binding"], 0), ("00" * 32, 1)):
        Path("second.json").write_text(json.dumps(fields | {"binding": binding}))
        paths = [str(Path(name).resolve()) for name in ("second.json", "second.proof")]
        line = [sys.executable, "-m", "inference", "verify", *paths, "--json"]
        found = subprocess.run(line, cwd=SECOND_VERIFIER, capture_output=True, check=False)
        assert found.returncode == code, found
        said_so = json.loads(found.stdout)
        assert said_so["valid"] is (code == 0) and said_so.get("statement", expected) == expected


def judged(name: str, proofs: str, *, right: bool, lacking: int = 0) -> None:
    """The auditor's verdict on a bundle, and the page of it."""
    run(f"audit bundle server-graph --sample may.sample {proofs} --out {name}.zip")
    given = f"{name}.zip --trust root.pem {TERMS}"
    run(f"audit verify {given} --json {name}-verdict.json", 0 if right else 1)
    run(f"audit report {given} --out {name}.html", 0 if right else 1)
    found = content(f"{name}-verdict.json")
    assert {check["name"] for check in found["checks"] if not check["passed"]} == (
        set() if right else {"proofs", "promised"}
    )
    (sample,) = found["samples"]
    assert sample["lacking"] == lacking, sample
    assert "<html" in Path(f"{name}.html").read_text()


def changed_output(proof: Path, out: Path) -> None:
    file = ProofFile.decode(proof.read_bytes())
    first = file.receipts[0]
    outputs = bytes([first.outputs[0] ^ 1]) + first.outputs[1:]
    out.write_bytes(replace(file, receipts=(replace(first, outputs=outputs), *file.receipts[1:])).encode())
