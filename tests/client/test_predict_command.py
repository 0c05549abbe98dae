"""``quatrefoil predict`` before a real server: forms of input, what it prints, what it keeps, how it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from channel_world import Served, served
from client_world import Talker

import attesting
from quatrefoil import cli, exchange
from quatrefoil.cli import predict_input
from quatrefoil.errors import CallerError, HostError
from quatrefoil.inference import ModelMetadata, TensorSpec
from small_models import B, W
from support import Consortium

EXAMPLE = Path(__file__).parents[2] / "examples" / "serving" / "policy.toml"
X = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], dtype=np.float32)


def policy_file(folder: Path, root: bytes = bytes(range(32))) -> Path:
    text = EXAMPLE.read_text().replace('name = "heart"', 'name = "linear"')
    text = text.replace("../appraisal/sev-snp.toml", str(attesting.FOLDER / "policy.toml"))
    line = next(line for line in text.splitlines() if line.startswith("root = "))
    file = folder / "policy.toml"
    file.write_text(text.replace(line, f'root = "{root.hex()}"'))
    return file


@pytest.fixture
def server(consortium: Consortium, tmp_path: Path) -> Iterator[Served]:
    with served(consortium, exchange.load(policy_file(tmp_path))) as one:
        yield one


def line(server: Served, folder: Path, file: Path, *more: str) -> list[str]:
    consortium = server.consortium
    consortium.identity("clinic", "silo")
    return [
        *("predict", server.url, "--input", str(file), "--policy", str(folder / "policy.toml"), *more),
        *("--identity", str(consortium.folder("clinic", "silo")), "--root", str(consortium.directory / "root.pem")),
    ]


def written(folder: Path, form: str) -> Path:
    file = folder / f"x{form}"
    if form == ".json":
        tensor = {"name": "x", "shape": [2, 3], "datatype": "FP32", "data": X.tolist()}
        file.write_text(json.dumps({"inputs": [tensor], "outputs": [{"name": "y"}]}))
    elif form == ".npz":
        np.savez(file, x=X)
    elif form == ".npy":
        np.save(file, X)
    else:
        file.write_text("a,b,c\n1,2,3\n\n4,5,6\n")
    return file


@pytest.mark.parametrize("form", predict_input.FORMS)
def test_every_form_of_input_gets_the_models_answer(
    form: str, server: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, form)
    assert cli.main([*line(server, tmp_path, file), "--json", str(tmp_path / "out.json")]) == 0
    shown = capsys.readouterr()
    found = json.loads((tmp_path / "out.json").read_text())
    (output,) = found["outputs"]
    assert np.allclose(np.reshape(output["data"], output["shape"]), X @ W + B)
    assert found["schema"] == "quatrefoil.predict/1" and found["attested"]["kind"] == "sev-snp"
    assert found["receipt"]["model"] == server.policy.model.root.hex()
    assert found["receipt"]["measurement"] == found["attested"]["measurement"]
    assert "linear answers" in shown.out and "2x2" in shown.out
    assert f"receipt: model {found['receipt']['model'][:16]}, sev-snp.measurement=" in shown.out
    assert "attested: sev-snp.measurement=" in shown.err


def test_json_alone_goes_to_standard_output_and_receipts_are_kept(
    server: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept"
    file = written(tmp_path, ".npz")
    arguments = line(server, tmp_path, file, "--receipts", str(kept), "--output", "y", "--server", "server")
    assert cli.main([*arguments, "--json", "-"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["receipt"]["issuer"] == "server"
    assert sorted(one.suffix for one in kept.iterdir()) == [".attestation", ".keyset", ".receipt", ".salt"]
    assert f"receipts are in {kept}" in shown.err


def test_what_was_kept_is_checked_by_whoever_has_it(
    server: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept"
    file = written(tmp_path, ".npz")
    for _ in range(2):
        assert cli.main(line(server, tmp_path, file, "--receipts", str(kept))) == 0
    collateral = tmp_path / "collateral"
    collateral.mkdir()
    (collateral / "milan.crl").write_bytes(attesting.crl("Milan"))
    receipts = sorted(map(str, kept.glob("*.receipt")))
    check = ["audit", "receipt", receipts[0], "--appraisal", str(attesting.FOLDER / "policy.toml")]
    check += ["--collateral", str(collateral), "--json", str(tmp_path / "checked.json")]
    capsys.readouterr()
    assert cli.main(check) == 0, capsys.readouterr().err
    found = json.loads((tmp_path / "checked.json").read_text())["receipt"]
    assert found["sequence"] in (0, 1) and found["evidence"].startswith("accepted under")
    assert cli.main(["audit", "receipt", *receipts]) == 0
    (tmp_path / "other").write_bytes(b"something else")
    assert cli.main(["audit", "receipt", receipts[0], "--answer", str(tmp_path / "other")]) == 1
    assert "another answer" in capsys.readouterr().err


def test_what_is_refused_is_one_line(server: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, ".npz")
    good = line(server, tmp_path, file)
    other = tmp_path / "other"
    other.mkdir()
    policy_file(other, root=bytes(32))
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    wide = tmp_path / "wide.npy"
    np.save(wide, np.zeros((1, 4), dtype="f4"))
    cases: list[tuple[list[str], str]] = [
        ([good[0], server.url.replace("https", "http"), *good[2:]], "https://"),
        ([good[0], "https://127.0.0.1:1", *good[2:]], "127.0.0.1:1"),
        (line(server, other, file), "names another"),
        (line(server, tmp_path, tmp_path / "none.npz"), "cannot be read"),
        (line(server, tmp_path, tmp_path / "policy.toml"), "does not end in"),
        (line(server, tmp_path, empty), "is empty"),
        (line(server, tmp_path, wide), "answers 400"),
        ([*good, "--output", "z"], "answers 400"),
        ([*good, "--server", "somebody"], "by another server"),
        ([*good, "--relay", "http://relay"], "relay"),
        ([*good, "--timeout", "0"], "takes some time"),
        ([*good, "--json", str(tmp_path / "no" / "where.json")], "cannot be written"),
    ]
    for arguments, problem in cases:
        assert cli.main(arguments) == 1
        shown = capsys.readouterr()
        *before, last = shown.err.splitlines()
        assert last.startswith("quatrefoil: ") and problem in last and shown.out == "", (last, problem)
        assert all(text.startswith("attested: ") for text in before)


def test_what_has_no_json_form_is_written_in_binary(
    consortium: Consortium, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = [
        {"name": "b", "shape": [3], "datatype": "BYTES", "data": ["a\x1b[31m", "b" * 100, "é"]},
        {"name": "n", "shape": [12], "datatype": "INT64", "data": list(range(12))},
    ]
    body = json.dumps({"model_name": "linear", "outputs": outputs}).encode()
    talker = Talker([body], kind=b"application/json")
    with served(consortium, exchange.load(policy_file(tmp_path)), handler=talker) as server:
        assert cli.main(line(server, tmp_path, written(tmp_path, ".npz"))) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown and "0, 1, 2, 3, 4, 5, 6, 7, ..." in shown

    from quatrefoil.cli.predict import _output

    assert _output("a", np.array([np.nan], dtype="f4"))["base64"] == "AADAfw=="
    assert _output("a", np.array([1.5], dtype="f4"))["data"] == [1.5]


# --------------------------------------------------------------------------------------------------------------- files


def signature(*inputs: TensorSpec) -> ModelMetadata:
    return ModelMetadata("m", inputs, (), "p")


NUMBERS = signature(TensorSpec("x", "FP32", (-1, 2)))
COLUMNS = signature(
    TensorSpec("age", "INT64", (-1, 1)), TensorSpec("sex", "BYTES", (-1,)), TensorSpec("ok", "BOOL", (-1,))
)


def table(folder: Path, text: str, model: ModelMetadata) -> dict[str, Any]:
    file = folder / "t.csv"
    file.write_bytes(text.encode("latin-1"))
    return predict_input.read(file, lambda: model).inputs


def test_tables(tmp_path: Path) -> None:
    assert table(tmp_path, "1,2\n3,4\n", NUMBERS) == {"x": [[1.0, 2.0], [3.0, 4.0]]}
    assert table(tmp_path, "a,b\n3,4\n", NUMBERS) == {"x": [[3.0, 4.0]]}
    assert table(tmp_path, "id,age,sex,ok\n9,61,m,1\n8,50,f,0\n", COLUMNS) == {
        "age": [[61], [50]],
        "sex": ["m", "f"],
        "ok": [True, False],
    }


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("1,2\n3\n", NUMBERS),
        ("", NUMBERS),
        ("\n\n", NUMBERS),
        ("1,2\n3,secret\n", NUMBERS),
        ("\xff\xfe,2\n", NUMBERS),
        ('"1,2\n', NUMBERS),
        ("1,2\n", COLUMNS),
        ("age,sex,ok\nsecret,m,1\n", COLUMNS),
        ("age,sex,ok\n1.5,m,1\n", COLUMNS),
    ],
)
def test_what_is_no_table_for_the_model_is_refused_without_quoting_it(
    text: str, model: ModelMetadata, tmp_path: Path
) -> None:
    with pytest.raises(CallerError) as found:
        table(tmp_path, text, model)
    assert "secret" not in str(found.value) and found.value.__context__ is None


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("x.npz", b"PK"),
        ("x.npz", b""),
        ("x.npy", b"\x93NUMPY\x01\x00"),
        ("x.npy", b"\x93NUMPY\x01\x00\x76\x00" + b"{((".ljust(117) + b"\n"),
        ("x.npy", b"cos\nsystem\n(S'true'\ntR."),
        ("x.json", b"{"),
        ("x.json", b'{"inputs": []}'),
        ("x.txt", b"1"),
    ],
)
def test_what_is_no_file_of_its_form_is_refused(name: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(CallerError):
        predict_input.read(tmp_path / name, lambda: NUMBERS)


def test_nothing_is_unpickled_and_nothing_over_the_limit_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "o.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "o.npz", x=np.array([{"a": 1}], dtype=object))
    for name in ("o.npy", "o.npz"):
        with pytest.raises(CallerError, match="ValueError"):
            predict_input.read(tmp_path / name, lambda: NUMBERS)
    monkeypatch.setattr(predict_input, "LARGEST", 10)
    with pytest.raises(HostError, match="over 10 bytes"):
        predict_input.read(tmp_path / "o.npz", lambda: NUMBERS)
