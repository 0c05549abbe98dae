"""A stand-in for the prover, for tests of the bench's table alone: it proves nothing."""

from __future__ import annotations

import os
import signal

from quatrefoil.errors import ModelRefused, ProofRejected


class StandIn:
    """Its "proof" is the process that made it and the size of the batch."""

    def __init__(self, graph, threads: int) -> None:
        assert os.environ["OPENBLAS_NUM_THREADS"] == str(threads)
        self.graph = graph

    def prove(self, samples) -> bytes:
        assert samples.shape[1:] == self.graph.input.shape
        return f"{os.getpid()} {len(samples)}".encode()

    def verify(self, proof: bytes) -> float:
        return float(proof.split()[0])


class Rejecting(StandIn):
    def verify(self, proof: bytes) -> float:
        raise ProofRejected("the proof is rejected: a sum does not fit", hint="Believe none", reason="a sum")


def dying(graph, threads: int) -> StandIn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def refusing(graph, threads: int) -> StandIn:
    raise ModelRefused("sums of 'sums0' may reach 9", hint="Quantise with fewer bits")


__all__ = ["Rejecting", "StandIn", "dying", "refusing"]
