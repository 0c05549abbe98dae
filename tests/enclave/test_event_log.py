"""Event logs: read whole or refused, replayed to the registers of a TPM and a TD."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dcap_quotes
from event_logs import BOOT, NO_ACTION, Log, number
from quatrefoil.enclave import event_log, tdx, tpm
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.event_log import CHECK, MOST_EVENTS, EventLog, explained
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.errors import EvidenceRejected, HostError
from software_tpm import AK, SoftwareTpm, needs_tpm, software_tpm
from tpm_quotes import AT, NONCE, Made

LOG = bytes(Log())


@pytest.mark.parametrize("bank", ["sha1", "sha256", "sha384"])
def test_a_log_is_read_and_replayed(bank: str) -> None:
    log = EventLog.parse(LOG)
    assert log.banks == ("sha1", "sha256", "sha384") and log.replay(bank) == Log().values(bank)
    assert [(event.register, event.type, event.data) for event in log.events] == list(BOOT)


@pytest.mark.parametrize("filler", [b"", bytes(5000), b"\xff" * 5000])
def test_what_is_recorded_only_and_what_fills_the_area_changes_nothing(filler: bytes) -> None:
    more = Log(events=[(0xFFFFFFFF, NO_ACTION, b"note"), *BOOT, (5, NO_ACTION, b"")])
    assert EventLog.parse(bytes(more) + filler).replay("sha256") == Log().values("sha256")


def test_the_locality_that_started_the_tpm_is_where_register_0_begins() -> None:
    started = (0, NO_ACTION, b"StartupLocality\0\3")
    first = Log.digest("sha256", 8, BOOT[0][2])
    log = EventLog.parse(bytes(Log(events=[started, BOOT[0]])))
    expected = event_log.hashlib.sha256(bytes(31) + b"\3" + first).digest()
    assert log.replay("sha256") == {0: expected}
    # Too late: something was extended before.
    late = EventLog.parse(bytes(Log(events=[BOOT[0], started])))
    assert late.replay("sha256") == Log(events=[BOOT[0]]).values("sha256")


def event(*, register: int = 0, count: int = 3, bank: bytes = b"\x04\0", size: int = 0) -> bytes:
    digests = bank + bytes(20) + b"\x0b\0" + bytes(32) + b"\x0c\0" + bytes(48)
    return number(register) + number(1) + number(count) + digests + number(size)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "ends inside first register"),
        (LOG[:-1], "ends inside event"),
        (LOG + b"\0\xff", "ends inside register"),
        (LOG + bytes(3) + b"\1" + bytes(8), "extends register"),
        (bytes(Log(first=2)), "does not begin with a specification id"),
        (number(0) + number(4) + bytes(24), "does not begin with a specification id"),
        (number(0) + number(3) + b"\1" * 20 + bytes(4), "does not begin with a specification id"),
        (bytes(Log(signature=b"Spec ID Event02\0")), "not 'Spec ID Event03'"),
        (bytes(Log(banks=())), "names 0 banks"),
        (bytes(Log(banks=("sha1", "sha1"))), "or twice"),
        (bytes(Log(banks=("sha1",), sizes={"sha1": 32})), "with digests of 32 bytes"),
        (bytes(Log(banks=("sha1",))).replace(b"\x04\0\x14\0", bytes(4)), "0x0000 with digests of 0 bytes"),
        (bytes(Log(vendor=b"vendor"))[:75], "ends inside"),
        (Log().header() + event(register=32), "extends register 32"),
        (Log().header() + event(register=0xFFFFFFFF), "extends register"),
        (Log().header() + event(count=2), "2 digests, for 3 banks"),
        (Log().header() + event(bank=b"\x0d\0"), "0x000d, which is not one of its own"),
        (Log().header() + event(bank=b"\x0b\0"), "or twice|ends inside|not one of its own"),
        (Log().header() + event(size=2**31), "gives event"),
        (bytes(Log(events=[(0, NO_ACTION, b"StartupLocality\0")])), "startup locality"),
        (bytes(Log(events=[(1, 1, b"")] * (MOST_EVENTS + 1), banks=("sha1",))), f"more than {MOST_EVENTS} events"),
    ],
)
def test_what_is_no_log_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(EvidenceRejected, match=says) as refused:
        EventLog.parse(data)
    assert refused.value.check == "format"


def test_a_bank_that_the_log_lacks() -> None:
    log = EventLog.parse(bytes(Log(banks=("sha1",))))
    with pytest.raises(EvidenceRejected, match="has the banks sha1, not sha256"):
        log.replay("sha256")
    assert not explained(bytes(Log(banks=("sha1",))), "sha256", {0: bytes(32)}).passed


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for candidate in (data, Log().header() + data):
        try:
            EventLog.parse(candidate).replay("sha256")
        except EvidenceRejected as refusal:
            assert refusal.hint


@given(st.integers(0, len(LOG) - 1), st.integers(0, 7))
def test_a_flipped_bit_of_a_digest_or_register_shows(at: int, bit: int) -> None:
    """Bytes that are not extended may say what they like: nothing is concluded from them."""
    flipped = bytearray(LOG)
    flipped[at] ^= 1 << bit
    try:
        check = explained(bytes(flipped), "sha256", Log().values("sha256"))
    except EvidenceRejected:
        return
    if check.passed:
        good, read = EventLog.parse(LOG), EventLog.parse(bytes(flipped))
        assert [e.digests["sha256"] for e in read.events if e.type != NO_ACTION] == [
            e.digests["sha256"] for e in good.events
        ]


# --- in evidence -----------------------------------------------------------------------------------------------------


def quoted(log: Log, **changes: bytes) -> Evidence:
    values = {n: log.values("sha256").get(n, bytes(32)) for n in range(8)}
    values |= {int(name[1:]): value for name, value in changes.items()}
    return replace(Made(values=values).evidence(), event_log=bytes(log))


def test_a_quote_with_its_log_holds() -> None:
    findings = tpm.verify(quoted(Log()), Collateral(keys=(Made().spki,)), AT)
    assert not findings.failed and findings.checks[-1].name == CHECK
    assert findings.claims.facts["event_log_replayed"] is True


def test_a_log_that_does_not_lead_there_fails_alone() -> None:
    findings = tpm.verify(quoted(Log(), p7=b"\x77" * 32), Collateral(keys=(Made().spki,)), AT)
    assert [(check.name, check.detail) for check in findings.failed] == [
        (CHECK, "the log does not lead to the value of register 7")
    ]
    assert findings.claims.facts["event_log_replayed"] is False


@pytest.mark.parametrize("events", [BOOT[:-1], (*BOOT, BOOT[0]), (BOOT[1], BOOT[0], *BOOT[2:6], *BOOT[7:])])
def test_an_event_that_is_left_out_added_or_moved_shows(events: tuple[tuple[int, int, bytes], ...]) -> None:
    evidence = replace(quoted(Log()), event_log=bytes(Log(events=events)))
    findings = tpm.verify(evidence, Collateral(keys=(Made().spki,)), AT)
    assert [check.name for check in findings.failed] == [CHECK]


def test_a_register_without_events_must_be_zero() -> None:
    log = Log(events=BOOT[:1])
    assert not tpm.verify(quoted(log), Collateral(keys=(Made().spki,)), AT).failed
    findings = tpm.verify(quoted(log, p5=b"\1" * 32), Collateral(keys=(Made().spki,)), AT)
    assert [check.name for check in findings.failed] == [CHECK]


def test_a_log_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(EvidenceRejected, match="event log"):
        tpm.verify(replace(quoted(Log()), event_log=b"x"), Collateral(keys=(Made().spki,)), AT)


TD_LOG = Log(first=1, banks=("sha384",), events=[(1, 11, b"firmware"), (2, 0x80000003, b"loader"), (3, 13, b"kernel")])


def td(log: bytes, **changes: bytes) -> list[str]:
    rtmrs = {f"rtmr{n - 1}": value for n, value in TD_LOG.values("sha384").items()}
    platform = dcap_quotes.Platform(body={**rtmrs, **changes})
    evidence = replace(platform.evidence(), event_log=log)
    findings = tdx.verify(evidence, platform.collateral(), dcap_quotes.AT, root=dcap_quotes.root())
    assert findings.claims.facts["event_log_replayed"] is (not findings.failed)
    return [f"{check.name}: {check.detail}" for check in findings.failed]


def test_the_log_of_a_td_leads_to_its_rtmrs() -> None:
    assert td(bytes(TD_LOG)) == td(bytes(TD_LOG) + b"\xff" * 1000) == []
    wrong = "event-log: the log does not lead to the value of register"
    assert td(bytes(TD_LOG), rtmr3=b"\1" * 48) == [f"{wrong} 3"]
    assert td(bytes(TD_LOG), rtmr0=bytes(48)) == [f"{wrong} 0"]
    assert td(bytes(replace(TD_LOG, events=TD_LOG.events[1:]))) == [f"{wrong} 0"]
    assert td(bytes(replace(TD_LOG, banks=("sha256",)))) == [
        "event-log: the event log has the banks sha256, not sha384"
    ]


# --- a TPM -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def booted() -> Iterator[SoftwareTpm]:
    """A TPM that "firmware" extended as it wrote the log."""
    with software_tpm(measured=False) as machine:
        for register, kind, data in BOOT:
            digests = ",".join(f"{bank}={Log.digest(bank, kind, data).hex()}" for bank in ("sha256", "sha384"))
            machine.tool("tpm2_pcrextend", f"{register}:{digests}")
        yield machine


@needs_tpm
def test_a_tpm_and_its_log_agree(booted: SoftwareTpm, tmp_path: Path) -> None:
    file = tmp_path / "binary_bios_measurements"
    with pytest.raises(HostError, match=r"event log .* cannot be read"):
        booted.collector(event_log=file).collect(NONCE)
    file.write_bytes(LOG)
    evidence = booted.collector(event_log=file).collect(NONCE)
    key = tpm.signer.subject_public_key_info(
        tpm.signer.public_key(tpm.structures.parse_companions(evidence.signature)[1])
    )
    assert evidence.event_log == LOG and not tpm.verify(evidence, Collateral(keys=(key,)), AT).failed
    booted.tool("tpm2_pcrextend", "4:sha256=" + "ab" * 32)
    later = booted.collector(AK, event_log=file).collect(NONCE)
    assert [check.name for check in tpm.verify(later, Collateral(keys=(key,)), AT).failed] == [CHECK]


@needs_tpm
def test_another_reader_of_logs_agrees(tmp_path: Path) -> None:
    """``tpm2_eventlog`` prints the values that it replays."""
    file = tmp_path / "log"
    file.write_bytes(bytes(Log(events=BOOT[2:10])))
    said = subprocess.run(["tpm2_eventlog", str(file)], capture_output=True, check=True).stdout.decode()
    for value in EventLog.parse(file.read_bytes()).replay("sha256").values():
        assert f"0x{value.hex()}" in said
