"""A machine and its devices under one policy: every device is held to it, and a missing one is no excuse."""

from __future__ import annotations

import pytest
from appraisal_policies import policy

import attesting
from attesting import AT, NOTHING, REPORT_DATA, roots
from quatrefoil.appraisal import appraise, appraise_set
from quatrefoil.enclave import snp
from quatrefoil.enclave.claims import Check, Claims, Findings, FindingsSet
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


def machine() -> Findings:
    return snp.verify(attesting.evidence(), NOTHING, AT, roots=roots())


def gpu(nonce: bytes = REPORT_DATA[:32], identity: bytes = b"1") -> Findings:
    claims = Claims("nvidia-cc", "a root", "none", nonce, platform={"device": identity})
    return Findings(claims, (Check("signature", True, ""),))


def failed(devices: tuple[Findings, ...], report_data: bytes | None = REPORT_DATA) -> list[str]:
    under = policy() if report_data else policy('report_data = "required"', 'report_data = "any"')
    verdict = appraise_set(FindingsSet(machine(), devices), under, report_data, AT)
    return [check.name for check in verdict.checks if not check.passed]


def test_a_set_of_one_machine_is_that_machine() -> None:
    assert appraise_set(FindingsSet(machine(), ()), policy(), REPORT_DATA, AT) == appraise(
        machine(), policy(), REPORT_DATA, AT
    )


def test_a_device_of_a_kind_without_a_rule_is_refused() -> None:
    assert failed((gpu(),), REPORT_DATA[:32]) == ["gpu0-kind"]
