"""One key holder, and parties who encrypt under its public key: what each signs, so that none is put in its place.

The holder signs its public key together with the resource that the secret half is sealed as. Whoever encrypts signs
which table it sent under which of these statements. Both are named by the SHA-256 of the signed statement.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from quatrefoil.aggregation.he import HeParameters, PublicKey
from quatrefoil.analytics.tables import EncryptedTable, known
from quatrefoil.contracts import VerifiedStatement
from quatrefoil.errors import CallerError, MessageRefused
from quatrefoil.wire import WireObject

_AGAIN = "Ask the key's holder for its public key again, and for its digest by another way"


@dataclass(frozen=True)
class TablePublicKey(WireObject):
    """The body of the holder's statement. ``serial``: counts the holder's keys of this name. ``made_at``: seconds since
    1970, by the holder's clock. ``resource``: SHA-256 of the signed resource, of kind table-key, that holds the secret.
    ``public``: SEAL's stream."""

    TYPE: ClassVar[str] = "urn:quatrefoil:encrypted-table-public-key"
    name: str
    serial: int
    made_at: int
    resource: bytes
    parameters: str
    key_id: bytes
    public: bytes


@dataclass(frozen=True)
class SentTable(WireObject):
    """The body of a statement of whoever encrypted a table. ``key``: SHA-256 of the signed public key. ``table``: the
    digest of the table, ``rows`` its rows."""

    TYPE: ClassVar[str] = "urn:quatrefoil:encrypted-table-sent"
    key: bytes
    table: bytes
    rows: int
    made_at: int


@dataclass(frozen=True)
class HolderKey:
    """A public key whose holder's signature was verified: what tables of others are encrypted under."""

    said: TablePublicKey
    holder: VerifiedStatement
    digest: bytes
    key: PublicKey

    public = True

    @property
    def parameters(self) -> HeParameters:
        return self.key.parameters

    @property
    def key_id(self) -> bytes:
        return self.key.key_id

    def encrypt(self, values: NDArray[np.float64] | NDArray[np.int64]) -> bytes:
        return self.key.encrypt(values)

    def require(self, *, holder: str, digest: bytes = b"", name: str = "", least_serial: int = 1) -> None:
        """``MessageRefused`` unless it is the key of ``holder``, and the one of this digest, or of this name and none
        older: numbers count the keys of a name, and under another name is another release policy."""
        if not digest and not name:
            raise CallerError("any public key of the holder would do", hint="Name its digest, or its name and number")
        if self.holder.signer != holder:
            raise self._refused(f"is of {self.holder.signer!r}, not of {holder[:64]!r}")
        if digest and self.digest != digest:
            raise self._refused(f"has the digest {self.digest.hex()}, not {digest.hex()}")
        if name and self.said.name != name:
            raise self._refused(f"is called {self.said.name[:64]!r}, not {name[:64]!r}")
        if self.said.serial < least_serial:
            raise self._refused(f"is number {self.said.serial}, and {least_serial} is the least: an older was put back")

    def sent(self, table: EncryptedTable, made_at: int) -> SentTable:
        """What whoever encrypted ``table`` under this key signs."""
        if table.key_id != self.key_id or not table.public:
            raise CallerError("a table under another key", hint="Encrypt it under this one")
        return SentTable(self.digest, table.digest(), table.rows, made_at)

    def _refused(self, problem: str) -> MessageRefused:
        return MessageRefused(f"the public key {problem}", hint=_AGAIN, party=self.holder.signer)


@dataclass(frozen=True)
class TableSent:
    """What a party said to have sent, its signature verified."""

    said: SentTable
    sender: VerifiedStatement

    def require(self, *, sender: str, key: HolderKey) -> None:
        """``MessageRefused`` unless ``sender`` sent it under exactly this public key."""
        if self.sender.signer != sender:
            raise self._refused(f"{self.sender.signer!r} sent the table, not {sender[:64]!r}")
        if self.said.key != key.digest:
            raise self._refused(f"the table is under the public key {self.said.key.hex()}, not {key.digest.hex()}")

    def _refused(self, problem: str) -> MessageRefused:
        hint = "Name the statement that its sender gave with the table"
        return MessageRefused(problem, hint=hint, party=self.sender.signer)


def verify_key(signed: bytes, verifying: Callable[[bytes], VerifiedStatement]) -> HolderKey:
    """The public key in a holder's statement, or ``MessageRefused``; ``CiphertextRefused`` for a key that is none.

    ``verifying`` as of :func:`quatrefoil.resources.verify`.
    """
    holder = verifying(signed)
    said = TablePublicKey.decode(holder.body)
    if len(said.resource) != 32 or said.serial < 1 or not said.name:
        raise MessageRefused("a public key without its name, number or resource", hint=_AGAIN, party=holder.signer)
    key = PublicKey.load(known(said.parameters), said.public)
    if key.key_id != said.key_id:
        raise MessageRefused("a public key under the name of another", hint=_AGAIN, party=holder.signer)
    return HolderKey(said, holder, hashlib.sha256(signed).digest(), key)


def verify_sent(signed: bytes, verifying: Callable[[bytes], VerifiedStatement]) -> TableSent:
    """What a sender's statement says, or ``MessageRefused``."""
    sender = verifying(signed)
    said = SentTable.decode(sender.body)
    if (len(said.key), len(said.table)) != (32, 32) or said.rows < 1:
        raise MessageRefused("a statement that names no table", hint="Ask its sender for it again", party=sender.signer)
    return TableSent(said, sender)
