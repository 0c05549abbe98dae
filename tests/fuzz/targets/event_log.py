"""Event logs: what is read can be replayed, and leads elsewhere once a digest is another."""

from __future__ import annotations

from tests.fuzz.held import refused_or

from event_logs import BOOT, NO_ACTION, Log
from quatrefoil.enclave.event_log import BANKS, EventLog


def seeds() -> list[bytes]:
    started = (0, NO_ACTION, b"StartupLocality\0\3")
    td = Log(first=1, banks=("sha384",), events=[(1, 11, b"firmware")])
    return [bytes(Log(events=[started, *BOOT[:3]])), bytes(td) + b"\xff" * 32]


def one(data: bytes) -> None:
    log = refused_or(lambda: EventLog.parse(data))
    if log is None:
        return
    sizes = dict(BANKS.values())
    for bank in log.banks:
        values = refused_or(lambda bank=bank: log.replay(bank)) or {}  # type: ignore[misc]
        assert all(len(value) == sizes[bank] for value in values.values())
