"""Keysets and reports of ACI: by the first byte, a keyset or a report in JSON."""

from __future__ import annotations

import json

from tests.fuzz.held import refused_or

import attesting
from quatrefoil.enclave.aci import AciKeyset, AciReport, report_data

KEYSET = {
    "subject": "größe \u20ac \U0001f600",
    "not_after": 1800000000,
    "receipt_signing_keys": [{"key_id": "r", "algo": "ed25519", "public_key": "81" * 32}],
    "e2ee_public_keys": [{"key_id": "e", "algo": "other", "public_key": "5d"}],
    "tls_public_keys": [{"spki_sha256": "c0" * 32, "domain": "api.example.com"}, {"spki_sha256": "c1" * 32}],
}


def seeds() -> list[bytes]:
    written = json.dumps(KEYSET).encode()
    said = {
        "tee_type": "tdx",
        "workload_keyset": KEYSET,
        "report_data": "00" * 32,
        "evidence": {"quote": "0400", "vm_config": [1.5, None]},
    }
    report = {"api_version": "aci/1", "attestation": said, "workload_keyset_digest": AciKeyset.parse(written).digest}
    return [
        b"\0" + written,
        b"\0" + json.dumps(KEYSET, ensure_ascii=False, indent=1).encode(),
        b"\1" + json.dumps(report).encode(),
    ]


def one(data: bytes) -> None:
    if data[:1] == b"\0":
        keyset = refused_or(lambda: AciKeyset.parse(data[1:]))
    else:
        report = refused_or(lambda: AciReport.parse(data[1:]))
        keyset = None if report is None else report.keyset
        if report is not None:
            refused_or(lambda: report.require_nonce(bytes(32)))
    if keyset is not None:
        assert AciKeyset.parse(keyset.canonical) == keyset, "the canonical form says something else"
        assert len(report_data(keyset, None)) == 32
        refused_or(lambda: keyset.require_current(attesting.AT))
        refused_or(lambda: keyset.pins("api.example.com"))
