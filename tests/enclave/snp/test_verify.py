"""The verifier of SEV-SNP: each check fails alone under otherwise valid signatures, and no byte of a report is free."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

import attesting
from attesting import AT, CHIP_ID, EXPIRES, ISSUED, NOTHING, TCB, VLEK, ask, chip_key, crl, leaf, roots, sign, unsigned
from quatrefoil.enclave.claims import Findings
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.enclave.snp import verify
from quatrefoil.errors import EvidenceRejected

EVERY = [(product, kind) for product in CHIP_ID for kind in ("vcek", "vlek")]


def found(evidence: Evidence, collateral: Collateral = NOTHING, **options: object) -> Findings:
    return verify(evidence, collateral, **{"at": AT, "roots": roots()} | options)  # type: ignore[arg-type]


def failed(evidence: Evidence, collateral: Collateral = NOTHING, **options: object) -> list[str]:
    return [check.name for check in found(evidence, collateral, **options).failed]


def with_certificates(*certificates: bytes, product: str = "Milan", **changes: int | bytes) -> Evidence:
    return Evidence("sev-snp", sign(unsigned(product, **changes), chip_key()), b"", certificates)


@pytest.mark.parametrize(("product", "kind"), EVERY)
@pytest.mark.parametrize("version", [2, 3, 4, 5])
def test_good_evidence_passes_every_check(product: str, kind: str, version: int) -> None:
    findings = found(attesting.evidence(product, kind, version=version))
    assert findings.failed == ()
    claims = findings.claims
    assert (claims.root, claims.model, claims.isolation) == (f"test ARK-{product}", product, "vm")
    assert claims.platform["chip_id"] == CHIP_ID[product][: 8 if product == "Turin" else 64]
    assert claims.facts["signing_key"] == kind and claims.debug is False
    assert ("chip-id" in {check.name for check in findings.checks}) == (kind == "vcek")


def test_certificates_may_come_from_the_collateral() -> None:
    evidence = dataclasses.replace(attesting.evidence(), certificates=())
    assert failed(evidence, Collateral(certificates=(ask("Milan"), leaf("Milan")))) == []


def test_unrelated_certificates_change_nothing() -> None:
    others = (
        attesting.ark("Genoa"),
        leaf("Genoa"),
        ask("Turin", "vlek"),
        leaf("Milan", "vlek"),
        attesting.ark("Milan"),
    )
    good = attesting.evidence()
    assert failed(dataclasses.replace(good, certificates=(*others, *good.certificates))) == []


# ------------------------------------------------------------------------------------------------------- rejecting


def test_without_a_certificate_nothing_is_established() -> None:
    findings = found(dataclasses.replace(attesting.evidence(), certificates=()))
    assert len(findings.failed) == len(findings.checks) and findings.claims.root == "none"


def test_without_the_intermediate_there_is_no_chain() -> None:
    assert failed(with_certificates(leaf("Milan"))) == ["chain", "validity"]


def test_amd_does_not_vouch_for_our_roots() -> None:
    findings = verify(attesting.evidence(), NOTHING, AT)
    assert [check.name for check in findings.failed] == ["chain", "validity"] and findings.claims.root == "none"


def test_a_root_that_came_along_is_not_trusted() -> None:
    """A whole chain under somebody's own root, which has the right names."""
    foreign = (leaf("Milan"), ask("Milan", signer="stranger"), attesting.ark("Milan", "stranger"))
    assert failed(with_certificates(*foreign)) == ["chain", "validity"]


def test_an_intermediate_of_another_product_does_not_count() -> None:
    assert "chain" in failed(with_certificates(leaf("Milan"), ask("Genoa")))


def test_the_vlek_authority_does_not_issue_vceks() -> None:
    wrong = attesting.certificate(
        "SEV-VCEK",
        chip_key().public_key(),
        "SEV-VLEK-Milan",
        attesting.rsa_key("ask"),
        extensions=attesting.endorsements("Milan"),
    )
    assert "chain" in failed(with_certificates(wrong, ask("Milan", "vlek")))


def test_a_leaf_that_another_key_signed_is_refused() -> None:
    assert failed(with_certificates(leaf("Milan", signer="stranger"), ask("Milan"))) == ["chain", "validity"]


def test_an_intermediate_that_may_not_issue_is_refused() -> None:
    assert "chain" in failed(with_certificates(leaf("Milan"), ask("Milan", ca=False)))


def test_another_salt_length_is_refused() -> None:
    assert "chain" in failed(with_certificates(leaf("Milan", salt=32), ask("Milan")))


@pytest.mark.parametrize(
    ("at", "says"),
    [(EXPIRES + timedelta(seconds=1), "expired on 2032-12-30"), (ISSUED - timedelta(seconds=1), "not valid before")],
)
def test_the_date_is_named_outside_validity(at: object, says: str) -> None:
    findings = found(attesting.evidence(), at=at)
    assert [check.name for check in findings.failed] == ["validity"] and says in findings.failed[0].detail
    assert findings.claims.root == "none"


@pytest.mark.parametrize("which", [0, 1])
def test_one_expired_certificate_is_enough(which: int) -> None:
    early = AT - timedelta(days=1)
    certificates = [leaf("Milan"), ask("Milan")]
    certificates[which] = (leaf("Milan", end=early), ask("Milan", end=early))[which]
    assert failed(with_certificates(*certificates)) == ["validity"]


def test_the_signing_key_is_of_the_kind_that_the_report_says() -> None:
    assert failed(with_certificates(leaf("Milan"), ask("Milan"), key_flags=VLEK)) == ["signing-key"]
    assert failed(with_certificates(leaf("Milan", "vlek"), ask("Milan", "vlek"))) == ["signing-key"]


def test_a_report_that_says_it_is_not_signed_is_refused() -> None:
    assert failed(with_certificates(leaf("Milan"), ask("Milan"), key_flags=7 << 2)) == ["signing-key"]


def test_a_report_of_another_key_is_refused() -> None:
    other = sign(unsigned(), ec.generate_private_key(ec.SECP384R1()))
    findings = found(dataclasses.replace(attesting.evidence(), report=other))
    assert [check.name for check in findings.failed] == ["signature"] and findings.claims.root == "none"


def test_a_report_without_a_signature_is_refused() -> None:
    assert failed(dataclasses.replace(attesting.evidence(), report=bytes(unsigned()))) == ["signature"]


def test_another_chip_is_refused() -> None:
    """Relayed from another machine, signed by a key that AMD certified for that one."""
    assert failed(with_certificates(leaf("Milan", chip_id=b"\x09" * 64), ask("Milan"))) == ["chip-id"]
    other = CHIP_ID["Turin"][:8] + b"\1" + bytes(55)
    assert failed(with_certificates(leaf("Turin"), ask("Turin"), product="Turin", chip_id=other)) == ["chip-id"]


def test_a_masked_chip_id_is_refused() -> None:
    assert failed(with_certificates(leaf("Milan"), ask("Milan"), chip_id=bytes(64))) == ["chip-id"]


@pytest.mark.parametrize(("product", "kind"), EVERY)
def test_the_report_may_not_claim_other_firmware_than_its_key_was_made_for(product: str, kind: str) -> None:
    for byte in attesting.COMPONENT_BYTES[product].values():
        older = bytearray(TCB[product])
        older[byte] ^= 1
        evidence = dataclasses.replace(
            attesting.evidence(product, kind), certificates=(leaf(product, kind, bytes(older)), ask(product, kind))
        )
        assert failed(evidence) == ["certificate-tcb"]


@pytest.mark.parametrize("which", ["reported_tcb", "committed_tcb"])
def test_no_version_is_above_the_current_one(which: str) -> None:
    for byte in (0, 1, 6, 7):
        current = bytearray(b"\5\5\0\0\0\0\5\5")
        above = bytearray(current)
        above[byte] += 1
        changes = {"current_tcb": bytes(current), "reported_tcb": bytes(current), "committed_tcb": bytes(current)}
        changes[which] = bytes(above)
        assert failed(with_certificates(leaf("Milan", tcb=changes["reported_tcb"]), ask("Milan"), **changes)) == [
            "tcb-order"
        ]


def test_the_certificate_is_of_the_processor_that_the_report_says() -> None:
    assert "product" in failed(with_certificates(leaf("Genoa"), ask("Genoa"), product="Milan"))


def test_an_unknown_processor_is_refused() -> None:
    with pytest.raises(EvidenceRejected, match="unknown processor"):
        found(with_certificates(leaf("Milan"), ask("Milan"), cpuid=b"\x17\x31\x00"))


@pytest.mark.parametrize("part", ["signature", "event_log"])
def test_parts_that_snp_has_not_are_refused(part: str) -> None:
    with pytest.raises(EvidenceRejected, match="not evidence of SEV-SNP"):
        found(dataclasses.replace(attesting.evidence(), **{part: b"x"}))


def test_another_kind_is_refused() -> None:
    with pytest.raises(EvidenceRejected):
        found(dataclasses.replace(attesting.evidence(), kind="tdx"))


def test_a_certificate_that_is_none_is_refused() -> None:
    with pytest.raises(EvidenceRejected, match="certificate cannot be read"):
        found(with_certificates(b"none"))


# ------------------------------------------------------------------------------------------------------ revocation


def test_a_current_list_is_said_to_have_been_looked_at() -> None:
    findings = found(attesting.evidence(), Collateral(revocation_lists=(crl("Milan"), crl("Genoa", signer="stranger"))))
    assert findings.failed == () and findings.claims.facts["revocation_checked"] is True
    assert found(attesting.evidence()).claims.facts["revocation_checked"] is False


@pytest.mark.parametrize(
    ("made", "says"),
    [
        ({"revoked": (0x10001,)}, "SEV-Milan has been revoked"),
        ({"signer": "stranger"}, "is not signed by test ARK-Milan"),
        ({"end": AT - timedelta(days=1)}, "the revocation list expired on 2026-05-31"),
        ({"start": AT + timedelta(days=1)}, "the revocation list holds from 2026-06-02"),
    ],
)
def test_a_bad_list_is_refused(made: dict[str, object], says: str) -> None:
    findings = found(attesting.evidence(), Collateral(revocation_lists=(crl("Milan", **made),)))  # type: ignore[arg-type]
    assert [check.name for check in findings.failed] == ["revocation"] and says in findings.failed[0].detail


def test_a_second_list_hides_no_revocation() -> None:
    lists = (crl("Milan"), crl("Milan", revoked=(0x10001,)))
    assert failed(attesting.evidence(), Collateral(revocation_lists=lists)) == ["revocation"]


def test_an_expired_list_and_one_of_tomorrow_make_no_current_one() -> None:
    lists = (crl("Milan", end=AT - timedelta(days=1)), crl("Milan", start=AT + timedelta(days=1)))
    for given in (lists, lists[::-1]):
        assert failed(attesting.evidence(), Collateral(revocation_lists=given)) == ["revocation"]
    assert failed(attesting.evidence(), Collateral(revocation_lists=(*lists, crl("Milan")))) == []


# ------------------------------------------------------------------------------------------------------- bit flips


@pytest.mark.parametrize("bits", [1, pytest.param(8, marks=pytest.mark.slow)])
def test_no_byte_of_a_report_is_free(bits: int) -> None:
    """A bit of each of the 1,184 bytes, and each of their 9,472 bits, flipped alone: the signature does not hold, or
    the report cannot be read."""
    good = attesting.evidence()
    passed = []
    for byte in range(len(good.report)):
        for bit in range(byte, byte + bits):
            flipped = bytearray(good.report)
            flipped[byte] ^= 1 << bit % 8
            try:
                names = failed(dataclasses.replace(good, report=bytes(flipped)))
            except EvidenceRejected:
                continue
            if "signature" not in names:
                passed.append((byte, bit % 8))
    assert passed == []


def test_no_byte_of_the_certificates_is_free() -> None:
    """A flipped bit in each byte of the VCEK and the intermediate breaks the chain, or they cannot be read. Also where
    the signature ends in a zero bit, of which DER would let a sender say that it is not used."""
    certificates = (leaf("Milan", serial=serial) for serial in range(1, 40))
    even = next(one for one in certificates if one[-1] % 2 == 0)
    good = dataclasses.replace(attesting.evidence(), certificates=(even, ask("Milan")))
    passed = []
    for which, der in enumerate(good.certificates):
        for byte in range(0, len(der)):
            flipped = bytearray(der)
            flipped[byte] ^= 1 << byte % 8
            certificates = list(good.certificates)
            certificates[which] = bytes(flipped)
            try:
                names = failed(dataclasses.replace(good, certificates=tuple(certificates)))
            except EvidenceRejected:
                continue
            if not names:
                passed.append((which, byte))
    assert passed == []
