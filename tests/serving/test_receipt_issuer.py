"""The issuer: numbers without gaps, a journal before anything is given out, and what a disk may do to it."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest

import made_inferences as made
from quatrefoil.audit import MemoryLog, serving_log
from quatrefoil.audit.inference_histories import require_one_history
from quatrefoil.audit.inference_receipts import InferenceReceipt, sign, verify
from quatrefoil.audit.serving_log import ENDED, INFERENCE, KEYS
from quatrefoil.errors import CallerError, HostError, StateCorrupt
from quatrefoil.serving import receipts as module
from quatrefoil.serving.receipt_journal import ReceiptJournal, write_file
from quatrefoil.serving.receipts import ReceiptIssuer
from quatrefoil.tlog import disk
from world import START

KEYSET = made.keyset()


def kinds(log: MemoryLog) -> list[str]:
    return [entry.kind for entry in log.entries()]


def issue(issuer: ReceiptIssuer, count: int = 1, **more: object) -> list[InferenceReceipt]:
    given = [issuer.issue(made.REQUEST, made.ANSWER, 200, True, **more) for _ in range(count)]  # type: ignore[arg-type]
    return [verify(one, more.get("keyset", KEYSET)) for one in given]  # type: ignore[arg-type]


def logged(log: MemoryLog) -> list[InferenceReceipt]:
    """Receipts as the log gives them back."""
    served, found = {}, []
    for entry in log.entries():
        if entry.kind == KEYS:
            one = serving_log.served_from(entry.body, log.payload(entry.attached["keyset"].sha256))
            served[entry.body["keyset"]] = one
        elif entry.kind == INFERENCE:
            found.append(serving_log.receipt_from(entry.body, served[entry.body["keyset"]]))
    return found


def test_receipts_are_numbered_chained_and_logged_as_they_were_given(tmp_path: Path) -> None:
    log = MemoryLog()
    issuer = made.issuer(tmp_path / "journal", log)
    made.begun(issuer)
    given = issue(issuer, 3)
    assert [one.sequence for one in given] == [0, 1, 2]
    assert [one.previous for one in given] == [KEYSET.digest(), given[0].digest(), given[1].digest()]
    assert kinds(log) == [KEYS], "not in the log before it is asked for"
    assert issuer.flush() == 3 and issuer.flush() == 0
    given += issue(issuer, 2)
    issuer.end()
    assert logged(log) == given
    assert kinds(log) == [KEYS, *[INFERENCE] * 5, ENDED]
    signed = ["signature" in entry.body for entry in log.entries() if entry.kind == INFERENCE]
    assert signed == [False, False, True, False, True], "one signature for what is logged at once"


def test_the_log_gives_back_the_last_receipt_of_a_batch_byte_for_byte(tmp_path: Path) -> None:
    log = MemoryLog()
    issuer = made.issuer(tmp_path / "journal", log)
    made.begun(issuer)
    encoded = issuer.issue(made.REQUEST, made.ANSWER, 200, True)
    issuer.flush()
    (entry,) = [entry for entry in log.entries() if entry.kind == INFERENCE]
    assert serving_log.signed_from(logged(log)[0], entry.body["signature"]) == encoded


def test_a_keyset_and_its_evidence_are_logged_before_anything_is_issued(tmp_path: Path) -> None:
    log = MemoryLog()
    issuer = made.issuer(tmp_path / "journal", log)
    with pytest.raises(CallerError, match="not in force"):
        issuer.issue(made.REQUEST, made.ANSWER, 200, True)
    made.begun(issuer)
    (entry,) = log.entries()
    assert log.payload(entry.attached["keyset"].sha256) == KEYSET.encode()
    assert entry.body["nonce"] == made.NONCE.hex() and entry.body["open"] == []


def test_two_keysets_are_in_force_while_one_takes_over(tmp_path: Path) -> None:
    log = MemoryLog()
    issuer = made.issuer(tmp_path / "journal", log)
    one, two = made.begun(issuer), made.begun(issuer, 1)
    old, new = issue(issuer, 2, keyset=one), issue(issuer, 2, keyset=two)
    old += issue(issuer, 1, keyset=one)
    assert verify(issuer.issue(made.REQUEST, made.ANSWER, 200, True), two).sequence == 2, "the newest, if none is named"
    issuer.end(one)
    with pytest.raises(CallerError, match="not in force"):
        issue(issuer, 1, keyset=one)
    issue(issuer, 1, keyset=two)
    issuer.end(one)
    issuer.close()
    require_one_history(logged(log))
    assert [entry.body["receipts"] for entry in log.entries() if entry.kind == ENDED] == [3, 4]
    assert [one.sequence for one in old] == [0, 1, 2] and [one.sequence for one in new] == [0, 1]


def test_a_keyset_may_name_other_code_than_the_issuer(tmp_path: Path) -> None:
    issuer = made.issuer(tmp_path / "journal", MemoryLog())
    issuer.begin(KEYSET, made.key(), made.attestation(KEYSET), measurement="tpm.pcr0=02")
    assert issue(issuer)[0].measurement == "tpm.pcr0=02"


@pytest.mark.parametrize("wrong", ["key", "evidence", "twice"])
def test_key_keyset_and_evidence_belong_together(wrong: str, tmp_path: Path) -> None:
    log = MemoryLog()
    issuer = made.issuer(tmp_path / "journal", log)
    key = made.key(1 if wrong == "key" else 0)
    evidence = made.attestation(made.keyset(1 if wrong == "evidence" else 0))
    if wrong == "twice":
        made.begun(issuer)
    with pytest.raises(CallerError):
        issuer.begin(KEYSET, key, evidence)
    assert len(kinds(log)) == (wrong == "twice")


def test_eight_threads_leave_no_gap(tmp_path: Path) -> None:
    log = MemoryLog()
    issuer = made.issuer(tmp_path / "journal", log)
    made.begun(issuer)
    done = threading.Event()

    def flush() -> None:
        while not done.is_set():
            issuer.flush()

    flusher = threading.Thread(target=flush)
    flusher.start()
    with ThreadPoolExecutor(8) as pool:
        given = [one for found in pool.map(lambda _: issue(issuer, 10), range(8)) for one in found]
    done.set()
    flusher.join()
    issuer.end()
    assert sorted(one.sequence for one in given) == list(range(80))
    assert logged(log) == sorted(given, key=lambda one: one.sequence)
    require_one_history(given)


def test_a_clock_that_is_set_back_is_not_followed(tmp_path: Path) -> None:
    times = iter([timedelta(seconds=9), timedelta(seconds=2), timedelta(days=-3), timedelta(seconds=10)])
    issuer = made.issuer(tmp_path / "journal", MemoryLog(), lambda: START + next(times))
    made.begun(issuer)
    base = made.SECONDS * 1000
    assert [one.time - base for one in issue(issuer, 4)] == [9000, 9000, 9000, 10000]


def test_nothing_is_issued_long_after_the_end_of_a_keyset(tmp_path: Path) -> None:
    moment: list[datetime] = [START + timedelta(hours=3)]
    issuer = made.issuer(tmp_path / "journal", MemoryLog(), lambda: moment[0])
    made.begun(issuer)
    issue(issuer)
    moment[0] += timedelta(days=2)
    with pytest.raises(HostError, match="keyset was not in force"):
        issue(issuer)


class Failing(MemoryLog):
    """A log whose disk takes ``left`` batches more."""

    left = 1000

    def append_all(self, events):  # type: ignore[no-untyped-def]
        if self.left <= 0:
            raise HostError("the log cannot be written (No space left on device)", hint="Free space on its disk")
        self.left -= 1
        return super().append_all(events)


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


# ------------------------------------------------------------------------------------------------------ another process


def left_behind(tmp_path: Path, log: MemoryLog, flushed: int = 2, waiting: int = 3) -> list[InferenceReceipt]:
    """What a process that was killed had given out: the journal keeps what the log has not."""
    issuer = made.issuer(tmp_path / "journal", log)
    made.begun(issuer)
    given = issue(issuer, flushed)
    issuer.flush()
    return given + issue(issuer, waiting)


def test_the_next_process_logs_what_the_journal_holds_and_ends_the_keyset(tmp_path: Path) -> None:
    log = MemoryLog()
    given = left_behind(tmp_path, log)
    assert kinds(log).count(INFERENCE) == 2
    recovered = made.issuer(tmp_path / "journal", log).recovered
    assert (recovered.logged, recovered.torn, recovered.ended) == (3, 0, (KEYSET.digest(),))
    assert logged(log) == given
    last = list(log.entries())[-1]
    assert last.kind == ENDED and last.body["receipts"] == 5 and last.body["signature"] == ""
    assert "killed" in last.body["reason"]
    again = made.issuer(tmp_path / "journal", log)
    assert (again.recovered.logged, again.recovered.ended) == (0, ()) and list((tmp_path / "journal").iterdir()) == []


def test_what_the_log_has_already_is_not_logged_twice(tmp_path: Path) -> None:
    """Killed after the log took the receipts, before the journal let them go."""
    log = MemoryLog()
    issuer = made.issuer(tmp_path / "journal", log)
    made.begun(issuer)
    given = issue(issuer, 3)
    kept = {path.name: path.read_bytes() for path in (tmp_path / "journal").iterdir()}
    issuer.flush()
    for name, content in kept.items():
        (tmp_path / "journal" / name).write_bytes(content)
    assert made.issuer(tmp_path / "journal", log).recovered.logged == 0
    assert logged(log) == given


def test_many_keysets_and_a_long_log_are_read_from_the_end(tmp_path: Path) -> None:
    log = MemoryLog()
    issuer = made.issuer(tmp_path / "journal", log)
    for number in range(4):
        made.begun(issuer, number)
    issuer.end(made.keyset(1))
    for _ in range(1500):
        log.append("x-other", {})
    issue(issuer, 2, keyset=made.keyset(0))
    made.begun(issuer, 5)
    starts: list[int] = []
    entries_from = log.entries_from
    log.entries_from = lambda start: (starts.append(start), entries_from(start))[1]  # type: ignore[method-assign]
    recovered = made.issuer(tmp_path / "journal", log).recovered
    assert set(recovered.ended) == {made.keyset(number).digest() for number in (0, 2, 3, 5)}
    assert recovered.logged == 2
    log.append("x-other", {})
    made.begun(made.issuer(tmp_path / "journal", log), 6)
    for _ in range(1500):
        log.append("x-other", {})
    starts.clear()
    made.issuer(tmp_path / "journal", log)
    assert starts[-1] > 1000, "nothing before the keysets that are open is read"


@pytest.mark.parametrize("cut", [1, 20, 52, 1000])
def test_a_torn_record_was_given_to_nobody(cut: int, tmp_path: Path) -> None:
    log = MemoryLog()
    given = left_behind(tmp_path, log)
    (path,) = (tmp_path / "journal").iterdir()
    path.write_bytes(path.read_bytes()[:-cut])
    recovered = made.issuer(tmp_path / "journal", log).recovered
    assert recovered.logged == 2 and recovered.torn > 0
    assert logged(log) == given[:4]


@pytest.mark.parametrize("size", [0, 5, 30])
def test_a_file_that_was_only_begun_is_empty(size: int, tmp_path: Path) -> None:
    log = MemoryLog()
    given = left_behind(tmp_path, log)
    (path,) = (tmp_path / "journal").iterdir()
    (path.parent / f"{99:016}.receipts").write_bytes(path.read_bytes()[:size])
    assert made.issuer(tmp_path / "journal", log).recovered.logged == 3
    assert logged(log) == given


# -------------------------------------------------------------------------------------------------------------- attacks

Forgery = Callable[[list[bytes]], list[bytes]]


def other(encoded: bytes, key: int = 0, **changes: object) -> bytes:
    """The receipt with other content, signed again by whoever has this key."""
    said = verify(encoded, KEYSET)
    return sign(InferenceReceipt(**{**vars(said), **changes}), made.key(key))


FORGERIES: dict[str, Forgery] = {
    "a receipt by another key": lambda was: [*was[:-1], other(was[-1], key=1, status=500)],
    "no receipt": lambda was: [*was, b"no receipt"],
    "one left out": lambda was: [was[0], *was[2:]],
    "another order": lambda was: was[::-1],
    "one twice": lambda was: [was[0], was[0], was[1]],
    "a number a second time": lambda was: [*was, other(was[-1], status=500)],
    "another model": lambda was: [other(was[0], model=b"o" * 32)],
    "another issuer": lambda was: [other(was[0], issuer="other")],
    "another than the log has": lambda was: [other(was[0], sequence=0, previous=KEYSET.digest(), status=500)],
    "of a keyset that is not there": lambda _: [sign(made.receipt(7), made.key(7))],
    "before the one that is there": lambda was: [other(was[0], time=made.SECONDS * 1000 - 5)],
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_journal_that_was_edited_is_refused_and_nothing_of_it_logged(name: str, tmp_path: Path) -> None:
    """Without this, whoever has the disk could have the server's log vouch for answers that no attested code gave."""
    log = MemoryLog()
    left_behind(tmp_path, log)
    before = kinds(log)
    (path,) = (tmp_path / "journal").iterdir()
    was = list(ReceiptJournal(tmp_path / "journal").left().receipts)
    edited = FORGERIES[name](was)
    path.write_bytes(write_file(b"a mark of 16 b..", edited))
    if name == "one twice":  # the same receipt, said again: nothing is logged twice
        assert made.issuer(tmp_path / "journal", log).recovered.logged == 2
        return
    with pytest.raises(StateCorrupt, match="does not fit the log") as told:
        made.issuer(tmp_path / "journal", log)
    assert "Keep the folder as evidence" in told.value.hint
    assert kinds(log) == before and path.exists()
    path.unlink()
    assert made.issuer(tmp_path / "journal", log).recovered.ended == (KEYSET.digest(),), "moved away, it goes on"


@pytest.mark.parametrize("damage", ["byte", "magic", "gap"])
def test_a_damaged_journal_is_refused(damage: str, tmp_path: Path) -> None:
    log = MemoryLog()
    left_behind(tmp_path, log)
    (path,) = (tmp_path / "journal").iterdir()
    content = bytearray(path.read_bytes())
    if damage == "byte":
        content[200] ^= 1
    elif damage == "magic":
        content[0] ^= 1
    else:
        content[100:3000] = bytes(2900)
    path.write_bytes(content)
    with pytest.raises(StateCorrupt):
        made.issuer(tmp_path / "journal", log)
    assert kinds(log).count(INFERENCE) == 2


def test_a_journal_of_another_log_is_refused(tmp_path: Path) -> None:
    left_behind(tmp_path, MemoryLog())
    log = MemoryLog()
    with pytest.raises(StateCorrupt, match="is of a keyset that the log does not have, or has ended"):
        made.issuer(tmp_path / "journal", log)
    assert kinds(log) == []


def test_a_journal_of_a_keyset_that_has_ended_is_refused(tmp_path: Path) -> None:
    """Put back by somebody: what had been given out was logged before the end was."""
    log = MemoryLog()
    left_behind(tmp_path, log)
    (path,) = (tmp_path / "journal").iterdir()
    content = path.read_bytes()
    made.issuer(tmp_path / "journal", log)
    path.write_bytes(content)
    with pytest.raises(StateCorrupt, match="has ended"):
        made.issuer(tmp_path / "journal", log)


# ------------------------------------------------------------------------------------------------------------- the disk


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


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
