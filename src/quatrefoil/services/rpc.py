"""One question, one answer over a channel: what the services of a job speak.

A request is the parts ``[method, body]``, a response ``[status, body]`` with status ``ok``, ``wait`` (ask again:
nothing has happened within the answerer's patience) or the name of an error class, whose body is then JSON. An error
keeps its class across the wire, so that the asker handles it as if it had been raised there; a class that is not in
the tree of ``quatrefoil.errors`` arrives as ``MessageRefused``. What the answerer's own machine lacks is not for the
asker to handle: a ``HostError`` arrives as ``PeerUnreachable``, without its text, and the asker may ask again. One that
is sent all the same is taken for that too: no peer says what this machine lacks, or that its state was taken over.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from quatrefoil import errors
from quatrefoil.errors import HostError, MessageRefused, PeerError, PeerUnreachable, QuatrefoilError
from quatrefoil.federation import parts


class Named(Protocol):
    """A party by the name that it is certified for."""

    @property
    def name(self) -> str: ...


class Asking(Protocol):
    """The end of a channel that asks: a :class:`~quatrefoil.transport.Channel`, or what carries as it does."""

    @property
    def due(self) -> bool: ...

    @property
    def group(self) -> str: ...

    @property
    def peer(self) -> Named: ...

    def send(self, frame: bytes) -> None: ...

    def receive(self, limit: int) -> bytes: ...

    def close(self) -> None: ...


class AsyncConversing(Protocol):
    """Either end of a conversation under asyncio."""

    async def send(self, frame: bytes) -> None: ...

    async def receive(self, limit: int) -> bytes: ...


class Asked(AsyncConversing, Protocol):
    """The end that answers: an :class:`~quatrefoil.transport.AsyncChannel`, or what carries as it does."""

    @property
    def peer(self) -> Named: ...

    @property
    def closed_by_peer(self) -> bool: ...


Method = Callable[[str, bytes], Awaitable["bytes | None"]]
"""Called with the certified name of the asker and the body; returns the answer, or None for ``wait``."""

OnRefused = Callable[[str, QuatrefoilError], None]
"""Told the certified name of an asker and what it was refused, or what failed here: for the operator's eyes."""

SMALL = 1 << 20
"""Bytes that a request may have where nothing larger is expected."""

LARGEST_EXPANSION = 16
"""Bytes a parameter that a contribution may have, beside what every message may."""

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 3.0
"""Seconds before a question is asked again of a party that is away: at first, and at last."""

_OK, _WAIT = b"ok", b"wait"
_LONGEST_TEXT = 2000


def ask(channel: Asking, method: str, body: bytes = b"", *, limit: int) -> bytes | None:
    """The answer to one question, None for ``wait``, or the error that the other side raised."""
    channel.send(parts.join([method.encode(), body]))
    try:
        response = channel.receive(limit)
    except MessageRefused as error:
        raise _broken(error) from None
    return _answer(response)


async def ask_async(channel: AsyncConversing, method: str, body: bytes = b"", *, limit: int) -> bytes | None:
    """:func:`ask` on an asyncio channel."""
    await channel.send(parts.join([method.encode(), body]))
    try:
        response = await channel.receive(limit)
    except MessageRefused as error:
        raise _broken(error) from None
    return _answer(response)


def longer(pause: float) -> float:
    """The pause after this one."""
    return min(1.5 * pause, LONGEST_PAUSE)


def jittered(pause: float) -> float:
    """How long to wait this time: not what all others wait who lost the same party at the same moment."""
    return pause * random.uniform(0.5, 1.0)  # noqa: S311


async def answer_all(
    channel: Asked, methods: Mapping[str, Method], *, limit: Callable[[], int], on_refused: OnRefused
) -> None:
    """Answer a peer's questions one after another until it leaves.

    A refusal is an answer like any other, and reported. Anything else that goes wrong in a method is a fault of this
    program: the peer learns no more than that, and the error goes on to the caller. So does a request that is refused
    before it could be read: too long, cut off or altered.
    """
    while True:
        try:
            request = await channel.receive(limit())
            try:
                response = await _respond(channel.peer.name, request, methods)
            except QuatrefoilError as error:
                on_refused(channel.peer.name, error)
                response = _encoded(error)
            except Exception:
                with contextlib.suppress(PeerUnreachable):
                    await channel.send(_encoded(MessageRefused("the other side failed", hint="Ask its operator")))
                raise
            await channel.send(response)
        except PeerUnreachable:
            return


async def _respond(peer: str, request: bytes, methods: Mapping[str, Method]) -> bytes:
    name, body = parts.split(request, 2)
    method = methods.get(name.decode("utf-8", "replace"))
    if method is None:
        raise MessageRefused(f"there is no method {name[:40]!r}", hint=f"Ask for one of {', '.join(methods)}")
    answer = await method(peer, body)
    return parts.join([_WAIT, b""] if answer is None else [_OK, answer])


def _encoded(error: QuatrefoilError) -> bytes:
    if isinstance(error, HostError):
        error = PeerUnreachable("the other side cannot answer now", hint="Ask its operator: it was told why")
    content = {"problem": error.problem[:_LONGEST_TEXT], "hint": error.hint[:_LONGEST_TEXT]}
    if isinstance(error, PeerError) and error.party is not None:
        content["party"] = error.party
    return parts.join([type(error).__name__.encode(), json.dumps(content).encode()])


def _broken(error: MessageRefused) -> PeerUnreachable:
    # The other side was stopped while it answered: the same as if it had not.
    return PeerUnreachable(f"the answer did not arrive whole ({error.problem})", hint="Ask again")


def _answer(response: bytes) -> bytes | None:
    status, body = parts.split(response, 2)
    if status == _OK:
        return body
    if status == _WAIT:
        return None
    raise _error(status, body)


def _error(status: bytes, body: bytes) -> QuatrefoilError:
    try:
        content = json.loads(body)
        problem, hint = str(content["problem"])[:_LONGEST_TEXT], str(content["hint"])[:_LONGEST_TEXT]
        party = content.get("party")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return MessageRefused("the other side answered with something unreadable", hint="Check its version")
    kind = getattr(errors, status.decode("ascii", "replace"), None)
    if not (inspect.isclass(kind) and issubclass(kind, QuatrefoilError)):
        return MessageRefused(problem, hint=hint)
    if issubclass(kind, HostError):
        return PeerUnreachable(problem, hint=hint)
    if issubclass(kind, PeerError):
        return kind(problem, hint=hint, party=party if isinstance(party, str) else None)
    return kind(problem, hint=hint)
