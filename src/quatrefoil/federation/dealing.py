"""A silo as a dealer: its key in shares, each sealed to one member, and what it shows of them when it is complained of.

The shares stay in memory until the attempt is void or the round is over. A dealer that was started again has none left
to show, and is left out of the attempt if somebody complains of it. It never shows more shares than members may lie:
those could be liars', who have them anyway; more would be an honest member's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from quatrefoil.audit import Log
from quatrefoil.contracts import DealtKey, PrivateAggregation, TransportSecurity
from quatrefoil.errors import MessageRefused, RoundVoided
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import AgreedJob, read
from quatrefoil.federation.authorities import sealing_keys
from quatrefoil.federation.committee_messages import OpenedShare, ShareReport
from quatrefoil.federation.messages import RoundContext


@dataclass
class _Dealt:
    """``opened``: by member, the signed share that was shown."""

    shares: tuple[bytearray, ...]
    opened: dict[int, bytes] = field(default_factory=dict)


class Dealer:
    """``most``: shares of one contribution that it shows, at the most."""

    def __init__(self, security: TransportSecurity, aggregation: PrivateAggregation, log: Log, *, most: int) -> None:
        self._security = security
        self._aggregation = aggregation
        self._log = log
        self._most = most
        self._dealt: dict[bytes, _Dealt] = {}

    def deal(self, job: AgreedJob, context: RoundContext, key: bytearray) -> tuple[DealtKey, bytes]:
        """The key of this silo's contribution in shares, and these sealed, one for each member that has a key,
        joined."""
        assert job.threshold is not None
        digest = context.digest()
        keys = sealing_keys(context, job.job.members)
        self.forget()  # a silo deals for another attempt only once those before are void
        dealt = self._aggregation.deal_key(key, job.threshold)
        self._dealt[digest] = _Dealt(dealt.shares)
        sealed = [
            self._security.seal(to, share, context=digest) if to else b""
            for to, share in zip(keys, dealt.shares, strict=True)
        ]
        return dealt, parts.join(sealed)

    def open(self, job: AgreedJob, context: RoundContext, contribution: bytes, reports: Sequence[bytes]) -> bytes:
        """The signed :class:`OpenedShare` for each of these signed reports, joined. ``contribution``: SHA-256 of what
        this silo has signed. ``MessageRefused`` for a report that is no complaint about it, and for too many."""
        digest = context.digest()
        if (dealt := self._dealt.get(digest)) is None:
            raise RoundVoided(
                f"the shares of round {context.round} attempt {context.attempt} are gone: this silo was started again",
                hint="Go on without it",
            )
        wanted = [self._complaining(job, digest, contribution, report) for report in reports]
        if len(dealt.opened.keys() | set(wanted)) > self._most:
            who = ", ".join(job.job.members[member - 1] for member in sorted({*dealt.opened, *wanted}))
            raise MessageRefused(
                f"{who} complain of this silo, and no more than {self._most} are said to lie: shown shares might tell "
                "its key",
                hint="Go on without it, and ask who complains",
            )
        for member in wanted:
            if member not in dealt.opened:
                shown = OpenedShare(digest, contribution, member, bytes(dealt.shares[member - 1]))
                dealt.opened[member] = self._security.sign(shown.encode())
                body = {"round": context.round, "attempt": context.attempt, "context": digest.hex()}
                self._log.append("share-opened", {**body, "member": job.job.members[member - 1]})
        return parts.join([dealt.opened[member] for member in wanted])

    def forget(self, context: bytes | None = None) -> None:
        """Overwrite the shares of one attempt, or of all."""
        for digest in [context] if context is not None else list(self._dealt):
            if (dealt := self._dealt.pop(digest, None)) is not None:
                for share in dealt.shares:
                    share[:] = bytes(len(share))

    def _complaining(self, job: AgreedJob, context: bytes, contribution: bytes, signed: bytes) -> int:
        name = self._security.verify(signed).signer
        report = read(self._security, signed, ShareReport, job.member(name), "silo")
        about = {(one.silo, one.contribution) for one in report.complaints}
        is_member = 1 <= report.member <= len(job.job.members) and job.job.members[report.member - 1] == name
        if not is_member or report.context != context or (self._security.name, contribution) not in about:
            raise MessageRefused(
                f"what {name} signed is no complaint about this silo's contribution", hint="Ask the aggregator"
            )
        return report.member


__all__ = ["Dealer"]
