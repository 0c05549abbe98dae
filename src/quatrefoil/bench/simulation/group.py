"""One group of a simulation: its aggregator, its rounds up to the sum, and what becomes of contributions in them."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass, field

from quatrefoil.bench.simulation.costs import Costs
from quatrefoil.bench.simulation.lies import KINDS
from quatrefoil.bench.simulation.office import Office
from quatrefoil.bench.simulation.population import Population
from quatrefoil.bench.simulation.workers import Workers
from quatrefoil.errors import PeerError
from quatrefoil.federation.intake import Intake
from quatrefoil.federation.keeper import Keeper
from quatrefoil.federation.local import check_keys
from quatrefoil.federation.publishing import FinishedRound
from quatrefoil.federation.sums import OpenedSum

IN_FLIGHT = 4
"""Contributions that are being verified and are not in the sum yet, for each thread."""


@dataclass
class Heard:
    """What became of contributions in one round."""

    added: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    silo_ms: list[float] = field(default_factory=list)
    confirm_ms: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    down_bytes: list[int] = field(default_factory=list)


class Group:
    """One group's aggregator in a simulation."""

    def __init__(
        self, name: str, population: Population, office: Office, keeper: Keeper, workers: Workers, costs: Costs
    ) -> None:
        self.name = name
        self.office = office
        self._population = population
        self._keeper = keeper
        self._workers = workers
        self._costs = costs

    def enrol(self) -> None:
        """Every silo of the group joins, and the aggregator begins."""
        silos, enrolments = self._population.groups[self.name], self.office.enrolments
        for answers in self._workers.each_given("enrol", {name: enrolments.invite(name) for name in silos}):
            for enrolment in answers.values():
                enrolments.enrol(enrolment)
        for answers in self._workers.each("consent", silos, enrolments.job()):
            for consent in answers.values():
                enrolments.consent(consent)
        self.aggregator, job = self.office.begin()
        for _ in self._workers.each("start", silos, job.encoded, self.office.model):
            pass

    def gather(self, executor: Executor, threads: int, heard: Heard) -> OpenedSum:
        """A round up to the sum of its contributions."""
        aggregator, step = self.aggregator, self._costs.step
        with step("open"):
            offer = self._keeper.open_round(aggregator.enrolled_job, aggregator.open_request())
            aggregator.opened(offer)
        self._offer = offer
        intake = Intake(
            aggregator,
            executor,
            most=IN_FLIGHT * threads,
            on_admitted=heard.added.append,
            on_refused=lambda name, error: heard.refused.__setitem__(name, error.problem),
        )
        ordinary, lying = self._population.of_role(self.name, ""), self._population.of_role(self.name, *KINDS)
        for silos in (ordinary, lying, self._population.of_role(self.name, "slow")):
            for name, message, ms in self._workers.each("contribute", silos, offer):
                self._note(heard, message, ms)
                with step("receive"):
                    intake.take(name, message)
        with step("receive"):
            intake.finish()
        with step("check"):
            self._check_keys(heard)
        with step("propose"):
            proposal = aggregator.propose()
        for name, message, ms in self._workers.each("contribute", self._population.of_role(self.name, "late"), offer):
            self._note(heard, message, ms)
            with step("receive"):
                self._receive_late(name, message, heard)
        for _ in self._workers.each("acknowledged", aggregator.received, offer):
            pass
        present = self._population.present(self.name)
        for name, confirmation, ms in self._workers.each("confirm", present, offer, proposal):
            heard.confirm_ms.append(ms)
            with step("confirm"):
                aggregator.confirm(name, confirmation)
        heard.down_bytes.append(len(offer) + len(proposal))
        with step("answer"):
            answer = self._keeper.answer(aggregator.key_request())
        with step("decrypt"):
            return aggregator.open_sum(answer)

    def publish(self, finished: FinishedRound) -> float:
        """Hand a round's result to every silo, also to those that were away. Milliseconds that the silos took."""
        silos = self._population.groups[self.name]
        receipts = {name: finished.receipts.of(name) for name in silos}
        given = (finished.offer, finished.release, finished.result, receipts)
        return float(sum(self._workers.each("accept", silos, *given)))

    def _note(self, heard: Heard, message: bytes, ms: float) -> None:
        heard.silo_ms.append(ms)
        heard.sizes.append(len(message))

    def _check_keys(self, heard: Heard) -> None:
        before = set(self.aggregator.received)
        check_keys(self._keeper.check, self.aggregator)
        for name in before - set(self.aggregator.received):
            heard.refused[name] = self.aggregator.refused[name]
            heard.added.remove(name)

    def _receive_late(self, name: str, message: bytes, heard: Heard) -> None:
        try:
            self.aggregator.receive(name, message)
        except PeerError as error:
            heard.refused[name] = error.problem
