"""What has been revoked, in memory: a revocation is for good, and reaches everything that derives from a resource."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from quatrefoil.broker.ledger import Claimed, RevocationRecord
from quatrefoil.errors import PolicyError


class Revocations:
    """All that a broker has taken in."""

    def __init__(self, records: Iterable[RevocationRecord]) -> None:
        self._records = {record.revocation.digest(): record for record in records}

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._records

    def get(self, digest: bytes) -> RevocationRecord | None:
        return self._records.get(digest)

    def add(self, record: RevocationRecord) -> None:
        self._records[record.revocation.digest()] = record

    def not_logged(self) -> list[RevocationRecord]:
        return [record for record in self._records.values() if not record.logged]

    def reason(self, resources: Sequence[bytes], *, lease: bytes = b"", claims: Sequence[Claimed] = ()) -> str | None:
        """What of this is revoked, in words; None if nothing is. ``resources``: a resource and what it derives from."""
        for record in self._records.values():
            one = record.revocation
            hit = (
                (one.what == "resource" and one.value in resources)
                or (one.what == "lease" and lease == one.value)
                or (
                    (not one.resource or one.resource in resources)
                    and Claimed(one.what, one.kind, one.name, one.value) in claims
                )
            )
            if hit:
                name = f"{one.kind} {one.name} {one.value.hex()[:16]}" if one.name else one.value.hex()[:16]
                by = f"{record.role} {record.by}".strip()
                return f"{one.what} {name} was revoked by {by}: {one.reason or 'no reason given'}"
        return None

    def require_none(self, resources: Sequence[bytes], *, lease: bytes = b"", claims: Sequence[Claimed] = ()) -> None:
        """``PolicyError`` where any of it is revoked."""
        if (reason := self.reason(resources, lease=lease, claims=claims)) is not None:
            raise PolicyError(reason, hint="Ask whoever revoked it; a revocation is for good")
