"""A silo as a service: it connects out to the aggregator, and goes on after any lost connection."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from quatrefoil.errors import HostError, MessageRefused, PeerUnreachable, RoundVoided
from quatrefoil.federation import parts
from quatrefoil.federation.aggregator_service import LARGEST_EXPANSION, MOST_ATTEMPTS
from quatrefoil.federation.rpc import ask
from quatrefoil.federation.silo import Silo
from quatrefoil.federation.vectors import Arrays
from quatrefoil.transport import Channel
from quatrefoil.wire import LARGEST_MESSAGE

Result = TypeVar("Result")
Train = Callable[[Arrays], Sequence[NDArray[np.floating]]]


@dataclass(frozen=True)
class Finished:
    """What a silo has after the last round: the model, and the group and peer of its channel."""

    model: Arrays
    rounds: int
    group: str
    peer: str


class SiloService:
    """Drives a :class:`Silo` over channels that ``dial`` makes; ``give_up``: seconds without the aggregator."""

    def __init__(
        self, silo: Silo, dial: Callable[[], Channel], *, give_up: float, report: Callable[[str], None]
    ) -> None:
        self._silo = silo
        self._dial = dial
        self._give_up = give_up
        self._report = report
        self._channel: Channel | None = None
        self._peer = ("", "")

    def run(self, train: Train) -> Finished:
        """Enrol, then train and send every round until the aggregator says that the job is done."""
        self._join()
        while True:
            kind, content = parts.split(self._ask("next", self._silo.rounds_done.to_bytes(8, "big")), 2)
            if kind == b"done":
                break
            if kind == b"result":
                self._silo.accept(*parts.split(content, 3))
                self._report(f"round {self._silo.rounds_done}: result accepted")
            elif kind == b"offer":
                offer, voids = parts.split(content, 2)
                self._contribute(offer, voids, train)
            else:
                raise MessageRefused(f"the aggregator sent {kind[:20]!r}", hint="Check its version")
        self._close()
        return Finished(self._silo.model, self._silo.rounds_done, *self._peer)

    def _join(self) -> None:
        if not self._silo.started:
            self._ask("enrol", self._silo.enrol(self._ask("invitation")))
            self._report("enrolled; waiting for the other silos")
            self._ask("consent", self._silo.consent(self._ask("job")))
            self._silo.start(*parts.split(self._ask("start"), 2))
        self._report(f"job {self._silo.job.name}: started")

    def _contribute(self, offer: bytes, encoded_voids: bytes, train: Train) -> None:
        voids = parts.split_list(encoded_voids, MOST_ATTEMPTS)
        context = self._silo.check_offer(offer, voids)
        message = self._silo.contribute(offer, train(self._silo.model), voids)
        try:
            self._ask("contribute", message)
            self._report(f"round {context.round}: sent {len(message):,} bytes, encrypted")
        except (MessageRefused, RoundVoided) as error:
            # The attempt may have ended meanwhile; what comes next says so. A lasting refusal shows in the log.
            self._report(f"round {context.round}: the aggregator refused the contribution ({error.problem})")

    def _ask(self, method: str, body: bytes = b"") -> bytes:
        end = time.monotonic() + self._give_up
        while True:
            try:
                if self._channel is None:
                    self._channel = self._dial()
                    self._peer = (self._channel.group, self._channel.peer.name)
                answer = ask(self._channel, method, body, limit=self._limit())
                end = time.monotonic() + self._give_up
                if answer is not None:
                    return answer
            except PeerUnreachable as error:
                self._channel = None
                if time.monotonic() > end:
                    raise HostError(
                        f"the aggregator does not answer ({error.problem})", hint="Ask its operator"
                    ) from None
                time.sleep(0.3)

    def _limit(self) -> int:
        length = self._silo.job.layout.length if self._silo.started else 0
        return LARGEST_MESSAGE + LARGEST_EXPANSION * length

    def _close(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None
