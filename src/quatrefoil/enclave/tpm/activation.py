"""Credential activation: how a verifier learns that an attestation key lives in the TPM that a maker certified.

The maker of a TPM certifies its endorsement key (EK), which cannot sign. The verifier sends a secret that only the TPM
with that EK can open, and that it opens only if it holds the attestation key (AK) of a given name as well (TCG TPM 2.0
Library, Part 1, section 24). Who gives the secret back has both, in one TPM. From then on the verifier pins the AK.

    verifier                                               machine
    <- certificate of the EK, public area of the AK
    challenge() -> blob                                    -> TPM2_ActivateCredential
    accept(answer) -> ActivatedKey: pin it                 <- secret

Certificates of EKs: TCG EK Credential Profile, version 2.5, section 3.2. Roots are the relying party's.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.verification import Criticality, ExtensionPolicy, Policy, VerificationError

from quatrefoil.enclave import certificates, revocation
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.tpm import credential
from quatrefoil.enclave.tpm.signer import Key, chain_to_root, no_authority, public_key, subject_public_key_info
from quatrefoil.enclave.tpm.structures import parse_public
from quatrefoil.enclave.tpm.verify import key_attributes
from quatrefoil.errors import EvidenceRejected

SECRET_BYTES = 32

EK_CERTIFICATE = x509.ObjectIdentifier("2.23.133.8.1")
"""tcg-kp-EKCertificate: what an EK's certificate says that it is for."""


@dataclass(frozen=True)
class ActivatedKey:
    """An attestation key of a TPM that ``root`` stands for."""

    key: bytes
    """SubjectPublicKeyInfo: pin it, in ``Collateral.keys``."""
    name: bytes
    """The key's name, which covers its attributes: list it as ``ak`` in a policy."""
    endorsement: bytes
    """SHA-256 of the SubjectPublicKeyInfo of the TPM's EK: one TPM."""
    root: str
    revocation_checked: bool


@dataclass(frozen=True)
class Challenge:
    """One question, of which ``blob`` goes to the machine. ``accept`` takes one answer's bytes."""

    blob: bytes
    secret: bytes = field(repr=False)
    claimed: ActivatedKey

    def accept(self, answer: bytes) -> ActivatedKey:
        """The key, now known to be in that TPM; ``EvidenceRejected`` with the check "activation" otherwise."""
        if not hmac.compare_digest(self.secret, answer):
            raise _rejected("the answer is not the secret of this challenge: another TPM, or another key", "activation")
        return self.claimed


def challenge(
    brought: tuple[bytes, ...],
    public: bytes,
    collateral: Collateral,
    at: datetime,
    random: Callable[[int], bytes] = os.urandom,
) -> Challenge:
    """A fresh challenge for the attestation key with the TPMT_PUBLIC ``public``.

    ``brought``: in DER, the certificate of the machine's EK and those between it and a root of ``collateral``.
    ``EvidenceRejected`` names the check that fails: "format", "key-attributes", "endorsement-key", "revocation".
    """
    area = parse_public(public)
    key = public_key(area)
    if not (attributes := key_attributes(area)).passed:
        raise _rejected(f"the key may not attest: {attributes.detail}", "key-attributes")
    endorsement, root, checked = certificates.reading("certificate", lambda: _endorsement(brought, collateral, at))
    secret = random(SECRET_BYTES)
    blob = credential.make(endorsement, area.name, secret, random)
    of_tpm = hashlib.sha256(subject_public_key_info(endorsement)).digest()
    return Challenge(blob, secret, ActivatedKey(subject_public_key_info(key), area.name, of_tpm, root, checked))


def _endorsement(brought: tuple[bytes, ...], collateral: Collateral, at: datetime) -> tuple[Key, str, bool]:
    given = [certificates.parse(der) for der in collateral.certificates]
    lists = [certificates.parse_crl(der) for der in collateral.revocation_lists]
    candidates = [certificates.parse(der) for der in brought]
    leaves = [one for one in candidates if _is_endorsement(one)]
    if len(leaves) != 1:
        raise _rejected(f"{len(leaves)} certificates of an endorsement key came along, not one", "endorsement-key")
    roots = [certificates.parse(der) for der in collateral.tpm_roots]
    try:
        chain = chain_to_root(leaves[0], [*given, *candidates], roots, at, _POLICY)
    except VerificationError as error:
        issuer = leaves[0].issuer.rfc4514_string()
        raise _rejected(f"the certificate of {issuer} leads to no given root: {error}", "endorsement-key") from None
    if not all(certificates.binds_every_byte(one) for one in chain[:-1]):
        raise _rejected("a certificate of the chain has bytes that anybody may change", "endorsement-key")
    checked, problem = revocation.look_up(chain, lists, at)
    if problem:
        raise _rejected(problem, "revocation")
    key = leaves[0].public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        raise _rejected("the endorsement key is neither RSA nor ECC", "endorsement-key")
    return key, chain[-1].subject.rfc4514_string(), checked


def _is_endorsement(certificate: x509.Certificate) -> bool:
    try:
        return EK_CERTIFICATE in certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False


def _encrypts(_: Policy, certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    agrees = isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    if usage is None or not (usage.key_agreement if agrees else usage.key_encipherment):
        raise ValueError("the certified key is not for encryption")


_POLICY = (
    ExtensionPolicy.permit_all()
    .require_present(x509.KeyUsage, Criticality.AGNOSTIC, _encrypts)
    .may_be_present(x509.BasicConstraints, Criticality.AGNOSTIC, no_authority)
)


def _rejected(problem: str, check: str) -> EvidenceRejected:
    hint = "Ask the machine's owner for EK certificate and AK of one TPM, and give its maker's root as tpm-root*.pem"
    return EvidenceRejected(problem, hint=hint, check=check)


__all__ = ["SECRET_BYTES", "ActivatedKey", "Challenge", "challenge"]
