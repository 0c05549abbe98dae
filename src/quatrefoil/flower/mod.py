"""``confidential_mod``: a silo, wherever a ClientApp of Flower runs. The app trains as it did; what leaves is sealed.

Each message runs the silo anew from its state, as far as the answers in it go (``replay``); where the protocol wants a
trained model, the app is called with the model that the silo itself has arrived at. What the app raises stays here: the
aggregator is told the name of its class.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from quatrefoil.errors import CallerError, DependencyMissing, UpdateRefused
from quatrefoil.federation.vectors import Arrays
from quatrefoil.flower.contents import ForSilo, Values
from quatrefoil.flower.node import MESSAGE, SiloNode
from quatrefoil.flower.records import Carried
from quatrefoil.flower.seat_line import Brought, ask_seat
from quatrefoil.flower.settings import seat_of, silo_file, silo_settings, state_named
from quatrefoil.meter import Meter
from quatrefoil.secrecy import no_core_file

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
    options = silo_settings(silo_file(context.node_config))
    kind = message.metadata.message_type

    def app_of(sent: ForSilo) -> _App:
        return _App(message, context, call_next, sent, options.samples)

    if (seat := seat_of(options)) is not None:
        where = (kind, context.run_id, context.node_id)
        brought = Brought(state_named(options), carried.hello, carried.session, carried.number, *where)
        payload = ask_seat(seat, brought, carried.payload, app_of)
    else:
        no_core_file()  # the app's code is in this process, and so are the silo's keys
        meter = Meter()
        with meter.timed(MESSAGE) as cost, SiloNode(options, meter) as node:
            if carried.hello:
                payload = node.greeted(carried.payload, run=context.run_id, node=context.node_id)
            else:
                payload = node.reply(
                    carried.payload, hello=carried.session, number=carried.number, kind=kind, app_of=app_of
                )
            cost.bytes += len(carried.payload) + len(payload)
        node.keep_costs()
    content = Carried(payload, carried.hello, carried.session, carried.number).record()
    return Message(content=content, reply_to=message)


class _App:
    """The app behind the mod, called with what the silo knows. ``metrics``: what it said of its last call."""

    def __init__(
        self, message: Message, context: Context, call_next: ClientAppCallable, sent: ForSilo, samples: int
    ) -> None:
        self._message = message
        self._context = context
        self._call_next = call_next
        self._sent = sent
        self._samples = samples
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
                f"the app trained on {said!r} samples, this silo has enrolled with {self._samples}",
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
