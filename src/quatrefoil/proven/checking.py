"""Whether a file P proves the answers in it: every check, in the order of docs/audit-proofs.md."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from quatrefoil.audit import PartyLog
from quatrefoil.errors import EvidenceRejected, MessageRefused, ModelRefused
from quatrefoil.proofs import inference
from quatrefoil.proofs.inference import VerifiedInference
from quatrefoil.proven.batch import batch_of, inputs_of, outputs_of
from quatrefoil.proven.exchanges import open_exchange
from quatrefoil.proven.logged import require_logged
from quatrefoil.proven.proof_file import ProofFile
from quatrefoil.proven.statement import Committed, verify_statement
from quatrefoil.quantised import entrance_of
from quatrefoil.transport import TrustAnchor
from quatrefoil.transport.identity import Clock

_HINT = "Believe none of the answers, and keep the file as evidence"


@dataclass(frozen=True)
class VerifiedAnswers:
    """A file of which every check passed. ``receipts``: how many are proven; ``batch``: samples in them; ``logged``:
    whether they were looked up in the log, which a file alone does not show."""

    inference: VerifiedInference
    model: Committed
    origin: str
    receipts: int
    logged: bool


def verify_answers(
    data: bytes,
    trust: TrustAnchor,
    *,
    clock: Clock,
    log: PartyLog | None,
    threads: int = 1,
    told: Callable[[str], None] = lambda _what: None,
) -> VerifiedAnswers:
    """What a file P shows; ``EvidenceRejected`` or ``ProofRejected`` names the check that failed. ``log``: of the
    server, in which statement and receipts have to be; None: not looked up, as the answer then says. ``told``: each
    step."""
    file = _read(data)
    told("the statement about the model")
    committed = verify_statement(file.statement, trust, clock=clock)
    program = file.commitment.program
    committed.require(file.commitment, hashlib.sha256(program).digest())
    try:
        entrance = entrance_of(program)
        binding = file.binding()
    except ModelRefused as error:
        raise EvidenceRejected(f"the program is none: {error.problem}", hint=_HINT, check="statement") from None
    except MessageRefused as error:
        raise EvidenceRejected(error.problem, hint=_HINT, check="receipts") from None
    told(f"{len(file.exchanges)} receipts")
    opened = []
    for one in file.exchanges:
        opened.append(open_exchange(one.exchange, committed.said))
        if opened[-1].receipt.issuer != committed.signer:
            raise EvidenceRejected(
                f"receipt {opened[-1].receipt.sequence} is of {opened[-1].receipt.issuer}, and the model of "
                f"{committed.signer}",
                hint=_HINT,
                check="receipts",
            )
    inputs = inputs_of(opened, committed.said, entrance)
    width = _width(file, committed, len(inputs), opened[0].answers.shape)
    outputs = outputs_of(opened, committed.said, file.outputs, width)
    if log is not None:
        told("the log")
        require_logged(log, file, committed)
    told("the commitment to the weights")
    verified = inference.verify_commitment(file.commitment)
    told(f"the proof about {len(inputs)} samples")
    batch = batch_of(inputs, outputs, binding.digest())
    shown = inference.verify(verified, batch, file.proof, threads=threads)
    return VerifiedAnswers(shown, committed, file.origin, len(file.exchanges), log is not None)


def _read(data: bytes) -> ProofFile:
    try:
        return ProofFile.decode(data)
    except MessageRefused as error:
        raise EvidenceRejected(f"the file is no proof of answers: {error.problem}", hint=_HINT, check="file") from None


def _width(file: ProofFile, committed: Committed, batch: int, shape: tuple[int, ...]) -> int:
    """Outputs of a sample; the proof's own check holds it to the program."""
    return len(file.outputs) // (4 * batch) if committed.said.largest else shape[1]


__all__ = ["VerifiedAnswers", "verify_answers"]
