"""The verifier of TDX and SGX quotes: a pure function of (evidence, collateral, time).

Checks, in this order, all of them made whatever the others say:

``signature``        the attestation key in the quote signed header and body (ECDSA P-256)
``quoting-enclave``  the platform's PCK key signed the quoting enclave's report, and that names the attestation key
``root-certificate`` the chain in the quote ends in the pinned root, byte for byte
``attributes``       not in debug or profiling, not migratable, no service TD, and no exceptions from the host
``collateral``       there is collateral for this platform, and each part of it holds at ``at``; the date is named
``platform``         :mod:`quatrefoil.enclave.tdx.platform`: chain, revocation, quoting enclave's identity, TCB matched
``event-log``        only with the log of a TD's firmware: its events lead to the values of all four RTMRs

All up to ``collateral`` are made twice, here and by ``dcap-qvl``, so that a report can show which of them failed.
Whether what was established is good enough (status, advisories, measurements, platform) is for appraisal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from quatrefoil.enclave import event_log
from quatrefoil.enclave.claims import Check, Claims, Findings
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.enclave.tdx import endorsements, platform
from quatrefoil.enclave.tdx.endorsements import Endorsements
from quatrefoil.enclave.tdx.platform import Platform
from quatrefoil.enclave.tdx.quote import MIGRATABLE, SEPT_VE_DISABLE, SGX, TDX, Quote, parse
from quatrefoil.enclave.tdx.roots import Root, pinned
from quatrefoil.errors import EvidenceRejected

KINDS = {"tdx": TDX, "sgx": SGX}

CHECKS = ("signature", "quoting-enclave", "root-certificate", "attributes", "collateral", "platform")

_TD_MEASUREMENTS = (
    *("mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3", "mrconfigid", "mrowner", "mrownerconfig"),
    *("mrseam", "mrsignerseam", "tdattributes", "xfam", "mrservicetd"),
)
_ENCLAVE_MEASUREMENTS = ("mrenclave", "mrsigner", "isvprodid", "attributes", "miscselect", "configid")


def verify(evidence: Evidence, collateral: Collateral, at: datetime, *, root: Root | None = None) -> Findings:
    """What ``evidence`` of the kind "tdx" or "sgx" establishes at ``at``; ``EvidenceRejected`` where it cannot be read.

    Of ``collateral`` the document for the platform is used (:mod:`quatrefoil.enclave.tdx.endorsements`); never the
    network. ``root``: another one than Intel's, for who issues certificates for tests.
    """
    misplaced = evidence.signature or evidence.certificates or (evidence.event_log and evidence.kind != "tdx")
    if evidence.kind not in KINDS or misplaced:
        raise _rejected("this is not evidence of TDX or SGX: another kind, or something beside the quote")
    quote = parse(evidence.report)
    if quote.tee != KINDS[evidence.kind]:
        raise _rejected(f"the quote is not of the kind {evidence.kind}")
    trusted = pinned() if root is None else root
    fmspc = platform.fmspc_of(quote.pck_chain)
    found = endorsements.choose(collateral.documents, evidence.kind.upper(), fmspc)
    is_root = quote.certificates[-1].public_bytes(Encoding.DER) == trusted.der
    last = quote.certificates[-1].subject.rfc4514_string()
    established, why = _establish(evidence.report, found, trusted, at)
    checks = [
        Check("signature", _signed(quote), "ECDSA P-256 of the attestation key over header and body"),
        _quoting_enclave(quote),
        Check(
            "root-certificate",
            is_root,
            f"the quote's chain ends in {last}" + ("" if is_root else f", not {trusted.name}"),
        ),
        _attributes(quote),
        _collateral(found, quote, fmspc, at),
        Check("platform", established is not None, why),
    ]
    holds = all(check.passed for check in checks)
    claims = _claims(evidence.kind, quote, established, fmspc, trusted.name if holds else "none")
    if evidence.event_log:
        checks.append(_events(evidence.event_log, quote))
        claims = replace(claims, facts={**claims.facts, "event_log_replayed": checks[-1].passed})
    return Findings(claims, tuple(checks))


def _events(log: bytes, quote: Quote) -> Check:
    """RTMRs are numbered from 1 in a log: 0 is MRTD, of which the TDX module keeps no log."""
    values = {number + 1: quote.body[f"rtmr{number}"] for number in range(4)}
    return event_log.explained(log, "sha384", values, first=1)


def _signed(quote: Quote) -> bool:
    x, y = (int.from_bytes(part, "big") for part in (quote.attestation_key[:32], quote.attestation_key[32:]))
    try:
        key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    except ValueError:
        return False
    return is_by(key, quote.signature, quote.signed)


def is_by(key: ec.EllipticCurvePublicKey, signature: bytes, signed: bytes) -> bool:
    """Whether ``key``, on P-256, made ``signature`` (r and s, 32 bytes each) over ``signed``, with SHA-256."""
    r, s = (int.from_bytes(part, "big") for part in (signature[:32], signature[32:]))
    try:
        key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def _quoting_enclave(quote: Quote) -> Check:
    name = "quoting-enclave"
    # REPORTDATA: SHA-256 over attestation key and authentication data, then zeros.
    vouched = hashlib.sha256(quote.attestation_key + quote.qe_auth_data).digest() + bytes(32)
    if quote.qe_body["reportdata"] != vouched:
        return Check(name, False, "the quoting enclave's report is about another attestation key")
    key = quote.certificates[0].public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        return Check(name, False, "the platform's certificate is not of a key on P-256")
    if not is_by(key, quote.qe_report_signature, quote.qe_report):
        return Check(name, False, "the platform's key did not sign the quoting enclave's report")
    return Check(name, True, f"quoting enclave of version {_number(quote.qe_body['isvsvn'])}, signed by the platform")


def _attributes(quote: Quote) -> Check:
    if quote.tee == SGX:
        return Check("attributes", not quote.debug, "the enclave is in debug" if quote.debug else "not in debug")
    wrong = {
        "the host may debug or profile the TD": quote.debug,
        "the TD is migratable": bool(quote.td_attributes & MIGRATABLE),
        "a service TD is bound to the TD": quote.service_td,
        "SEPT_VE_DISABLE is off: the host may inject exceptions": not quote.td_attributes & SEPT_VE_DISABLE,
    }
    found = "; ".join(problem for problem, there in wrong.items() if there)
    return Check("attributes", not found, found or "no debug, profiling, migration or service TD; SEPT_VE_DISABLE")


def _collateral(found: Endorsements | None, quote: Quote, fmspc: str, at: datetime) -> Check:
    if found is None:
        return Check("collateral", False, f"there is none for platforms {fmspc}: `quatrefoil attest collateral fetch`")
    wrong = endorsements.outside(_periods(found, quote), at)
    return Check("collateral", not wrong, "; ".join(wrong) or f"for platforms {fmspc}, issued {found.issued:%Y-%m-%d}")


def _periods(found: Endorsements, quote: Quote) -> Iterator[tuple[str, datetime, datetime | None]]:
    yield from found.periods()
    for certificate in quote.certificates:
        yield "platform's certificate", certificate.not_valid_before_utc, certificate.not_valid_after_utc


def _establish(quote: bytes, found: Endorsements | None, root: Root, at: datetime) -> tuple[Platform | None, str]:
    if found is None:
        return None, "not looked at: there is no collateral for it"
    try:
        established = platform.establish(quote, found, root.der, at)
    except EvidenceRejected as refusal:
        return None, refusal.problem
    listed = ", ".join(established.advisories) or "no advisories"
    return established, f"TCB of {established.tcb_date:%Y-%m-%d}: {established.status}; {listed}"


def _claims(kind: str, quote: Quote, found: Platform | None, fmspc: str, root: str) -> Claims:
    names = _ENCLAVE_MEASUREMENTS if kind == "sgx" else _TD_MEASUREMENTS
    facts: dict[str, bool | int | str | bytes] = {"quote_version": quote.version, "fmspc": fmspc}
    tcb = {"qe": _number(quote.qe_body["isvsvn"])}
    if kind == "sgx":
        tcb["isv"] = _number(quote.body["isvsvn"])
    else:
        tcb["module"] = _module(quote.body.get("teetcbsvn2", quote.body["teetcbsvn"]))
        facts |= {
            "migratable": bool(quote.td_attributes & MIGRATABLE),
            "sept_ve_disable": bool(quote.td_attributes & SEPT_VE_DISABLE),
            "service_td": quote.service_td,
        }
    if found is not None:
        tcb |= {"pce": found.pce_svn, "evaluation": found.evaluation}
        facts |= {"tcb_date": f"{found.tcb_date:%Y-%m-%d}", "collateral_expires": f"{found.expires:%Y-%m-%dT%H:%M:%SZ}"}
        facts |= found.flags
    return Claims(
        kind=kind,
        root=root,
        isolation="process" if kind == "sgx" else "vm",
        report_data=quote.body["reportdata"],
        measurements={name: quote.body[name] for name in names if name in quote.body},
        tcb=tcb,
        # A TD report 1.0 has no other: the module that launched the TD is the one that runs.
        launch_tcb={**tcb, "module": _module(quote.body["teetcbsvn"])} if "teetcbsvn2" in quote.body else {},
        platform={"ppid": found.ppid} if found else {},
        model=kind.upper(),
        debug=quote.debug,
        status=found.status if found else "",
        advisories=found.advisories if found else (),
        facts=facts,
    )


def _module(svn: bytes) -> int:
    """TEE_TCB_SVN: the TDX module's security version, and above it the major version, with which that begins anew."""
    return svn[1] << 8 | svn[0]


def _number(raw: bytes) -> int:
    return int.from_bytes(raw, "little")


def _rejected(problem: str) -> EvidenceRejected:
    return EvidenceRejected(problem, hint="Send the quote alone, under its own kind: tdx or sgx", check="format")


__all__ = ["CHECKS", "KINDS", "is_by", "verify"]
