"""How a silo's update becomes what it sends: encrypted, its key sealed to who answers for it, proven, and signed.

The key and what the proof hides are overwritten before anything is returned or raised.
"""

from __future__ import annotations

from dataclasses import replace

from quatrefoil.contracts import FloatVector, PrivateAggregation, TransportSecurity
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import AgreedJob, sha256
from quatrefoil.federation.dealing import Dealer
from quatrefoil.federation.messages import Contribution, RoundContext
from quatrefoil.federation.proving import JobProofs


class Contributing:
    """``dealer``: of the key's shares, where a committee answers for it."""

    def __init__(
        self, security: TransportSecurity, aggregation: PrivateAggregation, proofs: JobProofs, dealer: Dealer
    ) -> None:
        self._security = security
        self._aggregation = aggregation
        self._proofs = proofs
        self._dealer = dealer

    def message(self, job: AgreedJob, context: RoundContext, update: FloatVector, direction: bytes) -> bytes:
        """The signed :class:`Contribution`, sealed key, ciphertext and proof, joined. ``direction``: of the round."""
        digest = context.digest()
        subject = job.subject(context, self._security.name, direction)
        encrypted, hidden = self._proofs.encrypt(self._aggregation, update, subject)
        try:
            if self._proofs.threshold is None:
                sealed = self._security.seal(context.sealing_key, encrypted.key, context=digest)
            else:
                assert hidden is not None, "a committee has proofs"
                dealt, sealed = self._dealer.deal(job, context, encrypted.key)
                hidden = replace(hidden, dealt=dealt)
            proven = self._proofs.prove(subject, encrypted.ciphertext, sealed, hidden)
        finally:
            encrypted.key[:] = bytes(len(encrypted.key))
            if hidden is not None:
                hidden.noise[:] = bytes(len(hidden.noise))
                if hidden.dealt is not None:
                    hidden.dealt.hidden[:] = bytes(len(hidden.dealt.hidden))
        named = self._proofs.sealed_digest(sealed)
        contribution = Contribution(digest, sha256(encrypted.ciphertext), named, proven.claims)
        return parts.join([self._security.sign(contribution.encode()), sealed, encrypted.ciphertext, proven.proof])


__all__ = ["Contributing"]
