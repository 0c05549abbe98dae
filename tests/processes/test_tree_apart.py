"""A tree of real processes whose upper job is another consortium's: with a root, a pinned aggregator, witnesses and a
keeper on a machine with a TPM, of which the groups' own consortium has none.

With a TPM it needs the system's packages swtpm and tpm2-tools.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from test_tree_job import SOON, check, until
from toy_job import costs_file
from tree_job import ROUNDS, TreeJob

from logs import entries_of
from quatrefoil import cli
from quatrefoil.appraisal import load
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.tpm import structures, verify
from quatrefoil.enclave.tpm.signer import public_key
from quatrefoil.errors import HostError
from quatrefoil.transport import CertificateAuthority, Identity, system_clock
from quatrefoil.transport.leaf_keys import key_digest
from software_tpm import AK, SoftwareTpm, needs_tpm, software_tpm
from tpm_quotes import AT, NONCE, policy_text

__all__ = ["costs_file"]

pytestmark = pytest.mark.slow


@pytest.fixture
def apart(tmp_path: Path, costs_file: Path) -> Iterator[TreeJob]:
    with TreeJob(tmp_path, costs_file, ("north", "south", "west"), apart=True) as job:
        upper = job.folder / "upper.toml"
        upper.write_text(upper.read_text() + "[audit]\nwitnesses = 3\n")
        yield job


def pin_of(folder: Path) -> str:
    return key_digest(Identity.load(folder).certificate.public_key()).hex()


def own(job: TreeJob) -> str:
    return pin_of(job.folder / "identities" / "upper")


def audited(job: TreeJob, state: str, root: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    """How ``audit verify`` ends over a state, under a root, and what it says."""
    policy = job.folder / ("upper.toml" if state.startswith("upper") or state.endswith("upper") else "group.toml")
    given = ["--trust", str(root), "--policy", str(policy), *more]
    code = cli.main(["audit", "verify", str(job.folder / "state" / state), *given, "--json", "-"])
    shown = capsys.readouterr()
    return code, shown.out + shown.err


def test_groups_go_up_to_another_consortium_that_they_have_pinned(
    apart: TreeJob, capsys: pytest.CaptureFixture[str]
) -> None:
    apart.start_upper()
    for group in apart.groups:
        apart.start_group(group, "--upper-pin", own(apart))
    apart.finish(seconds=SOON)
    check(apart)
    for group in apart.groups:
        assert (
            "log at the end of the job is cosigned by north-up, south-up, west-up"
            in (apart.folder / f"{group}.out").read_text()
        )
    assert apart.stored("north", upper=True).count("witnessed") >= ROUNDS
    # An auditor holds each log to the root of its own consortium, and neither to the other's.
    for state in ("north/upper", "upper"):
        assert audited(apart, state, apart.root("upper"), capsys)[0] == 0, state
        code, told = audited(apart, state, apart.root("north"), capsys)
        assert code == 1 and "no trusted root" in told, told
    assert audited(apart, "north", apart.root("north"), capsys)[0] == 0


def test_a_group_does_not_go_up_to_another_key_than_it_has_pinned(apart: TreeJob, tmp_path: Path) -> None:
    """One that the upper root certifies as it would certify a renewal: a root key that was stolen, or its holder."""
    ca = CertificateAuthority.load(apart.root("upper").parent / "ca", clock=system_clock)
    ca.issue("upper", "aggregator", directory=tmp_path / "meant")
    apart.start_upper()
    apart.start_keeper("north")
    apart.start_aggregator("north", "--upper-pin", pin_of(tmp_path / "meant"))  # and no silo of it has come yet
    with pytest.raises(HostError, match=r"north failed: .*and pinned is"):
        apart.wait("north", SOON)
    assert "enrolment" not in apart.stored("upper")
    # With both the pins that there may be, as while a key is exchanged, it goes up.
    apart.start_aggregator("north", "--upper-pin", pin_of(tmp_path / "meant"), "--upper-pin", own(apart))
    apart.wait_for("upper", "north-up enrolled", SOON)


def test_a_group_under_another_root_neither_believes_nor_is_believed(apart: TreeJob, tmp_path: Path) -> None:
    strangers = CertificateAuthority.create(tmp_path / "strangers" / "ca", "strangers", clock=system_clock)
    for file, content in strangers.public_files().items():
        (tmp_path / "strangers" / file).write_bytes(content)
    strangers.issue("north-up", "silo", directory=tmp_path / "strangers" / "north-up")
    apart.start_upper()
    apart.start_keeper("north")
    # Its identity is theirs, and so is the root that it goes by: it does not believe who answers it.
    theirs = ("--upper-identity", str(tmp_path / "strangers" / "north-up"))
    apart.start_aggregator("north", *theirs, "--upper-root", str(tmp_path / "strangers" / "root.pem"))
    with pytest.raises(HostError, match=r"north failed: .*no trusted root"):
        apart.wait("north", SOON)
    # With the right root, that identity is nobody's: refused before anybody is connected to.
    apart.start_aggregator("north", *theirs)
    with pytest.raises(HostError, match=r"north failed: .*is signed by no trusted root"):
        apart.wait("north", SOON)
    # And the root of its own consortium is not that of the upper one.
    apart.start_aggregator("north", "--upper-root", str(apart.root("north")))
    with pytest.raises(HostError, match=r"north failed: .*is signed by no trusted root"):
        apart.wait("north", SOON)
    assert "enrolment" not in apart.stored("upper")


# -------------------------------------------------------------------------------------------- a keeper that is measured


@pytest.fixture
def machine() -> Iterator[SoftwareTpm]:
    with software_tpm() as found:
        yield found


def agree(job: TreeJob, machine: SoftwareTpm) -> tuple[str, ...]:
    """What the groups do beforehand: look at the upper keeper's machine, pin its key and registers, and agree on both.
    The options of their aggregators."""
    evidence = machine.collector().collect(NONCE)
    key = public_key(structures.parse_companions(evidence.signature)[1])
    collateral, appraisal = job.folder / "collateral", job.folder / "appraisal.toml"
    collateral.mkdir()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (collateral / "tpm-key-keeper.pem").write_bytes(pem)
    appraisal.write_text(policy_text(verify(evidence, Collateral(), AT).claims.measurements))
    upper = job.folder / "upper.toml"
    text = upper.read_text().replace('enclave = ["software"]', 'enclave = ["tpm"]').replace('["software-keeper"]', "[]")
    upper.write_text(f'{text}[enclave]\nappraisal = "{load(appraisal).digest().hex()}"\n')
    return "--upper-enclave", "tpm", "--upper-appraisal", str(appraisal), "--upper-collateral", str(collateral)


def start_upper(job: TreeJob, machine: SoftwareTpm) -> None:
    job.start_keeper("upper", "--tpm-key", AK, "--tcti", machine.tcti)
    job.wait_for("upper-keeper", "listens", SOON)
    job.start_upper_aggregator("--keeper-enclave", "tpm")


@needs_tpm
def test_groups_send_their_sums_to_a_keeper_behind_a_tpm(
    apart: TreeJob, machine: SoftwareTpm, capsys: pytest.CaptureFixture[str]
) -> None:
    options = agree(apart, machine)
    start_upper(apart, machine)
    for group in apart.groups:
        apart.start_group(group, *options)
    apart.finish(seconds=SOON)
    check(apart)
    assert apart.result("north")["upper"]["insecure"] == [] != apart.result("north")["insecure"]
    measured = [e.body for e in entries_of(apart._log("north", True)) if e.kind == "measurement"]
    assert len(measured) == ROUNDS and {(one["enclave"], one["isolation"]) for one in measured} == {("tpm", "none")}
    code, told = audited(apart, "north/upper", apart.root("upper"), capsys, *_auditing(options))
    checks = {check["name"]: check["detail"] for check in json.loads(told)["checks"]}
    assert code == 0 and checks["measurements"].startswith(f"{ROUNDS} measurements accepted under machine")


def _auditing(options: tuple[str, ...]) -> list[str]:
    return [one.replace("--upper-", "--") for one in options[2:]]


@needs_tpm
def test_a_machine_that_is_changed_in_the_middle_gets_no_group_s_sum_any_more(
    apart: TreeJob, machine: SoftwareTpm
) -> None:
    options = agree(apart, machine)
    apart.hold()
    start_upper(apart, machine)
    for group in apart.groups:
        apart.start_group(group, *options)
    until(apart, "upper", "round-opened")
    machine.tool("tpm2_pcrextend", "7:sha256=" + "ab" * 32)
    apart.go_on()
    with pytest.raises(HostError, match="the evidence is not accepted: accepted-pcr7"):
        apart.finish(seconds=SOON)
    assert apart.stored("upper-keeper").count("key-release") <= 1, "the round that was open, and none after it"


@needs_tpm
def test_a_group_does_not_start_without_what_it_appraises_the_upper_keeper_with(
    apart: TreeJob, machine: SoftwareTpm
) -> None:
    options = agree(apart, machine)
    apart.start_aggregator("north")
    with pytest.raises(HostError, match="has to be held to an appraisal policy, and none is given"):
        apart.wait("north", SOON)
    changed = apart.folder / "changed.toml"
    changed.write_text(
        (apart.folder / "appraisal.toml").read_text().replace('certified = "any"', 'certified = "require"')
    )
    apart.start_aggregator("north", *(str(changed) if one.endswith("appraisal.toml") else one for one in options))
    with pytest.raises(HostError, match=r"names the appraisal policy [0-9a-f]{64}, and machine is [0-9a-f]{64}"):
        apart.wait("north", SOON)
