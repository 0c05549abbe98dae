"""Recorded answers to a file P, with one opening of the model's commitment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from quatrefoil.audit.computations import rho_of
from quatrefoil.audit.evidence import LARGEST_PROOF
from quatrefoil.errors import CallerError, ModelRefused
from quatrefoil.proofs.field_hash import FieldHash, field_hash
from quatrefoil.proofs.inference import Batch, Witness, shape
from quatrefoil.proven.folder import ModelFolder
from quatrefoil.proven.logged import Logged
from quatrefoil.proven.proof_file import ProofFile, batch_of
from quatrefoil.proven.receipts import ProvenReceipt, Recorded, open_receipt, require_answer
from quatrefoil.proven.statement import read_statement
from quatrefoil.quantised import Values, entrance_of, trace_of


def prove_answers(
    folder: ModelFolder,
    recorded: Sequence[Recorded],
    logged: Logged,
    *,
    hidden: bool = False,
    threads: int = 1,
) -> ProofFile:
    """The proof about ``recorded``, in this order. ``logged``: what the server's log has of the model and of each
    receipt. ``hidden``: inputs are shown as their field hashes alone.

    ``EvidenceRejected`` where a record is not what its receipt says; ``ModelRefused`` where the model computes another
    answer than was given, ``CallerError`` where the file can become larger than one may be: no opening is used then.
    """
    if not recorded:
        raise CallerError("there is nothing to prove", hint="Give receipts of answers of this model")
    said, places = folder.committed, logged.places
    if not read_statement(logged.statement).agrees_with(said):
        raise CallerError("the log is about another commitment", hint="Give the folder of the model that was served")
    for one in recorded:
        require_answer(one.receipt, said)
        if one.receipt.digest() not in places:
            raise CallerError(
                f"the log has no receipt {one.receipt.sequence} of keyset {one.receipt.keyset.hex()[:16]}",
                hint="Give the server's log as it is now",
            )
    entrance = entrance_of(folder.program.content)
    hashed = field_hash(entrance.size, entrance.low, entrance.high)
    shown = []
    for one in recorded:
        shown.append(ProvenReceipt.of(one, places[one.receipt.digest()], hashed, hidden=hidden))
        open_receipt(shown[-1], said, hashed, hidden=hidden)
    batch = batch_of(logged.statement, logged.origin, shown, hidden=hidden)
    _require_fits(ProofFile(logged.statement, folder.commitment, logged.origin, hidden, tuple(shown), b""), batch)
    inputs = np.concatenate([one.inputs for one in recorded])
    found = trace_of(folder.graph, inputs)
    _require_computed(recorded, found.outputs)
    prover = folder.prover(threads)
    randomness = _randomness(recorded, hashed) if hidden else None
    proof = prover.prove(folder.claim("a proof of answers"), batch, Witness(inputs, found.sums, randomness))
    return ProofFile(logged.statement, folder.commitment, logged.origin, hidden, tuple(shown), proof)


def _require_fits(file: ProofFile, batch: Batch) -> None:
    """Before an opening is claimed: the file has no more than it may have, also with the largest proof there is."""
    commitment = file.commitment
    sizes = shape(commitment.program, commitment.openings, batch.size, hidden=batch.hidden)
    most = len(file.encode()) + sizes["largest_proof_bytes"]
    if most > LARGEST_PROOF:
        raise CallerError(
            f"a file of up to {most:,} bytes about {len(file.receipts):,} receipts is over {LARGEST_PROOF:,}",
            hint="Prove fewer receipts at once: no opening was used",
        )


def _randomness(recorded: Sequence[Recorded], hashed: FieldHash) -> NDArray[np.int32]:
    """rho of every sample, in order."""
    return np.stack(
        [
            hashed.rho(rho_of(one.keys.inputs, row, hashed.rho_bytes))
            for one in recorded
            for row in range(len(one.inputs))
        ]
    )


def _require_computed(recorded: Sequence[Recorded], outputs: Values) -> None:
    """The model's outputs are those of the receipts."""
    start = 0
    for one in recorded:
        ours = outputs[start : start + len(one.inputs)]
        start += len(one.inputs)
        if not np.array_equal(ours, one.outputs):
            raise ModelRefused(
                f"the committed model computes another answer than receipt {one.receipt.sequence} of keyset "
                f"{one.receipt.keyset.hex()[:16]} has",
                hint="Give the model that answered; if it is this one, the receipt shows that something else answered",
            )


__all__ = ["prove_answers"]
