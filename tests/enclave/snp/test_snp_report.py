"""Reports are parsed whole or refused: every bit is a field or reserved."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attesting import CPUID, FIELDS, MEASUREMENT, POLICY, REPORT_DATA, TCB, chip_key, sign, unsigned
from quatrefoil.enclave.snp import tcb
from quatrefoil.enclave.snp.report import Report
from quatrefoil.errors import EvidenceRejected


@pytest.mark.parametrize("version", [2, 3, 4, 5])
def test_each_version_says_what_it_has(version: int) -> None:
    report = Report.parse(sign(unsigned("Genoa", version=version), chip_key()))
    assert (report.version, report.measurement, report.report_data) == (version, MEASUREMENT, REPORT_DATA)
    assert report.cpuid == (CPUID["Genoa"] if version > 2 else None)
    assert report.current_mitigations == (7 if version == 5 else None)
    assert report.policy.smt and not report.policy.debug and report.policy.abi == (0, 0x1F)
    assert report.current_firmware == (1, 55, 29)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"version": 1}, "version 1"),
        ({"version": 6}, "version 6"),
        ({"algorithm": 0}, "algorithm 0"),
        ({"algorithm": 2}, "algorithm 2"),
        ({"vmpl": 4}, "VMPL 4"),
        ({"vmpl": 0xFFFFFFFF}, "the host asked for this report"),
        ({"policy": POLICY & ~(1 << 17)}, "bit 17"),
        ({"policy": POLICY | 1 << 26}, "reserved bits"),
        ({"policy": POLICY | 1 << 63}, "reserved bits"),
        ({"platform_info": 1 << 6}, "reserved bits"),
        ({"platform_info": 1 << 8}, "reserved bits"),
        ({"key_flags": 2 << 2}, "signing-key flags"),
        ({"key_flags": 6 << 2}, "signing-key flags"),
        ({"key_flags": 1 << 5}, "signing-key flags"),
        ({"version": 2, "cpuid": b"\x19\x01\x01"}, "reserved bytes 0x188"),
        ({"version": 3, "launch_mitigations": 1}, "reserved bytes 0x1f8"),
        ({"version": 4, "current_mitigations": 1}, "reserved bytes 0x1f8"),
    ],
)
def test_what_is_reserved_is_refused(changes: dict[str, int | bytes], says: str) -> None:
    with pytest.raises(EvidenceRejected, match=says) as refused:
        Report.parse(sign(unsigned(**changes), chip_key()))
    assert refused.value.check == "format"


@pytest.mark.parametrize("size", [0, 1, 0x2A0, 0x4A0 - 1, 0x4A0 + 1, 0x4A0 + 32])
def test_another_length_is_refused(size: int) -> None:
    with pytest.raises(EvidenceRejected, match="has 1184 bytes"):
        Report.parse(bytes(sign(unsigned(), chip_key()).ljust(size, b"\0")[:size]))


def test_every_byte_outside_fields_is_reserved() -> None:
    """Set each byte that no field covers: all are refused, in every version."""
    for version in (2, 3, 4, 5):
        fields = {name: place for name, place in FIELDS.items() if name != "cpuid" or version > 2}
        fields = {name: place for name, place in fields.items() if "mitigations" not in name or version == 5}
        covered = {byte for start, size in fields.values() for byte in range(start, start + size)}
        covered |= {*range(0x4C)} | {*range(0x2A0, 0x2A0 + 144)}
        good = sign(unsigned(version=version), chip_key())
        Report.parse(good)
        for byte in set(range(0x4A0)) - covered:
            wrong = bytearray(good)
            wrong[byte] = 1
            with pytest.raises(EvidenceRejected):
                Report.parse(bytes(wrong))


@given(st.binary(min_size=0x4A0, max_size=0x4A0))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(EvidenceRejected):
        Report.parse(data)


@pytest.mark.parametrize(
    ("product", "said"),
    [
        ("Milan", {"bootloader": 4, "tee": 0, "snp": 24, "microcode": 219}),
        ("Genoa", {"bootloader": 10, "tee": 0, "snp": 23, "microcode": 84}),
        ("Turin", {"fmc": 1, "bootloader": 1, "tee": 1, "snp": 4, "microcode": 200}),
    ],
)
def test_tcb_versions_are_laid_out_by_product(product: str, said: dict[str, int]) -> None:
    assert tcb.decode(TCB[product], product) == said


@pytest.mark.parametrize(("product", "byte"), [("Milan", 2), ("Genoa", 5), ("Turin", 4), ("Turin", 6)])
def test_reserved_bytes_of_a_tcb_version_are_refused(product: str, byte: int) -> None:
    raw = bytearray(TCB[product])
    raw[byte] = 1
    with pytest.raises(EvidenceRejected, match="reserved bytes"):
        tcb.decode(bytes(raw), product)


@pytest.mark.parametrize(
    ("family", "model", "product"),
    [
        (0x19, 0x00, "Milan"),
        (0x19, 0x0F, "Milan"),
        (0x19, 0x11, "Genoa"),
        (0x19, 0xA0, "Genoa"),
        (0x1A, 0x02, "Turin"),
        (0x1A, 0x11, "Turin"),
        (0x17, 0x31, None),
        (0x19, 0x20, None),
        (0x19, 0x90, None),
        (0x1A, 0x12, None),
        (0x1A, 0x50, None),
    ],
)
def test_products_are_known_by_cpuid(family: int, model: int, product: str | None) -> None:
    assert tcb.product_of(family, model) == product
