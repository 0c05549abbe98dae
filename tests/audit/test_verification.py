"""Every check of evidence, by name: what it passes and what it does not."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from parties import AT, LISTS, ROOT, altered, failed, file, judged, lying, named, tile_log

from quatrefoil.audit import Event, TileLog, entries, witnesses
from quatrefoil.audit.checks.content import MOST_BACKWARDS
from quatrefoil.audit.checks.statements import CHECKERS
from quatrefoil.audit.log import OWNER, PAYLOADS, WITNESSED
from quatrefoil.audit.verdict import CHECKS, OF_A_LOG
from quatrefoil.audit.witnesses import witness_name
from quatrefoil.errors import EvidenceRejected, MessageRefused
from quatrefoil.policy import Policy
from quatrefoil.tlog import Checkpoint, LogKeys, LogWriter, Note, Signer
from quatrefoil.tlog.merkle import root_of
from quatrefoil.tlog.tiles import CHECKPOINT
from quatrefoil.transport import statement
from world import START, Clock, World, consortium, identity

PARTIES = ("hub", "keeper", "ambon", "dakar")
A, B, C = "aa" * 32, "bb" * 32, "cc" * 32


def opened(number: int = 1, attempt: int = 0, context: str = A) -> Event:
    return Event("round-opened", {"round": number, "attempt": attempt, "context": context})


def finished(number: int = 1, attempt: int = 0, context: str = A, names=("ambon", "bari"), **more) -> Event:
    body = {"round": number, "attempt": attempt, "context": context, "contributors": list(names), "model": B}
    return Event("round-finished", body | more)


def void(number: int = 1, attempt: int = 0) -> Event:
    return Event("round-void", {"round": number, "attempt": attempt, "reason": "test"})


# ------------------------------------------------------------------------------------------------ what is as it should


@pytest.mark.parametrize("party", PARTIES)
def test_the_log_of_a_party_in_a_real_job_passes_every_check(job: Path, policy: Policy, party: str) -> None:
    verdict = judged(job / party, policy=policy)
    assert verdict.failed == () and verdict.valid
    assert [check.name for check in verdict.checks] == [
        name for name in CHECKS if name not in ("bundle", "agreement", "measurements")
    ]
    assert [one.name for one in verdict.not_made] == ["measurements"]
    assert verdict.root == verdict.heads[0].root and verdict.size == verdict.heads[0].size > 10
    verdict.require()


def test_every_check_is_there_whatever_fails(job: Path) -> None:
    """Nothing of a log is left, and still every check says that it did not pass, and why."""
    for name in (OWNER, CHECKPOINT):
        file(job / "hub", name).write_bytes(b"nothing")
    shutil.rmtree(file(job / "hub", "tile"))
    verdict = judged(job / "hub")
    assert {check.name for check in verdict.failed} == set(OF_A_LOG)
    assert all(check.detail for check in verdict.failed)
    with pytest.raises(EvidenceRejected, match=r"check owner did not pass.*12 more"):
        verdict.require()


def test_a_receipt_and_a_batch_of_them_are_verified(job: Path) -> None:
    assert "verified" in named(judged(job / "hub"), "statements").detail
    assert {"receipts", "receipt"} <= CHECKERS.keys()


# --------------------------------------------------------------------------------------------------------- trust, owner


def test_a_root_that_came_along_passes_and_the_detail_says_so(job: Path) -> None:
    verdict = judged(job / "hub", trust=None)
    assert verdict.valid and "CAME ALONG" in named(verdict, "trust").detail
    assert consortium("test-consortium").trust.fingerprints[0].hex() in named(verdict, "trust").detail
    assert "given by the auditor" in named(judged(job / "hub"), "trust").detail


def test_without_any_root_trust_fails_and_nothing_is_held_to_one(job: Path) -> None:
    file(job / "hub", "trust/root.pem").unlink()
    found = failed(job / "hub", trust=None)
    told = {"trust", "owner", "entries", "rounds", "contributors", "voids", "inferences", "statements", "witnesses"}
    assert found.keys() == told


@pytest.mark.parametrize("content", [b"", b"not a certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_a_root_that_is_none_fails_trust(job: Path, content: bytes) -> None:
    file(job / "hub", "trust/root.pem").write_bytes(content)
    assert "cannot be used" in failed(job / "hub", trust=None)["trust"]


def test_another_root_certificate_fails_owner(job: Path) -> None:
    found = failed(job / "hub", trust=consortium("another").directory / "root.pem")
    assert "whose log it is cannot be told" in found["owner"]
    assert "trust" not in found and "leaves" not in found and "checkpoint" not in found


def test_the_root_of_an_impostor_that_came_along_fails_against_the_auditors_own(job: Path) -> None:
    for name in ("root.pem", "crl.pem"):
        content = (consortium("another").directory / name).read_bytes()
        file(job / "hub", f"trust/{name}").write_bytes(content)
    assert "owner" in failed(job / "hub", trust=None)
    assert failed(job / "hub", trust=ROOT) == {}


def test_the_limit_a_whole_consortium_that_was_made_up_passes_until_a_root_is_given(tmp_path: Path) -> None:
    made_up = consortium("stranger")
    with TileLog(tmp_path, identity("hub", "aggregator", "stranger"), made_up.trust, clock=lambda: START) as log:
        log.keep_trust({name: (made_up.directory / name).read_bytes() for name in ("root.pem", "crl.pem")})
    assert judged(tmp_path, trust=None).valid
    assert "owner" in failed(tmp_path, trust=ROOT)


def test_a_list_that_has_ended_fails_owner(job: Path) -> None:
    assert "ended" in failed(job / "hub", at=AT + timedelta(days=400))["owner"]


def test_a_revoked_owner_fails(job: Path, tmp_path: Path) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    from quatrefoil.transport.revocation import Revoked
    from quatrefoil.transport.revocations import sign_list

    root = consortium("test-consortium")
    taken = Revoked(identity("hub", "aggregator").certificate.serial_number, START, x509.ReasonFlags.key_compromise)
    pem = sign_list(root.root_key, root.authority.root, 9, [taken], now=START, lifetime=timedelta(days=30))
    file(job / "hub", "trust/crl.pem").write_bytes(pem if isinstance(pem, bytes) else pem.public_bytes(Encoding.PEM))
    assert "was revoked" in failed(job / "hub")["owner"]


def test_a_list_of_another_root_is_not_used_and_the_detail_says_so(job: Path, tmp_path: Path) -> None:
    alone = tmp_path / "root.pem"
    alone.write_bytes(ROOT.read_bytes())
    file(job / "hub", "trust/crl.pem").write_bytes((consortium("another").directory / "crl.pem").read_bytes())
    verdict = judged(job / "hub", trust=alone)
    assert "no trusted root" in named(verdict, "trust").detail and not named(verdict, "owner").passed


def test_the_owner_statement_of_another_log_fails(job: Path) -> None:
    shutil.copy(file(job / "keeper", OWNER), file(job / "hub", OWNER))
    found = failed(job / "hub")
    assert {"owner", "checkpoint"} <= found.keys()
    assert "names another origin or other keys" in found["owner"]


def test_an_owner_that_is_missing_leaves_leaves_and_root_to_be_checked(job: Path) -> None:
    file(job / "hub", OWNER).unlink()
    found = failed(job / "hub")
    assert {"owner", "checkpoint"} <= found.keys() and not {"leaves", "tiles", "root", "payloads"} & found.keys()


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


# --------------------------------------------------------------------------------------------------------------- policy


def test_another_policy_than_the_auditors_fails_policy(job: Path, policy: Policy) -> None:
    other = dataclasses.replace(policy, name="other")
    assert failed(job / "hub", policy=other).keys() == {"policy"}


def test_a_log_that_names_no_policy_cannot_be_held_to_one(tmp_path: Path, policy: Policy) -> None:
    found = failed(lying(tmp_path, []), policy=policy)
    assert found.keys() == {"policy"} and "could not be run" in found["policy"]
    assert failed(tmp_path) == {}


def test_a_plan_under_another_policy_fails_policy(job: Path, policy: Policy) -> None:
    with tile_log(job / "hub", "hub", lambda: AT) as log:
        log.append("plan", {"digest": A, "policy": B, "insecure": []})
    assert failed(job / "hub", policy=policy).keys() == {"policy"}


def test_policy_bytes_of_another_digest_fail_statements(tmp_path: Path) -> None:
    event = Event("policy", {"name": "test", "digest": A}, {"policy": b"another"})
    assert "is another than it names" in failed(lying(tmp_path, [event]))["statements"]


# ----------------------------------------------------------------------------------------- rounds, contributors, voids

TWICE = [opened(), finished(), opened(1, 1, C), finished(1, 1, C)]
STORIES = {
    "finished twice": (TWICE, "rounds", "a second time"),
    "finished twice, with another model": ([opened(), finished(), finished(model=C)], "rounds", "a second time"),
    "finished without being opened": ([finished()], "rounds", "not opened under its context"),
    "finished under another context": ([opened(context=C), finished()], "rounds", "not opened under its context"),
    "opened twice": ([opened(), opened(context=C)], "rounds", "under a second context"),
    "opened after its end": ([opened(), finished(), opened(1, 1, C)], "rounds", "round 1 is finished"),
    "gone back": ([opened(2, 0), opened(1, 0, C)], "rounds", "after attempt 0 at round 2"),
    "one left out": ([opened(2), finished(2)], "rounds", "finishes round 2 after 0"),
    "refused and in": ([opened(), finished(refused={"bari": "late"})], "contributors", "was refused"),
    "nobody in it": ([opened(), finished(names=())], "contributors", "are none"),
    "one twice": ([opened(), finished(names=("ambon", "ambon"))], "contributors", "there twice"),
    "another roster": (
        [
            opened(),
            Event("roster", {"round": 1, "attempt": 0, "context": A, "contributors": ["ambon", "cusco"]}),
            finished(),
        ],
        "contributors",
        "names another contributors",
    ),
    "void and finished": ([opened(), void(), finished()], "voids", "which was voided"),
    "void and opened": ([opened(), void(), opened(1, 0, C)], "voids", "which was voided"),
    "finished and void": ([opened(), finished(), void()], "voids", "after its end"),
    "an earlier one void": ([void(1, 2), void(1, 1)], "voids", "after a later one"),
    "a number that is none": ([Event("round-opened", opened().body | {"round": "1"})], "entries", "is no number"),
    "a context that is none": ([Event("round-opened", opened().body | {"context": 7})], "entries", "is no text"),
    "names that are none": ([opened(), finished(names=("ambon", 3))], "entries", "is no list of names"),
    "receipts without any": ([Event("receipts", {"round": 1, "attempt": 0})], "statements", "no batch is attached"),
    "receipts that are none": (
        [Event("receipts", {"round": 1, "attempt": 0}, {"batch": b"none"})],
        "statements",
        "(receipts)",
    ),
}


@pytest.mark.parametrize("story", STORIES)
def test_what_cannot_have_happened_is_found(tmp_path: Path, story: str) -> None:
    events, check, detail = STORIES[story]
    found = failed(lying(tmp_path, events))
    assert check in found and detail in found[check]


def test_what_is_said_again_after_a_restart_is_no_second_event(tmp_path: Path) -> None:
    events = [opened(), void(), void(), opened(1, 1, C), finished(1, 1, C), opened(1, 1, C), finished(1, 1, C)]
    assert failed(lying(tmp_path, [*events, opened(2, 0, B), finished(2, 0, B)])) == {}


def test_a_silo_that_also_sends_something_else_does_not_spoil_the_log_of_an_honest_aggregator(tmp_path: Path) -> None:
    """It is refused for that, and contributes what it sent first."""
    world = World(backend="plain")
    with tile_log(tmp_path, "hub", world.clock) as log:
        world.logs["hub"] = log
        world.enrolments = world.make_enrolments()
        world.begin()
        offer = world.open()
        world.send(offer)
        with pytest.raises(MessageRefused):
            world.aggregator.receive("bari", b"something else")
        world.finish()
        last = [entry for entry in log.entries() if entry.kind == "round-finished"][-1]
        assert "bari" in last.body["contributors"] and last.body["refused"] == {}
    assert failed(tmp_path) == {}


def test_two_jobs_in_one_log_both_begin_with_round_1(tmp_path: Path) -> None:
    events = [Event("consent", {"job": A}), opened(), finished(), Event("consent", {"job": B})]
    assert failed(lying(tmp_path, [*events, opened(context=C), finished(context=C)])) == {}


def test_a_keeper_killed_before_it_gave_a_key_out_makes_another(tmp_path: Path) -> None:
    def key(context: str) -> Event:
        return Event("round-opened", {"job": B, "round": 1, "attempt": 0, "context": context})

    def release(context: str) -> Event:
        body = {"job": B, "round": 1, "attempt": 0, "context": context, "contributors": ["ambon"]}
        return Event("key-release", body | {"enclave": "software", "isolation": "none"})

    assert failed(lying(tmp_path / "once", [key(A), key(C), release(C)], "keeper")) == {}
    assert "rounds" in failed(lying(tmp_path / "first", [key(A), key(C), release(A)], "keeper"))
    assert "rounds" in failed(lying(tmp_path / "both", [key(A), release(A), key(C)], "keeper"))


def test_a_round_accepted_twice_with_another_model_fails(tmp_path: Path) -> None:
    def accepted(model: str) -> Event:
        return Event("round-accepted", {"round": 1, "context": A, "contributors": ["ambon"], "model": model})

    assert failed(lying(tmp_path / "same", [accepted(B), accepted(B)], "ambon")) == {}
    found = failed(lying(tmp_path / "other", [accepted(B), accepted(C)], "ambon"))
    assert {"rounds", "contributors"} <= found.keys()


def test_the_receipts_of_another_aggregator_fail_statements(job: Path, tmp_path: Path) -> None:
    """Signed by a certified aggregator, about another job, and put into this one's log."""
    batch = next(entry for entry in hub_entries(job) if entry.kind == "receipts")
    content = file(job / "hub", f"{PAYLOADS}/{batch.attached['batch'].sha256}").read_bytes()
    lying(tmp_path / "rome", [Event("receipts", dict(batch.body), {"batch": content})], "rome-silo")
    with tile_log(job / "hub", "hub") as log:
        log.append("receipts", {"round": 9, "attempt": 0}, {"batch": content})
    assert "another round" in failed(job / "hub")["statements"]
    assert "which no silo writes" in failed(tmp_path / "rome")["entries"]


def hub_entries(job: Path) -> list[entries.Entry]:
    from quatrefoil.audit import PartyLog

    trust = consortium("test-consortium").trust
    return list(PartyLog.in_folder(job / "hub" / "log", trust, clock=lambda: AT).entries())


def test_messages_signed_by_another_than_who_sends_them_fail_statements(tmp_path: Path) -> None:
    def roster(holder) -> Event:
        body = {"round": 1, "attempt": 0, "context": A, "contributors": ["ambon"]}
        return Event("roster", body, {"proposal": statement.sign(b"a proposal", holder)})

    def sent(holder) -> Event:
        body = {"round": 1, "attempt": 0, "context": A, "silo": "ambon"}
        return Event("contribution", body, {"contribution": statement.sign(b"a contribution", holder)})

    for number, (event, problem) in enumerate(
        [
            (roster(identity("hub", "aggregator")), ""),
            (roster(identity("hub", "aggregator", "stranger")), "certificate"),
            (roster(identity("ambon", "silo")), "not by the aggregator"),
            (roster(identity("rome", "aggregator")), "not by the log's owner"),
            (sent(identity("ambon", "silo")), ""),
            (sent(identity("bari", "silo")), "names another silo"),
            (sent(identity("ambon", "silo", "stranger")), "certificate"),
        ]
    ):
        found = failed(lying(tmp_path / f"{number}", [opened(), event]))
        assert problem in found["statements"] if problem else found == {}


def test_where_a_model_comes_from_is_verified_and_held_to_the_rounds(job: Path) -> None:
    """The same statement in a log whose rounds had other contributors."""
    from quatrefoil.audit.dsse import Envelope

    entry = next(one for one in hub_entries(job) if one.kind == "provenance")
    content = file(job / "hub", f"{PAYLOADS}/{entry.attached['envelope'].sha256}").read_bytes()
    said = Event("provenance", dict(entry.body), {"envelope": content})
    assert failed(lying(job / "x", [said])) == {}
    ended = next(one for one in hub_entries(job) if one.kind == "round-finished")
    other = [opened(1, 0, ended.body["context"]), finished(1, 0, ended.body["context"])]
    assert "provenance" in failed(lying(job / "y", [*other, said]))["contributors"]
    signatures = Envelope.decode(content).signatures
    alone = dataclasses.replace(Envelope.decode(content), signatures=signatures[1:]).encode()
    assert failed(lying(job / "z", [Event("provenance", {"statement": A}, {"envelope": content})]))["statements"]
    assert failed(lying(job / "w", [Event("provenance", {"statement": A}, {"envelope": alone})]))["statements"]


def test_an_altered_batch_of_receipts_fails_statements(job: Path) -> None:
    from quatrefoil.audit.receipts import ReceiptBatch

    batch = next(entry for entry in hub_entries(job) if entry.kind == "receipts")
    content = file(job / "hub", f"{PAYLOADS}/{batch.attached['batch'].sha256}").read_bytes()
    whole = ReceiptBatch.decode(content)
    fewer = dataclasses.replace(whole, payloads=whole.payloads[:-1]).encode()
    with tile_log(job / "hub", "hub") as log:
        log.append("receipts", dict(batch.body), {"batch": fewer})
    assert "statements" in failed(job / "hub")


def test_the_lists_beside_the_root_of_the_tests_are_there() -> None:
    assert LISTS.exists()
