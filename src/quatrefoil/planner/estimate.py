"""What one pass of a phase is predicted to cost under chosen backends. A pure function of sizes and costs.

Milliseconds are the way of one round from a silo's update to its answer: silos work side by side on their own machines,
the aggregator and the keeper serve them one after another. Of a served model they are what protection adds to its
requests, one after another; of an encrypted table, all that key holder and computing party do. :func:`excluded`
says what is left out. Bytes are what crosses the network.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import ceil

from quatrefoil.planner import encrypted
from quatrefoil.planner.costs import AggregationCosts, Costs, ProofCosts, ServingCosts, TransportCosts
from quatrefoil.policy import Policy
from quatrefoil.workload import Phase

BYTES_OF_A_MEAN = 8
"""One value of the published result, a float64."""

BYTES_OF_A_NUMBER = 4
"""One value of a table that a served model is asked with, a float32."""

SERVED = ("infer", "score", "summarise", "count")
"""Kinds that a served model answers, unless they are computed on encrypted tables."""

_LEFT_OUT = (
    "the model's own computing, waiting, and attestation, which serves many requests; HTTP and padding as well where "
    "quatrefoil calibrate has not measured them"
)


def excluded(kind: str, layers: Collection[str]) -> str:
    """What predictions of a phase in these layers leave out; "" for nothing."""
    return _LEFT_OUT if kind in SERVED and "aggregation" not in layers else ""


@dataclass(frozen=True)
class Estimate:
    ms: float
    bytes: int


def estimate(
    phase: Phase, chosen: Mapping[str, str], policy: Policy, costs: Costs, *, at_once: int | None = None
) -> Estimate:
    """``chosen``: layer -> backend. ``at_once``: how many silos work at the same time, where not each of them has a
    machine of its own. ``PolicyInvalid`` when the costs lack a figure for one of the backends."""
    transport = costs.of_transport(chosen["transport"]) if "transport" in chosen else None
    if phase.kind == "audit":
        return Estimate(phase.batch * costs.log_append_ms, 0)
    if phase.kind == "transport" and transport:
        ms = phase.silos * (transport.handshake_ms + transport.message_ms.at(phase.message_bytes))
        return Estimate(ms, round(phase.silos * (transport.handshake_bytes + phase.message_bytes)))
    if phase.kind in ("collect", "aggregate", "keys") and "aggregation" in chosen:
        bits = policy.limits.value_bits
        scheme = costs.of_aggregation(chosen["aggregation"], bits)
        proofs = costs.of_proofs(chosen["proofs"], bits) if "proofs" in chosen else None
        if phase.kind == "aggregate":
            return _aggregate(phase, scheme)
        if transport and phase.kind == "keys":
            return _keys(phase, transport, scheme, proofs)
        if transport:
            # The aggregator verifies as many proofs at once as it has threads, each in one of them.
            single = costs.of_proofs(chosen["proofs"], bits, threads=1) if proofs else None
            turns = ceil(phase.silos / costs.threads)
            waves = 1 if at_once is None else ceil(phase.silos / at_once)
            verify_ms = turns * single.verify_ms.at(phase.parameters) if single else 0.0
            return _collect(phase, transport, scheme, proofs, verify_ms=verify_ms, waves=waves)
    if (phase.kind, chosen.get("aggregation", "")) in encrypted.PARAMETER_SETS:
        return _encrypted(phase, costs, chosen["aggregation"], transport)
    if phase.kind in SERVED and transport:
        return _served(phase, transport, costs.of_serving(chosen["transport"]))
    raise AssertionError(f"no estimate for a {phase.kind} phase under {dict(chosen)}")


def _collect(
    phase: Phase,
    transport: TransportCosts,
    scheme: AggregationCosts,
    proofs: ProofCosts | None,
    *,
    verify_ms: float,
    waves: int,
) -> Estimate:
    values, silos = phase.parameters, phase.silos
    message = scheme.ciphertext_bytes.at(values) + transport.statement_bytes
    at_silo = scheme.encrypt_ms.at(values) + transport.seal_ms + transport.sign_ms
    if proofs:
        message += proofs.proof_bytes.at(values)
        at_silo += proofs.prove_ms.at(values)
    at_aggregator = silos * (transport.message_ms.at(message) + transport.verify_ms) + verify_ms
    return Estimate(waves * at_silo + at_aggregator, round(silos * message))


def _aggregate(phase: Phase, scheme: AggregationCosts) -> Estimate:
    ms = phase.silos * scheme.add_ms.at(phase.parameters) + scheme.decrypt_ms.at(phase.parameters)
    return Estimate(ms, phase.silos * phase.parameters * BYTES_OF_A_MEAN)


def _keys(phase: Phase, transport: TransportCosts, scheme: AggregationCosts, proofs: ProofCosts | None) -> Estimate:
    silos = phase.silos
    sealed = scheme.key_bytes + transport.sealed_bytes + transport.statement_bytes
    open_ms = transport.open_ms + (proofs.check_key_ms if proofs else 0.0)
    ms = silos * (transport.verify_ms + open_ms) + scheme.combine_ms.at(silos) + transport.sign_ms
    # Each sealed key travels from its silo to the aggregator, and with all the others on to the keeper.
    return Estimate(ms + transport.message_ms.at(silos * sealed), round(2 * silos * sealed))


def _encrypted(phase: Phase, costs: Costs, backend: str, transport: TransportCosts | None) -> Estimate:
    of_set = costs.of_homomorphic(encrypted.PARAMETER_SETS[phase.kind, backend])
    moving = encrypted.moving_ms(phase, of_set, transport) if transport else 0.0
    return Estimate(encrypted.work_ms(phase, of_set) + moving, sum(encrypted.sent_bytes(phase, of_set)))


def _served(phase: Phase, transport: TransportCosts, serving: ServingCosts) -> Estimate:
    requests, asked, answered = _exchanged(phase)
    each = (asked + answered) / 2  # costs are by the bytes that request and answer each have
    sent = serving.exchange_bytes.at(each) + serving.receipt_bytes
    added = serving.exchange_ms.at(each) + serving.receipt_ms.at(each) + serving.around_ms.at(each)
    # There and back, as a message and its acknowledgement are.
    return Estimate(requests * (added + transport.message_ms.at(sent)), round(requests * sent))


def _exchanged(phase: Phase) -> tuple[int, float, float]:
    """Requests, and bytes of one and of its answer. A table is asked about in one request."""
    if phase.kind == "infer":
        return phase.batch, phase.message_bytes, phase.message_bytes
    columns, sums, _ = encrypted.shape(phase)
    asked = 2 if phase.kind == "count" else columns  # two columns of categories
    return 1, phase.batch * asked * BYTES_OF_A_NUMBER, (sums or phase.batch) * BYTES_OF_A_NUMBER


__all__ = ["Estimate", "estimate", "excluded"]
