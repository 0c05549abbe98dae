"""``quatrefoil attest`` as it is called: what it prints, writes and exits with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import attesting
import gpu_reports
import nitro_documents
from attesting import FOLDER, REPORT_DATA
from quatrefoil import cli
from quatrefoil.appraisal import verifiers
from quatrefoil.enclave import nitro, nvidia, snp
from quatrefoil.enclave.evidence import Evidence, EvidenceSet

POLICY = str(FOLDER / "policy.toml")
AT = ("--at", "2026-06-01T00:00Z")
BOUND = ("--report-data", REPORT_DATA[:32].hex())


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' roots in AMD's place."""
    own = {"sev-snp": lambda evidence, given, at: snp.verify(evidence, given, at, roots=attesting.roots())}
    monkeypatch.setattr(verifiers, "VERIFIERS", own)


def written(tmp_path: Path, **changes: int | bytes) -> str:
    (tmp_path / "evidence").write_bytes(attesting.evidence(**changes).encode())
    return str(tmp_path / "evidence")


def verify(*arguments: str) -> int:
    return cli.main(["attest", "verify", *arguments])


def test_accepted_evidence_exits_with_0(trusted: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "verdict.json"
    assert verify(written(tmp_path), "--policy", POLICY, *AT, *BOUND, "--json", str(out)) == 0
    said = json.loads(out.read_text())
    assert {"verdict", "kind", "root", "isolation", "checks", "claims", "policy_sha256"} <= set(said)
    assert (said["verdict"], said["kind"], said["isolation"]) == ("accepted", "sev-snp", "vm")
    assert said["schema"] == "quatrefoil.attest-verify/1"
    shown = capsys.readouterr().out
    assert "accepted" in shown and "Nothing here is audited" in shown and "test ARK-Milan" in shown


def test_a_bare_report_is_verified_with_collateral(trusted: None, tmp_path: Path) -> None:
    (tmp_path / "report.bin").write_bytes(attesting.evidence().report)
    (tmp_path / "collateral").mkdir()
    for name, der in (("vcek", attesting.leaf("Milan")), ("ask", attesting.ask("Milan"))):
        (tmp_path / "collateral" / f"{name}.der").write_bytes(der)
    given = (str(tmp_path / "report.bin"), "--kind", "sev-snp", "--policy", POLICY, *AT, *BOUND)
    assert verify(*given, "--collateral", str(tmp_path / "collateral")) == 0
    assert verify(*given) == 1


@pytest.mark.parametrize(
    ("changes", "arguments", "check"),
    [
        ({"policy": attesting.POLICY | attesting.DEBUG}, BOUND, "refused-debug"),
        ({"report_data": b"\1" * 64}, BOUND, "report-data"),
        ({}, (), "report-data"),
        ({}, ("--report-data", "00"), "report-data"),
        ({}, (*BOUND, "--at", "2040-01-01T00:00Z"), "validity"),
    ],
)
def test_rejected_evidence_exits_with_1_and_says_why(
    trusted: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, int],
    arguments: tuple[str, ...],
    check: str,
) -> None:
    out = tmp_path / "verdict.json"
    assert verify(written(tmp_path, **changes), "--policy", POLICY, *AT, *arguments, "--json", str(out)) == 1
    said = json.loads(out.read_text())
    assert said["verdict"] == "rejected"
    assert check in [one["name"] for one in said["checks"] if not one["passed"]]
    shown = capsys.readouterr()
    assert "REJECTED" in shown.out and check in shown.err


def test_our_own_roots_are_not_amds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same evidence without the fixture: the command has no option that trusts another root."""
    assert verify(written(tmp_path), "--policy", POLICY, *AT, *BOUND) == 1
    assert "chain" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("{tmp}/none", "--policy", POLICY), "none cannot be read"),
        (("{tmp}/text", "--policy", POLICY), "Evidence is not"),
        (("{tmp}/text", "--policy", POLICY, "--kind", "sev-snp"), "1184 bytes"),
        (("{tmp}/text", "--policy", "{tmp}/none.toml"), "none.toml: cannot be read"),
        (("{tmp}/text", "--policy", POLICY, "--collateral", "{tmp}/none"), "cannot be read"),
        (("{tmp}/text", "--policy", POLICY, "--at", "yesterday"), "is no time"),
        (("{tmp}/text", "--policy", POLICY, "--at", ""), "is no time"),
        (("{tmp}/text", "--policy", POLICY, "--at", "2026-06-01T00:00"), "names no time zone"),
        (("{tmp}/text", "--policy", POLICY, "--at", "9999-12-31T23:59-14:00"), "is no time in UTC"),
        (("{tmp}/text", "--policy", POLICY, "--at", "0001-01-01T00:00+14:00"), "is no time in UTC"),
        (("{tmp}/text", "--policy", POLICY, "--report-data", "xy"), "not hexadecimal"),
    ],
)
def test_bad_input_is_one_readable_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    (tmp_path / "text").write_text("\x80 text")
    assert verify(*(one.format(tmp=tmp_path) for one in arguments)) == 1
    said = capsys.readouterr()
    assert said.out == "" and len(said.err.splitlines()) == 1 and says in said.err


def test_a_policy_is_shown_with_what_it_lets_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["attest", "policy", "check", POLICY]) == 0
    shown = capsys.readouterr().out
    assert "ACCEPTED" in shown and "refused" in shown and "minimum_tcb Turin" in shown


def test_a_bad_policy_exits_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "policy.toml").write_text('name = "a"\nreport_data = "any"\n')
    assert cli.main(["attest", "policy", "check", str(tmp_path / "policy.toml")]) == 1
    assert "accepts no kind" in capsys.readouterr().err


@pytest.fixture
def devices_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' roots in AWS's and NVIDIA's place."""
    own = {
        "nitro": lambda evidence, given, at: nitro.verify(evidence, given, at, root=nitro_documents.root()),
        "nvidia-cc": lambda evidence, given, at: nvidia.verify(evidence, given, at, roots=gpu_reports.roots()),
    }
    monkeypatch.setattr(verifiers, "VERIFIERS", own)


def test_a_set_is_verified_and_every_device_shown(
    devices_trusted: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "collateral").mkdir()
    for name, document in gpu_reports.manifests().documents.items():
        (tmp_path / "collateral" / f"{name}.json").write_bytes(document)
    machine, gpu = nitro_documents.Made().evidence(), gpu_reports.Made().evidence()
    out = tmp_path / "verdict.json"

    def verified(*devices: Evidence, gpus: int = 1) -> int:
        policy = (FOLDER / "policy-devices.toml").read_text().replace("gpus = 0", f"gpus = {gpus}")
        (tmp_path / "policy.toml").write_text(policy)
        (tmp_path / "set").write_bytes(EvidenceSet(machine, devices).encode())
        given = ("--collateral", str(tmp_path / "collateral"), "--report-data", gpu_reports.NONCE.hex())
        return verify(str(tmp_path / "set"), "--policy", str(tmp_path / "policy.toml"), *AT, *given, "--json", str(out))

    assert verified(gpu) == 0
    said = json.loads(out.read_text())
    assert (said["kind"], said["isolation"], said["devices"][0]["isolation"]) == ("nitro", "vm", "none")
    assert "gpu0, vouched for by: the tests' device root" in " ".join(capsys.readouterr().out.split())
    assert verified(gpu_reports.Made(nonce=bytes(32)).evidence()) == 1
    assert "gpu0-report-data" in capsys.readouterr().err
    assert verified() == 1
    assert "gpus" in capsys.readouterr().err
    assert verified(gpus=0) == 0
