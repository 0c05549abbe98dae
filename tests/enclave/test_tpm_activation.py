"""Credential activation: a certified TPM in software proves that it holds an attestation key, and nothing else does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

import tpm_quotes
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.collectors.endorsement import EndorsedTpm
from quatrefoil.enclave.tpm import activation, credential, structures, verify
from quatrefoil.enclave.tpm.activation import challenge
from quatrefoil.errors import DependencyMissing, EvidenceRejected, HostError
from software_tpm import (
    AK,
    ECC_EK,
    ECC_EK_CERTIFICATE,
    OTHER_AK,
    RSA_AK,
    RSA_EK,
    Maker,
    SoftwareTpm,
    certified_tpm,
    endorsed,
    needs_maker,
)
from tpm_quotes import AT, NONCE, Made, certificate, der, revocation_list

Certified = tuple[SoftwareTpm, Maker]


@pytest.fixture(scope="module")
def certified() -> Iterator[Certified]:
    with certified_tpm() as made:
        yield made


def now() -> datetime:
    """The maker certifies with the machine's clock."""
    return datetime.now(UTC)


@needs_maker
@pytest.mark.parametrize(
    ("ek", "ak", "index"), [(RSA_EK, AK, "0x01c00002"), (ECC_EK, RSA_AK, ECC_EK_CERTIFICATE)], ids=["rsa", "p384"]
)
def test_the_tpm_that_was_certified_proves_its_key(certified: Certified, ek: str, ak: str, index: str) -> None:
    machine, maker = certified
    root, below = maker.authorities
    side = endorsed(machine, ek, ak)
    asked = challenge((side.certificate(index), below), side.public(), Collateral(tpm_roots=(root,)), now())
    proven = asked.accept(side.answer(asked.blob))
    assert proven.root == "CN=swtpm-localca-rootca" and len(proven.endorsement) == 32
    # From here on the relying party pins the key, and quotes of it hold.
    evidence = machine.collector(ak).collect(NONCE)
    findings = verify(evidence, Collateral(keys=(proven.key,)), now())
    assert not findings.failed and findings.claims.platform["ak"] == proven.name


@needs_maker
def test_the_answer_is_good_for_one_challenge(certified: Certified) -> None:
    machine, maker = certified
    side, given = endorsed(machine), Collateral(tpm_roots=maker.authorities)
    first, second = (challenge((side.certificate(),), side.public(), given, now()) for _ in range(2))
    answer = side.answer(first.blob)
    first.accept(answer)
    with pytest.raises(EvidenceRejected, match="not the secret of this challenge") as refused:
        second.accept(answer)
    assert refused.value.check == "activation" and first.blob != second.blob


@needs_maker
def test_another_tpm_of_the_same_maker_cannot_answer(certified: Certified) -> None:
    """Its certificate and a key of another machine: whoever has only one of the two is refused by the TPM itself."""
    machine, maker = certified
    side = endorsed(machine)
    with certified_tpm(maker) as (other, _):
        theirs = endorsed(other)
        for brought, public in ((side.certificate(), theirs.public()), (theirs.certificate(), side.public())):
            asked = challenge((brought,), public, Collateral(tpm_roots=maker.authorities), now())
            for answering in (side, theirs):
                with pytest.raises(HostError, match="tpm2_activatecredential failed"):
                    answering.answer(asked.blob)


@needs_maker
def test_another_key_of_the_same_tpm_cannot_answer(certified: Certified) -> None:
    machine, maker = certified
    machine.make_key(OTHER_AK, "ecc", "ecdsa", RSA_EK)
    asked = challenge(
        (endorsed(machine).certificate(),), endorsed(machine).public(), Collateral(tpm_roots=maker.authorities), now()
    )
    with pytest.raises(HostError, match="tpm2_activatecredential failed"):
        endorsed(machine, key=OTHER_AK).answer(asked.blob)


@needs_maker
def test_a_blob_that_was_altered_is_refused_by_the_tpm(certified: Certified) -> None:
    machine, maker = certified
    side = endorsed(machine)
    blob = challenge((side.certificate(),), side.public(), Collateral(tpm_roots=maker.authorities), now()).blob
    for at in (5, 40, len(blob) - 1):
        with pytest.raises(HostError, match="tpm2_activatecredential failed"):
            side.answer(blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :])


@needs_maker
def test_the_maker_must_be_one_that_the_relying_party_knows(certified: Certified, tmp_path: Path) -> None:
    machine, maker = certified
    side, (root, below) = endorsed(machine), maker.authorities
    given = side.certificate()
    for collateral in (Collateral(), Collateral((below, root)), Collateral(tpm_roots=(der(root_of("stranger")),))):
        refused((given, below), collateral, "endorsement-key", "leads to no given root", at=now(), public=side.public())
    roots = Collateral(tpm_roots=(root,))
    refused((given,), roots, "endorsement-key", "leads to no given root", at=now(), public=side.public())


@needs_maker
def test_an_index_that_holds_no_certificate(certified: Certified) -> None:
    machine, _ = certified
    with pytest.raises(HostError, match="tpm2_nvread failed"):
        endorsed(machine).certificate("0x01c0000a")
    machine.tool("tpm2_nvdefine", "-C", "o", "-s", "8", "0x01800001")
    machine.tool("tpm2_nvwrite", "-C", "o", "-i", "-", "0x01800001", stdin=b"nonsense")
    with pytest.raises(HostError, match="holds no certificate"):
        endorsed(machine).certificate("0x01800001")


def test_without_a_tpm_or_its_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    side = EndorsedTpm(RSA_EK, AK, f"device:{tmp_path}/tpm")
    blob = credential.make(Made().key.public_key(), bytes(34), b"secret")
    for ask in (side.public, side.certificate, lambda: side.answer(blob)):
        with pytest.raises(HostError, match="no usable TPM"):
            ask()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DependencyMissing, match="tpm2_readpublic is not installed"):
        replace(side, tcti="swtpm:path=/nowhere").public()


# --- certificates of our own, and no TPM -----------------------------------------------------------------------------


def root_of(name: str = "maker") -> x509.Certificate:
    return certificate(name, tpm_quotes.key("p256", 1).public_key(), name, tpm_quotes.key("p256", 1), ca=True)


EK = tpm_quotes.key("rsa", 7)


def ek_certificate(
    public: object = None,
    *,
    purpose: str = "2.23.133.8.1",
    encrypts: bool = True,
    agrees: bool = False,
    ca: bool = False,
) -> bytes:
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(root_of().subject)
        .public_key(public or EK.public_key())  # type: ignore[arg-type]
        .serial_number(77)
        .not_valid_before(AT)
        .not_valid_after(AT.replace(year=2030))
        .add_extension(x509.BasicConstraints(ca, None), True)
        .add_extension(x509.ExtendedKeyUsage([x509.ObjectIdentifier(purpose)]), False)
        .add_extension(x509.KeyUsage(False, False, encrypts, False, agrees, False, False, False, False), True)
    )
    return der(builder.sign(tpm_quotes.key("p256", 1), hashes.SHA256()))


ROOTS = Collateral(tpm_roots=(der(root_of()),))


def refused(
    brought: tuple[bytes, ...],
    collateral: Collateral,
    check: str,
    says: str,
    at: datetime = AT,
    public: bytes | None = None,
) -> None:
    with pytest.raises(EvidenceRejected, match=says) as refusal:
        challenge(brought, public or Made().public(), collateral, at)
    assert refusal.value.check == check and refusal.value.hint


def test_an_ek_certificate_leads_to_a_challenge() -> None:
    asked = challenge((ek_certificate(),), Made().public(), ROOTS, AT)
    assert asked.claimed.root == "CN=maker" and not asked.claimed.revocation_checked
    assert asked.accept(asked.secret) == asked.claimed
    assert asked.secret.hex() not in repr(asked) and repr(asked.secret) not in repr(asked)
    for answer in (b"", asked.secret[:-1], asked.secret + b"\0", bytes(32)):
        with pytest.raises(EvidenceRejected, match="not the secret"):
            asked.accept(answer)


@pytest.mark.parametrize(
    ("brought", "says"),
    [
        ((), "0 certificates of an endorsement key"),
        ((ek_certificate(purpose="1.3.6.1.5.5.7.3.2"),), "0 certificates of an endorsement key"),
        ((ek_certificate(), ek_certificate()), "2 certificates of an endorsement key"),
        ((ek_certificate(encrypts=False),), "not for encryption"),
        ((ek_certificate(Made().key.public_key()),), "not for encryption"),
        ((ek_certificate(ca=True),), "leads to no given root"),
    ],
)
def test_certificates_that_are_of_no_endorsement_key(brought: tuple[bytes, ...], says: str) -> None:
    refused(brought, ROOTS, "endorsement-key", says)


def test_a_root_must_be_said_to_be_one_of_tpms() -> None:
    refused((ek_certificate(),), Collateral(ROOTS.tpm_roots), "endorsement-key", "leads to no given root.*tpm-root")


def test_a_certificate_that_is_not_valid_now() -> None:
    refused((ek_certificate(),), ROOTS, "endorsement-key", "leads to no given root", at=AT.replace(year=2031))


def test_a_certificate_that_its_maker_revoked() -> None:
    signer = tpm_quotes.key("p256", 1)
    for serials, days, says in (((77,), 30, "revoked the certificate"), ((), 0, "revocation list")):
        lists = (revocation_list("maker", signer, serials, days=days),)
        refused(
            (ek_certificate(),),
            Collateral((), lists, tpm_roots=ROOTS.tpm_roots),
            "revocation",
            says,
            at=AT if days else AT.replace(hour=1),
        )
    lists = (revocation_list("maker", signer, (78,)),)
    asked = challenge((ek_certificate(),), Made().public(), Collateral((), lists, tpm_roots=ROOTS.tpm_roots), AT)
    assert asked.claimed.revocation_checked


@pytest.mark.parametrize("attribute", [structures.RESTRICTED, structures.FIXED_TPM, structures.SENSITIVE_DATA_ORIGIN])
def test_a_key_that_may_sign_anything_is_not_challenged(attribute: int) -> None:
    public = Made(attributes=tpm_quotes.AK & ~attribute).public()
    refused((ek_certificate(),), ROOTS, "key-attributes", "may not attest", public=public)


def test_a_certificate_that_cannot_be_read() -> None:
    refused((b"certificate",), ROOTS, "format", "cannot be read")


@pytest.mark.parametrize("key", [rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP521R1())])
def test_an_endorsement_key_that_no_template_has(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> None:
    with pytest.raises(EvidenceRejected, match="no template"):
        credential.make(key.public_key(), bytes(34), b"secret")  # type: ignore[arg-type]


@given(st.binary(max_size=100))
def test_any_bytes_are_a_credential_or_refused(data: bytes) -> None:
    try:
        identity, secret = credential.split(data)
    except EvidenceRejected as refusal:
        assert refusal.check == "format"
    else:
        assert identity + secret == data


def test_the_derivations_are_those_of_the_specification() -> None:
    """Against the definitions: HMAC and hash in counter mode, written out once more."""
    import hmac as plain
    from hashlib import sha256

    block = b"\0\0\0\1" + b"STORAGE\0" + b"name" + b"" + (128).to_bytes(4, "big")
    assert (
        credential.kdf_a("sha256", b"seed", b"STORAGE", b"name", b"", 16) == plain.digest(b"seed", block, "sha256")[:16]
    )
    assert credential.kdf_e("sha256", b"z", b"IDENTITY\0", b"u", b"v", 32) == sha256(b"\0\0\0\1zIDENTITY\0uv").digest()
    assert activation.SECRET_BYTES <= 32
