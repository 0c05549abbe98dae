"""What a silo commits to: listings of files, salted for data, plain for code."""

from __future__ import annotations

import functools
import hashlib
import importlib
import json
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quatrefoil.audit.commitments import File, Listing, code_digest, data_commitment, list_files
from quatrefoil.errors import CallerError, HostError

SALT = bytes(range(32))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "inner").mkdir(parents=True)
    (folder / "b.csv").write_bytes(b"1,2\n")
    (folder / "inner" / "a.csv").write_bytes(b"")
    return folder


def test_the_commitment_is_the_one_that_the_page_describes(data: Path) -> None:
    files = [("data/b.csv", b"1,2\n"), ("data/inner/a.csv", b"")]
    listing = {"files": [{"path": p, "sha256": hashlib.sha256(c).hexdigest(), "size": len(c)} for p, c in files]}
    written = json.dumps(listing, sort_keys=True, separators=(",", ":")).encode()
    assert list_files([data]).encode() == written
    expected = hashlib.sha256(b"quatrefoil data v1\n" + SALT + written).digest()
    assert data_commitment(list_files([data]), SALT) == expected


def test_the_order_in_which_paths_are_named_does_not_count(data: Path) -> None:
    assert list_files([data / "b.csv", data / "inner"]) == list_files([data / "inner", data / "b.csv"])


@pytest.mark.parametrize("change", ["content", "name", "more", "less", "moved"])
def test_whatever_differs_is_another_commitment(data: Path, change: str) -> None:
    before = data_commitment(list_files([data]), SALT)
    if change == "content":
        (data / "b.csv").write_bytes(b"1,3\n")
    elif change == "name":
        (data / "b.csv").rename(data / "c.csv")
    elif change == "more":
        (data / "c.csv").write_bytes(b"")
    elif change == "less":
        (data / "b.csv").unlink()
    else:
        (data / "b.csv").rename(data / "inner" / "b.csv")
    assert data_commitment(list_files([data]), SALT) != before


def test_one_bit_of_salt_is_another_commitment(data: Path) -> None:
    listing = list_files([data])
    assert data_commitment(listing, SALT) != data_commitment(listing, SALT[:-1] + b"\x1e")


def test_a_link_to_a_file_counts_as_the_file_and_one_to_a_folder_is_refused(data: Path) -> None:
    before = list_files([data])
    (data / "b.csv").rename(data.parent / "elsewhere")
    (data / "b.csv").symlink_to(data.parent / "elsewhere")
    assert list_files([data]) == before
    (data / "up").symlink_to(data.parent)
    with pytest.raises(CallerError, match="up is no file"):
        list_files([data])


def test_devices_and_pipes_are_refused_and_not_read(data: Path) -> None:
    os.mkfifo(data / "pipe")
    with pytest.raises(CallerError, match="pipe is no file"):
        list_files([data])


def test_what_cannot_be_listed(data: Path) -> None:
    with pytest.raises(CallerError, match="there is no file or folder"):
        list_files([data / "absent"])
    with pytest.raises(CallerError, match=r"two of the paths hold b\.csv"):
        list_files([data / "b.csv", data / "b.csv"])
    (data.parent / "empty").mkdir()
    for none in ([], [data.parent / "empty"]):
        with pytest.raises(CallerError, match="no file to commit to"):
            list_files(none)
    (data / "broken").symlink_to(data / "nowhere")
    with pytest.raises(HostError, match="cannot be read"):
        list_files([data])


@pytest.mark.parametrize("salt", [b"", bytes(31), bytes(33)])
def test_a_salt_of_another_length_is_refused(data: Path, salt: bytes) -> None:
    with pytest.raises(CallerError, match="a salt of"):
        data_commitment(list_files([data]), salt)


files = st.builds(File, st.text(st.characters(codec="utf-8"), min_size=1), st.binary(min_size=32, max_size=32),
                  st.integers(0, 2**53 - 1))  # fmt: skip


@given(st.lists(files, max_size=3), st.lists(files, max_size=3))
def test_two_listings_have_one_form_only_if_they_are_one(first: list[File], second: list[File]) -> None:
    one, two = Listing(tuple(first)), Listing(tuple(second))
    assert (one.encode() == two.encode()) == (one == two)


# ---------------------------------------------------------------------------------------------------------------- code


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] in ("lone_model", "packed_model")]:
        del sys.modules[name]


def test_a_lone_module_is_its_one_file(user: Path) -> None:
    (user / "lone_model.py").write_text("def train(p, d):\n    return p\n")
    (user / "beside.py").write_text("")
    train = importlib.import_module("lone_model").train
    before = code_digest(train)
    assert before == code_digest(functools.partial(train)) and before is not None
    (user / "beside.py").write_text("changed")
    assert code_digest(train) == before
    (user / "lone_model.py").write_text("def train(p, d):\n    return [q + 1 for q in p]\n")
    assert code_digest(train) != before


def test_a_module_of_a_package_is_the_whole_package_but_for_bytecode(user: Path) -> None:
    inner = user / "packed_model" / "inner"
    inner.mkdir(parents=True)
    for folder in (inner.parent, inner):
        (folder / "__init__.py").write_text("")
    (inner / "deep.py").write_text("class Model:\n    def train(self, p, d):\n        return p\n")
    train = importlib.import_module("packed_model.inner.deep").Model().train
    before = code_digest(train)
    (inner / "__pycache__").mkdir(exist_ok=True)
    (inner / "__pycache__" / "more.pyc").write_bytes(b"x")
    assert code_digest(train) == before is not None
    (inner.parent / "weights.txt").write_text("1")
    assert code_digest(train) != before


def test_code_from_no_file_has_no_digest() -> None:
    space: dict[str, object] = {"__name__": "made_up_nowhere"}
    exec("def train(p, d):\n    return p\n", space)
    assert code_digest(space["train"]) is None  # type: ignore[arg-type]
    assert code_digest(len) is None
