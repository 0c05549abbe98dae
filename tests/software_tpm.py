"""A real TPM 2.0 in software (``swtpm``), and the system's ``tpm2-tools`` to act as its owner."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from quatrefoil.enclave.collectors.tpm import TpmCollector

MISSING = [tool for tool in ("swtpm", "tpm2_quote", "tpm2_createak") if shutil.which(tool) is None]

needs_tpm = pytest.mark.skipif(bool(MISSING), reason=f"NOT TESTED with a TPM: {', '.join(MISSING)} not installed")

AK, OTHER_AK, RSA_AK = "0x81010002", "0x81010003", "0x81010004"


class SoftwareTpm:
    """A running swtpm with two attestation keys, and the tools to act as its owner."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tcti = f"swtpm:path={folder}/s"
        (folder / "state").mkdir()
        self.start()

    def start(self) -> None:
        """Power on."""
        folder = self.folder
        sockets = ["--server", f"type=unixio,path={folder}/s", "--ctrl", f"type=unixio,path={folder}/s.ctrl"]
        state = ["--tpm2", "--tpmstate", f"dir={folder}/state", "--flags", "not-need-init,startup-clear"]
        self.process = subprocess.Popen(
            ["swtpm", "socket", *state, *sockets], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(500):
            if (folder / "s").exists() and (folder / "s.ctrl").exists():
                return
            time.sleep(0.02)
        raise AssertionError("swtpm did not start")

    def stop(self) -> None:
        """Power off."""
        self.process.terminate()
        self.process.wait(10)
        for socket in ("s", "s.ctrl"):
            (self.folder / socket).unlink(missing_ok=True)

    def tool(self, *command: str, refused: bool = False, stdin: bytes = b"") -> bytes:
        done = subprocess.run([*command, "-T", self.tcti], cwd=self.folder, capture_output=True, input=stdin)
        assert (done.returncode != 0) == refused, done.stderr.decode()
        return done.stdout

    def make_key(self, handle: str, algorithm: str, scheme: str, parent: str = "ek.ctx") -> None:
        self.tool("tpm2_createak", "-C", parent, "-c", "ak.ctx", "-G", algorithm, "-g", "sha256", "-s", scheme)
        self.tool("tpm2_flushcontext", "-t")
        self.tool("tpm2_evictcontrol", "-c", "ak.ctx", handle)
        self.tool("tpm2_flushcontext", "-t")

    def collector(self, key: str = AK, **more: object) -> TpmCollector:
        return TpmCollector(key, tcti=self.tcti, **more)  # type: ignore[arg-type]


@contextmanager
def software_tpm() -> Iterator[SoftwareTpm]:
    """A machine that has started: something is measured into each of the first registers."""
    # Not pytest's folder: the path of a socket may have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="tpm-") as folder:
        made = SoftwareTpm(Path(folder))
        try:
            made.tool("tpm2_createek", "-c", "ek.ctx", "-G", "ecc")
            made.tool("tpm2_flushcontext", "-t")
            made.make_key(AK, "ecc", "ecdsa")
            # What firmware would do: measure something into each register.
            made.tool("tpm2_pcrextend", *(f"{n}:sha256={'11' * 32}" for n in range(8)))
            yield made
        finally:
            made.stop()
