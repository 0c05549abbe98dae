"""Our prover as the bench drives it: a model committed to, batches proven with inputs and outputs public.

Nothing durable is kept: the secret seed of the commitment ends with the process, and its claimed openings with it.
"""

from __future__ import annotations

import os

from quatrefoil.proofs import inference
from quatrefoil.proofs.openings import USUAL_OPENINGS, Openings
from quatrefoil.quantised import IntegerGraph, enter, program_of, trace_of, weights_of
from quatrefoil.quantised.float_model import Floats


def commit(graph: IntegerGraph, threads: int, openings: int = USUAL_OPENINGS) -> Committed:
    """To the weights of ``graph``, with the proof of their range, which is verified as well."""
    return Committed(graph, threads, openings)


class Committed:
    """As ``inference_proof.Proving`` asks for."""

    def __init__(self, graph: IntegerGraph, threads: int, openings: int = USUAL_OPENINGS) -> None:
        self._graph, self._threads = graph, threads
        self._openings = Openings(_Names(), openings)
        program, weights = program_of(graph).content, weights_of(graph)
        self._prover = inference.InferenceProver(program, openings, weights, os.urandom(32), threads=threads)
        proof = self._prover.prove_range(self._openings.claim("range"))
        made = inference.WeightsCommitment(program, openings, self._prover.root, proof, ())
        self._commitment = inference.verify_commitment(made)
        self._batch: inference.Batch | None = None

    def prove(self, samples: Floats) -> bytes:
        inputs = enter(self._graph, samples)
        trace = trace_of(self._graph, inputs)
        given, found = (array.astype("<i4").tobytes() for array in (inputs, trace.outputs))
        self._batch = inference.Batch(len(inputs), given, found, bytes(inference.DIGEST_BYTES))
        return self._prover.prove(self._openings.claim("bench"), self._batch, inference.Witness(inputs, trace.sums))

    def verify(self, proof: bytes) -> float:
        assert self._batch is not None
        return inference.verify(self._commitment, self._batch, proof, threads=self._threads).soundness_bits


class _Names:
    """What openings are claimed in, for as long as the process lives."""

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}

    def put_once(self, name: str, value: bytes) -> bytes:
        return self._values.setdefault(name, value)

    def names(self, prefix: str) -> list[str]:
        return [name for name in self._values if name.startswith(prefix)]


__all__ = ["Committed", "commit"]
