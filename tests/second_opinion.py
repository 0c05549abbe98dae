"""A file P under the second verifier, which shares no code with the first: range, links and proof."""

from __future__ import annotations

from bounded_update.errors import Rejected
from inference.statement_file import statement_of
from inference.verifier import verify
from inference.weights_link import verify_link
from inference.weights_range import verify_range
from quatrefoil.proven import ProofFile


def second_opinion(file: ProofFile) -> bytes:
    """The statement digest; ``Rejected`` where the second verifier does not accept."""
    commitment, batch = file.commitment, file.batch()
    fields = {
        "batch": batch.size,
        "openings": commitment.openings,
        "hidden": batch.hidden,
        "root": commitment.current.hex(),
        "binding": batch.binding.hex(),
    }
    contents = {"program": commitment.program, "inputs": batch.inputs, "outputs": batch.outputs}
    statement = statement_of(fields, contents)
    weights, before = statement.shape.weights, commitment.root
    verify_range(weights, before, commitment.range_proof)
    for link in commitment.links:
        verify_link(weights, before, link.root, link.proof)
        before = link.root
    return bytes(verify(statement, file.proof).statement)


__all__ = ["Rejected", "second_opinion"]
