"""What ``dcap-qvl`` establishes: the chain up to the root, nothing of it revoked, and the level of the platform's TCB.

It verifies, with collateral that is handed to it and at a given time: TCB info and the quoting enclave's identity under
the root, the PCK chain under the root and both revocation lists, the quoting enclave against its identity, the quote's
signature, and the TDX module; and it matches the platform's security versions with the TCB info. It refuses what is
revoked, in debug or profiling, migratable, bound to a service TD or without SEPT_VE_DISABLE. It does not refuse a weak
status ("OutOfDate"): the status is a claim here, and whether it is good enough is for appraisal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from quatrefoil.enclave.tdx.endorsements import Endorsements
from quatrefoil.errors import DependencyMissing, EvidenceRejected

_HINT = "Ask for evidence of another platform, or for this one's after an update and with current collateral"


@dataclass(frozen=True)
class Platform:
    """What was established about the platform of a quote."""

    status: str
    """Intel's word for the TCB, worst of platform, TDX module and quoting enclave: "UpToDate", "OutOfDate", ..."""
    advisories: tuple[str, ...]
    ppid: bytes
    evaluation: int
    """tcbEvaluationDataNumber: rises with each of Intel's recovery events; the lower of both statements'."""
    pce_svn: int
    tcb_date: datetime
    """The day of the TCB recovery that the platform has caught up with."""
    expires: datetime
    """When the first part of the collateral expires."""
    flags: Mapping[str, bool]
    """What the PCK certificate says: ``dynamic_platform``, ``cached_keys``, ``smt_enabled``; none for a single CPU."""


def fmspc_of(pck_chain: bytes) -> str:
    """The platform's family by its own certificate, unverified; ``EvidenceRejected`` where the certificate has none."""
    try:
        return bytes(_library().parse_pck_extension_from_pem(pck_chain.removesuffix(b"\x00")).fmspc).hex().upper()
    except ValueError as error:
        raise _rejected(f"the platform's certificate is not a PCK certificate: {error}") from None


def establish(quote: bytes, endorsements: Endorsements, root: bytes, at: datetime) -> Platform:
    """What holds of the platform that made ``quote``, under the certificate ``root`` (DER); ``EvidenceRejected`` with
    the library's reason where something does not."""
    # Nothing holds before 1970, and the library counts from there.
    library, now = _library(), max(0, int(at.timestamp()))
    # Exactly these parts: were a PCK chain among them, the library would prefer it to that of the quote.
    parts = {field.name: getattr(endorsements, field.name) for field in fields(endorsements)}
    given, verifier = library.QuoteCollateralV3(**parts), library.QuoteVerifier(root)
    try:
        claims = verifier.verify_with_policy(quote, given, now, library.QuotePolicy.claims_only(now))
    except ValueError as error:
        raise _rejected(_reason(library, quote, given, root, now) or str(error)) from None
    return _platform(json.loads(claims.to_json()))


def _reason(library: Any, quote: bytes, given: Any, root: bytes, now: int) -> str:
    """Why the library refuses, with the causes that its other way to ask leaves out; one line."""
    try:
        library.verify_with_root_ca(quote, given, root, now)
    except ValueError as error:
        said = str(error).removeprefix("Verification failed: ").partition("Stack backtrace")[0]
        return " ".join(said.replace("Caused by:", ":").split()).replace(" :", ":")
    return ""


def _platform(claims: dict[str, Any]) -> Platform:
    pck = claims["platform"]["pck"]
    flags = {name: pck[name] == "True" for name in ("dynamic_platform", "cached_keys", "smt_enabled")}
    return Platform(
        status=claims["tcb"]["status"],
        advisories=tuple(claims["tcb"]["advisory_ids"]),
        ppid=bytes(pck["ppid"]),
        evaluation=claims["tcb"]["eval_data_number"],
        pce_svn=pck["pce_svn"],
        tcb_date=datetime.fromtimestamp(claims["platform"]["tcb_date_tag"], UTC),
        expires=datetime.fromtimestamp(claims["earliest_expiration_date"], UTC),
        flags=MappingProxyType({name: value for name, value in flags.items() if pck[name] != "Undefined"}),
    )


def _library() -> Any:
    try:
        import dcap_qvl
    except ImportError:
        raise DependencyMissing(
            "verifying TDX and SGX quotes needs dcap-qvl", hint="Install it with: pip install 'quatrefoil[attest]'"
        ) from None
    return dcap_qvl


def _rejected(problem: str) -> EvidenceRejected:
    return EvidenceRejected(problem, hint=_HINT, check="platform")


__all__ = ["Platform", "establish", "fmspc_of"]
