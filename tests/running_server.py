"""A server of confidential inference over channels, in a thread with a loop of its own."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import small_models
from quatrefoil.audit import MemoryLog
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.errors import PeerError
from quatrefoil.exchange import ServingPolicy, protocol
from quatrefoil.inference import OnnxEngine
from quatrefoil.serving.handler import Handler
from quatrefoil.serving.keys import ServingKeys
from quatrefoil.serving.oip import OipHandler
from quatrefoil.serving.receipt_log import ReceiptLog
from quatrefoil.serving.receipts import ReceiptIssuer
from quatrefoil.serving.record_writer import Recorder
from quatrefoil.serving.server import Serving
from quatrefoil.transport import ROLES, FixedCredentials, HybridContext, system_clock
from serving_parts import COMMITMENT, ISSUER, MODEL, SnpMachine, serving_policy
from support import Consortium


class Running:
    """A server over channels, in a thread with a loop of its own: for clients of whatever kind.

    ``people``: its consortium; the server is ``workload`` :data:`ISSUER`, with a certificate for 127.0.0.1. What a
    client needs: ``url``, ``policy``, ``collateral``, ``people.trust``. :meth:`call` runs something in its loop.
    """

    def __init__(
        self,
        people: Consortium,
        folder: Path,
        policy: ServingPolicy,
        handler: Handler | None,
        machine: SnpMachine,
        recorder: Recorder | None = None,
    ) -> None:
        self.people, self.policy, self.machine = people, policy, machine
        self.collateral = Collateral()
        self.said: list[str] = []
        self.log = MemoryLog()
        self.refused: list[PeerError] = []
        self.issuer = ReceiptIssuer(
            issuer=ISSUER,
            model=policy.model.root,
            commitment=COMMITMENT if recorder else b"",
            measurement="",
            policy=policy.digest(),
            plan=policy.plan,
            journal=folder / "receipts",
            log=self.log,
            clock=system_clock,
        )
        self.records = ReceiptLog(self.issuer, policy.attestation.appraisal, self.said.append, recorder=recorder)
        self.keys = ServingKeys(
            machine, policy, collateral=lambda: self.collateral, events=self.records, clock=system_clock
        )
        self.handler = handler or OipHandler(OnnxEngine(small_models.linear(), name=MODEL, version="1"), policy)
        self.failed: BaseException | None = None
        self._ready = threading.Event()
        self._keeping: asyncio.Future[None] | None = None
        self._thread = threading.Thread(target=self._run, name="server")

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.serving.port}"

    def call(self, made: Callable[[], Any]) -> Any:
        """Run a function, or what it returns to be awaited, in the server's loop."""

        async def run() -> Any:
            found = made()
            return await found if inspect.isawaitable(found) else found

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(60)

    def rotate(self) -> None:
        """New keys now; the last ones stay during their overlap."""
        self.keys.rotate()

    def forget_keys(self) -> None:
        """New keys now, and the last ones are gone: clients find theirs unknown."""
        with self.keys._lock:
            old = list(self.keys._uses.values())
        self.keys.rotate()
        for use in old:
            use.over = True
        self.keys._wipe()

    def end_lease(self, error: Exception) -> None:
        """What a lease holder does when its lease is over."""

        def end() -> None:
            assert self._keeping is not None
            self._keeping.set_exception(error)

        self.call(end)

    def start(self) -> Running:
        self._thread.start()
        self._ready.wait(60)
        if self.failed is not None:
            self._thread.join(60)
            raise self.failed
        return self

    def stop(self) -> None:
        """As SIGTERM does. What the server ended with is in ``failed``."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self.join()

    def join(self) -> None:
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        try:
            asyncio.run(self._served())
        except BaseException as error:
            self.failed = error
        finally:
            self._ready.set()

    async def _served(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._keeping = self._loop.create_future()
        keeping = self._keeping
        tls = HybridContext(
            FixedCredentials(self.people.identity(ISSUER, protocol.SERVER_ROLE), self.people.trust),
            allow_roles=ROLES,
            clock=system_clock,
            protocol=b"http/1.1",
            on_refused=self.refused.append,
        )
        self.serving = Serving(
            self.handler,
            self.keys,
            self.records,
            self.policy,
            listen=("127.0.0.1", 0),
            tls=tls,
            metrics=("127.0.0.1", 0),
            clock=system_clock,
            report=self.said.append,
        )
        await self.serving.run(self._stop, keeping=lambda: keeping, started=self._ready.set)


@contextmanager
def running(
    people: Consortium,
    folder: Path,
    *,
    policy: ServingPolicy | None = None,
    handler: Handler | None = None,
    machine: SnpMachine | None = None,
    recorder: Recorder | None = None,
) -> Iterator[Running]:
    """A server that answers, until the end of the block."""
    made = Running(people, folder, policy or serving_policy(), handler, machine or SnpMachine(), recorder).start()
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def server(own_roots: None, consortium: Consortium, tmp_path: Path) -> Iterator[Running]:
    """A running server of the small model."""
    with running(consortium, tmp_path / "server") as made:
        yield made
