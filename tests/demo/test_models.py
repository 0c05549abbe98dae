"""Training does what it says: exact gradients, repeatable, and no worse for being federated."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from quatrefoil.demo import baselines, data, metrics, models
from quatrefoil.errors import CallerError


@pytest.mark.parametrize("kind", models.KINDS)
def test_the_gradient_is_the_slope_of_the_loss(kind):
    random = np.random.default_rng(1)
    features, labels = random.random((20, 5)), (random.random(20) < 0.5).astype(float)
    parameters = [array + random.normal(size=array.shape) / 2 for array in models.initial(kind, 5, seed=1)]

    def loss(moved):
        probability = models.predict_probability(moved, features)
        return -np.mean(labels * np.log(probability) + (1 - labels) * np.log(1 - probability))

    for position, slope in enumerate(models.gradient(parameters, (features, labels))):
        for index in np.ndindex(slope.shape):
            up, down = ([array.copy() for array in parameters] for _ in range(2))
            up[position][index] += 1e-5
            down[position][index] -= 1e-5
            assert slope[index] == pytest.approx((loss(up) - loss(down)) / 2e-5, abs=1e-8)


def test_training_is_repeatable_and_leaves_its_input_alone(start, train):
    before = [array.copy() for array in start]
    one, two = (models.train(start, train["hungary"], epochs=3, learning_rate=0.1) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(start, before, strict=True))
    assert models.largest(models.difference(one, start)) > 0


def test_bad_training_is_refused(start, train):
    with pytest.raises(CallerError, match="0 epochs"):
        models.train(start, train["hungary"], epochs=0)
    with pytest.raises(CallerError, match="learning rate nan"):
        models.train(start, train["hungary"], learning_rate=float("nan"))
    with pytest.raises(CallerError, match="do not take 3 features"):
        models.train(start, (np.zeros((2, 3)), np.zeros(2)))
    with pytest.raises(CallerError, match="do not take"):
        models.predict_probability(start[:3], train["hungary"][0])
    with pytest.raises(CallerError, match="no model 'forest'"):
        models.initial("forest", 3, seed=0)
    with pytest.raises(CallerError, match="0 rounds over 1 silos"):
        baselines.federated(start, [train["hungary"]], baselines.clear_mean, rounds=0)


def test_auc_is_that_of_scikit_learn_also_with_ties():
    random = np.random.default_rng(2)
    for _ in range(20):
        labels = (random.random(60) < 0.3).astype(float)
        probability = np.round(random.random(60), 1)
        assert metrics.auc(labels, probability) == pytest.approx(roc_auc_score(labels, probability))


def test_metrics_refuse_what_has_no_value():
    with pytest.raises(CallerError, match="3 positives and 0 negatives"):
        metrics.auc(np.ones(3), np.ones(3))
    for one, other in ((np.zeros(3), np.zeros(4)), (np.zeros(0), np.zeros(0)), (np.zeros((2, 2)), np.zeros((2, 2)))):
        with pytest.raises(CallerError, match="do not compare"):
            metrics.accuracy(one, other)


def test_psnr_counts_decibels_and_stops_at_its_cap():
    assert metrics.psnr(np.zeros(4), np.full(4, 0.1)) == pytest.approx(20)
    assert metrics.psnr(np.zeros(4), np.ones(4)) == pytest.approx(0)
    assert metrics.psnr(np.ones(4), np.ones(4)) == metrics.PSNR_CAP


def test_differing_predictions_are_counted_at_one_half():
    assert metrics.differing_predictions(np.array([0.4, 0.6, 0.5]), np.array([0.45, 0.4, 0.5])) == 1
    assert metrics.majority_share(np.array([1.0, 0.0, 0.0])) == pytest.approx(2 / 3)


def test_one_federated_epoch_over_equal_silos_is_pooled_training(train):
    """FedAvg with one full step a round is gradient descent on the union: the weights by counts are right."""
    silos = list(train.values())
    start = baselines.start_of("mlp", silos, seed=5)

    def step(parameters, one):
        return models.train(parameters, one, epochs=1, learning_rate=0.5)

    federated = baselines.federated(start, silos, baselines.clear_mean, rounds=4, train=step).parameters
    union = (np.concatenate([x for x, _ in silos]), np.concatenate([y for _, y in silos]))
    pooled = models.train(start, union, epochs=4, learning_rate=0.5)
    assert models.largest(models.difference(federated, pooled)) < 1e-12


@pytest.mark.parametrize("kind", models.KINDS)
def test_federated_is_near_pooled_and_beats_one_hospital_for_all_patients(hospitals, kind):
    federated, pooled, anywhere, largest = [], [], [], 0.0
    for seed in range(10):
        splits = data.split_all(hospitals, seed)
        silos = [split.train for split in splits.values()]
        start = baselines.start_of(kind, silos, seed)
        result = baselines.federated(start, silos, baselines.clear_mean)
        largest = max(largest, result.largest_update)
        common = baselines.pooled(start, silos)
        own = {name: baselines.alone(start, split.train) for name, split in splits.items()}
        federated.append(baselines.score_own(dict.fromkeys(splits, result.parameters), splits))
        pooled.append(baselines.score_own(dict.fromkeys(splits, common), splits))
        anywhere.append(baselines.score_everywhere(own, splits))
    mean = baselines.mean(federated)
    assert mean.accuracy > 0.78 and mean.auc > 0.87 and mean.majority < 0.56
    assert abs(mean.auc - baselines.mean(pooled).auc) < 0.03
    assert mean.accuracy > baselines.mean(anywhere).accuracy + 0.05
    assert 0.1 < largest < 0.75 * baselines.CLIP
