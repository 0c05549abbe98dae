"""TPM 2.0 quotes: what the registers of a machine held when its TPM signed them, and with which key.

A TPM isolates nothing. Its registers say what was started, as far as the firmware and the system measured it; whoever
runs the machine reads its memory all the same. ``isolation`` is therefore "none", whatever the checks say.

Evidence of the kind "tpm" has a TPMS_ATTEST as ``report``; as ``signature``, TPMT_SIGNATURE, TPM2B_PUBLIC and
TPML_DIGEST one after the other: the signature, the key, and the values of the selected registers, rising; as
``event_log``, where there is one, the firmware's log, for the check "event-log" beside those of :data:`CHECKS`.

Sources: TCG TPM 2.0 Library specification, revision 1.59, Part 1 section 16 (names) and 31 (attestation), Part 2, and
Part 3 section 18.4 (TPM2_Quote).
"""

from __future__ import annotations

import hashlib
from datetime import datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from quatrefoil.enclave import event_log
from quatrefoil.enclave.claims import Check, Claims, Findings
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.enclave.tpm import structures as tpm
from quatrefoil.enclave.tpm.signer import NOBODY, Key, public_key, subject_public_key_info, who_vouches
from quatrefoil.errors import EvidenceRejected

KIND = "tpm"

CHECKS = ("signature", "signer", "key-attributes", "registers")
"""Names of the checks, in their order."""

_NEEDED = {
    tpm.RESTRICTED: "restricted",
    tpm.SIGN: "sign",
    tpm.FIXED_TPM: "fixedTPM",
    tpm.FIXED_PARENT: "fixedParent",
    tpm.SENSITIVE_DATA_ORIGIN: "sensitiveDataOrigin",
}


def verify(evidence: Evidence, collateral: Collateral, at: datetime) -> Findings:
    """What ``evidence`` of the kind "tpm" establishes at the time ``at``; ``EvidenceRejected`` where it is malformed.

    Roots of TPMs, intermediate certificates, revocation lists and pinned keys are taken from ``collateral``;
    certificates of the evidence are candidates. The nonce, the registers' values and the firmware are claims: appraisal
    holds them to what the relying party expects.
    """
    if evidence.kind != KIND:
        raise EvidenceRejected(
            "this is not evidence of a TPM: another kind",
            hint="Send a quote with its signature, key and registers",
            check="format",
        )
    quote = tpm.parse_attest(evidence.report)
    signature, area, values = tpm.parse_companions(evidence.signature)
    key = public_key(area)
    signed = _signature(evidence.report, signature, area, key)
    signer = who_vouches(key, evidence.certificates, collateral, at)
    checks = [signed, signer.check, key_attributes(area), _registers(quote, values, signature.hash)]
    if evidence.event_log:
        checks.append(event_log.explained(evidence.event_log, quote.bank, dict(zip(quote.pcrs, values, strict=False))))
    claims = Claims(
        kind=KIND,
        root=signer.root if signed.passed else NOBODY,
        isolation="none",
        report_data=quote.qualifying_data,
        measurements={f"pcr{number}": value for number, value in zip(quote.pcrs, values, strict=False)},
        tcb={"firmware": quote.firmware_version},
        platform={"ak": area.name},
        model="TPM",
        facts={
            "certified": signer.certified,
            "revocation_checked": signer.revocation_checked,
            "bank": quote.bank,
            "clock_ms": quote.clock_ms,
            "clock_safe": quote.clock_safe,
            "reset_count": quote.reset_count,
            "restart_count": quote.restart_count,
            "qualified_signer": quote.qualified_signer,
            "signing_key": hashlib.sha256(subject_public_key_info(key)).digest(),
            **({"event_log_replayed": checks[-1].passed} if evidence.event_log else {}),
        },
    )
    return Findings(claims, tuple(checks))


def _signature(report: bytes, signature: tpm.Signature, area: tpm.PublicArea, key: Key) -> Check:
    # A restricted key signs in one scheme only; another one was not made by it.
    if (signature.scheme, signature.hash) != (area.scheme, area.hash):
        return Check("signature", False, "the signature's scheme or hash is not that of the key")
    digest = hashes.SHA256() if signature.hash == "sha256" else hashes.SHA384()
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            r, s = (int.from_bytes(part, "big") for part in signature.parts)
            key.verify(encode_dss_signature(r, s), report, ec.ECDSA(digest))
        else:
            _verify_rsa(key, signature, report, digest)
    except InvalidSignature:
        return Check("signature", False, "the key in the evidence did not sign this quote")
    return Check("signature", True, f"signed by the key of the name {area.name.hex()}")


def _verify_rsa(key: rsa.RSAPublicKey, signature: tpm.Signature, report: bytes, digest: hashes.HashAlgorithm) -> None:
    if signature.scheme == tpm.RSASSA:
        key.verify(signature.parts[0], report, padding.PKCS1v15(), digest)
        return
    # TPMs salt with as much as fits, or with as much as the digest has (Part 1, annex B).
    key.verify(signature.parts[0], report, padding.PSS(padding.MGF1(digest), padding.PSS.AUTO), digest)


def key_attributes(area: tpm.PublicArea) -> Check:
    """A restricted signing key that never left its TPM: any other one signs a quote that somebody made up."""
    missing = [name for bit, name in _NEEDED.items() if not area.attributes & bit]
    if area.attributes & tpm.DECRYPT:
        return Check("key-attributes", False, "the key also decrypts")
    if missing:
        return Check("key-attributes", False, f"the key is not {', '.join(missing)}")
    return Check("key-attributes", True, "a restricted signing key, made in its TPM and fixed to it")


def _registers(quote: tpm.Quote, values: tuple[bytes, ...], signing_hash: str) -> Check:
    """The values that came along are those that were signed (Part 3, TPM2_Quote: hashed by the signature's hash)."""
    if len(values) != len(quote.pcrs):
        return Check("registers", False, f"{len(values)} values came along for {len(quote.pcrs)} registers")
    if any(len(value) != hashlib.new(quote.bank).digest_size for value in values):
        return Check("registers", False, f"a value is not of the bank {quote.bank}")
    if hashlib.new(signing_hash, b"".join(values)).digest() != quote.pcr_digest:
        return Check("registers", False, "the values that came along are not those that were signed")
    selected = ", ".join(map(str, quote.pcrs))
    return Check("registers", True, f"{quote.bank} values of registers {selected} as signed")


__all__ = ["CHECKS", "key_attributes", "verify"]
