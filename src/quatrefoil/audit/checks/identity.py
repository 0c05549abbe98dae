"""Whose log it is and what its checkpoint says: checks owner and checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from quatrefoil.audit import ownership
from quatrefoil.audit.log import OWNER
from quatrefoil.audit.ownership import Claimed, Owner
from quatrefoil.audit.trusted import Trusted
from quatrefoil.audit.verdict import Findings, count
from quatrefoil.errors import EvidenceRejected, QuatrefoilError
from quatrefoil.tlog import Checkpoint, Note, SignedCheckpoint, Source, read_checkpoint
from quatrefoil.tlog.checkpoints import KIND_NAMES
from quatrefoil.tlog.notes import LARGEST_NOTE
from quatrefoil.tlog.tiles import CHECKPOINT


@dataclass(frozen=True)
class Introduction:
    """What could be made out. ``owner``: verified. ``claimed``: what the log says of itself, believed or not.
    ``signed``: the checkpoint, with those of its signatures that verified; there may be none."""

    owner: Owner | None
    claimed: Claimed | None
    signed: SignedCheckpoint | None


def introduce(
    source: Source,
    trusted: Trusted | None,
    findings: Findings,
    *,
    at: datetime,
    label: str,
) -> Introduction:
    owner, claimed = _owner(source, trusted, findings, at, label)
    content = _checkpoint_file(source, findings)
    if content is None:
        for check in ("witnesses", "leaves", "tiles", "root", "entries", "payloads"):
            findings.not_run(check, "there is no checkpoint that can be read")
        return Introduction(owner, claimed, None)
    signed = _checkpoint(content, owner, claimed, findings)
    return Introduction(owner, claimed, signed)


def _owner(
    source: Source, trusted: Trusted | None, findings: Findings, at: datetime, label: str
) -> tuple[Owner | None, Claimed | None]:
    try:
        statement = source.read(OWNER)
    except EvidenceRejected as error:
        findings.problem("owner", error.problem)
        return None, None
    if statement is None:
        findings.problem("owner", "the log does not say whose it is")
        return None, None
    claimed = None
    try:
        claimed = ownership.claimed(statement)
        if trusted is None:
            findings.not_run("owner", "there is no root certificate to hold it to")
            return None, claimed
        owner = ownership.verify(statement, trusted.anchor, clock=lambda: at)
    except QuatrefoilError as error:
        findings.problem("owner", error.problem)
        return None, claimed
    if label not in ("", f"{owner.role}-{owner.name}"):
        findings.problem("owner", f"the bundle calls it {label}, and it is of {owner.role} {owner.name}")
    findings.say(
        "owner",
        f"{owner.role} {owner.name}, certificate {owner.fingerprint.hex()[:16]}, log {owner.origin}, "
        f"signed {owner.signed:%Y-%m-%d %H:%M} UTC",
    )
    return owner, claimed


def _checkpoint_file(source: Source, findings: Findings) -> bytes | None:
    try:
        content = source.read(CHECKPOINT)
        if content is None or len(content) > LARGEST_NOTE:
            problem = "the log has no checkpoint" if content is None else "the checkpoint is larger than any note"
            findings.problem("checkpoint", problem)
            return None
        Checkpoint.parse(Note.decode(content).text)
    except EvidenceRejected as error:
        findings.problem("checkpoint", error.problem)
        return None
    return content


def _checkpoint(content: bytes, owner: Owner | None, claimed: Claimed | None, findings: Findings) -> SignedCheckpoint:
    note = Note.decode(content)
    unsigned = SignedCheckpoint(Checkpoint.parse(note.text), note, ())
    if claimed is None:
        findings.not_run("checkpoint", "the log does not say which keys sign it")
        return unsigned
    try:
        signed = read_checkpoint(content, claimed.keys)
        signed.require(claimed.keys)
    except EvidenceRejected as error:
        findings.problem("checkpoint", error.problem)
        return unsigned
    checkpoint = signed.checkpoint
    if checkpoint.origin != claimed.origin:
        findings.problem("checkpoint", f"it is of {checkpoint.origin}, and the log of {claimed.origin}")
    if checkpoint.extensions:
        findings.problem("checkpoint", "it has extension lines, which logs of this kind do not have")
    times = [one.at for one in signed.signed if one.at is not None]
    kinds = " and ".join(KIND_NAMES[one.key.kind] for one in signed.signed)
    whose = "" if owner is not None else ", under keys whose owner is not shown"
    findings.say(
        "checkpoint",
        f"{count(checkpoint.size, 'leaf', 'leaves')}, signed {times[0]:%Y-%m-%d %H:%M} UTC by {kinds}{whose}",
    )
    return signed
