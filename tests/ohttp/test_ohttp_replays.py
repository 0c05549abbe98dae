"""A request that is sent again, and a date that is none or is not now: admitted once and never again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from tests.ohttp.exchanges import gateway

from quatrefoil.errors import CallerError, DateRefused, HostError, MessageRefused, RequestReplayed
from quatrefoil.ohttp import MemoryReplayStore, ReplayGuard, RequestHead, http_date, open_request, seal_request


@pytest.mark.parametrize("mask", [0x80, 0x01])
def test_the_name_of_a_request_cannot_be_changed(mask: int) -> None:
    """X25519 does not look at the highest bit of a share. X-Wing hashes the share as it came, so that it counts."""
    keys, configuration = gateway()
    sealed, _ = seal_request(configuration, b"request")
    renamed = bytearray(sealed)
    renamed[7 + 1120 - 1] ^= mask
    with pytest.raises(MessageRefused, match="does not open"):
        open_request(bytes(renamed), keys)


NOW = datetime(2026, 11, 26, 12, 0, 0, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def dated(moment: datetime | bytes) -> RequestHead:
    value = moment if isinstance(moment, bytes) else http_date(moment).encode()
    return RequestHead(b"POST", b"https", b"", b"/", ((b"date", value),))


def test_a_request_is_admitted_once_and_never_again() -> None:
    clock, store = Clock(), MemoryReplayStore()
    guard = ReplayGuard(store, clock=clock, window=60)
    guard.admit(b"enc", b"key", dated(NOW))
    for seconds in (0, 1, 59, 60):
        clock.now = NOW + timedelta(seconds=seconds)
        with pytest.raises(RequestReplayed):
            guard.admit(b"enc", b"key", dated(NOW))
    clock.now = NOW + timedelta(seconds=61)
    with pytest.raises(DateRefused, match="61 s away"):
        guard.admit(b"enc", b"key", dated(NOW))
    guard.admit(b"other", b"key", dated(clock.now))
    assert len(store) == 1


@pytest.mark.parametrize("seconds", [-61, 61, -86_400, 10**8])
def test_a_date_outside_the_window_is_refused(seconds: int) -> None:
    guard = ReplayGuard(MemoryReplayStore(), clock=Clock(), window=60)
    with pytest.raises(DateRefused):
        guard.admit(b"enc", b"key", dated(NOW + timedelta(seconds=seconds)))


@pytest.mark.parametrize(
    "value", [b"", b"now", b"0", b"Thu, 26 Nov 2026 12:00:00", b"thu, 26 nov 2026 12:00:00 GMT", b"\xff", b"9" * 5000]
)
def test_what_is_no_date_is_refused(value: bytes) -> None:
    with pytest.raises(DateRefused, match="no date"):
        ReplayGuard(MemoryReplayStore(), clock=Clock()).admit(b"enc", b"key", dated(value))


def test_a_request_without_a_date_or_with_two_is_refused() -> None:
    guard = ReplayGuard(MemoryReplayStore(), clock=Clock())
    for fields in ((), dated(NOW).fields * 2):
        with pytest.raises(DateRefused):
            guard.admit(b"enc", b"key", RequestHead(b"POST", b"https", b"", b"/", fields))


def test_a_clock_that_is_set_back_makes_nothing_new() -> None:
    """What was forgotten at a later time cannot be told from a replay."""
    clock = Clock()
    guard = ReplayGuard(MemoryReplayStore(), clock=clock, window=60)
    guard.admit(b"enc", b"key", dated(NOW))
    clock.now = NOW + timedelta(seconds=3600)
    guard.admit(b"later", b"key", dated(clock.now))
    clock.now = NOW
    with pytest.raises(RequestReplayed):
        guard.admit(b"enc", b"key", dated(NOW))


def test_a_full_store_refuses_and_forgets_nothing() -> None:
    clock, store = Clock(), MemoryReplayStore(2)
    guard = ReplayGuard(store, clock=clock, window=60)
    guard.admit(b"1", b"key", dated(NOW))
    guard.admit(b"2", b"key", dated(NOW))
    with pytest.raises(HostError, match="told from replays"):
        guard.admit(b"3", b"key", dated(NOW))
    with pytest.raises(RequestReplayed):
        guard.admit(b"1", b"key", dated(NOW))
    clock.now = NOW + timedelta(seconds=61)
    guard.admit(b"3", b"key", dated(clock.now))


@pytest.mark.parametrize("window", [0, -1, 86_401])
def test_a_window_that_is_none_is_refused(window: int) -> None:
    with pytest.raises(CallerError):
        ReplayGuard(MemoryReplayStore(), clock=Clock(), window=window)
