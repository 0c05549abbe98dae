"""Taking revocations in: whose they are to make, durable before they count, and logged afterwards."""

from __future__ import annotations

from dataclasses import replace

from quatrefoil.audit import Event
from quatrefoil.broker.clock import SteadyClock
from quatrefoil.broker.journal import Journal
from quatrefoil.broker.ledger import Ledger, RevocationRecord, revoker_of
from quatrefoil.broker.messages import DIGEST, Asker, Revocation
from quatrefoil.broker.revocations import Revocations
from quatrefoil.contracts import TransportSecurity
from quatrefoil.errors import PolicyError


class Revoking:
    """Of one broker. Building one logs what was taken in and not logged before a kill."""

    def __init__(
        self,
        ledger: Ledger,
        revoked: Revocations,
        journal: Journal,
        *,
        security: TransportSecurity,
        operator: Asker,
        clock: SteadyClock,
    ) -> None:
        self._ledger = ledger
        self._revoked = revoked
        self._journal = journal
        self._security = security
        self._operator = operator
        self._clock = clock
        for record in revoked.not_logged():
            self._log_revocation(record)

    def revoke(self, signed: bytes) -> None:
        """Take a signed :class:`Revocation` in. It is durable, and in the log, when this returns; the same again
        changes nothing. ``PolicyError`` where it is not the signer's to revoke."""
        statement = self._security.verify(signed)
        wanted = Revocation.decode(statement.body)
        by = Asker(statement.signer, statement.role)
        if (known := self._revoked.get(wanted.digest())) is None:
            with self._journal.refusals_logged("revoke", by, {"what": wanted.what, "value": wanted.value.hex()}):
                self._require_may_revoke(wanted, by)
            known = RevocationRecord(wanted, signed, by.name, by.role, self._clock.earliest(), logged=False)
            self._ledger.commit(self._ledger.put_revocation(known), self._clock.mark())
            self._revoked.add(known)
        if not known.logged:
            self._log_revocation(known)

    def _log_revocation(self, record: RevocationRecord) -> None:
        one = record.revocation
        body = {
            "what": one.what,
            "value": one.value.hex(),
            "of": f"{one.kind} {one.name}".strip(),
            "resource": one.resource.hex(),
            "by": record.by,
            "reason": one.reason,
        }
        logged = replace(record, logged=True)
        self._journal.commit(
            Event("revocation", body, {"revocation": record.signed}), self._ledger.put_revocation(logged)
        )
        self._revoked.add(logged)

    def _require_may_revoke(self, wanted: Revocation, by: Asker) -> None:
        if by == self._operator:
            return
        resource = wanted.value if wanted.what == "resource" else wanted.resource
        if wanted.what == "lease" and (held := self._ledger.lease(wanted.value)) is not None:
            resource = held.lease.resource
        record = self._ledger.resource(resource) if len(resource) == DIGEST else None
        if record is None or revoker_of(record) != by:
            raise PolicyError(
                f"{by} may not revoke this {wanted.what} here",
                hint="A resource's owner revokes what concerns that resource, and the broker's operator everything",
            )


__all__ = ["Revoking"]
