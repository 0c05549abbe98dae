"""The example's parts: its files, its shapes, its updates within the clip bound, and what it learns."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_model"
CLIP = 1.0


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """The two modules, imported as a user in that folder would, and the files that make_data writes."""
    sys.path.insert(0, str(EXAMPLE))
    try:
        make_data, train = (importlib.import_module(name) for name in ("make_data", "train"))
        folder = tmp_path_factory.mktemp("own-model")
        make_data.main(folder)
        yield train, {file.stem: dict(np.load(file)) for file in folder.glob("*.npz")}
    finally:
        sys.path.remove(str(EXAMPLE))
        for name in ("make_data", "train"):
            sys.modules.pop(name, None)


def test_the_silos_share_no_patient(example):
    _, files = example
    assert sorted(files) == ["held-out", "north", "south", "west"]
    rows = [row.tobytes() for part in files.values() for row in part["features"]]
    assert len(set(rows)) == len(rows) == 569


def test_shapes_and_types_come_back_as_they_went_in(example):
    train, files = example
    before = train.initial()
    after = train.train(train.initial(), files["north"])
    assert [(a.shape, a.dtype) for a in after] == [(a.shape, a.dtype) for a in before]
    assert all(np.array_equal(a, b) for a, b in zip(after, train.train(train.initial(), files["north"]), strict=True))


def test_federated_learns_within_the_clip_bound(example):
    train, files = example
    model, largest, silos = train.initial(), 0.0, [files[name] for name in ("north", "south", "west")]
    for _ in range(20):
        updates = [[new - old for new, old in zip(train.train(model, data), model, strict=True)] for data in silos]
        largest = max(largest, *(float(np.abs(array).max()) for update in updates for array in update))
        model = [old + np.mean(steps, axis=0) for old, *steps in zip(model, *updates, strict=True)]
    assert largest < 0.9 * CLIP
    assert train.accuracy(train.initial(), files["held-out"]) < 0.7
    assert train.accuracy(model, files["held-out"]) > 0.93


def test_a_single_label_is_refused_by_the_model(example):
    train, files = example
    north = {**files["north"], "labels": np.zeros_like(files["north"]["labels"])}
    with pytest.raises(ValueError, match="classes"):
        train.train(train.initial(), north)
