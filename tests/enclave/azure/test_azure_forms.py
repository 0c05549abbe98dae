"""The paravisor's report and its runtime data: read whole, or refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azure_vms import AK, SNP, TDX, hcl_report, runtime_data, td_report
from quatrefoil.enclave.azure.hcl import LARGEST_REPORT, HclReport
from quatrefoil.enclave.azure.runtime_data import RuntimeData
from quatrefoil.enclave.azure.verify import VtpmQuote
from quatrefoil.errors import EvidenceRejected

DATA = runtime_data(AK.public_key())
SNP_REPORT = bytes(range(256)) * 4 + bytes(160)


@pytest.mark.parametrize("version", [1, 2])
def test_a_report_is_read(version: int) -> None:
    found = HclReport.parse(hcl_report(SNP, SNP_REPORT, DATA, version=version))
    assert (found.type, found.hardware, found.runtime_data) == (SNP, SNP_REPORT, DATA)
    found = HclReport.parse(hcl_report(TDX, td_report(DATA), DATA))
    assert (found.type, found.hardware) == (TDX, td_report(DATA))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"version": 3}, "has version 3"),
        ({"size": 1237 + len(DATA)}, "other sizes"),
        ({"inner": 21 + len(DATA)}, "other sizes"),
        ({"form": 2}, "another version"),
        ({"length": len(DATA) - 1}, "other sizes"),
        ({"length": 0}, "gives runtime data 0 bytes"),
        ({"length": 2000}, "ends inside runtime data"),
        ({"length": 2**31}, "gives runtime data"),
        ({"type": 1}, "hardware report of type 1"),
        ({"type": 3}, "hardware report of type 3"),
        ({"hash": 2}, "by hash 2"),
    ],
)
def test_what_is_no_report_is_refused(changes: dict[str, int], says: str) -> None:
    with pytest.raises(EvidenceRejected, match=says) as refused:
        HclReport.parse(hcl_report(SNP, SNP_REPORT, DATA, **changes))
    assert refused.value.check == "format"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "ends inside signature"),
        (b"HCLB" + bytes(2000), "begin with HCLA"),
        (hcl_report(SNP, SNP_REPORT, DATA)[:1200], "ends inside hardware"),
        (hcl_report(SNP, SNP_REPORT, DATA) + b"\1", "more than zeros"),
        (hcl_report(TDX, td_report(DATA) + b"\1", DATA), "more than zeros"),
        (hcl_report(SNP, SNP_REPORT, DATA) + bytes(LARGEST_REPORT), "over 4096"),
    ],
)
def test_other_bytes_are_refused(data: bytes, says: str) -> None:
    with pytest.raises(EvidenceRejected, match=says):
        HclReport.parse(data)


def test_runtime_data_are_read() -> None:
    found = RuntimeData.parse(DATA)
    vm = "D270E56B-F668-4990-A5BC-9B624576841D"
    assert found.facts == {"secure_boot": True, "console": True, "tpm_persisted": False, "vm_id": vm}
    assert len(found.attestation_key) == 294


def test_what_is_not_known_or_of_another_type_is_left_alone() -> None:
    found = RuntimeData.parse(runtime_data(AK.public_key(), **{"vm-configuration": {"secure-boot": 1}, "new": [1]}))
    assert found.facts == {}
    assert RuntimeData.parse(runtime_data(AK.public_key(), **{"vm-configuration": None})).facts == {}
    for name in ("a\nb", "x" * 65, 5):
        assert (
            RuntimeData.parse(runtime_data(AK.public_key(), **{"vm-configuration": {"vmUniqueId": name}})).facts == {}
        )


def jwk(**changes: Any) -> bytes:
    value = json.loads(DATA)
    value["keys"][0] |= changes
    return json.dumps(value).encode()


KEYS = json.loads(DATA)["keys"]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is not strict JSON"),
        (b"\xff", "is not strict JSON"),
        (DATA.decode().encode("utf-16")[:4000], "is not strict JSON"),
        (b"[]", "no JSON object"),
        (b'{"a": "\\ud800"}', "is not strict JSON"),
        (b'{"keys": NaN}', "is not strict JSON"),
        (b'{"keys": [], "keys": []}', "is not strict JSON"),
        (b"[" * 3000, "nested deeper"),
        (DATA.ljust(5000), "over the limit of 4096"),
        (b"{}", "0 keys HCLAkPub"),
        (b'{"keys": {}}', "0 keys HCLAkPub"),
        (json.dumps({"keys": KEYS[1:]}).encode(), "0 keys HCLAkPub"),
        (json.dumps({"keys": [KEYS[0], KEYS[0]]}).encode(), "2 keys HCLAkPub"),
        (jwk(kty="EC"), "not RSA"),
        (jwk(n=None), "n is not base64url"),
        (jwk(n=""), "n is not base64url"),
        (jwk(n=KEYS[0]["n"] + "=="), "n is not base64url"),
        (jwk(n="+/" * 100), "n is not base64url"),
        (jwk(n=KEYS[0]["n"][:-3]), "not as TPMs make them"),
        (jwk(n="A"), "n is not base64url"),
        (jwk(e="Aw"), "not as TPMs make them"),
    ],
)
def test_what_are_no_runtime_data_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(EvidenceRejected, match=says) as refused:
        RuntimeData.parse(data)
    assert refused.value.check == "format"


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for parse in (HclReport.parse, RuntimeData.parse, VtpmQuote.decode):
        for candidate in (data, b"HCLA" + data, b'{"keys": [' + data + b"]}"):
            with pytest.raises(EvidenceRejected):
                parse(candidate)
