"""GPU reports under roots of our own, each check failing alone; and the one real report that is at hand."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

import p384
import shared_vectors
from gpu_reports import (
    CHIP,
    DICE,
    DRIVER_MANIFEST,
    FIRMWARE,
    FWID,
    NONCE,
    OPAQUE,
    PRODUCT,
    PROVISIONER,
    VBIOS_MANIFEST,
    Made,
    composite_device_id,
    manifests,
    measurement,
    opaque_field,
    roots,
)
from p384 import AT
from quatrefoil.appraisal import verify as verify_any
from quatrefoil.enclave import nvidia
from quatrefoil.enclave.certificates import signed_p384
from quatrefoil.enclave.claims import Findings
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.enclave.nvidia.roots import devices
from quatrefoil.enclave.nvidia.roots import manifests as manifest_root
from quatrefoil.errors import EvidenceRejected

GOOD = Made()
DAY = timedelta(days=1)
NO_CHAIN = ["chain", "validity", "product", "firmware-identity"]


def found(made: Made | Evidence, collateral: Collateral | None = None, at: object = AT) -> Findings:
    evidence = made.evidence() if isinstance(made, Made) else made
    return nvidia.verify(evidence, collateral or Collateral(), at, roots=roots())  # type: ignore[arg-type]


def failed(findings: Findings) -> list[str]:
    return [check.name for check in findings.failed]


def test_a_good_report_is_established_and_isolates_nothing() -> None:
    findings = found(GOOD)
    assert failed(findings) == [] and tuple(check.name for check in findings.checks) == nvidia.CHECKS
    claims = findings.claims
    assert (claims.root, claims.isolation, claims.model) == ("the tests' device root", "none", "GH100")
    assert claims.report_data == NONCE and claims.debug is None and len(claims.platform["device"]) == 32
    assert claims.measurements["measurement_1"] == measurement(1) and len(claims.measurements) == 64
    said = {name: claims.facts[name] for name in ("driver_version", "vbios_version", "board", "mode", "golden")}
    assert said == {
        "driver_version": "550.90.07",
        "vbios_version": "96.00.9F.00.01",
        "board": "1010_0200_882",
        "mode": "not-said",
        "golden": False,
    }


def test_certificates_come_in_any_order_or_from_the_collateral() -> None:
    ordered = GOOD.evidence()
    assert failed(found(Evidence("nvidia-cc", ordered.report, b"", ordered.certificates[::-1]))) == []
    assert failed(found(Evidence("nvidia-cc", ordered.report), Collateral(ordered.certificates))) == []


def test_the_device_is_the_key_that_firmware_does_not_change() -> None:
    newer = GOOD.with_(
        opaque={**OPAQUE, 20: bytes(48)},
        chain={FIRMWARE: {"public": "next", "extensions": {DICE: composite_device_id(bytes(48))}}},
        signed_by="next",
    )
    assert failed(found(newer)) == []
    assert found(newer).claims.platform == found(GOOD).claims.platform
    assert found(GOOD.with_(chip="another chip")).claims.platform != found(GOOD).claims.platform


@pytest.mark.parametrize(
    ("made", "checks"),
    [
        (GOOD.with_(root="another"), ["chain", "validity", "product", "firmware-identity"]),
        (
            GOOD.with_(chain={PROVISIONER: {"signer": "stranger"}}),
            ["chain", "validity", "product", "firmware-identity"],
        ),
        (GOOD.with_(chain={FIRMWARE: {"end": AT - DAY}}), ["validity"]),
        (GOOD.with_(chain={PRODUCT: {"start": AT + DAY}}), ["validity"]),
        (GOOD.with_(signed_by="stranger"), ["signature"]),
        (GOOD.with_(opaque={**OPAQUE, 20: bytes(48)}), ["firmware-identity"]),
        (GOOD.with_(opaque={**OPAQUE, 20: FWID[:32]}), ["firmware-identity"]),
        (GOOD.with_(chain={FIRMWARE: {"extensions": {}}}), ["firmware-identity"]),
        (GOOD.with_(chain={FIRMWARE: {"extensions": {DICE: composite_device_id(issuer="x")}}}), ["firmware-identity"]),
    ],
)
def test_each_check_fails_alone(made: Made, checks: list[str]) -> None:
    findings = found(made)
    assert failed(findings) == checks
    nobody = {"chain", "validity", "signature"} & set(checks)
    assert (findings.claims.root == "none") == bool(nobody)


def test_another_products_chain_is_refused() -> None:
    chain = list(GOOD.certificates())
    chain[3] = p384.certificate("NVIDIA GB100 Identity", "Device Identity CA", public=PRODUCT)
    chain[2] = p384.certificate(PROVISIONER, "NVIDIA GB100 Identity", signer=PRODUCT)
    assert failed(found(Evidence("nvidia-cc", GOOD.report(), b"", tuple(chain)))) == ["product"]


def test_a_key_of_the_chain_that_is_no_attestation_key_is_refused() -> None:
    """The boot ROM's key signs certificates; a report that it signed is none."""
    assert set(failed(found(GOOD.with_(signed_by=CHIP)))) >= {"chain", "firmware-identity"}


def test_without_certificates_nothing_is_established() -> None:
    findings = found(Evidence("nvidia-cc", GOOD.report()))
    assert failed(findings) == list(nvidia.CHECKS) and findings.claims.root == "none"


def test_another_devices_certificates_do_not_do() -> None:
    other = GOOD.with_(chip="another chip").certificates()
    assert failed(found(Evidence("nvidia-cc", GOOD.report(), b"", other))) == ["signature"]


def test_revocation_lists_are_looked_at() -> None:
    for issuer in (PRODUCT, PROVISIONER):
        good = found(GOOD, Collateral(revocation_lists=(p384.revocation_list(issuer),)))
        assert failed(good) == [] and good.claims.facts["revocation_checked"] is True
        revoked = found(GOOD, Collateral(revocation_lists=(p384.revocation_list(issuer, (5,)),)))
        assert failed(revoked) == ["revocation"] and revoked.claims.root == "none"


@pytest.mark.parametrize(
    ("opaque", "mode"),
    [
        ({21: b"\x55"}, "not-said"),
        ({21: b"\xaa"}, "protected-pcie"),
        ({36: b"\0", 21: b"\x55"}, "single-gpu"),
        ({36: b"\1\0\0\0"}, "multi-gpu"),
        ({36: b"\2"}, "protected-pcie"),
        ({36: b"\0", 21: b"\xaa"}, "protected-pcie"),
    ],
)
def test_the_mode_is_what_the_report_names_and_the_weaker_of_two(opaque: dict[int, bytes], mode: str) -> None:
    rest = {kind: value for kind, value in OPAQUE.items() if kind != 21}
    assert found(GOOD.with_(opaque=rest | opaque)).claims.facts["mode"] == mode


SHORT = GOOD.with_(measurements={n: measurement(n) for n in range(4)})


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (SHORT.with_(request=bytes([0x12, 0xE0, 1, 0xFF])), "request's version"),
        (SHORT.with_(request=bytes([0x11, 0xE1, 1, 0xFF])), "request code"),
        (SHORT.with_(request=bytes([0x11, 0xE0, 0, 0xFF])), "param1"),
        (SHORT.with_(request=bytes([0x11, 0xE0, 1, 0x01])), "param2"),
        (SHORT.with_(slot=8), "slot 8"),
        (SHORT.with_(slot=1), "response's param2"),
        (SHORT.with_(response=bytes([0x10, 0x60, 0, 0])), "response's version"),
        (SHORT.with_(response=bytes([0x11, 0x7F, 0, 0])), "response code"),
        (SHORT.with_(response=bytes([0x11, 0x60, 1, 0])), "response's param1"),
        (SHORT.with_(measurements={}), "measurement record 0 bytes"),
        (SHORT.with_(measurements={1: bytes(48)}), "as index"),
        (SHORT.with_(measurements={0: bytes(48), 2: bytes(48)}), "as index"),
        (SHORT.with_(measurements={0: bytes(32)}), "block size"),
        (SHORT.with_(kind=0x81), "something else than a digest"),
        (SHORT.with_(kind=5), "something else than a digest"),
        (SHORT.with_(opaque={**OPAQUE, 99: b""}), "unknown field 99"),
        (SHORT.with_(opaque={**OPAQUE, 255: b""}), "unknown field 255"),
        (SHORT.with_(opaque={**OPAQUE, 3: b"\0"}), "driver version"),
        (SHORT.with_(opaque={**OPAQUE, 3: b"550\0x"}), "driver version"),
        (SHORT.with_(opaque={key: value for key, value in OPAQUE.items() if key != 3}), "driver version"),
        (SHORT.with_(opaque={**OPAQUE, 6: bytes(7)}), "VBIOS version"),
        (SHORT.with_(opaque={**OPAQUE, 6: bytes(7) + b"\1"}), "VBIOS version"),
        (SHORT.with_(opaque={**OPAQUE, 17: b"\xff"}), "board"),
        (SHORT.with_(opaque={**OPAQUE, 21: b"\0"}), "neither on nor off"),
        (SHORT.with_(opaque={**OPAQUE, 36: b"\3"}), "unknown mode"),
    ],
)
def test_what_is_no_report_is_refused_unread(made: Made, says: str) -> None:
    with pytest.raises(EvidenceRejected, match=says) as refused:
        found(made)
    assert refused.value.check == "format" and refused.value.hint


@pytest.mark.parametrize("cut", [0, 1, 36, 37, 100, len(SHORT.report()) - 1])
def test_a_report_that_is_cut_or_goes_on_is_refused(cut: int) -> None:
    for data in (SHORT.report()[:cut] or b"\0", SHORT.report() + bytes(cut + 1)):
        with pytest.raises(EvidenceRejected):
            found(Evidence("nvidia-cc", data))


def test_a_repeated_field_is_refused() -> None:
    good = SHORT.report()
    field = opaque_field(21, b"\x55")
    start = good.index(b"\x07" * 32) + 32
    size = int.from_bytes(good[start : start + 2], "little") + len(field)
    end = len(good) - 96
    twice = good[:start] + size.to_bytes(2, "little") + good[start + 2 : end] + field + good[end:]
    with pytest.raises(EvidenceRejected, match="the field 21 twice"):
        found(Evidence("nvidia-cc", twice))


@pytest.mark.parametrize(
    "evidence",
    [
        Evidence("tpm", GOOD.report()),
        Evidence("nvidia-cc", GOOD.report(), b"signature"),
        Evidence("nvidia-cc", GOOD.report(), b"", (), b"log"),
    ],
)
def test_something_beside_the_report_is_refused(evidence: Evidence) -> None:
    with pytest.raises(EvidenceRejected, match="not evidence of an NVIDIA GPU"):
        found(evidence)


def test_no_byte_of_a_report_is_free() -> None:
    good = SHORT.evidence()
    for byte in range(len(good.report)):
        flipped = bytearray(good.report)
        flipped[byte] ^= 1 << byte % 8
        try:
            findings = found(Evidence("nvidia-cc", bytes(flipped), b"", good.certificates))
        except EvidenceRejected:
            continue
        assert "signature" in failed(findings) and findings.claims.root == "none", hex(byte)


@pytest.mark.parametrize("which", range(4))
def test_no_byte_of_a_certificate_below_the_root_is_free(which: int) -> None:
    good = SHORT.evidence()
    for byte in range(0, len(good.certificates[which])):
        flipped = bytearray(good.certificates[which])
        flipped[byte] ^= 1 << byte % 8
        chain = (*good.certificates[:which], bytes(flipped), *good.certificates[which + 1 :])
        try:
            findings = found(Evidence("nvidia-cc", good.report, b"", chain))
        except EvidenceRejected:
            continue
        assert {"chain", "signature"} & set(failed(findings)), hex(byte)


# ------------------------------------------------------------------------------------------- golden measurements


def test_golden_measurements_are_compared() -> None:
    findings = found(GOOD, manifests())
    assert failed(findings) == [] and findings.claims.facts["golden"] is True
    assert findings.checks[-1].detail.startswith("33 measurements are those")


GOLDEN = DRIVER_MANIFEST.golden


@pytest.mark.parametrize(
    ("made", "given", "says"),
    [
        (GOOD.with_(measurements={**GOOD.measurements, 2: bytes(48)}), manifests(), "differ: 2"),
        (GOOD.with_(measurements={**GOOD.measurements, 22: b"\1" * 48}), manifests(), "differ: 22"),
        (SHORT, manifests(), "differ: 4, 5"),
        (GOOD.with_(opaque={**OPAQUE, 3: b"550.90.08\0"}), manifests(), "no manifest of GH100 driver 550.90.08"),
        (GOOD, manifests(VBIOS_MANIFEST), "no manifest of GH100 driver 550.90.07"),
        (GOOD, manifests(DRIVER_MANIFEST), "no manifest of GH100 VBIOS 96.00.9F.00.01"),
        (GOOD, manifests(VBIOS_MANIFEST, DRIVER_MANIFEST.with_(product="GB100")), "no manifest of GH100 driver"),
        (GOOD, manifests(VBIOS_MANIFEST, DRIVER_MANIFEST.with_(root="another")), "driver 550.90.07 does not hold"),
        (GOOD, manifests(VBIOS_MANIFEST.with_(end=AT - DAY), DRIVER_MANIFEST), "expired on 2026-05-31"),
        (GOOD, manifests(VBIOS_MANIFEST, DRIVER_MANIFEST.with_(golden={**GOLDEN, 2: (measurement(2),)})), "both"),
        (GOOD, manifests(VBIOS_MANIFEST.with_(golden={}), DRIVER_MANIFEST.with_(golden={})), "of 0 measurements"),
    ],
)
def test_what_is_not_golden_is_refused(made: Made, given: Collateral, says: str) -> None:
    findings = found(made, given)
    assert failed(findings) == ["golden"] and says in findings.checks[-1].detail
    assert findings.claims.facts["golden"] is False


def test_one_of_several_alternatives_is_enough() -> None:
    assert failed(found(GOOD.with_(measurements={**GOOD.measurements, 22: bytes(48)}), manifests())) == []


def test_what_is_not_active_is_not_compared() -> None:
    assert failed(found(GOOD.with_(measurements={**GOOD.measurements, 50: b"\1" * 48}), manifests())) == []


def test_an_expired_manifest_beside_a_current_one_does_no_harm() -> None:
    old = VBIOS_MANIFEST.with_(end=AT - DAY)
    assert failed(found(GOOD, manifests(old, VBIOS_MANIFEST, DRIVER_MANIFEST))) == []


# ----------------------------------------------------------------------------------------------------- NVIDIA's own


def test_the_pinned_roots_sign_themselves() -> None:
    for root in (devices(), manifest_root()):
        pinned = root.certificate
        assert pinned.issuer == pinned.subject and signed_p384(pinned, pinned.tbs_certificate_bytes, pinned.signature)


def test_our_own_root_is_not_nvidias() -> None:
    findings = verify_any(GOOD.evidence(), Collateral(), AT)
    assert "chain" in failed(findings) and findings.claims.root == "none"


@pytest.fixture
def real() -> Evidence:
    folder = shared_vectors.folder("tee/nvidia")
    chain = x509.load_pem_x509_certificates((folder / "hopperCertChain.txt").read_bytes())
    report = bytes.fromhex((folder / "hopperAttestationReport.txt").read_text().strip())
    return Evidence("nvidia-cc", report, b"", tuple(one.public_bytes(Encoding.DER) for one in chain))


def test_a_real_report_is_established(real: Evidence) -> None:
    findings = verify_any(real, Collateral(), AT)
    assert failed(findings) == [] and findings.claims.root == "NVIDIA Device Identity CA"
    assert findings.claims.report_data == real.report[4:36] and findings.claims.facts["driver_version"] == "550.90.07"
    assert findings.claims.facts["vbios_version"] == "96.00.9F.00.01" and findings.claims.facts["mode"] == "not-said"


def test_the_published_root_is_the_pinned_one(real: Evidence) -> None:
    published = (shared_vectors.folder("tee/nvidia") / "verifier_device_root.pem").read_bytes()
    assert x509.load_pem_x509_certificate(published) == devices().certificate
    assert real.certificates[-1] == devices().certificate.public_bytes(Encoding.DER)


def test_no_byte_of_a_real_report_is_free(real: Evidence) -> None:
    for byte in range(0, len(real.report), 7):
        flipped = bytearray(real.report)
        flipped[byte] ^= 1 << byte % 8
        try:
            findings = verify_any(Evidence("nvidia-cc", bytes(flipped), b"", real.certificates), Collateral(), AT)
        except EvidenceRejected:
            continue
        assert "signature" in failed(findings), hex(byte)
