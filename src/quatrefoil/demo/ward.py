"""The trained model put to use: sealed to a broker, released to measured code, served by it; each party a process.

One machine has a TPM in software, which broker and server share. Files and commands are those of docs/serving.md.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from quatrefoil import exchange
from quatrefoil.broker.root_file import FileRootKey
from quatrefoil.demo import software_tpm
from quatrefoil.demo.processes import HOST, Commands, command_line, free_port
from quatrefoil.enclave import tpm
from quatrefoil.enclave.claims import Claims
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.collectors.tpm import TpmCollector
from quatrefoil.enclave.tpm import structures
from quatrefoil.enclave.tpm.signer import public_key, subject_public_key_info
from quatrefoil.errors import HostError
from quatrefoil.exchange import ServingPolicy
from quatrefoil.transport import CertificateAuthority, TrustAnchor, files, system_clock

OWNER, CLINIC, BROKER, SERVER = "cleveland", "hungary", "vault", "ward"
"""The hospital that seals the model for all, one that asks, who releases its key, and who serves it."""

MODEL = "heart"
PATIENCE = 60.0
_KEY = "tpm-key-machine.pem"

_RELEASE = """\
name = "heart-release"
entry = ["serve"]
[stages.serve]
appraisal = "machine.toml"
longest_lease_s = 600
renewal = "allowed"
outputs = {}
"""
_SERVING = """\
name = "ward-serving"
[model]
name = "heart"
root = "ROOT"
[attestation]
appraisal = "machine.toml"
life_s = 600
[keys]
rotate_s = 600
overlap_s = 60
[limits]
request_bytes = 1000000
answer_bytes = 1000000
connections = 64
concurrent = 2
queued = 16
seconds = 20
stream_seconds = 20
[padding]
requests = "padme"
answers = "padme"
[stream]
window_ms = 0
event_bytes = 0
[isolation]
caches = "request"
"""


class Ward(Commands):
    """``folder``: new; everybody's files lie in it. ``tcti``: of the machine's TPM. ``with`` stops what runs."""

    def __init__(self, folder: Path, tcti: str) -> None:
        super().__init__(folder, cwd=folder)
        self._collecting = ["--collect", "tpm", "--tpm-key", software_tpm.HANDLE, "--tcti", tcti]
        self._broker = f"{HOST}:{free_port()}"
        authority = CertificateAuthority.create(folder / "ca", "loopback-consortium", clock=system_clock)
        for file, content in authority.public_files().items():
            (folder / file).write_bytes(content)
        roles = {OWNER: "silo", CLINIC: "silo", BROKER: "broker", SERVER: "workload"}
        self.people = {name: authority.issue(name, role, directory=folder / name) for name, role in roles.items()}
        self.trust: TrustAnchor = authority.trust
        self._look_at_the_machine(tcti)

    def _look_at_the_machine(self, tcti: str) -> None:
        """What owners and clients are to believe, noted while the machine is as they want it."""
        seen = TpmCollector(software_tpm.HANDLE, tcti=tcti).collect(b"looked at by its owner")
        _, area, _ = structures.parse_companions(seen.signature)
        spki = subject_public_key_info(public_key(area))
        self.collateral = Collateral(keys=(spki,))
        claims = tpm.verify(seen, self.collateral, system_clock()).claims
        (self.folder / "collateral").mkdir()
        pem = load_der_public_key(spki).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (self.folder / "collateral" / _KEY).write_bytes(pem)
        (self.folder / "machine.toml").write_text(_policy_for(claims))

    def start_broker(self) -> None:
        root_key = FileRootKey(os.urandom(32))
        files.write_new(self.folder / "vault.key", bytes(root_key.encoded()), mode=files.PRIVATE)
        kept = ["--state", "vault-state", "--root-key", "vault.key"]
        self.begin("broker-new", "broker", "new", *self._as(BROKER), *kept)
        self.begin("model-key", "model", "key", "owner.pem")
        for name in ("broker-new", "model-key"):
            self.done(name)
        listening = ["--listen", self._broker, "--collateral", "collateral"]
        self.run(BROKER, "broker", "run", *self._as(BROKER), *kept, *listening, *self._collecting)
        self.wait_for(BROKER, "listens on", PATIENCE)

    def seal(self, model: bytes) -> None:
        """The owner seals an ONNX file to the broker's measured code, and hands over its key."""
        (self.folder / "heart.onnx").write_bytes(model)
        (self.folder / "release.toml").write_text(_RELEASE)
        held_to = ["--appraisal", "machine.toml", "--collateral", "collateral"]
        self.do("broker-key", "broker", "key", "--out", "vault.cert", *held_to, *self._as(OWNER), *self._at)
        sealed = ["--content", "file", "--name", MODEL, "--serial", "1", "--policy", "release.toml"]
        owned = ["--to", "vault.cert", "--signing-key", "owner.pem", "--out", "heart.sealed"]
        found = self.do("model-seal", "model", "seal", "heart.onnx", *sealed, *owned, *self._as(OWNER))
        self.do("register", "broker", "register", "heart.sealed", *self._as(OWNER), *self._at)
        (self.folder / "serving.toml").write_text(_SERVING.replace("ROOT", str(found["root"])))
        self.policy: ServingPolicy = exchange.load(self.folder / "serving.toml")
        (self.folder / "serving.bin").write_bytes(self.policy.encode())

    def start_servers(self) -> tuple[int, int]:
        """Ports of the same model without any of this, and of ``quatrefoil serve``."""
        command = [sys.executable, "-m", "quatrefoil.demo.plain_server", "heart.onnx", "serving.bin"]
        self._spawn("plain", command)
        port = free_port()
        released = [*self._at, "--broker-name", BROKER, "--stage", "serve"]
        kept = ["--listen", f"{HOST}:{port}", "--state", "ward-state", "--collateral", "collateral"]
        served = ["serve", "heart.sealed", "--policy", "serving.toml", *kept, *released]
        self.run(SERVER, *served, *self._as(SERVER), *self._collecting)
        self.wait_for(SERVER, "answers for model", PATIENCE)
        self.wait_for("plain", "\n", PATIENCE)
        return int(self.output("plain")), port

    def stop(self, name: str) -> None:
        """Ask a server to stop, and wait until it has ended well."""
        self.running[name].terminate()
        self.wait(name, PATIENCE)

    def run(self, name: str, *arguments: str) -> None:
        self._spawn(name, command_line(*arguments))

    def do(self, name: str, *arguments: str) -> Mapping[str, Any]:
        """Run a command to its end: its JSON. ``HostError`` with its last line where it is refused."""
        self.begin(name, *arguments)
        return self.done(name)

    def begin(self, name: str, *arguments: str) -> None:
        """The same, without waiting for :meth:`done`."""
        self.run(name, *arguments, "--json", f"{name}.json")

    def done(self, name: str) -> Mapping[str, Any]:
        self.wait(name, PATIENCE)
        content: dict[str, Any] = json.loads((self.folder / f"{name}.json").read_text())
        return content

    def refused(self, name: str, *arguments: str) -> str:
        """The reason for which a command is refused; ``HostError`` where it is not."""
        with contextlib.suppress(HostError):
            self.run(name, *arguments)
            self.wait(name, PATIENCE)
            raise AssertionError(f"{name} was not refused")
        return self.output(name)

    def _as(self, name: str) -> list[str]:
        return ["--identity", name, "--root", "root.pem"]

    @property
    def _at(self) -> list[str]:
        return ["--broker", self._broker]


def _policy_for(claims: Claims) -> str:
    """An appraisal policy of just this machine, in the state that it is in."""
    lines = [
        *('name = "machine"', 'report_data = "required"', "[tpm]", 'bank = ["sha256"]'),
        *('certified = "any"', 'revocation_checked = "any"', f'ak = ["{claims.platform["ak"].hex()}"]'),
        *("[tpm.minimum_tcb.TPM]", "firmware = 0", "[tpm.measurements]"),
        *(f'{name} = ["{value.hex()}"]' for name, value in claims.measurements.items()),
    ]
    return "\n".join(lines) + "\n"


__all__ = ["BROKER", "CLINIC", "MODEL", "OWNER", "SERVER", "Ward"]
