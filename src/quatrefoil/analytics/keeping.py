"""What a secret key is outside a process: a key holder's own file, or what is sealed for measured code.

The file goes with one table, and says which one the answer must be about. What is sealed (``quatrefoil.table_keys``) is
the secret half of a key under whose public half others encrypt. Bytes of both: the length of the header in 4 bytes,
big-endian; the header; SEAL's stream of the key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeVar

from quatrefoil.aggregation.he import SecretKey
from quatrefoil.aggregation.he.public_key import ID_BYTES
from quatrefoil.analytics.networks import EncryptedRows
from quatrefoil.analytics.tables import EncryptedTable, known
from quatrefoil.errors import CallerError, CiphertextRefused, MessageRefused, StateCorrupt
from quatrefoil.wire import WireObject

_MOST_HEADER = 4096
_BACKUP = "Take the file from its backup"


@dataclass(frozen=True)
class _Header(WireObject):
    TYPE: ClassVar[str] = "urn:quatrefoil:encrypted-table-key"
    parameters: str
    key_id: bytes
    about: bytes
    rows: int


@dataclass(frozen=True)
class _SecretHeader(WireObject):
    TYPE: ClassVar[str] = "urn:quatrefoil:encrypted-table-secret"
    parameters: str
    key_id: bytes


Header = TypeVar("Header", _Header, _SecretHeader)


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
        return _framed(_Header(self.key.parameters.name, self.key.key_id, self.about, self.rows), self.key)

    @classmethod
    def load(cls, data: bytearray) -> TableKey:
        """What :meth:`save` gave, or ``StateCorrupt``; ``data`` is wiped."""
        header, key = _unframed(data, _Header, public=False)
        if len(header.about) != 32:
            key.wipe()
            raise StateCorrupt("no key of an encrypted table (names of another size)", hint=_BACKUP)
        return cls(key, header.about, header.rows)


def save_secret(key: SecretKey) -> bytearray:
    """The secret half of a pair, to be sealed: secret, and the caller's to wipe."""
    if not key.public:
        raise CallerError("a key without a public half", hint="Make it with SecretKey.pair")
    return _framed(_SecretHeader(key.parameters.name, key.key_id), key)


def load_secret(data: bytearray) -> SecretKey:
    """What :func:`save_secret` gave, or ``StateCorrupt``; ``data`` is wiped."""
    return _unframed(data, _SecretHeader, public=True)[1]


def _framed(header: WireObject, key: SecretKey) -> bytearray:
    encoded = header.encode()
    secret = key.save()
    try:
        return bytearray(len(encoded).to_bytes(4, "big") + encoded) + secret
    finally:
        secret[:] = bytes(len(secret))


def _unframed(data: bytearray, kind: type[Header], *, public: bool) -> tuple[Header, SecretKey]:
    try:
        size = int.from_bytes(data[:4], "big")
        if size > _MOST_HEADER:
            raise MessageRefused("a header too long", hint=_BACKUP)
        header = kind.decode(bytes(data[4 : 4 + size]))
        if len(header.key_id) != ID_BYTES:
            raise MessageRefused("names of another size", hint=_BACKUP)
        with memoryview(data) as view, view[4 + size :] as secret:
            return header, SecretKey.load(known(header.parameters), header.key_id, secret, public=public)
    except (MessageRefused, CiphertextRefused) as refusal:
        raise StateCorrupt(f"no key of an encrypted table ({refusal.problem})", hint=refusal.hint) from None
    finally:
        data[:] = bytes(len(data))
