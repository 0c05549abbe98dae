"""TPM quotes: what is established under a valid signature, and every check made to fail alone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from quatrefoil.enclave.claims import Findings
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.enclave.tpm import CHECKS, verify
from quatrefoil.enclave.tpm import structures as tpm
from quatrefoil.enclave.tpm.signer import PINNED
from quatrefoil.errors import EvidenceRejected
from tpm_quotes import AK, AT, NONCE, Made, certificate, der, key, revocation_list, selection, sized

ROOT, BETWEEN = key("p384", 1), key("p256", 2)
ROOT_CERTIFICATE = certificate("maker root", ROOT.public_key(), "maker root", ROOT, ca=True)
BETWEEN_CERTIFICATE = certificate("maker", BETWEEN.public_key(), "maker root", ROOT, ca=True)
AK_CERTIFICATE = certificate("ak", key().public_key(), "maker", BETWEEN, usage=True)

CERTIFIED = Made(certificates=(der(AK_CERTIFICATE), der(BETWEEN_CERTIFICATE)))
ROOTS = Collateral(tpm_roots=(der(ROOT_CERTIFICATE),))


def listed(lists: tuple[bytes, ...]) -> Collateral:
    return Collateral(revocation_lists=lists, tpm_roots=ROOTS.tpm_roots)


def pinned(made: Made) -> Collateral:
    return Collateral(keys=(made.spki,))


def failed(findings: Findings) -> list[str]:
    assert tuple(check.name for check in findings.checks) == CHECKS
    assert all(check.detail for check in findings.checks)
    return [check.name for check in findings.failed]


@pytest.mark.parametrize("kind", ["p256", "p384", "rsa"])
@pytest.mark.parametrize("hash_", ["sha256", "sha384"])
@pytest.mark.parametrize("scheme", [None, tpm.RSAPSS])
def test_a_quote_holds_under_its_key(kind: str, hash_: str, scheme: int | None) -> None:
    made = Made(key=key(kind), hash=hash_, scheme=scheme if kind == "rsa" else None)
    findings = verify(made.evidence(), pinned(made), AT)
    claims = findings.claims
    assert not findings.failed
    assert (claims.kind, claims.root, claims.isolation, claims.debug) == ("tpm", PINNED, "none", None)
    assert claims.report_data == NONCE
    assert claims.measurements == {f"pcr{n}": bytes([n]) * 32 for n in (0, 1, 2, 7)}
    assert claims.tcb == {"firmware": 0x0001_0002_0003_0004}
    assert claims.facts["reset_count"] == 4 and claims.facts["bank"] == "sha256"
    assert claims.platform["ak"][:2] == b"\x00\x0b" and len(claims.platform["ak"]) == 34


def test_a_bank_of_sha384() -> None:
    made = Made(bank="sha384", values={n: bytes([n]) * 48 for n in (4, 23)})
    findings = verify(made.evidence(), pinned(made), AT)
    assert not findings.failed and findings.claims.measurements["pcr23"] == bytes([23]) * 48


def test_a_certified_key_names_its_root() -> None:
    findings = verify(CERTIFIED.evidence(), ROOTS, AT)
    assert not findings.failed
    assert findings.claims.root == "CN=maker root"
    assert "no revocation list" in findings.checks[1].detail
    assert findings.claims.facts["certified"] is True and findings.claims.facts["revocation_checked"] is False


def test_a_list_that_does_not_name_the_certificate_is_said_to_be_there() -> None:
    given_list = revocation_list("maker", BETWEEN, (5,))
    findings = verify(CERTIFIED.evidence(), listed((given_list,)), AT)
    assert not findings.failed and "no revocation list" not in findings.checks[1].detail
    assert findings.claims.facts["revocation_checked"] is True


def test_intermediates_may_be_the_relying_partys() -> None:
    made = Made(certificates=(der(AK_CERTIFICATE),))
    both = Collateral((der(BETWEEN_CERTIFICATE),), tpm_roots=(der(ROOT_CERTIFICATE),))
    assert not verify(made.evidence(), both, AT).failed
    assert failed(verify(made.evidence(), ROOTS, AT)) == ["signer"]


STRANGER = key("p256", 3)


@pytest.mark.parametrize(
    ("made", "collateral", "check", "says"),
    [
        (Made(signed_by=key("p256", 9)), None, "signature", "did not sign"),
        (Made(), Collateral(), "signer", "does not pin"),
        (Made(), pinned(Made(key=key("p256", 9))), "signer", "does not pin"),
        (CERTIFIED, Collateral(), "signer", "no given root"),
        (Made(attributes=AK & ~tpm.RESTRICTED), None, "key-attributes", "not restricted"),
        (Made(attributes=AK & ~tpm.SIGN), None, "key-attributes", "not sign"),
        (Made(attributes=AK & ~tpm.FIXED_TPM), None, "key-attributes", "not fixedTPM"),
        (Made(attributes=AK & ~tpm.FIXED_PARENT), None, "key-attributes", "not fixedParent"),
        (Made(attributes=AK & ~tpm.SENSITIVE_DATA_ORIGIN), None, "key-attributes", "not sensitiveDataOrigin"),
        (Made(attributes=AK | tpm.DECRYPT), None, "key-attributes", "also decrypts"),
    ],
)
def test_each_check_fails_alone(made: Made, collateral: Collateral | None, check: str, says: str) -> None:
    findings = verify(made.evidence(), pinned(made) if collateral is None else collateral, AT)
    assert failed(findings) == [check]
    assert says in findings.failed[0].detail
    assert findings.claims.isolation == "none"


@pytest.mark.parametrize(
    ("leaf", "collateral", "says"),
    [
        (certificate("ak", key().public_key(), "maker", STRANGER), ROOTS, "no given root"),
        (certificate("ak", key().public_key(), "maker", BETWEEN, usage=False), ROOTS, "no given root"),
        (certificate("ak", key().public_key(), "maker", BETWEEN, days=0), ROOTS, "no given root"),
        (
            AK_CERTIFICATE,
            Collateral(
                tpm_roots=(der(certificate("maker root", STRANGER.public_key(), "maker root", STRANGER, ca=True)),)
            ),
            "no given root",
        ),
        (
            AK_CERTIFICATE,
            listed((revocation_list("maker", BETWEEN, (AK_CERTIFICATE.serial_number,)),)),
            "revoked",
        ),
        (
            AK_CERTIFICATE,
            listed((revocation_list("maker", STRANGER),)),
            "not signed by it",
        ),
        (
            AK_CERTIFICATE,
            listed((revocation_list("maker", BETWEEN, days=0),)),
            "holds from",
        ),
    ],
    ids=["stranger", "no-signatures", "expired", "other-root", "revoked", "forged-list", "old-list"],
)
def test_certificates_that_do_not_hold(leaf: object, collateral: Collateral, says: str) -> None:
    made = CERTIFIED.with_(certificates=(der(leaf), der(BETWEEN_CERTIFICATE)))  # type: ignore[arg-type]
    at = AT + timedelta(hours=1)
    findings = verify(made.evidence(), collateral, at)
    assert failed(findings) == ["signer"] and says in findings.checks[1].detail
    assert findings.claims.root == "none"


def test_a_root_counts_only_where_it_is_said_to_be_one_of_tpms() -> None:
    """Whatever else an owner keeps in the folder signed itself too: AMD's root, a server's certificate."""
    unmarked = Collateral(certificates=(der(ROOT_CERTIFICATE), der(BETWEEN_CERTIFICATE)))
    findings = verify(CERTIFIED.evidence(), unmarked, AT)
    assert failed(findings) == ["signer"] and "tpm-root*" in findings.checks[1].detail
    other = certificate("other root", STRANGER.public_key(), "other root", STRANGER, ca=True)
    beside = Collateral(unmarked.certificates, tpm_roots=(der(other),))
    assert failed(verify(CERTIFIED.evidence(), beside, AT)) == ["signer"]


def test_an_authority_in_between_may_be_the_root() -> None:
    assert verify(CERTIFIED.evidence(), Collateral(tpm_roots=(der(BETWEEN_CERTIFICATE),)), AT).claims.root == "CN=maker"


@pytest.mark.parametrize(
    ("purposes", "good"),
    [(("2.23.133.8.3",), True), (("1.3.6.1.5.5.7.3.1", "2.23.133.8.3"), True), (("1.3.6.1.5.5.7.3.1",), False)],
)
def test_a_certificate_for_another_purpose(purposes: tuple[str, ...], good: bool) -> None:
    """An authority may certify web servers as well, whose owners can sign any quote."""
    leaf = certificate("ak", key().public_key(), "maker", BETWEEN, usage=True, purposes=purposes)
    findings = verify(CERTIFIED.with_(certificates=(der(leaf), der(BETWEEN_CERTIFICATE))).evidence(), ROOTS, AT)
    assert failed(findings) == ([] if good else ["signer"])
    assert good or "not for attestation" in findings.checks[1].detail


def test_certificates_of_a_key_are_few() -> None:
    """Authorities in a circle make each of them cost some hundred signatures."""
    several = [certificate(f"ak {n}", key().public_key(), "maker", BETWEEN, usage=True) for n in range(3)]
    for count in (2, 3):
        made = CERTIFIED.with_(certificates=(*map(der, several[:count]), der(BETWEEN_CERTIFICATE)))
        findings = verify(made.evidence(), ROOTS, AT)
        assert failed(findings) == ([] if count == 2 else ["signer"])
    assert "3 certificates of the key" in findings.checks[1].detail


def test_an_authoritys_own_key_attests_nothing() -> None:
    leaf = certificate("ak", key().public_key(), "maker", BETWEEN, ca=True)
    made = CERTIFIED.with_(certificates=(der(leaf), der(BETWEEN_CERTIFICATE)))
    assert failed(verify(made.evidence(), ROOTS, AT)) == ["signer"]


def test_an_authority_must_be_one() -> None:
    """A device's own certificate certifies nothing, although its signature is good."""
    device = certificate("device", STRANGER.public_key(), "maker", BETWEEN)
    leaf = certificate("ak", key().public_key(), "device", STRANGER)
    made = Made(certificates=(der(leaf), der(device), der(BETWEEN_CERTIFICATE)))
    assert failed(verify(made.evidence(), ROOTS, AT)) == ["signer"]


def test_a_pin_does_not_outvote_a_revoked_certificate() -> None:
    lists = (revocation_list("maker", BETWEEN, (AK_CERTIFICATE.serial_number,)),)
    collateral = Collateral((), lists, (CERTIFIED.spki,), tpm_roots=ROOTS.tpm_roots)
    assert failed(verify(CERTIFIED.evidence(), collateral, AT)) == ["signer"]


def test_a_certificate_of_another_key_vouches_for_nothing() -> None:
    other = certificate("other", STRANGER.public_key(), "maker", BETWEEN, usage=True)
    made = Made(certificates=(der(other), der(BETWEEN_CERTIFICATE)))
    assert failed(verify(made.evidence(), ROOTS, AT)) == ["signer"]


def test_values_that_were_not_signed() -> None:
    good = Made()
    for values in (
        {**good.values, 7: bytes(32)},
        {0: good.values[0]},
        {**good.values, 3: bytes(32)},
        {**good.values, 7: bytes(48)},
    ):
        told = tuple(values[n] for n in sorted(values))
        attest = good.attest()
        beside = tpm.encode_companions(good.signature(attest), good.public(), told)
        assert failed(verify(Evidence("tpm", attest, beside), pinned(good), AT)) == ["registers"]


def test_another_scheme_or_hash_than_the_keys() -> None:
    made = Made(key=key("rsa"))
    attest = made.attest()
    for other in (made.with_(scheme=tpm.RSAPSS), made.with_(hash="sha384")):
        beside = tpm.encode_companions(other.signature(attest), made.public(), tuple(made.values.values()))
        assert "signature" in failed(verify(Evidence("tpm", attest, beside), pinned(made), AT))


def refused(made: Made | Evidence, says: str) -> None:
    with pytest.raises(EvidenceRejected, match=says) as refusal:
        verify(made if isinstance(made, Evidence) else made.evidence(), Collateral(), AT)
    assert refusal.value.check == "format" and refusal.value.hint


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (Made(magic=0xFF544346), "no TPM made it"),
        (Made(kind=0x8017), "not a quote"),
        (Made(nonce=bytes(67)), "extraData 67 bytes"),
        (Made(bank="sha1", values={0: bytes(20)}), "SHA-256 or SHA-384"),
        (Made(values={}), "banks none"),
    ],
)
def test_signed_and_of_no_use(made: Made, says: str) -> None:
    refused(made, says)


def test_certificates_and_lists_that_cannot_be_read() -> None:
    refused(Made(certificates=(b"\x30\x00",)), "certificate cannot be read")
    with pytest.raises(EvidenceRejected, match="certificate cannot be read"):
        verify(Made().evidence(), Collateral(certificates=(b"\x30",)), AT)
    with pytest.raises(EvidenceRejected, match="revocation list cannot be read"):
        verify(Made().evidence(), Collateral(revocation_lists=(b"list",)), AT)


def test_other_evidence() -> None:
    refused(Evidence("sev-snp", Made().attest()), "not evidence of a TPM")


def test_selections_of_several_banks() -> None:
    made = Made()
    attest = made.attest()
    one = selection(0x000B, (0, 1, 2, 7))
    at = attest.index(b"\x00\x00\x00\x01" + one)

    def with_banks(*banks: bytes) -> Evidence:
        changed = attest[:at] + len(banks).to_bytes(4, "big") + b"".join(banks) + attest[at + 4 + len(one) :]
        beside = tpm.encode_companions(made.signature(changed), made.public(), tuple(made.values.values()))
        return Evidence("tpm", changed, beside)

    assert not verify(with_banks(selection(4, ()), one), pinned(made), AT).failed
    refused(with_banks(one, one), "selects twice")
    refused(with_banks(one, selection(0x000C, (1,))), "0x000b, 0x000c")
    refused(with_banks(), "from 0 banks")
    refused(with_banks(*(selection(n, ()) for n in range(17))), "from 17 banks")
    refused(with_banks(b"\x00\x0b" + sized(b"\x01" * 5, 1)), "selection 5 bytes")


def test_companions_of_no_use() -> None:
    made = Made()
    attest, public, values = made.attest(), made.public(), tuple(made.values.values())
    signature = made.signature(attest)

    def beside(signature: bytes = signature, public: bytes = public, values: tuple[bytes, ...] = values) -> Evidence:
        return Evidence("tpm", attest, tpm.encode_companions(signature, public, values))

    refused(beside(b"\x00\x1a" + signature[2:]), "0x001a, not ECDSA")
    refused(beside(signature[:2] + b"\x00\x04" + signature[4:]), "SHA-256 or SHA-384")
    refused(beside(public=b"\x00\x08" + public[2:]), "neither RSA nor ECC")
    refused(beside(public=public + b"\x00"), "after its end")
    refused(beside(public=public.replace(b"\x00\x10\x00\x18", b"\x00\x06\x00\x18")), "storage key")
    refused(beside(public=public.replace(b"\x00\x18\x00\x0b", b"\x00\x10\x00\x0b")), "one fixed signing scheme")
    refused(beside(public=public.replace(b"\x00\x0b\x00\x03\x00\x10", b"\x00\x0b\x00\x05\x00\x10")), "P-256 or P-384")
    refused(beside(public=public[:-32] + bytes(32)), "no public key")
    refused(beside(values=(bytes(32),) * 33), "33 values")
    refused(beside(values=(b"",)), "value of a register 0 bytes")
    refused(Evidence("tpm", attest), "ends inside sigAlg")


def test_rsa_keys_that_no_tpm_makes() -> None:
    made = Made(key=key("rsa"))
    public = made.public()
    for changed, says in (
        (public[:-1] + bytes([public[-1] ^ 1]), "as TPMs make them"),
        (public.replace(b"\x08\x00" + bytes(4), b"\x08\x00\x00\x00\x00\x03"), "as TPMs make them"),
        (public.replace(b"\x08\x00" + bytes(4), b"\x04\x00" + bytes(4)), "1024 bits"),
    ):
        with pytest.raises(EvidenceRejected, match=says):
            tpm.parse_public(changed)


def test_no_byte_of_a_quote_is_free() -> None:
    """A bit of every byte of the report and of its companions: refused, or a check fails, or the key has another name.

    The last holds for attributes and a policy of the key that no check asks for: a policy that names the key sees it.
    """
    good = CERTIFIED.evidence()
    name = verify(good, ROOTS, AT).claims.platform["ak"]
    for part in ("report", "signature"):
        raw = getattr(good, part)
        for at in range(len(raw)):
            changed = bytearray(raw)
            changed[at] ^= 1 << at % 8
            parts = {"report": good.report, "signature": good.signature, part: bytes(changed)}
            try:
                findings = verify(Evidence("tpm", parts["report"], parts["signature"], good.certificates), ROOTS, AT)
            except EvidenceRejected:
                continue
            if not findings.failed:
                assert part == "signature" and findings.claims.platform["ak"] != name


def test_no_byte_of_a_certificate_is_free() -> None:
    good = CERTIFIED.evidence()
    for which, raw in enumerate(good.certificates):
        for at in range(len(raw)):
            changed = bytearray(raw)
            changed[at] ^= 1 << at % 8
            certificates = list(good.certificates)
            certificates[which] = bytes(changed)
            try:
                findings = verify(Evidence("tpm", good.report, good.signature, tuple(certificates)), ROOTS, AT)
            except EvidenceRejected:
                continue
            assert findings.failed, f"byte {at} of certificate {which}"


@given(st.binary(max_size=400), st.binary(max_size=400))
def test_other_bytes_are_rejected(report: bytes, beside: bytes) -> None:
    with pytest.raises(EvidenceRejected):
        verify(Evidence("tpm", report or b"\x00", beside), Collateral(), AT)


@given(
    nonce=st.binary(max_size=64),
    pcrs=st.sets(st.integers(0, 23), min_size=1),
    firmware=st.integers(0, 2**64 - 1),
    resets=st.integers(0, 2**32 - 1),
)
def test_what_is_written_is_read(nonce: bytes, pcrs: set[int], firmware: int, resets: int) -> None:
    made = Made(nonce=nonce, values={n: bytes([n]) * 32 for n in sorted(pcrs)}, firmware=firmware, resets=resets)
    quote = tpm.parse_attest(made.attest())
    assert (quote.qualifying_data, quote.pcrs) == (nonce, tuple(sorted(pcrs)))
    assert (quote.firmware_version, quote.reset_count, quote.clock_ms) == (firmware, resets, 123_456)


def test_keys_of_both_curves_have_names_of_their_whole_area() -> None:
    names = {
        tpm.parse_public(Made(key=key(kind), attributes=attributes).public()).name
        for kind in ("p256", "p384", "rsa")
        for attributes in (AK, AK ^ 1 << 6)
    }
    assert len(names) == 6
    assert isinstance(key("p384"), ec.EllipticCurvePrivateKey)
