"""One verdict of two verifiers: the kernel's, and the second one, which shares no code with it."""

from __future__ import annotations

import bounded_update as second
from quatrefoil.contracts import BoundedUpdate, FurtherClaims, KeyClaim
from quatrefoil.errors import CiphertextRefused, ParametersRefused, ProofRejected
from quatrefoil.proofs import BoundedUpdateProofs

HEADER_BYTES = 96


def accepted_by_both(backend: BoundedUpdateProofs, name: str, statement: BoundedUpdate, proof: bytes) -> bool:
    """Whether the proof is accepted, which both must agree on, and on what it says; a statement that is none is not.
    ``name``: of the parameter set."""
    first, again = _verdict(backend, statement, proof), _second_verdict(name, statement, proof)
    if isinstance(first, str) or isinstance(again, str):
        assert isinstance(first, str) and isinstance(again, str), f"{first} here, and there {again}"
        return False
    assert first == again
    return True


def _verdict(backend: BoundedUpdateProofs, statement: BoundedUpdate, proof: bytes) -> tuple[bytes, ...] | str:
    try:
        verified = backend.verify(statement, proof)
    except (ProofRejected, CiphertextRefused, ParametersRefused) as refusal:
        assert refusal.problem
        return refusal.problem
    claim = verified.key_claim
    return verified.statement, claim.root, claim.value if isinstance(claim, KeyClaim) else claim.values


def _second_verdict(name: str, statement: BoundedUpdate, proof: bytes) -> tuple[bytes, ...] | str:
    try:
        about, blocks = second_statement(name, statement)
    except ValueError as refusal:
        return str(refusal)
    try:
        verified = second.verify(about, blocks, proof)
    except second.Rejected as refusal:
        assert refusal.reason
        return refusal.reason
    return verified.statement, verified.root1, b"".join(value.to_bytes() for value in verified.key_values)


def second_statement(name: str, statement: BoundedUpdate) -> tuple[second.Statement, list[list[int]]]:
    """The same as the second verifier reads it; ValueError for a statement that is none."""
    parameters, shape = second.PARAMETER_SETS[name], statement.shape
    sharing, threshold, commitments = statement.sharing, None, ()
    if sharing is not None:
        numbers = sharing.threshold.members, sharing.threshold.privacy, sharing.threshold.packing
        threshold, commitments = second.Threshold(*numbers), sharing.commitments
    given = (second.Shape.of(parameters, shape.length, threshold), statement.bound, shape.context, statement.binding)
    block = 8 * parameters.N
    data = statement.ciphertext[HEADER_BYTES:]
    blocks = [memoryview(data[at : at + block]).cast("Q").tolist() for at in range(0, len(data), block)]
    return second.Statement(*given, _second_claims(statement.further), commitments), blocks


def _second_claims(further: FurtherClaims) -> second.Further:
    parts = tuple(second.PartNorm(part.first, part.end, part.bound) for part in further.parts)
    if further.direction is None:
        return second.Further(parts)
    assert further.direction.entries is not None
    direction = second.Direction(tuple(further.direction.entries.tolist()))
    assert direction.digest == further.direction.digest
    return second.Further(parts, direction)
