"""What malicious silos cost a model in accuracy, by attack and by defence: encrypted with proofs, and in the clear.

Trainings are simulated in the clear: the norm that a proof shows is checked by the bound that the round computes, and
honest silos keep within it as silos of a round do. For every attack one update goes through the real encryption, prover
and verifier too, and has to end as the simulation says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quatrefoil.bench.byzantine_attacks import ADAPTIVE, ATTACKS, Turn
from quatrefoil.bench.byzantine_defences import DEFENCES, SEES_UPDATES
from quatrefoil.bench.byzantine_norms import RULE, Norms
from quatrefoil.bench.byzantine_worlds import CLIP, WORLDS, Vector, World
from quatrefoil.demo.fidelity import kept_within
from quatrefoil.errors import HostError, ParametersRefused
from quatrefoil.federation.directions import entries_of
from quatrefoil.federation.holding import Bounds
from quatrefoil.federation.norms import AdaptiveRule

ROUNDS = 15
SEEDS = 5


def measure_byzantine(
    rounds: int, seeds: int, progress: Callable[[str], None], *, adaptive: AdaptiveRule = RULE
) -> dict[str, Any]:
    """``rows``: one for each world, attack and defence, over ``seeds`` draws. ``proofs``: see :func:`_proven`.

    ``accuracy``: the mean, with ``lowest``, ``highest`` and the standard deviation ``spread``. ``cost``: how much it is
    below the plain mean that nobody attacks. ``refused``: the share of malicious contributions that were refused, of
    all rounds; ``honest_refused`` that of honest ones. ``sees_updates``: whether the defence needs them in the clear.
    """
    if rounds < 1 or seeds < 1:
        raise ParametersRefused(
            f"{rounds} rounds and {seeds} seeds measure nothing", hint="Choose at least one round and one seed"
        )
    rows: list[dict[str, Any]] = []
    proofs: list[dict[str, Any]] = []
    for name, draw in WORLDS.items():
        drawn = [draw(seed) for seed in range(seeds)]
        progress(f"{name}: one real proof for each attack")
        proofs += _proven(name, drawn[0])
        progress(f"{name}: {len(ATTACKS) * len(DEFENCES) * seeds} trainings of {rounds} rounds")
        rows += _rows(name, drawn, rounds, adaptive)
    settings = {"rounds": rounds, "seeds": seeds, "adaptive_factor": adaptive.factor, "adaptive_floor": adaptive.floor}
    return {**settings, "rows": rows, "proofs": proofs}


def _rows(name: str, drawn: list[World], rounds: int, rule: AdaptiveRule) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for attack in ATTACKS:
        for defence in DEFENCES:
            results = [_train(world, attack, defence, rounds, seed, rule) for seed, world in enumerate(drawn)]
            accuracies = [result.accuracy for result in results]
            mean = float(np.mean(accuracies))
            rows.append(
                {
                    "world": name,
                    "attack": attack,
                    "defence": defence,
                    "sees_updates": defence in SEES_UPDATES,
                    "accuracy": mean,
                    "lowest": min(accuracies),
                    "highest": max(accuracies),
                    "spread": float(np.std(accuracies)),
                    "cost": rows[0]["accuracy"] - mean if rows else 0.0,
                    "refused": float(np.mean([result.refused for result in results])),
                    "honest_refused": float(np.mean([result.honest_refused for result in results])),
                }
            )
    return rows


@dataclass(frozen=True)
class _Trained:
    accuracy: float
    refused: float
    honest_refused: float


def _train(world: World, attack: str, defence: str, rounds: int, seed: int, rule: AdaptiveRule) -> _Trained:
    combine, proven = DEFENCES[defence]
    random = np.random.default_rng([seed, 1])
    model, shares, norm, direction = world.start, world.shares, world.norm, b""
    refusals = np.zeros((rounds, len(shares)), bool)
    for number in range(rounds):
        updates = _contributions(world, model, attack, norm, random, direction)
        if proven is not None:
            refusals[number] = [
                Norms(len(model), share).refuses(update, norm, direction)
                for update, share in zip(updates, shares, strict=True)
            ]
        taken = ~refusals[number]
        mean = combine(updates[taken], shares[taken], len(world.malicious))
        model = model + mean
        if proven == "adaptive":
            norm = rule.following(norm, mean, policy_norm=world.norm)
        if proven == "directed":
            direction = entries_of(mean).astype("<i2").tobytes()
    malicious = np.isin(np.arange(len(shares)), list(world.malicious))
    found = (float(refusals[:, who].mean()) for who in (malicious, ~malicious))
    return _Trained(world.accuracy(model), *found)


def _contributions(
    world: World, model: Vector, attack: str, norm: float, random: np.random.Generator, direction: bytes = b""
) -> NDArray[np.float64]:
    """What every silo sends: silos x values. Whoever is honest keeps within all that is in force."""
    honest = [_held(world.train(model, data) - model, norm, direction) for data in world.silos]
    if attack == "none":
        return np.stack(honest)
    common: Vector = np.mean([honest[silo] for silo in sorted(world.malicious)], axis=0)
    sent = list(honest)
    for silo in sorted(world.malicious):
        turn = Turn(
            own=honest[silo],
            flipped=partial(_label_flipped, world, model, silo, norm, direction),
            common=common,
            norms=Norms(len(model), float(world.shares[silo])),
            norm=norm,
            random=random,
            direction=direction,
        )
        sent[silo] = ATTACKS[attack](turn)
    return np.stack(sent)


def _held(update: Vector, norm: float, direction: bytes) -> Vector:
    """As the software of an honest silo holds an update to the bounds of a round."""
    kept = kept_within(update, clip=CLIP, norm=norm)
    return np.asarray(Bounds(CLIP, norm, direction=direction).hold(kept), np.float64) if direction else kept


def _label_flipped(world: World, model: Vector, silo: int, norm: float, direction: bytes) -> Vector:
    """It runs the honest software, which keeps within the bounds, on other labels."""
    return _held(world.train(model, world.flip(world.silos[silo])) - model, norm, direction)


def _proven(name: str, world: World) -> list[dict[str, Any]]:
    """What the first malicious silo sends from the first model, by attack, through encryption, prover and verifier.

    ``norm`` of the update, ``update_norm`` of the policy, ``directed``: whether it also has to agree with the mean that
    honest silos lead to, and ``proof``: ``verified`` or ``refused``. ``HostError`` where that is not what the
    simulation takes it for: then none of its figures says anything.
    """
    rows: list[dict[str, Any]] = []
    silo = min(world.malicious)
    norms = Norms(len(world.start), float(world.shares[silo]))
    honest = _contributions(world, world.start, "none", world.norm, np.random.default_rng(0))
    mean = entries_of(world.shares @ honest / world.shares.sum()).astype("<i2").tobytes()
    for direction, attack in ((direction, attack) for direction in (b"", mean) for attack in ATTACKS):
        update = _contributions(world, world.start, attack, world.norm, np.random.default_rng(0), direction)[silo]
        found = norms.by_proof(update, world.norm, direction)
        if (found == "refused") != norms.refuses(update, world.norm, direction):
            raise HostError(
                f"the proof of a {attack} update in {name} is {found}, which the simulation does not say",
                hint="Report this: the proofs and the bound do not agree",
            )
        length = float(np.linalg.norm(update))
        stated = {"norm": length, "update_norm": world.norm, "directed": direction != b""}
        rows.append({"world": name, "attack": attack, **stated, "proof": found})
    return rows


def adaptive_cost(rows: Sequence[Mapping[str, Any]], world: str, defence: str) -> float:
    """What the worse attacker just under the bound costs in a world, over the same defence without an attack."""
    found = {row["attack"]: row["accuracy"] for row in rows if (row["world"], row["defence"]) == (world, defence)}
    return float(found["none"] - min(found[attack] for attack in ADAPTIVE))


__all__ = ["ROUNDS", "SEEDS", "adaptive_cost", "measure_byzantine"]
