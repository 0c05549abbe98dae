"""Both sides of an attestation, with hardware of our own making: an SNP machine under the tests' roots."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives import serialization

import attesting
from attesting import FOLDER
from quatrefoil.appraisal import load
from quatrefoil.attested import Attester, RelyingParty
from quatrefoil.enclave.binding import Keyset
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.transport import Identity

PURPOSE, OTHER_PURPOSE = "round key", "model release"
SEALING = bytes.fromhex("647a00010002") + b"k" * 1216


class Clock:
    """Set forward by hand."""

    def __init__(self) -> None:
        self.now = attesting.AT

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class SnpMachine:
    """A collector of signed reports. ``changes``: fields of the report that are otherwise. ``asked``: what for."""

    kind = "sev-snp"

    def __init__(self, **changes: Any) -> None:
        self._changes = changes
        self.asked: list[bytes] = []

    def collect(self, report_data: bytes) -> Evidence:
        self.asked.append(report_data)
        return attesting.evidence(**{"report_data": report_data.ljust(64, b"\0"), **self._changes})


class Replaying:
    """A collector that always gives the same evidence."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self.kind = evidence.kind

    def collect(self, report_data: bytes) -> Evidence:
        return self._evidence


def keyset(**changes: Any) -> Keyset:
    start = int(attesting.AT.timestamp())
    values = {"sealing": SEALING, "tls": b"", "receipt": b"", "not_before": start - 60, "expires": start + 86400}
    return Keyset(**values | changes)


def leaf_digest(identity: Identity) -> bytes:
    """The hash of a TLS key as the specification says, with nothing of ours."""
    info = identity.certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(info).digest()


def attester(clock: Callable[[], datetime], keys: Keyset | None = None, **changes: Any) -> Attester:
    collector = changes.pop("collector", None) or SnpMachine()
    return Attester(keys or keyset(), collector, **{"purposes": [PURPOSE], "clock": clock} | changes)


def relying_party(clock: Callable[[], datetime], **changes: Any) -> RelyingParty:
    policy = changes.pop("policy", None) or load(FOLDER / "policy.toml")
    collateral = changes.pop("collateral", None) or Collateral()
    return RelyingParty(policy, collateral, **{"purpose": PURPOSE, "clock": clock} | changes)


def moment(at: datetime) -> int:
    return int(at.astimezone(UTC).timestamp())
