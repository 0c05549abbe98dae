"""A machine and its GPUs: every part is bound to the same 32 bytes, and none can be brought from elsewhere."""

from __future__ import annotations

from dataclasses import replace

import pytest
from attested_parties import Clock, Replaying, SnpMachine, attester, keyset, relying_party

import gpu_reports
from attesting import FOLDER
from quatrefoil.appraisal import parse, verifiers
from quatrefoil.attested import Attestation, Attester, RelyingParty
from quatrefoil.enclave import nvidia
from quatrefoil.enclave.evidence import Evidence, EvidenceSet
from quatrefoil.errors import EvidenceRejected, HostError

EXPORTER = b"\x0e" * 32
POLICY = parse(
    (FOLDER / "policy.toml").read_text()
    + f"""
[nvidia-cc]
gpus = 2
golden = "any"
revocation_checked = "any"
driver_version = ["550.90.07"]
vbios_version = ["96.00.9F.00.01"]
mode = ["not-said", "single-gpu"]
device = ["any"]
[nvidia-cc.measurements]
measurement_1 = ["{gpu_reports.measurement(1).hex()}"]
""",
    source="policy.toml",
)


class Gpu:
    kind = "nvidia-cc"

    def __init__(self, chip: str) -> None:
        self._made = gpu_reports.Made(chip=chip)

    def collect(self, report_data: bytes) -> Evidence:
        return self._made.with_(nonce=report_data).evidence()


GPUS = (Gpu("one chip"), Gpu("another chip"))


@pytest.fixture(autouse=True)
def gpus_trusted(monkeypatch: pytest.MonkeyPatch, trusted: None) -> None:
    def verify(evidence: Evidence, given: object, at: object) -> object:
        return nvidia.verify(evidence, given, at, roots=gpu_reports.roots())  # type: ignore[arg-type]

    monkeypatch.setitem(verifiers.VERIFIERS, "nvidia-cc", verify)  # type: ignore[arg-type]


def failed(party: RelyingParty, other: Attester, **changes: object) -> str:
    answer = Attestation.decode(other.answer(party.challenge(), EXPORTER))
    said = EvidenceSet.decode(answer.evidence)
    answer = replace(answer, evidence=replace(said, **changes).encode())  # type: ignore[arg-type]
    with pytest.raises(EvidenceRejected) as refused:
        party.accept(answer.encode(), EXPORTER)
    return refused.value.check


def test_a_machine_with_its_gpus_is_accepted(clock: Clock) -> None:
    party, other = relying_party(clock, policy=POLICY), attester(clock, devices=GPUS)
    accepted = party.accept(other.answer(party.challenge(), EXPORTER), EXPORTER)
    assert [claims.kind for claims in accepted.verdict.devices] == ["nvidia-cc", "nvidia-cc"]
    names = {check.name for check in accepted.verdict.checks}
    assert {"report-data", "gpu0-report-data", "gpu1-report-data", "gpus"} <= names


def test_a_gpu_that_is_left_out_is_missed(clock: Clock) -> None:
    party = relying_party(clock, policy=POLICY)
    assert failed(party, attester(clock, devices=GPUS), devices=()) == "gpus"
    assert failed(party, attester(clock, devices=GPUS[:1])) == "gpus"


def test_a_report_of_one_gpu_under_another_nonce_is_rejected(clock: Clock) -> None:
    """An honest report of the same GPU, asked for by somebody else or earlier."""
    party = relying_party(clock, policy=POLICY)
    old = Replaying(GPUS[1].collect(bytes(32)))
    assert failed(party, attester(clock, devices=(GPUS[0], old))) == "gpu1-report-data"


def test_a_gpu_that_is_attested_for_another_keyset_is_rejected(clock: Clock) -> None:
    """Parts of two answers to one challenge: the machine speaks for one keyset, the GPUs for another."""
    party = relying_party(clock, policy=POLICY)
    challenge = party.challenge()
    one = attester(clock, devices=GPUS).answer(challenge, EXPORTER)
    two = attester(clock, keyset(receipt=b"other"), devices=GPUS).answer(challenge, EXPORTER)
    parts = [EvidenceSet.decode(Attestation.decode(answer).evidence) for answer in (one, two)]
    mixed = replace(Attestation.decode(one), evidence=EvidenceSet(parts[0].primary, parts[1].devices).encode()).encode()
    with pytest.raises(EvidenceRejected) as refused:
        party.accept(mixed, EXPORTER)
    assert refused.value.check == "gpu0-report-data"


def test_an_altered_report_of_a_gpu_is_rejected(clock: Clock) -> None:
    """The right nonce written over that of an old report."""

    class Overwritten(Gpu):
        def collect(self, report_data: bytes) -> Evidence:
            old = super().collect(b"n" * 32)
            return replace(old, report=old.report.replace(b"n" * 32, report_data, 1))

    party = relying_party(clock, policy=POLICY)
    assert failed(party, attester(clock, devices=(Overwritten("one chip"), GPUS[1]))) == "gpu0-signature"


def test_gpus_alone_are_no_machine(clock: Clock) -> None:
    party = relying_party(clock, policy=POLICY)
    other = attester(clock, devices=GPUS)
    answer = Attestation.decode(other.answer(party.challenge(), EXPORTER))
    gpu = EvidenceSet.decode(answer.evidence).devices[0]
    with pytest.raises(EvidenceRejected, match="where a machine's should"):
        party.accept(replace(answer, evidence=_bare_set(gpu)).encode(), EXPORTER)


def test_gpus_that_the_policy_does_not_name_are_rejected(clock: Clock) -> None:
    """More evidence is no better: what is shown must be accepted."""
    party = relying_party(clock)
    assert failed(party, attester(clock, devices=GPUS)) == "kind"


def test_two_collectors_of_one_gpu_are_the_hosts_fault(clock: Clock) -> None:
    same = Replaying(GPUS[0].collect(b"n" * 32))
    with pytest.raises(HostError, match="the same evidence twice"):
        attester(clock, collector=SnpMachine(), devices=(same, same)).answer(relying_party(clock).challenge(), b"")


def _bare_set(gpu: Evidence) -> bytes:
    """A set that no code of ours makes: a device in the machine's place."""
    honest = EvidenceSet(Evidence("sev-snp", b"x")).encode()
    return honest.replace(Evidence("sev-snp", b"x").encode(), gpu.encode())
