"""Who vouches for the key that signed a quote: a certificate under a root of the relying party, or the relying party.

A quote proves that some key signed it. That the key is a TPM's is known in one of two ways only: an authority that
the relying party trusts has certified it (TCG "TPM 2.0 Keys for Device Identity and Attestation", section 5), or the
relying party got hold of the key itself and pins it. An EK certificate is neither: it certifies another key, and only
credential activation (``activation``) ties an attestation key to it, an exchange with the TPM and not in evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from quatrefoil.enclave import certificates, revocation
from quatrefoil.enclave.claims import Check
from quatrefoil.enclave.collateral import TPM_ROOT, Collateral
from quatrefoil.enclave.tpm.structures import PublicArea
from quatrefoil.errors import EvidenceRejected

Key = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

NOBODY = "none"
PINNED = "a key pinned by the relying party"

MOST_OF_A_KEY = 2
"""Certificates of the one key that may come along: for each, a sender can have some hundred signatures verified."""

ATTESTATION_KEY = x509.ObjectIdentifier("2.23.133.8.3")
"""tcg-kp-AIKCertificate: what an attestation key's certificate says that it is for."""


def public_key(area: PublicArea) -> Key:
    """The key of ``area``, or ``EvidenceRejected`` where its numbers are none."""
    try:
        if area.curve:
            curve = ec.SECP256R1() if area.curve == 32 else ec.SECP384R1()
            return ec.EllipticCurvePublicNumbers(*area.key, curve).public_key()
        return rsa.RSAPublicNumbers(*area.key).public_key()
    except ValueError:
        raise EvidenceRejected(
            "the TPMT_PUBLIC holds numbers that are no public key",
            hint="Ask the sender to collect evidence again, and to send it as the hardware wrote it",
            check="format",
        ) from None


def subject_public_key_info(key: Key) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@dataclass(frozen=True)
class Signer:
    """``root``: who vouches for the key, or :data:`NOBODY`. ``check`` says why."""

    root: str
    check: Check
    certified: bool = False
    revocation_checked: bool = False
    """Whether there was a revocation list of an authority in the chain."""


def who_vouches(key: Key, candidates: tuple[bytes, ...], collateral: Collateral, at: datetime) -> Signer:
    """Who vouches for ``key`` at the time ``at``; ``EvidenceRejected`` where a certificate or list cannot be read.

    ``candidates`` are certificates that came with the evidence; they, and the certificates of ``collateral``, may be
    intermediate. Its ``tpm_roots`` are the roots, and its keys are pinned. Where both answer, the certificate does.
    """
    # Names and keys in certificates are read late, and what is wrong with them shows late.
    return certificates.reading("certificate", lambda: _who_vouches(key, candidates, collateral, at))


def _who_vouches(key: Key, candidates: tuple[bytes, ...], collateral: Collateral, at: datetime) -> Signer:
    spki = subject_public_key_info(key)
    brought = [certificates.parse(der) for der in candidates]
    given = [certificates.parse(der) for der in collateral.certificates]
    lists = [certificates.parse_crl(der) for der in collateral.revocation_lists]
    roots = [certificates.parse(der) for der in collateral.tpm_roots]
    reasons = []
    of_key = [one for one in brought if _key_of(one) == spki]
    if len(of_key) > MOST_OF_A_KEY:
        told = f"{len(of_key)} certificates of the key came along, over {MOST_OF_A_KEY}"
        return Signer(NOBODY, Check("signer", False, told))
    for leaf in (*of_key, *(one for one in given if _key_of(one) == spki)):
        try:
            chain = chain_to_root(leaf, [*given, *brought], roots, at)
        except VerificationError as error:
            reasons.append(f"its certificate of {leaf.issuer.rfc4514_string()} leads to no given root: {error}")
            continue
        if not all(certificates.binds_every_byte(one) for one in chain[:-1]):
            reasons.append("a certificate of the chain has bytes that anybody may change")
            continue
        own, problem = revocation.look_up(chain, lists, at)
        if problem:
            reasons.append(problem)
            continue
        root = chain[-1].subject.rfc4514_string()
        detail = f"the key is certified under {root}" + ("" if own else "; no revocation list was given")
        return Signer(root, Check("signer", True, detail), certified=True, revocation_checked=own)
    if reasons:  # a certificate that does not hold is not outvoted by a pin: it may be a revoked one
        return Signer(NOBODY, Check("signer", False, "; ".join(reasons)))
    if spki in collateral.keys:
        return Signer(PINNED, Check("signer", True, "the key is pinned by the relying party; nobody certified it"))
    missing = "no certificate of the key came along, and the relying party does not pin it"
    return Signer(NOBODY, Check("signer", False, missing))


def _key_of(certificate: x509.Certificate) -> bytes | None:
    try:
        key = certificates.reading("certificate", certificate.public_key)
    except EvidenceRejected:  # a key of a kind that the library does not read is another key
        return None
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _is_authority(_: Policy, certificate: x509.Certificate, constraints: x509.BasicConstraints) -> None:
    if not constraints.ca:
        raise ValueError(f"{certificate.subject.rfc4514_string()} is no authority")


def _signs_certificates(_: Policy, __: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("an authority's key is not for certificates")


def _signs(_: Policy, __: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.digital_signature:
        raise ValueError("the certified key is not for signatures")


def _attests(_: Policy, __: x509.Certificate, purposes: x509.ExtendedKeyUsage | None) -> None:
    """A certificate that says what it is for must say this: an authority may certify web servers as well."""
    if purposes is not None and ATTESTATION_KEY not in purposes:
        raise ValueError("the certified key is not for attestation")


def no_authority(_: Policy, __: x509.Certificate, constraints: x509.BasicConstraints | None) -> None:
    if constraints is not None and constraints.ca:
        raise ValueError("the certificate is an authority's")


# TPM vendors' certificates name devices, not hosts, and carry TCG's extensions: the web's profile does not fit them.
_AUTHORITY = (
    ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, _is_authority)
    .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _signs_certificates)
)
_LEAF = (
    ExtensionPolicy.permit_all()
    .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _signs)
    .may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _attests)
    .may_be_present(x509.BasicConstraints, Criticality.AGNOSTIC, no_authority)
)


def chain_to_root(
    leaf: x509.Certificate,
    between: list[x509.Certificate],
    roots: list[x509.Certificate],
    at: datetime,
    policy: ExtensionPolicy = _LEAF,
) -> list[x509.Certificate]:
    """The chain from ``leaf`` to one of ``roots``, or ``VerificationError``. ``policy``: what is asked of ``leaf``."""
    if not roots:
        raise VerificationError(f"the collateral has none, in a file {TPM_ROOT}*")
    builder = PolicyBuilder().store(Store(roots)).time(at)
    verifier = builder.extension_policies(ca_policy=_AUTHORITY, ee_policy=policy).build_client_verifier()
    return list(verifier.verify(leaf, between).chain)


__all__ = [
    "NOBODY",
    "PINNED",
    "Key",
    "Signer",
    "chain_to_root",
    "no_authority",
    "public_key",
    "subject_public_key_info",
    "who_vouches",
]
