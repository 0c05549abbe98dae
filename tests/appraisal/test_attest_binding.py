"""``quatrefoil attest verify`` with a keyset and a nonce in place of report data: our own profile, and ACI's."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from tests.reference import binding as reference

import attesting
import dcap_quotes as dcap
import tpm_quotes
from attesting import FOLDER
from quatrefoil import cli
from quatrefoil.appraisal import verifiers
from quatrefoil.enclave import snp, tdx, tpm

SNP_POLICY, QUOTE_POLICY = str(FOLDER / "policy.toml"), "quotes.toml"
AT = ("--at", "2026-06-01T00:00Z")
NONCE, EXPORTER, PURPOSE = bytes(range(32)), b"\x0e" * 32, "broker release"
START = int(datetime(2026, 5, 31, tzinfo=UTC).timestamp())
KEYSET = reference.keyset(b"\x64\x7a\x00\x01\x00\x02" + b"k" * 1216, b"t" * 32, b"", START, START + 7 * 86400)
OURS = ("--keyset", "{tmp}/keyset", "--nonce", NONCE.hex(), "--purpose", PURPOSE)
ACI = ("--profile", "aci", "--keyset", "{tmp}/aci.json", "--nonce", NONCE.hex())
ACI_KEYSET: dict[str, Any] = {
    "subject": None,
    "not_after": START + 86400 * 30,
    "receipt_signing_keys": [],
    "e2ee_public_keys": [],
    "tls_public_keys": [{"spki_sha256": "0a" * 32}],
}


def aci_digest(keyset: dict[str, Any]) -> str:
    written = json.dumps(keyset, sort_keys=True, separators=(",", ":")).encode()
    return "sha256:" + hashlib.sha256(written).hexdigest()


def aci_report_data(keyset: dict[str, Any], nonce: bytes) -> bytes:
    """Section 3.2 of ACI, with nothing of ours."""
    statement = f'{{"keyset_digest":"{aci_digest(keyset)}","nonce":"{nonce.hex()}","purpose":"aci.report_data.v1"}}'
    return hashlib.sha256(statement.encode()).digest()


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The tests' roots in AMD's and Intel's place, and the files that commands name."""
    own = {
        "sev-snp": lambda evidence, given, at: snp.verify(evidence, given, at, roots=attesting.roots()),
        "tdx": lambda evidence, given, at: tdx.verify(evidence, given, at, root=dcap.root()),
    }
    monkeypatch.setattr(verifiers, "VERIFIERS", {**verifiers.VERIFIERS, **own})
    (tmp_path / "keyset").write_bytes(KEYSET)
    (tmp_path / "aci.json").write_text(json.dumps(ACI_KEYSET, indent=1))
    (tmp_path / "platform").mkdir()
    (tmp_path / "platform" / "platform.json").write_bytes(dcap.Platform().document())


def verify(tmp_path: Path, report_data: bytes, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code, and the verdict on SNP evidence that holds ``report_data``."""
    (tmp_path / "evidence").write_bytes(attesting.evidence(report_data=report_data.ljust(64, b"\0")).encode())
    given = [argument.format(tmp=tmp_path) for argument in arguments]
    out = tmp_path / "verdict.json"
    evidence = str(tmp_path / "evidence")
    code = cli.main(["attest", "verify", evidence, "--policy", SNP_POLICY, *AT, *given, "--json", str(out)])
    return code, json.loads(out.read_text()) if out.exists() else {}


def failed(said: dict[str, Any]) -> list[str]:
    return [check["name"] for check in said["checks"] if not check["passed"]]


def test_evidence_of_a_keyset_is_accepted(tmp_path: Path) -> None:
    code, said = verify(tmp_path, reference.report_data(KEYSET, NONCE, b"", PURPOSE), *OURS)
    assert (code, failed(said)) == (0, [])
    assert said["keyset_sha256"] == hashlib.sha256(KEYSET).hexdigest()
    assert "keyset-validity" in [check["name"] for check in said["checks"]]


def test_evidence_of_a_channel_is_accepted(tmp_path: Path) -> None:
    expected = reference.report_data(KEYSET, NONCE, EXPORTER, PURPOSE)
    assert verify(tmp_path, expected, *OURS, "--exporter", EXPORTER.hex())[0] == 0


@pytest.mark.parametrize(
    ("made_of", "more"),
    [
        ((KEYSET, bytes(32), b"", PURPOSE), ()),
        ((KEYSET, NONCE, b"", "broker renewal"), ()),
        ((KEYSET, NONCE, EXPORTER, PURPOSE), ()),
        ((KEYSET, NONCE, b"", PURPOSE), ("--exporter", EXPORTER.hex())),
        ((KEYSET, NONCE, bytes(32), PURPOSE), ("--exporter", EXPORTER.hex())),
        ((KEYSET[:-1] + b"\x00", NONCE, b"", PURPOSE), ()),
    ],
    ids=["nonce", "purpose", "on a channel", "on no channel", "another channel", "keyset"],
)
def test_evidence_of_anything_else_is_rejected(tmp_path: Path, made_of: Any, more: tuple[str, ...]) -> None:
    code, said = verify(tmp_path, reference.report_data(*made_of), *OURS, *more)
    assert (code, failed(said)) == (1, ["report-data"])


def test_an_expired_keyset_is_rejected_with_its_date(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = verify(
        tmp_path, reference.report_data(KEYSET, NONCE, b"", PURPOSE), *OURS, "--at", "2026-06-07T00:00Z"
    )
    assert (code, failed(said)) == (1, ["keyset-validity"])
    assert "expired on 2026-06-07 00:00:00 UTC" in capsys.readouterr().err


def test_aci_evidence_of_a_keyset_is_accepted(tmp_path: Path) -> None:
    code, said = verify(tmp_path, aci_report_data(ACI_KEYSET, NONCE), *ACI)
    assert (code, failed(said)) == (0, [])
    assert "sha256:" + said["keyset_sha256"] == aci_digest(ACI_KEYSET)


@pytest.mark.parametrize(
    ("report_data", "check"),
    [
        (aci_report_data(ACI_KEYSET, bytes(32)), "report-data"),
        (aci_report_data(ACI_KEYSET | {"subject": "other"}, NONCE), "report-data"),
        (reference.report_data(KEYSET, NONCE, b"", PURPOSE), "report-data"),
        (aci_report_data(ACI_KEYSET, NONCE) + b"\x01", "report-data"),
    ],
    ids=["nonce", "keyset", "our profile", "more"],
)
def test_aci_evidence_of_anything_else_is_rejected(tmp_path: Path, report_data: bytes, check: str) -> None:
    code, said = verify(tmp_path, report_data, *ACI)
    assert (code, failed(said)) == (1, [check])


def test_an_expired_aci_keyset_is_rejected(tmp_path: Path) -> None:
    keyset = ACI_KEYSET | {"not_after": START}
    (tmp_path / "aci.json").write_text(json.dumps(keyset))
    code, said = verify(tmp_path, aci_report_data(keyset, NONCE), *ACI)
    assert (code, failed(said)) == (1, ["keyset-validity"])


# ---------------------------------------------------------------------------------------------------- ACI's report


def quoted(keyset: dict[str, Any], nonce: bytes, **changes: Any) -> str:
    """An ACI report around a TDX quote of our own making."""
    held = aci_report_data(keyset, nonce)
    quote = dcap.Platform(body={"reportdata": held + bytes(32)}).quote()
    said = {"tee_type": "tdx", "workload_keyset": keyset, "report_data": held.hex(), "evidence": {"quote": quote.hex()}}
    report = {"api_version": "aci/1", "workload_keyset_digest": aci_digest(keyset), "attestation": said | changes}
    return json.dumps(report, indent=1)


def verify_report(tmp_path: Path, report: str) -> tuple[int, dict[str, Any]]:
    (tmp_path / "report.json").write_text(report)
    (tmp_path / "policy.toml").write_text(
        f"""\
name = "quotes"
report_data = "required"
[tdx]
statuses = ["UpToDate"]
rejected_advisories = []
ppid = ["any"]
smt_enabled = "refuse"
dynamic_platform = "accept"
cached_keys = "accept"
[tdx.measurements]
mrtd = ["{dcap.MRTD.hex()}"]
[tdx.minimum_tcb.TDX]
module = 0
pce = 0
qe = 0
evaluation = 0
"""
    )
    line = ["attest", "verify", str(tmp_path / "report.json"), "--profile", "aci", "--nonce", NONCE.hex(), *AT]
    more = ["--policy", str(tmp_path / "policy.toml"), "--collateral", str(tmp_path / "platform")]
    code = cli.main([*line, *more, "--json", str(tmp_path / "verdict.json")])
    return code, json.loads((tmp_path / "verdict.json").read_text())


def test_an_aci_report_is_verified_whole(tmp_path: Path) -> None:
    code, said = verify_report(tmp_path, quoted(ACI_KEYSET, NONCE))
    assert (code, failed(said)) == (0, [])
    assert said["kind"] == "tdx"


def test_an_aci_report_for_another_nonce_is_rejected(tmp_path: Path) -> None:
    code, said = verify_report(tmp_path, quoted(ACI_KEYSET, bytes(32)))
    assert (code, failed(said)) == (1, ["report-data", "report"])


def test_an_aci_report_that_claims_what_its_quote_does_not_hold_is_rejected(tmp_path: Path) -> None:
    """An honest quote for another nonce, beside report data that fit."""
    claimed = aci_report_data(ACI_KEYSET, NONCE).hex()
    code, said = verify_report(tmp_path, quoted(ACI_KEYSET, bytes(32), report_data=claimed))
    assert (code, failed(said)) == (1, ["report-data"])


def test_an_aci_keyset_beside_a_quote_of_another_is_rejected(tmp_path: Path) -> None:
    """The relay: keys of somebody else, next to an honest quote (section 3.2)."""
    stolen = ACI_KEYSET | {"subject": "stranger"}
    held = aci_report_data(stolen, NONCE).hex()
    honest = json.loads(quoted(ACI_KEYSET, NONCE, report_data=held, workload_keyset=stolen))
    honest["workload_keyset_digest"] = aci_digest(stolen)
    code, said = verify_report(tmp_path, json.dumps(honest))
    assert (code, failed(said)) == (1, ["report-data"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--keyset", "{tmp}/keyset"), "--nonce and --purpose must be said as well"),
        (("--keyset", "{tmp}/keyset", "--nonce", NONCE.hex()), "--purpose must be said as well"),
        (("--purpose", PURPOSE), "--keyset and --nonce must be said"),
        (("--keyset", "{tmp}/none", "--nonce", NONCE.hex(), "--purpose", PURPOSE), "none cannot be read"),
        (("--keyset", "{tmp}/aci.json", "--nonce", NONCE.hex(), "--purpose", PURPOSE), "Keyset is not"),
        (("--keyset", "{tmp}/keyset", "--nonce", "0102", "--purpose", PURPOSE), "a nonce has 32 bytes"),
        (("--keyset", "{tmp}/keyset", "--nonce", "xy", "--purpose", PURPOSE), "--nonce is not hexadecimal"),
        ((*OURS, "--exporter", "00"), "exported key material has 32 bytes"),
        ((*OURS, "--exporter", ""), "--exporter is empty"),
        ((*OURS, "--report-data", "00"), "says already what the evidence must be bound to"),
        (("--profile", "aci", "--report-data", "00"), "says already what the evidence must be bound to"),
        (("--report-data", "xy"), "--report-data is not hexadecimal"),
        (("--profile", "aci"), "--nonce must be said"),
        ((*ACI, "--purpose", PURPOSE), "ACI binds evidence to no purpose"),
        ((*ACI, "--exporter", EXPORTER.hex()), "ACI binds evidence to no exporter"),
        (("--profile", "aci", "--nonce", NONCE.hex(), "--kind", "tdx"), "a bare report holds no ACI keyset"),
        (("--profile", "aci", "--nonce", NONCE.hex()), "the ACI report is not strict JSON"),
        (("--profile", "aci", "--nonce", NONCE.hex(), "--keyset", "{tmp}/keyset"), "is not strict JSON"),
    ],
)
def test_bad_input_is_one_readable_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    code, _ = verify(tmp_path, b"", *arguments)
    said = capsys.readouterr()
    assert code == 1 and said.out == "" and len(said.err.splitlines()) == 1 and says in said.err


def test_aci_is_for_the_kinds_that_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quote of a TPM, bound by ACI's rules and fine under a policy for TPMs."""
    made = tpm_quotes.Made(nonce=aci_report_data(ACI_KEYSET, NONCE))
    monkeypatch.setitem(verifiers.VERIFIERS, "tpm", tpm.verify)  # type: ignore[arg-type]
    (tmp_path / "evidence").write_bytes(made.evidence().encode())
    (tmp_path / "collateral").mkdir()
    pem = load_der_public_key(made.spki).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "collateral" / "tpm-key.pem").write_bytes(pem)
    (tmp_path / "policy.toml").write_text(tpm_quotes.policy_text({"pcr1": made.values[1]}))
    line = ["attest", "verify", str(tmp_path / "evidence"), "--policy", str(tmp_path / "policy.toml"), *AT]
    line += ["--collateral", str(tmp_path / "collateral"), "--json", str(tmp_path / "verdict.json")]
    assert cli.main([*line, *(one.format(tmp=tmp_path) for one in ACI)]) == 1
    assert failed(json.loads((tmp_path / "verdict.json").read_text())) == ["profile"]
