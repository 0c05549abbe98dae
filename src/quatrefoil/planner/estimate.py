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

from quatrefoil.planner import encrypted, proving
from quatrefoil.planner.costs import AggregationCosts, AnswerCosts, Costs, ProofCosts, ServingCosts, TransportCosts
from quatrefoil.policy import Policy
from quatrefoil.workload import FEDERATED, Phase

BYTES_OF_A_MEAN = 8
"""One value of the published result, a float64."""

BYTES_OF_A_NUMBER = 4
"""One value of a table that a served model is asked with, a float32."""

SIGNED, VERIFIED, VERIFIED_EACH = 7, 8, 5
"""Statements in a keys phase, and those verified in it besides for each silo. A test counts those of real rounds."""

CHANNELS = "pq-tls"
"""The one backend that parties of a round can sign with."""

SERVED = ("infer", "score", "summarise", "count")
"""Kinds that a served model answers, unless they are computed on encrypted tables."""

_LEFT_OUT = (
    "the model's own computing, waiting, and attestation, which serves many requests; HTTP and padding as well where "
    "quatrefoil calibrate has not measured them"
)
_PROOFS_LEFT_OUT = "; the commitment to the weights, which serves many proofs, and drawing the sample"
_KEYS_LEFT_OUT = "the key and its evaluation keys, which serve many requests"


def excluded(kind: str, layers: Collection[str]) -> str:
    """What predictions of a phase in these layers leave out; "" for nothing."""
    if "aggregation" in layers:
        return _KEYS_LEFT_OUT if kind == "infer" else ""
    left_out = _LEFT_OUT if kind in SERVED else ""
    return left_out + _PROOFS_LEFT_OUT if left_out and "proofs" in layers else left_out


@dataclass(frozen=True)
class Estimate:
    """``proven``: what is done after a pass, where answers are proven."""

    ms: float
    bytes: int
    proven: proving.Proven | None = None

    @property
    def whole_ms(self) -> float:
        """With what is done afterwards, when nobody waits."""
        return self.ms + (self.proven.ms if self.proven else 0.0)


def estimate(
    phase: Phase,
    chosen: Mapping[str, str],
    policy: Policy,
    costs: Costs,
    *,
    parameter_set: str = "",
    at_once: int | None = None,
) -> Estimate:
    """``chosen``: layer -> backend. ``parameter_set``: what rows are computed on in, where they are encrypted, one of
    ``encrypted.PARAMETER_SETS`` for the backend. ``at_once``: how many silos work at the same time, where not each of
    them has a machine of its own. ``PolicyInvalid`` when the costs lack a figure for one of the backends."""
    transport = costs.of_transport(chosen["transport"]) if "transport" in chosen else None
    if phase.kind == "audit":
        return Estimate(phase.batch * costs.log_append_ms, 0)
    if phase.kind == "transport" and transport:
        ms = phase.silos * (transport.handshake_ms + transport.message_ms.at(phase.message_bytes))
        return Estimate(ms, round(phase.silos * (transport.handshake_bytes + phase.message_bytes)))
    if phase.kind in FEDERATED and "aggregation" in chosen:
        parts = _of_a_round(phase, chosen, policy, costs, at_once)
        besides = {"collect": costs.rounds.collect_ms, "aggregate": costs.rounds.aggregate_ms}
        rest = besides.get(phase.kind, costs.rounds.keys_ms).at(phase.silos)
        return Estimate(parts.ms + rest, parts.bytes)
    sets = encrypted.PARAMETER_SETS.get((phase.kind, chosen.get("aggregation", "")), ())
    if parameter_set not in (sets or ("",)):
        raise AssertionError(f"no estimate for a {phase.kind} phase under {dict(chosen)} in {parameter_set!r}")
    if sets:
        ms, sent, back = _encrypted(phase, costs, parameter_set)
        moved = Estimate(0.0, sent + back)
        if "enclave" in chosen and transport:
            moved = _exchanged(sent, back, transport, costs.of_serving(chosen["transport"]))
        elif transport:
            moved = Estimate(transport.message_ms.at(sent) + transport.message_ms.at(back), sent + back)
        passes = phase.batch if phase.kind == "infer" else 1
        return Estimate(passes * (ms + moved.ms), passes * moved.bytes)
    if phase.kind in SERVED and transport:
        served = _served(phase, transport, costs.of_serving(chosen["transport"]))
        return _proven(served, phase, policy, costs.of_answers(chosen["proofs"])) if "proofs" in chosen else served
    raise AssertionError(f"no estimate for a {phase.kind} phase under {dict(chosen)}")


def _of_a_round(phase: Phase, chosen: Mapping[str, str], policy: Policy, costs: Costs, at_once: int | None) -> Estimate:
    bits, backend = policy.limits.value_bits, chosen["aggregation"]
    # What a sum is released by is signed and verified, whatever the phase's own layers are.
    transport = costs.of_transport(chosen.get("transport", CHANNELS))
    scheme = costs.of_aggregation(backend, bits)
    proofs = costs.of_proofs(chosen["proofs"], bits) if "proofs" in chosen else None
    if phase.kind == "aggregate":
        return _aggregate(phase, transport, scheme)
    if phase.kind == "keys":
        return _keys(phase, transport, scheme, proofs)
    # The aggregator verifies as many proofs at once as it has threads, each in one of them.
    single = costs.of_proofs(chosen["proofs"], bits, threads=1) if proofs else None
    turns = ceil(phase.silos / costs.threads)
    waves = 1 if at_once is None else ceil(phase.silos / at_once)
    verify_ms = turns * single.verify_ms.at(phase.parameters) if single else 0.0
    return _collect(phase, transport, scheme, proofs, verify_ms=verify_ms, waves=waves)


def _collect(
    phase: Phase,
    transport: TransportCosts,
    scheme: AggregationCosts,
    proofs: ProofCosts | None,
    *,
    verify_ms: float,
    waves: int,
) -> Estimate:
    """A silo verifies the offer twice, before it trains and before it sends, and its own proof before others do."""
    values, silos = phase.parameters, phase.silos
    message = scheme.ciphertext_bytes.at(values) + transport.statement_bytes + transport.sealed_bytes
    at_silo = 2 * transport.verify_ms + scheme.encrypt_ms.at(values) + transport.seal_ms + transport.sign_ms
    if proofs:
        message += proofs.proof_bytes.at(values)
        at_silo += proofs.prove_ms.at(values) + proofs.verify_ms.at(values)
    at_aggregator = silos * (transport.message_ms.at(message) + transport.verify_ms) + verify_ms
    return Estimate(waves * at_silo + at_aggregator, round(silos * message))


def _aggregate(phase: Phase, transport: TransportCosts, scheme: AggregationCosts) -> Estimate:
    """The sum is released, with a receipt for each silo from one signature; a silo verifies what it takes."""
    statements = 2 * transport.sign_ms + 5 * transport.verify_ms
    ms = phase.silos * scheme.add_ms.at(phase.parameters) + scheme.decrypt_ms.at(phase.parameters) + statements
    sent = phase.silos * (phase.parameters * BYTES_OF_A_MEAN + transport.statement_bytes)
    return Estimate(ms, round(sent))


def _keys(phase: Phase, transport: TransportCosts, scheme: AggregationCosts, proofs: ProofCosts | None) -> Estimate:
    """The keeper verifies whose round it is, whose keys these are and who has confirmed; each silo what it confirms."""
    silos = phase.silos
    open_ms = transport.open_ms + (proofs.check_key_ms if proofs else 0.0)
    statements = SIGNED * transport.sign_ms + (VERIFIED + VERIFIED_EACH * silos) * transport.verify_ms
    ms = statements + silos * open_ms + scheme.combine_ms.at(silos)
    # To the keeper, of each silo: its key, its contribution's statement, its confirmation, and what that is about.
    sent = silos * (scheme.key_bytes + transport.sealed_bytes + 3 * transport.statement_bytes)
    return Estimate(ms + transport.message_ms.at(sent), round(sent))


def _encrypted(phase: Phase, costs: Costs, parameter_set: str) -> tuple[float, int, int]:
    """Milliseconds of key holder and computing party, and bytes to this one and back; of one row of a network."""
    if phase.kind == "infer":
        network = costs.of_networks(parameter_set)
        ms = network.row_ms.at(encrypted.rotations(phase, network.slots))
        return ms, round(network.row_bytes), round(network.answer_bytes)
    of_set = costs.of_homomorphic(parameter_set)
    return (encrypted.work_ms(phase, of_set), *encrypted.sent_bytes(phase, of_set))


def _served(phase: Phase, transport: TransportCosts, serving: ServingCosts) -> Estimate:
    """A table is asked about in one request."""
    if phase.kind == "infer":
        one = _exchanged(phase.message_bytes, phase.message_bytes, transport, serving)
        return Estimate(phase.batch * one.ms, phase.batch * one.bytes)
    columns, sums, _ = encrypted.shape(phase)
    asked = 2 if phase.kind == "count" else columns  # two columns of categories
    return _exchanged(
        phase.batch * asked * BYTES_OF_A_NUMBER, (sums or phase.batch) * BYTES_OF_A_NUMBER, transport, serving
    )


def _proven(served: Estimate, phase: Phase, policy: Policy, answers: AnswerCosts) -> Estimate:
    """In audit mode, and a share of the answers proven afterwards."""
    ms = served.ms + proving.recorded_ms(phase, answers)
    return Estimate(ms, served.bytes, proving.predicted(phase, policy, answers))


def _exchanged(asked: float, answered: float, transport: TransportCosts, serving: ServingCosts) -> Estimate:
    """One request of so many bytes, and its answer."""
    each = (asked + answered) / 2  # costs are by the bytes that request and answer each have
    sent = serving.exchange_bytes.at(each) + serving.receipt_bytes
    added = serving.exchange_ms.at(each) + serving.receipt_ms.at(each) + serving.around_ms.at(each)
    # There and back, as a message and its acknowledgement are.
    return Estimate(added + transport.message_ms.at(sent), round(sent))


__all__ = ["Estimate", "estimate", "excluded"]
