"""The journal of a log, as a lost power or a failing disk may leave it."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz.held import refused_or

from quatrefoil.tlog.journal import Appended, read_journal, write_journal

MARK = b"a mark of 16 b.."


def seeds() -> list[bytes]:
    appended = [Appended(0, (b"one", b"", b"three" * 20), b"checkpoint"), Appended(3, (), b"cosigned")]
    whole = write_journal(MARK, b"base", appended)
    return [whole, write_journal(MARK, b"base", []), whole[:-5], whole + bytes(40)]


def one(data: bytes) -> None:
    """What is read is written to the same bytes, up to what was torn; and that begins no record that is whole."""
    found = refused_or(lambda: read_journal(Path("journal"), data))
    if found is None:
        return
    mark, base, appended, end = found
    assert write_journal(mark, base, appended) == data[:end]
    assert mark not in data[end + 1 :]
