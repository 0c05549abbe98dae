"""``quatrefoil attest collect`` as it is called, and what ``quatrefoil doctor`` says of the same devices."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import attesting
import fused
from configfs import TsmKernel
from quatrefoil import cli
from quatrefoil.enclave import binding
from quatrefoil.enclave.collectors import COLLECTORS, choosing
from quatrefoil.enclave.evidence import Evidence
from software_tpm import AK, needs_tpm, software_tpm

DATA = bytes(range(32))
FUSE_MISSING = fused.why_not()
needs_fuse = pytest.mark.skipif(bool(FUSE_MISSING), reason=f"NOT TESTED on real files: {FUSE_MISSING}")


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No device of the machine that runs the tests is looked at."""
    monkeypatch.setattr(choosing.tsm, "REPORTS", tmp_path / "reports")
    monkeypatch.setattr(choosing.nsm, "DEVICE", tmp_path / "nsm")
    return tmp_path


@pytest.fixture
def snp_guest(monkeypatch: pytest.MonkeyPatch) -> Iterator[TsmKernel]:
    def report(data: bytes, level: int) -> tuple[bytes, bytes]:
        return attesting.sign(attesting.unsigned("Milan", report_data=data, vmpl=level), attesting.chip_key()), b"junk"

    kernel = TsmKernel(report)
    with tempfile.TemporaryDirectory(prefix="tsm-") as folder, fused.mounted(kernel, Path(folder)) as reports:
        monkeypatch.setattr(choosing.tsm, "REPORTS", reports)
        yield kernel


def collect(*arguments: str) -> int:
    return cli.main(["attest", "collect", *arguments])


@needs_fuse
@pytest.mark.parametrize("kind", ["auto", "sev-snp"])
def test_evidence_is_written(snp_guest: TsmKernel, bare: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    out, said = bare / "evidence", bare / "said.json"
    arguments = (kind, "--report-data", DATA.hex(), "--without-host-certificates", "--privilege-level", "1")
    assert collect(*arguments, "--out", str(out), "--json", str(said)) == 0
    evidence = Evidence.decode(out.read_bytes())
    assert (evidence.kind, evidence.report[0x30], evidence.report[0x50:0x70]) == ("sev-snp", 1, DATA)
    found = json.loads(said.read_text())
    assert (found["schema"], found["kind"]) == ("quatrefoil.attest-collect/1", "sev-snp")
    assert (found["report_data"], found["report_bytes"], found["certificates"]) == (DATA.hex(), 1184, 0)
    assert found["evidence_sha256"] == evidence.digest().hex()
    assert "attest verify" in capsys.readouterr().out


@needs_fuse
def test_a_nonce_is_bound_with_keys_and_purpose(snp_guest: TsmKernel, bare: Path) -> None:
    keyset = binding.Keyset(b"\0\1\0\1\0\1" + bytes(32), b"", b"", 1, 2)
    (bare / "keyset").write_bytes(keyset.encode())
    asked = ("--nonce", DATA.hex(), "--keyset", str(bare / "keyset"), "--purpose", "test")
    assert collect("sev-snp", *asked, "--without-host-certificates", "--out", str(bare / "out")) == 0
    report = Evidence.decode((bare / "out").read_bytes()).report
    assert report[0x50:0x70] == binding.report_data(keyset, DATA, b"", "test")


@needs_tpm
def test_a_tpm_is_asked(bare: Path) -> None:
    with software_tpm() as machine:
        asked = ("tpm", "--report-data", DATA.hex(), "--key", AK, "--tcti", machine.tcti, "--pcrs", "0,7")
        assert collect(*asked, "--out", str(bare / "out"), "--json", "-") == 0
    assert Evidence.decode((bare / "out").read_bytes()).kind == "tpm"


HEX = ("--report-data", "00")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("tdx", *HEX), "gives no attestation reports"),
        (("sev-snp", *HEX), "gives no attestation reports"),
        (("nitro", *HEX), "no Nitro security module"),
        (("tpm", *HEX, "--key", "ak.ctx", "--tcti", "device:/nowhere"), "no usable TPM: /nowhere does not exist"),
        (("tpm", *HEX), "no attestation key of its own"),
        (("auto", *HEX, "--tcti", "device:/nowhere"), "no device here gives evidence"),
        (("tpm", *HEX, "--key", "a", "--pcrs", "1;2"), "is no list"),
        (("tpm", *HEX, "--key", "a", "--pcrs", "2,1"), "are no registers"),
        (("tpm", *HEX, "--key", "a", "--bank", "sha1"), "no bank"),
        (("sev-snp", *HEX, "--privilege-level", "4"), "no privilege level"),
        (("nitro", "--report-data", "xy"), "--report-data is not hexadecimal"),
        (("nitro", "--report-data", ""), "report data of 0 bytes"),
        (("nitro", "--report-data", "00" * 65), "report data of 65 bytes"),
        (("nitro", *HEX, "--purpose", "test"), "go with --nonce"),
        (("nitro", "--nonce", "00"), "together with keys and a purpose"),
        (("nitro", "--nonce", "00", "--keyset", "/nowhere", "--purpose", "x"), "cannot be read"),
        (("nitro", "--nonce", "00", "--keyset", "/dev/null", "--purpose", "x"), "Keyset is not"),
    ],
)
def test_refusals_are_one_line(
    bare: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    assert collect(*arguments, "--out", str(bare / "out")) == 1
    said = capsys.readouterr()
    assert said.out == "" and len(said.err.splitlines()) == 1 and says in said.err
    assert not (bare / "out").exists()


def test_a_file_that_cannot_be_written_is_refused_before_a_device_is_asked(
    bare: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert collect("nitro", *HEX, "--out", str(bare / "none" / "out")) == 1
    assert "none/out cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [("sgx", *HEX, "--out", "x"), ("tdx", "--out", "x"), ("tdx", *HEX)])
def test_calls_that_make_no_sense_are_the_parsers(arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as ended:
        collect(*arguments)
    assert ended.value.code == 2


def test_doctor_says_the_same(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (bare / "nsm").touch()
    assert cli.main(["doctor", "--json", "-"]) == 0
    found = {one["kind"]: one for one in json.loads(capsys.readouterr().out)["collectors"]}
    assert set(found) == set(COLLECTORS)
    assert found["nitro"] == {"kind": "nitro", "available": True, "detail": "quatrefoil attest collect nitro"}
    assert not found["tdx"]["available"] and "Linux 6.7" in found["tdx"]["detail"]
