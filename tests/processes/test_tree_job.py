"""A tree of jobs as real processes over post-quantum channels: three groups of three silos, and who adds them."""

from __future__ import annotations

import numpy as np
from toy_job import costs_file
from tree_job import ROUNDS, TreeJob, clear_mean, everybody, tree

SOON = 90.0
"""Never waited in full."""

__all__ = ["costs_file", "tree"]


def means(job: TreeJob) -> np.ndarray:
    """The model after all rounds: the clear mean of all silos, as often as there are rounds."""
    mean, model = clear_mean(everybody(list(job.groups))), np.zeros(10)
    for _ in range(job.rounds):
        model = model + mean
    return model


def test_every_silo_of_every_group_ends_with_the_exact_mean_of_all(tree: TreeJob) -> None:
    tree.start_all()
    tree.finish(seconds=SOON)
    for name in everybody(list(tree.groups)):
        assert np.array_equal(tree.model(name), means(tree)), name
    upper = {tree.result(group)["upper"]["job"] for group in tree.groups}
    assert len(upper) == 1
    for group, silos in tree.groups.items():
        told = tree.result(group)
        assert np.array_equal(tree.model(group), means(tree))
        assert [one["contributors"] for one in told["rounds"]] == [sorted(silos)] * ROUNDS
        assert told["upper"]["silo"] == f"{group}-up"
        assert {tree.result(silo)["upper"] for silo in silos} == upper
        assert tree.stored(group, upper=True).count("round-accepted") == ROUNDS
    rounds = tree.result("upper")["rounds"]
    assert [one["contributors"] for one in rounds] == [sorted(f"{group}-up" for group in tree.groups)] * ROUNDS
