"""The TPM2 Software Stack's own command-line tools (package ``tpm2-tools``), run for collectors.

They speak to a device, or to anything else that a TCTI names ("device:/dev/tpmrm0", "swtpm:path=SOCKET"). They are
called because ``tpm2-pytss`` has no built package: it needs a compiler and the stack's headers on each machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from quatrefoil.errors import DependencyMissing, HostError

DEVICE = "device:/dev/tpmrm0"
"""The kernel's resource manager: several programs may use the TPM at a time."""

_PATIENCE = 60
"""Seconds for one command: an RSA signature of a discrete TPM takes about one."""


@dataclass(frozen=True)
class TpmTools:
    """The tools, at the TPM that ``tcti`` names."""

    tcti: str = DEVICE

    def look_for_device(self) -> None:
        """``HostError`` where the TCTI names a device that is not there, or may not be opened."""
        kind, _, path = self.tcti.partition(":")
        if kind == "device" and not os.access(path, os.R_OK | os.W_OK):
            state = "may not be opened" if Path(path).exists() else "does not exist"
            hint = "Run on a machine with a TPM 2.0, as a member of the group tss, or name another TCTI"
            raise HostError(f"there is no usable TPM: {path or 'the empty path'} {state}", hint=hint)

    def run(self, *command: str, about: str = "") -> bytes:
        """Standard output of a tool. ``about``: what the TPM is to hold for it, for the hint where it fails."""
        if shutil.which(command[0]) is None:
            raise DependencyMissing(f"{command[0]} is not installed", hint="Install the system's package tpm2-tools")
        try:
            done = self._done(command)
        except subprocess.TimeoutExpired:
            hint = "See whether another program holds the TPM, and try again"
            raise HostError(f"{command[0]} gave no answer for {_PATIENCE} s", hint=hint) from None
        if done.returncode:
            lines = [line for line in done.stderr.decode(errors="replace").splitlines() if line.startswith("ERROR: ")]
            reason = lines[0].removeprefix("ERROR: ")[:200] if lines else f"exit status {done.returncode}"
            holds = f" and holds {about}" if about else ""
            hint = f"See that the TCTI {self.tcti!r} answers{holds}, and try again"
            raise HostError(f"{command[0]} failed: {reason}", hint=hint)
        return done.stdout

    def _done(self, command: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(  # noqa: S603 - no shell, and the program's name is ours
            [*command, "-T", self.tcti],
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
            stdin=subprocess.DEVNULL,
        )


__all__ = ["DEVICE", "TpmTools"]
