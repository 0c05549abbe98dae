"""Who takes part: nodes of a run are greeted as they come, and each silo is attended at the node that answered last."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from quatrefoil.contracts import Recipient, TransportSecurity
from quatrefoil.errors import MessageRefused, PeerUnreachable, QuatrefoilError
from quatrefoil.flower.courier import TRAIN, UNTIL_AGAIN, App, Carry, Courier
from quatrefoil.flower.post import Post
from quatrefoil.flower.records import Carried
from quatrefoil.flower.session import Session, greet, greeted
from quatrefoil.meter import Meter
from quatrefoil.services.aggregator import AggregatorService
from quatrefoil.transport import system_clock

_LOOK = 1.0
"""Seconds between two looks for nodes that came or went."""


class Attending:
    """Greets nodes and carries for those that are silos of the job, until it is cancelled."""

    def __init__(
        self,
        service: AggregatorService,
        app: App,
        post: Post,
        *,
        security: TransportSecurity,
        meter: Meter,
        report: Callable[[str], None],
    ) -> None:
        """``meter``: how long messages and their replies are under way, and their bytes."""
        self._service = service
        self._app = app
        self._post = post
        self._security = security
        self._meter = meter
        self._report = report
        self._key: Recipient = security.new_recipient()
        self._nodes: dict[int, asyncio.Task[None]] = {}
        self._silos: dict[str, int] = {}

    async def run(self) -> None:
        """Look for nodes again and again. A node that is gone is given up: its silo comes back under another."""
        try:
            while True:
                try:
                    there = await self._post.nodes()
                except QuatrefoilError as error:
                    self._report(str(error))
                    there = set(self._nodes)
                for node in there - set(self._nodes):
                    self._nodes[node] = asyncio.create_task(self._attend(node))
                    self._nodes[node].add_done_callback(_tell)
                for node in set(self._nodes) - there:
                    self._nodes.pop(node).cancel()
                await asyncio.sleep(_LOOK)
        finally:
            for task in self._nodes.values():
                task.cancel()
            await asyncio.gather(*self._nodes.values(), return_exceptions=True)
            self._key.wipe()

    async def _attend(self, node: int) -> None:
        silo, session = await self._greet(node)
        if silo not in self._service.standing.invited:
            self._report(f"{silo}, at node {node}, is not invited to this job")
            return
        if (other := self._silos.get(silo)) is not None and (before := self._nodes.get(other)) is not None:
            self._report(f"{silo} is at node {node} now, and no longer at {other}")
            before.cancel()
        else:
            self._report(f"{silo} is at node {node}")
        self._silos[silo] = node
        try:
            await Courier(silo, self._service, self._app, self._carrying(node, session), self._report).run()
        except QuatrefoilError as error:
            self._report(f"{silo}: {error}")
        finally:
            session.wipe()

    async def _greet(self, node: int) -> tuple[str, Session]:
        while True:
            signed, digest = greet(self._security, self._key, self._post.run, node, os.urandom(16), at=system_clock())
            try:
                answer = await self._exchange(node, Carried(signed, hello=True), TRAIN, "hello")
                return greeted(self._key, digest, answer.payload, os.urandom)
            except QuatrefoilError as error:
                self._report(f"node {node} does not answer a hello: {error.problem}")
                await asyncio.sleep(UNTIL_AGAIN)

    def _carrying(self, node: int, session: Session) -> Carry:
        number = 0

        async def carry(message: bytes, kind: str) -> bytes:
            nonlocal number
            number += 1
            sealed = session.seal(message, number=number, kind=kind)
            sent = Carried(sealed, session=session.hello, number=number)
            replied = await self._exchange(node, sent, kind, str(self._round()))
            if (replied.session, replied.number) != (session.hello, number):
                raise PeerUnreachable(
                    "the SuperLink delivered the reply to another message", hint="Find out who runs it"
                )
            try:
                return session.open(replied.payload, number=number, kind=kind)
            except MessageRefused as error:
                # Nothing says that it was the silo: whoever carries can alter it.
                raise PeerUnreachable(error.problem, hint=error.hint) from None

        return carry

    async def _exchange(self, node: int, sent: Carried, kind: str, group: str) -> Carried:
        with self._meter.timed("flower.exchange") as cost:
            replied = Carried.read(await self._post.exchange(node, sent.record(), kind, group))
            cost.bytes += len(sent.payload) + len(replied.payload)
        return replied

    def _round(self) -> int:
        return self._service.standing.rounds_done + 1


def _tell(task: asyncio.Task[None]) -> None:
    """What is no error of ours is a fault of this program: it ends one silo's attendance, and is shown."""
    if not task.cancelled() and (error := task.exception()) is not None:
        asyncio.get_running_loop().call_exception_handler({"message": "attending a node failed", "exception": error})


__all__ = ["Attending"]
