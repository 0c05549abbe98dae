"""Quotes from a TPM, through the TPM2 Software Stack's own command-line tools (package ``tpm2-tools``).

The tools speak to a device or to anything else that a TCTI names ("device:/dev/tpmrm0", "swtpm:path=SOCKET"). Nothing
here is believed by whoever verifies: a collector only gathers.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from quatrefoil.enclave.evidence import Evidence
from quatrefoil.enclave.tpm import structures as tpm
from quatrefoil.errors import CallerError, DependencyMissing, EvidenceRejected, HostError

DEVICE = "device:/dev/tpmrm0"
"""The kernel's resource manager: several programs may use the TPM at a time."""

LARGEST_NONCE = 64
"""Bytes of qualifying data that every TPM takes."""

_SCHEMES = {tpm.ECDSA: "ecdsa", tpm.RSASSA: "rsassa", tpm.RSAPSS: "rsapss"}
_PARTS = ("attest", "signature", "values")

_PATIENCE = 60
"""Seconds for one command: an RSA signature of a discrete TPM takes about one."""


@dataclass(frozen=True)
class TpmCollector:
    """Quotes of the registers ``pcrs`` of ``bank`` under the attestation key ``key``.

    ``key`` is what ``tpm2_quote --key-context`` takes: a persistent handle ("0x81010002") or a context file. Its owner
    makes it once, with ``tpm2_createek`` and ``tpm2_createak``. ``certificates`` (DER) are sent along.
    """

    key: str
    pcrs: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6, 7)
    bank: str = "sha256"
    tcti: str = DEVICE
    certificates: tuple[bytes, ...] = ()

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
        """Evidence with ``report_data``, up to 64 bytes, as qualifying data.

        ``DependencyMissing`` without the tools, ``HostError`` where there is no TPM, or it does not answer as asked.
        """
        if not 0 < len(report_data) <= LARGEST_NONCE:
            raise _wrong(f"qualifying data of {len(report_data)} bytes", f"Give 1 to {LARGEST_NONCE}")
        self._look_for_device()
        with tempfile.TemporaryDirectory(prefix="quatrefoil-tpm-") as name:
            folder = Path(name)
            self._run(["tpm2_readpublic", "-c", self.key, "-f", "tss", "-o", f"{name}/public"])
            public = (folder / "public").read_bytes()[2:]  # without the length of its TPM2B
            self._run([*self._asked(_usable(public), report_data), *_into(name)])
            attest, signature, values = ((folder / part).read_bytes() for part in _PARTS)
        size = max(1, len(values) // len(self.pcrs))
        listed = tuple(values[at : at + size] for at in range(0, len(values), size))
        try:
            quote = tpm.parse_attest(attest)
            evidence = Evidence("tpm", attest, tpm.encode_companions(signature, public, listed), self.certificates)
            tpm.parse_companions(evidence.signature)
        except EvidenceRejected as refusal:
            hint = "Try again; a TPM that answers so each time is not one that Quatrefoil reads"
            raise HostError(f"the TPM's quote is not usable: {refusal.problem}", hint=hint) from None
        if (quote.qualifying_data, quote.bank, quote.pcrs) != (report_data, self.bank, self.pcrs):
            hint = f"See with tpm2_pcrread which registers the bank {self.bank} has"
            raise HostError("the TPM did not quote the registers that were asked for", hint=hint)
        return evidence

    def _asked(self, area: tpm.PublicArea, report_data: bytes) -> list[str]:
        # The tool takes a scheme of its own choice unless it is told the key's.
        how = ["-c", self.key, "--scheme", _SCHEMES[area.scheme], "-g", area.hash, "-F", "values"]
        return ["tpm2_quote", *how, "-l", f"{self.bank}:{','.join(map(str, self.pcrs))}", "-q", report_data.hex()]

    def _look_for_device(self) -> None:
        kind, _, path = self.tcti.partition(":")
        if kind == "device" and not os.access(path, os.R_OK | os.W_OK):
            state = "may not be opened" if Path(path).exists() else "does not exist"
            hint = "Run on a machine with a TPM 2.0, as a member of the group tss, or name another TCTI"
            raise HostError(f"there is no usable TPM: {path or 'the empty path'} {state}", hint=hint)

    def _run(self, command: list[str]) -> None:
        if shutil.which(command[0]) is None:
            raise DependencyMissing(f"{command[0]} is not installed", hint="Install the system's package tpm2-tools")
        try:
            done = subprocess.run(  # noqa: S603 - no shell, and the program's name is ours
                [*command, "-T", self.tcti],
                capture_output=True,
                timeout=_PATIENCE,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired:
            hint = "See whether another program holds the TPM, and try again"
            raise HostError(f"{command[0]} gave no answer for {_PATIENCE} s", hint=hint) from None
        if done.returncode:
            lines = [line for line in done.stderr.decode(errors="replace").splitlines() if line.startswith("ERROR: ")]
            reason = lines[0].removeprefix("ERROR: ")[:200] if lines else f"exit status {done.returncode}"
            hint = f"See that the TCTI {self.tcti!r} answers and holds the key {self.key!r}, and try again"
            raise HostError(f"{command[0]} failed: {reason}", hint=hint)


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


__all__ = ["DEVICE", "LARGEST_NONCE", "TpmCollector"]
