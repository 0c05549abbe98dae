"""Streams that are cut, reordered, repeated or broken off: never whole for the client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from client_attacks import SECRET, attack
from client_world import (
    Outer,
    Sent,
    Site,
    Talker,
    site,
)

from quatrefoil.errors import (
    MessageRefused,
    PeerUnreachable,
)
from quatrefoil.exchange import protocol
from quatrefoil.ohttp import chunked


def chunks_of(content: bytes) -> list[bytes]:
    """Nonce, then each chunk with its length, then the final one."""
    from quatrefoil.ohttp import varint

    at, found = 32, [content[:32]]
    while at < len(content):
        size = varint.size_of(content[at])
        length = varint.value_of(content[at : at + size])
        end = len(content) if length == 0 else at + size + length
        found.append(content[at:end])
        at = end
    return found


async def tampered(
    here: Site, change: Callable[[list[bytes]], list[bytes]], breaks: BaseException | None = None
) -> Any:
    """A stream whose chunks ``change`` rearranges: what was given out, and the stream."""

    async def instead(sent: Sent) -> Outer | None:
        if sent.path != protocol.GATEWAY_PATH:
            return None
        answer = await here.world.outer("POST", sent.path, sent.content, kind=chunked.REQUEST_TYPE)
        parts = change(chunks_of(answer.content))
        return Outer(200, ((b"content-type", chunked.RESPONSE_TYPE.encode()),), parts, breaks)

    here.wire.instead = instead
    parts: list[bytes] = []
    async with here.client.stream("POST", "/stream", content=SECRET) as stream:
        async for part in stream.iter_bytes():
            parts.append(part)
    return parts, stream


CHUNK_ATTACKS: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "cut before the last": lambda parts: parts[:-1],
    "cut in the last": lambda parts: [*parts[:-1], parts[-1][:-1]],
    "cut in the middle": lambda parts: parts[:3],
    "cut to the head": lambda parts: parts[:2],
    "nothing": lambda parts: [],
    "swapped": lambda parts: [*parts[:2], parts[3], parts[2], *parts[4:]],
    "repeated": lambda parts: [*parts[:3], parts[2], *parts[3:]],
    "left out": lambda parts: [*parts[:2], *parts[3:]],
    "appended": lambda parts: [*parts, b"x"],
    "a chunk as the last": lambda parts: [*parts[:3], b"\0" + parts[3][1:]],
}


@pytest.mark.parametrize("attack_name", CHUNK_ATTACKS)
def test_a_stream_that_was_tampered_with_raises_and_is_not_whole(attack_name: str) -> None:
    async def run() -> None:
        async with site(handler=Talker([b"data: %d\n\n" % one for one in range(4)])) as here:
            whole, stream = await tampered(here, lambda parts: parts)
            assert len(whole) == 4 and stream.whole
            with pytest.raises(MessageRefused):
                await tampered(here, CHUNK_ATTACKS[attack_name])

    attack(run)


def test_a_stream_whose_connection_breaks_is_not_whole() -> None:
    async def run() -> None:
        async with site(handler=Talker([b"data: %d\n\n" % one for one in range(4)])) as here:
            broke = PeerUnreachable("the connection broke", hint="Try again")
            with pytest.raises(PeerUnreachable):
                await tampered(here, lambda parts: parts[:3], broke)

    attack(run)


def test_an_upstream_that_breaks_off_ends_the_stream_with_an_error() -> None:
    async def run() -> None:
        async with site(handler=Talker(breaks=True)) as here:
            async with here.client.stream("POST", "/stream") as stream:
                with pytest.raises((MessageRefused, PeerUnreachable), match="cut"):
                    await stream.read()
                assert not stream.whole
            assert [one.complete for one in here.receipts.receipts] == [False]

    attack(run)


def test_a_stream_answered_outside_the_encryption_is_refused() -> None:
    async def run() -> None:
        async with site(handler=Talker()) as here:
            here.wire.instead = lambda sent: (
                Outer(200, ((b"content-type", b"text/event-stream"),), [b"data: hello\n\n"])
                if sent.path == protocol.GATEWAY_PATH
                else None
            )
            with pytest.raises(MessageRefused, match="outside of the encryption"):
                async with here.client.stream("POST", "/stream"):
                    raise AssertionError

    attack(run)
