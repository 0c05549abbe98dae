"""What a file P shows to whoever judges evidence: which logged receipts it proves, for the checks of an audit."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime

from quatrefoil.audit import PartyLog
from quatrefoil.audit.checks.samples import Proven
from quatrefoil.errors import EvidenceRejected, MessageRefused
from quatrefoil.proven.checking import verify_answers
from quatrefoil.proven.proof_file import ProofFile
from quatrefoil.transport import TrustAnchor


def proven_by(data: bytes, logs: Mapping[str, PartyLog], anchor: TrustAnchor, at: datetime) -> Proven:
    """The receipts that a file P proves, each at its place in the log that it names; what :func:`verify_answers`
    raises, and ``EvidenceRejected`` where that log is not there: without it nothing ties receipts to a server."""
    try:
        file = ProofFile.decode(data)
    except MessageRefused as error:
        raise EvidenceRejected(
            f"the file is no proof of answers: {error.problem}", hint="Ask for it again", check="file"
        ) from None
    if file.origin not in logs:
        raise EvidenceRejected(
            f"the proof is about receipts of {file.origin[:200]}, whose log is not here",
            hint="Ask for that log",
            check="log",
        )
    found = verify_answers(data, anchor, clock=lambda: at, log=logs[file.origin])
    receipts = frozenset(hashlib.sha256(one.receipt).digest() for one in file.receipts)
    return Proven(receipts, file.commitment.root, found.inference.soundness_bits)


__all__ = ["proven_by"]
