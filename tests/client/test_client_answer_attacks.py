"""What comes back, changed by whoever is on the way: outside the encryption, of another request, or other bytes."""

from __future__ import annotations

import asyncio

import pytest
from client_attacks import OHTTP_RES, SECRET, attack, on_answers, refused
from client_world import (
    Outer,
    Sent,
    encapsulated,
    site,
)

from quatrefoil.errors import (
    MessageRefused,
    PeerUnreachable,
    RequestRefused,
)
from quatrefoil.exchange import protocol


@pytest.mark.parametrize(
    "outer",
    [
        Outer(200, ((b"content-type", b"application/json"),), [b'{"outputs": []}']),
        Outer(200, (), [b""]),
        Outer(204, (), []),
        Outer(206, (OHTTP_RES,), [b"x" * 100]),
        Outer(200, (OHTTP_RES, OHTTP_RES), [b"x" * 100]),
        Outer(200, (OHTTP_RES,), [b"x" * 100]),
        Outer(200, (OHTTP_RES,), [b""]),
        Outer(200, ((b"content-type", b"message/ohttp-chunked-res"),), [b"x" * 100]),
        Outer(302, ((b"location", b"http://elsewhere"),), []),
        Outer(403, (), [b"no"]),
    ],
)
def test_success_outside_the_encryption_is_no_answer(outer: Outer) -> None:
    async def run() -> None:
        async with site() as here:
            here.wire.after = on_answers(lambda _: outer)
            await refused(here, MessageRefused)
            assert len(encapsulated(here.wire)) == 1  # it was not sent again

    attack(run)


@pytest.mark.parametrize(
    ("outer", "error", "said"),
    [
        (Outer(503, ((b"retry-after", b"9"),), []), PeerUnreachable, "Try again in 9 s"),
        (Outer(429, ((b"retry-after", b"x"),), []), PeerUnreachable, "later"),
        (Outer(500, (), [SECRET]), PeerUnreachable, "500"),
        (Outer(413, (), []), RequestRefused, "too large"),
        (Outer(400, ((b"content-type", b"application/problem+json"),), [b"{}"]), MessageRefused, "400"),
        (Outer(400, ((b"content-type", b"application/problem+json"),), [b"{" * 50]), MessageRefused, "400"),
    ],
)
def test_a_failure_outside_is_an_error_without_a_word_of_its_text(
    outer: Outer, error: type[Exception], said: str
) -> None:
    async def run() -> None:
        async with site() as here:
            here.wire.after = on_answers(lambda _: outer)
            found = await refused(here, error)
            assert said in str(found) and len(encapsulated(here.wire)) == 1

    attack(run)


def test_an_answer_to_another_request_does_not_open() -> None:
    async def run() -> None:
        async with site() as here:
            await here.client.request("GET", "/v2")
            first = here.wire.answers[-1]
            here.wire.after = on_answers(lambda _: first)
            await refused(here, MessageRefused)
            here.wire.after = lambda sent, answer: answer
            assert (await here.client.request("GET", "/v2")).status == 200

    attack(run)


def test_answers_swapped_between_two_requests_open_for_neither() -> None:
    async def run() -> None:
        async with site() as here:
            await here.client.attest()
            held: list[Outer] = []
            both = asyncio.Event()

            async def crossed(sent: Sent) -> Outer | None:
                if sent.path != protocol.GATEWAY_PATH:
                    return None
                world_answer = await here.world.outer("POST", sent.path, sent.content, kind="message/ohttp-req")
                own = len(held)
                held.append(Outer(200, (OHTTP_RES,), [world_answer.content]))
                if len(held) == 2:
                    both.set()
                await both.wait()
                return held[1 - own]

            here.wire.instead = crossed
            found = await asyncio.gather(
                *(here.client.request("GET", path) for path in ("/v2", "/v2/models/linear")), return_exceptions=True
            )
            assert [type(one) for one in found] == [MessageRefused, MessageRefused]

    attack(run)


@pytest.mark.parametrize("at", [0, 40, -1])
def test_an_answer_that_was_changed_does_not_open(at: int) -> None:
    async def run() -> None:
        async with site() as here:

            def flipped(answer: Outer) -> Outer:
                content = bytearray(answer.content)
                content[at] ^= 1
                return Outer(200, answer.headers, [bytes(content)])

            here.wire.after = on_answers(flipped)
            await refused(here, MessageRefused)

    attack(run)
