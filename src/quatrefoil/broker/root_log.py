"""Ceremonies and recoveries in the broker's log: an auditor sees who could put the root key together, and who did.

The signed statement is attached, so that the log proves it and not only says it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from quatrefoil.audit import Log
from quatrefoil.broker import root_ceremony, root_recovery
from quatrefoil.broker.root_ceremony import Ceremony
from quatrefoil.broker.root_recovery import Recovery
from quatrefoil.errors import MessageRefused
from quatrefoil.transport import Clock, TrustAnchor
from quatrefoil.transport.statement import Signed
from quatrefoil.wire import type_of

CEREMONY, RECOVERY = "root-ceremony", "root-recovery"
_ATTACHED = "statement"


def append(log: Log, signed: bytes, trust: TrustAnchor, *, clock: Clock) -> bool:
    """Write a signed statement of a ceremony or a recovery into ``log`` after it was verified; False where it is there
    already."""
    kind, body = _described(signed, trust, clock)
    digest = hashlib.sha256(signed).hexdigest()
    for entry in log.entries():
        if entry.kind == kind and (attached := entry.attached.get(_ATTACHED)) and attached.sha256 == digest:
            return False
    log.append(kind, body, {_ATTACHED: signed})
    return True


def root_of(signed: bytes, trust: TrustAnchor, *, clock: Clock) -> bytes:
    """The identity of the root key that a signed statement is about, once it is verified."""
    _, body = _described(signed, trust, clock)
    return bytes.fromhex(body["root"])


def _described(signed: bytes, trust: TrustAnchor, clock: Clock) -> tuple[str, Mapping[str, Any]]:
    what = type_of(Signed.decode(signed).body)
    if what == Ceremony.TYPE:
        held = root_ceremony.verify(signed, trust, clock=clock)
        said = held.ceremony
        return CEREMONY, {
            "root": said.root.hex(),
            "ceremony": said.digest().hex(),
            "previous": said.previous.hex(),
            "threshold": said.threshold,
            "operators": [one.name for one in said.operators],
            "expires": said.expires,
            "by": held.holder.name,
        }
    if what == Recovery.TYPE:
        recovery, by = root_recovery.verify(signed, trust, clock=clock)
        return RECOVERY, {
            "root": recovery.root.hex(),
            "ceremony": recovery.ceremony.hex(),
            "contributors": list(recovery.contributors),
            "purpose": recovery.purpose,
            "expired": recovery.expired,
            "by": by,
        }
    raise MessageRefused(f"{what[:80]!r} is neither a ceremony nor a recovery", hint="Name the statement of one")
