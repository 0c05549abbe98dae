"""State in PostgreSQL, on a real server: killed, cut off, taken over, misconfigured. What every state promises is in
``federation/test_state.py``."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cut_line import CutLine, cut_line

import postgres_server
from postgres_server import PostgresServer, server
from quatrefoil.errors import CallerError, HostError, StateCorrupt, StateTaken

if reason := postgres_server.why_not():
    pytest.skip(reason, allow_module_level=True)

from quatrefoil.state import postgres as states
from quatrefoil.state import postgres_session
from quatrefoil.state.postgres import PostgresState


@pytest.fixture
def name() -> str:
    return uuid.uuid4().hex


@pytest.fixture
def line(postgres: PostgresServer) -> Iterator[CutLine]:
    with tempfile.TemporaryDirectory(prefix="cut-") as folder, cut_line(postgres, Path(folder)) as found:
        yield found


# ------------------------------------------------------------------------------------------------------ one at a time


def test_a_second_process_is_refused_while_the_first_lives(postgres: PostgresServer, name: str) -> None:
    with closing(PostgresState(postgres.url(), name)) as state:
        with pytest.raises(HostError, match=r"state .* in use by another process.*End that process"):
            PostgresState(postgres.url(), name, patience=0.2)
        assert state.put_once("a", b"1") == b"1"
    with closing(PostgresState(postgres.url(), name)) as state:
        assert state.get("a") == b"1"


def test_states_of_a_database_do_not_see_each_other(postgres: PostgresServer, name: str) -> None:
    one, other = (PostgresState(postgres.url(), name + end) for end in ("/a", "/b"))
    with closing(one), closing(other):
        one.put_once("a", b"1")
        other.replace({"a": b"2", "b": b"3"})
        assert (one.names(""), one.get("a"), other.get("a")) == (["a"], b"1", b"2")
        assert one.id != other.id


CHILD = """
import sys, time
from quatrefoil.state.postgres import PostgresState
state = PostgresState(sys.argv[1], sys.argv[2])
state.put_once("a", b"1")
print("ready", flush=True)
time.sleep(60)
"""


def test_a_killed_process_leaves_its_state_to_the_next(postgres: PostgresServer, name: str) -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD, postgres.url(), name], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None and child.stdout.readline() == "ready\n"
    child.kill()
    child.communicate()
    with closing(PostgresState(postgres.url(), name)) as state:
        assert state.put_once("a", b"2") == b"1"


ASKED = {
    "get": lambda state: state.get("a"),
    "put_once, of a new name": lambda state: state.put_once("new", b"2"),
    "put_once, of an old one": lambda state: state.put_once("a", b"2"),
    "replace": lambda state: state.replace({"a": b"2", "b": None, "c": b"3"}),
    "replace nothing": lambda state: state.replace({}),
    "names": lambda state: state.names(""),
}


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("cut", [False, True], ids=["still connected", "reconnects"])
def test_who_was_cut_off_writes_and_reads_nothing_after_another_has_taken_over(
    postgres: PostgresServer, line: CutLine, name: str, asked: str, cut: bool
) -> None:
    """The lock alone would not do: here it is lost unnoticed, as behind a proxy that pools connections."""
    old = PostgresState(line.url(postgres), name)
    old.replace({"a": b"1", "b": b"1"})
    if cut:
        line.forget()
        # As the server does once a host does not answer.
        postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
        new = PostgresState(postgres.url(), name)
    else:
        postgres.sql(f"UPDATE quatrefoil_owner SET epoch = epoch + 1 WHERE state = '{name}'")
        new = None
    for _ in range(2):
        with pytest.raises(StateTaken, match="was taken over by another process"):
            ASKED[asked](old)
    assert old.problem() == "it was taken over by another process"
    told = postgres.sql(f"SELECT name, value FROM quatrefoil_state WHERE state = '{name}' ORDER BY name")
    assert told == "a|\\x31\nb|\\x31"
    old.close()
    if new is not None:
        with closing(new):
            assert new.put_once("c", b"1") == b"1"


def test_a_process_ends_its_own_lost_session_and_goes_on(postgres: PostgresServer, line: CutLine, name: str) -> None:
    """The server still believes in the session that holds the lock, and would for half a minute."""
    with closing(PostgresState(line.url(postgres), name)) as state:
        state.put_once("a", b"1")
        line.forget()
        assert state.put_once("b", b"2") == b"2"
        assert state.names("") == ["a", "b"]


# --------------------------------------------------------------------------------------------------- lost connections


@pytest.mark.parametrize("lost", ["lose_question", "lose_answer"])
def test_a_value_is_stored_once_whatever_is_lost(postgres: PostgresServer, line: CutLine, name: str, lost: str) -> None:
    """An answer that is lost leaves the commit in doubt: it is settled by asking again."""
    told: list[str] = []
    with closing(PostgresState(line.url(postgres), name, report=told.append)) as state:
        setattr(line, lost, 0)
        assert state.put_once("a", b"1") == b"1"
        assert (line.cuts, len(told)) == (1, 1) and "trying again" in told[0]
        assert (state.put_once("a", b"2"), state.problem()) == (b"1", None)


@pytest.mark.parametrize("lost", ["lose_question", "lose_answer"])
@pytest.mark.parametrize("at", range(6))
def test_several_values_change_together_whatever_is_lost(
    postgres: PostgresServer, line: CutLine, name: str, lost: str, at: int
) -> None:
    with closing(PostgresState(line.url(postgres), name)) as state:
        state.replace({"old": b"1", "changed": b"1"})
        setattr(line, lost, at)
        state.replace({"old": None, "changed": b"2", "new": b"3"})
        assert line.cuts == 1
        assert [(one, state.get(one)) for one in state.names("")] == [("changed", b"2"), ("new", b"3")]


def test_a_server_that_stays_away_is_an_error_and_the_next_call_tries_again(
    postgres: PostgresServer, line: CutLine, name: str
) -> None:
    with closing(PostgresState(line.url(postgres), name, patience=0.3)) as state:
        state.put_once("a", b"1")
        line.away = True
        line.forget()
        for _ in range(2):
            with pytest.raises(HostError, match=r"cannot be used \(.*Check the server"):
                state.get("a")
        assert state.problem() is not None
        line.away = False
        assert (state.get("a"), state.problem()) == (b"1", None)


def test_what_was_acknowledged_survives_the_server_killed_again_and_again(name: str) -> None:
    """SIGKILL of every process of a server of its own, at whatever it is doing, while values are stored."""
    acknowledged: list[str] = []
    with server() as own, closing(PostgresState(own.url(), name)) as state:
        ended = threading.Event()

        def store() -> None:
            while not ended.is_set():
                label = f"{len(acknowledged):06}"
                assert state.put_once(label, label.encode()) == label.encode()
                acknowledged.append(label)

        writer = threading.Thread(target=store)
        writer.start()
        for _ in range(3):
            wanted = len(acknowledged) + 20
            while len(acknowledged) < wanted:
                time.sleep(0.005)
            own.kill()
            own.start()
        ended.set()
        writer.join()
        assert [one for one in state.names("") if state.get(one) == one.encode()] == acknowledged


# ------------------------------------------------------------------------------------------------ what is not believed


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
def test_a_server_that_may_forget_what_it_acknowledged_is_refused(
    postgres: PostgresServer, name: str, setting: str
) -> None:
    postgres.sql(f"ALTER SYSTEM SET {setting} = off")
    try:
        postgres.sql("SELECT pg_reload_conf()")
        while postgres.sql(f"SHOW {setting}") != "off":
            time.sleep(0.02)
        with pytest.raises(HostError, match=f"has {setting} = off.*would not survive a crash"):
            PostgresState(postgres.url(), name)
    finally:
        postgres.sql(f"ALTER SYSTEM RESET {setting}")
        postgres.sql("SELECT pg_reload_conf()")
        while postgres.sql(f"SHOW {setting}") != "on":
            time.sleep(0.02)


@pytest.mark.parametrize("found", ["off", "local", "remote_write"])
def test_a_commit_is_waited_for_whatever_the_server_does_by_default(
    postgres: PostgresServer, name: str, found: str
) -> None:
    url = postgres.url(options=f"-csynchronous_commit%3D{found}")
    with closing(PostgresState(url, name)) as state:
        assert state._session is not None and state._session._setting("synchronous_commit") == "on"


def test_a_standby_is_refused_and_named_as_one(postgres: PostgresServer, name: str) -> None:
    with pytest.raises(HostError, match=r"takes no writes.*this one is a standby"):
        PostgresState(postgres.url(options="-cdefault_transaction_read_only%3Don"), name, patience=0.2)


def test_tables_that_a_crash_empties_are_refused(name: str) -> None:
    with server() as own:
        PostgresState(own.url(), name).close()
        own.sql("ALTER TABLE quatrefoil_state SET UNLOGGED")
        with pytest.raises(HostError, match=r"a table of .* is not logged"):
            PostgresState(own.url(), name)


def test_a_database_of_another_encoding_is_refused(postgres: PostgresServer, name: str) -> None:
    postgres.sql("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'")
    with pytest.raises(HostError, match="not in UTF-8"):
        PostgresState(postgres.url(dbname="latin"), name)


def test_a_server_over_a_network_is_reached_under_tls_that_names_it(
    postgres: PostgresServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    PostgresState(postgres.url(), name).close()  # a local socket is private as it is
    monkeypatch.setattr(postgres_session.psycopg.Connection, "info", Elsewhere())
    with pytest.raises(HostError, match=r"without knowing that it is that server.*sslmode=verify-full"):
        PostgresState(postgres.url(), name)


class Elsewhere:
    host, hostaddr = "db.example", "192.0.2.1"


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1"])
def test_this_machine_is_no_network(address: str) -> None:
    assert postgres_session._is_loopback(address)


@pytest.mark.parametrize("address", ["10.0.0.1", "192.0.2.1", "2001:db8::1", "0.0.0.0", "", "localhost.example"])
def test_what_is_a_network(address: str) -> None:
    assert not postgres_session._is_loopback(address)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://q:secret@db/q", "holds a password"),
        ("postgresql://q@db/q?password=secret", "holds a password"),
        ("postgresql://q@db/q?sslpassword=secret", "holds a password"),
        ("postgresql://q@db/q?nonsense=1", "not understood"),
        ("postgresql://q@[db/q", "not understood"),
    ],
)
def test_a_url_that_is_not_to_be_used(url: str, expected: str) -> None:
    with pytest.raises(CallerError, match=expected) as caught:
        PostgresState(url, "x")
    assert "secret" not in str(caught.value)


def test_a_database_that_is_not_there(postgres: PostgresServer, name: str) -> None:
    with pytest.raises(HostError, match="nowhere"):
        PostgresState(postgres.url(dbname="nowhere"), name, patience=0.2)


# -------------------------------------------------------------------------------------------------------------- values


def test_a_value_larger_than_the_server_takes_is_not_called_damage(
    postgres: PostgresServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(PostgresState(postgres.url(), name)) as state:
        monkeypatch.setattr(states, "LARGEST_VALUE", 1000)
        for write in (lambda: state.put_once("a", bytes(1001)), lambda: state.replace({"a": bytes(1001)})):
            with pytest.raises(HostError, match="does not hold a value this large") as caught:
                write()
            assert not isinstance(caught.value, StateCorrupt)
        assert state.get("a") is None


def test_nothing_is_changed_where_one_of_several_is_too_large(
    postgres: PostgresServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(PostgresState(postgres.url(), name)) as state:
        state.put_once("a", b"1")
        monkeypatch.setattr(states, "LARGEST_VALUE", 1000)
        with pytest.raises(HostError):
            state.replace({"a": b"2", "b": bytes(1001)})
        assert (state.names(""), state.get("a")) == (["a"], b"1")


def test_a_name_that_cannot_be_stored_is_an_error_of_the_call(postgres: PostgresServer, name: str) -> None:
    with closing(PostgresState(postgres.url(), name)) as state:
        with pytest.raises(HostError, match="cannot be used"):
            state.put_once("a\x00b", b"1")
        assert state.put_once("a", b"1") == b"1"
