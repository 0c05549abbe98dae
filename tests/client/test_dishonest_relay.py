"""A relay that does what it likes, between a client and a real server over channels: it gains nothing, and is seen."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from client_world import Talker
from test_client_stream_attacks import CHUNK_ATTACKS, chunks_of

from quatrefoil.attested import Attestation
from quatrefoil.client import AsyncClient
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.errors import EvidenceRejected, KeyUnknown, MessageRefused, PeerError
from quatrefoil.exchange import protocol
from quatrefoil.ohttp import HybridKey
from quatrefoil.web.client import WebClient
from running_server import Running, running
from serving_parts import SnpMachine
from support import Consortium
from web_service import context, respond, serving, whole

SECRET = b"what the patient has, 4f1c9e"
PARTS = [b"data: %d\n\n" % one for one in range(4)]
CHALLENGE, GATEWAY = protocol.ATTESTATION_PATH, protocol.GATEWAY_PATH


@dataclass(frozen=True)
class Carried:
    """A request or an answer as the relay has it."""

    path: str
    kind: bytes
    content: bytes
    status: int = 200


@dataclass
class Relay:
    """Everything that crosses it is in ``seen``. ``does``: gives the answer to a request, with whatever it asks of the
    servers in between; by default it is honest."""

    client: WebClient
    servers: list[Running]
    does: Callable[[Carried], Awaitable[Carried]] = field(init=False)
    seen: list[Carried] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.does = self.ask

    async def ask(self, request: Carried, server: int = 0) -> Carried:
        url = self.servers[server].url + request.path
        answer = await self.client.request("POST", url, [(b"content-type", request.kind)], request.content)
        return Carried(request.path, answer.header(b"content-type") or b"", answer.content, answer.status)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        kind = dict(scope["headers"])[b"content-type"]
        request = Carried(scope["path"], kind, await whole(receive))
        answer = await self.does(request)
        self.seen += [request, answer]
        await respond(send, answer.status, answer.content, [(b"content-type", answer.kind)])

    def of(self, path: str) -> list[Carried]:
        return [one for one in self.seen if one.path == path]


@dataclass
class Way:
    """A client, the relay that it asks through, and what the servers' handlers were asked."""

    another: Callable[[], AsyncClient]
    relay: Relay
    handlers: list[Talker]
    client: AsyncClient

    async def asks(self, content: bytes = SECRET) -> bytes:
        return bytes((await self.client.request("POST", "/whole", content=content)).content)

    async def streams(self) -> list[bytes]:
        async with self.client.stream("POST", "/stream", content=SECRET) as stream:
            parts = [part async for part in stream.iter_bytes()]
            assert stream.whole
        return parts

    def asked(self) -> list[int]:
        return [len(one.asked) for one in self.handlers]


@asynccontextmanager
async def way(consortium: Consortium, folder: Path, *machines: SnpMachine) -> AsyncIterator[Way]:
    """Before one server, or one of each machine."""
    with contextlib.ExitStack() as stack:
        handlers, servers = [], []
        for number, machine in enumerate(machines or (SnpMachine(),)):
            handlers.append(Talker(PARTS))
            made = running(consortium, folder / str(number), handler=handlers[-1], machine=machine)
            servers.append(stack.enter_context(made))
        carrying = WebClient(tls=context(consortium, "relay", "workload", allow=["workload"]))
        async with carrying:
            relay = Relay(carrying, servers)
            async with serving(relay, tls=context(consortium, "relay", "workload", allow=["silo"])) as front:
                another = partial(
                    AsyncClient,
                    servers[0].url,
                    policy=servers[0].policy,
                    collateral=Collateral(),
                    identity=consortium.identity("clinic", "silo"),
                    trust=consortium.trust,
                    relay=front.url,
                )
                async with another() as client:
                    yield Way(another, relay, handlers, client)


@pytest.fixture
def over(consortium: Consortium, tmp_path: Path) -> Callable[..., None]:
    """Runs an attack on a way."""

    def run(attack: Callable[[Way], Awaitable[None]], *machines: SnpMachine) -> None:
        async def doing() -> None:
            async with way(consortium, tmp_path, *machines) as here:
                await attack(here)
                for one in here.relay.seen:
                    assert SECRET not in one.content and PARTS[0] not in one.content

        asyncio.run(doing())

    return run


def answers(change: Callable[[bytes], bytes], path: str = GATEWAY) -> Callable[[Way], None]:
    """Makes something else of the answers."""

    def put(here: Way) -> None:
        async def does(request: Carried) -> Carried:
            answer = await here.relay.ask(request)
            return dataclasses.replace(answer, content=change(answer.content)) if request.path == path else answer

        here.relay.does = does

    return put


def test_an_honest_one_carries_whole_answers_and_streams(over: Any) -> None:
    async def attack(here: Way) -> None:
        assert await here.asks() == b"".join(PARTS)
        assert b"".join(await here.streams()) == b"".join(PARTS)
        assert len(here.relay.of(GATEWAY)) == 4

    over(attack)


def test_a_request_that_it_sends_twice_is_answered_once(over: Any) -> None:
    async def attack(here: Way) -> None:
        again: list[Carried] = []

        async def twice(request: Carried) -> Carried:
            answer = await here.relay.ask(request)
            if request.path == GATEWAY:
                again.append(await here.relay.ask(request))
            return answer

        here.relay.does = twice
        assert await here.asks() == b"".join(PARTS)
        assert b"".join(await here.streams()) == b"".join(PARTS)
        assert [one.status for one in again] == [400, 400] and here.asked() == [2]

    over(attack)


def test_an_answer_of_before_is_none(over: Any) -> None:
    async def attack(here: Way) -> None:
        await here.asks()
        before = here.relay.of(GATEWAY)[-1]
        here.relay.does = lambda _request: asyncio.sleep(0, before)
        with pytest.raises(MessageRefused):
            await here.asks()
        assert here.asked() == [1]

    over(attack)


@pytest.mark.parametrize("at", [0, 1, 40, -1])
def test_a_request_that_it_alters_is_answered_by_nobody(over: Any, at: int) -> None:
    async def attack(here: Way) -> None:
        async def does(request: Carried) -> Carried:
            if request.path == GATEWAY:
                changed = bytearray(request.content)
                changed[at] ^= 1
                request = dataclasses.replace(request, content=bytes(changed))
            return await here.relay.ask(request)

        here.relay.does = does
        with pytest.raises((MessageRefused, KeyUnknown)):
            await here.asks()
        with pytest.raises((MessageRefused, KeyUnknown)):
            await here.streams()
        assert here.asked() == [0]

    over(attack)


@pytest.mark.parametrize("at", [0, 40, -1])
def test_an_answer_that_it_alters_is_refused(over: Any, at: int) -> None:
    async def attack(here: Way) -> None:
        def changed(content: bytes) -> bytes:
            found = bytearray(content)
            found[at] ^= 1
            return bytes(found)

        answers(changed)(here)
        with pytest.raises(MessageRefused):
            await here.asks()
        with pytest.raises(MessageRefused):
            await here.streams()

    over(attack)


@pytest.mark.parametrize("name", CHUNK_ATTACKS)
def test_a_stream_that_it_cuts_or_reorders_is_refused(over: Any, name: str) -> None:
    async def attack(here: Way) -> None:
        answers(lambda content: b"".join(CHUNK_ATTACKS[name](chunks_of(content))))(here)
        with pytest.raises(MessageRefused):
            await here.streams()

    over(attack)


def test_answers_that_it_swaps_are_refused_by_both(over: Any) -> None:
    async def attack(here: Way) -> None:
        await here.client.attest()
        waiting: list[tuple[Carried, asyncio.Future[Carried]]] = []

        async def does(request: Carried) -> Carried:
            answer = await here.relay.ask(request)
            waiting.append((answer, asyncio.get_running_loop().create_future()))
            if len(waiting) == 2:
                (first, one), (second, other) = waiting
                one.set_result(second)
                other.set_result(first)
            return await waiting[-1 if len(waiting) == 2 else 0][1]

        here.relay.does = does
        both = await asyncio.gather(here.asks(), here.asks(b"another"), return_exceptions=True)
        assert [type(one) for one in both] == [MessageRefused, MessageRefused]
        assert here.asked() == [2]

    over(attack)


OWN = {
    "a plain answer": Carried(GATEWAY, b"application/json", b'{"outputs": []}'),
    "bytes of the right type": Carried(GATEWAY, b"message/ohttp-res", bytes(500)),
    "no bytes": Carried(GATEWAY, b"message/ohttp-res", b""),
    "a redirection": Carried(GATEWAY, b"message/ohttp-res", b"", 307),
}


@pytest.mark.parametrize("name", OWN)
def test_what_it_answers_itself_is_no_answer(over: Any, name: str) -> None:
    async def attack(here: Way) -> None:
        await here.client.attest()
        here.relay.does = lambda _request: asyncio.sleep(0, OWN[name])
        with pytest.raises(PeerError):
            await here.asks()
        with pytest.raises(PeerError):
            await here.streams()
        assert here.asked() == [0]

    over(attack)


def test_its_own_key_in_a_servers_attestation_is_refused_and_nothing_sent(over: Any) -> None:
    async def attack(here: Way) -> None:
        def swapped(content: bytes) -> bytes:
            honest = Attestation.decode(content)
            keyset = dataclasses.replace(honest.keyset, sealing=protocol.sealing_key(HybridKey.generate()))
            return Attestation(honest.nonce, keyset, honest.evidence).encode()

        answers(swapped, CHALLENGE)(here)
        with pytest.raises(EvidenceRejected, match="report-data"):
            await here.asks()
        assert here.relay.of(GATEWAY) == []

    over(attack)


def test_an_attestation_of_before_is_refused_and_nothing_sent(over: Any) -> None:
    async def attack(here: Way) -> None:
        await here.client.attest()
        before = here.relay.of(CHALLENGE)[-1]
        here.relay.does = lambda _request: asyncio.sleep(0, before)
        async with here.another() as other:
            with pytest.raises(EvidenceRejected):
                await other.request("POST", "/whole", content=SECRET)
        assert here.relay.of(GATEWAY) == []

    over(attack)


def test_another_servers_attestation_gets_it_no_request_that_it_can_read_or_have_answered(over: Any) -> None:
    """Both are of the accepted code. Sealed to the one, a request is nothing to the other, and the client ends."""

    async def attack(here: Way) -> None:
        async def does(request: Carried) -> Carried:
            return await here.relay.ask(request, server=int(request.path == CHALLENGE))

        here.relay.does = does
        with pytest.raises((KeyUnknown, MessageRefused)):
            await here.asks()
        assert here.asked() == [0, 0]
        assert all(one.status != 200 for one in here.relay.of(GATEWAY)[1::2])

    over(attack, SnpMachine(), SnpMachine())


def test_an_answer_of_another_server_to_the_same_request_is_refused(over: Any) -> None:
    """It passes each request to the other as well, and gives that one's answer."""

    async def attack(here: Way) -> None:
        async def does(request: Carried) -> Carried:
            answer = await here.relay.ask(request)
            return answer if request.path == CHALLENGE else await here.relay.ask(request, server=1)

        here.relay.does = does
        with pytest.raises((KeyUnknown, MessageRefused)):
            await here.asks()
        assert here.asked() == [1, 0]

    over(attack, SnpMachine(), SnpMachine())
