"""The keys that silos sealed for an attempt, opened where the one key of that attempt is.

A key that does not open, is of another length, or is not the one that its silo proved something of refuses the request
and names the silo. No key that was opened outlives a refusal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from quatrefoil.contracts import PrivateAggregation, Recipient, TransportSecurity
from quatrefoil.errors import MessageRefused, PeerError
from quatrefoil.federation.agreement import AgreedJob, require_author, sha256
from quatrefoil.federation.messages import Contribution, RosterProposal, RoundContext, SealedContribution
from quatrefoil.federation.proving import JobProofs


@dataclass(frozen=True)
class OpenAttempt:
    """An attempt whose sealing key is here: ``recipient`` holds it."""

    job: AgreedJob
    context: RoundContext
    recipient: Recipient


class SealedKeys:
    """Opens keys for attempts; what it holds of its own is no secret."""

    def __init__(self, security: TransportSecurity, aggregation: PrivateAggregation, proofs: JobProofs) -> None:
        self._security = security
        self._key_bytes = aggregation.scheme.key_bytes
        self._proofs = proofs

    def open(
        self, attempt: OpenAttempt, contributions: Sequence[SealedContribution]
    ) -> tuple[RosterProposal, list[bytearray]]:
        """The roster of these contributions, and their keys in its order. One that does not open refuses the request
        and names its silo: the aggregator asks again without it, and nothing has been answered yet."""
        opened: dict[str, tuple[bytes, bytearray]] = {}
        owners: dict[bytes, str] = {}
        try:
            for sealed in contributions:
                name, key = self._open_one(attempt, sealed)
                if name in opened:
                    wipe(key)
                    raise refused(name, "contributes twice")
                opened[name] = (sha256(sealed.contribution), key)
                # Equal keys cannot be added. Nobody can be framed: a silo's key is read by this keeper only.
                if (owner := owners.setdefault(hashlib.sha256(key).digest(), name)) != name:
                    raise refused(name, f"sealed the same key as {owner}")
        except BaseException:
            for _, key in opened.values():
                wipe(key)
            raise
        names = tuple(sorted(opened))
        proposal = RosterProposal(attempt.context.digest(), names, tuple(opened[name][0] for name in names))
        return proposal, [opened[name][1] for name in names]

    def _open_one(self, attempt: OpenAttempt, sealed: SealedContribution) -> tuple[str, bytearray]:
        statement = self._security.verify(sealed.contribution)
        member = attempt.job.member(statement.signer)
        require_author(statement, member, "silo")
        contribution = Contribution.decode(statement.body)
        context = attempt.context.digest()
        if contribution.context != context:
            raise refused(member.name, "contributes to another round or attempt")
        if contribution.sealed_key != sha256(sealed.sealed_key):
            raise refused(member.name, "signed another sealed key than the one that came with its contribution")
        try:
            opened = attempt.recipient.open(sealed.sealed_key, context=context)
        except MessageRefused as error:
            raise _unusable(member.name, error) from None
        try:
            require_author(opened.sender, member, "silo")
            if len(opened.plaintext) != self._key_bytes:
                raise refused(member.name, f"sealed a key of {len(opened.plaintext)} bytes")
            subject = attempt.job.subject(attempt.context, member.name)
            self._proofs.check_key(subject, contribution, opened.plaintext)
        except PeerError as error:
            wipe(opened.plaintext)
            raise error if error.party else _unusable(member.name, error) from None
        return member.name, opened.plaintext


def wipe(key: bytearray) -> None:
    """Overwrite an opened key."""
    key[:] = bytes(len(key))


def refused(name: str, what: str) -> MessageRefused:
    """That a silo is to be left out, and why."""
    return MessageRefused(f"{name} {what}", hint="Leave it out and ask again", party=name)


def _unusable(name: str, error: PeerError) -> MessageRefused:
    return refused(name, f"sealed a key that cannot be used ({error.problem})")


__all__ = ["OpenAttempt", "SealedKeys", "refused", "wipe"]
