"""The verifier of NVIDIA GPU reports (Hopper): a pure function of (evidence, collateral, time).

``chain``              the attestation key's certificate leads to NVIDIA's pinned root of devices: P-384, SHA-384
``validity``           each certificate of the chain is valid at the time of verification
``revocation``         only with a list of an authority in the chain: signed by it, current, and does not name the chain
``product``            the chain is of a Hopper GPU (GH100), whose reports have the form that is read here
``signature``          ECDSA P-384 with SHA-384 over request and response (DSP0274 1.1.0, section 10.11)
``firmware-identity``  the firmware that the report names is the one that the attestation key was derived for (DICE)
``golden``             only with manifests in the collateral: the measurements are those that NVIDIA names

Evidence of the kind "nvidia-cc" has request and response as ``report``, the signature at its end, and the device's
certificates in any order. Report data is the nonce of the request, 32 bytes.

A report isolates nothing: whoever has a GPU gets one, under any nonce. It counts beside the evidence of the machine
whose measured code asked for it (:class:`quatrefoil.enclave.evidence.EvidenceSet`). Whether the GPU protects its memory
from the host is not in it as such: docs/attestation-nvidia.md says what is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from quatrefoil.enclave import certificates, paths
from quatrefoil.enclave.claims import Check, Claims, Findings
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.enclave.nvidia import golden, manifest, roots
from quatrefoil.enclave.nvidia.report import Report
from quatrefoil.enclave.paths import Path, Root
from quatrefoil.errors import EvidenceRejected

KIND = "nvidia-cc"

CHECKS = ("chain", "validity", "product", "signature", "firmware-identity")
"""Names of the checks that are made on every report, in their order."""

PRODUCT = "GH100"
_IDENTITY = f"NVIDIA {PRODUCT} Identity"
"""Common name of the authority that NVIDIA's root has for this product."""

_COMPOSITE_DEVICE_ID = x509.ObjectIdentifier("2.23.133.5.4.1")
_FWID_HEAD = bytes.fromhex("303d06096086480165030402020430")
"""``FWID ::= SEQUENCE { hashAlg OBJECT IDENTIFIER, fwid OCTET STRING }`` up to its 48 bytes."""


@dataclass(frozen=True)
class Roots:
    """Whom to trust: for devices, and for manifests."""

    devices: Root
    manifests: Root


def pinned() -> Roots:
    """NVIDIA's."""
    return Roots(roots.devices(), roots.manifests())


def verify(evidence: Evidence, collateral: Collateral, at: datetime, *, roots: Roots | None = None) -> Findings:
    """What ``evidence`` of kind "nvidia-cc" establishes at ``at``; ``EvidenceRejected`` where it cannot be read.

    Manifests are documents of ``collateral`` as NVIDIA's service answers (``{"id": ..., "rim": ...}``). ``roots``:
    others than NVIDIA's, for who issues certificates for tests.
    """
    if evidence.kind != KIND or evidence.signature or evidence.event_log:
        raise EvidenceRejected(
            "this is not evidence of an NVIDIA GPU: another kind, or a signature or event log beside the report",
            hint="Send the driver's report, with the signature at its end, and the device's certificates",
            check="format",
        )
    trusted = roots or pinned()
    report = Report.parse(evidence.report)
    brought = [certificates.parse(der) for der in (*evidence.certificates, *collateral.certificates)]
    lists = [certificates.parse_crl(der) for der in collateral.revocation_lists]
    key, signed = _signing_key(report, brought)
    if key is None:
        why = "no certificate of a P-384 key came along or is in the collateral"
        return Findings(_claims(report, "none", None, False, False), tuple(Check(name, False, why) for name in CHECKS))
    path = paths.follow(key, brought, lists, at, trusted.devices)
    product = _product(path)
    checks = [
        *path.checks,
        Check("product", product == PRODUCT, f"certified as {product or 'nothing known'}; known is {PRODUCT}"),
        Check("signature", signed, "ECDSA P-384 of the attestation key over request and response"),
        _firmware_identity(report, path),
    ]
    manifests = manifest.given(collateral.documents)
    if manifests:
        checks.append(golden.compare(report, PRODUCT, manifests, at, trusted.manifests))
    met = bool(manifests) and checks[-1].passed
    root = trusted.devices.name if path.holds and signed else "none"
    return Findings(_claims(report, root, path, met, path.revocation_checked), tuple(checks))


def _signing_key(report: Report, brought: Sequence[x509.Certificate]) -> tuple[x509.Certificate | None, bool]:
    """The certificate of the key that made the signature, and ``True``; where none did, one that might have been, so
    that the checks say what failed. Every check is made on the certificate that is returned."""
    signature, candidates = encode_dss_signature(report.r, report.s), []
    for one in sorted(brought, key=lambda one: certificates.extension(one, _COMPOSITE_DEVICE_ID) is None):
        key = certificates.reading("certificate", one.public_key)
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
            continue
        try:
            key.verify(signature, report.signed, ec.ECDSA(SHA384()))
        except InvalidSignature:
            if certificates.extension(one, _COMPOSITE_DEVICE_ID) is not None:
                candidates.append(one)
            continue
        return one, True
    return next(iter(candidates), None), False


def _product(path: Path) -> str:
    """What the authority directly below the root certifies."""
    if len(path.certificates) < 3:
        return ""
    name = certificates.common_name(path.certificates[-2].subject)
    return PRODUCT if name == _IDENTITY else name


def _firmware_identity(report: Report, path: Path) -> Check:
    """The certificate's CompositeDeviceID is of the key that issued it and of the firmware that the report names.

    ``CompositeDeviceID ::= SEQUENCE { version INTEGER (1), deviceID SubjectPublicKeyInfo, fwid FWID }``, as Microsoft's
    RIoT wrote it before TCG gave the number to DiceTcbInfo; it has one encoding, which is built and compared.
    """
    if len(report.fwid) != 48:
        return Check("firmware-identity", False, "the report does not name the firmware that was started first")
    if len(path.certificates) < 2:
        return Check("firmware-identity", False, "there is no chain of which the issuer could be looked at")
    inside = b"\x02\x01\x01" + _public(path.certificates[1]) + _FWID_HEAD + report.fwid
    wanted = b"\x30" + (bytes([0x81, len(inside)]) if len(inside) < 256 else b"") + inside
    same = certificates.extension(path.certificates[0], _COMPOSITE_DEVICE_ID) == wanted
    return Check(
        "firmware-identity", same, f"report: {report.fwid.hex()}; certificate: {'the same' if same else 'other'}"
    )


def _public(certificate: x509.Certificate) -> bytes:
    key = certificates.reading("certificate", certificate.public_key)
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _claims(report: Report, root: str, path: Path | None, golden: bool, revocation_checked: bool) -> Claims:
    certified = path is not None and len(path.certificates) >= 2
    device = hashlib.sha256(_public(path.certificates[1])).digest() if path is not None and certified else None
    return Claims(
        kind=KIND,
        root=root,
        isolation="none",
        report_data=report.nonce,
        measurements={f"measurement_{index}": value for index, value in report.measurements.items()},
        platform={} if device is None else {"device": device},
        model=PRODUCT if path is not None and _product(path) == PRODUCT else "",
        facts={
            "driver_version": report.driver_version,
            "vbios_version": report.vbios_version,
            "mode": report.mode,
            "firmware": report.fwid,
            "golden": golden,
            "revocation_checked": revocation_checked,
            **({"board": report.board} if report.board else {}),
        },
    )


__all__ = ["CHECKS", "KIND", "PRODUCT", "Roots", "pinned", "verify"]
