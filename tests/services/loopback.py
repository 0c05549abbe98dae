"""A job over real channels on loopback: aggregator and keeper in this loop, silos in threads. Every wait is bounded."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from identities import TRUSTED, consortium, identity, notary
from quatrefoil.audit import MemoryLog
from quatrefoil.errors import EvidenceRejected, QuatrefoilError
from quatrefoil.federation import parts
from quatrefoil.federation.aggregator import Aggregator
from quatrefoil.federation.agreement import AgreedJob
from quatrefoil.federation.cosigning import Cosigning
from quatrefoil.federation.keeper import Keeper
from quatrefoil.federation.provenance import SiloProvenance
from quatrefoil.federation.silo import Silo
from quatrefoil.federation.witnessing import SiloWitness
from quatrefoil.services.aggregator import AggregatorService
from quatrefoil.services.keeper import KeeperService
from quatrefoil.services.keeper_link import KeeperLink
from quatrefoil.services.rpc import ask_async
from quatrefoil.services.silo import Finished, SiloService
from quatrefoil.services.upper_link import UpperLink
from quatrefoil.services.vitals import Vitals
from quatrefoil.services.waiting import Waiting
from quatrefoil.transport import (
    HYBRID_768,
    AsyncChannel,
    Channel,
    ChannelPolicy,
    Dialer,
    FixedCredentials,
    Server,
    open_channel,
    serve,
)
from quatrefoil.wire import LARGEST_MESSAGE
from world import UPDATES, World

HOST = "127.0.0.1"
SOON = 15.0
"""Seconds after which a test has failed; nothing here takes nearly as long."""

Arrays = list[NDArray[np.floating]]


class Loopback:
    """``async with``: a listening keeper and aggregator of ``world``; ``run`` is the task of the aggregator."""

    def __init__(
        self,
        world: World,
        *,
        deadline: float = SOON,
        give_up: float = SOON,
        timeout: float = 10.0,
        keeper: bool = True,
        channels: ChannelPolicy = HYBRID_768,
        cosigning: Callable[[AgreedJob], Cosigning] | None = None,
        upper: Callable[[Vitals], UpperLink] | None = None,
        soon: float = SOON,
    ) -> None:
        """``upper``: makes the link of a group's aggregator, anew for each life. ``soon``: seconds after which a wait
        has failed."""
        self.soon = soon
        self.world = world
        self._make_upper = upper
        self.upper: UpperLink | None = None
        self._make_cosigning = cosigning
        self.waiting = Waiting(deadline, give_up)
        self.silos_give_up = give_up
        """Seconds that silos which are started from now on go on asking an aggregator that is away."""
        self.timeout = timeout
        self.channels = channels
        self.dialled: list[tuple[str, bool]] = []
        """Name of who dialled, and whether a session was resumed."""
        self.reports: list[str] = []
        self.refused: list[tuple[str, QuatrefoilError]] = []
        self.dropped: list[QuatrefoilError] = []
        self.received: list[tuple[int, str]] = []
        self.keeper_port = 0
        self.run: asyncio.Task[Aggregator]
        self.threads = ThreadPoolExecutor(16)
        self._keeper_wanted = keeper
        self._keeper_dialer: tuple[int, Dialer] | None = None
        self._servers: dict[str, Server] = {}

    async def __aenter__(self) -> Loopback:
        if self._keeper_wanted:
            await self.start_keeper()
        await self.start_aggregator()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop_aggregator()
        for server in self._servers.values():
            await server.close()
        await asyncio.to_thread(self.threads.shutdown)

    # ------------------------------------------------------------------------------------------------------- servers

    async def start_keeper(self, keeper: Keeper | None = None) -> None:
        service = KeeperService(keeper or self.world.keeper, on_refused=self._refuse)
        server = await self._serve("keeper", "aggregator", service.handle, self.keeper_port)
        self.keeper_port = server.port

    async def stop_keeper(self) -> None:
        await self._servers.pop("keeper").close()

    async def start_aggregator(self) -> None:
        world = self.world
        self.vitals = Vitals("aggregator")
        self.upper = None if self._make_upper is None else self._make_upper(self.vitals)
        if self.upper is not None:
            self.upper.start()
        self.service = AggregatorService(
            world.enrolments,
            self._make_aggregator,
            world.model_bytes,
            world.provenance,
            make_cosigning=self._make_cosigning,
            keeper=None
            if world.policy.key_authority.is_committee
            else KeeperLink(self._dial_keeper, self.waiting.give_up, self.reports.append),
            verify_in=self.threads,
            rounds=world.rounds,
            waiting=self.waiting,
            on_received=lambda number, silo, _: self.received.append((number, silo)),
            on_refused=self._refuse,
            report=self.reports.append,
            vitals=self.vitals,
            upper=self.upper,
        )
        self.port = (await self._serve("hub", "silo", self.service.handle, getattr(self, "port", 0))).port
        self.run = asyncio.create_task(self.service.run())

    async def stop_aggregator(self) -> None:
        self.run.cancel()
        await asyncio.gather(self.run, return_exceptions=True)
        if self.upper is not None:
            await self.upper.close()
        if "hub" in self._servers:
            await self._servers.pop("hub").close()

    async def finished(self) -> Aggregator:
        """The aggregator, once all rounds are done."""
        return await asyncio.wait_for(asyncio.shield(self.run), self.soon)

    async def until(self, ready: Callable[[], bool]) -> None:
        async with asyncio.timeout(self.soon):
            while not ready():
                await asyncio.sleep(0.01)

    # --------------------------------------------------------------------------------------------------------- silos

    def silo(self, name: str, train: Callable[[Arrays], Sequence[Any]] | None = None, **changes: Any) -> RunningSilo:
        """A silo in a thread of its own; ``changes`` go to :meth:`World.make_silo`."""
        witness = changes.pop("witness", None)
        machine = changes.pop("machine", None) or self.world.make_silo(name, **{"log": MemoryLog()} | changes)
        return RunningSilo(self, name, machine, train or (lambda model: trained(name, model)), witness)

    def silos(self, *names: str) -> list[RunningSilo]:
        return [self.silo(name) for name in names or self.world.names]

    async def channel(self, name: str, role: str = "silo") -> AsyncChannel:
        """A bare channel of a silo, for whoever does not keep to the protocol."""
        return await open_channel(
            HOST,
            self.port,
            identity=identity(name, role),
            trust=consortium(TRUSTED).trust,
            expect_role="aggregator",
            timeout=self.timeout,
            clock=self.world.clock,
        )

    def dialer(self, name: str, role: str, port: int) -> Dialer:
        return Dialer(
            HOST,
            port,
            credentials=FixedCredentials(identity(name, role), consortium(TRUSTED).trust),
            expect_role="keeper" if role == "aggregator" else "aggregator",
            timeout=self.timeout,
            clock=self.world.clock,
            policy=self.channels,
        )

    def dialling(self, name: str) -> Callable[[], Channel]:
        """How a silo makes its channels."""
        of = self.dialer(name, "silo", self.port)

        def dial() -> Channel:
            channel = of.connect()
            self.dialled.append((name, channel.resumed))
            return channel

        return dial

    # ------------------------------------------------------------------------------------------------------- details

    def _make_aggregator(self, job: Any) -> Aggregator:
        self.world.aggregator = self.world.make_aggregator(job)
        return self.world.aggregator

    async def _serve(self, name: str, allowed: str, handler: Any, port: int) -> Server:
        server = await serve(
            HOST,
            port,
            credentials=FixedCredentials(
                identity(name, "keeper" if name == "keeper" else "aggregator"), consortium(TRUSTED).trust
            ),
            allow_roles=[allowed],
            handler=handler,
            policy=self.channels,
            on_refused=lambda _, error: self.dropped.append(error),
            timeout=self.timeout,
            clock=self.world.clock,
        )
        self._servers[name] = server
        return server

    async def _dial_keeper(self) -> AsyncChannel:
        if self._keeper_dialer is None or self._keeper_dialer[0] != self.keeper_port:
            self._keeper_dialer = self.keeper_port, self.dialer("hub", "aggregator", self.keeper_port or 1)
        channel = await self._keeper_dialer[1].open()
        self.dialled.append(("hub", channel.resumed))
        return channel

    def _refuse(self, asker: str, error: QuatrefoilError) -> None:
        self.refused.append((asker, error))


class RunningSilo:
    """``result()``: what it ended with. ``reports``: what it said. ``questions``: what it asked for, in order."""

    def __init__(
        self,
        hub: Loopback,
        name: str,
        machine: Silo,
        train: Callable[[Arrays], Sequence[Any]],
        witness: SiloWitness | None = None,
    ) -> None:
        self.name = name
        self.machine = machine
        self._soon = hub.soon
        self.reports: list[str] = []
        service = SiloService(
            machine,
            signing_of(machine),
            hub.dialling(name),
            witness=witness,
            give_up=hub.silos_give_up,
            report=self.reports.append,
        )
        self._running = asyncio.get_running_loop().run_in_executor(hub.threads, service.run, train)
        # Many tests end with the silo still asking: that it then fails is nobody's surprise.
        self._running.add_done_callback(lambda running: running.cancelled() or running.exception())

    async def result(self) -> Finished:
        return await asyncio.wait_for(asyncio.shield(self._running), self._soon)

    @property
    def ended(self) -> bool:
        return self._running.done()


class Gate:
    """A training that waits until it is opened."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._opened = threading.Event()
        self.reached = threading.Event()

    def train(self, model: Arrays) -> Arrays:
        self.reached.set()
        assert self._opened.wait(SOON)
        return trained(self._name, model)

    def open(self) -> None:
        self._opened.set()


def trained(name: str, model: Arrays) -> Arrays:
    return [array + array.dtype.type(UPDATES[name]) for array in model]


async def ask(channel: AsyncChannel, method: str, body: bytes = b"") -> bytes | None:
    return await ask_async(channel, method, body, limit=LARGEST_MESSAGE)


async def join(channel: AsyncChannel, silo: Silo) -> None:
    """Everything before the rounds, question by question, as often as it takes."""
    invitation = await ask(channel, "invitation")
    assert invitation is not None
    await ask(channel, "enrol", silo.enrol(invitation))
    while (job := await ask(channel, "job")) is None:
        pass
    await ask(channel, "consent", silo.consent(job))
    while (start := await ask(channel, "start")) is None:
        pass
    job, model, parent = parts.split(start, 3)
    signing_of(silo).begin(job, model, parent)
    silo.start(job, model)


def signing_of(silo: Silo) -> SiloProvenance:
    """What a bare silo signs statements of provenance with; all it knows is in its state."""
    return SiloProvenance(
        security=silo._security,
        notary=notary(identity(silo._security.name, "silo"), silo._clock),
        policy=silo._policy,
        state=silo._state,
        log=silo._log,
        clock=silo._clock,
    )


async def ask_next(channel: AsyncChannel, silo: Silo, done: int | None = None) -> tuple[bytes, bytes] | None:
    """Kind and content of what comes next, or None for ``wait``."""
    number = (silo.rounds_done if done is None else done).to_bytes(8, "big")
    answer = await ask(channel, "next", parts.join([silo.job.digest(), number]))
    if answer is None:
        return None
    kind, content = parts.split(answer, 2)
    return kind, content


async def take_offer(channel: AsyncChannel, silo: Silo) -> tuple[bytes, list[bytes]]:
    """The offer of the open attempt, with the voids before it."""
    while (found := await ask_next(channel, silo)) is None or found[0] in (b"result", b"confirm"):
        await go_along(channel, silo, found)
    assert found[0] == b"offer", found[0]
    offer, voids, receipts = parts.split(found[1], 3)
    silo.take_void_receipts(receipts, parts.split_list(voids, 16))
    return offer, parts.split_list(voids, 16)


async def go_along(channel: AsyncChannel, silo: Silo, found: tuple[bytes, bytes] | None) -> None:
    """Accept a result, confirm a roster, sign the statement of provenance."""
    if found is not None and found[0] == b"result":
        silo.accept(*parts.split(found[1], 4))
    if found is not None and found[0] == b"confirm":
        offer, proposal, voids = parts.split(found[1], 3)
        await ask(channel, "confirm", silo.confirm(offer, proposal, parts.split_list(voids, 16)))
    if found is not None and found[0] == b"provenance":
        (envelope,) = parts.split(found[1], 1)
        await ask(channel, "sign", signing_of(silo).sign(envelope, silo.job, silo.model))


async def refuse_the_result(channel: AsyncChannel, silo: Silo, problem: str) -> None:
    """Go along until a result comes with receipts that this silo's machine cannot believe; then hear that the job is
    done, and say goodbye."""
    while (found := await ask_next(channel, silo)) is None or found[0] != b"result":
        await go_along(channel, silo, found)
    with pytest.raises(EvidenceRejected, match=problem):
        await go_along(channel, silo, found)
    while (found := await ask_next(channel, silo, silo.rounds_done + 1)) is None or found[0] == b"provenance":
        if found is not None:
            await ask(channel, "object", b"took no result")
    assert found == (b"done", parts.join([]))
    await channel.close()


async def leave(channel: AsyncChannel, silo: Silo) -> None:
    """Take every result, hear that the job is done, and say goodbye."""
    while (found := await ask_next(channel, silo)) is None or found[0] != b"done":
        await go_along(channel, silo, found)
    await channel.close()
