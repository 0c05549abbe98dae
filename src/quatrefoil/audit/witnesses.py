"""Whose witness a key is: a statement, signed by the silo's identity, that names the key it cosigns logs with.

A cosignature names a key, and says nothing to whoever trusts the consortium's root. The statement ties the key to a
certificate under that root. A log holds the statements of its witnesses as entries of kind ``witness``, and beside it,
in the file ``witnessed``, lies the newest checkpoint that had enough of their cosignatures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from quatrefoil.audit import ownership
from quatrefoil.audit.ownership import Owner
from quatrefoil.errors import EvidenceRejected, MessageRefused, StateCorrupt
from quatrefoil.tlog.checkpoints import ML_DSA_44, SignedCheckpoint, Signer, read_checkpoint
from quatrefoil.tlog.evidence import Evidence, Verdict, judge
from quatrefoil.tlog.keys import create_witness_key, load_witness_key
from quatrefoil.tlog.notes import VerifierKey
from quatrefoil.transport import Identity, TrustAnchor, statement
from quatrefoil.transport.identity import Clock
from quatrefoil.wire import WireObject

KEY_FOLDER = "witness-key"

_HINT = "Ask the witness's operator which key it cosigns with"


@dataclass(frozen=True)
class WitnessStatement(WireObject):
    """The signer says at ``time`` (Unix seconds): I cosign logs with this key (a vkey, of ML-DSA-44)."""

    TYPE: ClassVar[str] = "urn:quatrefoil:witness-statement"
    time: int
    key: str


@dataclass(frozen=True)
class KnownWitness:
    """A statement that verified: who cosigns, certified in which role, and with which key."""

    name: str
    role: str
    fingerprint: bytes
    key: VerifierKey


def key_of(folder: Path, identity: Identity, trust: TrustAnchor) -> Signer:
    """The key that a party cosigns with, made now in its state ``folder`` if there is none."""
    place = folder / KEY_FOLDER
    if not place.exists():
        create_witness_key(place, witness_name(trust.fingerprints[0], identity.name))
    signer = load_witness_key(place)
    if _party(signer.name) != identity.name:
        raise StateCorrupt(
            f"{place} holds the key of {signer.name}, and this is {identity.name}",
            hint="Give each party its own --state folder",
        )
    return signer


def witness_name(root: bytes, party: str) -> str:
    """The name of a party's witness, by the fingerprint of the consortium's root."""
    return f"quatrefoil/{root.hex()[:16]}/{party}/witness"


def said(key: VerifierKey, at: datetime) -> bytes:
    """The body of a statement, to be signed by the party's identity."""
    return WitnessStatement(int(at.timestamp()), key.encode()).encode()


def introduced(silo: str, key: VerifierKey) -> dict[str, str]:
    """The body of an entry of kind ``witness``; the statement itself, with the whole key, is attached to it."""
    return {"silo": silo, "name": key.name, "key": hashlib.sha256(key.public).hexdigest()}


def key_in(said: WitnessStatement, signer: str) -> VerifierKey:
    """The key in a statement that ``signer`` was found to have signed."""
    key = VerifierKey.decode(said.key)
    if key.kind != ML_DSA_44 or len(key.public) != 1312 or _party(key.name) != signer:
        raise EvidenceRejected(
            f"{signer} claims the witness {key.name}, which is not its own", hint=_HINT, check="witnesses", party=signer
        )
    return key


def verify(signed: bytes, trust: TrustAnchor, *, clock: Clock) -> KnownWitness:
    """The witness that a statement names, under ``trust``; ``EvidenceRejected`` where it does not hold.

    The certificate is judged at the time the statement claims to be made at, its revocation at the clock's.
    """
    try:
        claimed = WitnessStatement.decode(statement.Signed.decode(signed).body)
        made = datetime.fromtimestamp(claimed.time, UTC)
        verified = statement.verify(signed, trust, clock=clock, claimed=made)
    except (OverflowError, ValueError, OSError):
        raise EvidenceRejected("a witness's statement was made at no time", hint=_HINT, check="witnesses") from None
    except MessageRefused as error:
        raise EvidenceRejected(
            f"whose witness it is cannot be told: {error.problem}", hint=_HINT, check="witnesses", party=error.party
        ) from None
    return KnownWitness(verified.signer, verified.role, verified.fingerprint, key_in(claimed, verified.signer))


def cosigners(signed: SignedCheckpoint, witnesses: Iterable[KnownWitness]) -> tuple[str, ...]:
    """The silos whose witness has cosigned a checkpoint, sorted; each counts once, whatever keys it has."""
    return tuple(sorted({one.name for one in witnesses if one.role == "silo" and signed.by(one.key) is not None}))


def read_witnessed(content: bytes, owner: Owner, witnesses: Sequence[KnownWitness]) -> SignedCheckpoint:
    """A checkpoint of the log of ``owner``, with its signatures and those of ``witnesses``."""
    signed = read_checkpoint(content, (*owner.keys, *(one.key for one in witnesses)))
    signed.require(owner.keys)
    if signed.checkpoint.origin != owner.origin:
        raise EvidenceRejected(
            f"the witnessed checkpoint is of {signed.checkpoint.origin}, and the log of {owner.origin}",
            hint="Ask the log's operator for the folder as it is",
            check="witnesses",
        )
    return signed


@dataclass(frozen=True)
class Judged:
    """Evidence under a consortium's root: against whose log, and which of ``both`` are witnesses of whom."""

    owner: Owner
    verdict: Verdict
    both: tuple[str, ...]


def judge_evidence(evidence: Evidence, trust: TrustAnchor, *, clock: Clock) -> Judged:
    """What a file of evidence shows, by the statements in it alone; ``EvidenceRejected`` where it shows nothing."""
    owner = ownership.verify(evidence.owner, trust, clock=clock)
    witnesses = [verify(one, trust, clock=clock) for one in evidence.witnesses]
    verdict = judge(evidence, owner.keys, [one.key for one in witnesses])
    if verdict.origin != owner.origin:
        raise EvidenceRejected(
            f"the checkpoints are of {verdict.origin}, and the statement of {owner.origin}",
            hint="Nothing follows from it; ask whoever reports it for the file as it was written",
            check="evidence",
        )
    return Judged(owner, verdict, tuple(sorted({one.name for one in witnesses if one.key in verdict.both})))


def _party(name: str) -> str:
    """The party in the name of a witness; empty where it is none."""
    parts = name.split("/")
    return parts[2] if len(parts) == 4 and (parts[0], parts[3]) == ("quatrefoil", "witness") else ""
