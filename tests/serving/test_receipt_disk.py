"""Disks that are full or refuse, under the journal and under the log: no receipt is lost, given twice or left out."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from issuing import issue, kinds, logged

import made_inferences as made
from quatrefoil.audit import MemoryLog
from quatrefoil.audit.serving_log import ENDED
from quatrefoil.errors import CallerError, HostError
from quatrefoil.serving import receipts as module
from quatrefoil.tlog import disk


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Failing(MemoryLog):
    """A log whose disk takes ``left`` batches more."""

    left = 1000

    def append_all(self, events):  # type: ignore[no-untyped-def]
        if self.left <= 0:
            raise HostError("the log cannot be written (No space left on device)", hint="Free space on its disk")
        self.left -= 1
        return super().append_all(events)


@pytest.mark.parametrize("part", [0, 60])
def test_a_full_disk_gives_no_receipt_and_leaves_no_gap(
    part: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = MemoryLog()
    issuer = made.issuer(tmp_path / "journal", log)
    made.begun(issuer)
    given = issue(issuer, 2)

    def write(descriptor: int, content: bytes) -> None:
        os.write(descriptor, content[:part])
        full()

    with monkeypatch.context() as patch:
        patch.setattr(disk, "write", write)
        with pytest.raises(HostError, match="cannot be written") as told:
            issue(issuer)
    assert "no answer goes out without a receipt" in told.value.hint
    given += issue(issuer, 2)
    assert [one.sequence for one in given] == [0, 1, 2, 3]
    assert made.issuer(tmp_path / "journal", log).recovered.torn == 0
    assert logged(log) == given


def test_requests_to_a_full_disk_do_not_leave_a_file_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = MemoryLog()
    issuer = made.issuer(tmp_path / "journal", log)
    made.begun(issuer)

    def full(_descriptor: int, _content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(disk, "write", full)
        for _ in range(10):
            with pytest.raises(HostError, match="cannot be written"):
                issue(issuer)
    assert list((tmp_path / "journal").iterdir()) == []
    given = issue(issuer, 2)
    issuer.close()
    assert logged(log) == given


def test_what_cannot_be_taken_back_is_a_torn_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = MemoryLog()
    issuer = made.issuer(tmp_path / "journal", log)
    made.begun(issuer)
    given = issue(issuer, 2)

    def write(descriptor: int, content: bytes) -> None:
        os.write(descriptor, content[:60])
        full()

    with monkeypatch.context() as patch:
        patch.setattr(disk, "write", write)
        patch.setattr(disk, "truncate", full)
        for _ in range(2):
            with pytest.raises(HostError, match="cannot be written"):
                issue(issuer)
    given += issue(issuer, 2)
    recovered = made.issuer(tmp_path / "journal", log).recovered
    assert recovered.torn > 0 and logged(log) == given


@pytest.mark.parametrize("step", ["create_appending", "remove"])
def test_a_disk_that_refuses_while_the_log_takes_over_loses_nothing(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = MemoryLog()
    issuer = made.issuer(tmp_path / "journal", log)
    made.begun(issuer)
    given = issue(issuer, 2)
    with monkeypatch.context() as patch:
        patch.setattr(disk, step, full)
        with pytest.raises(HostError, match="cannot be written"):
            issuer.flush()
    given += issue(issuer, 2)
    issuer.flush()
    issuer.close()
    assert logged(log) == given and list((tmp_path / "journal").iterdir()) == []


def test_files_that_could_not_be_removed_are_before_their_keyset_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the journal has of a keyset that has ended is refused at the next start."""
    log = MemoryLog()
    issuer = made.issuer(tmp_path / "journal", log)
    made.begun(issuer)
    issue(issuer, 2)

    def refuses(_path: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(disk, "remove", refuses)
        with pytest.raises(HostError):
            issuer.flush()
        with pytest.raises(HostError):
            issuer.end()
    assert ENDED not in kinds(log)
    issuer.end()  # and killed here
    assert kinds(log)[-1] == ENDED
    assert made.issuer(tmp_path / "journal", log).recovered.ended == ()


def test_a_log_that_takes_a_part_of_what_waits_is_given_no_receipt_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", 2)
    log = Failing()
    issuer = made.issuer(tmp_path / "journal", log)
    made.begun(issuer)
    given = issue(issuer, 5)
    log.left = 1
    with pytest.raises(HostError):
        issuer.flush()
    log.left = 1000
    given += issue(issuer, 1)
    assert issuer.flush() == 4
    issuer.close()
    assert logged(log) == given
    assert list((tmp_path / "journal").iterdir()) == []


def test_a_log_that_takes_nothing_does_not_fill_the_journal_with_files(tmp_path: Path) -> None:
    log = Failing()
    issuer = made.issuer(tmp_path / "journal", log)
    made.begun(issuer)
    given = issue(issuer, 3)
    log.left = 0
    for _ in range(20):
        with pytest.raises(HostError):
            issuer.flush()
    assert len(list((tmp_path / "journal").iterdir())) <= 2
    log.left = 1000
    given += issue(issuer, 2)
    assert issuer.flush() == 5
    issuer.close()
    assert logged(log) == given


def test_a_log_that_refuses_keeps_the_receipts_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = MemoryLog()
    issuer = made.issuer(tmp_path / "journal", log)
    made.begun(issuer)
    given = issue(issuer, 2)

    def refuse(_: object) -> None:
        raise HostError("the log is full", hint="Free space")

    with monkeypatch.context() as patch:
        patch.setattr(log, "append_all", refuse)
        with pytest.raises(HostError, match="the log is full"):
            issuer.flush()
        given += issue(issuer, 2)
        with pytest.raises(HostError, match="the log is full"):
            issuer.end()
        with pytest.raises(CallerError, match="not in force"):
            issue(issuer)
    issuer.end()
    assert logged(log) == given and kinds(log)[-1] == ENDED
    assert list(log.entries())[-1].body["signature"], "its key is still there to sign the end"


def test_a_log_that_is_far_behind_stops_receipts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BEHIND", 2)
    issuer = made.issuer(tmp_path / "journal", MemoryLog())
    made.begun(issuer)
    issue(issuer, 2)
    with pytest.raises(HostError, match="2 receipts wait for the log"):
        issue(issuer)
    issuer.flush()
    assert issue(issuer)[0].sequence == 2
