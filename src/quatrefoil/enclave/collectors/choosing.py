"""Which collector there is for which kind of evidence, and which of them this machine has a device for."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from quatrefoil.enclave.collectors import azure, nsm, tpm, tsm
from quatrefoil.enclave.collectors.collector import Collector
from quatrefoil.enclave.collectors.tpm_tools import DEVICE
from quatrefoil.errors import CallerError, HostError, QuatrefoilError


@dataclass(frozen=True)
class Settings:
    """What collectors may be told; each takes what concerns it. Files under ``root`` stand for the machine's own."""

    privilege_level: int | None = None
    host_certificates: bool = True
    event_log: bool = False
    """Take along the firmware's event log, for TDX and a TPM."""
    key: str = ""
    """The attestation key of a TPM: a persistent handle or a context file."""
    pcrs: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6, 7)
    bank: str = "sha256"
    tcti: str = DEVICE
    root: Path = Path("/")

    def place(self, path: Path) -> Path:
        """Where ``path`` of the machine is."""
        return self.root / path.relative_to("/")


DEFAULTS = Settings()


def _tsm(kind: str) -> Callable[[Settings], Collector]:
    def make(settings: Settings) -> Collector:
        return tsm.TsmCollector(
            kind,
            privilege_level=settings.privilege_level if kind == "sev-snp" else None,
            host_certificates=settings.host_certificates,
            event_log=settings.place(tsm.EVENT_LOG) if settings.event_log and kind == "tdx" else None,
            folder=settings.place(tsm.REPORTS),
        )

    return make


def _nsm(settings: Settings) -> Collector:
    return nsm.NsmCollector(device=settings.place(nsm.DEVICE))


def _azure(kind: str) -> Callable[[Settings], Collector]:
    def make(settings: Settings) -> Collector:
        return azure.AzureCollector(
            kind,
            key=settings.key or azure.ATTESTATION_KEY,
            pcrs=settings.pcrs,
            bank=settings.bank,
            tcti=settings.tcti,
            host_certificates=settings.host_certificates,
            event_log=settings.place(tpm.EVENT_LOG) if settings.event_log else None,
        )

    return make


def _tpm(settings: Settings) -> Collector:
    if not settings.key:
        hint = "Give the handle or context file of one: docs/collecting.md says how it is made"
        raise CallerError("a TPM has no attestation key of its own", hint=hint)
    log = settings.place(tpm.EVENT_LOG) if settings.event_log else None
    return tpm.TpmCollector(settings.key, settings.pcrs, settings.bank, settings.tcti, event_log=log)


COLLECTORS: Mapping[str, Callable[[Settings], Collector]] = {
    "nitro": _nsm,
    "azure-snp": _azure("azure-snp"),
    "azure-tdx": _azure("azure-tdx"),
    "sev-snp": _tsm("sev-snp"),
    "tdx": _tsm("tdx"),
    "tpm": _tpm,
}
"""Kind -> its collector."""


def collector(kind: str, settings: Settings = DEFAULTS) -> Collector:
    """The collector of evidence of ``kind``; ``CallerError`` where there is none. Its device is not looked for."""
    if kind not in COLLECTORS:
        raise CallerError(
            f"nothing collects evidence of the kind {kind[:40]!r}", hint=f"Known: {', '.join(COLLECTORS)}"
        )
    return COLLECTORS[kind](settings)


def absent(kind: str, settings: Settings = DEFAULTS) -> str:
    """Why no evidence of ``kind`` can be collected on this machine, or nothing. No report is asked for: a device that
    is there may still refuse."""
    if kind not in COLLECTORS:
        return f"nothing collects evidence of the kind {kind[:40]!r}"
    return _ABSENT[kind](settings)


def _no_reports(kind: str) -> Callable[[Settings], str]:
    def why(settings: Settings) -> str:
        folder = settings.place(tsm.REPORTS)
        if not folder.is_dir():
            return f"{folder} does not exist: no TDX or SEV-SNP guest with Linux 6.7 or later"
        if (there := tsm.provider(folder)) != kind:
            return f"{folder} gives {f'evidence of {there}' if there else 'no reports of a known kind to this user'}"
        return ""

    return why


def _no_module(settings: Settings) -> str:
    return _unusable(settings.place(nsm.DEVICE), "no Nitro enclave")


def _no_paravisor(kind: str) -> Callable[[Settings], str]:
    def why(settings: Settings) -> str:
        if reason := _no_tpm(settings):
            return reason
        try:
            there = azure.AzureCollector(kind, tcti=settings.tcti).paravisor().type
        except QuatrefoilError as refusal:
            return f"the TPM holds no report of Azure's paravisor ({refusal.problem})"
        return "" if azure.TYPES[kind] == there else "Azure's paravisor here has a report of other hardware"

    return why


def _no_tpm(settings: Settings) -> str:
    kind, _, path = settings.tcti.partition(":")
    if shutil.which("tpm2_quote") is None:
        return "tpm2_quote of the system's package tpm2-tools is not installed"
    return _unusable(settings.place(Path(path)), "no TPM 2.0") if kind == "device" else ""


def _unusable(device: Path, meaning: str) -> str:
    if not device.exists():
        return f"{device} does not exist: {meaning}"
    return "" if os.access(device, os.R_OK | os.W_OK) else f"{device} may not be opened by this user"


_ABSENT: Mapping[str, Callable[[Settings], str]] = {
    "nitro": _no_module,
    "azure-snp": _no_paravisor("azure-snp"),
    "azure-tdx": _no_paravisor("azure-tdx"),
    "sev-snp": _no_reports("sev-snp"),
    "tdx": _no_reports("tdx"),
    "tpm": _no_tpm,
}


def automatic(settings: Settings = DEFAULTS) -> Collector:
    """The collector of the one device here that isolates; a TPM only where there is none and a key is named.

    ``HostError`` with every reason where there is nothing.
    """
    reasons: dict[str, str] = {}
    for kind in COLLECTORS:
        if not (why := absent(kind, settings)):
            if kind != "tpm" or settings.key:
                return collector(kind, settings)
            why = "no attestation key was named"
        reasons.setdefault(why, kind)
    listed = "; ".join(f"{kind}: {why}" for why, kind in reasons.items())
    hint = "Run inside a confidential guest or enclave, or name a key of the TPM"
    raise HostError(f"no device here gives evidence ({listed})", hint=hint)


__all__ = ["COLLECTORS", "Settings", "absent", "automatic", "collector"]
