"""The foreign profile ACI, to the byte: its published vectors, and every way in which a keyset or report is none.

The vectors are sections 1 and 2 of ``spec/test-vectors.md`` in Dstack-TEE/private-ai-gateway, commit
b6b5c1b82f6fc59490db5a5255bf4493805e66c6, Apache License 2.0: the keyset, its digest, two statements and report data.
"""

from __future__ import annotations

import copy
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quatrefoil.enclave.aci import AciKeyset, AciReport, canonical, report_data, statement
from quatrefoil.errors import CallerError, EvidenceRejected

RECEIPT_KEY = "8139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394"
E2EE_KEY = "5dfedd3b6bd47f6fa28ee15d969d5bb0ea53774d488bdaf9df1c6e0124b3ef22"
PUBLISHED = (
    '{"e2ee_public_keys":[{"algo":"x25519-aes-256-gcm-hkdf-sha256","key_id":"e2ee-1","public_key":"' + E2EE_KEY + '"}],'
    '"not_after":1800000000,"receipt_signing_keys":[{"algo":"ed25519","key_id":"receipt-1","public_key":"'
    + RECEIPT_KEY
    + '"}],"subject":"dstack-app://example-app","tls_public_keys":[{"domain":"api.example.com","spki_sha256":"'
    + "c0" * 32
    + '"}]}'
)
DIGEST = "sha256:53a5cd44b30dcc51999754c719f2628a041f174ecbf9662a6f8e898a10cd9371"
NONCE = bytes(range(32))
STATEMENT = (
    '{"keyset_digest":"sha256:53a5cd44b30dcc51999754c719f2628a041f174ecbf9662a6f8e898a10cd9371",'
    '"nonce":"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f","purpose":"aci.report_data.v1"}'
)
REPORT_DATA = "df2174d28130852b413646a3786927b93e94c11d770268b65def8bdba45cb49e"
WITHOUT_NONCE = "0633919ca3f00e97bafaa3304278eb22420cc3ff0d19f87dfca2d3f7508150bc"
AT = datetime(2026, 6, 1, tzinfo=UTC)


def members(**changes: Any) -> dict[str, Any]:
    return json.loads(PUBLISHED) | changes


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in members().items() if key != name}


def parse(value: object) -> AciKeyset:
    return AciKeyset.parse(json.dumps(value, ensure_ascii=False).encode())


def report(**changes: Any) -> dict[str, Any]:
    said = {
        "tee_type": "tdx",
        "workload_keyset": members(),
        "report_data": REPORT_DATA,
        "source_provenance": None,
        "evidence": {"quote": "04000200" + "ab" * 60, "event_log": "[]", "vm_config": {"share": 0.5}},
    }
    return {
        "api_version": "aci/1",
        "workload_keyset_digest": DIGEST,
        "attestation": said | changes.pop("attestation", {}),
        "service_capabilities": {"supported_e2ee_versions": [], "serving": "direct", "later": 1},
    } | changes


def test_the_published_vectors() -> None:
    keyset = AciKeyset.parse(PUBLISHED.encode())
    assert keyset.canonical == PUBLISHED.encode() and keyset.digest == DIGEST
    assert statement(keyset, NONCE) == STATEMENT.encode()
    assert report_data(keyset, NONCE).hex() == REPORT_DATA
    assert statement(keyset, None) == STATEMENT.replace('"' + NONCE.hex() + '"', "null").encode()
    assert report_data(keyset, None).hex() == WITHOUT_NONCE


def test_the_published_vectors_without_our_code() -> None:
    assert "sha256:" + hashlib.sha256(PUBLISHED.encode()).hexdigest() == DIGEST
    assert hashlib.sha256(STATEMENT.encode()).hexdigest() == REPORT_DATA


def test_the_layout_in_which_a_keyset_is_served_does_not_matter() -> None:
    served = json.dumps(dict(reversed(members().items())), indent=3).encode()
    assert AciKeyset.parse(served).digest == DIGEST


def test_what_a_keyset_says() -> None:
    keyset = AciKeyset.parse(PUBLISHED.encode())
    assert (keyset.subject, keyset.not_after) == ("dstack-app://example-app", 1800000000)
    assert [key.public_key for key in keyset.receipt_signing_keys] == [RECEIPT_KEY]
    assert keyset.pins("API.example.com") == {b"\xc0" * 32}
    assert parse(without("tls_public_keys")).tls_public_keys == ()


def test_text_is_canonical_as_rfc_8785_says() -> None:
    """Section 3.2.2.2: the two that must be escaped, control characters in their shortest form, and nothing else."""
    value = {"b": '\u20ac$\u000f\nA\'B"\\\\"/\u007f\u2028\U0001f600\b\t\f\r', "a": [None, True, 0]}
    expected = '{"a":[null,true,0],"b":"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/\u007f\u2028\U0001f600\\b\\t\\f\\r"}'
    assert canonical(value) == expected.encode()


@given(subject=st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_every_subject_is_part_of_the_digest(subject: str | None) -> None:
    keyset = parse(members(subject=subject))
    assert keyset.subject == subject
    assert (keyset.digest == DIGEST) == (subject == "dstack-app://example-app")
    assert parse(json.loads(keyset.canonical)).canonical == keyset.canonical


@pytest.mark.parametrize(
    "changes",
    [
        {"not_after": 1800000001},
        {"subject": None},
        {"tls_public_keys": []},
        {"receipt_signing_keys": []},
        {"e2ee_public_keys": []},
        {"tls_public_keys": [{"spki_sha256": "c0" * 32, "domain": None}]},
        {"tls_public_keys": [{"spki_sha256": "c0" * 32}]},
    ],
)
def test_another_keyset_needs_other_report_data(changes: dict[str, Any]) -> None:
    assert report_data(parse(members(**changes)), NONCE).hex() != REPORT_DATA


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([], "is no JSON object"),
        (without("subject"), "has no subject"),
        (without("not_after"), "has no not_after"),
        (without("e2ee_public_keys"), "has no e2ee_public_keys"),
        (members(admin_keys=[]), "unknown member 'admin_keys'"),
        (members(subject=7), "subject of the ACI keyset is no text"),
        (members(not_after="1800000000"), "not_after of the ACI keyset is no time"),
        (members(not_after=True), "not_after of the ACI keyset is no time"),
        (members(not_after=1.8e9), "not_after of the ACI keyset is no time"),
        (members(not_after=-1), "not_after of the ACI keyset is no time"),
        (members(not_after=1 << 50), "not_after of the ACI keyset is no time"),
        (members(receipt_signing_keys={}), "is no list"),
        (members(tls_public_keys=[{"spki_sha256": "c0" * 32}] * 65), "is no list of up to 64"),
        (members(tls_public_keys=["c0" * 32]), "is no JSON object"),
        (members(tls_public_keys=[{"spki_sha256": "C0" * 32}]), "64 lower-case hexadecimal digits"),
        (members(tls_public_keys=[{"spki_sha256": "c0" * 32, "domain": 1}]), "is no text"),
        (members(tls_public_keys=[{"spki_sha256": "c0" * 32, "port": 1}]), "unknown member 'port'"),
        (
            members(receipt_signing_keys=[{"key_id": "r", "algo": "ed25519", "public_key": "aa"}]),
            "64 lower-case hexadecimal digits",
        ),
        (members(receipt_signing_keys=[{"key_id": "r", "algo": "ed25519"}]), "has no public_key"),
        (
            members(e2ee_public_keys=[{"key_id": "e", "algo": "x", "public_key": RECEIPT_KEY.upper()}]),
            "another role",
        ),
        (
            members(
                tls_public_keys=[
                    {"spki_sha256": hashlib.sha256(bytes.fromhex("302a300506032b6570032100" + RECEIPT_KEY)).hexdigest()}
                ]
            ),
            "another role",
        ),
    ],
)
def test_keysets_that_are_none_are_refused(value: object, problem: str) -> None:
    with pytest.raises(EvidenceRejected, match=problem) as refused:
        parse(value)
    assert refused.value.check == "keyset" and refused.value.hint


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"\xff", PUBLISHED.encode() + b"x", b'{"subject":null,"subject":null}', b"[" * 40, b" " * (257 << 10)],
    ids=["nothing", "cut", "no text", "surplus", "twice", "deep", "long"],
)
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(EvidenceRejected) as refused:
        AciKeyset.parse(data)
    assert refused.value.check == "keyset"


def test_half_a_surrogate_pair_is_no_text() -> None:
    with pytest.raises(EvidenceRejected):
        AciKeyset.parse(PUBLISHED.replace("dstack-app", "\\ud800").encode())


@pytest.mark.parametrize(
    ("at", "problem"),
    [
        (datetime.fromtimestamp(1800000000, UTC), "expired on 2027-01-15 08:00:00 UTC"),
        (datetime(2040, 1, 1, tzinfo=UTC), "expired on 2027-01-15 08:00:00 UTC"),
        (datetime(2010, 1, 1, tzinfo=UTC), "more than ten years, until 2027-01-15"),
    ],
)
def test_keysets_end(at: datetime, problem: str) -> None:
    keyset = AciKeyset.parse(PUBLISHED.encode())
    keyset.require_current(datetime.fromtimestamp(1800000000, UTC) - timedelta(seconds=1))
    with pytest.raises(EvidenceRejected, match=problem) as refused:
        keyset.require_current(at)
    assert refused.value.check == "keyset-validity"


def test_tls_keys_are_those_of_the_host() -> None:
    one, two, three = ({"spki_sha256": byte * 32} for byte in ("01", "02", "03"))
    anywhere = parse(members(tls_public_keys=[one, two]))
    assert anywhere.pins("any.example") == {b"\x01" * 32, b"\x02" * 32}
    scoped = parse(members(tls_public_keys=[one | {"domain": "a.example"}, two | {"domain": "B.example"}, three]))
    assert scoped.pins("a.example") == {b"\x01" * 32} and scoped.pins("b.example.") == {b"\x02" * 32}
    for keyset in (scoped, parse(members(tls_public_keys=[]))):
        with pytest.raises(EvidenceRejected, match=r"no TLS key for 'c\.example'") as refused:
            keyset.pins("c.example")
        assert refused.value.check == "tls-key"


@pytest.mark.parametrize("nonce", [b"", b"n" * 31, b"n" * 64])
def test_nonces_of_another_length_are_refused(nonce: bytes) -> None:
    with pytest.raises(CallerError, match="a nonce has 32 bytes"):
        report_data(AciKeyset.parse(PUBLISHED.encode()), nonce)


def test_a_report_holds_a_keyset_and_a_quote() -> None:
    read = AciReport.parse(json.dumps(report()).encode())
    assert read.keyset.digest == DIGEST
    assert (read.evidence.kind, read.evidence.report) == ("tdx", bytes.fromhex("04000200" + "ab" * 60))
    assert read.require_nonce(NONCE).hex() == REPORT_DATA


@pytest.mark.parametrize("nonce", [bytes(32), None])
def test_a_report_for_another_nonce_is_refused(nonce: bytes | None) -> None:
    with pytest.raises(EvidenceRejected, match="another nonce") as refused:
        AciReport.parse(json.dumps(report()).encode()).require_nonce(nonce)
    assert refused.value.check == "report-data"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"api_version": "aci/2"}, "version 'aci/2'"),
        ({"workload_keyset_digest": "sha256:" + "0" * 64}, "another keyset than it holds"),
        ({"workload_keyset_digest": DIGEST.removeprefix("sha256:")}, "another keyset than it holds"),
        ({"attestation": {"workload_keyset": members(not_after=1900000000)}}, "another keyset than it holds"),
        ({"attestation": {"tee_type": "nitro"}}, "unknown TEE type 'nitro'"),
        ({"attestation": {"tee_type": None}}, "unknown TEE type 'None'"),
        ({"attestation": {"tee_type": ["tdx"]}}, "unknown TEE type"),
        ({"attestation": {"tee_type": "sev_snp"}}, "does not say where"),
        ({"attestation": {"report_data": REPORT_DATA.upper()}}, "64 lower-case"),
        ({"attestation": {"evidence": None}}, "evidence is no JSON object"),
        ({"attestation": {"evidence": {}}}, "evidence has no quote"),
        ({"attestation": {"evidence": {"quote": "0x00"}}}, "not hexadecimal"),
        ({"attestation": {"evidence": {"quote": "00 11"}}}, "not hexadecimal"),
        ({"attestation": {"evidence": {"quote": 4}}}, "not hexadecimal"),
        ({"attestation": {"evidence": {"quote": "00" * 70000}}}, "report has 70000 bytes"),
    ],
)
def test_reports_that_are_none_are_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(EvidenceRejected, match=problem):
        AciReport.parse(json.dumps(report(**copy.deepcopy(changes))).encode())


@given(st.binary(max_size=200))
def test_other_bytes_are_no_report(data: bytes) -> None:
    with pytest.raises(EvidenceRejected):
        AciReport.parse(data)
