"""A tree of jobs as real processes over post-quantum channels: three groups of three silos, and who adds them."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from toy_job import costs_file
from tree_job import ROUNDS, VALUES, TreeJob, clear_mean, everybody, tree

import mortal_steps
import postgres_server
from quatrefoil.demo.processes import HOST, command_line

__all__ = ["costs_file", "tree"]

SOON = 240.0
LONGEST_S = 1500.0
"""Never waited in full."""

pytestmark = pytest.mark.slow


def means(job: TreeJob) -> np.ndarray:
    """The model after all rounds: the clear mean of all silos, as often as there are rounds."""
    mean, model = clear_mean(everybody(list(job.groups))), np.zeros(VALUES)
    for _ in range(job.rounds):
        model = model + mean
    return model


def check(job: TreeJob) -> None:
    """Every silo has the exact mean of all, and every group is in every sum."""
    for name in (*everybody(list(job.groups)), *job.groups):
        assert np.array_equal(job.model(name), means(job)), f"{name} has another model"
    for group, silos in job.groups.items():
        assert [one["contributors"] for one in job.result(group)["rounds"]] == [sorted(silos)] * job.rounds
    rounds = job.result("upper")["rounds"]
    assert [one["contributors"] for one in rounds] == [sorted(f"{group}-up" for group in job.groups)] * job.rounds


def until(job: TreeJob, name: str, kind: str, number: int = 1, *, upper: bool = False) -> None:
    """Wait until a party's log holds so many entries of this kind."""
    end = time.monotonic() + SOON
    while not job.has_log(name, upper=upper) or job.stored(name, upper=upper).count(kind) < number:
        assert time.monotonic() < end, f"{name} never logged {kind}"
        time.sleep(0.05)


def test_every_silo_of_every_group_ends_with_the_exact_mean_of_all(tree: TreeJob) -> None:
    tree.start_all()
    tree.finish(seconds=SOON)
    check(tree)
    upper = {tree.result(group)["upper"]["job"] for group in tree.groups}
    assert len(upper) == 1
    for group, silos in tree.groups.items():
        assert tree.result(group)["upper"]["silo"] == f"{group}-up"
        assert {tree.result(silo)["upper"] for silo in silos} == upper
        assert tree.stored(group, upper=True).count("round-accepted") == ROUNDS
        assert (tree.folder / "state" / group / "upper" / "provenance.json").exists()


def ready(job: TreeJob, group: str) -> dict[str, str]:
    """What keeps the aggregator of a group from its work, by ``/readyz``."""
    try:
        with urllib.request.urlopen(f"http://{HOST}:{job.metrics[group]}/readyz") as answer:
            found = json.loads(answer.read())
    except urllib.error.HTTPError as refused:
        found = json.loads(refused.read())
    problems: dict[str, str] = found["problems"]
    return problems


def test_the_aggregator_of_a_group_is_killed_in_a_round_and_started_again(tree: TreeJob) -> None:
    """Once while its silos train, and once while its sum waits for another group's."""
    tree.hold()
    tree.start_all()
    until(tree, "north", "round-opened")
    tree.kill("north")
    tree.start_aggregator("north")
    tree.hold("south")
    tree.go_on()
    until(tree, "north", "contribution", upper=True)
    tree.kill("north")
    tree.start_aggregator("north")
    tree.go_on("south")
    tree.finish(seconds=SOON)
    check(tree)


def test_the_upper_aggregator_is_killed_and_the_groups_wait(tree: TreeJob) -> None:
    tree.hold("south")
    tree.start_all()
    until(tree, "north", "contribution", upper=True)
    tree.kill("upper")
    tree.go_on("south")
    end = time.monotonic() + SOON
    while "upper" not in ready(tree, "south"):
        assert time.monotonic() < end
        time.sleep(0.05)
    tree.start_upper_aggregator()
    tree.finish(seconds=SOON)
    check(tree)


def test_a_group_that_stays_away_from_a_round_takes_the_mean_of_the_others(tmp_path: Path, costs_file: Path) -> None:
    with TreeJob(tmp_path, costs_file, ("north", "south", "west", "east"), rounds=1) as job:
        job.hold("east")
        job.start_upper("--deadline", "10")
        for group in job.groups:
            job.start_group(group)
        job.finish(("north", "south", "west"), seconds=SOON)
        job.go_on("east")  # the upper job is over
        job.finish(("east",), seconds=SOON, upper=False)
        mean = clear_mean(everybody(["north", "south", "west"]))
        for name in everybody(list(job.groups)):
            assert np.array_equal(job.model(name), np.zeros(VALUES) + mean), name
        assert job.result("upper")["rounds"][0]["contributors"] == ["north-up", "south-up", "west-up"]
        assert job.result("east")["rounds"][0]["contributors"] == sorted(job.groups["east"])


def test_with_both_states_of_a_group_in_a_database_it_goes_on_where_it_was_killed(tree: TreeJob) -> None:
    if reason := postgres_server.why_not():
        pytest.skip(reason)
    with postgres_server.server() as database:
        tree.hold()
        tree.start_upper()
        for group in tree.groups:
            tree.start_group(group, "--database", f"{database.url()}#{group}")
        until(tree, "north", "round-opened")
        tree.kill("north")
        tree.start_aggregator("north", "--database", f"{database.url()}#north")
        tree.go_on()
        tree.finish(seconds=SOON)
        check(tree)
        for folder in ("north", "north/upper"):
            assert not (tree.folder / "state" / folder / "state.sqlite").exists()
            assert (tree.folder / "state" / folder / "database").exists()


def test_with_the_states_of_both_levels_in_a_database_all_of_it_may_be_killed(tree: TreeJob) -> None:
    """An aggregator of each level, and then every process of the database at once, while sums wait above."""
    if reason := postgres_server.why_not():
        pytest.skip(reason)
    with postgres_server.server() as database:

        def state(name: str) -> tuple[str, ...]:
            return "--database", f"{database.url()}#{name}"

        tree.hold("south")
        tree.start_keeper("upper", *state("upper-keeper"))
        tree.start_upper_aggregator(*state("upper"))
        for group, silos in tree.groups.items():
            tree.start_keeper(group, *state(f"{group}-keeper"))
            tree.start_aggregator(group, *state(group))
            for silo in silos:
                tree.start_silo(group, silo)
        for group in ("north", "west"):
            until(tree, group, "contribution", upper=True)
        tree.kill("north")
        tree.kill("upper")
        tree.start_aggregator("north", *state("north"))
        tree.start_upper_aggregator(*state("upper"))
        until(tree, "upper", "round-opened", 2)  # the same attempt, offered again
        database.kill()
        tree.go_on("south")
        until(tree, "dakar", "contribution")
        database.start()
        tree.finish(seconds=SOON)
        check(tree)
        kept = set(database.sql("SELECT DISTINCT state FROM quatrefoil_state").splitlines())
        parties = {name for group in ("upper", *tree.groups) for name in (group, f"{group}-keeper")}
        assert kept >= parties | {f"{group}/upper" for group in tree.groups}
        in_files = {file.parent for file in tree.folder.glob("state/**/state.sqlite")}
        assert in_files == {tree.folder / "state" / silo for silos in tree.groups.values() for silo in silos}


# ------------------------------------------------------------------------------------------------- killed at each step


class Killed(TreeJob):
    """``victim`` dies again and again, as ``mortal`` says: at each of its steps, or at those of ``only``."""

    def __init__(self, folder: Path, costs: Path, victim: str, *, rounds: int, only: Sequence[str] = ()) -> None:
        super().__init__(folder, costs, ("north", "south", "west"), rounds)
        self.victim = victim
        self.fate = folder / "fate"
        self.fate.mkdir()
        if only:
            (self.fate / "only").write_text("\n".join(only))

    def command_line(self, name: str, *arguments: str) -> list[str]:
        if name != self.victim:
            return super().command_line(name, *arguments)
        python, *_ = command_line()
        return [python, mortal_steps.PROGRAM, str(self.fate), *arguments]

    def start_aggregator(self, group: str, *arguments: str) -> None:
        super().start_aggregator(group, "--deadline", "20", "--give-up", "900", *arguments)

    def start_upper_aggregator(self, *arguments: str) -> None:
        super().start_upper_aggregator("--deadline", "20", "--give-up", "900", *arguments)

    @property
    def deaths(self) -> list[str]:
        return (self.fate / "died").read_text().splitlines()

    def check_bytes(self) -> None:
        """Whatever was sent twice was sent in the same bytes."""
        forms: dict[str, set[str]] = defaultdict(set)
        for line in (self.fate / "sent").read_text().splitlines():
            what, _, form = line.rpartition(" ")
            forms[what].add(form)
        assert forms, "nothing was sent that counts"
        assert {what for what, found in forms.items() if len(found) > 1} == set()


SOME = {
    "north": [
        "before put outbox",  # its sum goes up
        "after send contribute",
        "after replace upper",  # what it will take is durable, and not taken
        "before log round-accepted",  # taken, and not published
        "before log receipts round-finished",
        "after put announced",
        "before put ended",
    ],
    "upper": ["after send answer to contribute", "before log receipts round-finished", "after put announced"],
}


@pytest.mark.parametrize("victim", SOME)
def test_an_aggregator_of_a_tree_killed_where_most_is_at_stake_goes_on(
    tmp_path: Path, costs_file: Path, victim: str
) -> None:
    with Killed(tmp_path, costs_file, victim, rounds=2, only=SOME[victim]) as job:
        job.start_all()
        job.finish(seconds=LONGEST_S)
        check(job)
        job.check_bytes()
        assert sorted(job.deaths) == sorted(SOME[victim])


def test_the_aggregator_of_a_group_killed_at_each_of_its_steps_goes_on(tmp_path: Path, costs_file: Path) -> None:
    with Killed(tmp_path, costs_file, "north", rounds=4) as job:
        job.start_all()
        job.finish(seconds=LONGEST_S)
        check(job)
        job.check_bytes()
        died = {one.split(" ", 1)[1] for one in job.deaths}
        assert mortal_steps.GROUP - died == set(), "a step was not met"
        for step in mortal_steps.GROUP:
            if not step.startswith("receive"):
                assert {f"before {step}", f"after {step}"} <= set(job.deaths)
