"""What the next process makes of a journal: what was given out is logged once, what is torn was given to nobody."""

from __future__ import annotations

from pathlib import Path

import pytest
from issuing import KEYSET, issue, kinds, left_behind, logged

import made_inferences as made
from quatrefoil.audit import MemoryLog
from quatrefoil.audit.serving_log import ENDED, INFERENCE


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
