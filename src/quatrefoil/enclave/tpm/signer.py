"""Who vouches for the key that signed a quote: a certificate under a root of the relying party, or the relying party.

A quote proves that some key signed it. That the key is a TPM's is known in one of two ways only: an authority that
the relying party trusts has certified it (TCG "TPM 2.0 Keys for Device Identity and Attestation", section 5), or the
relying party got hold of the key itself and pins it. An EK certificate is neither: it certifies another key, and only
credential activation (Part 1, section 24) ties an attestation key to it, an exchange with the TPM and not in evidence.
"""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature
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

from quatrefoil.enclave.claims import Check
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.tpm.structures import PublicArea
from quatrefoil.errors import EvidenceRejected

Key = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

NOBODY = "none"
PINNED = "a key pinned by the relying party"


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


def who_vouches(key: Key, certificates: tuple[bytes, ...], collateral: Collateral, at: datetime) -> tuple[str, Check]:
    """The root that vouches for ``key`` at the time ``at``, or :data:`NOBODY`; and the check that says why.

    ``certificates`` come with the evidence. Those of ``collateral`` that signed themselves are the roots, the others
    are intermediate; its keys are pinned. Where both answer, the certificate does.
    """
    spki = subject_public_key_info(key)
    own = [c for c in _parsed((*certificates, *collateral.certificates)) if _key_of(c) == spki]
    roots, between = _sorted(collateral, certificates)
    reasons = []
    for leaf in own:
        try:
            chain = _chain(leaf, between, roots, at)
        except VerificationError as error:
            reasons.append(f"its certificate of {leaf.issuer.rfc4514_string()} leads to no given root: {error}")
            continue
        if problem := _revoked(chain, collateral.revocation_lists, at):
            reasons.append(problem)
            continue
        root = chain[-1].subject.rfc4514_string()
        lists = "" if collateral.revocation_lists else "; no revocation list was given"
        return root, Check("signer", True, f"the key is certified under {root}{lists}")
    if reasons:  # a certificate that does not hold is not outvoted by a pin: it may be a revoked one
        return NOBODY, Check("signer", False, "; ".join(reasons))
    if spki in collateral.keys:
        return PINNED, Check("signer", True, "the key is pinned by the relying party; nobody certified it")
    missing = "no certificate of the key came along, and the relying party does not pin it"
    return NOBODY, Check("signer", False, missing)


def _sorted(
    collateral: Collateral, certificates: tuple[bytes, ...]
) -> tuple[list[x509.Certificate], list[x509.Certificate]]:
    given = _parsed(collateral.certificates)
    roots = [certificate for certificate in given if certificate.issuer == certificate.subject]
    return roots, [c for c in given if c not in roots] + _parsed(certificates)


def _parsed(certificates: tuple[bytes, ...]) -> list[x509.Certificate]:
    found = []
    for der in certificates:
        try:
            found.append(x509.load_der_x509_certificate(der))
        except ValueError:
            continue  # candidates: what cannot be read vouches for nothing
    return found


def _key_of(certificate: x509.Certificate) -> bytes | None:
    try:
        return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except Exception:  # keys of kinds that the library does not read, in its several ways of saying so
        return None


def _is_authority(_: Policy, certificate: x509.Certificate, constraints: x509.BasicConstraints) -> None:
    if not constraints.ca:
        raise ValueError(f"{certificate.subject.rfc4514_string()} is no authority")


def _signs_certificates(_: Policy, __: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("an authority's key is not for certificates")


def _signs(_: Policy, __: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.digital_signature:
        raise ValueError("the certified key is not for signatures")


# TPM vendors' certificates name devices, not hosts, and carry TCG's extensions: the web's profile does not fit them.
_AUTHORITY = (
    ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, _is_authority)
    .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _signs_certificates)
)
_LEAF = ExtensionPolicy.permit_all().may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _signs)


def _chain(
    leaf: x509.Certificate, between: list[x509.Certificate], roots: list[x509.Certificate], at: datetime
) -> list[x509.Certificate]:
    if not roots:
        raise VerificationError("the relying party gave none")
    builder = PolicyBuilder().store(Store(roots)).time(at)
    verifier = builder.extension_policies(ca_policy=_AUTHORITY, ee_policy=_LEAF).build_client_verifier()
    return list(verifier.verify(leaf, between).chain)


def _revoked(chain: list[x509.Certificate], lists: tuple[bytes, ...], at: datetime) -> str:
    """Why the chain does not hold by the lists that its authorities signed; empty where it does."""
    for der in lists:
        try:
            found = x509.load_der_x509_crl(der)
        except ValueError:
            return "a revocation list that was given cannot be read"
        for certificate, issuer in pairwise(chain):
            if found.issuer != issuer.subject:
                continue
            named = issuer.subject.rfc4514_string()
            if not _signed(found, issuer):
                return f"the revocation list of {named} is not signed by it"
            if found.next_update_utc is None or not found.last_update_utc <= at <= found.next_update_utc:
                return f"the revocation list of {named} holds from {found.last_update_utc} to {found.next_update_utc}"
            if found.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None:
                return f"{named} revoked the certificate {certificate.serial_number:x}"
    return ""


def _signed(found: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    key = issuer.public_key()
    try:
        return isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey) and found.is_signature_valid(key)
    except (ValueError, TypeError, InvalidSignature):
        return False


__all__ = ["NOBODY", "PINNED", "Key", "public_key", "subject_public_key_info", "who_vouches"]
