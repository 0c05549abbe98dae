"""The verifier of AWS Nitro attestation documents: a pure function of (evidence, collateral, time).

``chain``      the certificate in the document leads through its own bundle to AWS's pinned root: P-384, SHA-384
``validity``   each certificate of the chain is valid at the time of verification: the lowest ones for hours
``revocation`` only with a list of an authority in the chain: signed by it, current, and does not name the chain
``signature``  ECDSA P-384 with SHA-384 over the Sig_structure (RFC 9052 section 4.4)
``not-debug``  PCR0, PCR1 and PCR2 are not zero, as they are where the parent may read the enclave's console

Evidence of the kind "nitro" has the document as ``report``; ``signature``, ``certificates`` and ``event_log`` are
empty, because signature and certificates are inside. Report data is the document's ``user_data``: the enclave chooses
it as it does ``nonce`` and ``public_key``, which are shown among the facts and compared with nothing.

Sources: as for ``document``.
"""

from __future__ import annotations

from datetime import datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.x509 import Certificate

from quatrefoil.enclave import certificates, paths
from quatrefoil.enclave.claims import Check, Claims, Findings
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.enclave.nitro.document import Document
from quatrefoil.enclave.nitro.roots import Root, pinned
from quatrefoil.errors import EvidenceRejected

KIND = "nitro"

CHECKS = ("chain", "validity", "signature", "not-debug")
"""Names of the checks, in their order."""


def verify(evidence: Evidence, collateral: Collateral, at: datetime, *, root: Root | None = None) -> Findings:
    """What ``evidence`` of kind "nitro" establishes at ``at``; ``EvidenceRejected`` where it cannot be read.

    Of ``collateral`` revocation lists are looked at, of which AWS publishes none that can be fetched: its certificates
    of instances hold for a day, those of enclaves for three hours. ``root``: another than AWS's, for tests.
    """
    if evidence.kind != KIND or evidence.signature or evidence.certificates or evidence.event_log:
        raise EvidenceRejected(
            "this is not evidence of a Nitro enclave: another kind, or something beside the document",
            hint="Send the document alone, with signature and certificates inside",
            check="format",
        )
    document = Document.parse(evidence.report)
    leaf = certificates.parse(document.certificate)
    bundle = [certificates.parse(der) for der in document.bundle]
    lists = [certificates.parse_crl(der) for der in collateral.revocation_lists]
    trusted = root or pinned()
    path = paths.follow(leaf, bundle, lists, at, trusted)
    signed = _is_signed(document, leaf)
    debug = not all(any(document.pcrs[number]) for number in (0, 1, 2))
    checks = (
        *path.checks,
        Check("signature", signed, f"ECDSA P-384 of the key certified for {document.module_id}"),
        Check("not-debug", not debug, "PCR0, PCR1 or PCR2 is zero: debug mode" if debug else "PCR0 to PCR2 are set"),
    )
    name = trusted.name if path.holds and signed else "none"
    return Findings(_claims(document, name, debug, path.revocation_checked), checks)


def _is_signed(document: Document, leaf: Certificate) -> bool:
    key = certificates.reading("certificate", leaf.public_key)
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        return False
    try:
        key.verify(encode_dss_signature(document.r, document.s), document.signed, ec.ECDSA(SHA384()))
    except InvalidSignature:
        return False
    return True


def _claims(document: Document, root: str, debug: bool, revocation_checked: bool) -> Claims:
    facts: dict[str, bool | int | str | bytes] = {"module_id": document.module_id}
    facts["revocation_checked"] = revocation_checked
    for name, value in (("nonce", document.nonce), ("public_key", document.public_key)):
        if value:
            facts[name] = value
    return Claims(
        kind=KIND,
        root=root,
        isolation="vm",
        report_data=document.user_data,
        measurements={f"pcr{number}": value for number, value in document.pcrs.items()},
        debug=debug,
        signed_at=document.made_at,
        facts=facts,
    )


__all__ = ["CHECKS", "KIND", "verify"]
