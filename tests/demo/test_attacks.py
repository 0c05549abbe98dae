"""Each attack wins without its layer and loses with it; where nothing stops it, the outcome says so.

The layers are the real ones: jobs under real policies, whose messages, published means and refusals are attacked.
"""

import io
import json
import os
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from quatrefoil.aggregation import AdditiveAggregation, ParameterSet
from quatrefoil.contracts import SumShape
from quatrefoil.demo import attacks, baselines, models, mounted, poisoning, report
from quatrefoil.demo.scene import Scene, Seen, flat, honest
from quatrefoil.errors import CallerError, CiphertextRefused, PhaseUnprotected, PolicyInvalid


@pytest.fixture(scope="module")
def aggregation():
    return AdditiveAggregation(ParameterSet.named("sum-256-w16"))


@pytest.fixture(scope="module")
def shape(start):
    return SumShape(length=sum(array.size for array in start), clip=baselines.CLIP, context=os.urandom(32))


@pytest.fixture(scope="module")
def outcomes(scene):
    """Every attack as the command mounts it, once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Scene, "load", lambda: scene)
        return {name: mount() for name, mount in mounted.ATTACKS.items()}


@pytest.mark.parametrize("name", mounted.ATTACKS)
def test_an_outcome_explains_itself_in_twelve_lines(outcomes, name):
    stream = io.StringIO()
    report.render_outcome(Console(file=stream, width=100, highlight=False, color_system=None), outcomes[name])
    lines = stream.getvalue().rstrip("\n").split("\n")
    assert len(lines) <= 12 and all(len(line) <= 100 and line == line.rstrip() for line in lines)
    for heading in ("turned off", "attacker wins", "with it on", "verdict"):
        assert sum(line.startswith(f"  {heading} ") for line in lines) == 1
    content = json.loads(json.dumps(outcomes[name].as_json(), allow_nan=False))
    assert content["name"] == name and content["without"] and content["protected"] is outcomes[name].protected


def test_a_plain_update_is_the_patient_and_a_ciphertext_is_noise(outcomes):
    outcome = outcomes["aggregation"]
    assert outcome.without["psnr_db"] >= 60
    read, true = (outcome.won.split(where)[1].split(", cholesterol")[0] for where in ("received: ", "truth: "))
    assert read == true and read.startswith("age ")
    assert abs(outcome.with_layer["psnr_db"] - outcome.with_layer["chance_psnr_db"]) < 4  # one patient, one draw
    assert outcome.protected


def test_sums_in_the_clear_are_no_route_of_the_demos_policy(scene, policy):
    """What the attack had to give up: without it there is no plan, and no policy."""
    with pytest.raises(PolicyInvalid, match="allows the stand-in 'plain'"):
        replace(policy, allow=replace(policy.allow, aggregation=("plain",)))
    accepted = replace(
        policy,
        allow=replace(policy.allow, aggregation=("plain",)),
        accept_insecure=("plain-aggregation", "software-keeper"),
    )
    with pytest.raises(PhaseUnprotected, match="curious-aggregator"):
        scene.run(Seen(), policy=accepted, rounds=1)


def test_what_does_not_fit_the_scheme_is_not_read(start, train):
    record = train["cleveland"][0][0]
    with pytest.raises(CallerError, match=r"block\(s\)"):
        attacks.read_what_arrives(record, start, plain=bytes(8 * 545), encrypted=bytes(99))
    with pytest.raises(CallerError, match="99 bytes do not hold 545 values"):
        attacks.read_what_arrives(record, start, plain=bytes(99), encrypted=bytes(96 + 8 * 4096))


def test_a_broken_x25519_opens_only_the_classical_envelope(outcomes):
    outcome = outcomes["transport"]
    assert outcome.without["recovered"] is True and outcome.without["bytes_recovered"] == 32
    assert outcome.without["psnr_db"] >= 60, "the key opens the update, and the update is the patient"
    assert outcome.with_layer == {"recovered": False, "bytes_recovered": 0, "keeper_opens": True}
    assert outcome.protected


def test_two_sums_give_one_update_and_one_sum_does_not(outcomes):
    outcome = outcomes["roster"]
    assert outcome.without["relative_error"] < 0.1 and outcome.without["correlation"] > 0.99
    assert outcome.with_layer["relative_error"] > 0.8 and outcome.with_layer["correlation"] < 0.5
    assert "the policy's minimum is 3" in outcome.with_layer["second_roster"] and outcome.protected


def test_a_keeper_that_answers_a_second_roster_is_no_protection():
    counts, truth = {"a": 1, "b": 3}, np.array([1.0, -1.0])
    given = {"everyone": truth / 4, "without_victim": np.zeros(2), "truth": truth}
    answered = attacks.subtract_two_means("a", counts, **given, refusal="")
    assert not answered.protected and answered.with_layer["second_roster"] == "answered"
    assert answered.without["relative_error"] < 1e-12
    assert attacks.subtract_two_means("a", counts, **given, refusal="no").protected


def test_keeper_and_aggregator_together_read_what_the_aggregator_alone_does_not(outcomes):
    outcome = outcomes["keeper"]
    assert outcome.without["updates_read"] == 4 and outcome.without["relative_error"] < 0.01
    assert outcome.with_layer["updates_read"] == 0 and outcome.with_layer["relative_error"] > 0.9
    assert not outcome.protected and "Nothing protects against this here" in outcome.verdict


def test_keys_of_other_contributions_open_nothing(aggregation, shape, updates):
    vectors = {name: flat(update) for name, update in updates.items()}
    sealed = {name: aggregation.encrypt(one, weight=1.0, shape=shape) for name, one in vectors.items()}
    names = list(sealed)
    swapped = {name: bytes(sealed[names[position - 1]].key) for position, name in enumerate(names)}
    shortened = {name: bytes(one.key[:-1]) for name, one in sealed.items()}
    for keys in (swapped, shortened):
        with pytest.raises(CiphertextRefused):
            attacks.collude_with_keeper(
                aggregation,
                ciphertexts={name: one.ciphertext for name, one in sealed.items()},
                keys=keys,
                sent=vectors,
                shape=shape,
            )


def test_one_poisoned_hospital_ruins_the_model(outcomes):
    outcome = outcomes["poison"]
    assert outcome.without["accuracy"] < outcome.without["honest_accuracy"] - 0.1


def test_with_proofs_it_is_refused_by_name_and_honest_training_is_unharmed(outcomes):
    outcome = outcomes["poison"]
    assert outcome.with_layer["refused"] == poisoning.POISONING and outcome.protected
    assert abs(outcome.with_layer["accuracy"] - outcome.without["honest_accuracy"]) < 0.05
    assert "would still be added" in outcome.verdict


def test_proofs_refuse_no_honest_hospital_and_change_no_model(scene):
    with_proofs, without = (poisoning.train(scene, proofs=proofs, attacker=None, rounds=3) for proofs in (True, False))
    assert with_proofs.refused == without.refused == ()
    assert abs(with_proofs.score.auc - without.score.auc) < 1e-3


def test_without_proofs_nobody_is_refused(scene):
    ruined = poisoning.train(scene, proofs=False, attacker=poisoning.POISONING, rounds=1)
    assert ruined.refused == ()


def test_a_defence_that_refuses_somebody_else_is_none():
    score = baselines.Score(0.8, 0.9, 0.5)
    scores = {"honest": score, "ruined": score, "proven": score}
    for refused in ((), ("hungary",), ("cleveland", "hungary")):
        outcome = attacks.poison_the_model("cleveland", rounds=1, norm=1.0, refused=refused, **scores)
        assert not outcome.protected and "was not the one" in outcome.verdict


@pytest.mark.parametrize("position", range(4))
def test_any_hospital_can_poison(splits, start, position):
    silos = [split.train for split in splits.values()]

    def lie(updates, counts, number):
        sent = list(updates)
        sent[position] = attacks.poisoned([np.zeros(array.shape) for array in start], sent[position])
        return baselines.clear_mean(sent, counts, number)

    held_out = tuple(np.concatenate([split.test[part] for split in splits.values()]) for part in (0, 1))
    scores = [
        baselines.score(baselines.federated(start, silos, mean).parameters, held_out).accuracy
        for mean in (baselines.clear_mean, lie)
    ]
    assert scores[1] < scores[0] - 0.1


def test_a_poisoned_update_passes_the_clip_bound(start, train):
    """It is what an encrypted sum accepts: every value within the bound, which is why the bound does not help."""
    trained = honest("hungary", start, train["hungary"])
    sent = models.difference(attacks.poisoned(start, trained), start)
    assert models.largest(sent) <= baselines.CLIP * (1 + 1e-12)
    assert flat(sent) @ flat(models.difference(trained, start)) < 0
