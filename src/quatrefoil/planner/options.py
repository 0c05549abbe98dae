"""What a phase can use under one policy on one host: which backends, in which combinations, at what cost.

``routing`` picks from it the cheapest combination that answers everything; ``blanket`` the one that it is told to use.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product

from quatrefoil.planner import encrypted, fitting, proving, requirements, threats
from quatrefoil.planner.availability import Availability
from quatrefoil.planner.costs import Costs
from quatrefoil.planner.estimate import Estimate, estimate
from quatrefoil.policy import ISOLATING, LAYERS, PROVEN_ANSWERS, STAND_INS, Policy
from quatrefoil.workload import FEDERATED, Phase, Workload

SHARED = "aggregation"
"""The layer whose backend is one for all phases of a round: what one silo encrypts the others must be able to add."""

STAND_IN_OF = {key: name for name, key in STAND_INS.items()}


@dataclass(frozen=True)
class Choice:
    """Backends for one phase, and the parameter set that it computes on rows in, "" where they are not encrypted.
    ``rank`` orders acceptable choices, the best first."""

    backends: Mapping[str, str]
    parameter_set: str
    cost: Estimate

    @property
    def rank(self) -> tuple[int, int, float, int, int, tuple[str, ...], str]:
        stand_ins = sum(pair in STAND_IN_OF for pair in self.backends.items())
        names, cost = tuple(self.backends.values()), self.cost
        return stand_ins, int(self.is_open), cost.whole_ms, cost.bytes, len(self.backends), names, self.parameter_set

    @property
    def is_open(self) -> bool:
        """Whether a keeper or a server is used that nothing isolates from its host."""
        return "enclave" in self.backends and self.backends["enclave"] not in ISOLATING


@dataclass(frozen=True)
class Options:
    """``parameters``: values in an update of the workload, 0 where it has no rounds."""

    policy: Policy
    costs: Costs
    available: Availability
    parameters: int
    _tried: dict[tuple[str, str], tuple[Choice, ...]] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, workload: Workload, policy: Policy, costs: Costs, available: Availability) -> Options:
        updates = [phase.parameters for phase in workload.phases if phase.kind in FEDERATED]
        return cls(policy, costs, available, max(updates, default=0))

    def shared(self, workload: Workload) -> tuple[str, ...]:
        """The backends that the rounds of ``workload`` may share; "" alone where it has none, or nothing fits."""
        rounds = [phase for phase in workload.phases if phase.kind == "aggregate"]
        return self.usable(rounds[0], SHARED) if rounds and self.usable(rounds[0], SHARED) else ("",)

    def usable(self, phase: Phase, layer: str, shared: str = "") -> tuple[str, ...]:
        """Backends of ``layer`` that are allowed, there, and fit for the phase, the policy and the workload (with the
        ``shared`` backend, where one is given). Policies hold allowed to be accepted."""
        return tuple(b for b in self.policy.allow.of(layer) if not self.hindrance(phase, layer, b, shared))

    def candidates(self, phase: Phase, shared: str) -> tuple[Choice, ...]:
        """Every combination that holds the needed layers; other layers come in only where they answer something."""
        key = phase.name, shared if phase.kind in FEDERATED else ""
        if key not in self._tried:
            self._tried[key] = tuple(self._combined(phase, key[1]))
        return self._tried[key]

    def _combined(self, phase: Phase, shared: str) -> Iterator[Choice]:
        routes = threats.routes(phase)
        options: list[tuple[str, ...]] = []
        for layer in LAYERS:
            usable = self.usable(phase, layer, shared)
            if layer == SHARED and phase.kind in FEDERATED:
                usable = (shared,) if shared else ()
            if layer in threats.NEEDED[phase.kind] or routes == (layer,):
                options.append(usable)
            elif layer in routes:
                options.append(("", *usable))
            else:
                options.append(("", *(b for b in usable if threats.answers(layer, b, phase.kind))))
        for combination in product(*options):
            backends = {layer: b for layer, b in zip(LAYERS, combination, strict=True) if b}
            ways = [layer for layer in routes if layer in backends]
            if routes and "proofs" in backends and ways != ["enclave"]:
                continue  # nothing proves what is computed on ciphertexts
            # Of two ways each has to answer something: what only measures a machine adds nothing to ciphertexts.
            if not routes or len(ways) == 1 or (ways and all(_answers(phase, backends, way) for way in ways)):
                yield from self.choices(phase, backends)

    def choices(self, phase: Phase, backends: Mapping[str, str]) -> tuple[Choice, ...]:
        """``backends``, in each parameter set that ``phase`` fits."""
        sets = fitting.fitting_sets(phase, backends.get(SHARED, "")) or ("",)
        return tuple(Choice(backends, name, self._priced(phase, backends, name)) for name in sets)

    def nearest(self, phase: Phase, backends: Mapping[str, str]) -> Choice:
        """The one of :meth:`choices` that is taken where one is acceptable, and else what a refusal is about."""
        return min(self.choices(phase, backends), key=lambda choice: self.distance(phase, choice))

    def distance(self, phase: Phase, choice: Choice) -> tuple[float, int, tuple[object, ...]]:
        """From being acceptable: a refusal gives the error of the finest set, and the time of one that is exact."""
        return self.excess(phase, choice), len(self.shortfall(phase, choice)), choice.rank

    def excess(self, phase: Phase, choice: Choice) -> float:
        """The error of the answer, where that is more than is asked for; else 0."""
        error = requirements.largest_error(phase, choice.backends, choice.parameter_set, self.policy)
        return error if error > phase.largest_error else 0.0

    def _priced(self, phase: Phase, backends: Mapping[str, str], parameter_set: str) -> Estimate:
        return estimate(phase, backends, self.policy, self.costs, parameter_set=parameter_set)

    def named(self, phase: Phase) -> list[str]:
        """Threats that must be answered in ``phase``."""
        return [t for t in threats.exposed(phase.kind, phase.data, phase.site) if t in self.policy.threats]

    def unanswered(self, phase: Phase, choice: Choice) -> list[str]:
        """Named threats that ``choice`` leaves open."""
        answered = threats.answered(phase.kind, choice.backends)
        return [threat for threat in self.named(phase) if threat not in answered]

    def broken(self, phase: Phase, choice: Choice) -> list[str]:
        """Requirements that ``choice`` does not keep to."""
        out = requirements.broken(phase, choice.backends, choice.parameter_set, choice.cost, self.policy)
        if self.excess(phase, choice):
            sets = encrypted.PARAMETER_SETS.get((phase.kind, choice.backends.get(SHARED, "")), ())
            finer = sets[sets.index(choice.parameter_set) + 1 :] if sets else ()
            out += [f"does not fit {name}: {why}" for name in finer if (why := fitting.misfit(phase, name))]
        return out

    def shortfall(self, phase: Phase, choice: Choice) -> list[str]:
        """What keeps ``choice`` from being acceptable."""
        open_threats = [f"leaves {threat} unanswered" for threat in self.unanswered(phase, choice)]
        return open_threats + self.broken(phase, choice)

    def limit_fault(self, phase: Phase, shared: str) -> str:
        """A number of the workload that the policy or the parameters do not hold; "" for none."""
        if phase.kind not in FEDERATED:
            return ""
        limits = self.policy.limits
        if phase.silos < limits.minimum_silos:
            return f"has {phase.silos} silos, and the policy asks for at least {limits.minimum_silos}"
        if phase.rounds > limits.rounds:
            return f"has {phase.rounds} rounds, and the policy allows {limits.rounds}"
        largest = self.available.largest_roster[shared, limits.value_bits] if shared else phase.silos
        if phase.silos > largest:
            return f"has {phase.silos} silos, and {shared} adds at most {largest} at {limits.value_bits} bits"
        return ""

    def hindrance(self, phase: Phase, layer: str, backend: str, shared: str) -> str:
        """Why ``backend`` cannot be used in ``phase`` at all, with the ``shared`` one if that is given; "" when it
        can."""
        if missing := self.available.missing(phase.kind, layer, backend):
            return missing
        if layer == SHARED and (unfit := self.unfit(phase, backend)):
            return unfit
        if backend not in self.policy.allow.of(layer):
            return "the policy does not allow it"
        if layer == "enclave":
            return fitting.unserved(phase, self.policy)
        if backend == PROVEN_ANSWERS:
            return proving.unprovable(phase, self.policy)
        if layer == "proofs" and phase.kind not in FEDERATED:
            return f"it does nothing in {phase.kind} phases"
        return self.proof_hindrance(backend, shared) if layer == "proofs" else ""

    def unfit(self, phase: Phase, backend: str) -> str:
        """Why an aggregation backend does not do what ``phase`` is about; "" when it does."""
        if backend not in threats.COMPUTING.get(phase.kind, ()):
            return f"it does nothing in {phase.kind} phases"
        if phase.kind in FEDERATED:
            bits = self.policy.limits.value_bits
            there = (backend, bits) in self.available.largest_roster
            return "" if there else f"it adds no updates of {bits} bits"
        return fitting.uncomputed(phase, backend)

    def proof_hindrance(self, backend: str, shared: str) -> str:
        """What of the policy or the workload cannot be proven; "" when all of it can."""
        limits = self.policy.limits
        proven = sorted(bits for name, bits in self.available.largest_proof if name == backend)
        if limits.value_bits not in proven:
            known = " and ".join(map(str, proven))
            return f"it proves values of {known} bits, and limits.value_bits is {limits.value_bits}"
        if math.isinf(limits.update_norm):
            return "the policy gives no limits.update_norm to prove"
        largest = self.available.largest_proof[backend, limits.value_bits]
        if self.parameters > largest:
            return f"one proof is about at most {largest} values at {limits.value_bits} bits, not {self.parameters}"
        if shared and shared not in threats.PROVABLE[backend]:
            return f"nothing can be proven of sums by {shared}"
        return ""


def _answers(phase: Phase, backends: Mapping[str, str], layer: str) -> bool:
    return bool(threats.answers(layer, backends[layer], phase.kind))


__all__ = ["SHARED", "STAND_IN_OF", "Choice", "Options"]
