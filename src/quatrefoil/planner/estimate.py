"""What one pass of a phase is predicted to cost under chosen backends. A pure function of sizes and costs.

Milliseconds are the way of one round from a silo's update to its answer: silos work side by side on their own machines,
the aggregator and the keeper serve them one after another. Of a served model they are what protection adds to its
requests, one after another (:data:`EXCLUDED`). Bytes are what crosses the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from quatrefoil.planner.costs import Costs
from quatrefoil.policy import Policy
from quatrefoil.workload import Phase

BYTES_OF_A_MEAN = 8
"""One value of the published result, a float64."""

EXCLUDED: Mapping[str, str] = {
    "infer": "the model's own computing, HTTP, padding, waiting, and attestation, which serves many requests"
}
"""Kind -> what predictions of its phases leave out."""


@dataclass(frozen=True)
class Estimate:
    ms: float
    bytes: int


def estimate(phase: Phase, chosen: Mapping[str, str], policy: Policy, costs: Costs) -> Estimate:
    """``chosen``: layer -> backend. ``PolicyInvalid`` when the costs lack a figure for one of them."""
    transport = costs.of_transport(chosen["transport"]) if "transport" in chosen else None
    scheme = None
    if "aggregation" in chosen:
        scheme = costs.of_aggregation(chosen["aggregation"], policy.limits.value_bits)
    proofs = costs.of_proofs(chosen["proofs"], policy.limits.value_bits) if "proofs" in chosen else None
    silos, values = phase.silos, phase.parameters
    if phase.kind == "transport" and transport:
        ms = silos * (transport.handshake_ms + transport.message_ms.at(phase.message_bytes))
        return Estimate(ms, round(silos * (transport.handshake_bytes + phase.message_bytes)))
    if phase.kind == "collect" and transport and scheme:
        message = scheme.ciphertext_bytes.at(values) + transport.statement_bytes
        at_silo = scheme.encrypt_ms.at(values) + transport.seal_ms + transport.sign_ms
        verify_ms = transport.verify_ms
        if proofs:
            message += proofs.proof_bytes.at(values)
            at_silo += proofs.prove_ms.at(values)
            verify_ms += proofs.verify_ms.at(values)
        at_aggregator = silos * (transport.message_ms.at(message) + verify_ms)
        return Estimate(at_silo + at_aggregator, round(silos * message))
    if phase.kind == "aggregate" and scheme:
        ms = silos * scheme.add_ms.at(values) + scheme.decrypt_ms.at(values)
        return Estimate(ms, silos * values * BYTES_OF_A_MEAN)
    if phase.kind == "keys" and transport and scheme:
        sealed = scheme.key_bytes + transport.sealed_bytes + transport.statement_bytes
        open_ms = transport.open_ms + (proofs.check_key_ms if proofs else 0.0)
        ms = silos * (transport.verify_ms + open_ms) + scheme.combine_ms.at(silos) + transport.sign_ms
        # Each sealed key travels from its silo to the aggregator, and with all the others on to the keeper.
        return Estimate(ms + transport.message_ms.at(silos * sealed), round(2 * silos * sealed))
    if phase.kind == "infer" and transport:
        serving = costs.of_serving(chosen["transport"])
        sent = serving.exchange_bytes.at(phase.message_bytes) + serving.receipt_bytes
        added = serving.exchange_ms.at(phase.message_bytes) + serving.receipt_ms.at(phase.message_bytes)
        # There and back, as a message and its acknowledgement are.
        return Estimate(phase.batch * (added + transport.message_ms.at(sent)), round(phase.batch * sent))
    if phase.kind == "audit":
        return Estimate(phase.batch * costs.log_append_ms, 0)
    raise AssertionError(f"no estimate for a {phase.kind} phase under {dict(chosen)}")


__all__ = ["EXCLUDED", "Estimate", "estimate"]
