"""Everybody's files in one folder, a TPM in software, and a broker in a process of its own: for tests of commands."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from quatrefoil import cli
from quatrefoil.broker.root_file import FileRootKey
from quatrefoil.enclave import tpm
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.tpm import structures
from quatrefoil.enclave.tpm.signer import public_key, subject_public_key_info
from quatrefoil.transport import files, system_clock
from software_tpm import AK, SoftwareTpm
from support import Consortium
from tpm_quotes import policy_text

SOON = 60.0
RELEASE = """\
name = "doses"
entry = ["train"]
[stages.train]
appraisal = "machine.toml"
longest_lease_s = {lease}
renewal = "allowed"
outputs = {{}}
"""
USES_THE_KEY = """
import hashlib, os, sys, time
key = os.read(int(os.environ["QUATREFOIL_KEY_FD"]), 64)
open(sys.argv[1], "w").write(f"{len(key)} {os.getpid()}")
time.sleep(float(sys.argv[2]))
"""


def alive(pid: int) -> bool:
    """Whether it runs; one that nobody has waited for does not."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


class Running(subprocess.Popen[bytes]):
    """A command in a process of its own, whose standard error and output are in files."""

    def __init__(self, folder: Path, command: list[str]) -> None:
        self.file = folder / f"{len(list(folder.iterdir()))}-{time.monotonic_ns()}.err"
        with self.file.open("wb") as stream, self.file.with_suffix(".out").open("wb") as out:
            super().__init__(command, cwd=folder, stderr=stream, stdout=out)


def said(process: Running) -> str:
    return process.file.read_text()


class Room:
    """Everybody's files in one folder, and a broker in a process of its own."""

    def __init__(self, folder: Path, machine: SoftwareTpm, people: Consortium) -> None:
        self.folder = folder
        self.machine = machine
        self.people = people
        for name, role in (("vault", "broker"), ("hospital", "silo"), ("worker", "workload"), ("clinic", "silo")):
            people.identity(name, role)
            (folder / name).symlink_to(people.folder(name, role))
        for file in ("root.pem", "crl.pem"):
            (folder / file).symlink_to(people.directory / file)
        self.root = folder / "root.pem"
        root_key = FileRootKey(os.urandom(32))
        files.write_new(folder / "vault.key", bytes(root_key.encoded()), mode=files.PRIVATE)
        self._look_at_the_machine()
        (folder / "doses.csv").write_bytes(b"patient,dose\n" * 900)

    def _look_at_the_machine(self) -> None:
        """What owners and the broker's operator know of it: registers and key."""
        seen = self.machine.collector().collect(b"looked at by its owner")
        _, area, _ = structures.parse_companions(seen.signature)
        spki = subject_public_key_info(public_key(area))
        claims = tpm.verify(seen, Collateral(keys=(spki,)), system_clock()).claims
        (self.folder / "collateral").mkdir()
        pem = load_der_public_key(spki).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (self.folder / "collateral" / "tpm-key-machine.pem").write_bytes(pem)
        text = policy_text(claims.measurements, ak=claims.platform["ak"].hex())
        (self.folder / "machine.toml").write_text(text)

    def start(self) -> None:
        command = (
            "broker run --identity vault --root root.pem --state vault-state --root-key vault.key "
            f"--listen 127.0.0.1:{getattr(self, 'port', 0)} --collateral collateral {self.collecting}"
        )
        self.broker = self.process(command)
        self.port = int(self.waited(self.broker, r"listens on 127.0.0.1:(\d+) and shows tpm"))

    def kill(self) -> None:
        self.broker.kill()
        self.broker.wait(SOON)

    @property
    def collecting(self) -> str:
        return f"--collect tpm --tpm-key {AK} --tcti {self.machine.tcti}"

    def process(self, line: str) -> Running:
        return Running(self.folder, [sys.executable, "-m", "quatrefoil.cli", *line.split()])

    def waited(self, process: Running, pattern: str) -> str:
        """What a process says that fits ``pattern``: its first group, or all of it."""
        end = time.monotonic() + SOON
        while not (found := re.search(pattern, said(process))):
            assert time.monotonic() < end and process.poll() is None, said(process)
            time.sleep(0.05)
        return found[1] if found.groups() else found[0]

    def asks(self, line: str, who: str = "hospital") -> dict[str, Any]:
        """The JSON of a command that asks the broker."""
        target = self.folder / "answer.json"
        code = cli.main(
            [*f"broker {line} --identity {who} --root root.pem".split(), *self._at(), "--json", str(target)]
        )
        assert code == 0
        return dict(json.loads(target.read_text()))

    def refused(self, line: str, who: str, capsys: pytest.CaptureFixture[str]) -> str:
        capsys.readouterr()
        assert cli.main([*f"broker {line} --identity {who} --root root.pem".split(), *self._at()]) == 1
        return capsys.readouterr().err

    def _at(self) -> list[str]:
        return ["--broker", f"127.0.0.1:{self.port}"]

    def holding(self, file: str, mark: str, seconds: float) -> Running:
        """Measured code that runs with the key; it writes ``mark`` once it has it."""
        (self.folder / "use.py").write_text(USES_THE_KEY)
        return self.process(
            f"broker hold {file} --stage train --broker-name vault --identity worker --root root.pem "
            f"--broker 127.0.0.1:{self.port} {self.collecting} -- {sys.executable} use.py {mark} {seconds}"
        )

    def written(self, mark: str) -> int:
        """The process that has the key, once it has it."""
        end = time.monotonic() + SOON
        while not (self.folder / mark).exists() or not (self.folder / mark).read_text():
            assert time.monotonic() < end, "the key did not arrive"
            time.sleep(0.05)
        size, pid = (self.folder / mark).read_text().split()
        assert size == "32"
        return int(pid)

    def sealed(self, name: str, lease: int) -> str:
        """The data, sealed under a policy with leases of so many seconds, and registered."""
        (self.folder / f"{name}.toml").write_text(RELEASE.format(lease=lease))
        line = (
            f"data seal doses.csv --name {name} --serial 1 --policy {name}.toml --to vault.cert --identity hospital "
            f"--root root.pem --signing-key owner.pem --out {name}.sealed"
        )
        assert cli.main(line.split()) == 0
        return str(self.asks(f"register {name}.sealed")["resource"])

    def model_sealed(self, plain: Path | str, name: str, lease: int, more: str = "") -> str:
        """A model, sealed for the stage ``serve`` under leases of so many seconds, as ``NAME.sealed``: its root."""
        (self.folder / f"{name}-release.toml").write_text(RELEASE.format(lease=lease).replace("train", "serve"))
        line = (
            f"model seal {plain} --content file --name {name} --serial 1 --policy {name}-release.toml "
            f"--to vault.cert --identity hospital --root root.pem --signing-key owner.pem --out {name}.sealed {more}"
        )
        assert cli.main(line.split()) == 0
        assert cli.main(f"model inspect {name}.sealed --root root.pem --json front.json".split()) == 0
        return str(json.loads((self.folder / "front.json").read_text())["root"])
