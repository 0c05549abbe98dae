"""What a broker remembers, by name, in its state. Every change is one ``replace``: all of it is durable, or none.

clock                       the latest time seen
log                         how many entries of the log this state has taken in
nonce/NONCE                 a nonce that was given out, and once it is used, what became of the request
resource/DIGEST             a signed resource and its key, sealed to the broker by whoever owns it
lease/ID                    a lease as it stands
revoked/DIGEST              a revocation
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar, TypeVar, cast

from quatrefoil.audit.leases import Lease
from quatrefoil.broker.messages import Asker, Revocation
from quatrefoil.errors import MessageRefused, StateCorrupt
from quatrefoil.state import State
from quatrefoil.wire import WireObject

Record = TypeVar("Record", bound=WireObject)

Changes = dict[str, bytes | None]

LOG = "log"
KEPT_S = 86400
"""Seconds for which a lease that has ended is remembered, so that whoever asks is told that it ended."""

LARGEST_CACHED = 64 << 10
"""Bytes of a record that is kept in memory once it is read: owners may register large ones, and many of them."""

_HINT = "Restore nothing into it by hand: begin a new state, and have owners register again"


@dataclass(frozen=True)
class NonceRecord(WireObject):
    """``request``: SHA-256 of the request that used it, or empty. ``refusal``: class, problem and hint of what was
    raised, or empty: then ``answer`` is what was given, for ``lease`` where it was about one."""

    TYPE: ClassVar[str] = "urn:quatrefoil:broker:nonce"

    asker: str
    role: str
    expires: int
    request: bytes = b""
    lease: bytes = b""
    answer: bytes = b""
    refusal: tuple[str, ...] = ()


@dataclass(frozen=True)
class ResourceRecord(WireObject):
    """``signed``: the owner's statement. ``owner`` and ``role``: who signed it, verified when it was registered.
    ``revoker`` and ``revoker_role``: whose it is to revoke, the owner of the resource that it derives from."""

    TYPE: ClassVar[str] = "urn:quatrefoil:broker:resource-record"

    signed: bytes
    sealed_key: bytes
    owner: str
    role: str
    fingerprint: bytes
    revoker: str
    revoker_role: str
    registered: int
    answer: bytes


@dataclass(frozen=True)
class Claimed(WireObject):
    """A claim of the evidence that a lease stands on, which may be revoked later."""

    TYPE: ClassVar[str] = "urn:quatrefoil:broker:claimed"

    what: str
    kind: str
    name: str
    value: bytes


@dataclass(frozen=True)
class LeaseRecord(WireObject):
    """``lease``: as it was signed last. ``claims``: of the evidence that it was released or renewed for last."""

    TYPE: ClassVar[str] = "urn:quatrefoil:broker:lease-record"

    lease: Lease
    claims: tuple[Claimed, ...]


@dataclass(frozen=True)
class RevocationRecord(WireObject):
    """``logged``: whether its entry in the log is known to be durable. It counts from the moment it is stored."""

    TYPE: ClassVar[str] = "urn:quatrefoil:broker:revocation-record"

    revocation: Revocation
    signed: bytes
    by: str
    role: str
    at: int
    logged: bool


class Ledger:
    """Typed names over a state."""

    def __init__(self, state: State) -> None:
        self._state = state

    def commit(self, *changes: Mapping[str, bytes | None]) -> None:
        """Store all of these together, durably."""
        merged: Changes = {}
        for some in changes:
            merged |= some
        self._state.replace(merged)

    # -------------------------------------------------------------------------------------------------------- nonces

    def nonce(self, nonce: bytes) -> NonceRecord | None:
        return self._read(f"nonce/{nonce.hex()}", NonceRecord)

    @staticmethod
    def put_nonce(nonce: bytes, record: NonceRecord) -> Changes:
        return {f"nonce/{nonce.hex()}": record.encode()}

    @staticmethod
    def drop_nonce(nonce: bytes) -> Changes:
        return {f"nonce/{nonce.hex()}": None}

    def nonces(self) -> Iterator[tuple[bytes, NonceRecord]]:
        for name in self._state.names("nonce/"):
            if (record := self._read(name, NonceRecord)) is not None:
                yield bytes.fromhex(name.removeprefix("nonce/")), record

    # ----------------------------------------------------------------------------------------------------- resources

    def resource(self, digest: bytes) -> ResourceRecord | None:
        """The record of a resource. Its statement is held to its name: what somebody edited is found here."""
        record = self._read(f"resource/{digest.hex()}", ResourceRecord)
        if record is not None and hashlib.sha256(record.signed).digest() != digest:
            raise StateCorrupt(
                f"the statement stored as resource {digest.hex()[:16]} is another one: somebody changed it", hint=_HINT
            )
        return record

    @staticmethod
    def put_resource(digest: bytes, record: ResourceRecord) -> Changes:
        return {f"resource/{digest.hex()}": record.encode()}

    def resources(self) -> Iterator[tuple[bytes, ResourceRecord]]:
        for name in self._state.names("resource/"):
            digest = bytes.fromhex(name.removeprefix("resource/"))
            if (record := self.resource(digest)) is not None:
                yield digest, record

    # -------------------------------------------------------------------------------------------------------- leases

    def lease(self, identifier: bytes) -> LeaseRecord | None:
        return self._read(f"lease/{identifier.hex()}", LeaseRecord)

    @staticmethod
    def put_lease(record: LeaseRecord) -> Changes:
        return {f"lease/{record.lease.id.hex()}": record.encode()}

    @staticmethod
    def drop_lease(identifier: bytes) -> Changes:
        return {f"lease/{identifier.hex()}": None}

    def leases(self) -> Iterator[LeaseRecord]:
        for name in self._state.names("lease/"):
            if (record := self._read(name, LeaseRecord)) is not None:
                yield record

    # --------------------------------------------------------------------------------------------------- revocations

    @staticmethod
    def put_revocation(record: RevocationRecord) -> Changes:
        return {f"revoked/{record.revocation.digest().hex()}": record.encode()}

    def revocations(self) -> Iterator[RevocationRecord]:
        for name in self._state.names("revoked/"):
            if (record := self._read(name, RevocationRecord)) is not None:
                yield record

    # ----------------------------------------------------------------------------------------------------------- log

    @property
    def taken_in(self) -> int:
        """Entries of the log, from its beginning, that this state knows of."""
        return int(self._state.get(LOG) or b"0")

    @staticmethod
    def take_in(entries: int) -> Changes:
        return {LOG: str(entries).encode()}

    def _read(self, name: str, kind: type[Record]) -> Record | None:
        stored = self._state.get(name)
        if stored is None:
            return None
        try:
            found: Record = (_decoded if len(stored) <= LARGEST_CACHED else _decode)(cast("Any", kind), stored)
            return found
        except MessageRefused as damaged:
            raise StateCorrupt(f"{name[:40]} does not read back: {damaged.problem}", hint=_HINT) from None


def _decode(kind: Any, stored: bytes) -> Any:
    return kind.decode(stored)


_decoded = lru_cache(maxsize=1024)(_decode)
"""Records are read several times in a decision, and most do not change between two."""


def used(record: NonceRecord, request: bytes, **became: object) -> NonceRecord:
    """``record`` after ``request`` used it."""
    return replace(record, request=hashlib.sha256(request).digest(), **became)  # type: ignore[arg-type]


def owner_of(record: ResourceRecord) -> Asker:
    return Asker(record.owner, record.role)


def revoker_of(record: ResourceRecord) -> Asker:
    """Who may revoke it beside the broker's operator."""
    return Asker(record.revoker, record.revoker_role)
