"""Signed public keys and what was sent under them, from files that may be older than their signers' certificates."""

from __future__ import annotations

from datetime import datetime

from quatrefoil.analytics import HolderKey, SentTable, TablePublicKey, TableSent, verify_key, verify_sent
from quatrefoil.contracts import VerifiedStatement
from quatrefoil.transport import Clock, TrustAnchor, statement
from quatrefoil.transport.sealed import Judged
from quatrefoil.transport.sealed.layout import judged_at


def read_key(signed: bytes, trust: TrustAnchor, *, judged: Judged, clock: Clock) -> HolderKey:
    """The public key in a holder's statement, or what :func:`quatrefoil.analytics.verify_key` raises."""
    made_at = TablePublicKey.decode(statement.body_of(signed)).made_at
    at = judged_at(judged, made_at, clock, "the public key claims to be made")
    return verify_key(signed, lambda one: _verified(one, trust, clock, at))


def read_sent(signed: bytes, trust: TrustAnchor, *, judged: Judged, clock: Clock) -> TableSent:
    """What a party says to have sent, or what :func:`quatrefoil.analytics.verify_sent` raises."""
    made_at = SentTable.decode(statement.body_of(signed)).made_at
    at = judged_at(judged, made_at, clock, "the table claims to be sent")
    return verify_sent(signed, lambda one: _verified(one, trust, clock, at))


def _verified(signed: bytes, trust: TrustAnchor, clock: Clock, at: datetime | None) -> VerifiedStatement:
    return statement.verify(signed, trust, clock=clock, claimed=at)


__all__ = ["read_key", "read_sent"]
