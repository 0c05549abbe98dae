"""The file that the key holder keeps while a table is away: its key, and which table the answer must be about.

A key is of one table. Bytes: the length of the header in 4 bytes, big-endian; the header; SEAL's stream of the key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from quatrefoil.aggregation.he import SecretKey
from quatrefoil.analytics.networks import EncryptedRows
from quatrefoil.analytics.tables import EncryptedTable, known
from quatrefoil.errors import CiphertextRefused, MessageRefused, StateCorrupt
from quatrefoil.wire import WireObject

_MOST_HEADER = 4096


@dataclass(frozen=True)
class _Header(WireObject):
    TYPE: ClassVar[str] = "urn:quatrefoil:encrypted-table-key"
    parameters: str
    key_id: bytes
    about: bytes
    rows: int


@dataclass(frozen=True)
class TableKey:
    """``about``: digest of the table that was sent, ``rows`` its rows."""

    key: SecretKey
    about: bytes
    rows: int

    @classmethod
    def of(cls, key: SecretKey, table: EncryptedTable | EncryptedRows) -> TableKey:
        return cls(key, table.digest(), table.rows)

    def save(self) -> bytearray:
        """The file's bytes: secret, and the caller's to wipe. For eyes of its owner only (mode 0600)."""
        header = _Header(self.key.parameters.name, self.key.key_id, self.about, self.rows).encode()
        secret = self.key.save()
        try:
            return bytearray(len(header).to_bytes(4, "big") + header) + secret
        finally:
            secret[:] = bytes(len(secret))

    @classmethod
    def load(cls, data: bytearray) -> TableKey:
        """What :meth:`save` gave, or ``StateCorrupt``; ``data`` is wiped."""
        try:
            size = int.from_bytes(data[:4], "big")
            if size > _MOST_HEADER:
                raise MessageRefused("a header too long", hint="Take the file from its backup")
            header = _Header.decode(bytes(data[4 : 4 + size]))
            if len(header.key_id) != 16 or len(header.about) != 32:
                raise MessageRefused("names of another size", hint="Take the file from its backup")
            with memoryview(data) as view, view[4 + size :] as secret:
                key = SecretKey.load(known(header.parameters), header.key_id, secret)
            return cls(key, header.about, header.rows)
        except (MessageRefused, CiphertextRefused) as refusal:
            raise StateCorrupt(f"no key of an encrypted table ({refusal.problem})", hint=refusal.hint) from None
        finally:
            data[:] = bytes(len(data))
