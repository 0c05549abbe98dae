"""Recorded exchanges to a file P, with one opening of the model's commitment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from quatrefoil.errors import CallerError, ModelRefused
from quatrefoil.proofs.inference import Witness
from quatrefoil.proven.batch import batch_of, inputs_of
from quatrefoil.proven.exchanges import Exchange, Opened, open_exchange
from quatrefoil.proven.folder import ModelFolder
from quatrefoil.proven.proof_file import ProofFile, ProvenExchange, binding_of
from quatrefoil.quantised import Values, entrance_of, trace_of


def prove_answers(
    folder: ModelFolder, exchanges: Sequence[Exchange], *, origin: str, places: Mapping[bytes, int], threads: int = 1
) -> ProofFile:
    """The proof about ``exchanges``, in this order. ``places``: the entry of each receipt in the log ``origin``, by its
    digest.

    ``EvidenceRejected`` where a record is not what its receipt says; ``ModelRefused`` where the model computes another
    answer than was given: nothing can be proven then, and no opening is used.
    """
    said = folder.committed
    opened = [open_exchange(one, said) for one in exchanges]
    if not opened:
        raise CallerError("there is nothing to prove", hint="Give receipts of answers of this model")
    missing = [one.receipt for one in opened if one.receipt.digest() not in places]
    if missing:
        raise CallerError(
            f"the log has no receipt {missing[0].sequence} of keyset {missing[0].keyset.hex()[:16]}",
            hint="Give the server's log as it is now",
        )
    proven = tuple(
        ProvenExchange(places[seen.receipt.digest()], one) for seen, one in zip(opened, exchanges, strict=True)
    )
    binding = binding_of(folder.statement, origin, proven)
    graph = folder.graph
    inputs = inputs_of(opened, said, entrance_of(folder.program.content))
    found = trace_of(graph, inputs)
    _require_answered(opened, found.outputs, largest=said.largest)
    outputs = np.ascontiguousarray(found.outputs, "<i4").tobytes()
    prover = folder.prover(threads)
    batch = batch_of(inputs, outputs, binding.digest())
    proof = prover.prove(folder.claim("a proof of answers"), batch, Witness(inputs, found.sums))
    return ProofFile(folder.statement, folder.commitment, origin, proven, outputs if said.largest else b"", proof)


def _require_answered(opened: Sequence[Opened], outputs: Values, *, largest: bool) -> None:
    """The model's outputs are what the receipts' answers say."""
    computed = outputs.argmax(axis=1) if largest else outputs
    start = 0
    for one in opened:
        ours = computed[start : start + len(one.inputs)]
        start += len(one.inputs)
        if not np.array_equal(ours, one.answers):
            raise ModelRefused(
                f"the committed model computes another answer than receipt {one.receipt.sequence} of keyset "
                f"{one.receipt.keyset.hex()[:16]} has",
                hint="Give the model that answered; if it is this one, the receipt shows that something else answered",
            )


__all__ = ["prove_answers"]
