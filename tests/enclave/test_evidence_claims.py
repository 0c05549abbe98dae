"""Findings always hold checks, claims are read-only, and JSON says only what the evidence says."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from quatrefoil.enclave.claims import Check, Claims, Findings

CLAIMS = Claims("sev-snp", "AMD Milan ARK", "vm", b"\x01" * 64, measurements={"measurement": b"\x02" * 48}, debug=True)


def test_json_has_the_names_of_eat() -> None:
    said = Claims("tpm", "none", "none", b"\xab", signed_at=datetime(2026, 1, 1, tzinfo=UTC)).to_json()
    assert said["eat_nonce"] == "ab" and said["iat"] == 1767225600
    assert CLAIMS.to_json()["dbgstat"] == "enabled"


def test_what_is_not_said_is_left_out() -> None:
    said = Claims("tpm", "none", "none", b"").to_json()
    assert {"dbgstat", "iat", "hwmodel", "vmpl", "status"}.isdisjoint(said)
    json.dumps(said, allow_nan=False)


def test_claims_cannot_be_changed_through_what_they_were_made_from() -> None:
    tcb = {"snp": 1}
    claims = Claims("sev-snp", "none", "vm", b"", tcb=tcb)
    tcb["snp"] = 99
    assert claims.tcb["snp"] == 1
    with pytest.raises(TypeError):
        claims.tcb["snp"] = 99  # type: ignore[index]


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "software"},
        {"isolation": "strong"},
        {"signed_at": datetime(2026, 1, 1)},
    ],
)
def test_claims_that_no_verifier_may_make(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        Claims(**{"kind": "tpm", "root": "none", "isolation": "none", "report_data": b"", **wrong})  # type: ignore[arg-type]


def test_findings_without_a_check_cannot_be_made() -> None:
    with pytest.raises(ValueError):
        Findings(CLAIMS, ())


def test_a_check_is_made_once() -> None:
    with pytest.raises(ValueError):
        Findings(CLAIMS, (Check("chain", True, ""), Check("chain", False, "")))


def test_a_failed_check_hides_no_other() -> None:
    found = Findings(CLAIMS, (Check("chain", False, "no"), Check("signature", True, "yes"), Check("tcb", False, "no")))
    assert [check.name for check in found.failed] == ["chain", "tcb"] and len(found.checks) == 3


@pytest.mark.parametrize("name", ["", "Chain", "a b", "x" * 60])
def test_names_of_checks_are_names(name: str) -> None:
    with pytest.raises(ValueError):
        Check(name, True, "")


def test_details_cannot_move_a_cursor() -> None:
    assert Check("chain", False, "a\x1b[2J\nb").detail == "a [2J b"
