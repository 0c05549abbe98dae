"""The side that believes evidence (RFC 9334 section 3.1), under a policy and for one purpose."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from quatrefoil.appraisal import AppraisalPolicy, Verdict
from quatrefoil.attested.judging import Presented, judge
from quatrefoil.attested.messages import Attestation, Challenge
from quatrefoil.enclave.binding import NONCE_BYTES, Keyset, check_purpose
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.errors import CallerError, EvidenceRejected
from quatrefoil.transport import Clock

Kept = TypeVar("Kept")

MOST_CHALLENGES = 4096
MOST_ACCEPTED = 4096
"""How many challenges may wait for an answer, and how many peers are remembered; what ends first makes room."""

LONGEST_S = 366 * 86400

_ASK_AGAIN = "Send a fresh challenge"


@dataclass(frozen=True)
class Attested:
    """What was accepted: whose keys these are, why, and until when that may be relied on."""

    keyset: Keyset
    verdict: Verdict
    expires: datetime

    def require_current(self, at: datetime) -> None:
        """``EvidenceRejected``, with the date, where this must not be relied on at ``at`` any more."""
        if at >= self.expires:
            raise EvidenceRejected(
                f"the attestation was good until {self.expires:%Y-%m-%d %H:%M:%S} UTC",
                hint=_ASK_AGAIN,
                check="attestation-validity",
            )


class RelyingParty:
    """Challenges, and what to think of the answers: bytes in, bytes out. May be called from several threads.

    ``answer_seconds``: how long a challenge waits for its answer. ``life_seconds``: how long an accepted answer may be
    relied on; never beyond the keyset's own end. Nothing outlives the process, so that no old nonce is taken after a
    restart.
    """

    def __init__(
        self,
        policy: AppraisalPolicy,
        collateral: Collateral,
        *,
        purpose: str,
        clock: Clock,
        answer_seconds: float = 60,
        life_seconds: float = 3600,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        check_purpose(purpose)
        if not (0 < answer_seconds <= LONGEST_S and 0 < life_seconds <= LONGEST_S):
            raise CallerError(
                "an attestation must have time to be made and used, and end", hint="Give seconds above 0, up to a year"
            )
        self._policy = policy
        self._collateral = collateral
        self._purpose = purpose
        self._clock = clock
        self._patience = timedelta(seconds=answer_seconds)
        self._life = timedelta(seconds=life_seconds)
        self._random = random
        self._lock = threading.Lock()
        self._waiting: dict[bytes, datetime] = {}
        self._accepted: dict[bytes, Attested] = {}

    def challenge(self) -> bytes:
        """A fresh encoded :class:`Challenge`. Its nonce is taken once, within ``answer_seconds``."""
        now, nonce = self._clock(), self._random(NONCE_BYTES)
        with self._lock:
            if nonce in self._waiting:
                raise CallerError("the random generator repeats itself", hint="Give the system's")
            _make_room(self._waiting, MOST_CHALLENGES, lambda end: end)
            self._waiting[nonce] = now + self._patience
        return Challenge(nonce, self._purpose).encode()

    def accept(self, answer: bytes, exporter: bytes, *, peer_key: bytes = b"") -> Attested:
        """What may be relied on now, or ``EvidenceRejected`` naming the first check that failed.

        ``exporter``: from the channel that the answer came on, with the challenge's nonce (``channels.exported``); or
        ``b""`` where there is no channel, and then the answer shows whose the keys are, and not who sent it.
        ``peer_key``: SHA-256 of the SubjectPublicKeyInfo that the channel's peer was verified with. On a channel a
        keyset that names a TLS key must name this one.
        """
        now = self._clock()
        said = Attestation.decode(answer)
        self._take(said.nonce, now)
        presented = Presented(said.keyset, said.evidence, said.nonce, self._purpose, exporter, peer_key)
        verdict = judge(presented, self._policy, self._collateral, now)
        end = datetime.fromtimestamp(said.keyset.expires, UTC)
        accepted = Attested(said.keyset, verdict, min(now + self._life, end))
        self._remember(accepted)
        return accepted

    def recognise(self, peer_key: bytes) -> Attested:
        """What was accepted before of the holder of this TLS key, or ``EvidenceRejected``: ask it, then.

        Good for a new channel as well: its peer has just proved that it holds a key which attested code answers for.
        Weaker than to ask: somebody who has taken that key out of there is recognised too.
        """
        now = self._clock()
        with self._lock:
            found = self._accepted.get(peer_key)
        if found is None:
            raise EvidenceRejected(
                "nothing has been accepted of this TLS key", hint=_ASK_AGAIN, check="attestation-validity"
            )
        found.require_current(now)
        return found

    def forget(self, keyset: Keyset) -> None:
        """Recognise nobody by ``keyset`` any more, until it is attested again: what is accepted is for the policy."""
        with self._lock:
            if (found := self._accepted.get(keyset.tls)) is not None and found.keyset == keyset:
                del self._accepted[keyset.tls]

    def _take(self, nonce: bytes, now: datetime) -> None:
        with self._lock:
            end = self._waiting.pop(nonce, None)
        if end is None or now >= end:
            late = "came too late" if end else "is not one that waits for an answer: it was answered, or never sent"
            raise EvidenceRejected(f"the answer's challenge {late}", hint=_ASK_AGAIN, check="nonce")

    def _remember(self, accepted: Attested) -> None:
        if accepted.keyset.tls:
            with self._lock:
                self._accepted.pop(accepted.keyset.tls, None)
                _make_room(self._accepted, MOST_ACCEPTED, lambda one: one.expires)
                self._accepted[accepted.keyset.tls] = accepted


def _make_room(kept: dict[bytes, Kept], most: int, end: Callable[[Kept], datetime]) -> None:
    while len(kept) >= most:
        del kept[min(kept, key=lambda name: end(kept[name]))]


__all__ = ["Attested", "RelyingParty"]
