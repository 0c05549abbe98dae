"""``ConfidentialStrategy``: the aggregator of a job, driven by a ServerApp of Flower. It adds what it cannot read.

What it starts is the program of ``quatrefoil aggregator`` with the same options, out of a file (``settings``); only
where silos come from differs. ``start`` takes and gives what Flower's own strategies do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from logging import INFO
from pathlib import Path
from typing import Any

import numpy as np

from quatrefoil.errors import CallerError, DependencyMissing
from quatrefoil.federation.aggregator import Aggregator
from quatrefoil.federation.vectors import Arrays
from quatrefoil.flower.attending import Attending
from quatrefoil.flower.contents import Value
from quatrefoil.flower.courier import EVALUATE, TRAIN
from quatrefoil.flower.post import Post
from quatrefoil.flower.settings import aggregator_settings
from quatrefoil.output import report
from quatrefoil.parties.aggregator import AggregatorProgram
from quatrefoil.parties.party import PartyFiles
from quatrefoil.secrecy import no_core_file
from quatrefoil.services.aggregator import AggregatorService
from quatrefoil.services.standing import Standing
from quatrefoil.services.waiting import wait_until

try:
    from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
    from flwr.serverapp import Grid
    from flwr.serverapp.strategy import Result, Strategy
    from flwr.supercore import log
except ImportError:
    raise DependencyMissing("flwr is not installed", hint="pip install 'quatrefoil[flower]'") from None

_CONFIG = "config"
EvaluateFunction = Callable[[int, ArrayRecord], MetricRecord | None]


class ConfidentialStrategy(Strategy):
    """Federated averaging by sample counts, of which nobody but a silo sees its update (docs/protocol.md).

    ``settings``: a file with the options of ``quatrefoil aggregator``. ``evaluates``: whether silos evaluate each new
    model; their app then has an ``evaluate`` function. Of a silo's metrics arrive those that its own file names.

    For what is said to apps, override :meth:`configure_train` and :meth:`configure_evaluate`; for how metrics are put
    together, :meth:`aggregate_evaluate` and :meth:`train_metrics`.
    """

    def __init__(self, settings: Path | str, *, evaluates: bool = True) -> None:
        self._options = aggregator_settings(Path(settings))
        self.evaluates = evaluates
        self._samples: dict[str, int] = {}
        self._arrays = ArrayRecord()

    # ---------------------------------------------------------------------------------------------- for apps' authors

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """What apps are configured with for a round: the ``config`` of the one message that is given; it goes to every
        silo of the job, sealed, and the model is what each has itself."""
        return [_configuring(config, server_round, MessageType.TRAIN)]

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """The same for evaluations; no message: silos do not evaluate this round."""
        return [_configuring(config, server_round, MessageType.EVALUATE)]

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """The model that a round led to, which no reply holds, and the metrics of the ``replies``."""
        return self._arrays, self.train_metrics(server_round, replies)

    def train_metrics(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """The metrics of a round of training, put together: by default the mean weighted by samples."""
        return self._weighted(replies)

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """The metrics of a round's evaluations, put together: by default the mean weighted by samples."""
        return self._weighted(replies)

    def summary(self) -> None:
        """Say what is started, in Flower's log."""
        log(INFO, "\t├── Job %s of %s, under %s", self._options.job, self._options.silos, self._options.policy)
        keys = ":".join(map(str, self._options.keeper)) if self._options.keeper else "a committee of its silos"
        log(INFO, "\t└── Keys of its rounds at %s", keys)

    # --------------------------------------------------------------------------------------------------------- running

    def start(
        self,
        grid: Grid,
        initial_arrays: ArrayRecord,
        num_rounds: int = 3,
        timeout: float = 3600,
        train_config: ConfigRecord | None = None,
        evaluate_config: ConfigRecord | None = None,
        evaluate_fn: EvaluateFunction | None = None,
    ) -> Result:
        """Run the job, or what is left of it on this state. ``timeout``: seconds after which Flower drops a message.

        ``num_rounds`` is what the workload of the settings says, which was planned, and is signed by everybody.
        """
        log(INFO, "Starting %s strategy:", type(self).__name__)
        self.summary()
        configs = {TRAIN: train_config or ConfigRecord(), EVALUATE: evaluate_config or ConfigRecord()}
        no_core_file()
        with PartyFiles(self._options, "aggregator") as files:
            running = _Running(self, files, grid, initial_arrays, configs, evaluate_fn, timeout)
            if running.rounds != num_rounds:
                raise CallerError(
                    f"{num_rounds} rounds are asked for, the workload {self._options.workload} says {running.rounds}",
                    hint="Write the same number into both",
                )
            asyncio.run(running.serve())
        return running.result

    def _weighted(self, replies: Iterable[Message]) -> MetricRecord | None:
        """Each metric's mean over the replies that have it, weighted by the samples that their silos enrolled with."""
        sums: dict[str, tuple[float, int]] = {}
        for reply in replies:
            for name, value in reply.content["metrics"].items():
                if isinstance(value, int | float):
                    weight = self._samples[reply.content["silo"]["name"]]
                    total, count = sums.get(name, (0.0, 0))
                    sums[name] = total + weight * value, count + weight
        return MetricRecord({name: total / count for name, (total, count) in sums.items()}) if sums else None


class _Running(AggregatorProgram):
    """One run of a ServerApp. ``result``: what it led to so far."""

    def __init__(
        self,
        strategy: ConfidentialStrategy,
        files: PartyFiles,
        grid: Grid,
        initial: ArrayRecord,
        configs: Mapping[str, ConfigRecord],
        evaluate: EvaluateFunction | None,
        ttl: float,
    ) -> None:
        self.names = tuple(initial)
        self.result = Result()
        self._strategy = strategy
        self._grid = grid
        self._configs = configs
        self._evaluate = evaluate
        self._ttl = ttl
        self._said: dict[tuple[str, int], Mapping[str, Value] | None] = {}
        self._heard: dict[tuple[str, int], list[Message]] = {}
        self._attended: AggregatorService
        super().__init__(strategy._options, files, initial.to_numpy_ndarrays())

    async def attend(self, service: AggregatorService) -> Aggregator:
        """Greet nodes and carry for silos, until the job is over."""
        self._attended = service
        async with Post(self._grid, self._ttl) as post:
            running = asyncio.create_task(service.run())
            attending = Attending(service, self, post, security=self.files.security, meter=self.meter, report=report)
            beside = (
                asyncio.create_task(attending.run()),
                asyncio.create_task(self._follow(service)),
            )
            try:
                waiting = {running, *beside}
                while not running.done() or not beside[1].done():
                    done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        task.result()
                return running.result()
            finally:
                for task in (running, *beside):
                    task.cancel()
                await asyncio.gather(running, *beside, return_exceptions=True)

    # ------------------------------------------------------------------------------------------- what couriers ask for

    def evaluates(self, number: int) -> bool:
        """Whether silos evaluate the model of this round."""
        return self._strategy.evaluates and self._configured(EVALUATE, number) is not None

    def config(self, kind: str, number: int) -> Mapping[str, Value]:
        """What apps are configured with."""
        return self._configured(kind, number) or {}

    def measured(self, kind: str, number: int, silo: str, metrics: Mapping[str, Value]) -> None:
        """Keep the metrics of a silo, as the reply that a strategy takes."""
        numbers = {name: value for name, value in metrics.items() if type(value) in (int, float)}
        content = RecordDict({"metrics": MetricRecord(numbers), "silo": ConfigRecord({"name": silo})})
        self._heard.setdefault((kind, number), []).append(Message(content, 0, kind))

    # ------------------------------------------------------------------------------------------------------ the rounds

    async def _follow(self, service: AggregatorService) -> None:
        """What a strategy of Flower does after each round. Metrics of rounds of an earlier run are gone."""
        standing, begin = service.standing, time.time()
        await wait_until(lambda: standing.aggregator is not None, standing.for_silos, float("inf"))
        self._strategy._samples = {member.name: member.samples for member in standing.running().job.roster}
        first = standing.rounds_done + 1
        if first == 1:
            await self._evaluated_here(0)
        for number in range(first, standing.rounds + 1):
            await wait_until(partial(_is_done, standing, number), standing.for_silos, float("inf"))
            self._strategy._arrays = self._model_record()
            self.result.arrays, metrics = self._strategy.aggregate_train(number, self._heard.pop((TRAIN, number), []))
            if metrics is not None:
                self.result.train_metrics_clientapp[number] = metrics
            log(INFO, "[ROUND %s/%s] %s", number, standing.rounds, metrics or "")
            await self._evaluated_here(number)
            self._evaluated_there(number - 1)
        await wait_until(lambda: standing.informed >= standing.invited, standing.for_rounds, self.options.deadline)
        self._evaluated_there(standing.rounds)
        self.result.arrays = self._model_record()
        log(INFO, "Strategy execution finished in %.2fs", time.time() - begin)

    async def _evaluated_here(self, number: int) -> None:
        if self._evaluate is None:
            return
        metrics = await asyncio.to_thread(self._evaluate, number, self._model_record())
        log(INFO, "Global evaluation of round %s: %s", number, metrics)
        if metrics is not None:
            self.result.evaluate_metrics_serverapp[number] = metrics

    def _evaluated_there(self, number: int) -> None:
        replies = self._heard.pop((EVALUATE, number), [])
        if replies and (metrics := self._strategy.aggregate_evaluate(number, replies)) is not None:
            log(INFO, "Evaluations of round %s by silos: %s", number, metrics)
            self.result.evaluate_metrics_clientapp[number] = metrics

    def _configured(self, kind: str, number: int) -> Mapping[str, Value] | None:
        """What the strategy says of a round, asked once; None where it gives no message."""
        if (kind, number) not in self._said:
            configure = self._strategy.configure_train if kind == TRAIN else self._strategy.configure_evaluate
            messages = list(configure(number, self._model_record(), self._configs[kind], self._grid))
            self._said[kind, number] = dict(messages[0].content[_CONFIG]) if messages else None
        return self._said[kind, number]

    def _model_record(self) -> ArrayRecord:
        aggregator = self._attended.standing.aggregator
        model: Arrays = self.initial if aggregator is None else aggregator.model
        return ArrayRecord({name: Array(np.asarray(array)) for name, array in zip(self.names, model, strict=True)})


def _is_done(standing: Standing, number: int) -> bool:
    return standing.rounds_done >= number


def _configuring(config: ConfigRecord, server_round: int, kind: Any) -> Message:
    """A message of which only the configuration is used."""
    return Message(RecordDict({_CONFIG: ConfigRecord(dict(config) | {"server-round": server_round})}), 0, kind)


__all__ = ["ConfidentialStrategy"]
