"""What lies in a report's folder is believed only whole, of this machine, and as numbers at paths."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_world import other_machine, part, put, result

from quatrefoil.bench.report import records
from quatrefoil.bench.report.finding import find, number, numbers, rows, steps
from quatrefoil.bench.report.records import RESULTS, read, record_file, result_file, still_good
from quatrefoil.errors import CallerError, EvidenceRejected, HostError

PROOF = part("proof")
HERE = records.here()


def kept(folder: Path):
    return read(folder, PROOF, HERE.machine)


@pytest.fixture
def finished(tmp_path) -> Path:
    put(tmp_path, PROOF, result(PROOF, prove_ms=1.0))
    return tmp_path


def test_what_was_written_is_read(finished) -> None:
    found = kept(finished)
    assert found is not None and found.result["prove_ms"] == 1.0
    assert still_good(found, PROOF, False, HERE) and not still_good(found, PROOF, True, HERE)
    assert not list((finished / RESULTS).glob(".*"))


def test_nothing_is_nothing(tmp_path, finished) -> None:
    assert kept(tmp_path / "elsewhere") is None
    record_file(finished, PROOF).unlink()
    assert kept(finished) is None


def altered(change) -> str:
    """The record with a change, as text."""

    def apply(text: str) -> str:
        content = json.loads(text)
        change(content)
        return json.dumps(content)

    return apply  # type: ignore[return-value]


DAMAGED = {
    "cut off": lambda text: text[:-20],
    "empty": lambda _: "",
    "no JSON": lambda _: "\x00\xff",
    "a list": lambda _: "[]",
    "another schema": altered(lambda one: one.update(schema="x")),
    "a member more": altered(lambda one: one.update(more=1)),
    "a member less": altered(lambda one: one.pop("peers")),
    "another part": altered(lambda one: one.update(part="score")),
    "seconds in words": altered(lambda one: one.update(seconds="1")),
    "seconds that are true": altered(lambda one: one.update(seconds=True)),
    "arguments that are numbers": altered(lambda one: one.update(arguments=[1])),
    "peers that are numbers": altered(lambda one: one.update(peers={"x": 1})),
    "a machine in words": altered(lambda one: one.update(machine="x")),
    "another digest": altered(lambda one: one.update(digest="0" * 64)),
}


@pytest.mark.parametrize("how", DAMAGED)
def test_a_damaged_record_is_refused(finished, how) -> None:
    file = record_file(finished, PROOF)
    file.write_text(DAMAGED[how](file.read_text()), encoding="latin-1")
    with pytest.raises(EvidenceRejected, match=r"the (record|result) of proof"):
        kept(finished)


def test_a_result_that_was_changed_is_refused(finished) -> None:
    file = result_file(finished, PROOF)
    file.write_text(file.read_text().replace("1.0", "0.1"))
    with pytest.raises(EvidenceRejected, match="not the one that its record names"):
        kept(finished)


def test_a_result_without_its_record_or_the_other_way_does_not_count(finished) -> None:
    result_file(finished, PROOF).unlink()
    assert kept(finished) is None
    result_file(finished, PROOF).mkdir()
    with pytest.raises(EvidenceRejected, match="cannot be read"):
        kept(finished)


def test_results_of_another_machine_are_refused(tmp_path) -> None:
    put(tmp_path, PROOF, result(PROOF) | {"machine": other_machine(HERE)})
    with pytest.raises(EvidenceRejected, match="of another machine"):
        kept(tmp_path)
    assert read(tmp_path, PROOF, None) is not None  # one machine, whichever it is
    put(tmp_path, PROOF, result(PROOF), machine=other_machine(HERE))
    with pytest.raises(EvidenceRejected, match="of another machine"):
        read(tmp_path, PROOF, None)


def test_a_disk_that_is_full_is_told(finished, monkeypatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HostError, match="No space left"):
        put(finished, PROOF, result(PROOF, prove_ms=2.0))
    found = kept(finished)
    assert found is not None and found.result["prove_ms"] == 1.0


def test_the_code_is_all_that_computes_and_nothing_else(tmp_path) -> None:
    def digest() -> str:
        records.code_digest.cache_clear()
        return records.code_digest(tmp_path)

    (tmp_path / "bench" / "report").mkdir(parents=True)
    (tmp_path / "one.py").write_text("x = 1")
    first = digest()
    (tmp_path / "bench" / "report" / "page.py").write_text("drawn")
    (tmp_path / "notes.txt").write_text("words")
    assert digest() == first
    (tmp_path / "bench" / "score.py").write_text("measured")
    second = digest()
    (tmp_path / "one.py").write_text("x = 2")
    assert len({first, second, digest()}) == 3


# ---------------------------------------------------------------------------------------------------------------- paths

CONTENT = {
    "rows": [
        {"way": "a, b", "kind": "x", "ms": 1.5, "n": 3},
        {"way": "a, b", "kind": "y", "ms": 2.5, "n": None},
        {"way": "c", "kind": "y", "ms": "many", "n": True},
        "no row",
    ],
    "deep": {"one": 7},
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("deep.one", [7]),
        ("deep", [{"one": 7}]),
        ("rows[0].ms", [1.5]),
        ("rows[-2].way", ["c"]),
        ("rows[9].ms", []),
        ("rows[-9].ms", []),
        ("rows[way=a, b].ms", [1.5, 2.5]),
        ("rows[way=a, b][kind=y].ms", [2.5]),
        ("rows[kind=x|y].way", ["a, b", "a, b", "c"]),
        ("rows[*].n", [3, None, True]),
        ("rows[way=z].ms", []),
        ("rows.ms", []),
        ("deep[0]", []),
        ("deep[one=7].one", [7]),
        ("none.at.all", []),
    ],
)
def test_paths_lead_where_they_say(path, found) -> None:
    assert find(CONTENT, path) == found


def test_only_finite_numbers_are_figures() -> None:
    assert numbers(CONTENT, "rows[*].ms") == [1.5, 2.5] and numbers(CONTENT, "rows[*].n") == [3.0]
    assert number(CONTENT, "rows[*].ms") is None and number(CONTENT, "rows[kind=x].ms") == 1.5
    assert number({"x": float("inf")}, "x") is None and number({"x": True}, "x") is None
    assert len(rows(CONTENT, "rows")) == 3 and rows(CONTENT, "deep") == []
    assert rows({"rows": [{}] * 5000}, "rows") == [{}] * 1000


@pytest.mark.parametrize("path", ["", ".", "a.", ".a", "a..b", "a[", "a[]", "a]", "1a", "a b", "a[x]]", "[0]"])
def test_what_is_no_path_is_refused(path) -> None:
    with pytest.raises(CallerError, match="is no path"):
        find(CONTENT, path)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(anything, st.sampled_from(["rows[*].ms", "rows[way=a].ms", "rows[0].ms.x", "rows", "a.b.c"]))
def test_no_content_breaks_a_path(content, path) -> None:
    assert steps(path)
    for one in (content, {"rows": content}, {"rows": [content]}):
        assert all(isinstance(value, float) for value in numbers(one, path))
