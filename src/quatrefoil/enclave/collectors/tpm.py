"""Quotes from a TPM, through the command-line tools of the TPM2 Software Stack."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from quatrefoil.enclave.collectors.collector import checked
from quatrefoil.enclave.collectors.files import KernelFiles
from quatrefoil.enclave.collectors.tpm_tools import DEVICE, TpmTools
from quatrefoil.enclave.evidence import LARGEST_EVENT_LOG, Evidence
from quatrefoil.enclave.tpm import structures as tpm
from quatrefoil.errors import CallerError, EvidenceRejected, HostError

EVENT_LOG = Path("/sys/kernel/security/tpm0/binary_bios_measurements")
"""What firmware measured into the registers (Linux, securityfs)."""

_SCHEMES = {tpm.ECDSA: "ecdsa", tpm.RSASSA: "rsassa", tpm.RSAPSS: "rsapss"}
_PARTS = ("attest", "signature", "values")


@dataclass(frozen=True)
class TpmCollector:
    """Quotes of the registers ``pcrs`` of ``bank`` under the attestation key ``key``.

    ``key`` is what ``tpm2_quote --key-context`` takes: a persistent handle ("0x81010002") or a context file. Its owner
    makes it once, with ``tpm2_createek`` and ``tpm2_createak``. ``certificates`` (DER) are sent along, and so is the
    firmware's event log from the file ``event_log``.
    """

    key: str
    pcrs: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6, 7)
    bank: str = "sha256"
    tcti: str = DEVICE
    certificates: tuple[bytes, ...] = ()
    event_log: Path | None = None

    @property
    def kind(self) -> str:
        return "tpm"

    def __post_init__(self) -> None:
        if self.bank not in tpm.HASHES.values():
            raise _wrong(f"there is no bank {self.bank!r} here", f"Name one of {', '.join(tpm.HASHES.values())}")
        if not self.pcrs or sorted(set(self.pcrs)) != list(self.pcrs) or not 0 <= self.pcrs[0] <= self.pcrs[-1] < 24:
            raise _wrong(f"{self.pcrs} are no registers", "Name each once, rising, from 0 to 23")
        if not self.key or self.key.startswith("-"):
            raise _wrong(f"{self.key!r} names no key", "Give a persistent handle or a context file")

    def collect(self, report_data: bytes) -> Evidence:
        """Evidence with ``report_data`` as qualifying data, without zeros after it.

        ``DependencyMissing`` without the tools, ``HostError`` where there is no TPM, or it does not answer as asked.
        """
        report_data, tools = checked(report_data), TpmTools(self.tcti)
        tools.look_for_device()
        key = f"the key {self.key!r}"
        with tempfile.TemporaryDirectory(prefix="quatrefoil-tpm-") as name:
            folder = Path(name)
            tools.run("tpm2_readpublic", "-c", self.key, "-f", "tss", "-o", f"{name}/public", about=key)
            public = (folder / "public").read_bytes()[2:]  # without the length of its TPM2B
            tools.run(*self._asked(_usable(public), report_data), *_into(name), about=key)
            attest, signature, values = ((folder / part).read_bytes() for part in _PARTS)
        size = max(1, len(values) // len(self.pcrs))
        listed = tuple(values[at : at + size] for at in range(0, len(values), size))
        try:
            quote = tpm.parse_attest(attest)
            companions = tpm.encode_companions(signature, public, listed)
            evidence = Evidence("tpm", attest, companions, self.certificates, self._events())
            tpm.parse_companions(evidence.signature)
        except EvidenceRejected as refusal:
            hint = "Try again; a TPM that answers so each time is not one that Quatrefoil reads"
            raise HostError(f"the TPM's quote is not usable: {refusal.problem}", hint=hint) from None
        if (quote.qualifying_data, quote.bank, quote.pcrs) != (report_data, self.bank, self.pcrs):
            hint = f"See with tpm2_pcrread which registers the bank {self.bank} has"
            raise HostError("the TPM did not quote the registers that were asked for", hint=hint)
        return evidence

    def _events(self) -> bytes:
        if self.event_log is None:
            return b""
        try:
            return KernelFiles().read(self.event_log, LARGEST_EVENT_LOG)
        except OSError as error:
            hint = "Read it as root, with securityfs mounted, or collect without an event log"
            raise HostError(f"the event log {self.event_log} cannot be read ({error.strerror})", hint=hint) from None

    def _asked(self, area: tpm.PublicArea, report_data: bytes) -> list[str]:
        # The tool takes a scheme of its own choice unless it is told the key's.
        how = ["-c", self.key, "--scheme", _SCHEMES[area.scheme], "-g", area.hash, "-F", "values"]
        return ["tpm2_quote", *how, "-l", f"{self.bank}:{','.join(map(str, self.pcrs))}", "-q", report_data.hex()]


def _usable(public: bytes) -> tpm.PublicArea:
    try:
        return tpm.parse_public(public)
    except EvidenceRejected as refusal:
        hint = "Make the key with tpm2_createak: a signing key with a fixed scheme on SHA-256 or SHA-384"
        raise HostError(f"the key is no attestation key: {refusal.problem}", hint=hint) from None


def _into(folder: str) -> list[str]:
    attest, signature, values = (f"{folder}/{part}" for part in _PARTS)
    return ["-m", attest, "-s", signature, "-o", values]


def _wrong(problem: str, hint: str) -> CallerError:
    return CallerError(problem, hint=hint)


__all__ = ["DEVICE", "EVENT_LOG", "TpmCollector"]
