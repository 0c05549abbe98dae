"""The hospitals' training with one that poisons it, without proofs and with them: real rounds, at 16 bits a value."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from quatrefoil.demo import baselines
from quatrefoil.demo.attacks.poison import PoisoningSilo, poisoned
from quatrefoil.demo.baselines import ROUNDS
from quatrefoil.demo.models import Arrays, Parameters
from quatrefoil.demo.result import Poisoned, PoisonedTraining
from quatrefoil.demo.scene import Scene, honest
from quatrefoil.errors import PeerError
from quatrefoil.policy import PROVEN, Policy

POISONING = "cleveland"

NORM = 1.5
"""The bound. The longest update of an honest hospital is about 1.4, in the first round; later ones are under 0.9."""


def poison_both(scene: Scene, *, rounds: int = ROUNDS) -> Poisoned:
    """The same poisoned training twice."""
    without, proven = (train(scene, proofs=proofs, attacker=POISONING, rounds=rounds) for proofs in (False, True))
    return Poisoned(POISONING, without, proven)


def policy_with(policy: Policy, *, proofs: bool) -> Policy:
    """``policy`` at 16 bits a value, and with the threat that proofs answer or without it."""
    threats = {*policy.threats, PROVEN} if proofs else {*policy.threats} - {PROVEN}
    limits = replace(policy.limits, value_bits=16, update_norm=NORM)
    return replace(policy, threats=tuple(sorted(threats)), limits=limits)


def train(scene: Scene, *, proofs: bool, attacker: str | None, rounds: int = ROUNDS) -> PoisonedTraining:
    """A job of the hospitals in this process; ``attacker`` poisons every round, with software that lies for it."""
    refused: set[str] = set()

    def note(name: str, _: PeerError) -> None:
        refused.add(name)

    def train_silo(name: str, model: Arrays) -> Parameters:
        trained = honest(name, model, scene.train[name])
        return poisoned(model, trained) if name == attacker else trained

    kinds = {} if attacker is None else {attacker: PoisoningSilo}
    with tempfile.TemporaryDirectory() as folder:
        policy = policy_with(scene.policy, proofs=proofs)
        job = scene.local_job(Path(folder), policy=policy, rounds=rounds, kinds=kinds)
        for _ in range(rounds):
            job.run_round(train_silo, on_refused=note)
    return PoisonedTraining(baselines.score(job.aggregator.model, scene.held_out), tuple(sorted(refused)))
