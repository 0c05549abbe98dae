"""A real TPM 2.0 in software (``swtpm``), and the system's ``tpm2-tools`` to act as its owner."""

from __future__ import annotations

import getpass
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from quatrefoil.enclave import certificates
from quatrefoil.enclave.collectors.endorsement import EndorsedTpm
from quatrefoil.enclave.collectors.tpm import TpmCollector

MISSING = [tool for tool in ("swtpm", "tpm2_quote", "tpm2_createak") if shutil.which(tool) is None]

needs_tpm = pytest.mark.skipif(bool(MISSING), reason=f"NOT TESTED with a TPM: {', '.join(MISSING)} not installed")

AK, OTHER_AK, RSA_AK = "0x81010002", "0x81010003", "0x81010004"

MAKING_MISSING = [*MISSING, *(tool for tool in ("swtpm_setup", "swtpm_localca") if shutil.which(tool) is None)]
needs_maker = pytest.mark.skipif(
    bool(MAKING_MISSING), reason=f"NOT TESTED with a certified TPM: {', '.join(MAKING_MISSING)} not installed"
)

RSA_EK, ECC_EK = "0x81010001", "0x81010016"
RSA_EK_CERTIFICATE, ECC_EK_CERTIFICATE = "0x01c00002", "0x01c00016"
"""Where swtpm_setup puts the endorsement keys (RSA-2048 and P-384) and their certificates."""


class SoftwareTpm:
    """A running swtpm with two attestation keys, and the tools to act as its owner."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tcti = f"swtpm:path={folder}/s"
        (folder / "state").mkdir(exist_ok=True)
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
def software_tpm(*, measured: bool = True) -> Iterator[SoftwareTpm]:
    """A machine that has started: something is measured into each of the first registers, unless told otherwise."""
    # Not pytest's folder: the path of a socket may have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="tpm-") as folder:
        made = SoftwareTpm(Path(folder))
        try:
            made.tool("tpm2_createek", "-c", "ek.ctx", "-G", "ecc")
            made.tool("tpm2_flushcontext", "-t")
            made.make_key(AK, "ecc", "ecdsa")
            if measured:  # which firmware would do
                made.tool("tpm2_pcrextend", *(f"{n}:sha256={'11' * 32}" for n in range(8)))
            yield made
        finally:
            made.stop()


class Maker:
    """Who makes TPMs and certifies their endorsement keys: ``swtpm_setup`` with a local authority of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        files = {name: folder / name for name in ("localca.conf", "options", "setup.conf")}
        keys = {"signingkey": "key.pem", "issuercert": "ca.pem", "certserial": "serial"}
        lines = [f"statedir = {folder}", *(f"{name} = {folder}/{file}" for name, file in keys.items())]
        files["localca.conf"].write_text("\n".join(lines) + "\n")
        files["options"].write_text("--platform-manufacturer Quatrefoil\n--platform-version 1\n--platform-model test\n")
        files["setup.conf"].write_text(
            f"create_certs_tool = {shutil.which('swtpm_localca')}\n"
            f"create_certs_tool_config = {files['localca.conf']}\ncreate_certs_tool_options = {files['options']}\n"
        )

    def make(self, state: Path) -> None:
        state.mkdir()
        made = ["--tpm2", "--tpm-state", str(state), "--create-ek-cert", "--config", str(self.folder / "setup.conf")]
        done = subprocess.run(["swtpm_setup", *made, "--runas", getpass.getuser()], capture_output=True)
        assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()

    @property
    def authorities(self) -> tuple[bytes, bytes]:
        """The root and, below it, who certifies, in DER."""
        files = ("swtpm-localca-rootca-cert.pem", "ca.pem")
        return tuple(certificates.der_of_pem((self.folder / name).read_bytes()) for name in files)  # type: ignore[return-value]


@contextmanager
def certified_tpm(maker: Maker | None = None) -> Iterator[tuple[SoftwareTpm, Maker]]:
    """A TPM whose maker certified its endorsement keys, with attestation keys of each."""
    with tempfile.TemporaryDirectory(prefix="tpm-") as folder:
        maker = maker or Maker(Path(folder) / "maker")
        maker.make(Path(folder) / "state")
        made = SoftwareTpm(Path(folder))
        try:
            made.make_key(AK, "ecc", "ecdsa", RSA_EK)
            made.make_key(RSA_AK, "rsa", "rsassa", ECC_EK)
            yield made, maker
        finally:
            made.stop()


def endorsed(machine: SoftwareTpm, endorsement: str = RSA_EK, key: str = AK) -> EndorsedTpm:
    return EndorsedTpm(endorsement, key, machine.tcti)
