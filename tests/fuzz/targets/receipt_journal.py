"""The journal of receipts, as a killed process, a failing disk or somebody at it may leave it."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz.held import refused_or

from quatrefoil.serving.receipt_journal import read_file, write_file

MARK = b"a mark of 16 b.."


def seeds() -> list[bytes]:
    folder = Path(__file__).parents[2] / "vectors" / "inference_receipts"
    receipts = [file.read_bytes() for file in sorted(folder.glob("[!r]*.receipt"))]
    whole = write_file(MARK, receipts)
    return [whole, write_file(MARK, []), whole[:-5], whole + bytes(40), whole[:10]]


def one(data: bytes) -> None:
    """What is read is written to the same bytes, up to what was torn; and that begins no record that is whole."""
    found = refused_or(lambda: read_file("a file", data))
    if found is None:
        return
    receipts, torn = found
    end = len(data) - torn
    if end:
        mark = data[len(write_file(b"", [])) :][:16]
        assert write_file(mark, receipts) == data[:end]
        assert mark not in data[end + 1 :]
    else:
        assert receipts == []
