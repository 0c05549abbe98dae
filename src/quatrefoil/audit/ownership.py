"""Whose log it is: a statement, signed by the party's identity, that names the log's origin and its keys.

A log's keys are its own, and say nothing to whoever trusts the consortium's root. The statement ties them to a
certificate under that root. It is the first leaf of the log and lies beside it, so that an auditor who was given only
the root can tell whose log it is and verify its checkpoints.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from cryptography import x509

from quatrefoil.errors import EvidenceRejected, MessageRefused, QuatrefoilError, StateCorrupt
from quatrefoil.tlog import LogKeys, VerifierKey
from quatrefoil.transport import Identity, TrustAnchor, profile, statement
from quatrefoil.transport.identity import Clock
from quatrefoil.wire import WireObject

_HINT = "Ask the log's operator for the folder as it is, and compare the root's fingerprint with them"


@dataclass(frozen=True)
class LogStatement(WireObject):
    """The signer says at ``time`` (Unix seconds): the log ``origin`` is mine, and signs with these keys (vkeys).
    ``receipts``: the Ed25519 key, 32 bytes, that signs receipts beside the identity where a policy wants both."""

    TYPE: ClassVar[str] = "urn:quatrefoil:log-statement"
    origin: str
    time: int
    ed25519: str
    ml_dsa_44: str
    receipts: bytes


@dataclass(frozen=True)
class Claimed:
    """What a statement says, whoever made it: for going on with a check that this one has failed already."""

    origin: str
    keys: tuple[VerifierKey, VerifierKey]
    receipts: bytes
    made: datetime


@dataclass(frozen=True)
class Owner:
    """A statement that verified: whose log, and its keys. ``keys``: every checkpoint of it is signed by each."""

    name: str
    role: str
    fingerprint: bytes
    origin: str
    keys: tuple[VerifierKey, VerifierKey]
    receipts: bytes
    signed: datetime


def sign(keys: LogKeys, identity: Identity, at: datetime) -> bytes:
    """The signed statement of a log's owner."""
    note, cosigner = keys.verifiers
    said = LogStatement(
        keys.origin,
        int(at.timestamp()),
        note.encode(),
        cosigner.encode(),
        keys.receipts.public_key().public_bytes_raw(),
    )
    return statement.sign(said.encode(), identity)


def verify(signed: bytes, trust: TrustAnchor, *, clock: Clock) -> Owner:
    """The owner that a statement names, under ``trust``; ``EvidenceRejected`` where it does not hold.

    The certificate is judged at the time the statement claims to be made at, its revocation at the clock's.
    """
    said = claimed(signed)
    try:
        verified = statement.verify(signed, trust, clock=clock, claimed=said.made)
    except MessageRefused as error:
        raise _untold(error) from None
    if said.origin.rsplit("/", 1)[-1] != verified.signer or len(said.receipts) != 32:
        raise EvidenceRejected(
            f"{verified.signer} claims the log {said.origin}, which is not its own", hint=_HINT, check="owner"
        )
    return Owner(verified.signer, verified.role, verified.fingerprint, said.origin, said.keys, said.receipts, said.made)


def claimed(signed: bytes) -> Claimed:
    """What a statement says, unverified; ``EvidenceRejected`` where it says nothing that a log can be."""
    try:
        said = LogStatement.decode(statement.Signed.decode(signed).body)
        made = datetime.fromtimestamp(said.time, UTC)
    except (OverflowError, ValueError, OSError):
        raise EvidenceRejected("the log's statement was made at no time", hint=_HINT, check="owner") from None
    except MessageRefused as error:
        raise _untold(error) from None
    try:
        keys = VerifierKey.decode(said.ed25519), VerifierKey.decode(said.ml_dsa_44)
    except EvidenceRejected as error:
        raise EvidenceRejected(error.problem, hint=_HINT, check="owner") from None
    if [key.name for key in keys] != [said.origin] * 2 or [key.kind for key in keys] != [0x01, 0x06]:
        raise EvidenceRejected(
            f"the log's statement names other keys than a log of {said.origin} has", hint=_HINT, check="owner"
        )
    return Claimed(said.origin, keys, said.receipts, made)


def _untold(error: MessageRefused) -> EvidenceRejected:
    return EvidenceRejected(
        f"whose log it is cannot be told: {error.problem}", hint=_HINT, check="owner", party=error.party
    )


def named(signed: bytes) -> tuple[str, str]:
    """Role and name in the certificate beside a statement, unverified; ``EvidenceRejected`` where it has none."""
    try:
        certificate = x509.load_der_x509_certificate(statement.Signed.decode(signed).certificate)
        name, role = profile.named_in(certificate)
    except (ValueError, QuatrefoilError):
        raise EvidenceRejected("the log's statement has no certificate of a party", hint=_HINT, check="owner") from None
    return role, name


def signer_of(signed: bytes) -> bytes:
    """The fingerprint of the certificate beside a statement of one's own, unverified."""
    try:
        return hashlib.sha256(statement.Signed.decode(signed).certificate).digest()
    except MessageRefused:
        return b""


def keys_of(folder: Path, identity: Identity, trust: TrustAnchor) -> LogKeys:
    """The keys of a party's log, made now if there are none. The origin names the root that it began under."""
    if not folder.exists():
        LogKeys.create(folder, f"quatrefoil/{trust.fingerprints[0].hex()[:16]}/{identity.name}")
    keys = LogKeys.load(folder)
    if keys.origin.rsplit("/", 1)[-1] != identity.name:
        raise StateCorrupt(
            f"{folder} holds the keys of log {keys.origin}, and this is {identity.name}",
            hint="Give each party its own --state folder",
        )
    return keys
