"""What a broker does when it starts: whatever its log knows and its state does not, it takes in.

The log is written first. So an entry may be newer than the state: the broker was killed between the two, or the state
was restored from an older copy. Either way nothing that the log shows is decided a second time: nonces count as used,
and revocations count. A state that is newer than its log is refused: somebody cut the log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from quatrefoil.audit import Entry, Event, Log
from quatrefoil.broker.clock import NAME as CLOCK
from quatrefoil.broker.clock import SteadyClock
from quatrefoil.broker.ledger import Changes, Ledger, RevocationRecord, used
from quatrefoil.broker.messages import Revocation
from quatrefoil.broker.revocations import Revocations
from quatrefoil.errors import MessageRefused, StateCorrupt
from quatrefoil.state import State
from quatrefoil.transport.statement import body_of

OWN = ("lease", "resource", "revocation", "refusal", "clock-set")
"""Kinds of entries that a broker writes together with its state."""


def take_in_log(ledger: Ledger, log: Log, clock: SteadyClock, revoked: Revocations) -> None:
    """Bring ``ledger`` and ``revoked`` up to ``log``; ``StateCorrupt`` where the log lacks what the state knows."""
    known, size = ledger.taken_in, log.size
    if size < known:
        raise StateCorrupt(
            f"the log has {size} entries, and the state has seen {known}: the log was cut, or is an older copy",
            hint="Put the whole log back; ask its witnesses, and compare with what owners hold",
        )
    last, changes = known, Changes()
    for entry in log.entries_from(known):
        if entry.kind not in OWN:
            continue
        last = entry.index + 1
        clock.at_least(int(datetime.fromisoformat(entry.time).timestamp()))
        changes |= _burnt(ledger, entry.body)
        if entry.kind == "revocation":
            changes |= _revoked(ledger, log, entry, revoked)
    if last > known:
        ledger.commit(changes, ledger.take_in(last), clock.mark())


def accept_clock(state: State, log: Log, clock: Callable[[], datetime]) -> None:
    """Take this machine's clock for right although it is behind what was written down, because it was wrong then.

    It is logged, and ends every lease and every nonce: their ends were written by the clock that was wrong. What the
    log knows and the state does not is taken in first, since the counter then stands behind it.
    """
    ledger, now = Ledger(state), int(clock().timestamp())
    take_in_log(ledger, log, SteadyClock(state, clock), Revocations(ledger.revocations()))
    seen = int(state.get(CLOCK) or b"0")
    (entry,) = log.append_all([Event("clock-set", {"from": SteadyClock.date(seen), "to": SteadyClock.date(now)})])
    gone = [ledger.drop_nonce(nonce) for nonce, _ in ledger.nonces()]
    ended = [ledger.drop_lease(record.lease.id) for record in ledger.leases()]
    ledger.commit(*gone, *ended, ledger.take_in(entry.index + 1), {CLOCK: str(now).encode()})


def _burnt(ledger: Ledger, body: Mapping[str, Any]) -> Changes:
    """The nonce of an entry is used, whatever it got: if the answer was given, its holder has it."""
    nonce = bytes.fromhex(body.get("nonce", ""))
    record = ledger.nonce(nonce) if nonce else None
    if record is None or record.request:
        return {}
    return ledger.put_nonce(nonce, used(record, b""))


def _revoked(ledger: Ledger, log: Log, entry: Entry, revoked: Revocations) -> Changes:
    """What an entry says was revoked."""
    attached = entry.attached.get("revocation")
    try:
        if attached is None:
            raise MessageRefused("nothing is attached", hint="")
        signed = log.payload(attached.sha256)
        revocation = Revocation.decode(body_of(signed))
    except (MessageRefused, OSError, KeyError) as missing:
        raise StateCorrupt(
            f"entry {entry.index} of the log says that something was revoked, and what cannot be read ({missing})",
            hint="Put the whole log back with its payloads",
        ) from None
    if (known := revoked.get(revocation.digest())) is not None and known.logged:
        return {}
    at = int(datetime.fromisoformat(entry.time).timestamp())
    by = entry.body.get("by", "")
    record = known or RevocationRecord(revocation, signed, str(by), "", at, logged=True)
    record = RevocationRecord(revocation, signed, record.by, record.role, record.at, logged=True)
    revoked.add(record)
    return ledger.put_revocation(record)
