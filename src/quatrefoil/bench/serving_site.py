"""One model that is served twice on this machine: in the clear and unattested, and sealed, attested and encrypted.

Both servers are processes of their own with the same web server, protocol handler, engine and limits. What is beside
them in the second is all that this project puts there: TLS of both ends, encapsulation to an attested key, padding,
receipts in a journal and a log; and the weights come out of a sealed model whose key a broker released.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from quatrefoil import exchange
from quatrefoil.bench.broker_site import HOST, BrokerSite, serving_release
from quatrefoil.bench.quoting import accepted
from quatrefoil.bench.serving_models import Served
from quatrefoil.broker.messages import Asker
from quatrefoil.errors import HostError
from quatrefoil.exchange import ServingPolicy
from quatrefoil.resources.container import FILE, About, Owner, claimed_time, opened_front, reading, seal
from quatrefoil.transport import system_clock
from quatrefoil.transport.sealed import Judged, new_file

Kind = Literal["plain", "layered", "channel", "served"]
"""The last two compute on what is encrypted (``runs.far``): behind a channel alone, and served like "layered"."""

MODEL, SEALED, POLICY, MACHINE, BROKER, THREADS = (
    "model.onnx",
    "model.sealed",
    "policy",
    "machine.pem",
    "port",
    "threads",
)
OWNER = "silo"
STAGE = "serve"
CONCURRENT = 2
"""Requests computed at once: one a core of a small machine."""

_PATIENCE, _LAST = 60.0, 15.0


class ServingSite:
    """``folder``: new. While it is entered the broker answers, and servers can be started."""

    def __init__(
        self, folder: Path, served: Served, *, threads: int = 1, body_bytes: int = 4 << 20, seconds: int = 60
    ) -> None:
        """``body_bytes``: of a request and of an answer at most. ``seconds``: that one may take."""
        folder.mkdir()
        self.folder, self.served = folder, served
        self._ends = ExitStack()
        self.site = BrokerSite(folder)
        self.site.machine.save(folder / MACHINE)
        (folder / MODEL).write_bytes(served.model)
        self.policy = policy_for(served.name, self._seal(), body_bytes=body_bytes, seconds=seconds)
        (folder / POLICY).write_bytes(self.policy.encode())
        (folder / THREADS).write_text(str(threads))

    def _seal(self) -> bytes:
        """The root of the sealed model, whose key the broker has."""
        security = self.site.security(OWNER)
        verifying = claimed_time(self.site.trust, judged=Judged.NOW, clock=system_clock)
        now = int(system_clock().timestamp())
        about = About("model", self.served.name, 1, now, (STAGE,), serving_release(self.served.name), "")
        with (
            reading(self.folder / MODEL, FILE, salt=None) as content,
            new_file(self.folder / SEALED, mode=0o600) as sink,
        ):
            owner = Owner(security.sign, security.verify, Ed25519PrivateKey.generate())
            brokers = [self.site.recipient]
            seal(content, sink, about=about, owner=owner, brokers=brokers, threads=2, progress=lambda _: None)
        with opened_front(self.folder / SEALED, verifying) as (_, front):
            (key,) = front.keys
            self.site.broker.register(front.owned.signed, key.encode(), asker=Asker(OWNER, "silo"))
            return front.root

    def __enter__(self) -> ServingSite:
        self._ends.enter_context(self.site)
        (self.folder / BROKER).write_text(str(self.site.port))
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def start(self, kind: Kind) -> Server:
        """A server that answers, until it is stopped or the site is left."""
        server = Server(kind, self.folder)
        self._ends.callback(server.stop)
        server.wait()
        return server


@dataclass(frozen=True)
class Usage:
    """Of a process so far: seconds of processor time, bytes in memory."""

    cpu_s: float
    resident: int


class Server:
    """A process. ``began``: when it was started, on the clock of ``time.perf_counter``."""

    def __init__(self, kind: Kind, folder: Path) -> None:
        self.kind, self.port = kind, 0
        self._errors = folder / f"{kind}.err"
        self.began = time.perf_counter()
        module = "serving_far" if kind in ("plain", "layered") else "runs.far"
        command = [sys.executable, "-m", f"quatrefoil.bench.{module}", kind, str(folder)]
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(  # noqa: S603
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True
            )

    @property
    def url(self) -> str:
        return f"{'http' if self.kind == 'plain' else 'https'}://{HOST}:{self.port}"

    def wait(self) -> None:
        """Until it answers; ``HostError`` with its last words where it does not."""
        assert self._process.stdout is not None
        said = self._process.stdout.readline().strip()
        if not said.isdigit():
            self.stop()
            lines = self._errors.read_text(errors="replace").strip().splitlines()
            told = lines[-1] if lines else "it said nothing"
            raise HostError(f"the {self.kind} server of the bench did not start: {told}", hint="Correct that")
        self.port = int(said)

    def usage(self) -> Usage:
        """From ``/proc`` (proc_pid_stat(5), proc_pid_statm(5))."""
        folder = Path("/proc") / str(self._process.pid)
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])
        pages = int((folder / "statm").read_text().split()[1])
        return Usage(ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE"))

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_LAST)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def policy_for(model: str, root: bytes, *, body_bytes: int = 4 << 20, seconds: int = 60) -> ServingPolicy:
    """Padded as docs/serving.md advises. Nothing rotates while it is measured."""
    return ServingPolicy(
        name="bench",
        model=exchange.Model(model, root),
        attestation=exchange.Attestation(accepted(), 3600),
        keys=exchange.Keys(rotate_s=3600, overlap_s=600),
        limits=exchange.Limits(
            request_bytes=body_bytes,
            answer_bytes=body_bytes,
            connections=1024,
            concurrent=CONCURRENT,
            queued=1024,
            seconds=seconds,
            stream_seconds=seconds,
        ),
        padding=exchange.Padding("padme", "padme"),
        stream=exchange.Stream(0, 0),
        isolation=exchange.Isolation("request"),
    )


__all__ = [
    "BROKER",
    "MACHINE",
    "MODEL",
    "OWNER",
    "POLICY",
    "SEALED",
    "STAGE",
    "THREADS",
    "Server",
    "ServingSite",
    "Usage",
]
