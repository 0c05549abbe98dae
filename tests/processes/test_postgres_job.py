"""Jobs of real processes whose state is in PostgreSQL, on a real server that is killed while they run."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from test_job import STEP, wait_for_entry
from toy_job import ROUNDS, SILOS, ToyJob, mean

import postgres_server
from logs import entries_of
from postgres_server import PostgresServer
from quatrefoil.errors import HostError

if reason := postgres_server.why_not():
    pytest.skip(reason, allow_module_level=True)


SOON = 150.0
"""Seconds that are never waited in full: a database's server is started and recovers in between."""


@pytest.fixture
def database() -> Iterator[PostgresServer]:
    """A server of the test's own: it is killed."""
    with postgres_server.server() as running:
        yield running


class RemoteJob:
    """The toy job with every state in one database."""

    def __init__(self, job: ToyJob, database: PostgresServer) -> None:
        self.job = job
        self.url = ["--database", database.url()]

    def start(self, name: str, *arguments: str) -> None:
        if name == "keeper":
            self.job.start_keeper(arguments=[*self.url, *arguments])
        elif name == "aggregator":
            self.job.aggregator(*self.url, *arguments)
        else:
            self.job.silo(name, "train", *self.url, *arguments)

    def start_all(self) -> None:
        for name in ("keeper", "aggregator", *SILOS):
            self.start(name)

    def finish(self) -> None:
        for name in ("aggregator", *SILOS):
            self.job.wait(name, SOON)
        for name in ("model", *SILOS):
            for array, first in zip(self.job.model(name), self.job.model(), strict=True):
                assert np.array_equal(array, first)
                assert np.allclose(array, ROUNDS * mean(), atol=STEP)

    def releases(self) -> list[tuple[int, int]]:
        """Round and attempt of each answer in the keeper's log."""
        entries = entries_of(self.job.log("keeper"))
        return [(one.body["round"], one.body["attempt"]) for one in entries if one.kind == "key-release"]


def test_a_job_goes_on_when_the_server_of_every_state_is_killed_in_the_middle_of_a_round(
    job: ToyJob, database: PostgresServer
) -> None:
    """With the keeper's key in memory, contributions on their way and a roster to be confirmed: no attempt is lost."""
    remote = RemoteJob(job, database)
    job.hold()
    remote.start_all()
    for name in SILOS:
        job.wait_for(name, "started", SOON)
    wait_for_entry(job, "aggregator", "round-opened", SOON)
    database.kill()
    job.go_on()  # trained while nobody's state can be written
    database.start()
    remote.finish()
    assert remote.releases() == [(number, 0) for number in range(1, ROUNDS + 1)]
    assert "is away" in "".join((job.folder / f"{name}.out").read_text() for name in SILOS)
    names = database.sql("SELECT state || ' ' || name FROM quatrefoil_state").splitlines()
    assert {name.split()[0] for name in names} == {
        "keeper/keeper",
        "aggregator/aggregator",
        *(f"silo/{s}" for s in SILOS),
    }
    assert not list(job.folder.glob("state/*/state.sqlite"))


@pytest.mark.slow
def test_a_job_goes_on_however_often_the_server_is_killed(job: ToyJob, database: PostgresServer) -> None:
    remote = RemoteJob(job, database)
    remote.start_all()
    for entries in (1, 2, 3):
        wait_for_entry(job, "aggregator", "round-opened", SOON, times=entries)
        database.kill()
        database.start()
    remote.finish()
    assert sorted({number for number, _ in remote.releases()}) == list(range(1, ROUNDS + 1))


def test_a_keeper_whose_host_dies_goes_on_at_another(job: ToyJob, database: PostgresServer) -> None:
    """Its key was in memory: the round is voided. What it answered before it remembers, with a log of its own."""
    remote = RemoteJob(job, database)
    job.hold()
    remote.start_all()
    wait_for_entry(job, "aggregator", "round-opened", SOON)
    job.kill("keeper")
    (job.folder / "state" / "keeper").rename(job.folder / "dead")
    remote.start("keeper")
    job.go_on()
    remote.finish()
    assert job.stored("keeper").count("round-void") == 1
    assert remote.releases()[0] == (1, 1)


def test_a_folder_and_its_database_belong_together(job: ToyJob, database: PostgresServer) -> None:
    remote = RemoteJob(job, database)
    remote.start("keeper")
    job.wait_for("keeper", "listens", SOON)
    job.kill("keeper")
    for arguments, expected in [
        ([], "is in a database.*--database"),
        (["--database", database.url() + "#another"], "does not hold the state that .* began with"),
        (["--database", "mysql://here"], "is no database"),
        (["--database", database.url().replace("@/", ":secret@/")], "holds a password"),
    ]:
        job.start_keeper(arguments=arguments)
        with pytest.raises(HostError, match=expected):
            job.wait("keeper", SOON)
    (job.folder / "state" / "keeper").rename(job.folder / "gone")
    (job.folder / "keeper.out").unlink()  # it says that it listens from the first start on
    job.start_keeper()
    job.wait_for("keeper", "listens", SOON)
    job.kill("keeper")
    remote.start("keeper")
    with pytest.raises(HostError, match="is in its file"):
        job.wait("keeper", SOON)
