"""What a broker shows of what it holds: to its operator all, to others what is theirs."""

from __future__ import annotations

from quatrefoil.broker.ledger import Ledger, owner_of, revoker_of
from quatrefoil.broker.messages import Asker, LeaseList, LeaseShown, ResourceList, ResourceShown
from quatrefoil.broker.registry import Registry, owned_of
from quatrefoil.broker.revocations import Revocations

HELD, EXPIRED, REVOKED = "held", "expired", "revoked"


def leases(
    ledger: Ledger, registry: Registry, revoked: Revocations, now: int, asker: Asker, operator: Asker
) -> LeaseList:
    """Leases of the asker, and of resources that it may revoke."""
    shown = []
    for record in ledger.leases():
        lease = record.lease
        resource = ledger.resource(lease.resource)
        allowed = {operator, Asker(lease.holder, lease.role)} | ({revoker_of(resource)} if resource else set())
        if asker not in allowed:
            continue
        standing = EXPIRED if now >= lease.expires else HELD
        if revoked.reason(registry.chain(lease.resource), lease=lease.id, claims=record.claims) is not None:
            standing = REVOKED
        shown.append(LeaseShown(lease, standing))
    return LeaseList(tuple(shown))


def resources(ledger: Ledger, registry: Registry, revoked: Revocations, asker: Asker, operator: Asker) -> ResourceList:
    """Resources that the asker owns or may revoke."""
    shown = []
    for digest, record in ledger.resources():
        if asker not in (operator, owner_of(record), revoker_of(record)):
            continue
        owned = owned_of(record)
        resource = owned.resource
        shown.append(
            ResourceShown(
                resource=digest,
                kind=resource.kind,
                name=resource.name,
                owner=record.owner,
                role=record.role,
                parent=resource.parent,
                policy=owned.policy.digest(),
                stages=resource.stages,
                registered=record.registered,
                revoked=revoked.reason(registry.chain(digest)) is not None,
            )
        )
    return ResourceList(tuple(shown))
