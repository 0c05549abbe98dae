"""Each service of a job killed at each of its steps, before and after it, and started again each time.

The steps enumerate themselves (``mortal``): a party dies at every one that it comes to, until none is left that it has
not died at. All of that happens in one job, which then has to end as if nothing had been.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from test_job import STEP
from toy_job import SILOS, ToyJob

import mortal_steps
import postgres_server
from logs import entries_of
from quatrefoil.demo.processes import command_line
from quatrefoil.federation.attempts import ANSWER, Attempts
from quatrefoil.state import DurableState, SqliteState

LONGEST_S = 900.0
"""Never waited in full."""

PATIENT = ("--deadline", "30", "--give-up", "600")
"""All three silos are needed, so that a round waits longer than the deadline. It is waited in full once: for the silo
that leaves while the aggregator that has told it dies."""


class Killed:
    """The toy job with one party that dies, again and again."""

    def __init__(
        self, job: ToyJob, victim: str, *, rounds: int, only: Sequence[str] = (), url: str | None = None
    ) -> None:
        """``only``: at which steps it dies, if not at all."""
        self.job = job
        self.victim = victim
        self.rounds = rounds
        self.url = url
        self.extra = [] if url is None else ["--database", url]
        self.folder = job.folder / "fate"
        self.folder.mkdir()
        if only:
            (self.folder / "only").write_text("\n".join(only))
        # Everybody has to confirm every roster: else a party that dies on the way is not waited for.
        policy = job.policy.read_text().replace("colluding_silos = 0", "colluding_silos = 1")
        job.policy.write_text(policy.replace("minimum_silos = 2", "minimum_silos = 3"))
        workload = job.workload.read_text()
        job.workload.write_text(workload.replace("rounds = 4", f"rounds = {rounds}"))

    def run(self) -> None:
        """The job to its end. Nobody may end but well, and the party that dies starts itself again."""
        for name in ("keeper", "aggregator", *SILOS):
            self._start(name)
        for name in ("aggregator", *SILOS):
            self.job.wait(name, LONGEST_S)

    @property
    def deaths(self) -> list[str]:
        file = self.folder / "died"
        return file.read_text().splitlines() if file.exists() else []

    def _start(self, name: str) -> None:
        with pytest.MonkeyPatch.context() as patched:
            if name == self.victim:
                patched.setattr("quatrefoil.demo.processes.command_line", self._mortal)
                if name == "keeper":  # a round that is voided too often is given up
                    patched.setenv("MORTAL_SPARES", "6 log key-release")
            if name == "keeper":
                self.job.start_keeper(arguments=self.extra)
            elif name == "aggregator":
                self.job.aggregator(*PATIENT, *self.extra)
            else:
                self.job.silo(name, "train", "--give-up", "600", *self.extra)

    def _mortal(self, *arguments: str) -> list[str]:
        python, *_ = command_line()
        return [python, mortal_steps.PROGRAM, str(self.folder), *arguments]

    # ----------------------------------------------------------------------------------------------------- what holds

    def check(self) -> None:
        mean = self.rounds * sum(step * samples for step, samples in SILOS.values()) / sum(s for _, s in SILOS.values())
        for name in ("model", *SILOS):
            for array, first in zip(self.job.model(name), self.job.model(), strict=True):
                assert np.array_equal(array, first), f"{name} has another model"
                assert np.allclose(array, mean, atol=STEP)
        rounds = self.job.result("aggregator")["rounds"]
        assert [one["contributors"] for one in rounds] == [sorted(SILOS)] * self.rounds, "an update was lost"
        assert (self.folder / "lives").read_text().count("killed") == len(self.deaths)
        self._check_bytes()
        self._check_endings()

    def _check_bytes(self) -> None:
        """Whatever was sent twice was sent in the same bytes."""
        forms: dict[str, set[str]] = defaultdict(set)
        for line in (self.folder / "sent").read_text().splitlines():
            what, _, form = line.rpartition(" ")
            forms[what].add(form)
        assert forms, "nothing was sent that counts"
        assert {what for what, found in forms.items() if len(found) > 1} == set()

    def _check_endings(self) -> None:
        """One answer for a round, ever; and every answer in the log."""
        self.job.kill("keeper")
        state = self._state("keeper")
        attempts = Attempts(state)
        endings = {
            name: attempts.ending(name.removesuffix("/ending")) for name in state.names("round/") if "/ending" in name
        }
        answered = [int(name.split("/")[2]) for name, one in endings.items() if one is not None and one.kind == ANSWER]
        assert sorted(answered) == list(range(1, self.rounds + 1))
        assert attempts.without_ending() == []
        state.close()
        released = [one.body["round"] for one in entries_of(self.job.log("keeper")) if one.kind == "key-release"]
        assert set(released) == set(range(1, self.rounds + 1))

    def _state(self, name: str) -> DurableState:
        """Of a party that has ended."""
        if self.url is None:
            return SqliteState(self.job.folder / "state" / name / "state.sqlite")
        from quatrefoil.state.postgres import PostgresState

        return PostgresState(self.url, f"{name}/{name}")


def died_at(found: Sequence[str]) -> set[str]:
    return {one.split(" ", 1)[1] for one in found}


@pytest.fixture(params=["a file", "a database"])
def url(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """Where every state is: None for the file of its folder."""
    if request.param == "a file":
        yield None
        return
    if reason := postgres_server.why_not():
        pytest.skip(reason)
    with postgres_server.server() as database:
        yield database.url()


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["keeper", "aggregator", "bari"])
def test_a_service_killed_at_each_of_its_steps_goes_on(job: ToyJob, victim: str, url: str | None) -> None:
    killed = Killed(job, victim, rounds=20 if victim == "keeper" else 4, url=url)
    killed.run()
    killed.check()
    role = {"bari": "silo"}.get(victim, victim)
    assert mortal_steps.STEPS[role] - died_at(killed.deaths) == set(), "a step was not met"
    for step in mortal_steps.STEPS[role]:
        if not step.startswith("receive"):
            assert {f"before {step}", f"after {step}"} <= set(killed.deaths)


SOME = {
    "keeper": ["after log key-release", "before send answer to answer", "after put round/ending"],
    "aggregator": ["after send answer to contribute", "before log receipts round-finished", "after put announced"],
    "bari": ["before put outbox", "after send contribute", "after put confirmed"],
}


@pytest.mark.parametrize("victim", SOME)
def test_a_service_killed_at_some_of_its_steps_goes_on(job: ToyJob, victim: str) -> None:
    """The same in short: where most is at stake."""
    killed = Killed(job, victim, rounds=2, only=SOME[victim])
    killed.run()
    killed.check()
    assert sorted(killed.deaths) == sorted(SOME[victim])
