"""A journal that somebody wrote into: nothing forged is logged, and the server does not start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from issuing import KEYSET, kinds, left_behind

import made_inferences as made
from quatrefoil.audit import MemoryLog
from quatrefoil.audit.inference_receipts import InferenceReceipt, sign, verify
from quatrefoil.audit.serving_log import INFERENCE
from quatrefoil.errors import StateCorrupt
from quatrefoil.serving.receipt_journal import ReceiptJournal, write_file

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
