"""Reports of TDX and SEV-SNP guests, through the files of Linux's configfs-tsm (Linux 6.7 and later).

Source: Linux ``Documentation/ABI/testing/configfs-tsm-report``. Making a folder makes an entry of one's own; REPORTDATA
is written to ``inblob``, and reading ``outblob`` makes the report. ``generation`` counts what was written to an entry:
it says whether somebody else wrote as well, or whether what was written got lost, of which close(2) says nothing.
"""

from __future__ import annotations

import errno
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from quatrefoil.enclave.collectors.collector import padded
from quatrefoil.enclave.collectors.files import Files, KernelFiles
from quatrefoil.enclave.evidence import LARGEST_EVENT_LOG, LARGEST_REPORT, Evidence
from quatrefoil.enclave.snp import certificate_table
from quatrefoil.enclave.snp.report import Report
from quatrefoil.enclave.tdx import quote
from quatrefoil.errors import CallerError, EvidenceRejected, HostError

REPORTS = Path("/sys/kernel/config/tsm/report")
EVENT_LOG = Path("/sys/firmware/acpi/tables/data/CCEL")
"""What a TD's firmware measured into its RTMRs: the data of the ACPI table CCEL (ACPI 6.5, section 5.2.34)."""

PROVIDERS = {"tdx_guest": "tdx", "sev_guest": "sev-snp"}
"""``provider`` -> kind of evidence."""

ATTEMPTS = 8
"""How often a report is asked for, each time with an entry of its own, while the kernel is busy."""
FIRST_PAUSE_S = 0.05
"""Doubled after each attempt: all of them take some 6 seconds."""

_BUSY = (errno.EBUSY, errno.EINTR, errno.EAGAIN, errno.ENOSPC, errno.EEXIST)
"""A quote is in flight, a signal came, the host's certificates outgrew the kernel's buffer while it read them."""
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ENXIO, errno.ENODEV)
_LARGEST_ATTRIBUTE = 4096
_HIGHEST_LEVEL = 3


class _Busy(Exception):
    """Asking again, with a new entry, may help."""


@dataclass(frozen=True)
class TsmCollector:
    """Reports of ``kind``, "tdx" or "sev-snp".

    ``privilege_level`` is SNP's VMPL, 0 to 3; ``None`` asks for the highest privilege that the kernel has itself.
    ``host_certificates``: take along what the host gives of certificates (SNP). ``event_log``: take along the
    firmware's event log from that file (TDX). The rest is injected by tests.
    """

    kind: str
    privilege_level: int | None = None
    host_certificates: bool = True
    event_log: Path | None = None
    folder: Path = REPORTS
    files: Files = field(default_factory=KernelFiles)
    sleep: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        if self.kind not in PROVIDERS.values():
            raise CallerError(f"no report of {self.kind!r} comes this way", hint="Name tdx or sev-snp")
        if self.privilege_level is not None and (
            self.kind != "sev-snp" or not 0 <= self.privilege_level <= _HIGHEST_LEVEL
        ):
            hint = f"Levels are 0 to {_HIGHEST_LEVEL}, and only SEV-SNP has them"
            raise CallerError(f"{self.privilege_level} is no privilege level of {self.kind}", hint=hint)
        if self.event_log is not None and self.kind != "tdx":
            raise CallerError(f"{self.kind} has no event log", hint="Ask for one with tdx only")

    def collect(self, report_data: bytes) -> Evidence:
        """Evidence with ``report_data`` followed by zeros as REPORTDATA."""
        wanted = padded(report_data)
        last = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                self.sleep(FIRST_PAUSE_S * 2 ** (attempt - 1))
            try:
                report, table = self._ask(wanted)
            except _Busy as busy:
                last = str(busy)
            else:
                return self._evidence(wanted, report, table)
        hint = "See what else asks for reports, and try again; the kernel's log may say more"
        raise HostError(f"the kernel gave no report in {ATTEMPTS} attempts: {last}", hint=hint)

    def _ask(self, report_data: bytes) -> tuple[bytes, bytes]:
        """Report and certificate table, or :class:`_Busy`."""
        entry = self.folder / f"quatrefoil-{secrets.token_hex(16)}"
        try:
            self.files.make_folder(entry)
        except OSError as error:
            raise self._refusal(error, "make an entry") from None
        try:
            found = self._read(entry, report_data)
        except OSError as error:
            self._remove(entry)
            raise self._refusal(error, f"use {Path(error.filename or '').name or 'an entry'}") from None
        except BaseException:
            self._remove(entry)
            raise
        if problem := self._remove(entry):
            hint = f"Remove it with rmdir {entry}: it holds memory of the kernel"
            raise HostError(f"the entry of the report could not be removed ({problem})", hint=hint)
        return found

    def _read(self, entry: Path, report_data: bytes) -> tuple[bytes, bytes]:
        provider = self._text(entry / "provider")
        if PROVIDERS.get(provider) != self.kind:
            hint = f"Collect {PROVIDERS[provider]}" if provider in PROVIDERS else "Use another collector"
            raise HostError(f"this kernel gives reports of {provider[:40]!r}, not of {self.kind}", hint=hint)
        names = self.files.names(entry)
        expected = self._number(entry / "generation") + 1
        self.files.write(entry / "inblob", report_data)
        if (level := self._level(entry, names)) is not None:
            self.files.write(entry / "privlevel", str(level).encode())
            expected += 1
        report = self.files.read(entry / "outblob", LARGEST_REPORT)
        table = b""
        if self.host_certificates and "auxblob" in names:
            table = self.files.read(entry / "auxblob", certificate_table.LARGEST_TABLE)
        if (seen := self._number(entry / "generation")) != expected:
            raise _Busy(f"its entry was written to {seen - expected:+} times: another program writes there")
        return report, table

    def _level(self, entry: Path, names: frozenset[str]) -> int | None:
        if "privlevel" not in names:
            if self.privilege_level is not None:
                hint = "Leave the privilege level out"
                raise HostError("this kernel does not let choose the privilege level of a report", hint=hint)
            return None
        floor = self._number(entry / "privlevel_floor") if "privlevel_floor" in names else 0
        level = floor if self.privilege_level is None else self.privilege_level
        if level < floor:
            hint = f"Ask for a level from {floor} to {_HIGHEST_LEVEL}: a policy says which are accepted"
            raise HostError(f"this kernel runs at privilege level {floor}, and cannot speak for {level}", hint=hint)
        return level

    def _remove(self, entry: Path) -> str:
        """Why ``entry`` could not be removed, or nothing."""
        for attempt in range(ATTEMPTS):
            try:
                self.files.remove_folder(entry)
            except OSError as error:
                if error.errno == errno.ENOENT:
                    return ""
                if error.errno not in _BUSY or attempt == ATTEMPTS - 1:
                    return error.strerror or "no reason given"
                self.sleep(FIRST_PAUSE_S)
            else:
                return ""
        raise AssertionError("unreachable")

    def _text(self, path: Path) -> str:
        return self.files.read(path, _LARGEST_ATTRIBUTE).decode("ascii", "replace").strip()

    def _number(self, path: Path) -> int:
        text = self._text(path)
        if not text.isdecimal() or len(text) > 20:
            raise HostError(
                f"{path.name} reads {text[:40]!r}, not a number", hint="See whether the kernel is a known one"
            )
        return int(text)

    def _evidence(self, report_data: bytes, report: bytes, table: bytes) -> Evidence:
        try:
            if self.kind == "sev-snp":
                said = Report.parse(report).report_data
                evidence = Evidence(self.kind, report, certificates=tuple(certificate_table.parse(table).values()))
            else:
                said = quote.parse(report).body["reportdata"]
                evidence = Evidence(self.kind, report, event_log=self._events())
        except EvidenceRejected as refusal:
            hint = "Collect without the host's certificates, or see whether kernel and firmware are known ones"
            raise HostError(f"what the kernel gave is not usable: {refusal.problem}", hint=hint) from None
        if said != report_data:
            hint = "Try again; if it happens each time, the kernel's driver is broken"
            raise HostError("the kernel gave a report with other report data than were asked for", hint=hint)
        return evidence

    def _events(self) -> bytes:
        if self.event_log is None:
            return b""
        try:
            return self.files.read(self.event_log, LARGEST_EVENT_LOG)
        except OSError as error:
            hint = "Read it as root, on a machine whose firmware keeps one, or collect without an event log"
            raise HostError(f"the event log {self.event_log} cannot be read ({error.strerror})", hint=hint) from None

    def _refusal(self, error: OSError, doing: str) -> Exception:
        if error.errno in _BUSY:
            return _Busy(f"cannot {doing} ({error.strerror})")
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            hint = "Run as root, or let this user write there; in a container, mount configfs into it"
            return HostError(f"{self.folder} may not be used ({error.strerror})", hint=hint)
        if error.errno in _ABSENT:
            hint = "Run in a TDX or SEV-SNP guest with Linux 6.7 or later, configfs mounted and the guest driver loaded"
            return HostError(f"this kernel gives no attestation reports: {self.folder} ({error.strerror})", hint=hint)
        hint = "See the kernel's log: the guest driver or the host refused"
        return HostError(f"the kernel did not make a report: cannot {doing} ({error.strerror})", hint=hint)


def provider(folder: Path = REPORTS, files: Files | None = None) -> str:
    """The kind of evidence that this kernel gives reports of; empty where it gives none that is known.

    It takes an entry to know, which is removed again; nothing is asked of the host.
    """
    files = files or KernelFiles()
    entry = folder / f"quatrefoil-{secrets.token_hex(16)}"
    try:
        files.make_folder(entry)
    except OSError:
        return ""
    try:
        said = files.read(entry / "provider", _LARGEST_ATTRIBUTE).decode("ascii", "replace").strip()
    except OSError:
        return ""
    finally:
        with suppress(OSError):
            files.remove_folder(entry)
    return PROVIDERS.get(said, "")


__all__ = ["ATTEMPTS", "EVENT_LOG", "PROVIDERS", "REPORTS", "TsmCollector", "provider"]
