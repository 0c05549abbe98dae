"""``confidential_mod``: a silo, wherever a ClientApp of Flower runs. The app trains as it did; what leaves is sealed.

Each message runs the silo anew from its state, as far as the answers in it go (``replay``); where the protocol wants a
trained model, the app is called with the model that the silo itself has arrived at. What the app raises stays here: the
aggregator is told the name of its class.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from quatrefoil.cli.parties import PartyFiles, report, warn_insecure
from quatrefoil.cli.silo import data_commitment_of, provenance_of, silo_of, witness_of
from quatrefoil.errors import CallerError, DependencyMissing, QuatrefoilError, UpdateRefused
from quatrefoil.federation.commitments import Commitments
from quatrefoil.federation.vectors import Arrays
from quatrefoil.flower import session
from quatrefoil.flower.records import Carried, ForSilo, FromSilo, Values
from quatrefoil.flower.replay import CarriedChannel, Unanswered
from quatrefoil.flower.settings import require_keeper, silo_file, silo_settings
from quatrefoil.meter import Meter
from quatrefoil.policy import Policy
from quatrefoil.services.silo import SiloService
from quatrefoil.transport import system_clock

try:
    from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict
    from flwr.clientapp.typing import ClientAppCallable
except ImportError:
    raise DependencyMissing("flwr is not installed", hint="pip install 'quatrefoil[flower]'") from None

ARRAYS, CONFIG = "arrays", "config"
"""Names of the records that an app is given, as Flower's own strategies name them."""

COUNT = "num-examples"


def confidential_mod(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
    """Stands before the app: ``ClientApp(mods=[confidential_mod])``. Other mods may follow it; none may precede it."""
    carried = Carried.read(message.content)
    meter = Meter()
    with meter.timed("flower.message") as cost, _Node(context, meter) as node:
        if carried.hello:
            answer = session.answer_hello(
                carried.payload,
                security=node.files.security,
                state=node.files.state,
                aggregator=node.options.aggregator,
                run=context.run_id,
                node=context.node_id,
                random=os.urandom,
                at=system_clock(),
            )
            replied = Carried(answer, hello=True)
        else:
            replied = _conversed(carried, message, context, call_next, node)
        cost.bytes += len(carried.payload) + len(replied.payload)
    node.keep_costs()
    return Message(content=replied.record(), reply_to=message)


def _conversed(
    carried: Carried, message: Message, context: Context, call_next: ClientAppCallable, node: _Node
) -> Carried:
    """The sealed reply to a sealed message."""
    kind = message.metadata.message_type
    opened = session.kept_session(node.files.state, carried.session, os.urandom)
    try:
        with node.meter.timed("flower.open"):
            sent = ForSilo.decode(opened.open(carried.payload, number=carried.number, kind=kind))
        app = _App(message, context, call_next, sent, node)
        reply = node.converse(sent, app)
        if not reply.question and not reply.fault:
            session.forget_sessions(node.files.state)
        with node.meter.timed("flower.seal") as cost:
            sealed = opened.seal(reply.encode(), number=carried.number, kind=kind)
            cost.bytes += len(sealed)
    finally:
        opened.wipe()
    return Carried(sealed, session=carried.session, number=carried.number)


class _Node:
    """The silo that this node is: its files, open for one message."""

    def __init__(self, context: Context, meter: Meter) -> None:
        self.options = silo_settings(silo_file(context.node_config))
        self.meter = meter
        require_keeper(Policy.load(self.options.policy))
        self.files = PartyFiles(self.options, "silo")
        warn_insecure(self.files.policy)

    def converse(self, sent: ForSilo, app: _App) -> FromSilo:
        """What the silo asks next, or why it stopped."""
        channel = CarriedChannel(sent.answers, _Aggregator(self.options.aggregator))
        question, fault = b"", ""
        try:
            silo = silo_of(self.options, self.files, self.options.samples, self._commits(), meter=self.meter)
            provenance = provenance_of(self.files)
            witness = witness_of(self.options, self.files) if self.files.policy.witnesses else None
            service = SiloService(silo, provenance, lambda: channel, witness=witness, give_up=0.0, report=report)
            try:
                service.run(app.train)
                if (envelope := provenance.envelope()) is not None:
                    self.files.keep_provenance(envelope)
            except Unanswered as waiting:
                question = waiting.request
            if sent.evaluate and sent.evaluate == silo.rounds_done:
                app.evaluate(silo.model)
        except QuatrefoilError as error:
            report(str(error))
            fault = f"{type(error).__name__}: {error}"
        return FromSilo(question, channel.done, self._shown(app.metrics), fault)

    def _commits(self) -> Commitments:
        """To the data that the file names; what code trains is not stated, since whoever starts a run sends it."""
        return Commitments(data_commitment_of(self.options.commit, self.files) if self.options.commit else b"", b"")

    def _shown(self, metrics: Values) -> Values:
        """What this silo's own file lets go."""
        return {name: value for name, value in metrics.items() if name in self.options.metrics}

    def keep_costs(self) -> None:
        """Append what the layers took, where the silo's file asks for it."""
        if self.options.costs is not None and (rows := self.meter.as_rows()):
            with self.options.costs.open("a") as file:
                file.writelines(json.dumps(row) + "\n" for row in rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.files.__exit__(kind, error, trace)


@dataclass(frozen=True)
class _Aggregator:
    """Whom the session is with."""

    name: str


class _App:
    """The app behind the mod, called with what the silo knows. ``metrics``: what it said of its last call."""

    def __init__(
        self, message: Message, context: Context, call_next: ClientAppCallable, sent: ForSilo, node: _Node
    ) -> None:
        self._message = message
        self._context = context
        self._call_next = call_next
        self._sent = sent
        self._samples = node.options.samples
        self._meter = node.meter
        self.metrics: Values = {}

    def train(self, model: Arrays) -> Sequence[NDArray[np.floating]]:
        """The arrays of the app's reply, which have the names and the order of the model's."""
        content = self._call(model, "train")
        records = list(content.array_records.values())
        if len(records) != 1:
            raise UpdateRefused(
                f"the app replied with {len(records)} ArrayRecords", hint="Reply with the trained model"
            )
        if (found := list(records[0])) != list(self._sent.names):
            raise UpdateRefused(
                f"the app replied with arrays {', '.join(found)}, the model has {', '.join(self._sent.names)}",
                hint="Reply with the arrays under the names and in the order in which they came",
            )
        if (said := self.metrics.get(COUNT, self._samples)) != self._samples:
            raise UpdateRefused(
                f"the app trained on {said} samples, this silo has enrolled with {self._samples}",
                hint="Write the number into the silo's file, and begin a new job",
            )
        return list(records[0].to_numpy_ndarrays())

    def evaluate(self, model: Arrays) -> None:
        """Have the app evaluate, for its metrics."""
        self._call(model, "evaluate")

    def _call(self, model: Arrays, what: str) -> RecordDict:
        arrays = ArrayRecord({name: Array(array) for name, array in zip(self._sent.names, model, strict=True)})
        self._message.content = RecordDict({ARRAYS: arrays, CONFIG: ConfigRecord(dict(self._sent.config))})
        try:
            with self._meter.timed("flower.app"):
                reply = self._call_next(self._message, self._context)
        except Exception as error:
            # It may quote data: its text is for this machine's operator alone.
            traceback.print_exc(file=sys.stderr)
            raise CallerError(
                f"the app's {what} function raised {type(error).__name__}", hint="See the output of that silo's node"
            ) from None
        if reply.has_error():
            raise CallerError(f"the app's {what} function replied with an error", hint="See the output of that node")
        for record in reply.content.metric_records.values():
            self.metrics.update(record)
        return reply.content
