"""A job of real processes whose keeper runs on a machine with a TPM: ``swtpm``, asked through ``tpm2-tools``.

Needs the system's packages swtpm and tpm2-tools.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from test_job import SOON, STEP, wait_for_entry
from toy_job import POLICY, ROUNDS, SILOS, ToyJob, mean

from logs import entries_of
from quatrefoil import cli
from quatrefoil.appraisal import load
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.tpm import structures, verify
from quatrefoil.enclave.tpm.signer import public_key
from quatrefoil.errors import HostError
from software_tpm import AK, SoftwareTpm, needs_tpm, software_tpm
from tpm_quotes import AT, NONCE, policy_text

pytestmark = needs_tpm


@dataclass
class Site:
    """A job whose policy names the appraisal policy of ``machine``, as it was when the parties looked at it."""

    job: ToyJob
    machine: SoftwareTpm
    appraisal: Path
    collateral: Path

    def keeper(self) -> None:
        self.job.start_keeper(arguments=["--tpm-key", AK, "--tcti", self.machine.tcti])

    def silo(self, name: str) -> None:
        self.job.silo(name, "train", "--appraisal", str(self.appraisal), "--collateral", str(self.collateral))

    def start(self) -> None:
        self.keeper()
        self.job.wait_for("keeper", "listens", SOON)
        self.job.aggregator("--keeper-enclave", "tpm")
        for name in SILOS:
            self.silo(name)


@pytest.fixture
def site(job: ToyJob, tmp_path: Path) -> Iterator[Site]:
    with software_tpm() as machine:
        yield agreed(job, machine, tmp_path)


def agreed(job: ToyJob, machine: SoftwareTpm, folder: Path) -> Site:
    """What the parties do beforehand: look at the machine, pin its key and registers, and agree on both."""
    evidence = machine.collector().collect(NONCE)
    key = public_key(structures.parse_companions(evidence.signature)[1])
    (folder / "collateral").mkdir()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / "collateral" / "tpm-key-keeper.pem").write_bytes(pem)
    measured = verify(evidence, Collateral(), AT).claims.measurements
    appraisal = folder / "appraisal.toml"
    appraisal.write_text(policy_text(measured))
    text = POLICY.replace('enclave = ["software"]', 'enclave = ["tpm"]').replace('["software-keeper"]', "[]")
    job.policy.write_text(f'{text}[enclave]\nappraisal = "{load(appraisal).digest().hex()}"\n')
    return Site(job, machine, appraisal, folder / "collateral")


def finish(job: ToyJob) -> None:
    for name in ("aggregator", *SILOS):
        job.wait(name, 60.0)


def test_a_job_behind_a_tpm_is_neither_insecure_nor_isolated(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = site.job
    site.start()
    finish(job)
    assert all(np.allclose(array, ROUNDS * mean(), atol=STEP) for array in job.model())
    # Said by the keeper on its start, in the plan, and in every log.
    said = (job.folder / "keeper.out").read_text()
    assert "keeper behind tpm, isolation: none" in said and "whoever runs this machine reads every key" in said
    assert "INSECURE" not in said
    plan = job.result("aggregator")["plan"]
    assert plan["insecure"] == [] and [phase["isolation"] for phase in plan["phases"] if phase["isolation"]] == ["none"]
    assert ("curious-host", "keys") in {(left["threat"], left["phase"]) for left in plan["unprotected"]}
    for party in ("keeper", *SILOS):
        measured = [entry.body for entry in entries_of(job.log(party)) if entry.kind == "measurement"]
        assert len(measured) == ROUNDS
        assert {(body["enclave"], body["isolation"]) for body in measured} == {("tpm", "none")}
    # And verified again by an auditor, from the logs alone.
    for party in ("keeper", "ambon"):
        given = ["--appraisal", str(site.appraisal), "--collateral", str(site.collateral), "--trust", str(job.root)]
        state = str(job.folder / "state" / party)
        assert cli.main(["audit", "verify", state, *given, "--policy", str(job.policy), "--json", "-"]) == 0
        checks = {check["name"]: check["detail"] for check in json.loads(capsys.readouterr().out)["checks"]}
        assert checks["measurements"].startswith(f"{ROUNDS} measurements accepted under machine")


def test_a_machine_that_is_changed_in_the_middle_of_a_job_gets_no_more_keys(site: Site) -> None:
    job = site.job
    job.hold()
    site.start()
    job.wait_for("ambon", "started", SOON)
    wait_for_entry(job, "aggregator", "round-opened")
    site.machine.tool("tpm2_pcrextend", "7:sha256=" + "ab" * 32)
    job.go_on()
    with pytest.raises(HostError, match="the evidence is not accepted: accepted-pcr7"):
        finish(job)
    assert job.stored("keeper").count("key-release") <= 1, "the round that was open, and none after it"
    refusals = [entry.body for name in SILOS for entry in entries_of(job.log(name)) if entry.kind == "refusal"]
    assert any("accepted-pcr7" in body["reason"] for body in refusals)


def test_another_key_of_the_same_machine_is_refused(site: Site) -> None:
    site.machine.make_key("0x81010003", "ecc", "ecdsa")
    job = site.job
    job.start_keeper(arguments=["--tpm-key", "0x81010003", "--tcti", site.machine.tcti])
    job.wait_for("keeper", "listens", SOON)
    job.aggregator("--keeper-enclave", "tpm")
    for name in SILOS:
        site.silo(name)
    with pytest.raises(HostError, match="the evidence is not accepted: signer"):
        finish(job)


def test_a_tpm_that_is_gone_is_told_of_before_anybody_waits(site: Site) -> None:
    site.machine.stop()
    site.keeper()
    with pytest.raises(HostError, match="tpm2_readpublic failed"):
        site.job.wait("keeper", SOON)


def test_a_plan_counts_on_no_enclave_that_the_keeper_is_not_said_to_have(site: Site) -> None:
    site.job.aggregator()
    with pytest.raises(HostError, match=r"enclave/tpm.*the keeper is not said to give such evidence"):
        site.job.wait("aggregator", SOON)


def test_nobody_takes_part_in_a_job_that_names_the_host_behind_a_tpm(site: Site) -> None:
    job = site.job
    job.policy.write_text(job.policy.read_text().replace('"network", ', '"network", "curious-host", '))
    for start, name in ((site.keeper, "keeper"), (lambda: site.silo("ambon"), "ambon")):
        start()
        with pytest.raises(HostError, match="names a threat that only isolation answers, and tpm isolates nothing"):
            job.wait(name, SOON)
    job.aggregator("--keeper-enclave", "tpm")
    with pytest.raises(HostError, match="exposed to curious-host, which nothing available answers"):
        job.wait("aggregator", SOON)


def test_a_silo_does_not_start_without_what_it_appraises_with(site: Site) -> None:
    job = site.job
    job.silo("ambon")
    with pytest.raises(HostError, match="has to be held to an appraisal policy, and none is given"):
        job.wait("ambon", SOON)
    changed = site.appraisal.with_name("changed.toml")
    changed.write_text(site.appraisal.read_text().replace('certified = "any"', 'certified = "require"'))
    job.silo("bari", "train", "--appraisal", str(changed), "--collateral", str(site.collateral))
    with pytest.raises(HostError, match=r"names the appraisal policy [0-9a-f]{64}, and machine is [0-9a-f]{64}"):
        job.wait("bari", SOON)
