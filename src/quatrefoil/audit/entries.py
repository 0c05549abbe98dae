"""What a leaf of a party's log is: one thing that happened, as canonical JSON that any tool reads.

    {"attached":{"proof":{"sha256":"...","size":203144}},"body":{...},"kind":"contribution","time":"...","v":1}

Canonical: keys sorted, no spaces, ASCII only, finite numbers. The bytes are what is hashed, so any other form of the
same values is refused. ``attached`` names what lies beside the log because it is long: proofs, signed messages,
documents.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from quatrefoil.audit import kinds
from quatrefoil.errors import CallerError, EvidenceRejected
from quatrefoil.strict_json import canonical, finite, no_number
from quatrefoil.tlog.merkle import leaf_hash
from quatrefoil.tlog.tiles import LARGEST_LEAF

VERSION = 1

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}\+00:00")
"""One form, so that times compare as text."""

_HINT = "The log was not written by this version of Quatrefoil, or was altered: keep it as evidence"


@dataclass(frozen=True)
class Attachment:
    """Content beside the log, by its SHA-256 (hex) and its bytes."""

    sha256: str
    size: int

    @classmethod
    def of(cls, content: bytes) -> Attachment:
        return cls(hashlib.sha256(content).hexdigest(), len(content))


@dataclass(frozen=True)
class Entry:
    """One thing that happened. ``index`` counts from 0; ``time`` is UTC, ISO 8601, by the writer's clock; ``hash`` is
    that of the leaf, in hex."""

    index: int
    time: str
    kind: str
    body: Mapping[str, Any]
    hash: str
    attached: Mapping[str, Attachment] = field(default_factory=dict)


def encode(time: datetime, kind: str, body: Mapping[str, Any], attached: Mapping[str, Attachment]) -> bytes:
    """The leaf; ``CallerError`` where the kind asks for more, or it is too long or not JSON."""
    kinds.check(kind, body)
    value = {
        "attached": {name: vars(one) for name, one in attached.items()},
        "body": dict(body),
        "kind": kind,
        "time": time.astimezone(UTC).isoformat(timespec="milliseconds"),
        "v": VERSION,
    }
    try:
        leaf = canonical(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise CallerError(
            f"an entry of kind {kind} cannot be written as JSON ({error})", hint="Log text, numbers, lists and maps"
        ) from None
    if len(leaf) > LARGEST_LEAF:
        raise CallerError(
            f"an entry of kind {kind} has {len(leaf)} bytes, over the limit of {LARGEST_LEAF}",
            hint="Attach what is long: a roster of many hundred names, too",
        )
    return leaf


def decode(index: int, leaf: bytes, hashed: bytes | None = None) -> Entry:
    """The entry in a leaf, or ``EvidenceRejected``. ``hashed``: the hash of the leaf, where it is known already."""
    try:
        value = _DECODER.decode(leaf.decode("ascii"))
        # Every other form of the same values, a field twice or in another order, ends here.
        if canonical(value) != leaf or value.keys() != _FIELDS or type(value["v"]) is not int or value["v"] != VERSION:
            raise ValueError
        attached = _object(value["attached"])
        entry = Entry(
            index,
            _time(value["time"]),
            _text(value["kind"]),
            _object(value["body"]),
            (leaf_hash(leaf) if hashed is None else hashed).hex(),
            {name: _attachment(one) for name, one in attached.items()} if attached else {},
        )
        kinds.check(entry.kind, entry.body)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, CallerError) as error:
        reason = error.problem if isinstance(error, CallerError) else "it is not canonical JSON of this version"
        raise EvidenceRejected(f"leaf {index} is no entry of this log: {reason}", hint=_HINT, check="entries") from None
    return entry


def _attachment(value: Any) -> Attachment:
    digest, size = _text(value["sha256"]), value["size"]
    if len(value) != 2 or len(bytes.fromhex(digest)) != 32 or digest != digest.lower():
        raise ValueError
    if type(size) is not int or size < 0:
        raise ValueError
    return Attachment(digest, size)


def _time(value: Any) -> str:
    if not _TIME.fullmatch(_text(value)):
        raise ValueError
    datetime.fromisoformat(value)
    return str(value)


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError
    return value


def _object(value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise TypeError
    return value


_FIELDS = {"attached", "body", "kind", "time", "v"}
# Made once: json.loads makes one for every call that is not plain.
_DECODER = json.JSONDecoder(parse_constant=no_number, parse_float=finite)
