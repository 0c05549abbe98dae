"""How an aggregator takes what a silo delivers: held to what the silo signed, its proof verified, then added.

Who delivers is who the channel says, never what a message claims. What is refused names its silo, is logged, stops
nobody else, and is remembered for that silo's receipt.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from quatrefoil.audit import Log
from quatrefoil.contracts import TransportSecurity
from quatrefoil.errors import MessageRefused, PeerError
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import AgreedJob, require_author, sha256
from quatrefoil.federation.gathering import Gathering
from quatrefoil.federation.messages import Contribution
from quatrefoil.federation.proving import JobProofs, Subject, Verified
from quatrefoil.federation.receipt_office import ReceiptOffice, contribution_in


@dataclass(frozen=True)
class Verification:
    """Looks at the proof of one contribution when it is called: heavy, free of the aggregator's state, and so for any
    thread; with backends that can be pickled, for any process."""

    proofs: JobProofs
    subject: Subject
    contribution: Contribution
    ciphertext: bytes
    proof: bytes

    def __call__(self) -> Verified:
        return self.proofs.verify(self.subject, self.contribution, self.ciphertext, self.proof)


@dataclass(frozen=True)
class Arrived:
    """A contribution as its silo signed it, with a proof that has not been looked at yet: ``verify`` does."""

    name: str
    contribution: Contribution
    signed: bytes
    sealed_key: bytes
    ciphertext: bytes
    verify: Callable[[], Verified]
    proof: bytes
    """As it came, empty for none."""


class Receiving:
    """Contributions to the attempts of one aggregator's job."""

    def __init__(
        self, job: AgreedJob, *, security: TransportSecurity, proofs: JobProofs, log: Log, receipts: ReceiptOffice
    ) -> None:
        self._job = job
        self._security = security
        self._proofs = proofs
        self._log = log
        self._receipts = receipts

    def examine(self, attempt: Gathering, name: str, message: bytes) -> Arrived | None:
        """A contribution after every check but that of its proof; None for one that is in already.

        ``name`` is who the channel says it is, never what the message claims: nobody can have another silo refused.
        """
        proof, arrived = b"", contribution_in(message)
        try:
            signed, sealed_key, ciphertext, proof = parts.split(message, 4)
            statement = self._security.verify(signed)
            member = self._job.member(name)
            require_author(statement, member, "silo")
            contribution = Contribution.decode(statement.body)
            if contribution.context != attempt.context.digest():
                arrived = b""  # nothing of this attempt: what it is of has its own receipt
                raise MessageRefused(
                    f"{name} contributes to another round or attempt", hint="Take the current offer", party=name
                )
            named = sha256(ciphertext), self._proofs.sealed_digest(sealed_key)
            if (contribution.ciphertext, contribution.sealed_key) != named:
                raise MessageRefused(
                    f"what {name} sent is not what it signed", hint="Send the recorded bytes again", party=name
                )
            if self._is_repeated(attempt, name, contribution):
                return None
        except PeerError as error:
            self._refuse(attempt, name, error.problem, proof, arrived)
            raise
        subject = self._job.subject(attempt.context, name, attempt.direction)
        return Arrived(
            name,
            contribution,
            signed,
            sealed_key,
            ciphertext,
            Verification(self._proofs, subject, contribution, ciphertext, proof),
            proof,
        )

    def admit(self, attempt: Gathering, arrived: Arrived, verified: Callable[[], Verified]) -> None:
        """Add a contribution to the sum, if ``verified`` gives what its ``verify`` gave, and does not raise.

        The attempt may have gone on since it was examined: one that comes too late for it is refused.
        """
        name = arrived.name
        if arrived.contribution.context != attempt.context.digest():
            raise MessageRefused(
                f"the attempt that {name} contributed to has ended meanwhile", hint="Take the current offer", party=name
            )
        try:
            verified()
            if not self._is_repeated(attempt, name, arrived.contribution):
                attempt.add(
                    name,
                    arrived.signed,
                    arrived.sealed_key,
                    arrived.ciphertext,
                    arrived.proof,
                    digest=arrived.contribution.ciphertext,
                )
                self._receipts.delivered(arrived.contribution.context, name, sha256(arrived.signed))
        except PeerError as error:
            self._refuse(attempt, name, error.problem, arrived.proof, sha256(arrived.signed))
            raise

    def exclude(self, attempt: Gathering, name: str, reason: str) -> None:
        """Leave a silo out of an attempt, as the keeper asked for when its key cannot be used.

        Refused once the roster is closed.
        """
        received = attempt.received.get(name)
        attempt.exclude(name)
        self._refuse(attempt, name, reason, contribution=sha256(received.signed) if received else b"")

    def log_refusal(self, attempt: Gathering, name: str, reason: str, proof: bytes = b"") -> None:
        """Log what is refused of a silo. ``proof``: what came with it."""
        context = attempt.context
        body = {"round": context.round, "attempt": context.attempt, "silo": name, "reason": reason}
        self._log.append("refusal", body | ({"proof": sha256(proof).hex()} if proof else {}))

    def _is_repeated(self, attempt: Gathering, name: str, contribution: Contribution) -> bool:
        earlier = attempt.received.get(name)
        if earlier is None:
            return False
        if Contribution.decode(self._security.verify(earlier.signed).body) == contribution:
            return True
        raise MessageRefused(
            f"{name} sent a second, different contribution", hint="Send the recorded bytes again", party=name
        )

    def _refuse(
        self, attempt: Gathering, name: str, reason: str, proof: bytes = b"", contribution: bytes = b""
    ) -> None:
        """``contribution``: SHA-256 of what is refused, where it is of this attempt."""
        attempt.refused[name] = reason
        if contribution and name not in attempt.received:
            self._receipts.delivered(attempt.context.digest(), name, contribution, refused=reason)
        self.log_refusal(attempt, name, reason, proof)


__all__ = ["Arrived", "Receiving"]
