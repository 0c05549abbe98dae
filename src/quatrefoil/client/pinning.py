"""The keys that requests are sealed to: asked for, judged, kept while they may be relied on, and asked for again.

One attestation serves every request that waits for it. The next one is fetched before the last one ends, beside the
requests and not before them. What was accepted is judged again while it is held, so that evidence or collateral that
ends in mid-life ends what was built on it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from quatrefoil import attested, ohttp
from quatrefoil.appraisal import measurement_of
from quatrefoil.attested import Attestation, Attested, Presented, RelyingParty
from quatrefoil.audit import inference_receipts
from quatrefoil.enclave.binding import Keyset
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.errors import EvidenceRejected, QuatrefoilError
from quatrefoil.exchange import ServingPolicy, protocol
from quatrefoil.transport import Clock

Fetch = Callable[[bytes], Awaitable[bytes]]
"""A challenge to the server's answer, both encoded."""

ANSWER_S = 60.0
"""Seconds that a server may take to collect evidence."""

JUDGE_AGAIN_S = 30.0
"""How often accepted evidence is held to the policy again at most, at the time that it is then."""

TRY_AGAIN_S = 5.0
"""How long after it failed a renewal in the background is tried again."""


@dataclass(frozen=True, repr=False)
class Pinned:
    """What a server was found to be, and the keys that it answers for until ``expires``.

    ``attestation``: the encoded ``Attestation``, with the nonce that it answers. ``named``: the keyset's SHA-256.
    """

    attestation: bytes
    accepted: Attested
    named: bytes
    configuration: ohttp.KeyConfiguration
    measurement: str
    expires: datetime
    renew_at: datetime

    @property
    def keyset(self) -> Keyset:
        return self.accepted.keyset

    def __repr__(self) -> str:
        return f"Pinned({self.measurement[:80]!r}, until {self.expires:%Y-%m-%d %H:%M:%S} UTC)"


class Pins:
    """The server's attested keys, for one event loop."""

    def __init__(
        self,
        fetch: Fetch,
        policy: ServingPolicy,
        collateral: Callable[[], Collateral],
        *,
        clock: Clock,
        spread: Callable[[], float] = random.random,
    ) -> None:
        """``spread``: 0 to 1; how far into the time in which both the last and the next keyset are in force this
        client goes to the next, so that not all do at once."""
        self._fetch = fetch
        self._policy = policy
        self._collateral = collateral
        self._clock = clock
        self._spread = spread
        self._held: Pinned | None = None
        self._judged_at: datetime | None = None
        self._retry_at: datetime | None = None
        self._asking: asyncio.Task[Pinned] | None = None
        self.count = 0
        """Attestations that were asked for: for reports and tests."""

    @property
    def held(self) -> Pinned | None:
        """What was accepted last, whether or not it is still good."""
        return self._held

    async def current(self) -> Pinned:
        """Keys that may be relied on now: those that are held, or fresh ones."""
        now = self._clock()
        held = self._held
        if held is None or now >= held.expires or not await self._still_holds(held, now):
            return await self._ask()
        if now >= held.renew_at and (self._retry_at is None or now >= self._retry_at):
            self._renew_beside(now)
        return held

    async def after(self, refused: Pinned) -> Pinned:
        """Keys from another keyset than ``refused``, to which the server says that it has no key; or, where fresh
        evidence names the same keyset, that: whoever said so was not the server."""
        held = self._held
        if held is not None and held.keyset != refused.keyset:
            return await self.current()
        before = self._asking
        found = await self._ask()
        if before is not None and found.keyset == refused.keyset:
            return await self._ask()  # that was asked for before the refusal, and perhaps answered before the rotation
        return found

    async def close(self) -> None:
        """Give up what is being asked for."""
        asking, self._asking = self._asking, None
        if asking is not None:
            asking.cancel()
            with contextlib.suppress(asyncio.CancelledError, QuatrefoilError):
                await asking

    # ------------------------------------------------------------------------------------------------------- details

    async def _ask(self) -> Pinned:
        # A waiter that is cancelled leaves the task to the others.
        return await asyncio.shield(self._task())

    def _task(self) -> asyncio.Task[Pinned]:
        if self._asking is None:
            self._asking = asyncio.get_running_loop().create_task(self._attest())
            self._asking.add_done_callback(self._asked)
        return self._asking

    def _asked(self, task: asyncio.Task[Pinned]) -> None:
        if self._asking is task:
            self._asking = None
        if not task.cancelled():
            task.exception()  # whoever waited has it; nobody did for a renewal, which is tried again

    def _renew_beside(self, now: datetime) -> None:
        self._retry_at = now + timedelta(seconds=TRY_AGAIN_S)
        self._task()

    async def _attest(self) -> Pinned:
        self.count += 1
        party = RelyingParty(
            self._policy.attestation.appraisal,
            self._collateral(),
            purpose=protocol.PURPOSE,
            clock=self._clock,
            answer_seconds=ANSWER_S,
            life_seconds=self._policy.attestation.life_s,
        )
        answer = await self._fetch(party.challenge())
        # Signatures and certificates are verified there: milliseconds in which the loop does other things.
        pinned = await asyncio.to_thread(self._accept, party, answer)
        self._held, self._judged_at, self._retry_at = pinned, self._clock(), None
        return pinned

    def _accept(self, party: RelyingParty, answer: bytes) -> Pinned:
        accepted = party.accept(answer, b"")
        keyset = accepted.keyset
        inference_receipts.public_key(keyset)
        measurement = measurement_of(accepted.verdict, self._policy.attestation.appraisal)
        configuration = protocol.configuration(keyset)
        return Pinned(answer, accepted, keyset.digest(), configuration, measurement, *self._times(accepted))

    def _times(self, accepted: Attested) -> tuple[datetime, datetime]:
        """Until when to seal to it, and when to ask again: a tenth before that, at most a minute, and once the next
        keyset is in force.

        A keyset outlives its sealing key by the longest stream, whose receipt it still signs.
        """
        now, keys = self._clock(), self._policy.keys
        last = datetime.fromtimestamp(accepted.keyset.expires - self._policy.limits.stream_seconds - 1, UTC)
        expires = min(accepted.expires, last) if last > now else accepted.expires
        before_end = expires - min((expires - now) / 10, timedelta(seconds=60))
        replaced = last - timedelta(seconds=keys.overlap_s)
        if replaced <= now:  # a server whose next keyset is late: wait for the end
            return expires, before_end
        return expires, min(before_end, replaced + timedelta(seconds=self._spread() * keys.overlap_s / 2))

    async def _still_holds(self, held: Pinned, now: datetime) -> bool:
        judged = self._judged_at
        if judged is not None and abs((now - judged).total_seconds()) < JUDGE_AGAIN_S:
            return True
        try:
            await asyncio.to_thread(self._judge, held, now)
        except EvidenceRejected:
            return False  # fresh evidence is asked for, and what is wrong with that is raised
        self._judged_at = now
        return True

    def _judge(self, held: Pinned, at: datetime) -> None:
        said = Attestation.decode(held.attestation)
        presented = Presented(said.keyset, said.evidence, said.nonce, protocol.PURPOSE, b"", b"")
        attested.judge(presented, self._policy.attestation.appraisal, self._collateral(), at)


__all__ = ["Pinned", "Pins"]
