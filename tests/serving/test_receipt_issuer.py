"""The issuer: numbers without gaps, a journal before anything is given out, and what a disk may do to it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from issuing import KEYSET, issue, kinds, logged

import made_inferences as made
from identities import START
from quatrefoil.audit import MemoryLog, serving_log
from quatrefoil.audit.inference_histories import require_one_history
from quatrefoil.audit.inference_receipts import verify
from quatrefoil.audit.serving_log import ENDED, INFERENCE, KEYS
from quatrefoil.errors import CallerError, HostError


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
