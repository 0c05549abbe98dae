"""Attested Confidential Inference, ``aci/1``: a foreign profile of what report data commit to, and its report.

Evidence under this profile is of a kind that is verified here anyway; only what its report data commit to is another's:
a keyset in JSON and a nonce. Written from the specification, ``spec/aci.md`` of Dstack-TEE/private-ai-gateway at commit
b6b5c1b82f6f (draft, Apache-2.0); sections below are its own. What this does not establish, docs/attested-channels.md
says: that source provenance (9.1 check 4) and custody of the keys (check 5) are as claimed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

from quatrefoil import strict_json
from quatrefoil.enclave.binding import LAST_SECOND, NONCE_BYTES
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.errors import CallerError, EvidenceRejected

VERSION = "aci/1"
PURPOSE = "aci.report_data.v1"
KINDS: Mapping[str, str] = {"tdx": "tdx", "sev_snp": "sev-snp"}
"""``tee_type`` (4.2) -> our kind of evidence."""

LARGEST_KEYSET = 256 << 10
LARGEST_REPORT = 4 << 20
MOST_KEYS = 64
LONGEST_LIFE_S = 10 * 366 * 86400
"""Of a keyset. A verifier should refuse an implausibly distant end (3.1), which the specification leaves open."""

_ED25519 = "ed25519"
_KEY_PREFIX = bytes.fromhex("302a300506032b6570032100")
"""What stands before the 32 bytes of an Ed25519 key in its SubjectPublicKeyInfo (RFC 8410 section 4)."""
_HEX_32 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})+", re.ASCII)
_HINT = "Ask the service for a fresh report; a service of another version of ACI cannot be verified here"


@dataclass(frozen=True)
class NamedKey:
    """An entry of ``receipt_signing_keys`` or ``e2ee_public_keys``: what its ``algo`` means is for who uses it."""

    key_id: str
    algo: str
    public_key: str


@dataclass(frozen=True)
class TlsKey:
    """An entry of ``tls_public_keys``: SHA-256 of the SubjectPublicKeyInfo, and the one host it is for, if any."""

    spki_sha256: bytes
    domain: str | None


@dataclass(frozen=True)
class AciKeyset:
    """The workload keyset (3.1), unverified. ``canonical``: its form by RFC 8785, which is what is hashed."""

    subject: str | None
    not_after: int
    receipt_signing_keys: tuple[NamedKey, ...]
    e2ee_public_keys: tuple[NamedKey, ...]
    tls_public_keys: tuple[TlsKey, ...]
    canonical: bytes = field(repr=False)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """The keyset in JSON of any layout, or ``EvidenceRejected`` with the check "keyset"."""
        return cls.of(_json(data, "the ACI keyset", LARGEST_KEYSET))

    @classmethod
    def of(cls, value: Any) -> Self:
        """The keyset in parsed JSON, or ``EvidenceRejected`` with the check "keyset"."""
        names = ("subject", "not_after", "receipt_signing_keys", "e2ee_public_keys")
        members = _members(value, "the ACI keyset", names, ("tls_public_keys",))
        made = cls(
            subject=_text_or_none(members["subject"], "subject"),
            not_after=_time(members["not_after"]),
            receipt_signing_keys=_entries(members, "receipt_signing_keys", _receipt_key),
            e2ee_public_keys=_entries(members, "e2ee_public_keys", _named_key),
            tls_public_keys=_entries(members, "tls_public_keys", _tls_key),
            canonical=canonical(value),
        )
        made._require_roles_apart()
        return made

    @property
    def digest(self) -> str:
        """``workload_keyset_digest``: "sha256:" and 64 hexadecimal digits."""
        return "sha256:" + hashlib.sha256(self.canonical).hexdigest()

    def require_current(self, at: datetime) -> None:
        """``EvidenceRejected``, with the date, when the keyset is not accepted at ``at`` (9.1 check 3)."""
        ends = datetime.fromtimestamp(self.not_after, UTC)
        left = self.not_after - at.timestamp()
        if not 0 < left <= LONGEST_LIFE_S:
            said = "expired on" if left <= 0 else "claims to be good for more than ten years, until"
            raise EvidenceRejected(
                f"the ACI keyset {said} {ends:%Y-%m-%d %H:%M:%S} UTC", hint=_HINT, check="keyset-validity"
            )

    def pins(self, host: str) -> frozenset[bytes]:
        """SHA-256 of each SubjectPublicKeyInfo that TLS with ``host`` may show (9.1 check 6), ``EvidenceRejected``
        where there is none: entries for this host if the keyset has entries for hosts, otherwise all."""
        name = host.lower().removesuffix(".")
        scoped = any(key.domain is not None for key in self.tls_public_keys)
        found = frozenset(
            key.spki_sha256
            for key in self.tls_public_keys
            if not scoped or (key.domain is not None and key.domain.lower().removesuffix(".") == name)
        )
        if not found:
            raise EvidenceRejected(
                f"the ACI keyset has no TLS key for {host[:80]!r}",
                hint="Ask for the report through the host that you connect to",
                check="tls-key",
            )
        return found

    def _require_roles_apart(self) -> None:
        """A key that signs receipts has no other role (3.1)."""
        receipts = {key.public_key.lower() for key in self.receipt_signing_keys}
        as_tls = {
            hashlib.sha256(_KEY_PREFIX + bytes.fromhex(key.public_key)).digest()
            for key in self.receipt_signing_keys
            if key.algo == _ED25519
        }
        if receipts & {key.public_key.lower() for key in self.e2ee_public_keys} or as_tls & {
            key.spki_sha256 for key in self.tls_public_keys
        }:
            raise _rejected("the ACI keyset gives a key that signs receipts another role")


def canonical(value: Any) -> bytes:
    """JSON by RFC 8785, of values whose names are ASCII and whose numbers are integers: names sorted, no spaces, text
    as it is but for what JSON must escape."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def statement(keyset: AciKeyset, nonce: bytes | None) -> bytes:
    """The bytes that report data are the SHA-256 of (3.2). ``None`` is the form without a nonce, which proves no
    freshness."""
    if nonce is not None and len(nonce) != NONCE_BYTES:
        raise CallerError(f"a nonce has {NONCE_BYTES} bytes, not {len(nonce)}", hint="Draw 32 random bytes for each")
    said = "null" if nonce is None else f'"{nonce.hex()}"'
    return f'{{"keyset_digest":"{keyset.digest}","nonce":{said},"purpose":"{PURPOSE}"}}'.encode()


def report_data(keyset: AciKeyset, nonce: bytes | None) -> bytes:
    """The 32 bytes that evidence must hold, followed by zeros (3.2)."""
    return hashlib.sha256(statement(keyset, nonce)).digest()


@dataclass(frozen=True)
class AciReport:
    """An attestation report (4.1), unverified: the keyset, and evidence that must hold :func:`report_data` of it."""

    keyset: AciKeyset
    evidence: Evidence
    report_data: bytes
    """As the report restates it; what counts is what the evidence holds."""

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """The report in ``data``, or ``EvidenceRejected``. Fields that are restated must agree; those that nothing
        here needs may be anything.

        Evidence is read from reports with ``tee_type`` "tdx", whose ``evidence.quote`` holds the quote in hexadecimal.
        """
        report = _members(_json(data, "the ACI report", LARGEST_REPORT), "the ACI report", _REPORT, None)
        if report["api_version"] != VERSION:
            raise _rejected(f"the ACI report has the version {str(report['api_version'])[:40]!r}, not {VERSION}")
        said = _members(report["attestation"], "attestation", ("tee_type", "workload_keyset", "report_data"), None)
        keyset = AciKeyset.of(said["workload_keyset"])
        if report["workload_keyset_digest"] != keyset.digest:
            raise _rejected("the ACI report names another keyset than it holds")
        return cls(keyset, _quote(said), _hex32(said["report_data"], "report_data"))

    def require_nonce(self, nonce: bytes | None) -> bytes:
        """The report data for ``nonce``; ``EvidenceRejected`` when the report itself names others."""
        expected = report_data(self.keyset, nonce)
        if self.report_data != expected:
            raise EvidenceRejected(
                "the ACI report was made for another nonce or keyset", hint=_HINT, check="report-data"
            )
        return expected


_REPORT = ("api_version", "workload_keyset_digest", "attestation")


def _quote(said: Mapping[str, Any]) -> Evidence:
    kind = said["tee_type"]
    if not isinstance(kind, str) or kind not in KINDS:
        raise _rejected(f"the ACI report is of the unknown TEE type {str(kind)[:40]!r}")
    if KINDS[kind] != "tdx":
        raise EvidenceRejected(
            f"ACI does not say where evidence of the TEE type {kind} stands in a report",
            hint="Give the bare report with its kind, and the keyset in a file of its own",
            check="format",
        )
    evidence = _members(said.get("evidence"), "evidence", ("quote",), None)
    quote = evidence["quote"]
    if not isinstance(quote, str) or not _HEX.fullmatch(quote):
        raise _rejected("the quote in the ACI report is not hexadecimal")
    return Evidence("tdx", bytes.fromhex(quote))


def _json(data: bytes, what: str, limit: int) -> Any:
    try:
        return strict_json.parse(data, what, limit=limit)
    except EvidenceRejected as refusal:
        raise _rejected(refusal.problem) from None


def _members(value: Any, what: str, needed: tuple[str, ...], optional: tuple[str, ...] | None) -> dict[str, Any]:
    """The members of an object: all of ``needed``, and no others but ``optional``; ``None`` lets any be there."""
    if not isinstance(value, dict):
        raise _rejected(f"{what} is no JSON object")
    if missing := [name for name in needed if name not in value]:
        raise _rejected(f"{what} has no {missing[0]}")
    if optional is not None and (surplus := sorted(set(value) - {*needed, *optional})):
        raise _rejected(f"{what} has the unknown member {surplus[0][:40]!r}")
    return value


def _entries(members: Mapping[str, Any], name: str, read: Callable[[Any, str], Any]) -> tuple[Any, ...]:
    value = members.get(name, [])
    if not isinstance(value, list) or len(value) > MOST_KEYS:
        raise _rejected(f"{name} of the ACI keyset is no list of up to {MOST_KEYS} keys")
    return tuple(read(item, f"{name}[{index}]") for index, item in enumerate(value))


def _named_key(value: Any, what: str) -> NamedKey:
    members = _members(value, what, ("key_id", "algo", "public_key"), ())
    return NamedKey(*(_text(members[name], f"{what}.{name}") for name in ("key_id", "algo", "public_key")))


def _receipt_key(value: Any, what: str) -> NamedKey:
    key = _named_key(value, what)
    if key.algo == _ED25519:
        _hex32(key.public_key, f"{what}.public_key")
    return key


def _tls_key(value: Any, what: str) -> TlsKey:
    members = _members(value, what, ("spki_sha256",), ("domain",))
    digest = _hex32(members["spki_sha256"], f"{what}.spki_sha256")
    return TlsKey(digest, _text_or_none(members.get("domain"), f"{what}.domain"))


def _time(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= LAST_SECOND:
        raise _rejected("not_after of the ACI keyset is no time in seconds since 1970")
    return value


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise _rejected(f"{what} of the ACI keyset is no text")
    return value


def _text_or_none(value: Any, what: str) -> str | None:
    return None if value is None else _text(value, what)


def _hex32(value: Any, what: str) -> bytes:
    if not isinstance(value, str) or not _HEX_32.fullmatch(value):
        raise _rejected(f"{what} is not 64 lower-case hexadecimal digits")
    return bytes.fromhex(value)


def _rejected(problem: str) -> EvidenceRejected:
    return EvidenceRejected(problem, hint=_HINT, check="keyset")


__all__ = ["VERSION", "AciKeyset", "AciReport", "NamedKey", "TlsKey", "canonical", "report_data", "statement"]
