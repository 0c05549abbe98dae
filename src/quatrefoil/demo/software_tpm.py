"""A TPM 2.0 in software (``swtpm``), started for the demo: it keeps to the protocol, and isolates nothing.

Whoever runs this machine can read and change what it holds. It stands in the place of a device for its messages only.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from quatrefoil.errors import HostError

TOOLS = ("swtpm", "tpm2_createek", "tpm2_createak", "tpm2_evictcontrol", "tpm2_flushcontext", "tpm2_pcrextend")
NEEDED = (*TOOLS, "tpm2_quote", "tpm2_readpublic")
HANDLE = "0x81010002"
"""Where its attestation key lies."""

_PATIENCE = 10.0
_HINT = "apt-get install swtpm tpm2-tools"


def missing() -> list[str]:
    """Programs that are needed and not installed."""
    return [tool for tool in NEEDED if shutil.which(tool) is None]


@contextmanager
def software_tpm() -> Iterator[str]:
    """One that has an attestation key at :data:`HANDLE` and something measured into registers 0 to 7; how the tools of
    the TPM2 Software Stack reach it (``--tcti``)."""
    if absent := missing():
        raise HostError(f"{', '.join(absent)} cannot be found", hint=_HINT)
    # Not in a folder of somebody's choice: the path of a socket has 107 bytes at most.
    with tempfile.TemporaryDirectory(prefix="tpm-") as name:
        folder = Path(name)
        (folder / "state").mkdir()
        sockets = ["--server", f"type=unixio,path={folder}/s", "--ctrl", f"type=unixio,path={folder}/s.ctrl"]
        state = ["--tpm2", "--tpmstate", f"dir={folder}/state", "--flags", "not-need-init,startup-clear"]
        process = subprocess.Popen(  # noqa: S603
            ["swtpm", "socket", *state, *sockets],  # noqa: S607
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _await(folder, process)
            tcti = f"swtpm:path={folder}/s"
            _prepare(folder, tcti)
            yield tcti
        finally:
            process.terminate()
            process.wait(_PATIENCE)


def _await(folder: Path, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _PATIENCE
    while not ((folder / "s").exists() and (folder / "s.ctrl").exists()):
        if process.poll() is not None or time.monotonic() > end:
            raise HostError("swtpm does not start", hint="Try `swtpm socket --tpm2` by hand")
        time.sleep(0.01)


def _prepare(folder: Path, tcti: str) -> None:
    """What its owner does once, and firmware at each start."""
    registers = [f"{number}:sha256={'11' * 32}" for number in range(8)]
    for command in (
        ["tpm2_createek", "-c", "ek.ctx", "-G", "ecc"],
        ["tpm2_flushcontext", "-t"],
        ["tpm2_createak", "-C", "ek.ctx", "-c", "ak.ctx", "-G", "ecc", "-g", "sha256", "-s", "ecdsa"],
        ["tpm2_flushcontext", "-t"],
        ["tpm2_evictcontrol", "-c", "ak.ctx", HANDLE],
        ["tpm2_flushcontext", "-t"],
        ["tpm2_pcrextend", *registers],
    ):
        done = subprocess.run([*command, "-T", tcti], cwd=folder, capture_output=True, text=True)  # noqa: S603
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise HostError(f"{command[0]} failed: {last}", hint="Check that swtpm and tpm2-tools fit each other")


__all__ = ["HANDLE", "missing", "software_tpm"]
