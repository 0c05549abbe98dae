"""Evidence has one byte form, is bounded, and is refused with a reason and a hint."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quatrefoil.enclave import evidence
from quatrefoil.enclave.evidence import KINDS, Evidence
from quatrefoil.errors import EvidenceRejected

GOOD = Evidence("sev-snp", b"report", b"", (b"one", b"two"), b"log")


@given(
    kind=st.sampled_from(sorted(KINDS)),
    report=st.binary(min_size=1, max_size=2000),
    signature=st.binary(max_size=100),
    certificates=st.lists(st.binary(min_size=1, max_size=50), max_size=16),
    log=st.binary(max_size=500),
)
def test_what_is_encoded_decodes_to_itself(
    kind: str, report: bytes, signature: bytes, certificates: list[bytes], log: bytes
) -> None:
    made = Evidence(kind, report, signature, tuple(certificates), log)
    assert Evidence.decode(made.encode()) == made


@given(st.binary(max_size=300))
def test_other_bytes_are_rejected(data: bytes) -> None:
    with pytest.raises(EvidenceRejected) as refused:
        Evidence.decode(data)
    assert refused.value.check == "format" and refused.value.hint


def test_no_bit_of_the_encoding_is_free() -> None:
    encoded = GOOD.encode()
    for position in range(len(encoded) * 8):
        flipped = bytearray(encoded)
        flipped[position // 8] ^= 1 << position % 8
        try:
            assert Evidence.decode(bytes(flipped)) != GOOD
        except EvidenceRejected:
            continue


@pytest.mark.parametrize("cut", [0, 1, 5, len(GOOD.encode()) - 1])
def test_cut_evidence_is_rejected(cut: int) -> None:
    with pytest.raises(EvidenceRejected):
        Evidence.decode(GOOD.encode()[:cut])


def test_bytes_after_the_end_are_rejected() -> None:
    with pytest.raises(EvidenceRejected):
        Evidence.decode(GOOD.encode() + b"\x00")


@pytest.mark.parametrize(
    ("parts", "names"),
    [
        ({"kind": "software"}, "unknown kind 'software'"),
        ({"kind": ""}, "unknown kind"),
        ({"report": b""}, "report has 0 bytes"),
        ({"report": bytes(evidence.LARGEST_REPORT + 1)}, "report has 65537 bytes"),
        ({"signature": bytes(evidence.LARGEST_SIGNATURE + 1)}, "signature has"),
        ({"certificates": (b"a",) * (evidence.MOST_CERTIFICATES + 1)}, "17 certificates"),
        ({"certificates": (b"a", b"")}, "certificate has 0 bytes"),
        ({"certificates": (bytes(evidence.LARGEST_CERTIFICATE + 1),)}, "certificate has"),
        ({"event_log": bytes(evidence.LARGEST_EVENT_LOG + 1)}, "event log has"),
    ],
)
def test_bad_parts_are_named(parts: dict[str, object], names: str) -> None:
    with pytest.raises(EvidenceRejected, match=names):
        Evidence(**{"kind": "sev-snp", "report": b"report", **parts})  # type: ignore[arg-type]
