"""Evidence as it should be, and the checks of whose it is: trust, owner, policy."""

from __future__ import annotations

import dataclasses
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from party_logs import AT, LISTS, ROOT, failed, file, judged, lying, named, tile_log

from identities import START, consortium, identity
from quatrefoil.audit import Event, TileLog
from quatrefoil.audit.checks.statements import CHECKERS
from quatrefoil.audit.log import OWNER
from quatrefoil.audit.verdict import CHECKS, OF_A_LOG
from quatrefoil.errors import EvidenceRejected
from quatrefoil.policy import Policy
from quatrefoil.tlog.tiles import CHECKPOINT

PARTIES = ("hub", "keeper", "ambon", "dakar")
A, B = "aa" * 32, "bb" * 32


# ------------------------------------------------------------------------------------------------ what is as it should


@pytest.mark.parametrize("party", PARTIES)
def test_the_log_of_a_party_in_a_real_job_passes_every_check(job: Path, policy: Policy, party: str) -> None:
    verdict = judged(job / party, policy=policy)
    assert verdict.failed == () and verdict.valid
    without = (
        "bundle",
        "agreement",
        "measurements",
        "samples",
        "proofs",
        "promised",
    )  # of what is not beside a party's log
    assert [check.name for check in verdict.checks] == [name for name in CHECKS if name not in without]
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


def test_the_lists_beside_the_root_of_the_tests_are_there() -> None:
    assert LISTS.exists()


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
