"""A job of real processes while keys and lists are exchanged: what goes on, what begins anew, and what ends."""

from __future__ import annotations

import time

import numpy as np
import pytest
from test_job import SOON, STEP, finish, start_all, wait_for_entry
from toy_job import ROUNDS, SILOS, ToyJob, mean

from logs import entries_of
from quatrefoil.errors import HostError
from quatrefoil.transport import CertificateAuthority, Identity, files, system_clock
from quatrefoil.transport.credentials import CHECK_SECONDS
from quatrefoil.transport.leaf_keys import key_digest

EVERYBODY = ("keeper", "aggregator", *SILOS)


def authority(job: ToyJob) -> CertificateAuthority:
    return CertificateAuthority.load(job.folder / "ca", clock=system_clock)


def renew_all(job: ToyJob) -> None:
    """Every party's next key, and the next list, while the parties run."""
    ca = authority(job)
    ca.publish()
    for file, content in ca.public_files().items():
        files.replace(job.folder / file, content)
    for name in EVERYBODY:
        ca.renew(job.folder / "identities" / name)


def pin_of(job: ToyJob, name: str) -> str:
    return key_digest(Identity.load(job.folder / "identities" / name).certificate.public_key()).hex()


def begin(job: ToyJob) -> None:
    job.hold()
    start_all(job)
    job.wait_for("ambon", "started", SOON)
    wait_for_entry(job, "aggregator", "round-opened")


def test_a_job_goes_on_when_every_key_and_the_list_are_renewed_in_the_middle(job: ToyJob) -> None:
    begin(job)
    renew_all(job)
    job.go_on()
    finish(job)
    assert all(np.allclose(array, ROUNDS * mean(), atol=STEP) for array in job.model())
    assert not [entry for entry in entries_of(job.log("aggregator")) if entry.kind == "refusal"]


@pytest.mark.parametrize("victim", ["keeper", "aggregator", "bari"])
def test_a_party_started_again_after_its_renewal_signs_with_the_key_that_it_began_with(
    job: ToyJob, victim: str
) -> None:
    begin(job)
    job.kill(victim)
    renew_all(job)
    {"keeper": job.start_keeper, "aggregator": job.aggregator, "bari": lambda: job.silo("bari")}[victim]()
    job.wait_for(victim, "as this state began with", SOON)
    job.go_on()
    finish(job)
    assert all(np.allclose(array, ROUNDS * mean(), atol=STEP) for array in job.model())


def test_a_keeper_that_signs_with_a_new_key_has_no_part_in_the_job_before(job: ToyJob) -> None:
    begin(job)
    job.kill("keeper")
    renew_all(job)
    job.start_keeper(arguments=["--new-key"])
    job.wait_for("keeper", "listens", SOON)
    job.go_on()
    with pytest.raises(HostError, match="not by keeper keeper with the agreed certificate"):
        finish(job)


def test_a_job_begun_after_the_renewal_is_signed_with_the_new_keys(job: ToyJob) -> None:
    """The keeper runs on and signs with its first key, its channels show the second, and the job names the first."""
    job.start_keeper()
    job.wait_for("keeper", "listens", SOON)
    renew_all(job)
    job.aggregator("--pin", pin_of(job, "keeper"))
    for name in SILOS:
        job.silo(name, "train", "--pin", pin_of(job, "aggregator"))
    finish(job)
    assert all(np.allclose(array, ROUNDS * mean(), atol=STEP) for array in job.model())
    (taken,) = [entry.body for entry in entries_of(job.log("keeper")) if entry.kind == "credentials"]
    newest = Identity.load(job.folder / "identities" / "keeper")
    assert taken["certificate"] == newest.fingerprint.hex() and set(taken["lists"].values()) == {2}


def test_a_silo_revoked_in_the_middle_of_a_job_is_refused_and_named(job: ToyJob) -> None:
    """Its consent no longer counts either, so that the job ends and a new one begins without it."""
    begin(job)
    ca = authority(job)
    ca.revoke(Identity.load(job.folder / "identities" / "bari").certificate, reason="key-compromise")
    ca.publish()
    for file, content in ca.public_files().items():
        files.replace(job.folder / file, content)
    time.sleep(1.2 * CHECK_SECONDS)  # until then a party may go by the list that it has, and be done
    job.go_on()
    with pytest.raises(HostError, match="'bari' was revoked"):
        finish(job)


@pytest.mark.parametrize("party", ["aggregator", "ambon"])
def test_a_peer_that_is_not_the_pinned_one_is_refused(job: ToyJob, party: str) -> None:
    wrong = pin_of(job, "bari")
    job.start_keeper()
    if party == "aggregator":
        job.aggregator("--pin", wrong)
        seen = pin_of(job, "keeper")
    else:
        job.aggregator()
        job.wait_for("aggregator", "listens", SOON)
        job.silo("ambon", "train", "--pin", wrong)
        seen = pin_of(job, "aggregator")
    with pytest.raises(HostError, match=f"shows key {seen} in certificate [0-9a-f]+, and pinned is {wrong}"):
        job.wait(party, SOON)


def test_an_old_list_is_refused_at_the_next_start(job: ToyJob) -> None:
    old = (job.folder / "crl.pem").read_bytes()
    authority(job).publish()
    for file, content in authority(job).public_files().items():
        files.replace(job.folder / file, content)
    job.start_keeper()
    job.wait_for("keeper", "listens", SOON)
    job.kill("keeper")
    files.replace(job.folder / "crl.pem", old)
    job.start_keeper()
    with pytest.raises(HostError, match="revocation list 1 is older than list 2"):
        job.wait("keeper", SOON)
