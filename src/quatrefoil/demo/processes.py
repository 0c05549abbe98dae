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
from typing import Any

from quatrefoil.errors import HostError
from quatrefoil.transport import CertificateAuthority, system_clock

HOST = "127.0.0.1"
STOP_SECONDS = 5.0


class Processes:
    """Parties of one job. ``with`` stops whatever still runs."""

    def __init__(
        self, folder: Path, *, policy: Path, workload: Path, silos: Mapping[str, Path], cwd: Path | None = None
    ) -> None:
        """``silos``: data file of each. ``cwd``: where the training module is found, if it is not installed."""
        self.folder = folder
        self.cwd = cwd
        self.policy = policy
        self.workload = workload
        self.silos = dict(silos)
        self.keeper_port, self.aggregator_port = free_port(), free_port()
        self.running: dict[str, subprocess.Popen[str]] = {}
        authority = CertificateAuthority.create(folder / "ca", "loopback-consortium", clock=system_clock)
        self.root = folder / "root.pem"
        self.root.write_bytes((folder / "ca" / "root.pem").read_bytes())
        for name, role in (("keeper", "keeper"), ("aggregator", "aggregator"), *((silo, "silo") for silo in silos)):
            authority.issue(name, role, directory=folder / "identities" / name)

    def start_keeper(self) -> None:
        self._start("keeper", ["keeper", "--listen", f"{HOST}:{self.keeper_port}"])

    def start_aggregator(self, *, initial: str, job: str, arguments: Sequence[str] = ()) -> None:
        self._start(
            "aggregator",
            [
                "aggregator",
                *("--workload", str(self.workload), "--listen", f"{HOST}:{self.aggregator_port}"),
                *("--keeper", f"{HOST}:{self.keeper_port}", "--silos", ",".join(self.silos)),
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

    def kill(self, name: str) -> None:
        """Stop a party at once, as a power cut would."""
        process = self.running.pop(name)
        process.kill()
        process.wait()

    def wait(self, name: str, seconds: float) -> None:
        """Wait for a party to end well; ``HostError`` with its last lines when it fails or takes too long."""
        process = self.running[name]
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise HostError(f"{name} did not end within {seconds} s: {self.output(name)}", hint="See its log") from None
        del self.running[name]
        if code != 0:
            raise HostError(f"{name} failed: {self.output(name)}", hint="See its log") from None

    def output(self, name: str) -> str:
        """The last lines that a party printed."""
        return " / ".join((self.folder / f"{name}.out").read_text().splitlines()[-4:])

    def result(self, name: str) -> dict[str, Any]:
        """What a party wrote with --json."""
        content: dict[str, Any] = json.loads((self.folder / f"{name}.json").read_text())
        return content

    def log(self, name: str) -> Path:
        """A party's log."""
        return self.folder / "state" / name / "log.jsonl"

    def wait_for(self, name: str, text: str, seconds: float) -> None:
        """Wait until a party has printed ``text``."""
        end = time.monotonic() + seconds
        while text not in (self.folder / f"{name}.out").read_text():
            if self.running[name].poll() is not None or time.monotonic() > end:
                raise HostError(f"{name} never printed {text!r}: {self.output(name)}", hint="See its log")
            time.sleep(0.02)

    def _start(self, name: str, arguments: Sequence[str]) -> None:
        command = [
            *(sys.executable, "-m", "quatrefoil.cli", *arguments),
            *("--identity", str(self.folder / "identities" / name), "--root", str(self.root)),
            *("--policy", str(self.policy), "--state", str(self.folder / "state" / name)),
        ]
        with (self.folder / f"{name}.out").open("a") as output:
            self.running[name] = subprocess.Popen(  # noqa: S603
                command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=self.cwd, text=True
            )

    def __enter__(self) -> Processes:
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


def free_port() -> int:
    """A port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
