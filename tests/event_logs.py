"""Event logs as firmware writes them, of events of our choosing. Nothing here shares code with the parser."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

NUMBERS = {"sha1": 0x0004, "sha256": 0x000B, "sha384": 0x000C, "sha512": 0x000D}
SIZES = {"sha1": 20, "sha256": 32, "sha384": 48, "sha512": 64}
NO_ACTION, SEPARATOR, VARIABLE, BOOT_SERVICES = 3, 4, 0x80000001, 0x80000003
Event = tuple[int, int, bytes]
"""Register, type, data; the digests are those of the data."""

BOOT: tuple[Event, ...] = (
    (0, 8, b"1\x00.\x000\x00"),
    (7, VARIABLE, b"SecureBoot: 1"),
    *((register, SEPARATOR, bytes(4)) for register in range(8)),
    (4, BOOT_SERVICES, b"a boot loader"),
)


def sized(data: bytes, width: int = 4) -> bytes:
    return len(data).to_bytes(width, "little") + data


def number(value: int, width: int = 4) -> bytes:
    return value.to_bytes(width, "little")


@dataclass(frozen=True)
class Log:
    """``bytes(log)`` is the log."""

    events: Sequence[Event] = BOOT
    banks: Sequence[str] = ("sha1", "sha256", "sha384")
    first: int = 0
    signature: bytes = b"Spec ID Event03\0"
    sizes: Mapping[str, int] = field(default_factory=lambda: SIZES)
    vendor: bytes = b""

    def header(self) -> bytes:
        banks = b"".join(number(NUMBERS[name], 2) + number(self.sizes[name], 2) for name in self.banks)
        inner = (
            self.signature + bytes([0, 0, 0, 0, 0, 2, 0, 2]) + number(len(self.banks)) + banks + sized(self.vendor, 1)
        )
        return number(self.first) + number(NO_ACTION) + bytes(20) + sized(inner)

    def event(self, register: int, kind: int, data: bytes) -> bytes:
        digests = b"".join(number(NUMBERS[name], 2) + self.digest(name, kind, data) for name in self.banks)
        return number(register) + number(kind) + number(len(self.banks)) + digests + sized(data)

    @staticmethod
    def digest(bank: str, kind: int, data: bytes) -> bytes:
        return bytes(SIZES[bank]) if kind == NO_ACTION else hashlib.new(bank, data).digest()

    def __bytes__(self) -> bytes:
        return self.header() + b"".join(self.event(*event) for event in self.events)

    def values(self, bank: str) -> dict[int, bytes]:
        """Register -> value, from zeros on."""
        found: dict[int, bytes] = {}
        for register, kind, data in self.events:
            if kind != NO_ACTION:
                before = found.get(register, bytes(SIZES[bank]))
                found[register] = hashlib.new(bank, before + self.digest(bank, kind, data)).digest()
        return found
