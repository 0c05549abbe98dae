"""Nitro documents under a root of our own, each check failing alone; and the one real document that is at hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import cbor2
import pytest

import p384
import shared_vectors
from nitro_documents import ENCLAVE, INSTANCE, PCRS, REGION, REPORT_DATA, ROOT, Made, root
from p384 import AT
from quatrefoil.appraisal import verify as verify_any
from quatrefoil.enclave import nitro
from quatrefoil.enclave.certificates import signed_p384
from quatrefoil.enclave.claims import Findings
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.enclave.nitro import roots
from quatrefoil.enclave.nitro.document import Document
from quatrefoil.errors import EvidenceRejected

GOOD = Made()


def found(made: Made, at: datetime = AT, collateral: Collateral | None = None) -> Findings:
    return nitro.verify(made.evidence(), collateral or Collateral(), at, root=root())


def failed(findings: Findings) -> list[str]:
    assert (findings.claims.root == "none") == any(
        check.name in ("chain", "validity", "revocation", "signature") for check in findings.failed
    )
    return [check.name for check in findings.failed]


@pytest.mark.parametrize("indefinite", [True, False])
def test_a_good_document_is_established(indefinite: bool) -> None:
    findings = found(GOOD.with_(indefinite=indefinite))
    assert failed(findings) == [] and tuple(check.name for check in findings.checks) == nitro.CHECKS
    claims = findings.claims
    assert (claims.root, claims.isolation, claims.debug) == ("the tests' Nitro root", "vm", False)
    assert claims.report_data == REPORT_DATA and claims.signed_at == GOOD.made_at
    assert claims.measurements["pcr0"] == PCRS[0] and len(claims.measurements) == 16


def test_report_data_is_user_data_and_nothing_else() -> None:
    claims = found(GOOD.with_(user_data=None, nonce=REPORT_DATA, public_key=b"key")).claims
    assert claims.report_data == b"" and claims.facts["nonce"] == REPORT_DATA and claims.facts["public_key"] == b"key"
    assert found(GOOD.with_(left_out=("user_data", "nonce", "public_key"))).claims.report_data == b""


DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("made", "at", "checks"),
    [
        (GOOD.with_(root="another"), AT, ["chain", "validity"]),
        (GOOD.with_(chain={ENCLAVE: {"signer": "stranger"}}), AT, ["chain", "validity"]),
        (GOOD.with_(chain={INSTANCE: {"ca": False}}), AT, ["chain", "validity"]),
        (GOOD.with_(signed_by="stranger"), AT, ["signature"]),
        (GOOD.with_(signed_by=INSTANCE), AT, ["signature"]),
        (GOOD, AT + timedelta(hours=4), ["validity"]),
        (GOOD, AT - 31 * DAY, ["validity"]),
        (GOOD.with_(chain={REGION: {"end": AT - DAY}}), AT, ["validity"]),
        (GOOD.with_(pcrs={**PCRS, 0: bytes(48)}), AT, ["not-debug"]),
        (GOOD.with_(pcrs=dict.fromkeys(range(16), bytes(48))), AT, ["not-debug"]),
        (GOOD.with_(pcrs={**PCRS, 2: bytes(48)}), AT, ["not-debug"]),
    ],
)
def test_each_check_fails_alone(made: Made, at: datetime, checks: list[str]) -> None:
    assert failed(found(made, at)) == checks


def test_a_debug_enclave_says_so() -> None:
    claims = found(GOOD.with_(pcrs=dict.fromkeys(range(16), bytes(48)))).claims
    assert claims.debug is True and claims.to_json()["dbgstat"] == "enabled"


def test_expiry_names_the_date() -> None:
    (check,) = found(GOOD, AT + timedelta(hours=4)).failed
    assert "expired on 2026-06-01 03:00 UTC" in check.detail


def test_revocation_lists_are_looked_at() -> None:
    given = Collateral(revocation_lists=(p384.revocation_list(ROOT),))
    findings = found(GOOD, collateral=given)
    assert failed(findings) == [] and findings.claims.facts["revocation_checked"] is True
    assert failed(found(GOOD, collateral=Collateral(revocation_lists=(p384.revocation_list(REGION, (5,)),)))) == [
        "revocation"
    ]


LONG = GOOD.with_(changes={"cabundle": [b"a"] * 9})


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (GOOD.with_(protected=b"\xa1\x01\x26"), "ES384"),
        (GOOD.with_(protected=b"\xa1\x01\x38\x23"), "ES384"),
        (GOOD.with_(unprotected={4: b"kid"}), "ES384"),
        (GOOD.with_(unprotected=[]), "ES384"),
        (GOOD.with_(digest="SHA256"), "digest is SHA256"),
        (GOOD.with_(left_out=("pcrs",)), "fields are not .*: pcrs"),
        (GOOD.with_(left_out=("pcrs",), changes={"nitrotpm_pcrs": PCRS, "pcrs": 0}), "nitrotpm_pcrs"),
        (GOOD.with_(changes={"more": 1}), "more"),
        (GOOD.with_(module_id=""), "module_id"),
        (GOOD.with_(changes={"module_id": b"i-1"}), "module_id"),
        (GOOD.with_(module_id="i-1\n"), "module_id"),
        (GOOD.with_(changes={"timestamp": 0}), "timestamp"),
        (GOOD.with_(changes={"timestamp": True}), "timestamp"),
        (GOOD.with_(changes={"timestamp": 1 << 63}), "timestamp"),
        (GOOD.with_(changes={"timestamp": -1}), "timestamp"),
        (GOOD.with_(changes={"timestamp": 1.5}), "timestamp"),
        (GOOD.with_(pcrs={0: PCRS[0], 1: PCRS[1]}), "lacks PCR0, PCR1 or PCR2"),
        (GOOD.with_(pcrs={**PCRS, 32: bytes(48)}), "numbered below 32"),
        (GOOD.with_(changes={"pcrs": {**PCRS, "3": bytes(48)}}), "numbered below 32"),
        (GOOD.with_(changes={"pcrs": {**PCRS, 3: bytes(32)}}), "PCR3 is not 48 to 48 bytes"),
        (GOOD.with_(changes={"pcrs": []}), "pcrs are not registers"),
        (GOOD.with_(changes={"certificate": b""}), "certificate is not"),
        (GOOD.with_(changes={"certificate": bytes(1025)}), "certificate is not"),
        (GOOD.with_(changes={"cabundle": []}), "cabundle does not hold"),
        (LONG, "cabundle does not hold"),
        (GOOD.with_(changes={"cabundle": [1]}), "cabundle is not"),
        (GOOD.with_(changes={"cabundle": [b"a"]}), "certificate cannot be read"),
        (GOOD.with_(user_data=bytes(1025)), "user_data is not"),
        (GOOD.with_(changes={"nonce": "text"}), "nonce is not"),
        (GOOD.with_(changes={"nonce": 0}), "nonce is not"),
        (GOOD.with_(changes={"public_key": {}}), "public_key is not"),
    ],
)
def test_what_is_no_document_is_refused_unread(made: Made, says: str) -> None:
    with pytest.raises(EvidenceRejected, match=says) as refused:
        found(made)
    assert refused.value.check == "format" and refused.value.hint


def _parts() -> list[Any]:
    return cbor2.loads(GOOD.report())  # type: ignore[no-any-return]


def _payload(payload: bytes) -> bytes:
    first, headers, _, signature = _parts()
    return cbor2.dumps([first, headers, payload, signature])


def _twice() -> bytes:
    return b"\xbf" + cbor2.dumps("digest") + cbor2.dumps("SHA384") + GOOD.payload()[1:]


@pytest.mark.parametrize(
    "report",
    [
        b"\x00",
        b"text",
        b"\xd2" + GOOD.report(),
        GOOD.report() + b"\x00",
        GOOD.report()[:-1],
        cbor2.dumps(_parts()[:3]),
        cbor2.dumps([*_parts(), 0]),
        cbor2.dumps([*_parts()[:3], _parts()[3] + b"\0"]),
        cbor2.dumps([*_parts()[:2], "text", _parts()[3]]),
        GOOD.report().replace(b"\x58\x60", b"\x59\x00\x60"),
        b"\x9f" + GOOD.report()[1:] + b"\xff",
        _payload(b"\x80"),
        _payload(GOOD.payload() + b"\0"),
        _payload(_twice()),
        _payload(GOOD.payload().replace(b"\x66SHA384", b"\x78\x06SHA384")),
        _payload(GOOD.payload().replace(b"\x66SHA384", b"\xc1\x66SHA384")),
        _payload(bytes(16385)),
        _payload(b"\x81" * 5000),
    ],
)
def test_other_forms_are_refused_unread(report: bytes) -> None:
    with pytest.raises(EvidenceRejected) as refused:
        nitro.verify(Evidence("nitro", report), Collateral(), AT, root=root())
    assert refused.value.check == "format"


@pytest.mark.parametrize(
    "evidence",
    [
        Evidence("tpm", GOOD.report()),
        Evidence("nitro", GOOD.report(), b"signature"),
        Evidence("nitro", GOOD.report(), b"", (b"certificate",)),
        Evidence("nitro", GOOD.report(), b"", (), b"log"),
    ],
)
def test_something_beside_the_document_is_refused(evidence: Evidence) -> None:
    with pytest.raises(EvidenceRejected, match="not evidence of a Nitro enclave"):
        nitro.verify(evidence, Collateral(), AT, root=root())


def test_no_byte_of_a_document_is_free() -> None:
    good = GOOD.with_(pcrs={0: PCRS[0], 1: PCRS[1], 2: PCRS[2]}).report()
    for byte in range(len(good)):
        flipped = bytearray(good)
        flipped[byte] ^= 1 << byte % 8
        try:
            findings = nitro.verify(Evidence("nitro", bytes(flipped)), Collateral(), AT, root=root())
        except EvidenceRejected:
            continue
        assert "signature" in [check.name for check in findings.failed], hex(byte)
        assert findings.claims.root == "none"


# ------------------------------------------------------------------------------------------------- AWS's own


def test_the_pinned_root_signs_itself() -> None:
    pinned = roots.pinned().certificate
    assert pinned.issuer == pinned.subject and signed_p384(pinned, pinned.tbs_certificate_bytes, pinned.signature)
    assert pinned.not_valid_after_utc.year == 2049


def test_our_own_root_is_not_awss() -> None:
    findings = verify_any(GOOD.evidence(), Collateral(), AT)
    assert [check.name for check in findings.failed] == ["chain", "validity"] and findings.claims.root == "none"


@pytest.fixture
def real() -> bytes:
    data = (shared_vectors.folder("tee/nitro") / "nitro_attestation.bin").read_bytes()
    start = data.index(bytes.fromhex("8444a1013822"))  # the document stands in a message of another project
    return cbor2.dumps(cbor2.loads(data[start:]))


def test_a_real_document_is_accepted_at_its_time_and_refused_today(real: bytes) -> None:
    evidence = Evidence("nitro", real)
    made_at = Document.parse(real).made_at
    then = verify_any(evidence, Collateral(), made_at)
    assert then.failed == () and then.claims.root == "AWS Nitro Enclaves Root-G1" and then.claims.debug is False
    assert len(then.claims.report_data) == 64 and then.claims.signed_at == made_at
    (check,) = verify_any(evidence, Collateral(), datetime(2026, 11, 26, tzinfo=UTC)).failed
    assert check.name == "validity" and "expired on 2025-12-25 19:04 UTC" in check.detail


def test_no_byte_of_a_real_document_is_free(real: bytes) -> None:
    made_at = Document.parse(real).made_at
    for byte in range(0, len(real), 7):
        flipped = bytearray(real)
        flipped[byte] ^= 1 << byte % 8
        try:
            findings = verify_any(Evidence("nitro", bytes(flipped)), Collateral(), made_at)
        except EvidenceRejected:
            continue
        assert "signature" in [check.name for check in findings.failed], hex(byte)
