"""Sets of evidence: one byte form, a machine first, devices after it, and nothing twice."""

from __future__ import annotations

import pytest

from quatrefoil.enclave.evidence import MOST_DEVICES, Evidence, EvidenceSet, decode_any
from quatrefoil.errors import EvidenceRejected

MACHINE = Evidence("sev-snp", b"report")
GPU = Evidence("nvidia-cc", b"report")


def test_sets_have_one_byte_form() -> None:
    made = EvidenceSet(MACHINE, (GPU, Evidence("nvidia-cc", b"other")))
    assert EvidenceSet.decode(made.encode()) == made == decode_any(made.encode())
    assert decode_any(MACHINE.encode()) == MACHINE


@pytest.mark.parametrize(
    ("primary", "devices", "says"),
    [
        (GPU, (), "where a machine's should"),
        (MACHINE, (MACHINE,), "where a device's should"),
        (MACHINE, (GPU, GPU), "the same evidence twice"),
        (MACHINE, tuple(Evidence("nvidia-cc", bytes([n])) for n in range(MOST_DEVICES + 1)), "17 devices"),
    ],
)
def test_what_is_no_set_is_refused(primary: Evidence, devices: tuple[Evidence, ...], says: str) -> None:
    with pytest.raises(EvidenceRejected, match=says):
        EvidenceSet(primary, devices)


@pytest.mark.parametrize("data", [b"", b"\x80", b"text", MACHINE.encode() + b"\0", MACHINE.encode()[:-1]])
def test_other_bytes_are_refused(data: bytes) -> None:
    for decode in (decode_any, EvidenceSet.decode):
        with pytest.raises(EvidenceRejected) as refused:
            decode(data)
        assert refused.value.check == "format" and refused.value.hint
