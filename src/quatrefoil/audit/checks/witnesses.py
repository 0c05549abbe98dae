"""Who cosigned a log: check witnesses.

The witnesses of a log are those whose statements it holds and that verified. Their signatures are looked for under the
checkpoint and under the one that is kept in the file ``witnessed``, because an entry after the last cosignature makes
another checkpoint; that one must be the beginning of this log.
"""

from __future__ import annotations

from collections.abc import Sequence

from quatrefoil.audit.checks.identity import Introduction
from quatrefoil.audit.log import WITNESSED
from quatrefoil.audit.verdict import Findings
from quatrefoil.audit.witnesses import KnownWitness, cosigners, read_witnessed
from quatrefoil.errors import QuatrefoilError
from quatrefoil.tlog import LogReader, SignedCheckpoint, Source
from quatrefoil.tlog.checkpoints import verify_note
from quatrefoil.tlog.notes import LARGEST_NOTE

MOST_KNOWN = 4096
"""Statements of witnesses that are remembered."""


def check_witnesses(
    source: Source, found: Introduction, known: Sequence[KnownWitness], quorum: int, findings: Findings
) -> None:
    """``quorum``: how many silos the policy demands; it demands them of the aggregator's log."""
    if found.owner is None or found.signed is None:
        findings.not_run("witnesses", "whose log it is, or its checkpoint, is not known")
        return
    wanted = quorum if found.owner.role == "aggregator" else 0
    best, size = _under_checkpoint(found.signed, known, findings), found.signed.checkpoint.size
    kept = _kept(source, found, known, findings)
    if kept is not None and len(names := cosigners(kept, known)) >= len(best):
        best, size = max((best, size), (names, kept.checkpoint.size), key=lambda one: (len(one[0]), one[1]))
    if len(best) < wanted:
        findings.problem("witnesses", f"{len(best)} silos cosigned, and the policy demands {wanted}")
    total = found.signed.checkpoint.size
    said = f"{', '.join(best)} cosigned the first {size} of {total} entries" if best else "nobody cosigned"
    findings.say("witnesses", f"{said}; {wanted or 'none'} demanded")


def _under_checkpoint(signed: SignedCheckpoint, known: Sequence[KnownWitness], findings: Findings) -> tuple[str, ...]:
    """One that does not verify is a problem of its own, and does not spoil the others."""
    names = set[str]()
    for one in known:
        try:
            names.update(cosigners(verify_note(signed.note, signed.checkpoint, [one.key]), [one]))
        except QuatrefoilError as error:
            if any(one.key.signed(line) for line in signed.note.signatures):
                findings.problem("witnesses", error.problem)
    return tuple(sorted(names))


def _kept(
    source: Source, found: Introduction, known: Sequence[KnownWitness], findings: Findings
) -> SignedCheckpoint | None:
    assert found.owner is not None and found.signed is not None
    try:
        content = source.read(WITNESSED)
        if content is None or len(content) > LARGEST_NOTE:
            return None
        kept = read_witnessed(content, found.owner, known)
        size = kept.checkpoint.size
        if size > found.signed.checkpoint.size:
            findings.problem("witnesses", f"witnesses have seen {size} entries of it, and it has fewer")
            return None
        if LogReader(source, found.signed).root_at(size) != kept.checkpoint.root:
            findings.problem(
                "witnesses", f"the {size} entries that witnesses cosigned are not the beginning of this log"
            )
            return None
    except QuatrefoilError as error:
        findings.problem("witnesses", error.problem)
        return None
    return kept
