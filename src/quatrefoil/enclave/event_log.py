"""Event logs of measured boot, read strictly and replayed: which events, in their order, gave a register its value.

Source: TCG PC Client Platform Firmware Profile (version 1.06), section 10 (crypto-agile log: a TCG_PCR_EVENT with a
TCG_EfiSpecIDEvent, then TCG_PCR_EVENT2). A TD's firmware writes the same form into the area of the ACPI table CCEL
(UEFI 2.10, section 38), with registers numbered from MRTD on, and the area is longer than the log.

Nobody signs a log, and the registers are all that holds it: what is signed are the digests, extended one after another.
What an event says of itself (its type, its data) is as good as what hashed it, and nothing is concluded from it here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from quatrefoil.enclave.claims import Check
from quatrefoil.enclave.reader import Reader
from quatrefoil.errors import EvidenceRejected

BANKS: Mapping[int, tuple[str, int]] = {
    0x0004: ("sha1", 20),
    0x000B: ("sha256", 32),
    0x000C: ("sha384", 48),
    0x000D: ("sha512", 64),
    0x0012: ("sm3_256", 32),
}
"""TPM_ALG_ID -> name and bytes (TCG Algorithm Registry). A log has a digest of each of its banks for each event."""

NO_ACTION = 0x00000003
"""EV_NO_ACTION: recorded, and not extended."""
CHECK = "event-log"

MOST_EVENTS = 1 << 14
_LARGEST_EVENT = 1 << 20
_SIGNATURE = b"Spec ID Event03\0"
_LOCALITY = b"StartupLocality\0"
_ANY_REGISTER = 0xFFFFFFFF


@dataclass(frozen=True)
class Event:
    """One event. ``digests`` by bank, as they were extended."""

    register: int
    type: int
    digests: Mapping[str, bytes]
    data: bytes


@dataclass(frozen=True)
class EventLog:
    """A whole log, unverified."""

    banks: tuple[str, ...]
    events: tuple[Event, ...]

    @classmethod
    def parse(cls, data: bytes) -> EventLog:
        """The log in ``data``; after its last event nothing may follow but zeros, or 0xFF, to the end.

        ``EvidenceRejected`` for anything else, and for logs of before 2016 (SHA-1 alone, without a specification id).
        """
        read = Reader(data, "event log", "little")
        sizes = _header(read)
        events: list[Event] = []
        # No event begins with zeros only, or 0xFF only, to the end: it has digests, and no such register.
        end = min(len(data.rstrip(filler)) for filler in (b"\0", b"\xff"))
        while read.at < end:
            if len(events) == MOST_EVENTS:
                raise read.refusal(f"has more than {MOST_EVENTS} events")
            events.append(_event(read, sizes))
        return cls(tuple(sizes), tuple(events))

    def replay(self, bank: str) -> dict[int, bytes]:
        """Register -> the value that the events of ``bank`` lead to, for registers with events.

        Registers begin with zeros; register 0 with the locality that started the TPM, where the log says it (section
        10.4.5.3). ``EvidenceRejected`` where the log has no such bank, or it is SM3, which Python may not have.
        """
        if bank not in self.banks or bank not in hashlib.algorithms_guaranteed:
            raise EvidenceRejected(
                f"the event log has the banks {', '.join(self.banks)}, not {bank}",
                hint="Quote a bank that the firmware's log has",
                check=CHECK,
            )
        values: dict[int, bytes] = {}
        for event in self.events:
            if event.type == NO_ACTION:
                if event.register == 0 and event.data.startswith(_LOCALITY) and 0 not in values:
                    values[0] = event.data[len(_LOCALITY) :].rjust(len(event.digests[bank]), b"\0")
                continue
            before = values.get(event.register, bytes(len(event.digests[bank])))
            values[event.register] = hashlib.new(bank, before + event.digests[bank]).digest()
        return values


def _header(read: Reader) -> dict[str, int]:
    """Bank -> bytes of its digests, from the first event: a TCG_PCR_EVENT with a TCG_EfiSpecIDEvent (10.2.1, 10.4.5.1).
    It names register 0, or 1 in the logs of TDs."""
    register, kind = read.number(4, "first register"), read.number(4, "first type")
    digest = read.take(20, "first digest")
    if register > 1 or kind != NO_ACTION or any(digest):
        raise read.refusal("does not begin with a specification id: it may be one of before 2016, with SHA-1 alone")
    inner = Reader(read.sized(4, _LARGEST_EVENT, "specification id"), "event log's specification id", "little")
    if inner.take(16, "signature") != _SIGNATURE:
        raise inner.refusal("is not 'Spec ID Event03'")
    inner.take(8, "platform class, version and size of a number")
    count = inner.number(4, "number of banks")
    if not 1 <= count <= len(BANKS):
        raise inner.refusal(f"names {count} banks")
    sizes: dict[str, int] = {}
    for _ in range(count):
        number, size = inner.number(2, "bank"), inner.number(2, "size of a digest")
        if number not in BANKS or BANKS[number][1] != size or BANKS[number][0] in sizes:
            raise inner.refusal(f"names the bank {number:#06x} with digests of {size} bytes, or twice")
        sizes[BANKS[number][0]] = size
    inner.sized(1, 255, "vendor's data")
    inner.end()
    return sizes


def _event(read: Reader, sizes: Mapping[str, int]) -> Event:
    register, kind = read.number(4, "register"), read.number(4, "type of an event")
    if register >= 32 and not (kind == NO_ACTION and register == _ANY_REGISTER):
        raise read.refusal(f"extends register {register}")
    if (count := read.number(4, "number of digests")) != len(sizes):
        raise read.refusal(f"has an event with {count} digests, for {len(sizes)} banks")
    digests: dict[str, bytes] = {}
    for _ in range(count):
        name = BANKS.get(number := read.number(2, "bank of a digest"), ("", 0))[0]
        if name not in sizes or name in digests:
            raise read.refusal(f"has a digest of the bank {number:#06x}, which is not one of its own, or twice")
        digests[name] = read.take(sizes[name], "digest")
    data = read.sized(4, _LARGEST_EVENT, "event")
    if kind == NO_ACTION and data.startswith(_LOCALITY) and len(data) != len(_LOCALITY) + 1:
        raise read.refusal("says a startup locality that is not one byte")
    return Event(register, kind, digests, data)


def explained(data: bytes, bank: str, values: Mapping[int, bytes], first: int = 0) -> Check:
    """The check :data:`CHECK`: the log in ``data`` leads to each of ``values`` in ``bank``, by register from ``first``
    on. A register without events must be zero. ``EvidenceRejected`` where the log cannot be read."""
    log = EventLog.parse(data)
    try:
        replayed = log.replay(bank)
    except EvidenceRejected as refusal:
        return Check(CHECK, False, refusal.problem)
    wrong = [
        number - first for number, value in sorted(values.items()) if replayed.get(number, bytes(len(value))) != value
    ]
    if wrong:
        return Check(CHECK, False, f"the log does not lead to the value of register {', '.join(map(str, wrong))}")
    return Check(CHECK, True, f"{len(log.events)} events lead to the values of {len(values)} registers, {bank}")


__all__ = ["BANKS", "CHECK", "MOST_EVENTS", "NO_ACTION", "Event", "EventLog", "explained"]
