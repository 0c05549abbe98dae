"""What both kinds of log promise; and a party's log on its disk: whose it is, what lies beside it, who may write."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from identities import START, TRUSTED, consortium, identity, renewed
from quatrefoil.audit import Event, Log, MemoryLog, PartyLog, TileLog, entries
from quatrefoil.audit.kinds import KINDS
from quatrefoil.audit.log import LOG_FOLDER, OWNER, PAYLOADS
from quatrefoil.errors import CallerError, EvidenceRejected, HostError, StateCorrupt
from quatrefoil.tlog import disk
from quatrefoil.tlog.merkle import leaf_hash
from quatrefoil.transport import TrustAnchor

NORTH = identity("north", "silo")
TRUST = consortium(TRUSTED).trust


def now() -> datetime:
    return START


def tile_log(folder: Path, holder=NORTH, trust: TrustAnchor = TRUST) -> TileLog:
    return TileLog(folder, holder, trust, clock=now)


def audited(folder: Path, trust: TrustAnchor = TRUST) -> PartyLog:
    return PartyLog.in_folder(folder / LOG_FOLDER, trust, clock=now)


def filled(folder: Path, count: int = 5) -> list[entries.Entry]:
    with tile_log(folder) as log:
        log.append_all([Event("x-round", {"number": number}) for number in range(count)])
        return list(log.entries())


# ------------------------------------------------------------------------------------- what both kinds of log promise


@pytest.fixture(params=["memory", "tiles"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Log]:
    if request.param == "memory":
        yield MemoryLog(now)
    else:
        with tile_log(tmp_path) as log:
            yield log


def test_entries_come_back_in_order(log: Log) -> None:
    begun = len(list(log.entries()))
    given = [log.append("x-a", {"x": 1}), log.append("x-b", {"y": [1, "two", None]}), log.append("x-a", {})]
    found = list(log.entries())[begun:]
    assert found == given
    assert [entry.index for entry in found] == [begun, begun + 1, begun + 2]


def test_a_leaf_is_the_documented_json_and_its_hash_that_of_rfc_6962(log: Log) -> None:
    entry = log.append("x-a", {"name": "ümlaut", "n": 1.5}, {"proof": b"\x01\x02"})
    written = {
        "attached": {"proof": {"sha256": hashlib.sha256(b"\x01\x02").hexdigest(), "size": 2}},
        "body": {"name": "ümlaut", "n": 1.5},
        "kind": "x-a",
        "time": START.astimezone(UTC).isoformat(timespec="milliseconds"),
        "v": 1,
    }
    leaf = json.dumps(written, sort_keys=True, separators=(",", ":")).encode()
    assert entry.hash == hashlib.sha256(b"\x00" + leaf).hexdigest() == leaf_hash(leaf).hex()
    assert entries.decode(entry.index, leaf) == entry


def test_what_is_attached_can_be_had_again(log: Log) -> None:
    entry = log.append("x-a", {}, {"one": b"first", "other": b"second"})
    assert {name: log.payload(one.sha256) for name, one in entry.attached.items()} == {
        "one": b"first",
        "other": b"second",
    }


def test_what_the_caller_does_to_its_body_later_does_not_reach_the_log(log: Log) -> None:
    body = {"x": 1}
    log.append("x-a", body)
    body["x"] = 2
    assert list(log.entries())[-1].body == {"x": 1}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("gossip", {}),
        ("refusal", {"silo": "north"}),
        ("round-finished", {"round": 1}),
        ("x-a", {"x": float("nan")}),
        ("x-a", {"x": b"bytes"}),
        ("x-a", {"x": "y" * 70_000}),
    ],
)
def test_what_is_no_entry_is_refused_and_nothing_is_logged(log: Log, kind: str, body: dict[str, object]) -> None:
    begun = len(list(log.entries()))
    with pytest.raises(CallerError):
        log.append_all([Event("x-good", {}), Event(kind, body)])
    assert len(list(log.entries())) == begun


def test_time_is_utc_whatever_the_clock_says() -> None:
    east = datetime(2030, 1, 1, 12, tzinfo=timezone(timedelta(hours=5)))
    assert MemoryLog(lambda: east).append("x-a", {}).time == "2030-01-01T07:00:00.000+00:00"


@pytest.mark.parametrize(
    "altered",
    [
        lambda leaf: leaf + b" ",
        lambda leaf: leaf.replace(b'"v":1', b'"v":2'),
        lambda leaf: leaf.replace(b'"v":1', b'"v":true'),
        lambda leaf: leaf.replace(b'"v":1', b'"v":1,"w":1'),
        lambda leaf: leaf.replace(b'"v":1', b'"v":1,"v":1'),
        lambda leaf: leaf.replace(b'"x":1', b'"x":1.0e0'),
        lambda leaf: leaf.replace(b'"x":1', b'"x":NaN'),
        lambda leaf: leaf.replace(b'"x":1', b'"x":1e999'),
        lambda leaf: leaf.replace(b'"size":3', b'"size":-3'),
        lambda leaf: leaf.replace(b'"size":3', b'"size":true'),
        lambda leaf: leaf.replace(b'"kind":"x-a"', b'"kind":"refusal"'),
        lambda leaf: leaf.replace(b'"kind":"x-a"', b'"kind":7'),
        lambda leaf: leaf.replace(b'"time":"', b'"time":"noon '),
        lambda leaf: leaf.replace(b"2030-01-01T", b"2030-W01-2T"),
        lambda leaf: leaf.replace(b"+00:00", b"+01:00"),
        lambda leaf: leaf[:-1],
        lambda leaf: b"[]",
        lambda leaf: b"",
        lambda leaf: b'{"a":' * 5000 + b"1" + b"}" * 5000,
    ],
)
def test_a_leaf_of_any_other_form_is_refused(altered) -> None:
    leaf = entries.encode(START, "x-a", {"x": 1}, {"p": entries.Attachment.of(b"abc")})
    assert entries.decode(0, leaf).body == {"x": 1}
    with pytest.raises(EvidenceRejected, match="no entry of this log"):
        entries.decode(0, altered(leaf))


def test_every_kind_says_what_it_is_and_who_writes_it() -> None:
    assert all(
        kind.says and set(kind.by) <= {"aggregator", "broker", "keeper", "silo", "workload"} for kind in KINDS.values()
    )


# ----------------------------------------------------------------------------------------------------- whose log it is


def test_an_auditor_with_the_root_alone_reads_whose_it_is_and_everything_in_it(tmp_path: Path) -> None:
    given = filled(tmp_path)
    log = audited(tmp_path)
    assert (log.owner.name, log.owner.role, log.owner.fingerprint) == ("north", "silo", NORTH.fingerprint)
    assert log.owner.origin == f"quatrefoil/{TRUST.fingerprints[0].hex()[:16]}/north"
    assert list(log.entries()) == given
    assert log.entry(3) == given[3]
    assert given[0].kind == "log-opened"


def test_a_log_under_another_root_is_not_believed(tmp_path: Path) -> None:
    filled(tmp_path)
    with pytest.raises(EvidenceRejected, match="whose log it is cannot be told") as refused:
        audited(tmp_path, consortium("another").trust)
    assert refused.value.check == "owner"


def test_the_statement_of_another_log_does_not_make_this_one_its(tmp_path: Path) -> None:
    filled(tmp_path / "north")
    with tile_log(tmp_path / "south", identity("south", "silo")):
        pass
    (tmp_path / "north" / LOG_FOLDER / OWNER).write_bytes((tmp_path / "south" / LOG_FOLDER / OWNER).read_bytes())
    with pytest.raises(EvidenceRejected, match="signed by no key that was given"):
        audited(tmp_path / "north")


def test_a_party_cannot_claim_a_log_that_is_named_after_another(tmp_path: Path) -> None:
    """Else a silo could show a log of its own making as the aggregator's."""
    from quatrefoil.audit import ownership
    from quatrefoil.tlog import LogKeys

    signed = ownership.sign(LogKeys.generate(f"quatrefoil/{'0' * 16}/hub"), NORTH, START)
    with pytest.raises(EvidenceRejected, match="not its own"):
        ownership.verify(signed, TRUST, clock=now)


@pytest.mark.parametrize("position", [0, 40, 1000, -1, -2000])
def test_an_altered_statement_is_refused(tmp_path: Path, position: int) -> None:
    filled(tmp_path)
    owner = tmp_path / LOG_FOLDER / OWNER
    content = bytearray(owner.read_bytes())
    content[position] ^= 1
    owner.write_bytes(content)
    with pytest.raises(EvidenceRejected) as refused:
        audited(tmp_path)
    assert refused.value.check == "owner"


def test_without_a_statement_it_is_nobodys(tmp_path: Path) -> None:
    filled(tmp_path)
    (tmp_path / LOG_FOLDER / OWNER).unlink()
    with pytest.raises(EvidenceRejected, match="does not say whose it is"):
        audited(tmp_path)


def test_a_renewed_certificate_signs_for_the_same_log(tmp_path: Path) -> None:
    first = filled(tmp_path)
    with tile_log(tmp_path, renewed("north", "silo")):
        pass
    log = audited(tmp_path)
    assert log.owner.fingerprint == renewed("north", "silo").fingerprint != NORTH.fingerprint
    found = list(log.entries())
    assert found[: len(first)] == first
    assert [entry.kind for entry in found[len(first) :]] == ["log-opened"]


def test_the_keys_of_another_partys_log_are_refused(tmp_path: Path) -> None:
    filled(tmp_path)
    with pytest.raises(StateCorrupt, match="this is south"):
        tile_log(tmp_path, identity("south", "silo"))


def test_secrets_of_a_log_are_not_printed(tmp_path: Path) -> None:
    with tile_log(tmp_path) as log:
        assert repr(log.keys).count("secret") == 1 and "Private" not in repr(log.keys)


# ------------------------------------------------------------------------------------------------------------ the disk


def test_reopened_it_goes_on_where_it_stopped(tmp_path: Path) -> None:
    given = filled(tmp_path)
    with tile_log(tmp_path) as log:
        assert log.append("x-later", {}).index == len(given)
    assert list(audited(tmp_path).entries())[:-1] == given


def test_a_second_writer_is_refused_in_this_process_and_in_another(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from quatrefoil.tlog import LogKeys, LogWriter
from quatrefoil.transport import system_clock
LogWriter(Path(sys.argv[1]), LogKeys.generate("other").signers, clock=system_clock)
"""
    with tile_log(tmp_path):
        with pytest.raises(HostError, match="in use by another process"):
            tile_log(tmp_path)
        ended = subprocess.run(
            [sys.executable, "-c", code, tmp_path / LOG_FOLDER], capture_output=True, text=True, check=False
        )
        assert "in use by another process" in ended.stderr
    tile_log(tmp_path).close()


def test_a_payload_that_was_altered_or_lost_is_named(tmp_path: Path) -> None:
    with tile_log(tmp_path) as log:
        entry = log.append("x-a", {}, {"proof": b"abc"})
    found = audited(tmp_path)
    assert found.payload("proof", entry.attached["proof"]) == b"abc"
    file = tmp_path / LOG_FOLDER / PAYLOADS / entry.attached["proof"].sha256
    file.write_bytes(b"abd")
    with pytest.raises(EvidenceRejected, match="is not what was logged"):
        found.payload("proof", entry.attached["proof"])
    file.unlink()
    with pytest.raises(EvidenceRejected, match="is missing"):
        found.payload("proof", entry.attached["proof"])


def test_a_lost_or_damaged_index_is_made_again(tmp_path: Path) -> None:
    given = filled(tmp_path)
    file = tmp_path / LOG_FOLDER / "index.sqlite"
    for damage in (file.unlink, lambda: file.write_bytes(b"not a database at all, but long enough" * 200)):
        damage()
        with tile_log(tmp_path) as log:
            assert log.find_kind("x-round") == [entry.index for entry in given if entry.kind == "x-round"]
            assert log.find_hash(bytes.fromhex(given[2].hash)) == [2]


def test_an_entry_is_found_by_what_it_attaches(tmp_path: Path) -> None:
    with tile_log(tmp_path) as log:
        log.append("x-a", {})
        entry = log.append("x-b", {}, {"proof": b"abc"})
        assert log.find_hash(hashlib.sha256(b"abc").digest()) == [entry.index]
        assert log.find_hash(bytes(32)) == []


def test_a_log_that_was_never_closed_loses_nothing(tmp_path: Path) -> None:
    log = tile_log(tmp_path)
    given = [log.append("x-a", {"n": number}) for number in range(3)]
    assert list(audited(tmp_path).entries())[-3:] == given  # while it is open, and without its owner's help
    log.close()


def test_names_of_what_is_attached_are_synchronised_once_and_before_the_entries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    with tile_log(tmp_path) as log:
        folder, writer = tmp_path / LOG_FOLDER / PAYLOADS, log._writer
        real, append = disk.synchronise_folder, writer.append

        def synchronise(path: Path) -> None:
            steps.extend(["names"] if path == folder else [])
            real(path)

        monkeypatch.setattr(disk, "synchronise_folder", synchronise)
        monkeypatch.setattr(writer, "append", lambda leaves: (steps.append("entries"), append(leaves))[1])
        events = [Event("x-a", {}, {"proof": bytes([number]) * 9, "other": b"alike"}) for number in range(3)]
        log.append_all(events)
        log.append("x-b", {})
        log.append_all(events)
    assert steps == ["names", "entries", "entries", "names", "entries"]
    assert len(list(folder.iterdir())) == 5  # with whose log it is
