"""The attacks of ``quatrefoil demo --attack``, each on the hospitals' data and the layers as they run."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from quatrefoil import api
from quatrefoil.aggregation import AdditiveAggregation, ParameterSet
from quatrefoil.contracts import SumShape
from quatrefoil.demo import attacks, baselines, job, models
from quatrefoil.demo.attacks import Outcome
from quatrefoil.demo.baselines import CLIP
from quatrefoil.demo.data import load_hospitals, split_all
from quatrefoil.demo.flow import built_in, workload_for
from quatrefoil.demo.models import Arrays, Parameters
from quatrefoil.errors import PolicyError
from quatrefoil.policy import Policy

VICTIM = "switzerland"


def aggregation() -> Outcome:
    """The aggregator receives updates in the clear."""
    hospital = load_hospitals()[VICTIM]
    start = job.initial()
    record = (hospital.features[:1], hospital.labels[:1])
    update = models.difference(baselines.train_round(start, record), start)
    return attacks.read_plain_update(hospital, start, _encrypt(update))


def transport() -> Outcome:
    """Envelopes are sealed classically."""
    return attacks.harvest_now_decrypt_later(secrets.token_bytes(32))


def roster() -> Outcome:
    """Rosters may change by one hospital between rounds."""
    splits = split_all(load_hospitals(), 0)
    start = job.initial()
    updates = {name: models.difference(baselines.train_round(start, s.train), start) for name, s in splits.items()}
    counts = {name: len(split.train[1]) for name, split in splits.items()}
    weighted = {name: [counts[name] * array for array in update] for name, update in updates.items()}
    everyone = _sum([weighted[name] for name in splits])
    without_victim = _sum([weighted[name] for name in splits if name != VICTIM])
    outcome = attacks.subtract_two_sums(everyone, without_victim, weighted[VICTIM], splits[VICTIM].train[0])
    return replace(outcome, with_layer={**outcome.with_layer, "second_roster": _refusal_of_second_roster()})


def keeper() -> Outcome:
    """The keeper helps the aggregator."""
    train = split_all(load_hospitals(), 0)[VICTIM].train
    start = job.initial()
    update = models.difference(baselines.train_round(start, train), start)
    shape = SumShape(length=sum(array.size for array in start), clip=CLIP, context=bytes(32))
    return attacks.collude_with_keeper(_kernel(), update, train[0], shape=shape)


def poison() -> Outcome:
    """One hospital sends -10 times its update."""
    splits = split_all(load_hospitals(), 0)
    held_out = tuple(np.concatenate([split.test[part] for split in splits.values()]) for part in (0, 1))
    return attacks.poison_the_mean(job.initial(), [s.train for s in splits.values()], (held_out[0], held_out[1]))


ATTACKS: Mapping[str, Callable[[], Outcome]] = {
    "aggregation": aggregation,
    "keeper": keeper,
    "poison": poison,
    "roster": roster,
    "transport": transport,
}


def _kernel() -> AdditiveAggregation:
    return AdditiveAggregation(ParameterSet.named("sum-256-w16"))


def _encrypt(update: Arrays) -> bytes:
    vector = np.concatenate([array.ravel() for array in update])
    shape = SumShape(length=len(vector), clip=CLIP, context=secrets.token_bytes(32))
    return _kernel().encrypt(np.clip(vector, -CLIP, CLIP), weight=1.0, shape=shape).ciphertext


def _sum(updates: list[Parameters]) -> Parameters:
    return [np.sum(arrays, axis=0) for arrays in zip(*updates, strict=True)]


def _refusal_of_second_roster() -> str:
    """What the keeper answers when a round leaves the victim out after one that had it."""
    splits = split_all(load_hospitals(), 0)
    start = job.initial()
    try:
        api.run(
            workload_for(start),
            Policy.load(built_in("policy.toml")),
            train=baselines.train_round,
            data={name: split.train for name, split in splits.items()},
            initial=start,
            away={2: [VICTIM]},
        )
    except PolicyError as refusal:
        return f"refused: {refusal.problem}"
    return "answered"
