"""What the parties of a round do besides the parts that the planner's costs are made of: encoding, state, logs,
evidence, and whatever the parts take more where other work lies between them.

Rounds of two numbers of silos are run as the benches of whole workloads run them; of each phase, what is predicted from
the parts is taken away.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from quatrefoil.bench.runs.cases import built_in
from quatrefoil.bench.runs.links import linked
from quatrefoil.bench.runs.rounds import Training, run_rounds
from quatrefoil.demo.data import Labelled
from quatrefoil.demo.models import Parameters
from quatrefoil.planner.costs import Costs, Line, RoundCosts
from quatrefoil.planner.estimate import estimate
from quatrefoil.policy import Policy
from quatrefoil.workload import FEDERATED, Phase

SILOS = (3, 8)
PARAMETERS = 545
FEWEST_ROUNDS, MOST_ROUNDS = 5, 40
_POLICY = "hospital-group"
_CHOSEN = {"transport": "pq-tls", "enclave": "software", "aggregation": "additive-rlwe", "proofs": "bounded-update"}

Times = Mapping[int, Mapping[str, float]]
"""By silos and federated kind: milliseconds of one round."""


def measure_around_rounds(costs: Costs, *, seconds: float, progress: Callable[[str], None]) -> Costs:
    """``costs`` with ``rounds``, from rounds for about ``seconds``; unchanged where a part is missing."""
    policy = Policy.load(built_in(_POLICY))
    if not costs.transport or not costs.proofs or not costs.aggregation:
        return costs
    progress(f"rounds of {' and '.join(map(str, SILOS))} silos, whole")
    bare = replace(costs, rounds=RoundCosts(Line(0.0, 0.0), Line(0.0, 0.0), Line(0.0, 0.0)))
    predicted = sum(_predicted(silos, policy, bare)[kind] for silos in SILOS for kind in FEDERATED)
    rounds = min(max(FEWEST_ROUNDS, round(seconds * 1e3 / (3 * predicted))), MOST_ROUNDS)
    return replace(costs, rounds=around_rounds({n: _round_ms(n, rounds, policy) for n in SILOS}, policy, bare))


def around_rounds(measured: Times, policy: Policy, costs: Costs) -> RoundCosts:
    """``costs``: without anything besides the parts."""
    few, many = min(measured), max(measured)
    rest: dict[str, Line] = {}
    for kind in FEDERATED:
        small, large = (max(0.0, measured[n][kind] - _predicted(n, policy, costs)[kind]) for n in (few, many))
        each = max(0.0, (large - small) / (many - few))
        rest[kind] = Line(max(0.0, small - each * few), each)
    return RoundCosts(rest["collect"], rest["aggregate"], rest["keys"])


def _predicted(silos: int, policy: Policy, costs: Costs) -> dict[str, float]:
    return {kind: estimate(_phase(kind, silos), _CHOSEN, policy, costs).ms for kind in FEDERATED}


def _phase(kind: str, silos: int) -> Phase:
    data = "key" if kind == "keys" else "update"
    return Phase(kind, kind, data, 1.0, parameters=0 if kind == "keys" else PARAMETERS, silos=silos)


def _round_ms(silos: int, rounds: int, policy: Policy) -> dict[str, float]:
    """A round is measured after one that is not: what is computed once is in none."""
    nothing = np.zeros((1, 1)), np.zeros(1)
    training = Training({f"silo-{n}": nothing for n in range(silos)}, [np.zeros(PARAMETERS)], _moved)
    with tempfile.TemporaryDirectory(prefix="quatrefoil-calibration-") as folder:
        place = Path(folder)
        (place / "rounds").mkdir()
        with linked(place / "links", policy.channels) as links:
            trained = run_rounds(
                training,
                policy=policy,
                plan=bytes(32),
                aggregation=_CHOSEN["aggregation"],
                proofs=_CHOSEN["proofs"],
                rounds=rounds,
                links=links,
                folder=place / "rounds",
                progress=lambda _: None,
            )
    return {kind: trained.runs[kind].ms / rounds for kind in FEDERATED}


def _moved(parameters: Parameters, _: Labelled) -> Parameters:
    """A step that is no training, and within the policy's bounds."""
    return [array + 0.01 for array in parameters]


__all__ = ["around_rounds", "measure_around_rounds"]
