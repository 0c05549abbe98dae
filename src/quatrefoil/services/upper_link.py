"""The link of a group's aggregator to the upper job: the silo that it is there, in a thread of its own.

The silo asks and waits as every silo does, and the group's aggregator answers its own silos meanwhile. Only this thread
changes the upper silo, its state and its log; what crosses is the sum of the group's open round on the way up, and on
the way down that the sum over all groups is in that state. It may be rounds ahead of the group: it confirms rosters
that the group is not in, takes what the other groups added, and that stays on the disk until the group has come so far.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence

from quatrefoil.errors import QuatrefoilError, StateCorrupt
from quatrefoil.federation.aggregator import Aggregator
from quatrefoil.federation.group_sums import GroupSum, group_sum
from quatrefoil.federation.messages import RoundContext
from quatrefoil.federation.provenance import SiloProvenance
from quatrefoil.federation.publishing import FinishedRound
from quatrefoil.federation.sums import OpenedSum
from quatrefoil.federation.tree import UpperSilo, publish_total, require_going_up
from quatrefoil.federation.witnessing import SiloWitness
from quatrefoil.services.silo import SiloService
from quatrefoil.services.vitals import Vitals
from quatrefoil.services.waiting import wake
from quatrefoil.transport import Channel

GLANCE_S = 1.0
"""Seconds that an offer waits for the group's sum before the upper aggregator is asked again what is next."""

LONGEST_END_S = 10.0
"""Seconds that a stop waits for the thread, which may be making a connection."""


class _Stopped(BaseException):
    """The group's aggregator ends, and its link with it."""


class UpperLink:
    """Made and used in the loop of the group's aggregator. ``grain``: of the group's encryption."""

    def __init__(
        self,
        upper: UpperSilo,
        provenance: SiloProvenance,
        dial: Callable[[], Channel],
        *,
        grain: float,
        witness: SiloWitness | None,
        give_up: float,
        report: Callable[[str], None],
        vitals: Vitals,
        on_failed: Callable[[QuatrefoilError], None] = lambda _: None,
    ) -> None:
        """``on_failed``: told, in the loop, what ended the link before the upper job was over."""
        self._upper = upper
        self._grain = grain
        self._dial = dial
        self._report = report
        self._on_failed = on_failed
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Condition()
        self._turn = threading.Condition()
        self._stopping = False
        self._channel: Channel | None = None
        self._waiting: tuple[int, GroupSum] | None = None
        """The group's open round, and its sum; the thread reads it in its turn."""
        self._taken: set[int] = set()
        """Rounds whose sum over all groups is in the upper silo's state, and was not published to the group."""
        self._published = 0
        self._digest: bytes | None = None
        self._ended = False
        self._failed: BaseException | None = None
        self._rounds_done = 0
        self._service = SiloService(
            upper.silo,
            provenance,
            self._connect,
            witness=witness,
            give_up=give_up,
            report=lambda text: report(f"upper job: {text}"),
            vitals=Vitals("silo"),  # of its own: the counts of the group's aggregator are of the group
            whom="the upper aggregator",
        )
        vitals.check("upper", self.problem)
        vitals.gauge("upper_rounds_done", "Rounds of the upper job whose result is here", lambda: self._rounds_done)
        vitals.gauge(
            "upper_waiting",
            "1 while the group's sum waits for the result of the upper job",
            lambda: float(self._waiting is not None),
        )
        self._thread = threading.Thread(target=self._run, name="upper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    # ---------------------------------------------------------------------------------- what the aggregator asks for

    async def digest(self) -> bytes:
        """The upper job's, once all its groups have agreed on it."""
        await self._until(lambda: self._digest is not None)
        assert self._digest is not None
        return self._digest

    def require(self, aggregator: Aggregator) -> None:
        """The group's job has begun, perhaps before a restart."""
        require_going_up(aggregator, self._digest or b"", self._upper.silo.job.name)
        self._publish(aggregator.rounds_done)

    async def finish(self, aggregator: Aggregator, opened: OpenedSum) -> FinishedRound:
        """Send the group's sum up, wait for what the upper job publishes of the round, and publish that.

        ``StateCorrupt`` where that was published before, and is not there any more.
        """
        number = aggregator.rounds_done + 1
        with self._turn:
            self._waiting = number, group_sum(opened, self._grain)
            self._turn.notify_all()
        try:
            if number not in self._taken:
                self._report(f"round {number}: the group's sum waits for the upper job")
            await self._until(lambda: number in self._taken or self._rounds_done >= number)
        finally:
            with self._turn:
                self._waiting = None
        total = await asyncio.to_thread(self._upper.total, number) if number in self._taken else None
        if total is None:
            raise StateCorrupt(
                f"the upper job's sum of round {number} was published to the group before, and this state of the group "
                "does not know of it: it is an old copy",
                hint="Put back the state of the group's aggregator as it was last",
            )
        finished = publish_total(aggregator, opened, total, self._grain)
        self._publish(number)
        return finished

    async def over(self) -> None:
        """Until the upper job has nothing more to ask of this group."""
        await self._until(lambda: self._ended)

    async def close(self) -> None:
        """End the thread, wherever it waits."""
        with self._turn:
            self._stopping = True
            channel = self._channel
            self._turn.notify_all()
        if channel is not None:
            channel.abort()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join, LONGEST_END_S)

    def problem(self) -> str | None:
        """Why the upper job does not go on as far as it is seen from here; None while it does."""
        if isinstance(self._failed, QuatrefoilError):
            return self._failed.problem
        return None if self._ended else self._service.problem

    async def _until(self, ready: Callable[[], bool]) -> None:
        """What the thread ended with is raised, unless that came after what is waited for."""
        async with self._news:
            await self._news.wait_for(lambda: ready() or self._failed is not None)
        if not ready():
            assert self._failed is not None
            raise self._failed

    def _publish(self, number: int) -> None:
        self._published = number
        self._taken = {one for one in self._taken if one > number}

    # -------------------------------------------------------------------------------------------------- in the thread

    def _run(self) -> None:
        try:
            if self._upper.ended:
                self._recall()
            else:
                self._service.drive(self)
            self._tell(ended=True)
        except _Stopped:
            pass
        except BaseException as error:
            self._tell(failed=error)

    def _recall(self) -> None:
        """What is stored: from before a restart, or from before the state was away. That may have been after a result
        was taken, and before anybody was told."""
        silo = self._upper.silo
        for number in self._upper.held:
            self._tell(taken=number)
        self._tell(digest=silo.job.digest(), rounds_done=silo.rounds_done)  # also where nothing more is asked

    def _connect(self) -> Channel:
        self._require_going_on()
        channel = self._dial()
        with self._turn:
            self._channel = channel
        if self._stopping:
            channel.abort()
        self._require_going_on()
        return channel

    def _require_going_on(self) -> None:
        if self._stopping:
            raise _Stopped

    def consent(self, signed_job: bytes) -> bytes:
        return self._upper.consent(signed_job)

    def begin(self) -> None:
        self._recall()

    def contribute(self, context: RoundContext, offer: bytes, voids: Sequence[bytes]) -> bytes | None:
        def there() -> bool:
            return self._stopping or (self._waiting is not None and self._waiting[0] == context.round)

        with self._turn:
            self._turn.wait_for(there, GLANCE_S)
            found = self._waiting
        self._require_going_on()
        if found is None or found[0] != context.round:
            return None
        return self._upper.contribute(offer, found[1], tuple(voids))

    def accept(self, offer: bytes, release: bytes, result: bytes, receipts: bytes) -> None:
        self._upper.forget(self._published)
        self._upper.take(offer, release, result, receipts)
        number = self._upper.silo.rounds_done
        if self._upper.total(number) is not None:  # None: of a result that comes again, and was published
            self._tell(taken=number, rounds_done=number)

    def end(self) -> None:
        self._upper.end()

    def _tell(
        self,
        *,
        digest: bytes | None = None,
        taken: int | None = None,
        rounds_done: int | None = None,
        ended: bool = False,
        failed: BaseException | None = None,
    ) -> None:
        """Have the loop know."""

        async def note() -> None:
            self._digest = digest or self._digest
            if taken is not None and taken > self._published:
                self._taken.add(taken)
            self._rounds_done = self._rounds_done if rounds_done is None else rounds_done
            self._ended = self._ended or ended
            if failed is not None and not self._stopping:
                self._failed = failed
                if isinstance(failed, QuatrefoilError):
                    self._report(f"upper job: {failed.problem}")  # the group is told when it next needs it: in hours
                    self._on_failed(failed)
            await wake(self._news)

        told = note()
        try:
            asyncio.run_coroutine_threadsafe(told, self._loop)
        except RuntimeError:  # the loop is closed: nobody is there to be told
            told.close()


__all__ = ["UpperLink"]
