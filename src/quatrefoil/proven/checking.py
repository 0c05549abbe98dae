"""Whether a file P proves the answers in it: every check, in the order of docs/audit-proofs.md."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from quatrefoil.audit import PartyLog
from quatrefoil.audit.evidence import LARGEST_PROOF
from quatrefoil.errors import CallerError, EvidenceRejected, MessageRefused
from quatrefoil.proofs import inference
from quatrefoil.proofs.field_hash import FieldHash, field_hash
from quatrefoil.proofs.inference import VerifiedInference
from quatrefoil.proven.logged import require_logged
from quatrefoil.proven.proof_file import ProofFile
from quatrefoil.proven.receipts import open_receipt
from quatrefoil.proven.statement import Committed, verify_statement
from quatrefoil.quantised import entrance_of
from quatrefoil.transport import TrustAnchor
from quatrefoil.transport.identity import Clock

_HINT = "Believe none of the answers, and keep the file as evidence"


@dataclass(frozen=True)
class VerifiedAnswers:
    """A file of which every check passed. ``receipts``: how many are proven; ``hidden``: whether their inputs stay
    hidden; ``logged``: whether they were looked up in the log, which a file alone does not show."""

    inference: VerifiedInference
    model: Committed
    origin: str
    receipts: int
    hidden: bool
    logged: bool


def verify_answers(
    data: bytes,
    trust: TrustAnchor,
    *,
    clock: Clock,
    log: PartyLog | None,
    threads: int = 1,
    least_bits: float = inference.LEAST_BITS,
    told: Callable[[str], None] = lambda _what: None,
) -> VerifiedAnswers:
    """What a file P shows; ``EvidenceRejected`` or ``ProofRejected`` names the check that failed. ``log``: of the
    server, in which statement and receipts have to be; None: not looked up, as the answer then says. ``least_bits``: of
    soundness, that are asked for. ``told``: each step."""
    file = _read(data)
    told("the statement about the model")
    committed = verify_statement(file.statement, trust, clock=clock)
    program = file.commitment.program
    committed.require(file.commitment, hashlib.sha256(program).digest())
    hashed = _field_hash(program)
    told(f"{len(file.receipts):,} receipts")
    for one in file.receipts:
        receipt = open_receipt(one, committed.said, hashed, hidden=file.hidden)
        if receipt.issuer != committed.signer:
            raise EvidenceRejected(
                f"receipt {receipt.sequence} is of {receipt.issuer}, and the model of {committed.signer}",
                hint=_HINT,
                check="receipts",
            )
    try:
        batch = file.batch()
    except (MessageRefused, CallerError) as error:
        raise EvidenceRejected(error.problem, hint=_HINT, check="receipts") from None
    if log is not None:
        told("the log")
        require_logged(log, file, committed)
    told("the commitment to the weights")
    verified = inference.verify_commitment(file.commitment)
    told(f"the proof about {batch.size:,} samples")
    shown = inference.verify(verified, batch, file.proof, threads=threads, least_bits=least_bits)
    return VerifiedAnswers(shown, committed, file.origin, len(file.receipts), file.hidden, log is not None)


def _field_hash(program: bytes) -> FieldHash:
    """Of the inputs that the program takes."""
    try:
        entrance = entrance_of(program)
        return field_hash(entrance.size, entrance.low, entrance.high)
    except CallerError as error:
        raise EvidenceRejected(f"the program is none: {error.problem}", hint=_HINT, check="statement") from None


def _read(data: bytes) -> ProofFile:
    if len(data) > LARGEST_PROOF:
        raise EvidenceRejected(f"the file has over {LARGEST_PROOF:,} bytes", hint=_HINT, check="file")
    try:
        return ProofFile.decode(data)
    except MessageRefused as error:
        raise EvidenceRejected(f"the file is no proof of answers: {error.problem}", hint=_HINT, check="file") from None


__all__ = ["VerifiedAnswers", "verify_answers"]
