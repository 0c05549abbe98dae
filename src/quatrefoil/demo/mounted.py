"""The attacks of ``quatrefoil demo --attack``, each on the hospitals' data and on the layers as they run."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from quatrefoil.aggregation import AdditiveAggregation, ParameterSet
from quatrefoil.contracts import SumShape, TransportSecurity
from quatrefoil.demo import attacks, baselines, models, poisoning
from quatrefoil.demo.attacks import CuriousKeeper, Outcome
from quatrefoil.demo.baselines import CLIP, ROUNDS
from quatrefoil.demo.data import Labelled
from quatrefoil.demo.scene import Scene, Seen, flat, honest
from quatrefoil.errors import PolicyError
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import shape_of
from quatrefoil.federation.messages import RoundOffer
from quatrefoil.policy import PARAMETER_SETS, Policy
from quatrefoil.transport import CertificateAuthority, PostQuantumTransport, system_clock

LONE = "cleveland"
"""The hospital that trains on a single patient where an attack is on a record; its records have few gaps."""

LEAVING = "switzerland"


def aggregation() -> Outcome:
    """The aggregator receives updates in the clear."""
    scene = Scene.load()
    data = {**scene.train, LONE: _first(scene.train[LONE])}
    plain, encrypted = Seen(), Seen()
    scene.run(plain, policy=_in_the_clear(scene.policy), data=data, rounds=1)
    scene.run(encrypted, data=data, rounds=1)
    received = [parts.split(seen.messages[LONE], 4)[2] for seen in (plain, encrypted)]
    return attacks.read_what_arrives(data[LONE][0][0], scene.start, plain=received[0], encrypted=received[1])


def transport() -> Outcome:
    """Envelopes are sealed classically."""
    scene = Scene.load()
    record = _first(scene.train[LONE])
    update = models.difference(baselines.train_round(scene.start, record), scene.start)
    shape = SumShape(length=len(flat(update)), clip=CLIP, context=secrets.token_bytes(32))
    with tempfile.TemporaryDirectory() as folder:
        authority = CertificateAuthority.create(Path(folder) / "ca", "demo", clock=system_clock)
        silo = PostQuantumTransport(authority.issue(LONE, "silo"), authority.trust, clock=system_clock)
        return attacks.harvest_now_decrypt_later(silo, _kernel(scene.policy), update, record[0][0], shape=shape)


def roster() -> Outcome:
    """Rosters may change by one hospital between rounds."""
    scene = Scene.load()
    away = {ROUNDS: [LEAVING]}
    loose = replace(scene.policy, limits=replace(scene.policy.limits, minimum_roster_group=1))
    seen = Seen()
    scene.run(seen, policy=loose, away=away)
    model = seen.models[ROUNDS - 1]
    return attacks.subtract_two_means(
        LEAVING,
        {name: len(labels) for name, (_, labels) in scene.train.items()},
        everyone=seen.means[ROUNDS - 1],
        without_victim=seen.means[ROUNDS],
        truth=flat(models.difference(honest(LEAVING, model, scene.train[LEAVING]), model)),
        refusal=_refusal(scene, away),
    )


def keeper() -> Outcome:
    """The keeper helps the aggregator."""
    scene = Scene.load()
    received: dict[str, bytes] = {}
    curious: list[CuriousKeeper] = []

    def corrupt(security: TransportSecurity) -> CuriousKeeper:
        curious.append(CuriousKeeper(security))
        return curious[0]

    with tempfile.TemporaryDirectory() as folder:
        job = scene.local_job(Path(folder), keeper=corrupt)
        finished = job.run_round(
            lambda name, model: honest(name, model, scene.train[name]), on_message=received.__setitem__
        )
    trained = {name: baselines.train_round(scene.start, data) for name, data in scene.train.items()}
    weights = {name: len(labels) for name, (_, labels) in scene.train.items()}
    return attacks.collude_with_keeper(
        _kernel(scene.policy),
        ciphertexts={name: parts.split(message, 4)[2] for name, message in received.items()},
        keys=curious[0].keys,
        sent={
            name: flat(models.difference(new, scene.start)) * weights[name] / max(weights.values())
            for name, new in trained.items()
        },
        shape=shape_of(RoundOffer.decode(curious[0].verify(finished.offer).body).context),
    )


def poison() -> Outcome:
    """One hospital sends -10 times its update."""
    scene = Scene.load()
    both = poisoning.poison_both(scene)
    return attacks.poison_the_model(
        both.name,
        rounds=ROUNDS,
        norm=poisoning.NORM,
        honest=poisoning.train(scene, proofs=True, attacker=None).score,
        ruined=both.without_proofs.score,
        proven=both.with_proofs.score,
        refused=both.refused,
    )


ATTACKS: Mapping[str, Callable[[], Outcome]] = {
    "aggregation": aggregation,
    "keeper": keeper,
    "poison": poison,
    "roster": roster,
    "transport": transport,
}


def _first(data: Labelled) -> Labelled:
    """A hospital with only the first of its patients."""
    return data[0][:1], data[1][:1]


def _kernel(policy: Policy) -> AdditiveAggregation:
    return AdditiveAggregation(ParameterSet.named(PARAMETER_SETS[policy.limits.value_bits]))


def _in_the_clear(policy: Policy) -> Policy:
    """The demo's policy with sums in the clear: two threats are given up, and the stand-in is accepted by name."""
    return replace(
        policy,
        threats=tuple(one for one in policy.threats if one not in ("curious-aggregator", "colluding-silos")),
        allow=replace(policy.allow, aggregation=("plain",)),
        accept_insecure=tuple(sorted({*policy.accept_insecure, "plain-aggregation"})),
    )


def _refusal(scene: Scene, away: Mapping[int, list[str]]) -> str:
    """What the keeper answers under the demo's own policy; empty if it lets the hospital leave."""
    try:
        scene.run(Seen(), away=away)
    except PolicyError as refusal:
        return refusal.problem
    return ""
