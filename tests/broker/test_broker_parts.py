"""What a broker stands on: its sealing key at rest, its clock, its collateral; and what auditors see of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from brokering import BROKER, GOOD, HOUR, OWNER, Machine, Site, resource_of
from identities import START, TRUSTED, consortium, identity, speaking_as
from quatrefoil.audit import Event, MemoryLog, TileLog
from quatrefoil.audit.leases import Lease, LeaseEvidence
from quatrefoil.audit.report import render
from quatrefoil.audit.verification import Examined, examine
from quatrefoil.broker import recovery, sealing_key
from quatrefoil.broker.clock import NAME as CLOCK
from quatrefoil.broker.messages import Introduction, LeaseList
from quatrefoil.broker.root_file import FileRootKey
from quatrefoil.cli.broker_run import CollateralFolder
from quatrefoil.errors import (
    CallerError,
    EvidenceRejected,
    HostError,
    MessageRefused,
    PolicyError,
    StateCorrupt,
    UnwrapRefused,
)
from quatrefoil.state import MemoryState
from quatrefoil.transport import sealed
from signed_messages import body_of, damaged
from tpm_quotes import Made, key

ROOT_KEY = bytes(range(32))


# ---------------------------------------------------------------------------------------------------- the sealing key


@pytest.mark.parametrize("suite", sealed.SUITES, ids=lambda suite: suite.name)
def test_the_sealing_key_is_kept_under_the_root_key(suite: sealed.Suite) -> None:
    state, root = MemoryState(), FileRootKey(ROOT_KEY)
    public = sealing_key.create(state, root, broker="vault", suite=suite)
    found = sealing_key.load(state, FileRootKey(ROOT_KEY), broker="vault")
    assert found.recipient.public == public and found.suite is suite
    stored = state.get(sealing_key.NAME)
    assert stored is not None and b"PRIVATE KEY" not in stored
    with pytest.raises(CallerError, match="has a sealing key already"):
        sealing_key.create(state, root, broker="vault")
    assert sealing_key.load(state, root, broker="vault").recipient.public == public


def test_sealing_keys_that_are_not_given_out() -> None:
    state, root = MemoryState(), FileRootKey(ROOT_KEY)
    with pytest.raises(HostError, match="has no sealing key"):
        sealing_key.load(state, root, broker="vault")
    sealing_key.create(state, root, broker="vault")
    with pytest.raises(StateCorrupt, match="is of the broker 'vault'"):
        sealing_key.load(state, root, broker="other")
    with pytest.raises(UnwrapRefused):
        sealing_key.load(state, FileRootKey(bytes(32)), broker="vault")
    stored = state.get(sealing_key.NAME)
    assert stored is not None
    record = sealing_key.WrappedKey.decode(stored)
    other = MemoryState()
    sealing_key.create(other, root, broker="vault")
    theirs = sealing_key.WrappedKey.decode(other.get(sealing_key.NAME) or b"")
    for changed in (
        replace(record, broker="other"),
        replace(record, public=theirs.public),
        replace(record, wrapped=theirs.wrapped),
        replace(record, wrapped=damaged(record.wrapped)),
    ):
        state.replace({sealing_key.NAME: changed.encode()})
        with pytest.raises(UnwrapRefused):
            sealing_key.load(state, root, broker=changed.broker)
    state.replace({sealing_key.NAME: damaged(stored, 0)})
    with pytest.raises(StateCorrupt, match="does not read back"):
        sealing_key.load(state, root, broker="vault")


def test_no_core_file_of_who_holds_keys() -> None:
    """PR_GET_DUMPABLE is 3, prctl(2); the limit is for what it starts as well."""
    script = (
        "import ctypes, resource; from quatrefoil.cli import main; main(['broker', 'root', 'show', '--token', 'none']);"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), *resource.getrlimit(resource.RLIMIT_CORE))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-3:] == ["0", "0", "0"]


# ------------------------------------------------------------------------------------------------------------ the clock


def test_a_clock_that_was_wrong_is_accepted_by_who_says_so() -> None:
    site = Site()
    owned = site.registered()
    workload = site.workload(owned)
    site.clock.now += timedelta(days=20)
    workload.acquire()
    renewal = workload.request()
    site.clock.now = START + timedelta(hours=1)
    site.restart()
    with pytest.raises(HostError, match="behind"):
        workload.nonce()
    recovery.accept_clock(site.state, site.log, site.clock)
    site.restart()
    with pytest.raises(MessageRefused, match="nonce"):
        workload.ask_renewal(renewal)
    with pytest.raises(MessageRefused, match="no such lease"):
        workload.renew()
    assert site.workload(owned).acquire().granted == int(site.clock.now.timestamp())
    (entry,) = site.logged("clock-set")
    assert entry["from"].startswith("2030-01-21") and entry["to"].startswith("2030-01-01 01:00")


def test_accepting_a_clock_forgets_no_revocation_that_only_the_log_knows() -> None:
    """A state of before beside the whole log, and the clock corrected at once: the log is taken in all the same."""
    site = Site()
    owned = site.registered()
    assert isinstance(site.state, MemoryState)
    backup = site.state.copy()
    site.revoke(value=owned.digest)
    recovery.accept_clock(backup, site.log, site.clock)
    site.broker = site.make(state=backup)
    with pytest.raises(PolicyError, match="was revoked"):
        site.workload(owned).acquire()


def test_accepting_a_clock_accepts_no_log_that_was_cut() -> None:
    site = Site()
    site.registered()
    with pytest.raises(StateCorrupt, match="the log was cut"):
        recovery.accept_clock(site.state, MemoryLog(site.clock), site.clock)


def test_time_is_taken_from_the_log_too() -> None:
    """A state of before, and a clock set back: the log remembers how late it was."""
    site = Site()
    owned = site.registered()
    assert isinstance(site.state, MemoryState)
    backup = site.state.copy()
    site.clock.now += timedelta(days=1)
    site.workload(owned).acquire()
    site.clock.now = START
    site.broker = site.make(state=backup)
    with pytest.raises(HostError, match="behind"):
        site.workload(owned).acquire()
    assert int(backup.get(CLOCK) or 0) == int((START + timedelta(days=1)).timestamp())


# ----------------------------------------------------------------------------------------------------------- collateral


def test_collateral_is_read_again_when_a_file_changes(tmp_path: Path) -> None:
    def pem(made: Made) -> bytes:
        return load_der_public_key(made.spki).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    file = tmp_path / "tpm-key-machine.pem"
    file.write_bytes(pem(Made()))
    folder = CollateralFolder(tmp_path)
    first = folder()
    assert folder() is first and first.keys == (Made().spki,)
    file.write_bytes(pem(Made()) * 2)
    assert len(folder().keys) == 2
    file.unlink()
    with pytest.raises(HostError, match="holds no collateral"):
        folder()
    with pytest.raises(HostError, match="cannot be read"):
        CollateralFolder(tmp_path / "none")
    assert CollateralFolder(None)().keys == ()


def test_collateral_that_keeps_its_size_and_date_is_read_again(tmp_path: Path) -> None:
    """Archives and copies keep dates, and a newer revocation list often has the size of the one before."""

    def pem(number: int) -> bytes:
        return load_der_public_key(Made(key=key("p256", number)).spki).public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )

    (tmp_path / "used").mkdir()
    file, newer = tmp_path / "used" / "tpm-key-machine.pem", tmp_path / "newer"
    file.write_bytes(pem(0))
    newer.write_bytes(pem(1))
    for one in (file, newer):
        os.utime(one, ns=(0, 0))
    folder = CollateralFolder(tmp_path / "used")
    assert folder().keys == (Made(key=key("p256", 0)).spki,)
    newer.rename(file)
    assert folder().keys == (Made(key=key("p256", 1)).spki,)


def test_a_broker_without_collateral_releases_nothing() -> None:
    site = Site()
    owned = site.registered()
    site.collateral = replace(site.collateral, keys=())
    with pytest.raises(EvidenceRejected, match=r"root|signer"):
        site.workload(owned).acquire()


# -------------------------------------------------------------------------------------------------------- introductions


def test_an_introduction_answers_one_nonce() -> None:
    site = Site()
    nonce = os.urandom(32)
    said = Introduction.decode(body_of(site.broker.introduce(nonce, exporter=b"")))
    assert (said.nonce, said.evidence) == (nonce, b"")
    assert sealed.verify_recipient(said.certificate, consortium(TRUSTED).trust, clock=site.clock).name == BROKER.name
    with pytest.raises(MessageRefused, match="a nonce has 32 bytes"):
        site.broker.introduce(b"short", exporter=b"")


# ---------------------------------------------------------------------------------------------------- what auditors see


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """The folder of a broker's log: a release, a renewal, a refusal and a revocation."""
    log = TileLog(tmp_path, identity(BROKER.name, BROKER.role), consortium(TRUSTED).trust, clock=lambda: START)
    with log:
        site = Site(log=log)
        owned = site.registered()
        workload = site.workload(owned)
        workload.acquire()
        workload.renew()
        with pytest.raises(EvidenceRejected):
            site.workload(owned, machine=Machine(values=GOOD | {7: bytes(32)})).acquire()
        site.revoke(OWNER, value=owned.digest, reason="<b>over</b>")
        with pytest.raises(PolicyError):
            workload.renew()
    return tmp_path


def examined(folder: Path) -> Examined:
    root = consortium(TRUSTED).directory / "root.pem"
    return examine(folder / "log", trust=root, policy=None, relied=None, at=START + timedelta(hours=1))


def failing(folder: Path) -> set[str]:
    return {check.name for check in examined(folder).verdict.failed if check.name in ("entries", "statements")}


def lying(folder: Path, event: Event, name: str = BROKER.name, role: str = BROKER.role) -> Path:
    with TileLog(folder, identity(name, role), consortium(TRUSTED).trust, clock=lambda: START) as log:
        log.append_all([event])
    return folder


def test_a_brokers_log_holds_and_the_report_shows_it(kept: Path) -> None:
    found = examined(kept)
    assert failing(kept) == set()
    page = render(found, name="vault", at=START, version="0")
    for said in (
        "Keys released to measured code",
        "patients",
        "worker",
        "renewed 1 times",
        "isolation: none",
        "Revoked",
    ):
        assert said in page
    assert "&lt;b&gt;over&lt;/b&gt;" in page and "<b>over</b>" not in page
    assert "accepted-pcr7" in page


def logged_lease(kept: Path) -> tuple[dict[str, Any], LeaseEvidence]:
    with TileLog(kept, identity(BROKER.name, BROKER.role), consortium(TRUSTED).trust, clock=lambda: START) as log:
        entry = next(one for one in log.entries() if one.kind == "lease")
        return dict(entry.body), LeaseEvidence.decode(log.payload(entry.attached["evidence"].sha256))


@pytest.mark.parametrize("lie", ["stage", "isolation", "expires", "holder", "appraisal"])
def test_an_entry_that_says_other_than_the_signed_lease_is_found(kept: Path, tmp_path: Path, lie: str) -> None:
    body, evidence = logged_lease(kept)
    body[lie] = 1 if lie == "expires" else "something else"
    assert failing(lying(tmp_path / "lying", Event("lease", body, {"evidence": evidence.encode()}))) == {"statements"}


def test_a_lease_of_somebody_else_or_beside_another_request_is_found(kept: Path, tmp_path: Path) -> None:
    body, evidence = logged_lease(kept)
    lease = Lease.decode(body_of(evidence.lease))
    for number, (holder, changed) in enumerate(
        [
            (("other", "broker"), evidence),
            ((BROKER.name, BROKER.role), replace(evidence, request=b"another")),
            (
                (BROKER.name, BROKER.role),
                replace(evidence, lease=speaking_as(identity("thief", "silo")).sign(lease.encode())),
            ),
        ]
    ):
        folder = lying(tmp_path / f"lying{number}", Event("lease", body, {"evidence": changed.encode()}), *holder)
        assert failing(folder) == {"statements"}
    assert failing(lying(tmp_path / "bare", Event("lease", body, {}))) == {"statements"}


def test_no_other_party_writes_what_a_broker_writes(kept: Path, tmp_path: Path) -> None:
    body, evidence = logged_lease(kept)
    event = Event("lease", body, {"evidence": evidence.encode()})
    assert "entries" in failing(lying(tmp_path / "keeper", event, "keeper", "keeper"))


@pytest.mark.parametrize("kind", ["resource", "revocation"])
def test_what_owners_signed_is_held_to_them(tmp_path: Path, kind: str) -> None:
    owned = resource_of()
    body = {
        "resource": {"resource": owned.digest.hex(), "what": "dataset", "name": "x", "policy": "00", "owner": "clinic"},
        "revocation": {"what": "resource", "value": "00", "by": "clinic", "reason": "x"},
    }[kind]
    assert failing(lying(tmp_path, Event(kind, body, {kind: owned.signed}))) == {"statements"}


def test_lists_are_json_like_everything_that_is_printed() -> None:
    site = Site()
    workload = site.workload(site.registered())
    workload.acquire()
    shown = LeaseList.decode(site.broker.leases(OWNER)).leases
    assert json.loads(json.dumps([one.lease.entry() for one in shown]))[0]["expires"] == shown[0].lease.expires
    assert shown[0].lease.expires - shown[0].lease.granted == HOUR
