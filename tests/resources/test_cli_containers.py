"""The commands on sealed models and data sets, through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from release_policies import APPRAISAL, TEXT

from float_models import numbers, perceptron
from quatrefoil import cli
from quatrefoil.audit.model_file import measure_file
from quatrefoil.quantised import encode, quantise
from support import Consortium

CONTENT = b"patient,dose\n" * 9000
SEAL = "--identity north --root root.pem --signing-key owner.pem --policy release.toml --to broker"


@pytest.fixture
def here(tmp_path: Path, consortium: Consortium, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model, a file, policies, an identity, a root, a broker's key and an Ed25519 key."""
    consortium.identity("north", "silo")
    (tmp_path / "north").symlink_to(consortium.folder("north", "silo"))
    for file in ("root.pem", "crl.pem"):
        (tmp_path / file).symlink_to(consortium.directory / file)
    (tmp_path / "release.toml").write_text(TEXT)
    for stage in ("train", "aggregate", "serve"):
        (tmp_path / f"{stage}.toml").write_text(APPRAISAL.replace('"keeper"', f'"{stage}"'))
    (tmp_path / "doses.csv").write_bytes(CONTENT)
    np.savez(tmp_path / "model.npz", weights=np.arange(5000.0), bias=np.ones(3, np.float32))
    monkeypatch.chdir(tmp_path)
    assert run("seal-key new broker --identity north --root root.pem") == 0
    assert run("seal-key new other --identity north --root root.pem") == 0
    assert run("model key owner.pem") == 0
    return tmp_path


def run(line: str) -> int:
    return cli.main(line.split())


def test_a_model_is_sealed_inspected_and_opened(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(f"model seal model.npz --name tumour --serial 7 {SEAL} --out m.sealed --json sealed.json") == 0
    root = measure_file(here / "model.npz").root.hex()
    shown = capsys.readouterr()
    assert root in shown.out and "north (silo)" in shown.out
    assert run("model inspect m.sealed --root root.pem --json inspected.json") == 0
    shown = capsys.readouterr()
    for said in ("tumour, 7", root, "hospital-model", "train (entry)", "round-key to aggregate", "86,400 s"):
        assert said in shown.out
    sealed, inspected = (json.loads((here / f"{name}.json").read_text()) for name in ("sealed", "inspected"))
    assert (sealed["schema"], inspected["schema"]) == ("quatrefoil.model-seal/1", "quatrefoil.model-inspect/1")
    assert sealed["root"] == inspected["root"] == root
    assert (inspected["content"], inspected["media"], inspected["stages"]) == ("tensors", "npz", ["train"])
    assert inspected["policy"]["stages"][2]["outputs"] == {"round-key": ["aggregate"]}
    opening = "model open m.sealed --key broker --root root.pem --owner north --name tumour"
    assert run(f"{opening} --expect {root} --owner-key {sealed['ed25519']} --out back.npz --json -") == 0
    assert json.loads(capsys.readouterr().out)["root"] == root
    assert (here / "back.npz").stat().st_mode & 0o777 == 0o600
    assert measure_file(here / "back.npz").root.hex() == root
    assert np.array_equal(np.load("back.npz")["weights"], np.arange(5000.0))


def test_a_data_set_is_sealed_as_it_is_under_a_blinded_root(here: Path) -> None:
    roots = set()
    for number in (1, 2):
        assert (
            run(f"data seal doses.csv --name doses --serial {number} {SEAL} --out {number} --json {number}.json") == 0
        )
        roots.add(json.loads((here / f"{number}.json").read_text())["root"])
    assert len(roots) == 2
    assert run("data open 2 --key broker --root root.pem --owner north --name doses --least-serial 2 --out back") == 0
    assert (here / "back").read_bytes() == CONTENT
    assert run("data inspect 1 --root root.pem --json -") == 0
    assert run("model root doses.csv --content file --json plain.json") == 0
    assert json.loads((here / "plain.json").read_text())["root"] not in roots


def test_an_owner_signs_the_commitment_to_a_models_weights(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Once it was made again from the file and the seed; of another file, or with another seed, it is not signed."""
    for name, seed in (("net", 1), ("other", 2)):
        Path(f"{name}.onnx").write_bytes(encode(quantise(perceptron(seed=seed), numbers(seed, 40, 6))))
    assert run("model commit net.onnx --openings 3 --out committed --json made.json") == 0
    sealing = f"--name net --serial 1 {SEAL} --committed committed"
    assert run(f"model seal net.onnx {sealing} --out net.sealed --json net.json") == 0
    made, sealed = (json.loads((here / name).read_text()) for name in ("made.json", "net.json"))
    assert (sealed["commitment"], sealed["openings"]) == (made["model_root"], 3)
    assert sealed["root"] == made["model"] and made["signed"].startswith("by no server")
    assert run("model commit --link committed --out linked --json linked.json") == 0
    linked = json.loads((here / "linked.json").read_text())
    assert linked["root"] != linked["model_root"] == made["model_root"]
    # A commitment that was linked keeps its name.
    assert run(f"model seal net.onnx --name net --serial 2 {SEAL} --committed linked --out 2 --json 2.json") == 0
    assert json.loads((here / "2.json").read_text())["commitment"] == made["model_root"]
    capsys.readouterr()
    assert run(f"model seal other.onnx {sealing} --out other.sealed") == 1
    assert "is a commitment to the weights of" in capsys.readouterr().err
    assert run(f"model seal net.onnx --content tensors {sealing} --out tensors.sealed") == 1
    (here / "committed" / "seed").write_bytes(bytes(32))
    assert run(f"model seal net.onnx {sealing} --out forged.sealed") == 1
    assert "not those of the commitment" in capsys.readouterr().err
    for name in ("other.sealed", "tensors.sealed", "forged.sealed"):
        assert not (here / name).exists()


def test_an_opaque_model_keeps_the_root_of_its_file(here: Path) -> None:
    (here / "model.onnx").write_bytes(CONTENT)
    assert run(f"model seal model.onnx --name net --serial 1 {SEAL} --out net.sealed --json net.json") == 0
    assert run("model root model.onnx --content file --json root.json") == 0
    sealed, named = (json.loads((here / name).read_text()) for name in ("net.json", "root.json"))
    assert sealed["root"] == named["root"] and (sealed["content"], sealed["media"]) == ("file", "onnx")
    assert run(f"model seal model.npz --content file --name net --serial 2 {SEAL} --out file.sealed") == 0
    line = "model open file.sealed --key broker --root root.pem --owner north --name net --least-serial 2 --out back"
    assert run(line) == 0
    assert (here / "back").read_bytes() == (here / "model.npz").read_bytes()


def test_a_release_policy_is_checked_and_shown(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("model policy release.toml --json policy.json") == 0
    assert "aggregate" in capsys.readouterr().out
    assert json.loads((here / "policy.json").read_text())["entry"] == ["train"]
    (here / "release.toml").write_text(TEXT.replace('model = ["serve"]', 'model = ["train"]'))
    assert run("model policy release.toml") == 1
    assert "release.toml:15:" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------------- rejecting


@pytest.fixture
def sealed(here: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert run(f"model seal model.npz --name tumour --serial 7 {SEAL} --out m.sealed") == 0
    capsys.readouterr()
    return here


OPEN = "model open m.sealed --root root.pem --out back.npz"
MINE = "--key broker --owner north --name tumour"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"{OPEN} --key other --owner north --name tumour --least-serial 7", "not sealed to this key"),
        (f"{OPEN} --key broker --owner south --name tumour --least-serial 7", "its owner is 'north'"),
        (f"{OPEN} --key broker --owner north --name other --least-serial 7", "its name is 'tumour'"),
        (f"{OPEN} {MINE} --least-serial 8", "8 is the least"),
        (f"{OPEN} {MINE} --expect {'01' * 32}", "its root is"),
        (f"{OPEN} {MINE} --least-serial 7 --owner-key {'01' * 32}", "Ed25519 key is not the one"),
        (f"{OPEN.replace('model open', 'data open')} {MINE} --least-serial 7", "its kind is 'model'"),
        (f"{OPEN} --out - {MINE} --least-serial 7", "--out"),
        (f"{OPEN.replace('m.sealed', 'model.npz')} {MINE} --least-serial 7", "no sealed model"),
        (f"{OPEN.replace('m.sealed', 'missing')} {MINE} --least-serial 7", "cannot be read"),
        ("data inspect m.sealed --root root.pem", "Use `quatrefoil model inspect`"),
        (f"model seal missing.npz --name a --serial 1 {SEAL} --out c", "there is no model"),
        (f"model seal doses.csv --content tensors --name a --serial 1 {SEAL} --out c", "no whole model"),
        (f"model seal model.npz --name A --serial 1 {SEAL} --out c", "not a name"),
        (f"model seal model.npz --name a --serial 1 --stage serve {SEAL} --out c", "'serve' is not open"),
        (f"model seal model.npz --name a --serial 1 {SEAL} --out m.sealed", "exists already"),
        (f"model seal model.npz --name a --serial 1 --minimum hybrid-1024 {SEAL} --out c", "hybrid-1024 is asked for"),
        (f"model seal model.npz --name a --serial 1 {SEAL.replace('owner.pem', 'root.pem')} --out c", "open to others"),
        (
            f"model seal model.npz --name a --serial 1 {SEAL.replace('owner.pem', 'north/key.pem')} --out c",
            "not of Ed25519",
        ),
        ("model key owner.pem", "exists already"),
    ],
)
def test_it_is_refused(sealed: Path, line: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(sealed.iterdir())
    assert run(line) == 1
    assert said in capsys.readouterr().err
    assert sorted(sealed.iterdir()) == before


def test_an_older_model_is_refused_once_a_newer_one_was_opened(
    sealed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(f"model seal model.npz --name tumour --serial 8 {SEAL} --out newer.sealed") == 0
    opening = f"--root root.pem {MINE} --state state"
    assert run(f"model open m.sealed {opening} --out 7.npz") == 0
    assert run(f"model open newer.sealed {opening} --out 8.npz") == 0
    capsys.readouterr()
    assert run(f"model open m.sealed {opening} --out 7again.npz") == 1
    assert "an older one was put back" in capsys.readouterr().err
    assert not (sealed / "7again.npz").exists()


def test_what_is_expected_has_to_be_said(sealed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(f"{OPEN} {MINE}")
    assert "--expect --least-serial --state" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run(f"{OPEN} {MINE} --expect 0102")
    assert "32 bytes" in capsys.readouterr().err
