"""Evidence of what held the keys of a job, verified again by an auditor from the parties' logs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from party_logs import AT, ROOT, lying, tile_log

import attested_keepers as made
from attested_keepers import AttestedWorld
from quatrefoil import cli
from quatrefoil.appraisal import Relied
from quatrefoil.audit import Event, log_policy
from quatrefoil.audit.report import render
from quatrefoil.audit.verdict import OF_A_LOG, Check
from quatrefoil.audit.verification import Examined, examine
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.insecure import SoftwareIsolation
from quatrefoil.policy import Policy
from world import NAMES

A = "ab" * 32
PARTIES = ("keeper", "ambon", "hub")


@pytest.fixture(autouse=True, scope="module")
def roots() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        made.trusted(patch)
        yield


def run(folder: Path, kind: str) -> Policy:
    """A job of two rounds behind ``kind``, with an attempt voided: every party's log in ``folder`` by its name."""
    world = AttestedWorld(kind=kind, rounds=2)
    for name in (*NAMES, "keeper", "hub"):
        world.logs[name] = tile_log(folder / name, name, world.clock)
        log_policy(world.policy, world.logs[name])
    world.silos = {name: world.make_silo(name) for name in NAMES}
    world.enrolments, world.keeper = world.make_enrolments(), world.make_keeper()
    world.provenance = world.make_provenance()
    world.begin()
    world.run_round()
    world.open()
    world.void("the network was down")
    world.clock.pass_time(minutes=3)
    world.run_round()
    for log in world.logs.values():
        log.close()
    return world.policy


@pytest.fixture(scope="module", params=["tpm", "sev-snp"])
def job(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Policy]:
    folder = tmp_path_factory.mktemp("attested")
    with pytest.MonkeyPatch.context() as patch:
        made.trusted(patch)
        return folder, run(folder, request.param)


def examined(path: Path, relied: Relied | None = None, policy: Policy | None = None) -> Examined:
    return examine(path, trust=ROOT, policy=policy, relied=relied or made.relied(), at=AT)


def failed(found: Examined) -> dict[str, str]:
    return {check.name: check.detail for check in found.verdict.failed}


def of(found: Examined) -> Check:
    (check,) = [check for check in found.verdict.checks if check.name == "measurements"]
    return check


@pytest.mark.parametrize(("party", "count"), [("keeper", 3), ("ambon", 2), ("hub", 0)])
def test_the_evidence_in_every_log_is_accepted_again(job: tuple[Path, Policy], party: str, count: int) -> None:
    folder, policy = job
    found = examined(folder / party, policy=policy)
    assert failed(found) == {} and not found.verdict.not_made
    assert of(found).detail.startswith(f"{count} measurements accepted under quotes, {made.policy().digest().hex()}")


def test_without_an_appraisal_policy_it_is_said_not_to_be_checked(job: tuple[Path, Policy]) -> None:
    found = examine(job[0] / "keeper", trust=ROOT, policy=None, relied=None, at=AT)
    assert found.verdict.valid and [one.name for one in found.verdict.not_made] == ["measurements"]
    assert {check.name for check in found.verdict.checks} >= set(OF_A_LOG)
    assert "measurements" not in {check.name for check in found.verdict.checks}, "neither passed nor failed"


def test_collateral_that_does_not_verify_it(job: tuple[Path, Policy]) -> None:
    found = examined(job[0] / "keeper", Relied(made.policy(), Collateral()))
    assert "entry 2: the evidence is not accepted: " in failed(found)["measurements"]


@pytest.mark.parametrize("party", ["keeper", "ambon"])
def test_another_appraisal_policy_than_that_of_the_job(job: tuple[Path, Policy], party: str) -> None:
    """One that would refuse it, and one that accepts it as well: the second is not what the parties agreed on."""
    folder, policy = job
    strict = (
        made.policy('pcr7 = ["07', 'pcr7 = ["08')
        if policy.allow.enclave == ("tpm",)
        else made.policy('alias_check = "require"', 'alias_check = "any"')
    )
    found = examined(folder / party, made.relied(strict), policy)
    assert "names the appraisal policy" in failed(found)["policy"]
    if policy.allow.enclave == ("tpm",):
        assert "accepted-pcr7" in failed(found)["measurements"]
    elif party == "ambon":
        assert "the log's owner held it to another appraisal policy" in failed(found)["measurements"]


# ------------------------------------------------------------------------------------------------- logs that are lies


def measurement(context: str = A, kind: str = "tpm", evidence: bytes | None = None, **changes: object) -> Event:
    body = {"context": context, "enclave": kind, "isolation": "none", **changes}
    quoted = made.quoting().collect(bytes.fromhex(A)).encode() if evidence is None else evidence
    return Event("measurement", body, {"evidence": quoted} if quoted else {})


def opened(context: str = A) -> Event:
    return Event("round-opened", {"round": 1, "attempt": 0, "context": context})


SOFTWARE = SoftwareIsolation(accept_insecure="software-keeper").collect(bytes.fromhex(A))
LIES = {
    "no evidence at all": ([opened()], "entry 1 (round-opened) has no evidence before it"),
    "evidence of another context": ([measurement(), opened("cd" * 32)], "entry 2 (round-opened) has no evidence"),
    "an entry without its evidence": ([measurement(evidence=b""), opened()], "entry 1: its evidence is not there"),
    "evidence bound to another": ([measurement("cd" * 32)], "entry 1: the evidence is not accepted: report-data"),
    "more isolation than it shows": ([measurement(isolation="vm")], "isolation none, and the entry says otherwise"),
    "another kind than it is": ([measurement(kind="tdx")], "it is tpm evidence"),
    "another appraisal": ([measurement(appraisal="00" * 32)], "another appraisal policy, " + "00" * 32),
    "a context that is none": ([measurement("xyz")], "entry 1: its context is not hexadecimal"),
    "a context that is a number": ([measurement(context=7)], "entry 1:"),  # type: ignore[arg-type]
    "a stand-in": ([measurement(kind="software", evidence=SOFTWARE)], "the keeper is software"),
    "a stand-in that is called a TPM": ([measurement(evidence=SOFTWARE)], "software-evidence"),
    "bytes that are no evidence": ([measurement(evidence=b"\x80")], "entry 1: Evidence is not a"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_keeper_that_logs_other_than_evidence_of_its_rounds(lie: str, tmp_path: Path) -> None:
    events, expected = LIES[lie]
    found = examined(lying(tmp_path, events, "keeper"))
    assert expected in failed(found)["measurements"]


def test_a_silo_that_contributed_without_appraising(tmp_path: Path) -> None:
    sent = Event("contribution", {"round": 1, "attempt": 0, "context": A})
    assert (
        "entry 1 (contribution) has no evidence"
        in failed(examined(lying(tmp_path / "a", [sent], "ambon")))["measurements"]
    )
    told = measurement(appraisal=made.policy().digest().hex())
    assert "measurements" not in failed(examined(lying(tmp_path / "b", [told, sent], "ambon")))


def test_a_log_that_cannot_be_read_to_its_end_is_no_log_with_evidence(tmp_path: Path) -> None:
    folder = lying(tmp_path, [measurement(), opened()], "keeper")
    (folder / "log" / "checkpoint").write_bytes(b"none")
    assert "could not be run" in failed(examined(folder))["measurements"]


# --------------------------------------------------------------------------------------------------- command and page


def files(folder: Path) -> list[str]:
    """Appraisal policy and collateral as an auditor has them: the key of the keeper's TPM, pinned."""
    (folder / "appraisal.toml").write_text(made.POLICY_TEXT)
    (folder / "collateral").mkdir()
    key = load_der_public_key(made.tpm_quotes.Made().spki)
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / "collateral" / "tpm-key-keeper.pem").write_bytes(pem)
    return ["--appraisal", str(folder / "appraisal.toml"), "--collateral", str(folder / "collateral")]


def audit(*arguments: object) -> int:
    return cli.main(["audit", *map(str, arguments), "--trust", str(ROOT), "--at", AT.isoformat()])


def test_the_commands_check_it_and_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path / "job", "tpm")
    given = files(tmp_path)
    assert audit("verify", tmp_path / "job" / "keeper", *given, "--json", tmp_path / "verdict.json") == 0
    assert "3 measurements accepted" in " ".join(capsys.readouterr().out.split())
    content = json.loads((tmp_path / "verdict.json").read_text())
    assert content["not_made"] == [] and "measurements" in {check["name"] for check in content["checks"]}
    assert audit("report", tmp_path / "job" / "keeper", *given, "--out", tmp_path / "page.html") == 0
    page = (tmp_path / "page.html").read_text()
    assert "tpm (isolation: none)" in page and "measurements accepted" in page and "not checked" not in page
    assert audit("verify", tmp_path / "job" / "ambon", *given[:2]) == 1
    assert "check measurements did not pass" in capsys.readouterr().err


def test_collateral_without_an_appraisal_policy_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = files(tmp_path)
    assert audit("verify", tmp_path, *given[2:]) == 1
    assert "--collateral is given without the policy it serves" in capsys.readouterr().err


def test_the_page_says_what_was_not_checked_and_who_says_where_keys_were(job: tuple[Path, Policy]) -> None:
    folder, policy = job
    kind, isolation = policy.allow.enclave[0], "none" if policy.allow.enclave == ("tpm",) else "vm"
    for party, who in (("keeper", "word"), ("ambon", "as silos appraised")):
        found = examine(folder / party, trust=ROOT, policy=None, relied=None, at=AT)
        page = render(found, name="log", at=AT, version="0")
        assert f"{kind} (isolation: {isolation})" in page and who in page
        assert "not checked" in page and "no appraisal policy was given" in page
