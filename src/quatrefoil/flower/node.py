"""The silo that a node is: what a message of the aggregator's has it do, and what it says to that.

Each message runs the silo's service anew, as far as the answers in it go (``replay``). A ClientApp opens a node for one
message; a seat keeps one, and with it what the silo holds in memory as a member of a committee.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from quatrefoil.errors import MessageRefused, QuatrefoilError, StateTaken
from quatrefoil.federation.commitments import Commitments
from quatrefoil.federation.provenance import SiloProvenance
from quatrefoil.federation.silo import Silo
from quatrefoil.federation.vectors import Arrays
from quatrefoil.flower import session
from quatrefoil.flower.contents import EVALUATE, TRAIN, ForSilo, FromSilo, Values
from quatrefoil.flower.replay import AT_ONCE, CarriedChannel, Unanswered
from quatrefoil.meter import Meter
from quatrefoil.output import report
from quatrefoil.parties.party import PartyFiles, warn_insecure
from quatrefoil.parties.silo import data_commitment_of, provenance_of, silo_of, witness_of
from quatrefoil.services.rpc import LARGEST_EXPANSION
from quatrefoil.services.silo import SiloService
from quatrefoil.services.vitals import Vitals
from quatrefoil.transport import system_clock
from quatrefoil.wire import LARGEST_MESSAGE

MESSAGE = "flower.message"
"""The step that is all of what a silo does about one message, its files opened and closed."""

_LENGTH = "flower/length"
"""In the state: values of the model that the silo has consented to, as u64."""

T = TypeVar("T")


class App(Protocol):
    """Somebody else's code, wherever it runs. ``metrics``: what it said of its calls."""

    metrics: Values

    def train(self, model: Arrays) -> Sequence[NDArray[np.floating]]:
        """The model trained."""

    def evaluate(self, model: Arrays) -> None:
        """Have it evaluated, for metrics."""


AppOf = Callable[[ForSilo], App]
"""Makes the app of one message, from what the message says to it."""


@dataclass(frozen=True)
class _Aggregator:
    """Whom the session is with."""

    name: str


@dataclass(frozen=True)
class _Machines:
    silo: Silo
    provenance: SiloProvenance
    service: SiloService


class SiloNode:
    """``with``: its files are open."""

    def __init__(self, options: argparse.Namespace, meter: Meter, vitals: Vitals | None = None) -> None:
        """``options``: of the silo's file (``settings``); ``meter``: what :meth:`keep_costs` writes down."""
        self.files = PartyFiles(options, "silo")
        warn_insecure(self.files.policy)
        self._options = options
        self._vitals = vitals
        self._meter = meter
        self._channel = CarriedChannel((), _Aggregator(options.aggregator))
        self._machines: _Machines | None = None
        self._newest = (b"", 0)
        """The session, and the number in it, of the last message that was attended to here."""

    def greeted(self, hello: bytes, *, run: int, node: int) -> bytes:
        """The answer to a hello for this node of this run."""
        return session.answer_hello(
            hello,
            security=self.files.security,
            state=self.files.state,
            aggregator=self._options.aggregator,
            run=run,
            node=node,
            random=os.urandom,
            at=system_clock(),
        )

    def reply(self, sealed: bytes, *, hello: bytes, number: int, kind: str, app_of: AppOf) -> bytes:
        """The sealed reply to a sealed message. ``hello``: the digest of the one that began the session.

        ``MessageRefused`` for a number that this node has come past: the aggregator numbers what it sends again anew,
        and what others bring again would fill the log and count as the aggregator's.
        """
        opened = session.kept_session(self.files.state, hello, os.urandom)
        try:
            with self._meter.timed("flower.open"):
                sent = ForSilo.decode(opened.open(sealed, number=number, kind=kind))
            self._come_to(hello, number)
            said = self._converse(sent, app_of(sent))
            if not said.question and not said.fault:
                session.forget_sessions(self.files.state)
            with self._meter.timed("flower.seal") as cost:
                answer = opened.seal(said.encode(), number=number, kind=kind)
                cost.bytes += len(answer)
        finally:
            opened.wipe()
        return answer

    def longest(self) -> int:
        """Bytes that a message for this silo may have: by the length of the model that it has consented to."""
        stored = self.files.state.get(_LENGTH)
        length = 0 if stored is None else int.from_bytes(stored, "big")
        return LARGEST_MESSAGE + AT_ONCE * LARGEST_EXPANSION * length

    def _come_to(self, hello: bytes, number: int) -> None:
        if self._newest[0] == hello and number <= self._newest[1]:
            raise MessageRefused(
                f"message {number} was brought before, or after message {self._newest[1]}",
                hint="Find out who repeats messages: a SuperLink, or an app's code",
            )
        self._newest = hello, number

    def _converse(self, sent: ForSilo, app: App) -> FromSilo:
        """What the silo asks next, or why it stopped."""
        self._channel = channel = CarriedChannel(sent.answers, _Aggregator(self._options.aggregator))
        question, fault, did = b"", "", ""

        def train(model: Arrays) -> Sequence[NDArray[np.floating]]:
            nonlocal did
            trained = self._timed(app.train)(model)
            did = TRAIN
            return trained

        try:
            machines = self._machines = self._machines or self._made()
            try:
                machines.service.run(train)
                if (envelope := machines.provenance.envelope()) is not None:
                    self.files.keep_provenance(envelope)
            except Unanswered as waiting:
                question = waiting.request
            self._keep_length(machines.silo.length)
            if sent.evaluate and sent.evaluate == machines.silo.rounds_done:
                self._timed(app.evaluate)(machines.silo.model)
                did = EVALUATE
        except StateTaken:
            raise
        except QuatrefoilError as error:
            report(str(error))
            fault = f"{type(error).__name__}: {error}"
        return FromSilo(question, channel.done, self._shown(app.metrics), fault, did)

    def _keep_length(self, length: int) -> None:
        """Before the consent is given: what is sent after that is as long as that says."""
        if (encoded := length.to_bytes(8, "big")) != self.files.state.get(_LENGTH):
            self.files.state.replace({_LENGTH: encoded})

    def _made(self) -> _Machines:
        silo = silo_of(self._options, self.files, self._options.samples, self._commits(), meter=self._meter)
        provenance = provenance_of(self.files)
        witness = witness_of(self._options, self.files) if self.files.policy.witnesses else None
        service = SiloService(
            silo,
            provenance,
            lambda: self._channel,
            witness=witness,
            give_up=0.0,
            report=report,
            vitals=self._vitals,
        )
        return _Machines(silo, provenance, service)

    def _commits(self) -> Commitments:
        """To the data that the file names; what code trains is not stated, since whoever starts a run sends it."""
        named = self._options.commit
        return Commitments(data_commitment_of(named, self.files) if named else b"", b"")

    def _shown(self, metrics: Values) -> Values:
        """What this silo's own file lets go."""
        return {name: value for name, value in metrics.items() if name in self._options.metrics}

    def _timed(self, call: Callable[[Arrays], T]) -> Callable[[Arrays], T]:
        """A call of the app, as a step of its own: what it takes is no layer's cost."""

        def timed(model: Arrays) -> T:
            with self._meter.timed("flower.app"):
                return call(model)

        return timed

    def keep_costs(self) -> None:
        """Append what the layers took since the last time, where the silo's file asks for it."""
        if self._options.costs is not None and (rows := self._meter.as_rows()):
            with self._options.costs.open("a") as file:
                file.writelines(json.dumps(row) + "\n" for row in rows)
        self._meter.steps.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.files.__exit__(kind, error, trace)


__all__ = ["MESSAGE", "App", "AppOf", "SiloNode"]
