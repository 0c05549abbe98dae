"""Durable named values: one suite for memory, SQLite and PostgreSQL, then what only a file can suffer."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from postgres_server import PostgresServer
from quatrefoil.errors import HostError, StateCorrupt
from quatrefoil.state import MemoryState, SqliteState, State


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def state(request: pytest.FixtureRequest, path: Path) -> Iterator[State]:
    if request.param == "memory":
        yield MemoryState()
    elif request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        from quatrefoil.state.postgres import PostgresState

        with closing(PostgresState(server.url(), uuid.uuid4().hex)) as remote:
            yield remote
    else:
        with closing(SqliteState(path)) as state:
            yield state


# --------------------------------------------------------------------------------------------------- what all promise


def test_a_name_holds_nothing_at_first(state: State) -> None:
    assert state.get("a") is None
    assert state.names("") == []


@pytest.mark.parametrize("value", [b"", b"\x00", b"text", bytes(100_000)], ids=len)
def test_values_come_back(state: State, value: bytes) -> None:
    assert state.put_once("a", value) == value
    assert state.get("a") == value
    assert type(state.get("a")) is bytes


def test_of_two_values_only_the_first_is_stored(state: State) -> None:
    assert state.put_once("a", b"first") == b"first"
    assert state.put_once("a", b"second") == b"first"
    assert state.get("a") == b"first"


def test_the_empty_value_is_a_value(state: State) -> None:
    assert state.put_once("a", b"") == b""
    assert state.put_once("a", b"second") == b""


def test_what_the_caller_does_to_its_bytes_later_does_not_reach_the_state(state: State) -> None:
    value, other = bytearray(b"abc"), bytearray(b"def")
    state.put_once("a", value)
    state.replace({"b": other})
    value[0], other[0] = 0, 0
    assert (state.get("a"), state.get("b")) == (b"abc", b"def")


def test_replace_sets_and_forgets_together(state: State) -> None:
    state.put_once("old", b"1")
    state.put_once("changed", b"1")
    state.replace({"old": None, "changed": b"2", "new": b"3", "never there": None})
    assert [(name, state.get(name)) for name in state.names("")] == [("changed", b"2"), ("new", b"3")]
    assert state.put_once("old", b"again") == b"again"


def test_names_are_sorted_and_start_with_the_prefix(state: State) -> None:
    for name in ("b/2", "b/10", "a", "b/", "c", "B/1", "b%", "b_x", "ü/1"):
        state.put_once(name, b"")
    assert state.names("b/") == ["b/", "b/10", "b/2"]
    assert state.names("b%") == ["b%"]
    assert state.names("ü") == ["ü/1"]
    assert state.names("x") == []
    assert state.names("") == sorted(["b/2", "b/10", "a", "b/", "c", "B/1", "b%", "b_x", "ü/1"])


def test_a_copy_is_a_disk_of_earlier() -> None:
    now = MemoryState({"a": b"1"})
    earlier = now.copy()
    now.replace({"a": b"2", "b": b"3"})
    assert (earlier.get("a"), earlier.get("b")) == (b"1", None)


@pytest.mark.parametrize("values", [1, 300])
def test_replace_takes_as_many_names_as_it_is_given(state: State, values: int) -> None:
    state.replace({f"n/{number:04}": number.to_bytes(2, "big") for number in range(values)})
    assert state.names("n/") == [f"n/{number:04}" for number in range(values)]
    state.replace({})
    state.replace(dict.fromkeys(state.names("n/")))
    assert state.names("") == []


# ------------------------------------------------------------------------------------------------------------ the file


def test_values_outlive_the_process(path: Path) -> None:
    with closing(SqliteState(path)) as state:
        state.put_once("a", b"1")
        state.replace({"b": b"2"})
    with closing(SqliteState(path)) as state:
        assert state.put_once("a", b"other") == b"1"
        assert state.get("b") == b"2"


def test_only_its_owner_may_read_it(path: Path) -> None:
    with closing(SqliteState(path)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_second_opening_is_refused(path: Path) -> None:
    with closing(SqliteState(path)) as state:
        with pytest.raises(HostError, match="in use by another process"):
            SqliteState(path)
        assert state.put_once("a", b"1") == b"1"


def test_another_process_is_refused(path: Path) -> None:
    code = "import sys; from pathlib import Path\n"
    code += "from quatrefoil.state import SqliteState; SqliteState(Path(sys.argv[1]))"
    with closing(SqliteState(path)):
        ended = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert ended.returncode == 1
    assert "in use by another process" in ended.stderr


@pytest.mark.parametrize("content", [b"not a database" * 100, b"\x00" * 5000], ids=["text", "zeros"])
def test_a_file_of_something_else_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StateCorrupt, match="is damaged"):
        SqliteState(path)
    assert path.read_bytes() == content


def test_a_damaged_file_is_refused(path: Path) -> None:
    with closing(SqliteState(path)) as state:
        for number in range(200):
            state.put_once(str(number), bytes(1000))
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(StateCorrupt, match="is damaged"), closing(SqliteState(path)) as state:
        state.names("")


def test_a_folder_in_place_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(HostError):
        SqliteState(tmp_path)


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError, match="cannot be opened"):
        SqliteState(tmp_path / "file" / "state.db")


def fill(state: SqliteState) -> None:
    """Leave no room on the "disk"."""
    state._database.execute("PRAGMA max_page_count=4")


def test_a_full_disk_is_an_error_and_leaves_the_state_as_it_was(path: Path) -> None:
    with closing(SqliteState(path)) as state:
        state.put_once("a", b"1")
        fill(state)
        with pytest.raises(HostError, match=r"cannot be used .*full.* disk's space"):
            state.put_once("large", bytes(100_000))
        with pytest.raises(HostError, match=r"cannot be used .*full.* disk's space"):
            state.replace({"a": b"2", "large": bytes(100_000), "b": b"3"})
        assert state.names("") == ["a"] and state.get("a") == b"1"
        state.replace({"a": b"2"})
        assert state.get("a") == b"2"


def test_replace_is_undone_whatever_interrupts_it(path: Path) -> None:
    class Interrupting(dict[str, bytes]):
        def items(self):  # type: ignore[no-untyped-def]
            yield "a", b"2"
            raise KeyboardInterrupt

    with closing(SqliteState(path)) as state:
        state.put_once("a", b"1")
        with pytest.raises(KeyboardInterrupt):
            state.replace(Interrupting())
        assert state.get("a") == b"1"
        state.replace({"b": b"3"})
        assert state.names("") == ["a", "b"]


def test_a_value_larger_than_the_database_takes_is_not_called_damage(path: Path) -> None:
    with closing(SqliteState(path)) as state:
        state._database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 1000)
        with pytest.raises(HostError, match="does not hold a value this large") as caught:
            state.put_once("a", bytes(2000))
        assert not isinstance(caught.value, StateCorrupt)
        assert state.get("a") is None


def test_a_commit_is_on_the_disk_before_it_is_acknowledged(path: Path) -> None:
    """EXTRA: also the removal of the journal, which would undo the commit after a power failure."""
    with closing(SqliteState(path)) as state:
        assert state._database.execute("PRAGMA synchronous").fetchone() == (3,)
