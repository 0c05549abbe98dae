"""The checks of a log as such: checkpoint and witnesses, leaves, tiles and root, entries and payloads."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from party_logs import altered, failed, file, judged, lying, named, tile_log

from identities import START, Clock, consortium, identity
from quatrefoil.audit import Event, entries, witnesses
from quatrefoil.audit.checks.content import MOST_BACKWARDS
from quatrefoil.audit.log import OWNER, PAYLOADS, WITNESSED
from quatrefoil.audit.witnesses import witness_name
from quatrefoil.policy import Policy
from quatrefoil.tlog import Checkpoint, LogKeys, LogWriter, Note, Signer
from quatrefoil.tlog.merkle import root_of
from quatrefoil.tlog.tiles import CHECKPOINT
from quatrefoil.transport import statement

A = "aa" * 32


# ----------------------------------------------------------------------------------------------- checkpoint, witnesses


@pytest.mark.parametrize("line", [0, 1])
def test_each_of_the_two_signatures_is_demanded(job: Path, line: int) -> None:
    path = file(job / "hub", CHECKPOINT)
    note = Note.decode(path.read_bytes())
    path.write_bytes(Note(note.text, note.signatures[line : line + 1]).encode())
    found = failed(job / "hub")
    assert found.keys() == {"checkpoint"} and "signature" in found["checkpoint"]


def test_a_checkpoint_of_another_size_fails(job: Path) -> None:
    path = file(job / "hub", CHECKPOINT)
    note = Note.decode(path.read_bytes())
    said = Checkpoint.parse(note.text)
    path.write_bytes(Note(dataclasses.replace(said, size=said.size - 1).text(), note.signatures).encode())
    found = failed(job / "hub")
    assert "does not fit" in found["checkpoint"] and "root" in found


def test_a_checkpoint_of_a_size_that_nobody_has_ends_soon(job: Path) -> None:
    path = file(job / "hub", CHECKPOINT)
    note = Note.decode(path.read_bytes())
    path.write_bytes(Note(Checkpoint("x/y", 1 << 60, bytes(32)).text(), note.signatures).encode())
    found = failed(job / "hub")
    assert "and 14 more" in found["leaves"] and "cannot be computed" in found["root"]


def witnessed(state: Path, silos: Sequence[str], *, role: str = "silo", more: int = 0) -> Path:
    """The hub's log, cosigned by these and kept as witnessed, and with entries after it."""
    with tile_log(state, "hub") as log:
        signers = {name: Signer(witness_name(ROOT_DIGEST, name), MLDSA44PrivateKey.generate()) for name in silos}
        for name, signer in signers.items():
            signed = statement.sign(witnesses.said(signer.verifier, START), identity(name, role))
            log.append("witness", witnesses.introduced(name, signer.verifier), {"statement": signed})
        head = log.reader().checkpoint
        lines = [signer.sign(head, START) for signer in signers.values()]
        log.cosigned(lines, [signer.verifier for signer in signers.values()])
        log.keep_witnessed(log.checkpoint)
        for number in range(more):
            log.append("x-later", {"n": number})
    return state


ROOT_DIGEST = consortium("test-consortium").trust.fingerprints[0]


@pytest.mark.parametrize(("quorum", "passes"), [(0, True), (2, True), (3, True), (4, False)])
@pytest.mark.parametrize("more", [0, 3])
def test_a_quorum_of_witnesses(tmp_path: Path, policy: Policy, quorum: int, passes: bool, more: int) -> None:
    asked = dataclasses.replace(policy, witnesses=quorum)
    verdict = judged(witnessed(tmp_path, ["ambon", "bari", "cusco"], more=more), policy=asked)
    found = named(verdict, "witnesses")
    assert found.passed is passes
    assert f"ambon, bari, cusco cosigned the first 4 of {4 + more} entries; {quorum or 'none'} demanded" in found.detail


def test_witnesses_are_demanded_of_the_aggregators_log_alone(tmp_path: Path, policy: Policy) -> None:
    asked = dataclasses.replace(policy, witnesses=2)
    assert "witnesses" in failed(lying(tmp_path / "hub", []), policy=asked)
    assert "witnesses" not in failed(lying(tmp_path / "ambon", [], "ambon"), policy=asked)


def test_a_cosigner_counts_once_and_only_as_a_silo(tmp_path: Path, policy: Policy) -> None:
    asked = dataclasses.replace(policy, witnesses=2)
    assert "1 silos cosigned" in failed(witnessed(tmp_path / "a", ["ambon", "ambon"]), policy=asked)["witnesses"]
    found = failed(witnessed(tmp_path / "b", ["rome", "milan"], role="keeper"), policy=asked)
    assert "0 silos cosigned" in found["witnesses"]


def test_a_key_that_a_silo_did_not_sign_for_is_no_witness(tmp_path: Path, policy: Policy) -> None:
    """The aggregator makes up a witness under the name of a silo."""
    state = tmp_path / "hub"
    with tile_log(state, "hub") as log:
        made_up = Signer(witness_name(ROOT_DIGEST, "ambon"), MLDSA44PrivateKey.generate())
        for holder in (identity("hub", "aggregator"), identity("ambon", "silo", "stranger")):
            signed = statement.sign(witnesses.said(made_up.verifier, START), holder)
            log.append("witness", witnesses.introduced("ambon", made_up.verifier), {"statement": signed})
        log.cosigned([made_up.sign(log.reader().checkpoint, START)], [made_up.verifier])
    found = failed(state, policy=dataclasses.replace(policy, witnesses=2))
    assert {"statements", "witnesses"} <= found.keys() and "0 silos cosigned" in found["witnesses"]


def test_a_cosignature_that_does_not_verify_fails_witnesses_and_nothing_else(tmp_path: Path) -> None:
    path = file(witnessed(tmp_path, ["ambon", "bari"]), CHECKPOINT)
    note = Note.decode(path.read_bytes())
    last = note.signatures[-1]
    wrong = dataclasses.replace(last, signature=last.signature[:-1] + bytes([last.signature[-1] ^ 1]))
    path.write_bytes(Note(note.text, (*note.signatures[:-1], wrong)).encode())
    assert failed(tmp_path).keys() == {"witnesses"}


def test_another_history_than_the_witnesses_saw_fails_witnesses(tmp_path: Path) -> None:
    """The operator keeps two logs under its keys: witnesses saw the first, the auditor is given the second."""
    witnessed(tmp_path / "shown", ["ambon", "bari"])
    shutil.copytree(tmp_path / "shown" / "log-keys", tmp_path / "other" / "log-keys")
    witnessed(tmp_path / "other", ["cusco"], more=9)
    shutil.copy(file(tmp_path / "shown", WITNESSED), file(tmp_path / "other", WITNESSED))
    assert "are not the beginning of this log" in failed(tmp_path / "other")["witnesses"]


def test_a_log_with_fewer_entries_than_witnesses_have_seen_fails_witnesses(tmp_path: Path) -> None:
    """Truncated, with the older checkpoint that was signed once."""
    with tile_log(tmp_path, "hub") as log:
        short = log.checkpoint
    witnessed(tmp_path, ["ambon"])
    file(tmp_path, CHECKPOINT).write_bytes(short)
    assert failed(tmp_path).keys() == {"witnesses"}
    assert "have seen 2 entries of it" in failed(tmp_path)["witnesses"]


@pytest.mark.parametrize("content", [b"", b"nothing", b"a\n1\n"])
def test_a_witnessed_file_that_is_none_fails_witnesses(tmp_path: Path, content: bytes) -> None:
    file(witnessed(tmp_path, ["ambon"]), WITNESSED).write_bytes(content)
    assert failed(tmp_path).keys() == {"witnesses"}


def test_the_limit_an_older_log_without_witnesses_passes(job: Path, tmp_path: Path) -> None:
    """Nothing in a log says that there is more: an operator can show it as it was, with the checkpoint it had then."""
    with tile_log(tmp_path, "hub") as log:
        log.append("x-a", {})
        old = log.checkpoint
        log.append("refusal", {"reason": "what the operator wants nobody to see"})
    file(tmp_path, CHECKPOINT).write_bytes(old)
    assert failed(tmp_path) == {}


# ------------------------------------------------------------------------------------------------- leaves, tiles, root


def widest(state: Path, level: str) -> Path:
    """The tile that a checkpoint needs, of those that were the newest once."""
    return max(file(state, f"tile/{level}").rglob("[0-9]*/[0-9]*"), key=lambda path: int(path.name))


def bundle_file(state: Path) -> Path:
    return widest(state, "entries")


def test_one_altered_leaf_is_named_and_everything_else_goes_on(job: Path) -> None:
    path = bundle_file(job / "hub")
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"samples":200', b'"samples":201'))
    found = failed(job / "hub")
    assert found.keys() == {"leaves"} and "is not the one that was logged" in found["leaves"]


def test_two_leaves_that_changed_places_are_named(job: Path) -> None:
    from quatrefoil.tlog.tiles import bundle

    path = bundle_file(job / "hub")
    content, leaves, at = path.read_bytes(), [], 0
    while at < len(content):
        size = int.from_bytes(content[at : at + 2], "big")
        leaves.append(content[at + 2 : at + 2 + size])
        at += 2 + size
    leaves[3], leaves[4] = leaves[4], leaves[3]
    path.write_bytes(b"".join(map(bundle, leaves)))
    assert "leaf 3" in failed(job / "hub")["leaves"] and "leaf 4" in failed(job / "hub")["leaves"]


def test_a_missing_bundle_of_leaves_fails_leaves_and_the_root_is_still_checked(job: Path) -> None:
    bundle_file(job / "hub").unlink()
    found = failed(job / "hub")
    assert "lacks tile/entries" in found["leaves"] and "root" not in found and "tiles" not in found
    assert all("could not be run" in found[name] for name in ("entries", "payloads", "rounds"))


def test_a_missing_tile_fails_tiles_and_the_root_is_still_checked(job: Path) -> None:
    widest(job / "hub", "0").unlink()
    found = failed(job / "hub")
    assert found.keys() == {"tiles"} and "lacks tile/0" in found["tiles"]


def test_an_altered_tile_is_no_longer_that_of_its_leaves(job: Path) -> None:
    altered(widest(job / "hub", "0"), 40)
    assert failed(job / "hub").keys() == {"leaves", "root"}


@pytest.mark.parametrize("level", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_an_altered_tile_further_up_fails_tiles(tmp_path: Path, level: int) -> None:
    count = 600 if level == 1 else 66_000
    with tile_log(tmp_path, "hub") as log:
        for start in range(0, count, 30_000):
            log.append_all([Event("x-a", {"n": start + at}) for at in range(min(30_000, count - start))])
    altered(next(one for one in file(tmp_path, f"tile/{level}").rglob("*") if one.is_file()), 5)
    assert failed(tmp_path).keys() == {"tiles"}


def test_a_log_that_was_cut_short_fails(job: Path, tmp_path: Path) -> None:
    with tile_log(tmp_path / "long", "hub") as log:
        log.append_all([Event("x-a", {"n": at}) for at in range(300)])
        log.append_all([Event("x-a", {"n": at}) for at in range(300)])
    for folder in ("tile/entries", "tile/0"):
        file(tmp_path / "long", f"{folder}/001").unlink()
    found = failed(tmp_path / "long")
    assert {"leaves", "tiles", "root"} <= found.keys()


def test_a_root_of_other_leaves_fails_root(tmp_path: Path) -> None:
    """Only the log's owner can sign such a thing; it is found all the same."""
    lying(tmp_path, [Event("x-a", {})])
    keys = LogKeys.load(tmp_path / "log-keys")
    said = Checkpoint(keys.origin, 2, root_of([bytes(32), bytes(32)]))
    signers: tuple[Signer, ...] = keys.signers
    note = Note(said.text(), tuple(one.sign(said, START) for one in signers)).encode()
    file(tmp_path, CHECKPOINT).write_bytes(note)
    assert failed(tmp_path).keys() == {"root"}


# ---------------------------------------------------------------------------------------------------- entries, payloads


def raw_log(state: Path, leaves: list[bytes]) -> Path:
    """The hub's log with leaves that :class:`TileLog` would not have written."""
    lying(state, [])
    keys = LogKeys.load(state / "log-keys")
    with LogWriter(state / "log", keys.signers, clock=lambda: START) as writer:
        writer.append(leaves)
    return state


@pytest.mark.parametrize(
    "leaf",
    [
        b"",
        b"{}",
        entries.encode(START, "x-a", {"n": 1}, {}) + b" ",
        entries.encode(START, "x-a", {"n": 1}, {}).replace(b'"x-a"', b'"gossip"'),
        entries.encode(START, "x-a", {"n": 1}, {}).replace(b'"x-a"', b'"refusal"'),
    ],
)
def test_a_leaf_that_is_no_entry_fails_entries(tmp_path: Path, leaf: bytes) -> None:
    found = failed(raw_log(tmp_path, [leaf]))
    assert "no entry of this log" in found["entries"] and "leaves" not in found


def test_a_kind_that_the_owners_role_does_not_write_fails_entries(tmp_path: Path) -> None:
    body = {
        "round": 1,
        "attempt": 0,
        "context": A,
        "contributors": ["ambon"],
        "enclave": "software",
        "isolation": "none",
    }
    assert "which no aggregator writes" in failed(lying(tmp_path, [Event("key-release", body)]))["entries"]


@pytest.mark.parametrize(("back", "passes"), [(MOST_BACKWARDS, True), (MOST_BACKWARDS + timedelta(seconds=1), False)])
def test_a_clock_may_go_back_a_little(tmp_path: Path, back: timedelta, passes: bool) -> None:
    clock = Clock()
    with tile_log(tmp_path, "hub", clock) as log:
        clock.now -= back
        log.append("x-a", {})
    assert ("entries" not in failed(tmp_path)) is passes


def test_many_small_steps_back_do_not_add_up(tmp_path: Path) -> None:
    clock = Clock()
    with tile_log(tmp_path, "hub", clock) as log:
        for _ in range(3):
            clock.now -= timedelta(minutes=3)
            log.append("x-a", {})
    assert "entries" in failed(tmp_path)


def test_a_log_that_does_not_begin_with_its_owner_fails_owner(tmp_path: Path) -> None:
    from quatrefoil.audit import ownership

    keys = LogKeys.create(tmp_path / "log-keys", f"quatrefoil/{'0' * 16}/hub")
    with LogWriter(tmp_path / "log", keys.signers, clock=lambda: START) as writer:
        writer.append([entries.encode(START, "x-a", {}, {})])
    file(tmp_path, OWNER).write_bytes(ownership.sign(keys, identity("hub", "aggregator"), START))
    assert failed(tmp_path).keys() == {"owner"}


def test_an_empty_log_fails_entries(tmp_path: Path) -> None:
    from quatrefoil.audit import ownership

    keys = LogKeys.create(tmp_path / "log-keys", f"quatrefoil/{'0' * 16}/hub")
    with LogWriter(tmp_path / "log", keys.signers, clock=lambda: START):
        pass
    file(tmp_path, OWNER).write_bytes(ownership.sign(keys, identity("hub", "aggregator"), START))
    assert "empty" in failed(tmp_path)["entries"]


def payload_of(state: Path) -> Path:
    return sorted(file(state, PAYLOADS).iterdir())[0]


def test_a_missing_payload_fails_payloads(job: Path) -> None:
    payload_of(job / "hub").unlink()
    assert "is missing" in failed(job / "hub")["payloads"]


def test_an_altered_payload_fails_payloads(job: Path) -> None:
    altered(payload_of(job / "hub"), 3)
    assert "is not what was logged" in failed(job / "hub")["payloads"]


def test_a_payload_is_looked_for_by_every_entry_that_names_it(tmp_path: Path) -> None:
    lying(tmp_path, [Event("x-a", {"n": n}, {"document": b"the same"}) for n in range(5)])
    assert failed(tmp_path) == {}
    altered(payload_of(tmp_path) if len(list(file(tmp_path, PAYLOADS).iterdir())) == 1 else same(tmp_path), 0)
    assert "and 2 more" in failed(tmp_path)["payloads"]


def same(state: Path) -> Path:
    return next(one for one in file(state, PAYLOADS).iterdir() if one.read_bytes() == b"the same")
