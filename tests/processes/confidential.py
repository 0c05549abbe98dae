"""Everybody of confidential serving as processes on one machine: broker, server of a sealed model, gateway before a
small language model, a relay and a proxy before each.

The owner's and the patient's files lie elsewhere: in the folder is what the others write.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from onnx import helper

from broker_room import SOON, Room, Running, said
from quatrefoil import cli
from quatrefoil.demo.processes import free_port
from serving_policies import serving_policy
from small_models import FLOAT, INT64, STRING, model, weights
from software_tpm import SoftwareTpm, software_tpm
from support import Consortium
from upstreams import running as upstreams

LEASE_S = 16
WHO_RENEWS = (("worker", "workload"), ("relay", "workload"), ("other-relay", "workload"), ("clinic", "silo"))
MODEL = "triage"
W = np.random.default_rng().normal(size=(4, 4)).astype("f4")
"""Weights that are found nowhere by chance."""


def triage() -> bytes:
    """y = x W; the note and the codes of a patient, the codes with another sign."""
    return model(
        [
            helper.make_node("MatMul", ["x", "W"], ["y"]),
            helper.make_node("Identity", ["note"], ["noted"]),
            helper.make_node("Neg", ["codes"], ["coded"]),
        ],
        [("x", FLOAT, ["n", 4]), ("note", STRING, ["k"]), ("codes", INT64, ["m"])],
        [("y", FLOAT, ["n", 4]), ("noted", STRING, ["k"]), ("coded", INT64, ["m"])],
        [weights("W", W)],
    )


class Site(Room):
    """Who runs, by name. ``files``: of the owner and the patient."""

    def __init__(self, folder: Path, machine: SoftwareTpm, people: Consortium, files: Path) -> None:
        super().__init__(folder, machine, people)
        self.files = files
        self.running: dict[str, Running] = {}
        for name in ("relay", "other-relay"):
            people.identity(name, "workload")
            (folder / name).symlink_to(people.folder(name, "workload"))

    # ------------------------------------------------------------------------------------------------------ who runs

    def seal(self) -> None:
        """The owner's part: the model is sealed to the broker, and its plain file is the owner's only."""
        plain = self.files / "triage.onnx"
        plain.write_bytes(triage())
        assert cli.main(["model", "key", "owner.pem"]) == 0
        root = self.model_sealed(plain, MODEL, LEASE_S)
        (self.folder / "serving.toml").write_text(serving_policy(MODEL, root, seconds=30))
        (self.folder / "gateway.toml").write_text(serving_policy(upstreams.NAME, "ab" * 32, seconds=30))
        self.asks(f"register {MODEL}.sealed")

    def starts(self) -> None:
        """All of them, beside each other where they can be."""
        weights_file = upstreams.trained(self.files)
        port = free_port()
        upstream = [sys.executable, str(upstreams.EXAMPLE / "upstream.py"), str(weights_file)]
        self.running["upstream"] = Running(self.folder, [*upstream, "--listen", f"127.0.0.1:{port}"])
        common = f"--listen 127.0.0.1:0 --identity worker --root root.pem --collateral collateral {self.collecting}"
        self.running["server"] = self.process(
            f"serve {MODEL}.sealed --policy serving.toml --state server {common} --metrics 127.0.0.1:0 "
            f"--broker 127.0.0.1:{self.port} --broker-name vault --stage serve"
        )
        self.running["gateway"] = self.process(
            f"serve --upstream http://127.0.0.1:{port} --policy gateway.toml --state gateway {common} "
            "--metrics 127.0.0.1:0"
        )
        for relay, of, name in (("relay", "server", "relay"), ("gateway-relay", "gateway", "other-relay")):
            self.running[relay] = self.process(
                f"relay {self.url(of)} --listen 127.0.0.1:0 --identity {name} --root root.pem"
            )
        for proxy, of, relay, policy in (
            ("proxy", "server", "relay", "serving.toml"),
            ("gateway-proxy", "gateway", "gateway-relay", "gateway.toml"),
        ):
            self.running[proxy] = self.process(
                f"proxy {self.url(of)} --relay {self.url(relay)} --policy {policy} --listen 127.0.0.1:0 "
                f"--identity clinic --root root.pem --collateral collateral --receipts kept-{of}"
            )
        for name in ("proxy", "gateway-proxy"):
            self.port_of(name)

    def port_of(self, name: str, pattern: str = r"(?:listens on|answers for model \S+ on) \S*?127.0.0.1:(\d+)") -> int:
        return int(self.waited(self.running[name], pattern))

    def url(self, name: str) -> str:
        return f"https://127.0.0.1:{self.port_of(name)}"

    def until(self, holds: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + SOON
        while not holds():
            assert time.monotonic() < end, what
            time.sleep(0.05)

    # -------------------------------------------------------------------------------------------------- certificates

    def renew_certificates(self) -> None:
        """Everybody who serves or asks gets a new key and certificate, and the old ones are revoked."""
        ca = str(self.people.directory)
        for name, role in (
            ("worker", "workload"),
            ("relay", "workload"),
            ("other-relay", "workload"),
            ("clinic", "silo"),
        ):
            folder = self.people.folder(name, role)
            assert cli.main(["ca", "renew", ca, name, "--identity", str(folder)]) == 0
            first = str(folder / "certificate.pem")
            assert cli.main(["ca", "revoke", ca, first, "--reason", "superseded"]) == 0
        for name in ("server", "gateway", "relay", "gateway-relay", "proxy", "gateway-proxy"):
            assert self.running[name].poll() is None, said(self.running[name])

    def renewals(self) -> int:
        """How often the lease of the model was renewed."""
        return max(int(one["number"]) for one in self.asks("leases")["leases"])

    # -------------------------------------------------------------------------------------------------- what is there

    def written(self) -> Iterator[tuple[str, bytes]]:
        """Every file of every party, and what their processes have open though it has no name any more."""
        for file in sorted(self.folder.rglob("*")):
            if file.is_file():
                yield str(file.relative_to(self.folder)), file.read_bytes()
        for name, process in {**self.running, "broker": self.broker}.items():
            for opened in Path(f"/proc/{process.pid}/fd").glob("*"):
                target = str(opened.readlink())
                if target.endswith("(deleted)") and "memfd:" not in target:
                    yield f"{name}: {target}", opened.read_bytes()

    def stop(self) -> None:
        for process in reversed(self.running.values()):
            if process.poll() is None:
                process.terminate()
        for process in self.running.values():
            process.wait(SOON)


@contextmanager
def site(folder: Path, files: Path) -> Iterator[Site]:
    with software_tpm() as machine:
        made = Site(folder, machine, Consortium(files / "ca"), files)
        new = "broker new --identity vault --root root.pem --state vault-state --root-key vault.key"
        assert cli.main(new.split()) == 0
        made.start()
        try:
            made.asks("key --out vault.cert --unattested")
            made.seal()
            made.starts()
            yield made
        finally:
            for process in made.running.values():
                process.kill()
                process.wait(SOON)
            made.kill()


__all__ = ["LEASE_S", "MODEL", "Site", "W", "site"]
