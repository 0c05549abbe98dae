"""``quatrefoil flower seat``: the silo of a node as a process that stays, beside the SuperNode.

A member of a committee holds its key of an attempt, and the shares that it was given, in memory and nowhere else; so do
dealers their shares. ClientApps come and go: each brings a message of the SuperLink as it came (``seat_line``), and
trains when the silo wants it. One is attended at a time, as one SuperNode has one silo. When this process ends, what it
held of an attempt is gone, and the member is silent in it (docs/committee-rounds.md).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pwd
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from quatrefoil.errors import (
    CallerError,
    HostError,
    MessageRefused,
    PeerError,
    PeerUnreachable,
    QuatrefoilError,
    StateTaken,
)
from quatrefoil.flower.contents import ForSilo
from quatrefoil.flower.node import SiloNode
from quatrefoil.flower.seat_line import PATIENCE, Brought, FarApp, Line, error_parts
from quatrefoil.flower.settings import seat_of, silo_settings, state_named
from quatrefoil.meter import Meter
from quatrefoil.output import report
from quatrefoil.parties.refusals import Refusals
from quatrefoil.parties.running import Service, Stopped, ended_by_signal
from quatrefoil.services.vitals import Vitals

WAITING = 64
"""Connections that may wait for their turn."""

LONGEST_PATH = 107
"""Bytes, of the address of a Unix socket (unix(7))."""

_OVERFLOW = Path("/proc/sys/kernel/overflowuid")


def run(options: argparse.Namespace) -> None:
    """Until it is stopped. ``options.silo``: the silo's file; the others are of every service."""
    silo = silo_settings(options.silo)
    path = seat_of(silo)
    if path is None:
        raise CallerError(
            f"policy {silo.policy} has a keeper, and the silo needs no seat",
            hint=f"Leave it out; or write `seat = ...` into {options.silo}, so that apps do without the silo's keys",
        )
    users = {os.getuid()} if silo.app_user is None else {os.getuid(), user_named(silo.app_user)}
    if len(users) > 1 and silo.seat is None:
        raise CallerError(
            f"{path.parent} is for its owner only, and user {silo.app_user} is to reach the seat",
            hint=f"Write `seat = ...` into {options.silo}, in a folder that only this user writes and others may enter",
        )
    vitals = Vitals("silo")
    try:
        with (
            ended_by_signal(),
            SiloNode(silo, Meter(), vitals) as node,
            Service(options, vitals, node.files.state) as running,
            listening(path, private=len(users) == 1) as listener,
        ):
            report(f"seat of silo {node.files.identity.name} listens at {path}, for {_users(users)}")
            running.manager.ready()
            refusals = Refusals(node.files.log)
            Seat(node, state_named(silo), users, refusals, vitals, app_seconds=silo.app_seconds).serve(listener)
    except Stopped:
        report("stopped: what it held of an attempt is gone; started again it goes on with the next")


class Seat:
    """``state``: whose seat it is, by the folder of its state; ``users``: whose ClientApps it attends; ``app_seconds``:
    how long a call of an app may take."""

    def __init__(
        self, node: SiloNode, state: str, users: set[int], refusals: Refusals, vitals: Vitals, *, app_seconds: float
    ) -> None:
        self._node = node
        self._state = state
        self._users = users
        self._refusals = refusals
        self._vitals = vitals
        self._app_seconds = app_seconds

    def serve(self, listener: socket.socket) -> None:
        """Attend to one connection after another, for ever. ``StateTaken``: another process has this silo's state."""
        while True:
            connection, _ = listener.accept()
            with contextlib.closing(Line(connection)) as line:
                self.attend(line)

    def attend(self, line: Line) -> None:
        """Take what one ClientApp brings, and give it the silo's reply, or what is refused."""
        try:
            self._require_user(line.user())
            line.watch()
            brought, payload = self._brought(line)
        except PeerUnreachable as error:
            report(str(error))
        except PeerError as error:
            self._vitals.count("connections_refused")
            self._refusals.connection("a process on this machine", error)
            self._tell(line, b"refused", *error_parts(error))
        except QuatrefoilError as error:
            self._failed(line, error)
        else:
            self._answer(line, brought, payload)

    def _answer(self, line: Line, brought: Brought, payload: bytes) -> None:
        try:
            self._tell(line, b"reply", self._reply(line, brought, payload))
        except QuatrefoilError as error:
            self._failed(line, error)

    def _failed(self, line: Line, error: QuatrefoilError) -> None:
        self._tell(line, b"refused", *error_parts(error))
        if isinstance(error, StateTaken):
            raise error
        report(str(error))

    def _tell(self, line: Line, *content: bytes) -> None:
        try:
            line.send(*content)
        except PeerUnreachable as error:
            report(str(error))

    def _require_user(self, user: int) -> None:
        if user not in self._users:
            raise MessageRefused(
                f"this seat attends {_users(self._users)}, and none of user {user}",
                hint="Run the SuperNode as that user, or name another as `app-user` in the silo's file",
            )

    def _brought(self, line: Line) -> tuple[Brought, bytes]:
        told, payload = _pair(line.receive(begins=PATIENCE, longest=self._node.longest()))
        brought = Brought.decode(told)
        if brought.state != self._state:
            raise MessageRefused(
                f"this is the seat of silo {self._node.files.identity.name}, whose state is {self._state}, and a "
                f"message for the silo with state {brought.state[:200]} was brought",
                hint="Give each silo's seat a socket of its own, and name one file to SuperNode and seat",
            )
        return brought, payload

    def _reply(self, line: Line, brought: Brought, payload: bytes) -> bytes:
        if brought.hello:
            return self._node.greeted(payload, run=brought.run, node=brought.node)

        def app_of(sent: ForSilo) -> FarApp:
            return FarApp(line, sent, self._app_seconds)

        reply = self._node.reply(
            payload, hello=brought.session, number=brought.number, kind=brought.kind, app_of=app_of
        )
        self._node.keep_costs()
        return reply


@contextmanager
def listening(path: Path, *, private: bool) -> Iterator[socket.socket]:
    """A socket at ``path``, which is removed at the end. ``private``: connected to by its own user only; otherwise by
    anybody, whose user is then looked at. What a seat that was killed left there is replaced."""
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise CallerError(
            f"{path} is longer than the {LONGEST_PATH} bytes that a socket's path may have",
            hint="Write a shorter one into the silo's file, as `seat`",
        )
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        try:
            if not private:
                _require_own(path.parent)
            _clear(path)
            before = os.umask(0o177)  # from the first moment
            try:
                listener.bind(str(path))
            finally:
                os.umask(before)
            if not private:
                path.chmod(0o666)
            listener.listen(WAITING)
        except OSError as error:
            raise HostError(
                f"{path} cannot be listened at ({error.strerror or error})", hint="Name a folder that is there"
            ) from None
        mine = path.stat().st_ino
        try:
            yield listener
        finally:
            if path.exists() and path.stat().st_ino == mine:
                path.unlink()
    finally:
        listener.close()


def _require_own(folder: Path) -> None:
    """Whoever else makes files in it could put something in the socket's place before that is opened to others; and no
    ClientApp would trust what it finds there."""
    there = folder.stat()
    if there.st_uid != os.getuid() or there.st_mode & 0o022:
        raise CallerError(
            f"others than this user may make files in {folder}",
            hint="Give the seat a folder of its own, which only its user writes and others may enter",
        )


def _clear(path: Path) -> None:
    """Remove a socket that nobody listens at any more."""
    try:
        there = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(there):
        raise CallerError(f"{path} is there, and is no socket", hint="Write another `seat` into the silo's file")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise CallerError(f"another seat listens at {path}", hint="Give each silo's seat a socket of its own")


def user_named(text: str) -> int:
    """A user's number, by it or by name; never the one that stands for all that this process's namespace has not."""
    try:
        user = int(text) if text.isdigit() else pwd.getpwnam(text).pw_uid
    except KeyError:
        raise CallerError(f"there is no user {text}", hint="Write a name or number into the silo's file") from None
    if _OVERFLOW.exists() and user == int(_OVERFLOW.read_text()):
        raise CallerError(
            f"user {user} stands for every user of another namespace", hint="Run the SuperNode as a user of its own"
        )
    return user


def _users(users: set[int]) -> str:
    return "processes of user " + " and of user ".join(map(str, sorted(users)))


def _pair(content: list[bytes]) -> tuple[bytes, bytes]:
    if len(content) != 2:
        raise MessageRefused(
            f"a frame of {len(content)} parts came to a seat, not of 2",
            hint="Check that the seat and the SuperNode run the same version of Quatrefoil",
        )
    return content[0], content[1]


__all__ = ["Seat", "listening", "run", "user_named"]
