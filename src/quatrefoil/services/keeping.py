"""Where a party's state is: in a file of its folder, or in a database. A folder belongs to one of them for good.

A party that came up without what it remembers would break its rules: say two things of one round, or consent to a
second job. So a folder that has a file is not used with a database, nor one with a database without that one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from quatrefoil.errors import CallerError, HostError
from quatrefoil.state import DurableState, SqliteState
from quatrefoil.transport import Identity, files

STATE_FILE, DATABASE_FILE = "state.sqlite", "database"
SCHEMES = ("postgresql://", "postgres://")


def opened_state(
    folder: Path, database: str | None, identity: Identity, *, report: Callable[[str], None]
) -> DurableState:
    """The state of a party in ``folder``. ``database``: a URL of libpq, with the state's name behind ``#`` where it is
    not ROLE/NAME of the party; None: the file in the folder."""
    if database is None:
        if (folder / DATABASE_FILE).exists():
            raise CallerError(f"the state of {folder} is in a database", hint="Name it with --database")
        return SqliteState(folder / STATE_FILE)
    if not database.startswith(SCHEMES):
        raise CallerError(f"{database.split(':')[0]!r} is no database", hint="Write postgresql://HOST/DATABASE")
    if (folder / STATE_FILE).exists():
        raise CallerError(
            f"the state of {folder} is in its file {STATE_FILE}",
            hint="Leave --database out, or begin a new --state folder",
        )
    from quatrefoil.state.postgres import PostgresState  # an extra

    url, _, name = database.partition("#")
    state = PostgresState(url, name or f"{identity.role}/{identity.name}", report=report)
    try:
        _require_same(folder, state.id)
    except BaseException:
        state.close()
        raise
    return state


def _require_same(folder: Path, found: bytes) -> None:
    """The database is the one that this folder began with. A new folder may take a state over: its host died."""
    file = folder / DATABASE_FILE
    try:
        if not file.exists():
            files.replace(file, found.hex().encode() + b"\n")
        begun = file.read_text().strip()
    except OSError as error:
        raise HostError(
            f"{file} cannot be used ({error.strerror})", hint="Check the disk's space and permissions"
        ) from None
    if begun != found.hex():
        raise HostError(
            f"the database does not hold the state that {folder} began with, but another",
            hint="Name the database and the state (#NAME) that it began with; a new state needs a new --state folder",
        )


__all__ = ["DATABASE_FILE", "SCHEMES", "STATE_FILE", "opened_state"]
