"""The verifier of SEV-SNP reports: a pure function of (evidence, collateral, time).

Checks, in this order, all of them made whatever the others say:

``product``          the report's CPUID and the certificate of the signing key name the same product
``chain``            certificate <- ASK or ASVK <- pinned ARK, each signed with RSASSA-PSS (57230)
``validity``         each certificate of the chain is valid at the time of verification
``revocation``       only with a revocation list: it is the ARK's, current, and does not name the ASK
``signing-key``      the report is signed by the kind of key that the certificate is of (56860 section 7.3, SIGNING_KEY)
``signature``        ECDSA P-384 with SHA-384 over bytes 0 to 0x29F (56860 section 7.3)
``chip-id``          only under a VCEK: the report is of the chip that the certificate is of
``certificate-tcb``  REPORTED_TCB is the TCB version that the signing key was derived for (57230 chapter 3)
``tcb-order``        neither REPORTED_TCB nor COMMITTED_TCB is above CURRENT_TCB in any component (56860 section 2.2)

Whether what was established is good enough (debug, migration, VMPL, versions, measurement) is for appraisal.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384

from quatrefoil.enclave import certificates
from quatrefoil.enclave.claims import Check, Claims, Findings
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.enclave.snp import chain, tcb
from quatrefoil.enclave.snp.keys import SigningKey
from quatrefoil.enclave.snp.report import Report
from quatrefoil.enclave.snp.roots import Root, pinned
from quatrefoil.errors import EvidenceRejected

KIND = "sev-snp"


def verify(
    evidence: Evidence, collateral: Collateral, at: datetime, *, roots: Mapping[str, Root] | None = None
) -> Findings:
    """What ``evidence`` of kind "sev-snp" establishes at ``at``; ``EvidenceRejected`` where it cannot be read.

    ``roots``: other roots than AMD's, by product, for who issues certificates for tests. Never the network.
    """
    if evidence.kind != KIND or evidence.signature or evidence.event_log:
        raise EvidenceRejected(
            "this is not evidence of SEV-SNP: another kind, or a signature or event log beside the report",
            hint="Send the firmware's report, with the signature inside, and certificates",
            check="format",
        )
    report = Report.parse(evidence.report)
    given = [certificates.parse(der) for der in (*evidence.certificates, *collateral.certificates)]
    key, is_signed = _signing_key(report, [SigningKey.read(one) for one in given if SigningKey.is_in(one)])
    product = _product(report, key)
    if key is None or product is None:
        return _unendorsed(report, product)
    lists = [certificates.parse_crl(der) for der in collateral.revocation_lists]
    trusted = pinned() if roots is None else roots
    found = certificates.reading("certificate", lambda: chain.follow(key, given, lists, at, trusted))
    signed = Check("signature", is_signed, f"ECDSA P-384 of the {key.kind.upper()} over the report")
    root = found.root if found.root and signed.passed else None
    checks = (
        Check("product", product == key.product, f"report: {product}; certificate: {key.product}"),
        *found.checks,
        Check("signing-key", report.signing_key == key.kind, f"report: {report.signing_key}; certificate: {key.kind}"),
        signed,
        *_chip(report, key),
        *_versions(report, key, product),
    )
    facts = {"revocation_checked": found.revocation_checked}
    return Findings(_claims(report, product, root.name if root else "none", facts, key), checks)


def _signing_key(report: Report, keys: list[SigningKey]) -> tuple[SigningKey | None, bool]:
    """The key that made the signature, and ``True``; where none did, one of the right kind and chip if there is one, so
    that the checks say what failed. Every check is made on the key that is returned."""
    alike = [one for one in keys if one.kind == report.signing_key and report.chip_id.startswith(one.chip_id)]
    for one in (*alike, *(other for other in keys if other not in alike)):
        if _is_signed(report, one):
            return one, True
    return next(iter(alike or keys), None), False


def _product(report: Report, key: SigningKey | None) -> str | None:
    """From CPUID where the report has it (version 3), else from the certificate: the chain check binds that to AMD."""
    if report.cpuid is None:
        return key.product if key else None
    product = tcb.product_of(*report.cpuid[:2])
    if product is None:
        raise EvidenceRejected(
            f"the report is of an unknown processor, family {report.cpuid[0]:#x} model {report.cpuid[1]:#x}",
            hint=f"Known are {', '.join(tcb.LAYOUTS)}: use a version of Quatrefoil that knows this one",
            check="format",
        )
    return product


def _unendorsed(report: Report, product: str | None) -> Findings:
    """Findings on a report that comes with no certificate of the key that signed it: nothing is established."""
    why = "no certificate of a VCEK or VLEK came along or is in the collateral"
    names = ("product", "chain", "validity", "signing-key", "signature", "chip-id", "certificate-tcb", "tcb-order")
    claims = _claims(report, product, "none", {"revocation_checked": False}, None)
    return Findings(claims, tuple(Check(name, False, why) for name in names))


def _is_signed(report: Report, key: SigningKey) -> bool:
    try:
        key.public.verify(encode_dss_signature(report.r, report.s), report.signed, ec.ECDSA(SHA384()))
    except InvalidSignature:
        return False
    return True


def _chip(report: Report, key: SigningKey) -> tuple[Check, ...]:
    if key.kind == "vlek":
        return ()  # the provider's key signs for all of its chips
    if not any(report.chip_id):
        return (Check("chip-id", False, "the host has masked the chip's identity in the report (MASK_CHIP_ID)"),)
    same = report.chip_id == key.chip_id.ljust(len(report.chip_id), b"\0")
    return (Check("chip-id", same, "report and certificate are of one chip" if same else "they are of two chips"),)


def _versions(report: Report, key: SigningKey, product: str) -> tuple[Check, Check]:
    reported, committed, current = (
        tcb.decode(raw, product) for raw in (report.reported_tcb, report.committed_tcb, report.current_tcb)
    )
    ordered = tcb.not_above(reported, current) and tcb.not_above(committed, current)
    return (
        Check(
            "certificate-tcb",
            reported == key.tcb,
            f"report: {tcb.written(reported)}; certificate: {tcb.written(key.tcb)}",
        ),
        Check(
            "tcb-order",
            ordered,
            f"reported {tcb.written(reported)}; committed {tcb.written(committed)}; current {tcb.written(current)}",
        ),
    )


def _claims(
    report: Report, product: str | None, root: str, facts: Mapping[str, bool], key: SigningKey | None
) -> Claims:
    named: dict[str, bool | int | str | bytes] = {
        "report_version": report.version,
        "guest_svn": report.guest_svn,
        "abi": "{}.{}".format(*report.policy.abi),
        "smt": report.policy.smt,
        "migration_agent": report.policy.migration_agent,
        "single_socket": report.policy.single_socket,
        "smt_on_host": report.platform.smt,
        "ciphertext_hiding": report.platform.ciphertext_hiding,
        "alias_check": report.platform.alias_check,
        "signing_key": report.signing_key,
        "chip_key_masked": report.chip_key_masked,
        "author_key": report.author_key,
        "firmware": "{}.{}.{}".format(*report.current_firmware),
        "provisional_firmware": report.committed_tcb != report.current_tcb
        or report.committed_firmware != report.current_firmware,
        **facts,
    }
    if key is not None and key.provider:
        named["provider"] = key.provider
    for name, vector in (("launch", report.launch_mitigations), ("current", report.current_mitigations)):
        if vector is not None:
            named[f"{name}_mitigations"] = vector
    if product is not None:
        for name in ("committed_tcb", "current_tcb"):
            named[name] = tcb.written(tcb.decode(getattr(report, name), product))
    return Claims(
        kind=KIND,
        root=root,
        isolation="vm",
        report_data=report.report_data,
        measurements={
            "measurement": report.measurement,
            "host_data": report.host_data,
            "family_id": report.family_id,
            "image_id": report.image_id,
            "id_key_digest": report.id_key_digest,
            "author_key_digest": report.author_key_digest,
        },
        tcb=tcb.decode(report.reported_tcb, product) if product else {},
        launch_tcb=tcb.decode(report.launch_tcb, product) if product else {},
        platform={"chip_id": report.chip_id[: tcb.CHIP_ID_BYTES[product]] if product else report.chip_id},
        model=product or "",
        debug=report.policy.debug,
        vmpl=report.vmpl,
        facts=named,
    )


__all__ = ["KIND", "verify"]
