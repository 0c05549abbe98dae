"""``quatrefoil attest collateral`` as it is called, and what it fetched as ``attest verify`` reads it, offline."""

from __future__ import annotations

import ast
import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from vendors import Reply, Server, amd, nvidia, platform, vcek_path

import attesting
import dcap_quotes
import gpu_reports
import shared_vectors
from dcap_quotes import AT, FMSPC, Platform, authority, certificate, pem
from quatrefoil import cli
from quatrefoil.appraisal import verifiers
from quatrefoil.cli import attest_collateral
from quatrefoil.enclave import snp, tdx
from quatrefoil.enclave.evidence import Evidence, EvidenceSet
from quatrefoil.endorsements import fetching
from quatrefoil.endorsements.fetching import Trusted
from source_code import parsed

POLICIES = {"sev-snp": attesting.FOLDER / "policy.toml", "tdx": attesting.FOLDER / "policy-quotes.toml"}
BOUND = ("--report-data", dcap_quotes.REPORT_DATA[:32].hex())


@pytest.fixture(autouse=True)
def our_world(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' roots in the vendors' place, on the day of their vectors."""
    monkeypatch.setattr(attest_collateral, "system_clock", lambda: AT)
    monkeypatch.setattr(
        fetching, "Trusted", partial(Trusted, dcap_quotes.root(), attesting.roots(), gpu_reports.roots().manifests)
    )
    own = {
        "sev-snp": partial(snp.verify, roots=attesting.roots()),
        "tdx": partial(tdx.verify, root=dcap_quotes.root()),
    }
    monkeypatch.setattr(verifiers, "VERIFIERS", verifiers.VERIFIERS | own)


@pytest.fixture
def evidence(tmp_path: Path) -> dict[str, str]:
    """Files with bare reports, by kind."""
    reports = {"sev-snp": attesting.evidence("Milan").report, "tdx": Platform().quote()}
    for kind, report in reports.items():
        (tmp_path / f"{kind}.report").write_bytes(report)
    return {kind: str(tmp_path / f"{kind}.report") for kind in reports}


@pytest.fixture
def fetch(server: Server, tmp_path: Path):  # type: ignore[no-untyped-def]
    server.routes |= platform(cache=True) | amd() | nvidia()

    def call(*arguments: str) -> int:
        servers = (
            "--pccs",
            server.url,
            "--kds",
            server.url + "/",
            "--rim",
            server.url,
            "--authorities",
            str(server.authorities),
        )
        return cli.main(["attest", "collateral", "fetch", *arguments, "--out", str(tmp_path / "out"), *servers])

    return call


def verify(kind: str, file: str, folder: Path, at: str = "2026-06-01T00:00Z") -> int:
    given = ("--kind", kind, "--policy", str(POLICIES[kind]), "--collateral", str(folder), *BOUND, "--at", at)
    return cli.main(["attest", "verify", file, *given])


@pytest.mark.parametrize("kind", ["sev-snp", "tdx"])
def test_from_evidence_to_acceptance(fetch, kind: str, evidence: dict[str, str], tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "out").mkdir()
    assert fetch(evidence[kind], "--kind", kind) == 0
    assert verify(kind, evidence[kind], tmp_path / "out") == 0
    assert cli.main(["attest", "collateral", "show", str(tmp_path / "out")]) == 0


def test_without_evidence(fetch, evidence: dict[str, str], tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert fetch("--kind", "tdx", "--fmspc", FMSPC.lower()) == 0
    assert verify("tdx", evidence["tdx"], tmp_path / "out") == 0
    chip = ("--chip-id", attesting.CHIP_ID["Milan"].hex(), "--tcb", attesting.TCB["Milan"].hex())
    assert fetch("--kind", "sev-snp", "--product", "Milan", *chip) == 0
    assert verify("sev-snp", evidence["sev-snp"], tmp_path / "out") == 0


def test_sets_and_several_files(fetch, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    pair = EvidenceSet(Platform().evidence(), (gpu_reports.Made().evidence(),))
    (tmp_path / "set").write_bytes(pair.encode())
    (tmp_path / "report").write_bytes(Evidence("sev-snp", attesting.evidence("Milan").report).encode())
    (tmp_path / "again").write_bytes(Evidence("nitro", b"x").encode())
    assert fetch(*(str(tmp_path / name) for name in ("set", "report", "again")), "--json", "-") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["schema"] == "quatrefoil.attest-collateral-fetch/1"
    assert len(said["fetched"]) == len(said["files"]) == 6 and said["kept"] == []
    assert len(said["notes"]) == 1 and "AWS" in said["notes"][0]
    asked = len(server.asked)
    assert fetch(str(tmp_path / "set"), "--json", "-") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["fetched"] == [] and len(said["kept"]) == 3 and len(server.asked) == asked


def test_what_is_shown(fetch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    fetch("--kind", "tdx", "--fmspc", FMSPC)
    capsys.readouterr()
    show = ["attest", "collateral", "show", str(tmp_path / "out"), "--json", "-"]
    assert cli.main(show) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["schema"], said["holds"], said["until"]) == (
        "quatrefoil.attest-collateral-show/1",
        True,
        "2026-06-14T00:00:00Z",
    )
    (file,) = said["files"]
    assert file["origin"] == "fetched" and len(file["sources"]) == 4 and file["problems"] == []
    assert {
        "name": "TCB info",
        "since": "2026-05-15T00:00:00Z",
        "until": "2026-06-14T00:00:00Z",
        "holds": True,
    } in file["parts"]
    assert cli.main([*show, "--at", "2026-06-14T00:00:01Z"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["holds"] is False and "the TCB info expired on 2026-06-14T00:00:00Z (and 3 more)" in err
    assert cli.main([*show[:-2], "--at", "2026-06-14T00:00:01Z"]) == 1
    assert "fetched" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "no EVIDENCE, and no whole description"),
        (("--kind", "tdx"), "no EVIDENCE"),
        (("--kind", "sev-snp"), "no EVIDENCE"),
        (("--kind", "nvidia-cc"), "no EVIDENCE"),
        (("--kind", "tdx", "--fmspc", FMSPC, "--product", "Milan"), "no EVIDENCE"),
        (("--kind", "tdx", "--fmspc", FMSPC, "--tcb", "00"), "no EVIDENCE"),
        (("--kind", "sev-snp", "--product", "Milan", "--fmspc", FMSPC), "no EVIDENCE"),
        (("--kind", "tdx", "--fmspc", "../../x"), "no FMSPC"),
        (("--kind", "sev-snp", "--product", "Milan", "--chip-id", "xx", "--tcb", "00"), "--chip-id is not hexadecimal"),
        (("--kind", "sev-snp", "--product", "Milan", "--chip-id", "00"), "Name both, or neither"),
        (("{report}", "--kind", "sev-snp", "--fmspc", FMSPC), "--fmspc stands beside EVIDENCE"),
        (("{report}", "--kind", "tdx"), "quote"),
        (("nowhere",), "nowhere cannot be read"),
        (("--kind", "tdx", "--fmspc", FMSPC, "--kds", "http://a/"), "--kds 'http://a/' is not of the form https"),
    ],
)
def test_bad_calls(
    fetch,
    server: Server,
    evidence: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    says: str,
) -> None:  # type: ignore[no-untyped-def]
    report = evidence["sev-snp"]
    if "--kds" in arguments:  # the last of two counts
        code = cli.main(["attest", "collateral", "fetch", *arguments, "--out", str(tmp_path / "out")])
    else:
        code = fetch(*(argument.format(report=report) for argument in arguments))
    assert code == 1 and says in capsys.readouterr().err
    assert server.asked == [] and not (tmp_path / "out").exists()


def test_a_server_that_does_not_answer_is_named(
    fetch, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # type: ignore[no-untyped-def]
    server.routes[vcek_path()] = Reply(status=404)
    assert fetch(str(_written(tmp_path))) == 1
    err = capsys.readouterr().err
    assert "AMD's service knows no VCEK of the Milan chip" in err and "localhost answered 404" in err


def _written(tmp_path: Path) -> Path:
    (tmp_path / "evidence").write_bytes(Evidence("sev-snp", attesting.evidence("Milan").report).encode())
    return tmp_path / "evidence"


# ----------------------------------------------------------------------------------------- verification and the network


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Whatever opens a socket or asks for an address fails, and is noted."""
    tried: list[str] = []

    def refuse(*arguments: Any, **_: Any) -> Any:
        tried.append(repr(arguments))
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    yield tried
    assert tried == []


@pytest.mark.parametrize("at", ["2026-06-01T00:00Z", "2034-01-01T00:00Z"])
@pytest.mark.parametrize("kind", ["sev-snp", "tdx"])
def test_verification_opens_no_socket(
    fetch, kind: str, at: str, evidence: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:  # type: ignore[no-untyped-def]
    """Also where the collateral has expired, or is not there."""
    fetch(evidence[kind], "--kind", kind)
    request.getfixturevalue("no_network")
    assert verify(kind, evidence[kind], tmp_path / "out", at) == at.startswith("2034")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.json").write_text("{}")
    assert verify(kind, evidence[kind], tmp_path / "other", at) == 1


def test_the_network_is_one_files_matter() -> None:
    """Of everything that verifies, none imports what could call anybody, and one file of those that fetch does."""
    package = Path(cli.__file__).parents[1]
    calling = {"socket", "ssl", "http", "urllib.request", "asyncio", "requests", "httpx", "subprocess"}
    found = set()
    for room in ("enclave", "appraisal", "endorsements"):
        for file in (package / room).rglob("*.py"):
            tree = parsed(file.read_text())
            names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
            names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
            if any(name == one or name.startswith(f"{one}.") for name in names for one in calling):
                found.add(str(file.relative_to(package)))
    collectors = {name for name in found if "collector" in name}  # they run on the attester, and call its devices
    assert found - collectors == {"endorsements/web.py"}


# ---------------------------------------------------------------------------------------- expired: an error with a date


EXPIRED = datetime(2026, 5, 20, tzinfo=UTC)


def _chain(name: str) -> dict[str, Any]:
    issuer = "PCK Platform CA" if name == "pck_crl_issuer_chain" else "TCB signing"
    old = certificate(issuer, "fake root", ca=issuer != "TCB signing", until=EXPIRED)
    return {"tampered": {name: pem(old, authority("fake root", "fake root"))}}


PARTS: dict[str, tuple[dict[str, Any], str]] = {
    "tcbInfo": ({"tcb_until": EXPIRED}, "the TCB info expired on 2026-05-20"),
    "QE identity": ({"identity_until": EXPIRED}, "the identity of the quoting enclave expired on 2026-05-20"),
    "revocation lists": ({"lists_until": EXPIRED}, "the root's revocation list expired on 2026-05-20"),
    "PCK": ({"pck_until": EXPIRED}, "the platform's certificate expired on 2026-05-20"),
    "TCB signing": (_chain("tcb_info_issuer_chain"), "the issuer of the TCB info expired on 2026-05-20"),
    "QE signing": (
        _chain("qe_identity_issuer_chain"),
        "the issuer of the quoting enclave's identity expired on 2026-05-20",
    ),
    "PCK CA": (_chain("pck_crl_issuer_chain"), "the issuer of the PCK revocation list expired on 2026-05-20"),
}


@pytest.mark.parametrize("part", PARTS)
def test_each_expired_part_of_intels_is_an_error_with_its_date(
    part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes, says = PARTS[part]
    made = Platform(**changes)
    (tmp_path / "quote").write_bytes(made.quote())
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "a.json").write_bytes(made.document())
    assert verify("tdx", str(tmp_path / "quote"), tmp_path / "c") == 1
    assert says in capsys.readouterr().err


SNP: dict[str, tuple[dict[str, bytes], str]] = {
    "VCEK": ({"vcek.der": attesting.leaf("Milan", end=EXPIRED)}, "SEV-VCEK expired on 2026-05-20"),
    "ASK": ({"ask.der": attesting.ask("Milan", end=EXPIRED)}, "SEV-Milan expired on 2026-05-20"),
    "CRL": ({"list.crl": attesting.crl("Milan", end=EXPIRED)}, "the revocation list expired on 2026-05-20"),
}


@pytest.mark.parametrize("part", SNP)
def test_each_expired_part_of_amds_is_an_error_with_its_date(
    part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], evidence: dict[str, str]
) -> None:
    changes, says = SNP[part]
    good = {"vcek.der": attesting.leaf("Milan"), "ask.der": attesting.ask("Milan"), "list.crl": attesting.crl("Milan")}
    for name, data in (good | changes).items():
        (tmp_path / "c" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "c" / name).write_bytes(data)
    assert verify("sev-snp", evidence["sev-snp"], tmp_path / "c") == 1
    assert says in capsys.readouterr().err


def test_real_collateral_that_has_expired_names_its_date(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = shared_vectors.folder("tee") / "tdx-sgx"
    (tmp_path / "a.json").write_bytes((folder / "tdx_quote_collateral.json").read_bytes())
    assert cli.main(["attest", "collateral", "show", str(tmp_path), "--at", "2025-06-25T00:00Z"]) == 0
    at = datetime(2025, 7, 19, 10, 16, 3, tzinfo=UTC) + timedelta(seconds=1)
    assert cli.main(["attest", "collateral", "show", str(tmp_path), "--at", at.isoformat()]) == 1
    assert "the TCB info expired on 2025-07-19T10:16:03Z" in capsys.readouterr().err
