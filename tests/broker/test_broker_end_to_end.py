"""The commands in processes of their own, with a real TPM in software: sealed data, a lease, a change, and the end.

An owner fetches the attested broker's key, seals data to it and registers them; measured code runs with their key; then
a register of its machine changes, the renewal is refused, and the code is killed. Everything is in the broker's log.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker_room import SOON, Room, alive, said
from quatrefoil import cli
from software_tpm import needs_tpm, software_tpm
from support import Consortium

pytestmark = needs_tpm


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

    # Measured code gets the key, and keeps it across a broker that is killed and started again, and a certificate of
    # its own that is renewed while the old one is revoked.
    first = room.holding("slow.sealed", "first", 0.2)
    room.written("first")
    assert first.wait(SOON) == 0
    changing = room.holding("quick.sealed", "second", 600)
    pid = room.written("second")
    room.kill()
    ca, worker = str(room.people.directory), str(room.folder / "worker")
    assert cli.main(["ca", "renew", ca, "worker", "--identity", worker]) == 0
    assert cli.main(["ca", "revoke", ca, f"{worker}/certificate.pem", "--reason", "superseded"]) == 0
    room.start()
    end = time.monotonic() + SOON
    while max(one["number"] for one in room.asks("leases")["leases"]) < 1:
        assert time.monotonic() < end and changing.poll() is None, said(changing)
        time.sleep(0.2)
    assert "new channels show certificate" in said(changing)

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
