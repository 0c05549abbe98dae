"""A job of real processes on this machine: certificates, a keeper, an aggregator and silos, over loopback channels.

Each party is a ``quatrefoil`` command with a folder of its own; what they share is the root certificate, the policy
and the network. Tests use it to kill and restart parties.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from quatrefoil.errors import HostError
from quatrefoil.transport import CertificateAuthority, system_clock

HOST = "127.0.0.1"
STOP_SECONDS = 5.0
GLANCE = 0.02
"""Seconds between two looks at the running parties."""

SETTLE = 0.3
"""Seconds that are given to others to end too once one party failed: the failure may have come from them."""


class Commands:
    """Commands that run at once; each prints into a file ``NAME.out`` in ``folder``. ``with`` stops what still runs."""

    def __init__(self, folder: Path, *, cwd: Path | None = None) -> None:
        """``cwd``: where they run."""
        self.folder = folder
        self.cwd = cwd
        self.running: dict[str, subprocess.Popen[str]] = {}

    def kill(self, name: str) -> None:
        """Stop a party at once, as a power cut would."""
        process = self.running.pop(name)
        process.kill()
        process.wait()

    def wait(self, name: str, seconds: float) -> None:
        """Wait for a party to end well.

        ``HostError`` with its last line when it fails, as soon as any other party fails, or after ``seconds``.
        """
        process = self.running[name]
        end = time.monotonic() + seconds
        while process.poll() is None and not self._failed():
            if time.monotonic() > end:
                raise HostError(f"{name} did not end within {seconds:g} s: {self.output(name)}", hint="Try again")
            time.sleep(GLANCE)
        if process.poll() is None:
            time.sleep(SETTLE)
        if process.poll() == 0:
            del self.running[name]
            return
        failed = sorted(self._failed(), key=lambda one: one != name)  # the awaited party first
        for one in failed:
            del self.running[one]
        told = "; ".join(f"{one} failed: {self.output(one)}" for one in failed)
        raise HostError(told, hint="Correct that, and start again")

    def _failed(self) -> list[str]:
        """Parties that have ended, and not well."""
        return [name for name, process in self.running.items() if process.poll() not in (None, 0)]

    def output(self, name: str) -> str:
        """The last line that a party printed: when it was refused or failed, its reason."""
        lines = (self.folder / f"{name}.out").read_text().strip().splitlines()
        return lines[-1].removeprefix("quatrefoil: ") if lines else "it printed nothing"

    def wait_for(self, name: str, text: str, seconds: float) -> None:
        """Wait until a party has printed ``text``."""
        end = time.monotonic() + seconds
        while text not in (self.folder / f"{name}.out").read_text():
            if self.running[name].poll() is not None or time.monotonic() > end:
                raise HostError(f"{name} never printed {text!r}: {self.output(name)}", hint="See its log")
            time.sleep(0.02)

    def _spawn(self, name: str, command: Sequence[str]) -> None:
        with (self.folder / f"{name}.out").open("a") as output:
            self.running[name] = subprocess.Popen(  # noqa: S603
                command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=self.cwd, text=True
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.running.clear()


class Processes(Commands):
    """Parties of one job. ``with`` stops whatever still runs."""

    def __init__(
        self,
        folder: Path,
        *,
        policy: Path,
        workload: Path,
        silos: Mapping[str, Path],
        cwd: Path | None = None,
        keeper: bool = True,
    ) -> None:
        """``silos``: data file of each. ``cwd``: where the training module is found, if it is not installed.
        ``keeper``: False where the policy appoints a committee."""
        super().__init__(folder, cwd=cwd)
        self.policy = policy
        self.workload = workload
        self.silos = dict(silos)
        self._keeper = keeper
        self.keeper_port, self.aggregator_port = free_port(), free_port()
        authority = CertificateAuthority.create(folder / "ca", "loopback-consortium", clock=system_clock)
        self.root = folder / "root.pem"
        for file, content in authority.public_files().items():
            (folder / file).write_bytes(content)
        for name, role in (("keeper", "keeper"), ("aggregator", "aggregator"), *((silo, "silo") for silo in silos)):
            authority.issue(name, role, directory=folder / "identities" / name)

    def start_keeper(self, *, arguments: Sequence[str] = ()) -> None:
        self._start("keeper", ["keeper", "--listen", f"{HOST}:{self.keeper_port}", *arguments])

    def start_aggregator(self, *, initial: str, job: str, arguments: Sequence[str] = ()) -> None:
        self._start(
            "aggregator",
            [
                "aggregator",
                *("--workload", str(self.workload), "--listen", f"{HOST}:{self.aggregator_port}"),
                *(("--keeper", f"{HOST}:{self.keeper_port}") if self._keeper else ()),
                *("--silos", ",".join(self.silos)),
                *("--initial", initial, "--job", job, "--out", str(self.folder / "model.npz")),
                *("--json", str(self.folder / "aggregator.json"), *arguments),
            ],
        )

    def start_silo(self, name: str, *, train: str, arguments: Sequence[str] = ()) -> None:
        self._start(
            name,
            [
                "silo",
                *("--aggregator", f"{HOST}:{self.aggregator_port}", "--train", train),
                *("--data", str(self.silos[name]), "--json", str(self.folder / f"{name}.json"), *arguments),
            ],
        )

    def result(self, name: str) -> dict[str, Any]:
        """What a party wrote with --json."""
        content: dict[str, Any] = json.loads((self.folder / f"{name}.json").read_text())
        return content

    def log(self, name: str) -> Path:
        """A party's log."""
        return self.folder / "state" / name / "log"

    def _start(self, name: str, arguments: Sequence[str]) -> None:
        command = [
            *command_line(*arguments),
            *("--identity", str(self.folder / "identities" / name), "--root", str(self.root)),
            *("--policy", str(self.policy), "--state", str(self.folder / "state" / name)),
        ]
        self._spawn(name, command)


def command_line(*arguments: str) -> list[str]:
    """``quatrefoil`` with these arguments, by this interpreter."""
    return [sys.executable, "-m", "quatrefoil.cli", *arguments]


def free_port() -> int:
    """A port of this host for a server that starts within the next minute; nobody else is given it.

    A closed connection is left behind on it (TIME_WAIT, RFC 9293 section 3.6.1). While that lasts, the kernel picks the
    port neither for a connection nor for a socket that asks for any port, and still lets a server with SO_REUSEADDR,
    which asyncio sets, listen on it.
    """
    with socket.create_server((HOST, 0)) as listener:
        port = int(listener.getsockname()[1])
        with socket.create_connection((HOST, port)) as client:
            listener.accept()[0].close()  # the end that closes first is the one that is left behind
            client.recv(1)
    return port
