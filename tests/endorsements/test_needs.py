"""What evidence needs is read from it, and what cannot be asked for is said before anybody is asked."""

from __future__ import annotations

import dataclasses

import pytest
from vendors import BOARD

import attesting
import gpu_reports
import tpm_quotes
from dcap_quotes import FMSPC, SGX, Platform
from quatrefoil.enclave.evidence import KINDS, Evidence
from quatrefoil.endorsements import intel
from quatrefoil.endorsements.needs import NOTHING, AmdNeed, IntelNeed, NvidiaNeed, of
from quatrefoil.errors import CallerError, EvidenceRejected


def bare(evidence: Evidence) -> Evidence:
    return dataclasses.replace(evidence, certificates=())


@pytest.mark.parametrize(("platform", "tee"), [(Platform(), "TDX"), (Platform(version=5), "TDX"), (SGX, "SGX")])
def test_of_a_quote(platform: Platform, tee: str) -> None:
    assert of(platform.evidence()).needs == (IntelNeed(tee, FMSPC, "platform"),)


@pytest.mark.parametrize("product", attesting.CPUID)
def test_of_a_report(product: str) -> None:
    size = 8 if product == "Turin" else 64
    chip = AmdNeed(product, "vcek", attesting.CHIP_ID[product][:size], attesting.TCB[product])
    assert of(bare(attesting.evidence(product))).needs == (chip,)


def test_a_vcek_that_came_along_is_not_asked_for() -> None:
    good = attesting.evidence("Milan")
    assert of(good).needs == (AmdNeed("Milan"),)
    other = dataclasses.replace(good, certificates=(attesting.leaf("Milan", tcb=bytes([4, 0, 0, 0, 0, 0, 23, 219])),))
    assert of(other).needs == of(bare(good)).needs


def test_a_vlek_is_the_providers_to_give() -> None:
    found = of(attesting.evidence("Genoa", "vlek"))
    assert (found.needs, found.notes) == ((AmdNeed("Genoa", "vlek"),), ())
    found = of(bare(attesting.evidence("Genoa", "vlek")))
    assert found.needs == (AmdNeed("Genoa", "vlek"),) and "ask the cloud provider" in found.notes[0]


def test_a_report_of_version_2_names_no_product() -> None:
    old = attesting.evidence("Milan", version=2)
    assert of(old).needs[0].product == "Milan"  # its certificate does
    with pytest.raises(EvidenceRejected, match="--product"):
        of(bare(old))
    assert of(bare(old), "Milan").needs == of(bare(attesting.evidence("Milan"))).needs


def test_a_masked_chip_cannot_be_asked_for() -> None:
    with pytest.raises(EvidenceRejected, match="MASK_CHIP_ID"):
        of(bare(attesting.evidence("Milan", chip_id=bytes(64))))


def test_a_chip_id_of_another_length_is_of_no_product() -> None:
    with pytest.raises(EvidenceRejected, match="longer than one of Turin"):
        of(bare(attesting.evidence("Turin", chip_id=bytes(range(64)))))


def test_a_processor_that_is_not_known() -> None:
    with pytest.raises(EvidenceRejected, match="not known here"):
        of(bare(attesting.evidence("Milan", cpuid=bytes([0x1B, 1, 1]))))


def test_reserved_bytes_of_a_version_are_not_asked_for() -> None:
    with pytest.raises(EvidenceRejected, match="reserved"):
        of(bare(attesting.evidence("Milan", reported_tcb=b"\1" * 8)))


def test_of_a_gpu() -> None:
    found = of(gpu_reports.Made().evidence())
    assert found.needs == (NvidiaNeed(gpu_reports.DRIVER, gpu_reports.VBIOS, BOARD),)


def test_a_gpu_that_does_not_say_its_board() -> None:
    opaque = {kind: value for kind, value in gpu_reports.OPAQUE.items() if kind != 17}
    found = of(gpu_reports.Made(opaque=opaque).evidence())
    assert found.needs == () and "does not say its board" in found.notes[0]


@pytest.mark.parametrize("driver", ["", "a/../b", "a?b", ".", "a b", "x" * 41])
def test_a_name_that_is_no_part_of_an_address(driver: str) -> None:
    with pytest.raises(EvidenceRejected, match="names no driver"):
        NvidiaNeed(driver, gpu_reports.VBIOS, BOARD)


@pytest.mark.parametrize("kind", NOTHING)
def test_what_needs_nothing_says_so(kind: str) -> None:
    evidence = tpm_quotes.Made().evidence() if kind == "tpm" else Evidence(kind, b"x")
    found = of(evidence)
    assert found.needs == () and len(found.notes) == 1


def test_every_kind_is_known() -> None:
    assert set(KINDS) == {"sev-snp", "tdx", "sgx", "nvidia-cc", "azure-snp", "azure-tdx", *NOTHING}


@pytest.mark.parametrize(
    ("kind", "hardware"), [("azure-snp", attesting.evidence("Milan")), ("azure-tdx", Platform().evidence())]
)
def test_of_a_paravisor_what_its_hardware_needs(kind: str, hardware: Evidence) -> None:
    wrapped = Evidence(kind, hardware.report, b"a quote of its TPM", hardware.certificates)
    assert of(wrapped) == of(hardware)


@pytest.mark.parametrize("evidence", [Evidence("tdx", b"x"), Evidence("sev-snp", b"x"), Evidence("sgx", bytes(500))])
def test_what_cannot_be_read_is_refused(evidence: Evidence) -> None:
    with pytest.raises(EvidenceRejected):
        of(evidence)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: IntelNeed("TDX", "00906ed50000", "platform"), "no FMSPC"),
        (lambda: IntelNeed("TDX", "00/../../x&a", "platform"), "no FMSPC"),
        (lambda: IntelNeed("TDX", FMSPC, "root"), "names no platforms"),
        (lambda: IntelNeed("SNP", FMSPC, "platform"), "names no platforms"),
        (lambda: AmdNeed("Rome"), "no product 'Rome'"),
        (lambda: AmdNeed("Milan", "ark"), "no product"),
        (lambda: AmdNeed("Milan", chip_id=bytes(64)), "Name both, or neither"),
        (lambda: AmdNeed("Milan", version=bytes(8)), "Name both, or neither"),
        (lambda: AmdNeed("Milan", "vcek", bytes(8), bytes(8)), "64 bytes"),
        (lambda: AmdNeed("Turin", "vcek", bytes(64), bytes(8)), "8 bytes"),
        (lambda: AmdNeed("Turin", "vcek", b"12345678", bytes(7)), "TCB version 8"),
        (lambda: AmdNeed("Milan", "vlek", bytes(64), bytes(8)), "of no chip"),
    ],
)
def test_needs_that_make_no_sense(make, says: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(CallerError, match=says):
        make()


@pytest.mark.parametrize(
    "given",
    [
        "https://p",
        "https://p/",
        "https://p/sgx/certification/v4",
        "https://p/sgx/certification/v4/",
        "https://p/tdx/certification/v4/",
    ],
)
def test_addresses_of_caches_as_they_are_configured(given: str) -> None:
    assert intel.address(given) == "https://p"
