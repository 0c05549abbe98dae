"""The journal: what was torn by a lost power is cut off, and what was damaged later is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tlog.small_logs import folder_files, leaf, leaves, verified, writer

from quatrefoil.errors import StateCorrupt
from quatrefoil.tlog.journal import Appended, Journal

BASE = b"base checkpoint"
FIRST = Appended(0, (b"a", b"", b"b" * 300), b"first checkpoint")
SECOND = Appended(3, (b"c",), b"second checkpoint")
THIRD = Appended(4, (), b"cosigned")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def written(path: Path, *appended: Appended) -> list[int]:
    """A journal with these; where each record ends."""
    journal = Journal.create(path, BASE)
    ends = [journal.size]
    for one in appended:
        journal.append(one)
        ends.append(journal.size)
    journal.close()
    return ends


def recovered(path: Path) -> list[Appended]:
    journal, base, appended = Journal.recover(path)
    assert base == BASE
    journal.trim()
    assert path.stat().st_size == journal.size
    journal.close()
    return appended


def test_what_was_appended_is_recovered(path: Path) -> None:
    written(path, FIRST, SECOND, THIRD)
    assert recovered(path) == [FIRST, SECOND, THIRD]
    journal, _, _ = Journal.recover(path)
    journal.append(FIRST)
    journal.close()
    assert recovered(path) == [FIRST, SECOND, THIRD, FIRST]


TORN: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda part: part,
    "zeros after it": lambda part: part + bytes(200),
    "zeros in the place of it": lambda part: bytes(len(part)),
    "zeros first": lambda part: bytes(len(part) // 2) + part[len(part) // 2 :],
    "what was there before": lambda part: part + b"\xff" * 50,
}


@pytest.mark.parametrize("how", TORN)
def test_a_torn_last_record_is_cut_off(path: Path, how: str) -> None:
    """Whatever part of it arrived: at each length, with what a file system may put in the place of the rest."""
    ends = written(path, FIRST, SECOND)
    whole = path.read_bytes()
    for length in range(1, ends[2] - ends[1]):
        path.write_bytes(whole[: ends[1]] + TORN[how](whole[ends[1] : ends[1] + length]))
        assert recovered(path) == [FIRST], length
        assert path.read_bytes() == whole[: ends[1]]


@given(st.data())
@settings(max_examples=80)
def test_a_record_that_was_damaged_before_the_last_is_not_cut_off(
    tmp_path_factory: pytest.TempPathFactory, draw: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal"
    ends = written(path, FIRST, SECOND)
    whole = bytearray(path.read_bytes())
    at = draw.draw(st.integers(0, ends[1] - 1))
    whole[at] ^= draw.draw(st.integers(1, 255))
    path.write_bytes(whole)
    with pytest.raises(StateCorrupt, match=r"damaged record before its last|no base|not a journal of this version"):
        Journal.recover(path)
    assert path.read_bytes() == whole, "evidence was changed"


def test_a_leaf_that_holds_a_whole_record_of_another_journal_is_not_taken_for_one(path: Path, tmp_path: Path) -> None:
    """The mark is drawn for each journal: what was logged cannot make a torn record look damaged."""
    written(tmp_path / "other", FIRST)
    posing = Appended(3, ((tmp_path / "other").read_bytes(),), b"checkpoint")
    ends = written(path, FIRST, posing)
    whole = path.read_bytes()
    for length in range(1, ends[2] - ends[1], 7):
        path.write_bytes(whole[: ends[1] + length])
        assert recovered(path) == [FIRST]


@pytest.mark.parametrize("content", [b"", b"tlog journal 2\n", b"tlog journal 1\n", b"x" * 200])
def test_what_is_no_journal_is_named(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StateCorrupt, match=r"not a journal of this version|no base"):
        Journal.recover(path)


@pytest.mark.parametrize(
    "record",
    [b"", b"A", b"B" + bytes(12), b"A" + bytes(8) + b"\0\0\0\1", b"A" + bytes(8) + b"\0\0\0\1\0\5abc"],
)
def test_a_record_of_another_form_is_named(path: Path, record: bytes) -> None:
    from quatrefoil.tlog import records

    written(path)
    mark = path.read_bytes()[15:31]
    path.write_bytes(path.read_bytes() + records.record(mark, record))
    with pytest.raises(StateCorrupt, match="record of another form"):
        Journal.recover(path)


# ------------------------------------------------------------------------------------------------------- under a log


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A log of three appends, as a killed process leaves it."""
    log = writer(tmp_path / "log")
    for number in range(3):
        log.append([leaf(number)])
    log._let_go()
    return tmp_path / "log"


def test_a_journal_that_lost_an_append_its_checkpoint_covers_is_refused(folder: Path) -> None:
    """To go on would be to sign a fork. Nothing is changed: the checkpoint is what shows it."""
    whole = (folder / "journal").read_bytes()
    for length in (len(whole) - 1, len(whole) - 4000, len(whole) - 5000):
        (folder / "journal").write_bytes(whole[:length])
        before = folder_files(folder)
        with pytest.raises(
            StateCorrupt, match=r"has a checkpoint of 3 leaves, and its journal ends otherwise, at [12]"
        ):
            writer(folder)
        assert folder_files(folder) == before
    (folder / "journal").write_bytes(whole)
    with writer(folder) as log:
        assert log.size == 3


def test_a_checkpoint_of_another_tree_of_the_same_size_is_refused(folder: Path, tmp_path: Path) -> None:
    with writer(tmp_path / "other") as other:
        other.append([b"x", b"y", b"z"])
    (folder / "checkpoint").write_bytes((tmp_path / "other" / "checkpoint").read_bytes())
    with pytest.raises(StateCorrupt, match="has a checkpoint of 3 leaves, and its journal ends otherwise, at 3"):
        writer(folder)


@pytest.mark.parametrize("content", [None, b"", bytes(3000), b"half a checkpoi"])
def test_a_checkpoint_that_a_lost_power_took_is_written_again(folder: Path, content: bytes | None) -> None:
    (folder / "checkpoint").unlink()
    if content is not None:
        (folder / "checkpoint").write_bytes(content)
    with writer(folder) as log:
        assert log.size == 3
    assert verified(folder) == leaves(0, 3)


def test_a_journal_whose_base_does_not_fit_the_tiles_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    with writer(folder) as log:
        log.append(leaves(0, 300))
    for name in ("tile/0/001.p/44", "tile/entries/001.p/44", "tile/1/000.p/1"):
        whole = (folder / name).read_bytes()
        for wrong in (whole[:-1] + bytes([whole[-1] ^ 1]), whole[:-1], whole + b"\0", None):
            (folder / name).unlink()
            if wrong is not None:
                (folder / name).write_bytes(wrong)
            before = folder_files(folder)
            with pytest.raises(StateCorrupt, match=r"is damaged|do not give its root"):
                writer(folder)
            assert folder_files(folder) == before
            (folder / name).write_bytes(whole)
    with writer(folder) as log:
        assert log.size == 300


def test_a_gap_and_a_checkpoint_that_does_not_fit_are_refused(folder: Path) -> None:
    journal, base, appended = Journal.recover(folder / "journal")
    journal.close()
    for wrong, problem in (
        (Appended(2, (leaf(0),), appended[0].checkpoint), "has a gap"),
        (Appended(0, (leaf(7),), appended[0].checkpoint), "and its checkpoint disagree"),
        (Appended(0, (leaf(0), leaf(1)), appended[0].checkpoint), "and its checkpoint disagree"),
        (Appended(0, (leaf(0),), b"no checkpoint"), "not signed by the keys given"),
    ):
        again = Journal.create(folder / "journal", base)
        again.append(wrong)
        again.close()
        before = folder_files(folder)
        with pytest.raises(StateCorrupt, match=problem):
            writer(folder)
        assert folder_files(folder) == before
