"""A broker for measuring others: in a thread of this process, with channels, a state and a log on a disk, and one
machine whose TPM is a key in software (``quoting``)."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from quatrefoil import attested
from quatrefoil.audit import TileLog
from quatrefoil.bench.quoting import Quoting, accepted
from quatrefoil.broker.deciding import Judge
from quatrefoil.broker.machine import Broker
from quatrefoil.enclave.binding import Keyset
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.resources import ReleasePolicy, Stage
from quatrefoil.services.broker import BrokerService
from quatrefoil.state import SqliteState
from quatrefoil.transport import (
    HYBRID_768,
    CertificateAuthority,
    FixedCredentials,
    Identity,
    PostQuantumTransport,
    sealed,
    serve,
    system_clock,
)
from quatrefoil.transport.sealed import RecipientKey

HOST, TIMEOUT = "127.0.0.1", 30.0
ROLES = ("broker", "silo", "workload")
_HOUR = 3600


class BrokerSite:
    """Everybody's identities, each named as its role, and the broker while this is entered.

    ``folder``: new; holds each identity in a folder of its name, ``root.pem``, and the broker's state and log.
    """

    def __init__(self, folder: Path) -> None:
        authority = CertificateAuthority.create(folder / "ca", "bench", clock=system_clock)
        for file, content in authority.public_files().items():
            (folder / file).write_bytes(content)
        self.trust = authority.trust
        self.people = {role: authority.issue(role, role, directory=folder / role) for role in ROLES}
        self.machine = Quoting()
        self.state = SqliteState(folder / "state" / "state.sqlite")
        self.log = TileLog(folder / "state", self.people["broker"], self.trust)
        key = RecipientKey.generate(sealed.HYBRID_768)
        self.recipient = key.recipient.public
        self.broker = Broker(
            security=self.security("broker"),
            key=key,
            keyset=_keyset(key, self.people["broker"]),
            judge=Judge(lambda: self.collateral, HYBRID_768),
            attester=None,
            state=self.state,
            log=self.log,
            clock=system_clock,
        )
        self.port = 0
        self._ready = threading.Event()
        self._stop: Callable[[], object] = lambda: None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    @property
    def collateral(self) -> Collateral:
        """The machine's key, pinned."""
        return Collateral(keys=(self.machine.spki,))

    def security(self, role: str) -> PostQuantumTransport:
        return PostQuantumTransport(self.people[role], self.trust, clock=system_clock)

    async def _serve(self) -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        self._stop = lambda: loop.call_soon_threadsafe(stop.set)
        async with await serve(
            HOST,
            0,
            credentials=FixedCredentials(self.people["broker"], self.trust),
            allow_roles=["workload"],
            handler=BrokerService(self.broker, on_refused=_refused).handle,
            on_refused=_refused,
            timeout=TIMEOUT,
            clock=system_clock,
        ) as server:
            self.port = server.port
            self._ready.set()
            await stop.wait()

    def __enter__(self) -> BrokerSite:
        self._thread.start()
        self._ready.wait(TIMEOUT)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._thread.join(TIMEOUT)
        self.state.close()
        self.log.close()


def _refused(who: str, error: Exception) -> None:
    """On standard error: a measurement that a refusal has ended would not say why."""
    print(f"the measured broker refuses {who}: {error}", file=sys.stderr, flush=True)


def serving_release(name: str) -> ReleasePolicy:
    """A release policy with one stage, ``serve``, for the machine of the site."""
    return ReleasePolicy(name, ("serve",), (Stage("serve", accepted(), _HOUR, "allowed", ()),))


def _keyset(key: RecipientKey, identity: Identity) -> Keyset:
    now = int(time.time())
    return Keyset(attested.sealing_key(key.recipient.public), attested.tls_key(identity), b"", now - _HOUR, now + _HOUR)


__all__ = ["HOST", "TIMEOUT", "BrokerSite", "serving_release"]
