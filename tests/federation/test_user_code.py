"""What a user brings: found by name or file, or refused with what is wrong with it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from quatrefoil.audit.model_file import measure_file
from quatrefoil.errors import CallerError, HostError
from quatrefoil.federation.user_code import (
    as_arrays,
    call,
    count_samples,
    load_data,
    load_function,
    load_model,
    save_model,
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, whose modules are found and forgotten again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def train(parameters: object, data: object) -> object:
    return parameters


# ----------------------------------------------------------------------------------------------------------- functions


def test_a_function_of_the_current_folder_is_found(folder: Path) -> None:
    (folder / "qf_good.py").write_text("def train(parameters, data): return [7]\n")
    assert load_function("qf_good:train")([], None) == [7]


@pytest.mark.parametrize("name", ["", ":", "module", "module:", ":function", "module.function"])
def test_a_name_of_another_form_is_refused(name: str) -> None:
    with pytest.raises(CallerError, match="does not name a function"):
        load_function(name)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("qf_absent:train", "there is no module qf_absent"),
        ("qf_absent.inner:train", "there is no module qf_absent"),
        ("a..b:train", "there is no module"),
        (".relative:train", r"'\.relative' does not name a module"),
        ("os:absent", "os has no function absent"),
        ("os:sep", "os:sep is no function"),
    ],
)
def test_a_function_that_is_not_there_is_refused(name: str, problem: str) -> None:
    with pytest.raises(CallerError, match=problem):
        load_function(name)


def test_a_module_that_lacks_another_names_that_one(folder: Path) -> None:
    (folder / "qf_lacking.py").write_text("import qf_not_installed\n")
    with pytest.raises(CallerError, match="there is no module qf_not_installed"):
        load_function("qf_lacking:train")


def test_an_error_inside_the_users_module_is_shown_with_its_line(folder: Path) -> None:
    (folder / "qf_broken.py").write_text("import os\nos.absent_attribute\ndef train(p, d): return p\n")
    with pytest.raises(CallerError, match=r"qf_broken failed at qf_broken\.py line 2 .*absent_attribute") as refused:
        load_function("qf_broken:train")
    assert isinstance(refused.value.__cause__, AttributeError)


@pytest.mark.parametrize("code", ["this is no python", "raise SystemExit(0)", "1 / 0", "import sys; sys.exit()"])
def test_a_module_that_cannot_be_loaded_is_refused_in_one_line(folder: Path, code: str) -> None:
    (folder / "qf_bad.py").write_text(code + "\n")
    sys.modules.pop("qf_bad", None)
    with pytest.raises(CallerError, match="qf_bad failed") as refused:
        load_function("qf_bad:train")
    assert str(refused.value).isprintable()


# --------------------------------------------------------------------------------------------------- calling functions


def failing(parameters: list[np.ndarray], data: object) -> list[np.ndarray]:
    raise ValueError("first line\nsecond line")


def leaving(parameters: list[np.ndarray], data: object) -> list[np.ndarray]:
    raise SystemExit(0)


def refusing(parameters: list[np.ndarray], data: object) -> list[np.ndarray]:
    raise HostError("no GPU", hint="Buy one")


@pytest.mark.parametrize("function", [failing, leaving])
def test_what_a_function_raises_is_one_line_with_its_place(function: Callable[..., object]) -> None:
    with pytest.raises(CallerError, match=rf":{function.__name__} failed at test_user_code\.py line \d+") as refused:
        call(function, [], None)
    assert str(refused.value).isprintable()
    assert refused.value.__cause__ is not None


def test_an_error_of_ours_passes_through_a_users_function() -> None:
    with pytest.raises(HostError, match="no GPU"):
        call(refusing, [], None)


def test_an_interrupt_passes_through_a_users_function() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call(interrupted)


@pytest.mark.parametrize("returned", [None, 3.5, "weights", b"weights", {"w": np.zeros(2)}])
def test_what_is_no_list_is_refused(returned: object) -> None:
    with pytest.raises(CallerError, match=r"returned .*, no list of arrays"):
        as_arrays(returned, "m:train")


def test_ragged_lists_are_refused() -> None:
    with pytest.raises(CallerError, match="no array"):
        as_arrays([[[1.0], [1.0, 2.0]]], "m:train")


def test_lists_tuples_and_generators_of_arrays_are_taken() -> None:
    for returned in ([np.zeros(2), 1.5], (np.zeros(2), 1.5), (each for each in (np.zeros(2), 1.5))):
        assert [array.shape for array in as_arrays(returned, "m:train")] == [(2,), ()]


def test_a_model_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="cannot be written"):
        save_model(tmp_path / "nowhere" / "model.npz", [np.zeros(2)])


# ---------------------------------------------------------------------------------------------------------------- data


def test_each_suffix_is_read(tmp_path: Path) -> None:
    table = np.arange(6.0).reshape(3, 2)
    np.save(tmp_path / "a.npy", table)
    np.savez(tmp_path / "b.npz", x=table, y=table[:, 0])
    (tmp_path / "c.csv").write_text("first,second\n0,1\n2,3\n4,5\n")
    np.testing.assert_array_equal(load_data(tmp_path / "a.npy", train), table)
    np.testing.assert_array_equal(load_data(tmp_path / "b.npz", train)["y"], table[:, 0])
    np.testing.assert_array_equal(load_data(tmp_path / "c.csv", train), table)


def test_one_row_is_still_a_table(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("first,second\n0,1\n")
    assert load_data(tmp_path / "c.csv", train).shape == (1, 2)


def test_the_modules_own_reader_comes_first(folder: Path) -> None:
    (folder / "qf_reader.py").write_text(
        "def train(parameters, data): return parameters\ndef load(path): return path.read_text()\n"
    )
    (folder / "data.csv").write_text("mine")
    assert load_data(folder / "data.csv", load_function("qf_reader:train")) == "mine"


def content(kind: str) -> bytes:
    if kind == "objects":
        return (
            b"\x93NUMPY\x01\x00\x76\x00"
            + b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(117)
            + b"\n\x80\x04N."
        )
    if kind == "unclosed":
        return b"\x93NUMPY\x01\x00\x76\x00" + b"{((".ljust(117) + b"\n"
    return {"text": b"hello\nworld\n", "nothing": b"", "torn": b"PK\x03\x04 torn", "header": b"a,b\n"}[kind]


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [
        *((suffix, kind) for suffix in ("npz", "npy") for kind in ("text", "nothing", "torn", "objects", "unclosed")),
        *(("csv", kind) for kind in ("text", "nothing", "header")),
    ],
)
def test_a_file_that_does_not_hold_what_its_suffix_says_is_refused(tmp_path: Path, suffix: str, kind: str) -> None:
    file = tmp_path / f"data.{suffix}"
    file.write_bytes(content(kind))
    with pytest.raises(CallerError, match=rf"data\.{suffix} (cannot be read|holds)"):
        load_data(file, train)
    if suffix != "csv":
        with pytest.raises(CallerError, match="cannot be read as a model"):
            load_model(str(file))


def test_an_array_in_place_of_an_archive_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones(3))
    (tmp_path / "a.npz").write_bytes((tmp_path / "a.npy").read_bytes())
    with pytest.raises(CallerError, match="cannot be read"):
        load_data(tmp_path / "a.npz", train)
    with pytest.raises(CallerError, match="cannot be read as a model"):
        load_model(str(tmp_path / "a.npy"))


def test_a_cut_off_archive_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "whole.npz", np.ones(1000))
    whole = (tmp_path / "whole.npz").read_bytes()
    file = tmp_path / "cut.npz"
    for size in (100, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:size])
        with pytest.raises(CallerError, match="cannot be read"):
            load_data(file, train)


@pytest.mark.parametrize(("at", "byte"), [(8, 1), (10, 99)], ids=["encrypted", "packed in an unknown way"])
def test_an_archive_that_cannot_be_unpacked_is_refused(tmp_path: Path, at: int, byte: int) -> None:
    file = tmp_path / "packed.npz"
    np.savez_compressed(file, np.ones(1000))
    whole = bytearray(file.read_bytes())
    whole[whole.rindex(b"PK\1\2") + at] = byte
    file.write_bytes(whole)
    with pytest.raises(CallerError, match="cannot be read"):
        load_data(file, train)
    with pytest.raises(CallerError, match="cannot be read as a model"):
        load_model(str(file))
    with pytest.raises(CallerError, match="is no whole model"):
        measure_file(file)


def test_a_missing_file_a_folder_and_another_suffix_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="there is no data file"):
        load_data(tmp_path / "absent.npz", train)
    with pytest.raises(CallerError, match="there is no data file"):
        load_data(tmp_path, train)
    (tmp_path / "data.xlsx").write_text("")
    with pytest.raises(CallerError, match=r"data\.xlsx has no known suffix"):
        load_data(tmp_path / "data.xlsx", train)


# ------------------------------------------------------------------------------------------------------------- samples


@pytest.mark.parametrize(
    ("data", "count"),
    [
        (np.ones((5, 2)), 5),
        ([1, 2, 3], 3),
        ({"x": np.ones((5, 2)), "y": np.ones(5)}, 5),
        ((np.ones((5, 2)), np.ones(5)), 5),
        ({"x": np.ones((5, 2)), "rate": 0.1}, 5),
        ({"x": np.ones((5, 2)), "rate": np.array(0.1)}, 5),
    ],
    ids=["an array", "a list", "named arrays", "a pair", "beside a number", "beside an array without a length"],
)
def test_samples_are_counted(data: object, count: int) -> None:
    assert count_samples(data) == count


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"x": np.ones(5), "y": np.ones(4)}, r"lengths \[4, 5\]"),
        ((np.ones(5), np.ones(4)), r"lengths \[4, 5\]"),
        ({}, r"lengths \[\]"),
        ({"x": 1}, r"lengths \[\]"),
        (np.array(1.0), "ndarray has no length"),
        (None, "NoneType has no length"),
        (object(), "object has no length"),
    ],
)
def test_data_that_cannot_be_counted_is_refused(data: object, problem: str) -> None:
    with pytest.raises(CallerError, match=problem):
        count_samples(data)


# --------------------------------------------------------------------------------------------------------------- model


def test_a_model_keeps_its_arrays_in_order(tmp_path: Path) -> None:
    model = [np.full(2, number, np.float32) for number in range(12)]
    save_model(tmp_path / "model.npz", model)
    found = load_model(str(tmp_path / "model.npz"))
    assert [array.tolist() for array in found] == [array.tolist() for array in model]
    assert found[0].dtype == np.float32


def test_a_model_is_written_where_it_was_asked_for(tmp_path: Path) -> None:
    save_model(tmp_path / "model", [np.ones(1)])
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


def test_a_function_gives_a_model(folder: Path) -> None:
    (folder / "qf_model.py").write_text("import numpy as np\ndef initial(): return [np.ones(2), np.zeros((1, 1))]\n")
    assert [array.shape for array in load_model("qf_model:initial")] == [(2,), (1, 1)]


def test_a_missing_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="cannot be read as a model"):
        load_model(str(tmp_path / "absent.npz"))
