"""The commands in processes of their own, with a real TPM in software: sealed data, a lease, a change, and the end.

An owner fetches the attested broker's key, seals data to it and registers them; measured code runs with their key; then
a register of its machine changes, the renewal is refused, and the code is killed. Everything is in the broker's log.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
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
from software_tpm import AK, SoftwareTpm, needs_tpm, software_tpm
from support import Consortium
from tpm_quotes import policy_text

pytestmark = needs_tpm

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
    """A command in a process of its own, whose standard error is in a file."""

    def __init__(self, folder: Path, command: list[str]) -> None:
        self.file = folder / f"{len(list(folder.iterdir()))}-{time.monotonic_ns()}.err"
        with self.file.open("wb") as stream:
            super().__init__(command, cwd=folder, stderr=stream)


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
        end = time.monotonic() + SOON
        while not (found := re.search(r"listens on 127.0.0.1:(\d+) and shows tpm", said(self.broker))):
            assert time.monotonic() < end and self.broker.poll() is None, said(self.broker)
            time.sleep(0.05)
        self.port = int(found[1])

    def kill(self) -> None:
        self.broker.kill()
        self.broker.wait(SOON)

    @property
    def collecting(self) -> str:
        return f"--collect tpm --tpm-key {AK} --tcti {self.machine.tcti}"

    def process(self, line: str) -> Running:
        return Running(self.folder, [sys.executable, "-m", "quatrefoil.cli", *line.split()])

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


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    monkeypatch.chdir(tmp_path)
    with software_tpm() as machine:
        made = Room(tmp_path, machine, Consortium(tmp_path / "ca"))
        new = "broker new --identity vault --root root.pem --state vault-state --root-key vault.key"
        assert cli.main(new.split()) == 0
        made.start()
        try:
            yield made
        finally:
            made.kill()


def test_sealed_data_go_to_measured_code_until_it_changes(room: Room, capsys: pytest.CaptureFixture[str]) -> None:
    shown = room.asks("key --out vault.cert --appraisal machine.toml --collateral collateral")
    assert (shown["evidence"], shown["isolation"], shown["broker"]) == ("tpm", "none", "vault")
    assert cli.main(["model", "key", "owner.pem"]) == 0
    quick, slow = room.sealed("quick", 16), room.sealed("slow", 3600)
    assert {one["resource"] for one in room.asks("resources")["resources"]} == {quick, slow}

    # Measured code gets the key, and keeps it across a broker that is killed and started again.
    first = room.holding("slow.sealed", "first", 0.2)
    room.written("first")
    assert first.wait(SOON) == 0
    changing = room.holding("quick.sealed", "second", 600)
    pid = room.written("second")
    room.kill()
    room.start()
    end = time.monotonic() + SOON
    while max(one["number"] for one in room.asks("leases")["leases"]) < 1:
        assert time.monotonic() < end and changing.poll() is None, said(changing)
        time.sleep(0.2)

    # Its machine changes: the renewal is refused, and the code is gone with its key.
    room.machine.tool("tpm2_pcrextend", "7:sha256=" + "ab" * 32)
    assert changing.wait(SOON) == 1
    assert "accepted-pcr7" in said(changing)
    assert not alive(pid)
    late = room.holding("slow.sealed", "third", 1)
    assert late.wait(SOON) == 1 and not (room.folder / "third").exists()
    assert "accepted-pcr7" in said(late)
    assert "accepted-pcr7" in room.refused(
        "key --out other.cert --appraisal machine.toml --collateral collateral", "hospital", capsys
    )

    # Owners revoke what is theirs; the log says all of it, and holds.
    assert "may not revoke" in room.refused(f"revoke resource {slow} --reason mine", "clinic", capsys)
    room.asks(f"revoke resource {slow} --reason over")
    room.asks("revoke measurement tpm.pcr0=" + "11" * 32 + " --reason old", "vault")
    assert [one["revoked"] for one in room.asks("resources")["resources"] if one["resource"] == slow] == [True]
    room.broker.send_signal(signal.SIGTERM)
    assert room.broker.wait(SOON) == 0
    report = room.folder / "report.html"
    assert cli.main(f"audit report vault-state/log --trust root.pem --out {report} --json audit.json".split()) == 0
    page = report.read_text()
    for text in ("Keys released to measured code", "tpm, isolation: none", "accepted-pcr7", "Revoked", "slow"):
        assert text in page
    room.start()


def test_a_command_that_is_refused_before_it_has_a_key(room: Room, capsys: pytest.CaptureFixture[str]) -> None:
    room.asks("key --out vault.cert --unattested")
    assert cli.main(["model", "key", "owner.pem"]) == 0
    room.sealed("doses", 3600)
    again = room.refused("register doses.sealed", "clinic", capsys)
    assert "signed by silo hospital" in again
    # Whoever kills the program that holds the lease does not keep the command that holds the key.
    held = room.holding("doses.sealed", "mark", 600)
    pid = room.written("mark")
    held.kill()
    assert held.wait(SOON) == -signal.SIGKILL
    end = time.monotonic() + SOON
    while alive(pid):
        assert time.monotonic() < end, "the command runs on"
        time.sleep(0.05)
    nothing = f"hold doses.sealed --stage train --broker-name vault {room.collecting}"
    for line, problem in (
        (f"{nothing} no-such-program", "no-such-program cannot be run"),
        ("revoke lease 0011223344556677 --reason x", "is not all of the 64 hexadecimal digits of a lease"),
        (f"revoke lease {'zz' * 32} --reason x", "not hexadecimal"),
        ("revoke measurement pcr0=00 --reason x", "is no claim"),
        ("revoke measurement tpm.pcr0=00 --reason x", "is never a value of 1 bytes"),
        (f"revoke measurement tpm.prc0={'00' * 32} --reason x", "tpm evidence has no measurement 'prc0'"),
        ("key --out more.cert --unattested --collateral collateral", "goes with --appraisal"),
        ("register doses.csv", "no sealed model"),
    ):
        assert problem in room.refused(line, "hospital", capsys)
    assert "is silo hospital, and not a broker" in _fails(
        "broker new --identity hospital --root root.pem --state x --root-key vault.key", capsys
    )
    assert "has a sealing key already" in _fails(
        "broker new --identity vault --root root.pem --state y --root-key vault.key", capsys, first=True
    )


def _fails(line: str, capsys: pytest.CaptureFixture[str], *, first: bool = False) -> str:
    if first:
        assert cli.main(line.split()) == 0
    capsys.readouterr()
    assert cli.main(line.split()) == 1
    return capsys.readouterr().err
