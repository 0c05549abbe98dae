"""One question, one answer over a channel: what the services of a job speak.

A request is the parts ``[method, body]``, a response ``[status, body]`` with status ``ok``, ``wait`` (ask again:
nothing has happened within the answerer's patience) or the name of an error class, whose body is then JSON. An error
keeps its class across the wire, so that the asker handles it as if it had been raised there; a class that is not in
the tree of ``quatrefoil.errors`` arrives as ``MessageRefused``.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable, Mapping

from quatrefoil import errors
from quatrefoil.errors import MessageRefused, PeerError, PeerUnreachable, QuatrefoilError
from quatrefoil.federation import parts
from quatrefoil.transport import AsyncChannel, Channel

Method = Callable[[str, bytes], Awaitable["bytes | None"]]
"""Called with the certified name of the asker and the body; returns the answer, or None for ``wait``."""

SMALL = 1 << 20
"""Bytes that a request may have where nothing larger is expected."""

_OK, _WAIT = b"ok", b"wait"
_LONGEST_TEXT = 2000


def ask(channel: Channel, method: str, body: bytes = b"", *, limit: int) -> bytes | None:
    """The answer to one question, None for ``wait``, or the error that the other side raised."""
    channel.send(parts.join([method.encode(), body]))
    try:
        response = channel.receive(limit)
    except MessageRefused as error:
        raise _broken(error) from None
    return _answer(response)


async def ask_async(channel: AsyncChannel, method: str, body: bytes = b"", *, limit: int) -> bytes | None:
    """:func:`ask` on an asyncio channel."""
    await channel.send(parts.join([method.encode(), body]))
    try:
        response = await channel.receive(limit)
    except MessageRefused as error:
        raise _broken(error) from None
    return _answer(response)


async def answer_all(channel: AsyncChannel, methods: Mapping[str, Method], *, limit: Callable[[], int]) -> None:
    """Answer a peer's questions one after another until it closes the channel.

    A refusal is an answer like any other. Anything else that goes wrong in a method is a fault of this program: the
    peer learns no more than that, and the error goes on to the caller.
    """
    while True:
        try:
            request = await channel.receive(limit())
        except PeerError:
            return
        try:
            response = await _respond(channel.peer.name, request, methods)
        except QuatrefoilError as error:
            response = _refusal(error)
        except Exception:
            await channel.send(
                _refusal(MessageRefused("the other side failed", hint="Ask its operator to read its log"))
            )
            raise
        await channel.send(response)


async def _respond(peer: str, request: bytes, methods: Mapping[str, Method]) -> bytes:
    name, body = parts.split(request, 2)
    method = methods.get(name.decode("utf-8", "replace"))
    if method is None:
        raise MessageRefused(f"there is no method {name[:40]!r}", hint=f"Ask for one of {', '.join(methods)}")
    answer = await method(peer, body)
    return parts.join([_WAIT, b""] if answer is None else [_OK, answer])


def _refusal(error: QuatrefoilError) -> bytes:
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
    if issubclass(kind, PeerError):
        return kind(problem, hint=hint, party=party if isinstance(party, str) else None)
    return kind(problem, hint=hint)
