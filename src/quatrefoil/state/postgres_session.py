"""One session with a PostgreSQL server: held to what durable state needs before anything is asked of it."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from quatrefoil.errors import CallerError, DependencyMissing, HostError, StateCorrupt

try:
    import psycopg
    from psycopg import conninfo
except ImportError as missing:  # the package, or the C library that it calls
    raise DependencyMissing(
        f"state in PostgreSQL needs psycopg and libpq ({missing})",
        hint="Install quatrefoil[postgres], and libpq of your system (Debian: libpq5)",
    ) from None

SCHEMES = ("postgresql://", "postgres://")

LARGEST_VALUE = 1_000_000_000
"""Bytes: a message to a server may have 2^30."""

# A host that dies is noticed at either end within half a minute: its lock goes, or its process looks for the server.
_ALIVE = {"connect_timeout": "10", "keepalives_idle": "10", "keepalives_interval": "5", "keepalives_count": "3"}
_CLIENT = {**_ALIVE, "tcp_user_timeout": "25000", "application_name": "quatrefoil", "client_encoding": "utf8"}
_SERVER = (
    *("SET tcp_keepalives_idle = 10", "SET tcp_keepalives_interval = 5", "SET tcp_keepalives_count = 3"),
    *("SET tcp_user_timeout = 25000", "SET idle_in_transaction_session_timeout = 30000"),
)
_TABLES = """
CREATE TABLE IF NOT EXISTS quatrefoil_owner
    (state text PRIMARY KEY, id bytea NOT NULL, epoch bigint NOT NULL);
CREATE TABLE IF NOT EXISTS quatrefoil_state
    (state text NOT NULL, name text COLLATE "C" NOT NULL, value bytea NOT NULL, PRIMARY KEY (state, name));
"""
_OTHER_SETTINGS = "Have its operator correct that: what it acknowledges would not survive a crash"


class Lost(Exception):
    """The server cannot be used now. Trying again may help."""

    def __init__(self, problem: str, *, hint: str = "Check the server, and the network to it") -> None:
        super().__init__(problem)
        self.problem, self.hint = problem, hint


@dataclass(frozen=True)
class Where:
    """A database. ``title``: how messages name it, without anything secret."""

    parameters: dict[str, Any]
    title: str


def checked(url: str) -> Where:
    """The database that a URL of libpq names; ``CallerError`` for one with a password: others see command lines."""
    try:
        given = conninfo.conninfo_to_dict(url)
    except psycopg.Error as error:
        raise CallerError(
            f"the database's URL is not understood ({_said(error)})",
            hint="Write it as postgresql://USER@HOST:PORT/DATABASE",
        ) from None
    if any("password" in name for name in given):
        raise CallerError(
            "the database's URL holds a password, which every user of this machine can read",
            hint="Put it into a file that PGPASSFILE names, or into a service file",
        )
    place = given.get("host") or given.get("hostaddr") or given.get("service") or "this machine"
    return Where({**_CLIENT, **given}, f"database {given.get('dbname') or 'of the default name'} on {place}")


class Session:
    """An open session. ``Lost`` from any method once it is not."""

    def __init__(self, where: Where, title: str) -> None:
        """``HostError`` where the server would acknowledge what it may forget, or is reached in the clear."""
        self._title = title
        with self._translated():
            self._connection = psycopg.connect(**where.parameters, autocommit=True, prepare_threshold=None)
        try:
            self._require_private()
            self._require_durable()
            self._make_tables()
        except BaseException:
            self.close()
            raise

    def row(self, statement: str, values: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """The first row that a statement gives; None for no row."""
        with self._translated():
            row: tuple[Any, ...] | None = self._connection.execute(statement.encode(), values, binary=True).fetchone()
            return row

    def do(self, statement: str, values: Sequence[Any] = ()) -> None:
        with self._translated():
            self._connection.execute(statement.encode(), values)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing of what is done inside."""
        with self._translated(), self._connection.transaction():
            yield

    def lock(self, state: str) -> bool:
        """Whether this session has the state now: until it ends, and no other meanwhile."""
        row = self.row("SELECT pg_try_advisory_lock(%s)", (_lock_of(state),))
        return row is not None and bool(row[0])

    def end_lost(self, state: str) -> None:
        """End the session that has the state's lock, if it is of the same user.

        Only for who finds the epoch still its own: nobody has taken the state over, and it is its own lost session.
        """
        high, low = divmod(_lock_of(state) & 0xFFFFFFFFFFFFFFFF, 1 << 32)
        self.row(
            "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid)"
            " WHERE locktype = 'advisory' AND granted AND classid::bigint = %s AND objid::bigint = %s AND objsubid = 1"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            " AND usename = current_user AND application_name = 'quatrefoil'",
            (high, low),
        )

    def close(self) -> None:
        self._connection.close()

    # --------------------------------------------------------------------------------------------------- requirements

    def _require_private(self) -> None:
        """What is remembered is secret in part: it travels on this machine, or to the server that was meant."""
        connected, host = self._connection.pgconn, self._connection.info.host
        if not host or host.startswith(("/", "@")) or _is_loopback(self._connection.info.hostaddr):
            return
        modes = [option.val for option in connected.info if option.keyword == b"sslmode"]
        if not connected.ssl_in_use or modes != [b"verify-full"]:
            raise HostError(
                f"{self._title} is reached over a network without knowing that it is that server",
                hint="Give sslmode=verify-full and sslrootcert in the URL, or connect over a local socket",
            )

    def _require_durable(self) -> None:
        for setting in ("fsync", "full_page_writes"):
            if (found := self._setting(setting)) != "on":
                raise HostError(f"the server of {self._title} has {setting} = {found}", hint=_OTHER_SETTINGS)
        if self._setting("server_encoding") != "UTF8":
            raise HostError(
                f"the database of {self._title} is not in UTF-8",
                hint="Create it with ENCODING 'UTF8' TEMPLATE template0",
            )
        if self._setting("transaction_read_only") != "off":
            raise Lost("the server takes no writes", hint="Name the primary: this one is a standby")
        if self._setting("synchronous_commit") != "remote_apply":
            self.do("SET synchronous_commit = on")
        if (found := self._setting("synchronous_commit")) not in ("on", "remote_apply"):
            raise HostError(f"the server of {self._title} has synchronous_commit = {found}", hint=_OTHER_SETTINGS)
        for statement in _SERVER:
            self.do(statement)

    def _make_tables(self) -> None:
        there = self.row(
            "SELECT to_regclass('quatrefoil_state') IS NOT NULL AND to_regclass('quatrefoil_owner') IS NOT NULL"
        )
        if there != (True,):
            with self.transaction():
                self.row("SELECT pg_advisory_xact_lock(%s)", (_lock_of(""),))  # two that start at once
                for statement in _TABLES.split(";")[:-1]:
                    self.do(statement)
        kinds = self.row(
            "SELECT count(*) FROM pg_class WHERE relpersistence = 'p' AND oid IN"
            " ('quatrefoil_state'::regclass, 'quatrefoil_owner'::regclass)"
        )
        if kinds != (2,):
            raise HostError(f"a table of {self._title} is not logged", hint=_OTHER_SETTINGS)

    def _setting(self, name: str) -> str:
        row = self.row("SELECT current_setting(%s)", (name,))
        assert row is not None
        return str(row[0])

    # ---------------------------------------------------------------------------------------------------------- errors

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except psycopg.errors.DiskFull as error:
            raise HostError(f"{self._title} cannot be used ({_said(error)})", hint="Free space at the server") from None
        except (psycopg.errors.DataCorrupted, psycopg.errors.IndexCorrupted) as error:
            raise StateCorrupt(
                f"{self._title} is damaged ({_said(error)})",
                hint="Restore nothing from a backup: void the open rounds instead",
            ) from None
        except psycopg.errors.ReadOnlySqlTransaction as error:
            raise Lost(_said(error), hint="Name the primary: this one is a standby") from None
        except (psycopg.errors.InvalidAuthorizationSpecification, psycopg.errors.InvalidCatalogName) as error:
            raise HostError(
                f"{self._title} cannot be opened ({_said(error)})", hint="Check user, database and password file"
            ) from None
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise Lost(_said(error)) from None
        except psycopg.Error as error:
            raise HostError(f"{self._title} cannot be used ({_said(error)})", hint="See the server's log") from None


def _lock_of(state: str) -> int:
    """The number of a state's advisory lock."""
    return int.from_bytes(hashlib.sha256(b"quatrefoil/state/" + state.encode()).digest()[:8], "big", signed=True)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _said(error: psycopg.Error) -> str:
    """What the server or the library says, in one line, without the statement and its values."""
    lines = (error.diag.message_primary or str(error)).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


__all__ = ["LARGEST_VALUE", "SCHEMES", "Lost", "Session", "Where", "checked"]
