"""``quatrefoil`` in a process that kills itself at its durable steps and at its messages: ``mortal.py FOLDER COMMAND``.

FOLDER keeps, over the lives of one party, at which steps it has died (``died``: one a line) and what it has sent of
what must never change (``sent``). Each life dies, with SIGKILL, at the first step that none has died at: before it and,
in a later life, after it. A life dies at nothing before a step that begins with the text in ``spared``, if that is
there; and at nothing but the lines of ``only``, if that is there.

Each life is a process of its own, forked by this one, which has everything imported and runs nothing of it: so a life
costs no more than its work. This one ends as the life does that was not killed.

A step is a write to the state, an entry of the log, or a message of ``services.rpc`` sent or received. It is named by
what is written or asked, without digests and numbers, so that it is the same step in every round.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from quatrefoil import cli
from quatrefoil.audit import TileLog
from quatrefoil.errors import QuatrefoilError
from quatrefoil.federation import parts
from quatrefoil.federation.messages import Confirmation, Contribution, KeyRelease, RoundResult, RoundVoid
from quatrefoil.state import SqliteState
from quatrefoil.transport import AsyncChannel, Channel
from quatrefoil.transport.statement import Signed

FOLDER = Path(sys.argv[1])
DIED, SENT, SPARED, ONLY, LIVES = (FOLDER / name for name in ("died", "sent", "spared", "only", "lives"))


SILOS = ("ambon", "bari", "cusco")
"""Whose names are left out of the names of steps."""

prctl = ctypes.CDLL(None).prctl
PR_SET_PDEATHSIG = 1
"""Of prctl(2): a life ends with this program."""


class Fate:
    """Where this life ends."""

    def __init__(self) -> None:
        self._died = set(DIED.read_text().splitlines()) if DIED.exists() else set()
        self._only = set(ONLY.read_text().splitlines()) if ONLY.exists() else None
        self._spared = SPARED.read_text() if SPARED.exists() else ""

    def before(self, step: str) -> None:
        if self._spared and step.startswith(self._spared):
            self._spared = ""
        self._meet(f"before {step}")

    def after(self, step: str) -> None:
        self._meet(f"after {step}")

    def _meet(self, what: str) -> None:
        if self._spared or what in self._died or (self._only is not None and what not in self._only):
            return
        with DIED.open("a") as file:
            file.write(what + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.kill(os.getpid(), signal.SIGKILL)


def stepping(name_of: Callable[..., str]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a method a step, called as ``name_of`` its arguments says; nothing: no step."""

    def around(method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def step(*arguments: Any, **options: Any) -> Any:
            name = name_of(*arguments)
            FATE.before(name)
            found = method(*arguments, **options)
            FATE.after(name)
            return found

        return step

    return around


def kind(name: str) -> str:
    """A name of the state without what differs from round to round."""
    first, *others = (part for part in name.split("/") if part.replace("-", "").isalpha() and len(part) < 20)
    return "/".join([first, *(part for part in others if part not in SILOS)])


def put(_: Any, name: str, __: bytes) -> str:
    return f"put {kind(name)}"


def replaced(_: Any, changes: dict[str, bytes | None]) -> str:
    return f"replace {' '.join(sorted({kind(name) for name in changes}))}"


def logged(_: Any, events: Any) -> str:
    return f"log {' '.join(sorted({event.kind for event in events}))}"


# ---------------------------------------------------------------------------------------------------------- messages


class Talk:
    """What is being asked on each channel, for the names of the steps."""

    asked: dict[int, str] = {}  # noqa: RUF012

    @classmethod
    def name(cls, channel: Any, frame: bytes, *, sent: bool) -> str:
        """``send next``, ``receive answer to next result``: one question is open on a channel at a time."""
        head, body = parts.split(bytes(frame), 2)
        asks = channel.server_side != sent
        if asks:
            cls.asked[id(channel)] = head.decode()
            _keep(head.decode(), body) if sent else None
            return f"{'send' if sent else 'receive'} {head.decode()}"
        method = cls.asked.get(id(channel), "?")
        if method == "next" and head == b"ok":
            method += " " + parts.split(body, 2)[0].decode()
        if sent and head == b"ok":
            _keep("answer to " + method, body)
        return f"{'send' if sent else 'receive'} answer to {method}{'' if head == b'ok' else ' ' + head.decode()}"


def _keep(method: str, body: bytes) -> None:
    """What has one form only: the digest of its bytes, by what it is of."""
    try:
        of = _fixed(method, body)
    except QuatrefoilError:
        return
    if of is not None:
        with SENT.open("a") as file:
            file.write(f"{method} {of} {hashlib.sha256(body).hexdigest()}\n")


def _fixed(method: str, body: bytes) -> str | None:
    if method == "contribute":
        return Contribution.decode(_body(parts.split(body, 4)[0])).context.hex()
    if method == "confirm":
        return Confirmation.decode(_body(body)).context.hex()
    if method == "answer to answer":
        return KeyRelease.decode(_body(parts.split(body, 2)[0])).context.hex()
    if method == "answer to void":
        return RoundVoid.decode(_body(body)).context.hex()
    if method == "answer to next result":
        _, _, result, receipts = parts.split(parts.split(body, 2)[1], 4)
        silo = hashlib.sha256(receipts).hexdigest()[:8]
        return RoundResult.decode(_body(parts.split(result, 2)[0])).context.hex() + silo
    return None


def _body(signed: bytes) -> bytes:
    return Signed.decode(signed).body


def tell_of(channel: type[Any]) -> None:
    """Make sending and receiving of a kind of channel steps."""
    send, receive = channel.send, channel.receive

    def named(one: Any, frame: bytes, *, sent: bool) -> str:
        try:
            return Talk.name(one, frame, sent=sent)
        except (QuatrefoilError, UnicodeDecodeError):
            return "send" if sent else "receive"

    if channel is Channel:

        def send_one(self: Any, frame: bytes) -> None:
            name = named(self, frame, sent=True)
            FATE.before(name)
            send(self, frame)
            FATE.after(name)

        def receive_one(self: Any, limit: int, **options: Any) -> bytes:
            frame: bytes = receive(self, limit, **options)
            FATE.after(named(self, frame, sent=False))
            return frame

        channel.send, channel.receive = send_one, receive_one
        return

    async def send_async(self: Any, frame: bytes) -> None:
        name = named(self, frame, sent=True)
        FATE.before(name)
        await send(self, frame)
        FATE.after(name)

    async def receive_async(self: Any, limit: int, **options: Any) -> bytes:
        frame: bytes = await receive(self, limit, **options)
        FATE.after(named(self, frame, sent=False))
        return frame

    channel.send, channel.receive = send_async, receive_async


FATE: Fate


def main() -> int:
    global FATE  # of this life
    FATE = Fate()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    states: list[Any] = [SqliteState]
    if "--database" in sys.argv:
        from quatrefoil.state.postgres import PostgresState

        states.append(PostgresState)
    for state in states:
        state.put_once = stepping(put)(state.put_once)
        state.replace = stepping(replaced)(state.replace)
    log: Any = TileLog
    log.append_all = stepping(logged)(log.append_all)
    for channel in (Channel, AsyncChannel):
        tell_of(channel)
    return cli.main(sys.argv[2:])


def live() -> int:
    """One life after the other, each started again where it was killed; how the last one ended."""
    cli.parser()  # everything is imported now
    while True:
        _spare()
        if (child := os.fork()) == 0:
            os._exit(_flushed(main()))
        _, status = os.waitpid(child, 0)
        if not (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL):
            return os.waitstatus_to_exitcode(status)
        with LIVES.open("a") as file:
            file.write("killed\n")


def _spare() -> None:
    """What is given up when it fails too often gets a life in which it gets so far, now and then."""
    every, _, step = os.environ.get("MORTAL_SPARES", "").partition(" ")
    lives = len(LIVES.read_text().splitlines()) if LIVES.exists() else 0
    if every and lives % int(every) == int(every) - 1:
        SPARED.write_text(step)
    else:
        SPARED.unlink(missing_ok=True)


def _flushed(code: int) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    sys.exit(live())
