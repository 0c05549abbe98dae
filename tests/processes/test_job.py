"""A job as real processes over post-quantum channels, and what happens when its parties are killed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from toy_job import ROUNDS, SILOS, ToyJob, mean

from logs import entries_of
from quatrefoil import cli
from quatrefoil.audit.log import TRUST_FOLDER, WITNESSED
from quatrefoil.errors import HostError

SOON = 40.0
STEP = 1e-3
"""Far above the error bound of a round, far below any silo's step."""


def start_all(job: ToyJob) -> None:
    job.start_keeper()
    job.aggregator()
    for name in SILOS:
        job.silo(name)


def finish(job: ToyJob, silos: list[str] | None = None) -> None:
    job.wait("aggregator", SOON)
    for name in SILOS if silos is None else silos:
        job.wait(name, SOON)


def test_every_party_ends_with_the_same_model_and_it_is_the_weighted_mean(job: ToyJob) -> None:
    start_all(job)
    finish(job)
    for array in job.model():
        assert np.allclose(array, ROUNDS * mean(), atol=STEP)
    for name in SILOS:
        assert all(np.array_equal(a, b) for a, b in zip(job.model(name), job.model(), strict=True))
    result = job.result("aggregator")
    assert result["schema"] == "quatrefoil.aggregator/1"
    assert [one["contributors"] for one in result["rounds"]] == [sorted(SILOS)] * ROUNDS
    assert {one["peer"] for one in result["channels"]} == {"keeper", *SILOS}
    assert {one["group"] for one in result["channels"]} == {"X25519MLKEM768"}


def test_with_sums_in_ckks_it_is_the_same_round_of_the_same_commands(job: ToyJob) -> None:
    job.policy.write_text(job.policy.read_text().replace('"additive-rlwe"', '"ckks"'))
    start_all(job)
    finish(job)
    result = job.result("aggregator")
    for array in job.model():
        assert np.allclose(array, ROUNDS * mean(), atol=1e-6)  # training is in float32
    assert [one["contributors"] for one in result["rounds"]] == [sorted(SILOS)] * ROUNDS
    assert all(0 < one["error_bound"] < 1e-8 for one in result["rounds"])


def test_a_party_that_adds_with_another_scheme_takes_no_part(job: ToyJob) -> None:
    """Both are allowed: which one a job uses is said to every party, and signed by all."""
    job.policy.write_text(job.policy.read_text().replace('"additive-rlwe"', '"additive-rlwe", "ckks"'))
    job.start_keeper(arguments=["--backend", "additive-rlwe"])
    job.aggregator()
    for name in SILOS:
        job.silo(name, "train", "--backend", "ckks" if name == "ambon" else "additive-rlwe")
    with pytest.raises(HostError, match=r"adds with additive-rlwe/sum-256-w16, this party with ckks/ckks-sum-4096"):
        job.wait("ambon", SOON)


def test_a_stronger_channel_policy_holds_for_every_channel_and_envelope(job: ToyJob) -> None:
    policy = job.folder / "policy.toml"
    policy.write_text(policy.read_text() + '\n[transport]\npolicy = "hybrid-1024"\n')
    start_all(job)
    finish(job)
    assert {one["group"] for one in job.result("aggregator")["channels"]} == {"SecP384r1MLKEM1024"}
    assert all(np.allclose(array, ROUNDS * mean(), atol=STEP) for array in job.model())


def test_a_party_that_was_given_a_weaker_channel_policy_takes_no_part(job: ToyJob) -> None:
    agreed, job.policy = job.policy, job.folder / "stronger.toml"
    job.policy.write_text(agreed.read_text() + '\n[transport]\npolicy = "hybrid-1024"\n')
    job.start_keeper()
    job.policy = agreed
    job.aggregator()
    for name in SILOS:
        job.silo(name)
    with pytest.raises(HostError):
        job.wait("aggregator", SOON)
    assert "polic" in (job.folder / "aggregator.out").read_text()


def prove(job: ToyJob, norm: str, on_excess: str = "refuse") -> None:
    """Have the policy ask for proofs of this norm."""
    text = (job.folder / "policy.toml").read_text()
    text = text.replace('"colluding-silos"]', '"colluding-silos", "byzantine-silo"]')
    text = text.replace('on_excess = "refuse"', f'on_excess = "{on_excess}"')
    (job.folder / "policy.toml").write_text(text.replace("clip = 1.0", f"clip = 1.0\n{norm}"))


def test_under_a_norm_that_follows_the_means_a_job_goes_on_where_a_party_was_killed(job: ToyJob) -> None:
    """Bari's update is 1.66 long: too long for the third round, for which every party has computed the same norm."""
    prove(job, "update_norm = 2.0\nupdate_norm_factor = 3.0\nupdate_norm_floor = 0.9", on_excess="clip")
    job.hold()
    start_all(job)
    wait_for_entry(job, "aggregator", "round-opened")
    for victim, again in (("aggregator", job.aggregator), ("bari", lambda: job.silo("bari"))):
        job.kill(victim)
        again()
    job.go_on()
    finish(job)
    norms = [2.0]
    for _ in range(ROUNDS - 1):
        norms.append(0.9 * norms[-1])
    clipped = [entry.body for entry in entries_of(job.log("bari")) if entry.kind == "clipped"]
    assert clipped == [{"round": number, "update_norm": norms[number - 1]} for number in (3, 4)]
    finished = [entry for entry in entries_of(job.log("aggregator")) if entry.kind == "round-finished"]
    assert [len(entry.body["proofs"]) for entry in finished] == [len(SILOS)] * ROUNDS
    for name in SILOS:
        assert all(np.array_equal(a, b) for a, b in zip(job.model(name), job.model(), strict=True))


def test_with_proofs_the_mean_is_the_same_and_every_contribution_brings_one(job: ToyJob) -> None:
    prove(job, "update_norm = 2.0")
    start_all(job)
    finish(job)
    for array in job.model():
        assert np.allclose(array, ROUNDS * mean(), atol=STEP)
    finished = [entry for entry in entries_of(job.log("aggregator")) if entry.kind == "round-finished"]
    assert [len(entry.body["proofs"]) for entry in finished] == [len(SILOS)] * ROUNDS
    planned = {phase["name"]: phase for phase in job.result("aggregator")["plan"]["phases"]}
    assert planned["collect"]["threats"]["byzantine-silo"]["backend"] == "bounded-update"
    assert {"proofs.verify"} == {row["step"] for row in job.result("aggregator")["costs"]} & {"proofs.verify"}


def test_stand_ins_are_marked_in_every_output(job: ToyJob) -> None:
    start_all(job)
    finish(job)
    for name in ("keeper", "aggregator", *SILOS):
        assert "INSECURE" in (job.folder / f"{name}.out").read_text()
    for name in ("aggregator", *SILOS):
        assert job.result(name)["insecure"] == ["software-keeper"]
    opened = [entry for entry in entries_of(job.log("keeper")) if entry.kind == "round-opened"]
    assert {(entry.body["enclave"], entry.body["isolation"]) for entry in opened} == {("software", "none")}


def test_whoever_has_the_root_reads_a_silos_receipts_from_its_log(
    job: ToyJob, capsys: pytest.CaptureFixture[str]
) -> None:
    """One for every round, signed twice as the policy asks; the second key is the one of the aggregator's log."""
    start_all(job)
    finish(job)
    owner, root = job.log("aggregator") / "owner", job.log("bari") / "trust" / "root.pem"
    receipts = [entry for entry in entries_of(job.log("bari")) if entry.kind == "receipt"]
    assert [entry.body["verdict"] for entry in receipts] == ["included"] * ROUNDS
    for number, entry in enumerate(receipts, 1):
        file = job.log("bari") / "payload" / entry.attached["receipt"].sha256
        assert (
            cli.main(["audit", "receipt", str(file), "--trust", str(root), "--owner", str(owner), "--json", "-"]) == 0
        )
        said = json.loads(capsys.readouterr().out)["receipt"]
        assert (said["silo"], said["round"], said["verdict"]) == ("bari", number, "included")
        assert (said["algorithms"], said["batch_size"]) == ("ML-DSA-65, Ed25519", len(SILOS))
        assert cli.main(["audit", "receipt", str(file), "--trust", str(root)]) == 1
        assert "has 2 signatures" in capsys.readouterr().err


def test_logs_tell_the_whole_story_and_hold_no_secrets(job: ToyJob) -> None:
    start_all(job)
    finish(job)
    assert job.stored("keeper").count("key-release") == ROUNDS
    assert job.stored("aggregator").count("round-finished") == ROUNDS
    assert "plan" in job.stored("aggregator")
    assert job.stored("aggregator").count("witness") == len(SILOS)
    assert job.stored("aggregator").count("cosigned") == ROUNDS - 1  # the last is under the checkpoint itself
    assert (job.log("aggregator") / WITNESSED).exists()
    for name in SILOS:
        assert job.stored(name)[:4] == ["log-opened", "policy", "enrolment", "consent"]
        assert job.stored(name).count("witness") == 1 and job.stored(name).count("witnessed") == ROUNDS
        assert job.stored(name).count("contribution") == ROUNDS
    # Digests, names, counts and reasons only: nothing as long as a key or an update.
    for name in ("keeper", "aggregator", *SILOS):
        for entry in entries_of(job.log(name)):
            assert all(len(value) <= 400 for value in entry.body.values() if isinstance(value, str))


@pytest.mark.parametrize("victim", ["keeper", "aggregator", "bari"])
def test_a_party_killed_in_an_open_round_is_started_again_and_the_job_goes_on(job: ToyJob, victim: str) -> None:
    job.hold()
    start_all(job)
    job.wait_for("ambon", "started", SOON)
    wait_for_entry(job, "aggregator", "round-opened")  # the keeper logs it before it is durable there
    job.kill(victim)
    {"keeper": job.start_keeper, "aggregator": job.aggregator, "bari": lambda: job.silo("bari")}[victim]()
    job.go_on()
    finish(job)
    for array in job.model():
        assert np.allclose(array, ROUNDS * mean(), atol=STEP)
    if victim == "keeper":
        # Its key was gone: the round was voided, never answered with a second key, and tried again.
        assert job.stored("keeper").count("round-void") == 1
        assert job.stored("keeper").count("key-release") == ROUNDS


def test_a_silo_that_stays_away_after_enrolling_does_not_stop_the_others(job: ToyJob) -> None:
    job.hold()
    job.start_keeper()
    job.aggregator("--deadline", "2")
    for name in SILOS:
        job.silo(name)
    wait_for_entry(job, "keeper", "round-opened")
    job.kill("bari")
    job.go_on()
    finish(job, ["ambon", "cusco"])
    for array in job.model():
        assert np.allclose(array, ROUNDS * mean("ambon", "cusco"), atol=STEP)
    assert "going on without bari" in (job.folder / "aggregator.out").read_text()


def test_a_silo_whose_update_does_not_fit_fails_with_one_line_and_stops_nobody_else(job: ToyJob) -> None:
    job.start_keeper()
    job.aggregator("--deadline", "2")
    job.silo("ambon")
    job.silo("cusco")
    job.silo("bari", "too_large")
    with pytest.raises(HostError, match=r"clip bound of 1\.0"):
        job.wait("bari", SOON)
    finish(job, ["ambon", "cusco"])


def test_a_party_in_the_wrong_role_is_refused_and_named(job: ToyJob) -> None:
    job.start_keeper()
    job.wait_for("keeper", "listens", SOON)
    # The "aggregator" a silo is pointed at is the keeper: it allows no silos.
    job.aggregator_port = job.keeper_port
    job.silo("ambon", "train", "--give-up", "1")
    with pytest.raises(HostError, match=r"keeper|silo"):
        job.wait("ambon", SOON)


def test_too_few_silos_end_the_job_with_their_names(job: ToyJob) -> None:
    job.start_keeper()
    job.aggregator("--give-up", "2")
    job.silo("ambon")
    with pytest.raises(HostError, match="missing bari, cusco"):
        job.wait("aggregator", SOON)


def test_a_party_with_another_policy_is_refused(job: ToyJob) -> None:
    other = job.folder / "other.toml"
    other.write_text((job.folder / "policy.toml").read_text().replace("clip = 1.0", "clip = 2.0"))
    job.start_keeper()
    job.aggregator("--give-up", "3")
    policy, job.policy = job.policy, other
    job.silo("ambon")
    job.policy = policy
    with pytest.raises(HostError, match="Compare the two policy files"):
        job.wait("ambon", SOON)


def wait_for_entry(job: ToyJob, party: str, kind: str, seconds: float = SOON, *, times: int = 1) -> None:
    """Wait until a party's log holds an entry of this kind, or so many."""
    import time

    end = time.monotonic() + seconds
    while not (job.log(party) / TRUST_FOLDER / "root.pem").exists() or job.stored(party).count(kind) < times:
        assert time.monotonic() < end, f"{party} did not log {kind} {times} times: {job.output(party)}"
        time.sleep(0.02)
