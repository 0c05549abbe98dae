"""TDX and SGX quotes under a root of our own: what is established, and every check made to fail, validly signed."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcap_quotes import (
    AT,
    CURRENT,
    DEBUG,
    ISSUED,
    MIGRATABLE,
    MRTD,
    OLD,
    PPID,
    REPORT_DATA,
    SEPT_VE_DISABLE,
    SGX,
    UNTIL,
    Platform,
    root,
)
from quatrefoil.enclave.claims import Findings
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.enclave.tdx import CHECKS, verify
from quatrefoil.enclave.tdx.quote import parse
from quatrefoil.enclave.tdx.roots import pinned
from quatrefoil.errors import DependencyMissing, EvidenceRejected, HostError

GOOD = {"tdx-1.0": Platform(), "tdx-1.5": Platform(version=5), "sgx": SGX}


def found(platform: Platform, collateral: Collateral | None = None, at: datetime = AT) -> Findings:
    given_collateral = platform.collateral() if collateral is None else collateral
    findings = verify(platform.evidence(), given_collateral, at, root=root())
    assert tuple(check.name for check in findings.checks) == CHECKS
    assert all(check.detail for check in findings.checks)
    assert findings.failed == () or (findings.claims.root, findings.claims.status) != ("fake root", "UpToDate")
    return findings


def failed(findings: Findings) -> dict[str, str]:
    return {check.name: check.detail for check in findings.failed}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_quote(name: str) -> None:
    findings = found(GOOD[name])
    claims = findings.claims
    assert not findings.failed
    assert (claims.root, claims.status, claims.advisories) == ("fake root", "UpToDate", ())
    assert claims.isolation == ("process" if name == "sgx" else "vm")
    assert (claims.debug, claims.report_data, claims.platform) == (False, REPORT_DATA, {"ppid": PPID})
    assert claims.facts["collateral_expires"] == f"{UNTIL:%Y-%m-%dT%H:%M:%SZ}"
    assert (claims.facts["dynamic_platform"], claims.facts["smt_enabled"]) == (True, False)
    if name == "sgx":
        assert claims.measurements["mrenclave"] == b"\x0e" * 32 and claims.measurements["isvprodid"] == b"\x07\x00"
        assert claims.tcb == {"isv": 3, "qe": 6, "pce": CURRENT, "evaluation": 17}
    else:
        assert claims.measurements["mrtd"] == MRTD
        assert claims.tcb == {"module": 0x105, "qe": 6, "pce": CURRENT, "evaluation": 17}


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize(
    "status", ["SWHardeningNeeded", "ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded", "OutOfDate"]
)
def test_a_weak_status_is_a_claim_and_no_success(name: str, status: str) -> None:
    """The library accepts these. The verifier says so, and leaves it to a policy that has to name what it accepts."""
    platform = GOOD[name].with_(levels=((CURRENT, status, ("INTEL-SA-00001", "INTEL-SA-00002")),))
    findings = found(platform)
    assert not findings.failed
    assert findings.claims.status == status
    assert findings.claims.advisories == ("INTEL-SA-00001", "INTEL-SA-00002")
    assert status in findings.checks[-1].detail


@pytest.mark.parametrize("name", GOOD)
def test_a_lower_tcb_has_its_level(name: str) -> None:
    claims = found(GOOD[name].with_(versions=OLD)).claims
    assert (claims.status, claims.advisories) == ("OutOfDate", ("INTEL-SA-00837",))
    assert claims.tcb["pce"] == OLD


@pytest.mark.parametrize("name", GOOD)
def test_an_old_quoting_enclave_counts(name: str) -> None:
    claims = found(GOOD[name].with_(qe={"isvsvn": 3})).claims
    assert (claims.status, claims.tcb["qe"]) == ("OutOfDate", 3)


FLAGS = {
    "debug": (DEBUG | SEPT_VE_DISABLE, "debug or profile"),
    "profiling": (1 << 4 | SEPT_VE_DISABLE, "debug or profile"),
    "migratable": (MIGRATABLE | SEPT_VE_DISABLE, "migratable"),
    "no-sept-ve-disable": (0, "SEPT_VE_DISABLE"),
}


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("flag", FLAGS)
def test_attributes_of_a_td_that_is_not_closed(version: int, flag: str) -> None:
    attributes, says = FLAGS[flag]
    findings = found(Platform(version=version, body={"tdattributes": attributes}))
    assert set(failed(findings)) == {"attributes", "platform"} and says in failed(findings)["attributes"]
    assert findings.claims.debug == (flag in ("debug", "profiling"))
    assert findings.claims.facts["migratable"] == (flag == "migratable")


def test_reserved_attributes_are_refused_by_the_library() -> None:
    findings = found(Platform(body={"tdattributes": 1 << 40 | SEPT_VE_DISABLE}))
    assert set(failed(findings)) == {"platform"} and "Reserved bits" in failed(findings)["platform"]


def test_an_enclave_in_debug() -> None:
    findings = found(SGX.with_(body={"attributes": 7}))
    assert set(failed(findings)) == {"attributes", "platform"} and findings.claims.debug is True


def test_a_service_td() -> None:
    findings = found(Platform(version=5, body={"mrservicetd": b"\x01" * 48}))
    assert set(failed(findings)) == {"attributes", "platform"} and findings.claims.facts["service_td"] is True


PLATFORM_FAILURES: dict[str, tuple[dict[str, Any], str]] = {
    "tcb too low for any level": ({"versions": 2}, "No matching TCB level"),
    "revoked tcb": ({"levels": ((CURRENT, "Revoked", ()),)}, "Revoked"),
    "revoked quoting enclave": ({"qe_levels": ((4, "Revoked"),)}, "Revoked"),
    "quoting enclave too old": ({"qe": {"isvsvn": 1}}, "below minimum"),
    "quoting enclave of another signer": ({"qe": {"mrsigner": b"\x01" * 32}}, "MRSIGNER mismatch"),
    "quoting enclave in debug": ({"qe": {"attributes": 0x13}}, "Debug mode"),
    "another enclave for a quoting enclave": ({"qe": {"isvprodid": 9}}, "ISVPRODID mismatch"),
    "revoked platform": ({"revoked": ("PCK",)}, "CertRevoked"),
    "revoked authority": ({"revoked": ("PCK Platform CA",)}, "CertRevoked"),
    "revoked signer of the statements": ({"revoked": ("TCB signing",)}, "CertRevoked"),
    "altered tcb info": ({"tampered": {"tcb_info_signature": "11" * 64}}, "Signature is invalid for tcb_info"),
    "altered identity": ({"tampered": {"qe_identity_signature": "11" * 64}}, "Signature is invalid for qe_identity"),
}


@pytest.mark.parametrize("kind", ["tdx", "sgx"])
@pytest.mark.parametrize("case", PLATFORM_FAILURES)
def test_what_the_platform_check_refuses(kind: str, case: str) -> None:
    changes, says = PLATFORM_FAILURES[case]
    findings = found((SGX if kind == "sgx" else Platform()).with_(**changes))
    assert set(failed(findings)) == {"platform"}
    assert says in failed(findings)["platform"]
    assert (findings.claims.root, findings.claims.status, findings.claims.platform) == ("none", "", {})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"module": 3}, "No TDX module identity"),
        ({"body": {"mrsignerseam": b"\x01" * 48}}, "MRSIGNER mismatch"),
        ({"body": {"seamattributes": 1}}, "SEAMATTRIBUTES"),
    ],
)
def test_tdx_modules_that_are_not_intels(changes: dict[str, Any], says: str) -> None:
    findings = found(Platform(**changes))
    assert set(failed(findings)) == {"platform"} and says in failed(findings)["platform"]


def test_the_td_module_updated_since_the_launch_is_said() -> None:
    platform = Platform(version=5, body={"teetcbsvn": bytes([OLD, 1] + [OLD] * 14)})
    claims = found(platform).claims
    assert claims.status == "TDRelaunchAdvised"
    assert (claims.tcb["module"], claims.launch_tcb["module"]) == (1 << 8 | CURRENT, 1 << 8 | OLD)


@pytest.mark.parametrize("kind", ["tdx", "sgx"])
@pytest.mark.parametrize(
    ("part", "says"),
    [
        ("tcb_until", "the TCB info expired on 2026-05-20T00:00:00Z"),
        ("identity_until", "the identity of the quoting enclave expired on 2026-05-20T00:00:00Z"),
        ("lists_until", "the root's revocation list expired on 2026-05-20T00:00:00Z"),
        ("pck_until", "the platform's certificate expired on 2026-05-20T00:00:00Z"),
    ],
)
def test_expired_collateral_names_its_date(kind: str, part: str, says: str) -> None:
    platform = (SGX if kind == "sgx" else Platform()).with_(**{part: datetime(2026, 5, 20, tzinfo=UTC)})
    findings = found(platform)
    assert set(failed(findings)) == {"collateral", "platform"}
    assert says in failed(findings)["collateral"]


def test_collateral_from_the_future() -> None:
    findings = found(Platform(), at=ISSUED - timedelta(days=1))
    assert "the TCB info holds from 2026-05-15T00:00:00Z on" in failed(findings)["collateral"]


@pytest.mark.parametrize(
    "collateral",
    [
        Collateral(),
        Collateral(documents={"other": b"{}", "broken": b"{", "list": b"[1]"}),
        SGX.collateral(),
        Platform(fmspc="000000000001").collateral(),
    ],
    ids=["none", "not-collateral", "of-sgx", "of-another-platform"],
)
def test_no_collateral_for_the_platform(collateral: Collateral) -> None:
    findings = found(Platform(), collateral)
    assert set(failed(findings)) == {"collateral", "platform"}
    assert "none for platforms 00906ED50000" in failed(findings)["collateral"]


def test_the_right_document_is_chosen() -> None:
    documents = {
        "a": Platform(fmspc="000000000001").document(),
        "b": SGX.document(),
        "c": Platform().document(),
        "d": b"{}",
    }
    assert not found(Platform(), Collateral(documents=documents)).failed
    assert not found(SGX, Collateral(documents=documents)).failed


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tcb_info", "{"),
        ("tcb_info", "[]"),
        ("root_ca_crl", "zz"),
        ("root_ca_crl", "00"),
        ("pck_crl", 5),
        ("tcb_info_issuer_chain", "-"),
        ("qe_identity", '{"issueDate": "yesterday"}'),
        ("qe_identity", '{"issueDate": "2026-05-15T00:00:00"}'),
    ],
)
def test_collateral_that_cannot_be_read_is_the_relying_partys_fault(name: str, value: object) -> None:
    platform = Platform(tampered={name: value})
    with pytest.raises(HostError) as refused:
        verify(platform.evidence(), platform.collateral(), AT, root=root())
    assert "Fetch the collateral" in refused.value.hint


@pytest.mark.parametrize("kind", ["tdx", "sgx"])
def test_a_platform_under_another_root(kind: str) -> None:
    other = (SGX if kind == "sgx" else Platform()).with_(root="other root")
    findings = found(other)
    assert set(failed(findings)) == {"root-certificate", "platform"} and findings.claims.root == "none"
    mixed = found(other, (SGX if kind == "sgx" else Platform()).collateral())
    assert set(failed(mixed)) == {"root-certificate", "platform"}


def test_our_root_is_not_intels() -> None:
    findings = verify(Platform().evidence(), Platform().collateral(), AT)
    assert {"root-certificate", "platform"} == {check.name for check in findings.failed}


def test_a_signer_of_statements_that_the_root_did_not_certify() -> None:
    statements = json.loads(Platform(root="other root").document())
    chain = {"tcb_info_issuer_chain": statements["tcb_info_issuer_chain"]}
    findings = found(Platform(tampered=chain))
    assert set(failed(findings)) == {"platform"}


def spliced(platform: Platform, at: int, other: bytes) -> Evidence:
    quote = bytearray(platform.quote())
    quote[at : at + len(other)] = other
    return Evidence(platform.kind, bytes(quote))


def test_another_body_than_was_signed() -> None:
    quote = Platform().quote()
    at = quote.index(MRTD)
    findings = verify(spliced(Platform(), at, bytes(48)), Platform().collateral(), AT, root=root())
    assert [check.name for check in findings.failed] == ["signature", "platform"]


def test_an_attestation_key_that_no_quoting_enclave_made() -> None:
    findings = found(Platform(qe={"reportdata": bytes(64)}))
    assert set(failed(findings)) == {"quoting-enclave", "platform"}
    assert "another attestation key" in failed(findings)["quoting-enclave"]


def test_an_attestation_key_that_is_no_point() -> None:
    quote = parse(Platform().quote())
    at = Platform().quote().index(quote.attestation_key)
    findings = verify(spliced(Platform(), at, bytes(64)), Platform().collateral(), AT, root=root())
    assert [check.name for check in findings.failed] == ["signature", "quoting-enclave", "platform"]


@pytest.mark.parametrize("name", GOOD)
def test_no_byte_of_a_quote_is_free(name: str) -> None:
    """A bit of every byte: refused, or a check fails. PEM, which nobody signs, has one form only."""
    platform = GOOD[name]
    good, collateral = platform.quote(), platform.collateral()
    # The text of the chain is the same in all three: once is enough.
    end = good.index(b"-----BEGIN") if name == "tdx-1.5" else len(good)
    for at in range(end):
        changed = bytearray(good)
        changed[at] ^= 1 << at % 8
        try:
            findings = verify(Evidence(platform.kind, bytes(changed)), collateral, AT, root=root())
        except EvidenceRejected:
            continue
        assert findings.failed, f"byte {at}"


def refused(data: bytes, says: str, kind: str = "tdx") -> None:
    with pytest.raises(EvidenceRejected, match=says) as refusal:
        verify(Evidence(kind, data), Collateral(), AT, root=root())
    assert refusal.value.hint


def test_quotes_of_other_forms() -> None:
    good = Platform().quote()

    def with_(at: int, value: bytes) -> bytes:
        return good[:at] + value + good[at + len(value) :]

    refused(with_(0, b"\x06"), "version 6 and TEE type 0x81")
    refused(with_(0, b"\x03"), "version 3 and TEE type 0x81")
    refused(with_(4, b"\x00"), "version 4 and TEE type 0x0")
    refused(with_(2, b"\x03"), "key of type 3")
    refused(with_(12, bytes(16)), "not of a quoting enclave of Intel's")
    refused(with_(48 + 584, b"\xff\xff\xff\x7f"), "gives signature data")
    refused(good[:-1], "ends inside|gives signature data")
    refused(good + b"\x01", "more than zeros")
    at = 48 + 584 + 4 + 128
    refused(with_(at, b"\x05"), "not a quoting enclave's report")
    assert parse(good + bytes(70)).body == parse(good).body
    refused(SGX.quote(), "not of the kind tdx")
    refused(good, "not of the kind sgx", kind="sgx")


def test_bodies_of_other_types() -> None:
    good = Platform(version=5).quote()
    refused(good[:48] + b"\x04" + good[49:], "body of type 4")
    refused(good[:48] + b"\x02" + good[49:], "body of 648 bytes")


def test_chains_of_other_forms() -> None:
    chain = Platform().pck_chain
    for changed, says in (
        (chain.replace(b"\n", b" ", 1), "PEM"),
        (chain[:-1] + b"\n", "not written as PEM"),
        (b"# comment\n"[:10] + chain[10:], "PEM"),
    ):
        assert len(changed) == len(chain)
        refused(Platform().quote().replace(chain, changed), says)


@pytest.mark.parametrize(
    "beside", [{"signature": b"x"}, {"certificates": (b"x",)}, {"kind": "sgx", "event_log": b"x"}, {"kind": "tpm"}]
)
def test_nothing_stands_beside_a_quote(beside: dict[str, Any]) -> None:
    with pytest.raises(EvidenceRejected, match="something beside the quote"):
        verify(Evidence(**{"kind": "tdx", "report": Platform().quote(), **beside}), Collateral(), AT)


@given(st.binary(min_size=1, max_size=3000))
def test_other_bytes_are_rejected(data: bytes) -> None:
    for kind in ("tdx", "sgx"):
        with pytest.raises(EvidenceRejected):
            verify(Evidence(kind, data), Collateral(), AT)


@given(st.binary(min_size=64, max_size=64), st.binary(min_size=48, max_size=48), st.sampled_from([4, 5]))
def test_what_is_written_is_read(data: bytes, measurement: bytes, version: int) -> None:
    quote = parse(Platform(version=version, body={"reportdata": data, "rtmr2": measurement}).quote())
    assert (quote.body["reportdata"], quote.body["rtmr2"]) == (data, measurement)


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dcap_qvl", None)
    with pytest.raises(DependencyMissing, match="dcap-qvl") as refused_for:
        verify(Platform().evidence(), Platform().collateral(), AT)
    assert "quatrefoil[attest]" in refused_for.value.hint


def test_the_root_is_the_one_that_was_pinned() -> None:
    assert pinned().name == "Intel SGX Root CA"


def test_a_certificate_that_is_no_platforms() -> None:
    """A chain without Intel's extension names no platform."""
    from dcap_quotes import authority, pem

    chain = Platform().pck_chain
    other = pem(authority("PCK Platform CA", "fake root"), authority("fake root", "fake root")).encode() + b"\x00"
    quote = Platform().quote()
    at = quote.index(chain)
    shorter = len(chain) - len(other)
    data = bytearray(quote[:at] + other)
    for where, size in ((at - 4, len(other)), (48 + 584, None), (48 + 584 + 4 + 130, None)):
        old = int.from_bytes(data[where : where + 4], "little")
        data[where : where + 4] = (size if size is not None else old - shorter).to_bytes(4, "little")
    refused(bytes(data), "not a PCK certificate")


@pytest.mark.parametrize("year", [1, 1960, 9999])
def test_any_time_gives_a_verdict(year: int) -> None:
    """Also one that the library cannot count to."""
    assert "collateral" in failed(found(Platform(), at=datetime(year, 1, 1, tzinfo=UTC)))
