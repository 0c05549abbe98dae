"""The durable log: what was acknowledged is there, what was changed is noticed."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from quatrefoil.audit import FileLog, Log, MemoryLog, verify_file
from quatrefoil.errors import HostError, StateCorrupt

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


def filled(path: Path, entries: int = 5) -> list[bytes]:
    """A log of ``entries`` entries; its lines."""
    with FileLog(path, lambda: NOON) as log:
        for number in range(entries):
            log.append("round", {"number": number})
    return path.read_bytes().splitlines(keepends=True)


# ------------------------------------------------------------------------------------- what both kinds of log promise


@pytest.fixture(params=["memory", "file"])
def log(request: pytest.FixtureRequest, path: Path) -> Iterator[Log]:
    if request.param == "memory":
        yield MemoryLog(lambda: NOON)
    else:
        with FileLog(path, lambda: NOON) as log:
            yield log


def test_entries_come_back_in_order_and_chained(log: Log) -> None:
    given = [log.append("a", {"x": 1}), log.append("b", {"y": [1, "two", None]}), log.append("a", {})]
    found = list(log.entries())
    assert found == given
    assert [entry.index for entry in found] == [0, 1, 2]
    assert [entry.previous for entry in found[1:]] == [entry.hash for entry in found[:-1]]
    assert found[0].time == "2030-01-01T12:00:00.000+00:00"


def test_the_hash_is_the_documented_one(log: Log) -> None:
    """SHA-256 over a domain and the canonical JSON of everything else, so that others can check a log."""
    log.append("a", {"x": 1})
    entry = log.append("b", {"name": "ümlaut"})
    content = [1, "2030-01-01T12:00:00.000+00:00", "b", {"name": "ümlaut"}, entry.previous]
    encoded = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    assert entry.hash == hashlib.sha256(b"quatrefoil/log/v1\x00" + encoded).hexdigest()


def test_time_is_utc_whatever_the_clock_says(path: Path) -> None:
    east = datetime(2030, 1, 1, 12, tzinfo=timezone(timedelta(hours=5)))
    assert MemoryLog(lambda: east).append("a", {}).time == "2030-01-01T07:00:00.000+00:00"


def test_what_the_caller_does_to_its_body_later_does_not_reach_the_log(log: Log) -> None:
    body = {"x": 1}
    log.append("a", body)
    body["x"] = 2
    assert next(log.entries()).body == {"x": 1}


# ----------------------------------------------------------------------------------------------------------- the file


def test_reopened_it_goes_on_where_it_stopped(path: Path) -> None:
    filled(path, 3)
    with FileLog(path) as log:
        assert log.append("later", {}).index == 3
    assert [entry.index for entry in verify_file(path)] == [0, 1, 2, 3]


def test_a_missing_folder_is_made_and_an_empty_log_has_no_entries(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "log"
    FileLog(path).close()
    assert list(verify_file(path)) == []


@pytest.mark.parametrize("kept", [0, 1, 20, -2, -1])
def test_a_torn_last_line_is_dropped(path: Path, kept: int) -> None:
    """It was never acknowledged: the newline is the last byte that is written."""
    lines = filled(path)
    path.write_bytes(b"".join(lines[:4]) + lines[4][:kept])
    assert len(list(verify_file(path))) == 4
    with FileLog(path, lambda: NOON) as log:
        assert path.read_bytes() == b"".join(lines[:4])
        assert log.append("round", {"number": 4}).index == 4
    assert path.read_bytes() == b"".join(lines)


def altered(line: bytes) -> bytes:
    entry = json.loads(line)
    entry["body"]["number"] += 1
    return json.dumps(entry, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def rehashed(line: bytes) -> bytes:
    """Altered with its own hash put right, as somebody would who knows the format."""
    entry = json.loads(altered(line))
    content = [entry[key] for key in ("index", "time", "kind", "body", "previous")]
    encoded = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    entry["hash"] = hashlib.sha256(b"quatrefoil/log/v1\x00" + encoded).hexdigest()
    return json.dumps(entry, sort_keys=True, separators=(",", ":")).encode() + b"\n"


DAMAGE: dict[str, tuple[Callable[[list[bytes]], list[bytes]], int]] = {
    "the first line removed": (lambda x: x[1:], 1),
    "a line removed": (lambda x: x[:2] + x[3:], 3),
    "two lines exchanged": (lambda x: [x[0], x[2], x[1], *x[3:]], 2),
    "a line repeated": (lambda x: [*x[:2], x[1], *x[2:]], 3),
    "a body altered": (lambda x: [*x[:2], altered(x[2]), *x[3:]], 3),
    "a body altered and its hash put right": (lambda x: [*x[:2], rehashed(x[2]), *x[3:]], 4),
    "a space added": (lambda x: [*x[:2], x[2].replace(b'"body":', b'"body": '), *x[3:]], 3),
    "a key repeated": (lambda x: [*x[:2], x[2].replace(b"{", b'{"index":9,', 1), *x[3:]], 3),
    "a key removed": (lambda x: [*x[:2], x[2].replace(b'"kind":"round",', b""), *x[3:]], 3),
    "an empty line": (lambda x: [*x[:2], b"\n", *x[2:]], 3),
    "a line of another kind": (lambda x: [*x[:2], b"[1,2]\n", *x[2:]], 3),
    "zeros": (lambda x: [*x[:2], bytes(100) + b"\n", *x[2:]], 3),
    "bytes that are no text": (lambda x: [*x[:2], b"\xff\xfe\n", *x[2:]], 3),
    "true as index": (lambda x: [*x[:1], x[1].replace(b'"index":1', b'"index":true'), *x[2:]], 2),
    "a body that is a list": (lambda x: [x[0].replace(b'{"number":0}', b"[0]"), *x[1:]], 1),
    "a number that is none": (lambda x: [x[0].replace(b'"number":0', b'"number":NaN'), *x[1:]], 1),
    "a number beyond all bounds": (lambda x: [x[0].replace(b'"number":0', b'"number":1e999'), *x[1:]], 1),
    "a number of 5,000 digits": (lambda x: [x[0].replace(b'"number":0', b'"number":1' + b"0" * 5000), *x[1:]], 1),
    "deep nesting": (lambda x: [x[0].replace(b'"number":0', b'"number":' + b"[" * 900 + b"]" * 900), *x[1:]], 1),
    "nesting beyond all bounds": (lambda x: [b"[" * 200_000 + b"\n", *x[1:]], 1),
}


@pytest.mark.parametrize(("damage", "line"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_noticed_at_its_line(path: Path, damage: Callable[[list[bytes]], list[bytes]], line: int) -> None:
    lines = filled(path)
    path.write_bytes(b"".join(damage(list(lines))))
    assert path.read_bytes() != b"".join(lines)
    with pytest.raises(StateCorrupt, match=f"line {line} "):
        list(verify_file(path))
    before = path.read_bytes()
    with pytest.raises(StateCorrupt, match=f"line {line} "):
        FileLog(path)
    assert path.read_bytes() == before, "evidence was changed"


def test_the_limit_removed_last_entries_and_a_rewritten_file_are_not_noticed(path: Path) -> None:
    """The owner of the file can cut it or write another: that takes witnesses, which this log does not have."""
    lines = filled(path)
    path.write_bytes(b"".join(lines[:3]))
    assert len(list(verify_file(path))) == 3
    path.unlink()
    with FileLog(path, lambda: NOON) as log:
        log.append("another history", {})
    assert [entry.kind for entry in verify_file(path)] == ["another history"]


def test_a_second_writer_is_refused(path: Path) -> None:
    with FileLog(path) as log:
        with pytest.raises(HostError, match="in use by another process"):
            FileLog(path)
        log.append("a", {})
    FileLog(path).close()


def test_a_second_writer_in_another_process_is_refused(path: Path) -> None:
    code = "import sys; from pathlib import Path; from quatrefoil.audit import FileLog; FileLog(Path(sys.argv[1]))"
    with FileLog(path):
        ended = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert ended.returncode == 1
    assert "in use by another process" in ended.stderr


def test_reading_while_another_writes(path: Path) -> None:
    with FileLog(path) as log:
        log.append("a", {})
        assert len(list(verify_file(path))) == 1


def test_verifying_a_missing_file(path: Path) -> None:
    with pytest.raises(HostError, match="there is no log at"):
        list(verify_file(path))
    assert not path.exists()


@pytest.mark.parametrize("use", [FileLog, lambda path: list(verify_file(path))], ids=["writing", "verifying"])
def test_a_folder_in_place_of_the_file(tmp_path: Path, use: Callable[[Path], object]) -> None:
    with pytest.raises(HostError, match="directory"):
        use(tmp_path)


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError):
        FileLog(tmp_path / "file" / "log")


def test_a_body_that_json_does_not_hold_is_refused_and_leaves_nothing(path: Path) -> None:
    with FileLog(path) as log:
        for body in ({"x": float("nan")}, {"x": b"bytes"}, {"x": object()}):
            with pytest.raises((TypeError, ValueError)):
                log.append("a", body)
        assert log.append("b", {}).index == 0
    assert len(list(verify_file(path))) == 1


# ---------------------------------------------------------------------------------------------------------- disk full


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file of this process grows over ``size`` bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("room", [0, 1, 100])
@pytest.mark.parametrize("tries", [1, 3])
def test_a_full_disk_is_an_error_and_leaves_the_log_as_it_was(path: Path, room: int, tries: int) -> None:
    filled(path, 2)
    before = path.read_bytes()
    with FileLog(path, lambda: NOON) as log:
        with largest_file(len(before) + room):
            for _ in range(tries):
                with pytest.raises(HostError, match="cannot be written"):
                    log.append("lost", {})
        assert path.read_bytes() == before
        assert log.append("kept", {}).index == 2
    assert [entry.kind for entry in verify_file(path)] == ["round", "round", "kept"]


def test_a_disk_that_cannot_even_be_cut_back_ends_the_log(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(path, 2)
    size = path.stat().st_size
    log = FileLog(path)

    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "ftruncate", broken)
    with largest_file(size + 10), pytest.raises(HostError, match="cannot be written"):
        log.append("lost", {})
    monkeypatch.undo()
    with pytest.raises(HostError, match="is closed"):
        log.append("glued to a torn line", {})
    with FileLog(path) as again:
        assert again.append("kept", {}).index == 2


def test_nothing_is_written_after_close(path: Path) -> None:
    log = FileLog(path)
    log.close()
    log.close()
    with pytest.raises(HostError, match="is closed"):
        log.append("a", {})
    assert path.read_bytes() == b""
