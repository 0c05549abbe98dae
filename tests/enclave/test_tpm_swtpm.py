"""A real TPM in software, end to end: quotes, a register that changes, replay, another key, a sealed secret.

Needs the system's packages swtpm and tpm2-tools.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from quatrefoil.appraisal import appraise, parse
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.enclave.tpm import structures as tpm
from quatrefoil.enclave.tpm import verify
from quatrefoil.enclave.tpm.collector import TpmCollector
from quatrefoil.enclave.tpm.signer import PINNED, public_key, subject_public_key_info
from quatrefoil.errors import CallerError, HostError
from tpm_quotes import AT, NONCE

MISSING = [tool for tool in ("swtpm", "tpm2_quote", "tpm2_createak") if shutil.which(tool) is None]

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"NOT TESTED with a TPM: {', '.join(MISSING)} not installed")

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


@pytest.fixture
def machine() -> Iterator[SoftwareTpm]:
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


def pin(evidence: Evidence) -> Collateral:
    """What the relying party keeps once it has seen the key at the machine itself."""
    _, area, _ = tpm.parse_companions(evidence.signature)
    return Collateral(keys=(subject_public_key_info(public_key(area)),))


def test_a_quote_of_a_tpm_holds(machine: SoftwareTpm) -> None:
    evidence = machine.collector().collect(NONCE)
    findings = verify(Evidence.decode(evidence.encode()), pin(evidence), AT)
    claims = findings.claims
    assert not findings.failed
    assert (claims.root, claims.isolation, claims.report_data) == (PINNED, "none", NONCE)
    assert sorted(claims.measurements) == [f"pcr{n}" for n in range(8)]
    name = machine.tool("tpm2_readpublic", "-c", AK, "-n", "/dev/stdout", "-Q")
    assert claims.platform["ak"] == name


@pytest.mark.parametrize("scheme", ["rsassa", "rsapss"])
def test_rsa_keys_of_a_tpm(machine: SoftwareTpm, scheme: str) -> None:
    machine.tool("tpm2_createek", "-c", "rsa.ctx", "-G", "rsa")
    machine.tool("tpm2_flushcontext", "-t")
    machine.make_key(RSA_AK, "rsa", scheme, "rsa.ctx")
    evidence = machine.collector(RSA_AK, pcrs=(0, 23), bank="sha384").collect(NONCE)
    findings = verify(evidence, pin(evidence), AT)
    assert not findings.failed
    assert len(findings.claims.measurements["pcr23"]) == 48


def test_a_register_that_changes_shows(machine: SoftwareTpm) -> None:
    before = machine.collector().collect(NONCE)
    machine.tool("tpm2_pcrextend", "7:sha256=" + "ab" * 32)
    after = verify(machine.collector().collect(NONCE), pin(before), AT)
    first = verify(before, pin(before), AT).claims.measurements
    assert not after.failed
    assert {n for n in first if first[n] != after.claims.measurements[n]} == {"pcr7"}


def test_the_machine_cannot_keep_its_old_values(machine: SoftwareTpm) -> None:
    """Old values beside a new quote, and an old quote for a new nonce: one fails, the other shows its old nonce."""
    before = machine.collector().collect(NONCE)
    machine.tool("tpm2_pcrextend", "0:sha256=" + "cd" * 32)
    fresh = bytes(32)
    after = machine.collector().collect(fresh)
    _, _, old_values = tpm.parse_companions(before.signature)
    _, _, new_values = tpm.parse_companions(after.signature)
    beside = after.signature.replace(
        b"".join(b"\x00\x20" + v for v in new_values), b"".join(b"\x00\x20" + v for v in old_values)
    )
    mixed = verify(Evidence("tpm", after.report, beside), pin(before), AT)
    assert [check.name for check in mixed.failed] == ["registers"]
    assert verify(before, pin(before), AT).claims.report_data != fresh
    forged = before.report.replace(NONCE, fresh)
    assert [c.name for c in verify(Evidence("tpm", forged, before.signature), pin(before), AT).failed] == ["signature"]


def test_a_policy_refuses_the_change_the_replay_and_another_key(machine: SoftwareTpm) -> None:
    """What a relying party does: pin the key, pin the registers, send a nonce."""
    known = machine.collector().collect(NONCE)
    pinned = pin(known)
    policy = parse(policy_for(verify(known, pinned, AT).claims.measurements), source="policy.toml")

    def failed(evidence: Evidence, nonce: bytes) -> list[str]:
        verdict = appraise(verify(evidence, pinned, AT), policy, nonce, AT)
        return [check.name for check in verdict.checks if not check.passed]

    fresh = bytes(range(32, 64))
    assert failed(known, NONCE) == []
    assert failed(known, fresh) == ["report-data"]
    assert failed(machine.collector().collect(fresh), fresh) == []
    machine.make_key(OTHER_AK, "ecc", "ecdsa")
    assert failed(machine.collector(OTHER_AK).collect(fresh), fresh) == ["signer", "root"]
    machine.tool("tpm2_pcrextend", "7:sha256=" + "ab" * 32)
    assert failed(machine.collector().collect(fresh), fresh) == ["accepted-pcr7"]


def policy_for(measurements: Mapping[str, bytes]) -> str:
    lines = [f'{name} = ["{value.hex()}"]' for name, value in measurements.items()]
    return """\
name = "machine"
report_data = "required"
[tpm]
bank = ["sha256"]
certified = "any"
revocation_checked = "any"
ak = ["any"]
[tpm.minimum_tcb.TPM]
firmware = 0
[tpm.measurements]
""" + "\n".join(lines)


def test_a_restart_is_counted(machine: SoftwareTpm) -> None:
    before = verify(machine.collector().collect(NONCE), Collateral(), AT).claims.facts
    machine.tool("tpm2_shutdown", "-c")
    machine.stop()
    machine.start()
    after = verify(machine.collector().collect(NONCE), Collateral(), AT).claims.facts
    assert int(after["reset_count"]) == int(before["reset_count"]) + 1


def test_a_sealed_key_stays_sealed_after_the_change(machine: SoftwareTpm) -> None:
    """What the TPM itself enforces (Part 3, TPM2_PolicyPCR): the secret comes out for the sealed registers only."""
    machine.tool("tpm2_createprimary", "-C", "o", "-c", "parent.ctx")
    machine.tool("tpm2_flushcontext", "-t")
    machine.tool("tpm2_createpolicy", "--policy-pcr", "-l", "sha256:0,7", "-L", "policy")
    made = ["-C", "parent.ctx", "-L", "policy", "-u", "sealed.pub", "-r", "sealed.priv"]
    machine.tool("tpm2_create", *made, "-i", "-", stdin=b"key of the round")
    machine.tool("tpm2_flushcontext", "-t")
    machine.tool("tpm2_load", "-C", "parent.ctx", "-u", "sealed.pub", "-r", "sealed.priv", "-c", "sealed.ctx")
    machine.tool("tpm2_flushcontext", "-t")
    assert machine.tool("tpm2_unseal", "-c", "sealed.ctx", "-p", "pcr:sha256:0,7") == b"key of the round"
    machine.tool("tpm2_flushcontext", "-t")
    machine.tool("tpm2_pcrextend", "7:sha256=" + "ab" * 32)
    machine.tool("tpm2_unseal", "-c", "sealed.ctx", "-p", "pcr:sha256:0,7", refused=True)


def test_a_key_that_is_not_there(machine: SoftwareTpm) -> None:
    with pytest.raises(HostError, match="tpm2_readpublic failed"):
        machine.collector("0x81019999").collect(NONCE)


def test_a_key_that_attests_nothing(machine: SoftwareTpm) -> None:
    """The endorsement key decrypts and does not sign: it is no attestation key."""
    machine.tool("tpm2_evictcontrol", "-c", "ek.ctx", OTHER_AK)
    with pytest.raises(HostError, match=r"no attestation key: .* storage key"):
        machine.collector(OTHER_AK).collect(NONCE)


@pytest.mark.parametrize("nonce", [b"", bytes(65)], ids=["empty", "long"])
def test_nonces_that_no_tpm_takes(machine: SoftwareTpm, nonce: bytes) -> None:
    with pytest.raises(CallerError, match="qualifying data"):
        machine.collector().collect(nonce)
