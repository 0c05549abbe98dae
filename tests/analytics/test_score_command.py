"""``quatrefoil score``: in one call, as two parties, and what it refuses."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from quatrefoil import cli
from quatrefoil.planner.encrypted import PARAMETER_SETS

MODEL = {"kind": "logistic", "features": ["age", "bmi"], "weights": [0.04, -0.1], "intercept": 0.5}
POINTS = {"kind": "linear", "features": ["bmi", "age"], "weights": [3, -2], "intercept": 7}
ROWS = "age,name,bmi\n61,ann,25.5\n47,bob,31\n\n38,eve,-2\n"
WHOLE = "age,bmi\n61,25\n47,31\n38,-2\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.json").write_text(json.dumps(MODEL))
    (tmp_path / "points.json").write_text(json.dumps(POINTS))
    (tmp_path / "rows.csv").write_text(ROWS)
    (tmp_path / "whole.csv").write_text(WHOLE)
    (tmp_path / "whole.csv").chmod(0o600)  # also tried as a key
    return tmp_path


def run(folder: Path, line: str) -> int:
    return cli.main([word.replace("@", f"{folder}/") for word in f"score {line}".split()])


def result(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    return json.loads(capsys.readouterr().out)


def probabilities() -> np.ndarray:
    values = np.array([[61, 25.5], [47, 31], [38, -2]])
    return 1 / (1 + np.exp(-(values @ MODEL["weights"] + 0.5)))


def test_in_one_call(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "--model @model.json --data @rows.csv --json -") == 0
    found = result(capsys)
    assert found["schema"] == "quatrefoil.score/1" and found["rows"] == 3
    assert np.abs(np.array(found["scores"]) - probabilities()).max() <= found["error"] < 1e-3


def test_exact_in_bgv_and_a_file_of_scores(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "--scheme bgv --model @points.json --data @whole.csv --scores @scores.csv") == 0
    shown = capsys.readouterr()
    assert "-40, 6, -75" in shown.out and "computing column 2 of 2" in shown.err
    assert (folder / "scores.csv").read_text() == "score\n-40.0\n6.0\n-75.0\n"


def test_scores_as_json_are_for_their_owner_only(folder: Path) -> None:
    (folder / "there.json").write_text("")
    (folder / "there.json").chmod(0o644)
    for name in ("there.json", "new.json"):
        assert run(folder, f"--model @model.json --data @rows.csv --json @{name}") == 0
        assert len(json.loads((folder / name).read_text())["scores"]) == 3
        assert (folder / name).stat().st_mode & 0o777 == 0o600
    assert run(folder, "--model @model.json --data @rows.csv --json /dev/null") == 0


@pytest.mark.parametrize("backend", ["ckks", "bgv"])
def test_every_set_that_a_plan_can_name(folder: Path, capsys: pytest.CaptureFixture[str], backend: str) -> None:
    """By its name alone: a set has its scheme."""
    model = "model" if backend == "ckks" else "points"
    for name in PARAMETER_SETS["score", backend]:
        assert run(folder, f"--set {name} --model @{model}.json --data @whole.csv --json -") == 0
        assert result(capsys)["parameters"] == name


def test_two_parties_in_three_steps(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    encrypt = "--step encrypt --data @rows.csv --columns age,bmi --bound 128 --key @key --table @table"
    assert run(folder, encrypt) == 0
    assert (folder / "key").stat().st_mode & 0o777 == 0o600
    assert "128, 128" in capsys.readouterr().out
    assert run(folder, "--step compute --model @model.json --table @table --answer @answer") == 0
    capsys.readouterr()
    assert run(folder, "--step decrypt --key @key --answer @answer --json -") == 0
    found = result(capsys)
    assert np.abs(np.array(found["scores"]) - probabilities()).max() <= found["error"]
    assert run(folder, encrypt) == 1  # nothing is overwritten
    assert "exists already" in capsys.readouterr().err


def test_a_first_row_without_names_does_not_travel_as_names(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Names are in the clear: they would be the first patient's values."""
    (folder / "rows.csv").write_text("61.5,25.25\n47,31\n")
    assert run(folder, "--step encrypt --data @rows.csv --key @key --table @table") == 1
    said = capsys.readouterr().err
    assert "begins with numbers" in said and "25.25" not in said
    assert not (folder / "key").exists() and not (folder / "table").exists()
    (folder / "rows.csv").write_text("age,2024\n61.5,25.25\n")  # a year among names
    assert run(folder, "--step encrypt --data @rows.csv --key @key --table @table") == 0


def test_no_key_is_left_where_its_table_cannot_be(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "--step encrypt --data @whole.csv --key @key --table @rows.csv") == 1
    assert "rows.csv exists already" in capsys.readouterr().err
    assert not (folder / "key").exists() and (folder / "rows.csv").read_text() == ROWS


def test_a_key_that_others_may_read_is_not_used(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "--step encrypt --data @whole.csv --key @key --table @table") == 0
    assert run(folder, "--step compute --model @model.json --table @table --answer @answer") == 0
    (folder / "key").chmod(0o640)
    assert run(folder, "--step decrypt --key @key --answer @answer") == 1
    assert "is open to others (mode 0640)" in capsys.readouterr().err
    (folder / "key").chmod(0o600)
    assert run(folder, "--step decrypt --key @key --answer @answer") == 0


@pytest.mark.parametrize(
    ("key", "problem"), [("none", "cannot be read"), ("long", "is over 1048576 bytes"), ("", "cannot be read")]
)
def test_keys_that_are_none(folder: Path, capsys: pytest.CaptureFixture[str], key: str, problem: str) -> None:
    (folder / "long").touch(0o600)
    os.truncate(folder / "long", (1 << 20) + 1)
    assert run(folder, f"--step decrypt --key @{key} --answer @table") == 1
    assert problem in capsys.readouterr().err


def test_an_answer_under_another_key(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for n in (1, 2):
        assert run(folder, f"--step encrypt --data @whole.csv --key @key{n} --table @table{n}") == 0
    assert run(folder, "--step compute --model @model.json --table @table1 --answer @answer") == 0
    assert run(folder, "--step decrypt --key @key2 --answer @answer") == 1
    assert "an answer under another key" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("", "needs --model"),
        ("--model @model.json", "needs --data"),
        ("--model @model.json --data @none.csv", "none.csv cannot be read"),
        ("--model @rows.csv --data @rows.csv", "the model is not strict JSON"),
        ("--model @model.json --data @model.json", "does not end in .csv or .parquet"),
        ("--model @model.json --data @rows.csv --key @key", "takes no --key"),
        ("--step decrypt --key @key --answer @x --model @model.json", "takes no --model"),
        ("--step compute --model @model.json --table @t --answer @x --scheme bgv", "takes no --scheme"),
        ("--step decrypt --key @key --answer @x --largest-error 1", "takes no --largest-error"),
        ("--step encrypt --data @whole.csv", "needs --key"),
        (
            "--step encrypt --data @rows.csv --key @key --table @table",
            "rows.csv:2: column 'name' is not a finite number",
        ),
        ("--step encrypt --data @whole.csv --columns a --key @key --table @table", "has no column 'a'"),
        ("--step compute --model @model.json --table @whole.csv --answer @x", "is not a [type, version, fields] array"),
        ("--step decrypt --key @whole.csv --answer @whole.csv", "no key of an encrypted table"),
        ("--model @model.json --data @rows.csv --bound 10", "beyond its column's bound"),
        ("--model @model.json --data @rows.csv --bound nan", "beyond its column's bound"),
        ("--model @model.json --data @rows.csv --largest-error 1e-9", "at most 1e-09 is asked for"),
        ("--model @model.json --data @rows.csv --scheme ckks --set bgv-linear-4096", "is no set of ckks"),
        ("--model @model.json --data @rows.csv --set bgv-linear-4096", "is not an integer"),
        ("--model @model.json --data @rows.csv --set ckks", "no parameter set 'ckks'"),
        ("--scheme bgv --model @model.json --data @whole.csv", "is no integer"),
        ("--scheme bgv --model @points.json --data @rows.csv", "rows.csv:2: column 'bmi' is not an integer"),
    ],
)
def test_refusals(folder: Path, capsys: pytest.CaptureFixture[str], line: str, problem: str) -> None:
    before = sorted(folder.iterdir())
    assert run(folder, line) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("quatrefoil: ") and problem in said[-1]
    assert sorted(folder.iterdir()) == before, "a refusal leaves no file"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "does not begin with a name"),
        (b"age,age\n1,2\n", "does not begin with a name"),
        (b"age,\n1,2\n", "does not begin with a name"),
        (b"61,25.5\n47,31\n", "begins with numbers"),
        (b"age,bmi\n", "no rows"),
        (b"age,bmi\n1\n", "rows.csv:2 has 1 values"),
        (b"age,bmi\n1,2\n1,2,3\n", "rows.csv:3 has 3 values"),
        (b"age,bmi\n1,\n", "'bmi' is not a finite number"),
        (b"age,bmi\n1,nan\n", "'bmi' is not a finite number"),
        (b"age,bmi\n1,1e999\n", "'bmi' is not a finite number"),
        (b"age,bmi\n1,1_0\n", "'bmi' is not a finite number"),
        (b"age,bmi\n1,=cmd()\n", "'bmi' is not a finite number"),
        (b"age,bmi\n1,secret-of-a-patient\n", "'bmi' is not a finite number"),
        (b"age,bmi\n1," + b"9" * 5000 + b"\n", "'bmi' is not a finite number"),
        (b'age,bmi\n1,"2\n', "no CSV in UTF-8"),
        (b"age,bmi\n1,\xff\n", "no CSV in UTF-8"),
        (b"age,bmi\n1,1e250\n", "in another unit"),
        (b"age,b\x1b[31mmi\n1,2\n", "no column 'bmi'"),
        (b"a" * 200_000 + b"\n", "no CSV in UTF-8"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_hostile_tables(folder: Path, capsys: pytest.CaptureFixture[str], content: bytes, problem: str) -> None:
    (folder / "rows.csv").write_bytes(content)
    assert run(folder, "--model @model.json --data @rows.csv") == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert problem in said and "secret" not in said and "\x1b" not in said


def test_parquet_names_its_columns_whatever_they_are_called(folder: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    parquet.write_table(arrow.table({"0": [61, 47], "1": [25.5, 31.0]}), folder / "rows.parquet")
    assert run(folder, "--step encrypt --data @rows.parquet --key @key --table @table") == 0


def test_parquet(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    parquet.write_table(arrow.table({"age": [61, 47, 38], "bmi": [25.5, 31.0, -2.0]}), folder / "rows.parquet")
    assert run(folder, "--model @model.json --data @rows.parquet --json -") == 0
    found = result(capsys)
    assert np.abs(np.array(found["scores"]) - probabilities()).max() <= found["error"]
    whole = (folder / "rows.parquet").read_bytes()
    for bad, problem in (
        (b"", "no Parquet"),
        (whole[:-1], "no Parquet"),
        (whole[:20] + b"\xff" * 40 + whole[60:], "no Parquet|not finite|beyond"),
    ):
        (folder / "rows.parquet").write_bytes(bad)
        code = run(folder, "--model @model.json --data @rows.parquet")
        assert code in (0, 1) and (code == 0 or any(p in capsys.readouterr().err for p in problem.split("|")))
    for columns, problem in (
        ({"age": [1, None], "bmi": [1.0, 2.0]}, "1 missing"),
        ({"age": ["x"], "bmi": [1.0]}, "'age' is string"),
        ({"age": [float("inf")], "bmi": [1.0]}, "not finite"),
        ({"age": [1]}, "no column 'bmi'"),
    ):
        parquet.write_table(arrow.table(columns), folder / "rows.parquet")
        assert run(folder, "--model @model.json --data @rows.parquet") == 1
        assert problem in capsys.readouterr().err


def test_parquet_that_says_fewer_rows_than_it_unpacks_to(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A few kilobytes of zeros unpack to any amount: what counts is what the reader goes by, not the file's own sum."""
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    rows = 200_000
    zeros = np.zeros(rows)
    parquet.write_table(arrow.table({"age": zeros, "bmi": zeros}), folder / "rows.parquet", row_group_size=rows // 2)
    whole = (folder / "rows.parquet").read_bytes()
    of_file, of_group = varint(2 * rows), varint(rows)
    few = bytes([0x86, *[0x80] * (len(of_file) - 2), 0])  # 3, written as long
    assert whole.count(of_file) == 1 and len(of_group) == len(of_file)
    assert run(folder, "--model @model.json --data @rows.parquet --bound 1") == 0
    capsys.readouterr()
    for bad, problem in (
        (whole.replace(of_file, few), "contradicts itself about its rows"),
        (whole.replace(of_group, few, 1), "no Parquet that can be read"),
        (whole.replace(of_group, few), "|".join(("contradicts itself", "no Parquet"))),
    ):
        (folder / "rows.parquet").write_bytes(bad)
        assert run(folder, "--model @model.json --data @rows.parquet --bound 1") == 1
        assert any(part in capsys.readouterr().err for part in problem.split("|"))
    nested = arrow.table({"age": [[1.0, 2.0], [3.0]], "bmi": [1.0, 2.0]})
    parquet.write_table(nested, folder / "rows.parquet")
    assert run(folder, "--model @model.json --data @rows.parquet") == 1
    assert "column 'age' is list<" in capsys.readouterr().err


def varint(value: int) -> bytes:
    """As Thrift's compact protocol writes an unsigned integer."""
    if value < 0x80:
        return bytes([value])
    return bytes([value & 0x7F | 0x80]) + varint(value >> 7)


def test_without_pyarrow_the_extra_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (folder / "rows.parquet").write_bytes(b"PAR1")
    assert run(folder, "--model @model.json --data @rows.parquet") == 1
    assert "quatrefoil[parquet]" in capsys.readouterr().err


def test_without_seal_the_extra_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from quatrefoil.aggregation.he import context

    context.context.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "seal", None)
    assert run(folder, "--model @model.json --data @rows.csv") == 1
    assert "quatrefoil[he]" in capsys.readouterr().err
