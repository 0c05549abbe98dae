"""Each attack wins without its layer and loses with it; where nothing stops it, the outcome says so."""

import json
import os

import numpy as np
import pytest

from quatrefoil.aggregation import AdditiveAggregation, ParameterSet
from quatrefoil.contracts import SumShape
from quatrefoil.demo import attacks, baselines, models
from quatrefoil.errors import CallerError, UpdateRefused


@pytest.fixture(scope="module")
def aggregation():
    return AdditiveAggregation(ParameterSet.named("sum-256-w16"))


@pytest.fixture(scope="module")
def shape(start):
    return SumShape(length=sum(array.size for array in start), clip=baselines.CLIP, context=bytes(32))


def test_a_plain_update_is_the_patient_and_a_ciphertext_is_noise(aggregation, shape, hospitals, start):
    hospital = hospitals["va-long-beach"]
    new = baselines.train_round(start, (hospital.features[:1], hospital.labels[:1]))
    update = np.concatenate([array.ravel() for array in models.difference(new, start)])
    sealed = aggregation.encrypt(update, weight=1.0, shape=shape).ciphertext
    outcome = attacks.read_plain_update(hospital, start, sealed)
    assert outcome.without["psnr_db"] >= 60
    assert outcome.without["read_age"] == outcome.without["true_age"]
    assert abs(outcome.with_layer["psnr_db"] - outcome.with_layer["chance_psnr_db"]) < 4  # one patient, one draw
    assert outcome.protected and json.dumps(outcome.as_json(), allow_nan=False)
    with pytest.raises(CallerError):
        attacks.read_plain_update(hospital, start, sealed[:-8])


def test_a_broken_x25519_opens_only_the_classical_envelope():
    outcome = attacks.harvest_now_decrypt_later(os.urandom(32))
    assert outcome.without == {"recovered": True, "bytes_recovered": 32}
    assert outcome.with_layer == {"recovered": False, "bytes_recovered": 0}


def test_two_sums_give_one_update_and_one_sum_does_not(start, train, updates):
    names, counts = list(updates), [len(labels) for _, labels in train.values()]
    weighted = [
        [count / sum(counts) * array for array in updates[name]] for name, count in zip(names, counts, strict=True)
    ]
    everyone = [np.sum(arrays, axis=0) for arrays in zip(*weighted, strict=True)]
    all_but_last = [np.sum(arrays, axis=0) for arrays in zip(*weighted[:-1], strict=True)]
    outcome = attacks.subtract_two_sums(everyone, all_but_last, weighted[-1], train[names[-1]][0])
    assert outcome.without["relative_error"] < 1e-9
    assert outcome.with_layer["relative_error"] > 1


def test_keeper_and_aggregator_together_read_what_the_aggregator_alone_does_not(aggregation, shape, hospitals, start):
    record = hospitals["switzerland"].features[:1], hospitals["switzerland"].labels[:1]
    update = models.difference(baselines.train_round(start, record), start)
    outcome = attacks.collude_with_keeper(aggregation, update, record[0], shape=shape)
    assert outcome.without["relative_error"] < 0.01 and outcome.without["psnr_db"] > 30
    assert outcome.with_layer["relative_error"] > 0.9 and outcome.with_layer["psnr_db"] < 15
    assert not outcome.protected and "Nothing here stops them" in outcome.verdict
    with pytest.raises(UpdateRefused):
        attacks.collude_with_keeper(aggregation, [10 * array for array in update], record[0], shape=shape)


@pytest.mark.parametrize("position", range(4))
def test_one_poisoned_hospital_ruins_the_model(splits, start, position):
    silos = [split.train for split in splits.values()]
    held_out = tuple(np.concatenate([split.test[part] for split in splits.values()]) for part in (0, 1))
    outcome = attacks.poison_the_mean(start, silos, held_out, position=position)
    assert outcome.without["accuracy"] < outcome.without["honest_accuracy"] - 0.1
    assert outcome.with_layer == outcome.without and not outcome.protected
    assert "Nothing protects against this today" in outcome.verdict


def test_a_poisoned_update_passes_the_clip_bound():
    """It is what an encrypted sum would accept: every value within the bound, which is why the bound does not help."""
    sent = []

    def watch(updates, counts, number):
        sent.extend(updates)
        return updates[0]

    attacks.poison.Poisoned(watch, position=1)([[np.array([0.05])], [np.array([0.3])]], [1, 1], 0)
    assert [float(update[0][0]) for update in sent] == [0.05, -1.0]
