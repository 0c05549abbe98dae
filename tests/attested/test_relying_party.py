"""Challenges and answers without a channel: what is accepted, for how long, and everything that is not."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from attested_parties import (
    OTHER_PURPOSE,
    PURPOSE,
    Clock,
    Replaying,
    SnpMachine,
    attester,
    keyset,
    moment,
    relying_party,
)
from hypothesis import given
from hypothesis import strategies as st
from tests.reference import binding as reference

import attesting
import tpm_quotes
from quatrefoil.appraisal import verifiers
from quatrefoil.attested import Attestation, Attester, Challenge, RelyingParty
from quatrefoil.attested.relying_party import MOST_ACCEPTED, MOST_CHALLENGES
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import Evidence, EvidenceSet
from quatrefoil.errors import CallerError, EvidenceRejected, HostError, MessageRefused

EXPORTER, TLS = b"\x0e" * 32, b"\x11" * 32


def rejected(check: str, party: RelyingParty, answer: bytes, exporter: bytes = b"", **more: Any) -> EvidenceRejected:
    with pytest.raises(EvidenceRejected) as refused:
        party.accept(answer, exporter, **more)
    assert refused.value.check == check and refused.value.hint
    return refused.value


def test_an_answer_is_accepted(clock: Clock) -> None:
    party, other = relying_party(clock), attester(clock)
    accepted = party.accept(other.answer(party.challenge(), b""), b"")
    assert accepted.keyset == keyset()
    assert accepted.verdict.require().isolation == "vm"
    assert accepted.expires == clock.now + timedelta(seconds=3600)


def test_evidence_holds_what_the_specification_says(clock: Clock) -> None:
    """The report data that hardware is asked for, against the slow reference."""
    machine, party, keys = SnpMachine(), relying_party(clock), keyset(tls=TLS, receipt=b"r" * 44)
    challenge = Challenge.decode(party.challenge())
    attester(clock, keys, collector=machine).answer(challenge.encode(), EXPORTER)
    written = reference.keyset(keys.sealing, keys.tls, keys.receipt, keys.not_before, keys.expires)
    assert machine.asked == [reference.report_data(written, challenge.nonce, EXPORTER, PURPOSE)]


def test_the_messages_are_those_of_the_specification(clock: Clock) -> None:
    party = relying_party(clock, random=lambda size: b"n" * size)
    challenge = party.challenge()
    assert challenge == reference.challenge(b"n" * 32, PURPOSE)
    answer = attester(clock).answer(challenge, b"")
    evidence = Attestation.decode(answer).evidence
    keys = keyset()
    written = reference.keyset(keys.sealing, keys.tls, keys.receipt, keys.not_before, keys.expires)
    assert answer == reference.attestation(b"n" * 32, written, evidence)
    EvidenceSet.decode(evidence)


# ------------------------------------------------------------------------------------------------------------ nonces


def test_an_answer_is_taken_once(clock: Clock) -> None:
    party = relying_party(clock)
    answer = attester(clock).answer(party.challenge(), b"")
    party.accept(answer, b"")
    assert "was answered" in rejected("nonce", party, answer).problem


def test_an_answer_that_was_rejected_has_used_its_nonce_too(clock: Clock) -> None:
    party = relying_party(clock)
    answer = attester(clock).answer(party.challenge(), b"")
    rejected("report-data", party, answer, EXPORTER)
    rejected("nonce", party, answer)


def test_an_answer_to_somebody_elses_challenge_is_rejected(clock: Clock) -> None:
    """Two relying parties, one attester: what one was told, nobody can tell the other. So is it after a restart."""
    one, two = relying_party(clock), relying_party(clock)
    rejected("nonce", two, attester(clock).answer(one.challenge(), b""))


def test_an_answer_that_comes_too_late_is_rejected(clock: Clock) -> None:
    party = relying_party(clock, answer_seconds=10)
    answer = attester(clock).answer(party.challenge(), b"")
    clock.forward(10)
    assert "too late" in rejected("nonce", party, answer).problem


def test_old_evidence_under_a_new_nonce_is_rejected(clock: Clock) -> None:
    party = relying_party(clock)
    old = Attestation.decode(attester(clock).answer(party.challenge(), b""))
    replayed = EvidenceSet.decode(old.evidence).primary
    rejected("report-data", party, attester(clock, collector=Replaying(replayed)).answer(party.challenge(), b""))


def test_one_of_many_threads_wins_with_the_same_answer(clock: Clock) -> None:
    party = relying_party(clock)
    answer = attester(clock).answer(party.challenge(), b"")
    outcomes: list[str] = []
    start = threading.Barrier(8)

    def one() -> None:
        start.wait(10)
        try:
            party.accept(answer, b"")
            outcomes.append("accepted")
        except EvidenceRejected as refused:
            outcomes.append(refused.check)

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes) == ["accepted"] + ["nonce"] * 7


def test_challenges_that_nobody_answers_take_bounded_room(clock: Clock) -> None:
    party = relying_party(clock)
    oldest, *_ = [party.challenge() for _ in range(MOST_CHALLENGES)]
    newest = party.challenge()
    party.accept(attester(clock).answer(newest, b""), b"")
    rejected("nonce", party, attester(clock).answer(oldest, b""))


def test_a_generator_that_repeats_itself_is_noticed(clock: Clock) -> None:
    party = relying_party(clock, random=bytes)
    party.challenge()
    with pytest.raises(CallerError, match="repeats itself"):
        party.challenge()


# ----------------------------------------------------------------------------------------- keys, purpose and channel


def test_evidence_of_another_keyset_is_rejected(clock: Clock) -> None:
    """The relay: honest evidence beside keys of one's own."""
    party = relying_party(clock)
    honest = Attestation.decode(attester(clock).answer(party.challenge(), b""))
    stolen = replace(honest, keyset=keyset(sealing=b"\x64\x7a\x00\x01\x00\x02" + b"m" * 1216))
    rejected("report-data", party, stolen.encode())


@pytest.mark.parametrize("change", [{"expires": keyset().expires + 1}, {"tls": TLS}, {"receipt": b"r" * 44}])
def test_every_part_of_the_keyset_counts(clock: Clock, change: dict[str, Any]) -> None:
    party = relying_party(clock)
    honest = Attestation.decode(attester(clock).answer(party.challenge(), b""))
    rejected("report-data", party, replace(honest, keyset=replace(honest.keyset, **change)).encode())


def test_evidence_for_another_purpose_is_rejected(clock: Clock) -> None:
    """The challenge is passed on under another purpose, for which the attester does give evidence."""
    party, both = relying_party(clock), attester(clock, purposes=[PURPOSE, OTHER_PURPOSE])
    nonce = Challenge.decode(party.challenge()).nonce
    rejected("report-data", party, both.answer(Challenge(nonce, OTHER_PURPOSE).encode(), b""))


def test_an_attester_gives_evidence_for_its_own_purposes_only(clock: Clock) -> None:
    machine = SnpMachine()
    with pytest.raises(MessageRefused, match="for the purpose 'round key', for which there is none"):
        attester(clock, purposes=[OTHER_PURPOSE], collector=machine).answer(relying_party(clock).challenge(), b"")
    assert machine.asked == []


@pytest.mark.parametrize(
    ("made", "expected"), [(EXPORTER, b""), (b"", EXPORTER), (EXPORTER, b"\x0f" * 32)], ids=["off", "on", "other"]
)
def test_evidence_of_another_channel_is_rejected(clock: Clock, made: bytes, expected: bytes) -> None:
    party = relying_party(clock)
    rejected("report-data", party, attester(clock).answer(party.challenge(), made), expected)


def test_a_keyset_that_names_another_tls_key_is_rejected(clock: Clock) -> None:
    party, other = relying_party(clock), attester(clock, keyset(tls=TLS))
    party.accept(other.answer(party.challenge(), EXPORTER), EXPORTER, peer_key=TLS)
    rejected("tls-key", party, other.answer(party.challenge(), EXPORTER), EXPORTER, peer_key=b"\x12" * 32)
    rejected("tls-key", party, other.answer(party.challenge(), EXPORTER), EXPORTER)


# --------------------------------------------------------------------------------------------------------- evidence


def test_evidence_of_another_machine_is_rejected(clock: Clock) -> None:
    party = relying_party(clock)
    other = attester(clock, collector=SnpMachine(measurement=bytes(48)))
    rejected("accepted-measurement", party, other.answer(party.challenge(), b""))


def test_evidence_of_another_kind_is_rejected(clock: Clock) -> None:
    """A quote of a TPM that holds in every way, and is bound to all that it should be: the policy names no TPMs."""

    class Tpm:
        kind = "tpm"

        def collect(self, report_data: bytes) -> Evidence:
            return tpm_quotes.Made(nonce=report_data).evidence()

    party = relying_party(clock, collateral=Collateral(keys=(tpm_quotes.Made().spki,)))
    rejected("kind", party, attester(clock, collector=Tpm()).answer(party.challenge(), b""))


def test_a_kind_that_the_policy_does_not_name_reaches_no_parser(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*given: object) -> None:
        raise AssertionError("was read")

    monkeypatch.setitem(verifiers.VERIFIERS, "tdx", read)  # type: ignore[arg-type]
    party = relying_party(clock)
    other = attester(clock, collector=Replaying(Evidence("tdx", b"anything")))
    assert "sev-snp" in rejected("kind", party, other.answer(party.challenge(), b"")).hint


def test_evidence_that_calls_itself_another_kind_is_rejected(clock: Clock) -> None:
    party = relying_party(clock)
    honest = Attestation.decode(attester(clock).answer(party.challenge(), b""))
    report = EvidenceSet.decode(honest.evidence).primary.report
    renamed = EvidenceSet(Evidence("tpm", report), ()).encode()
    rejected("kind", party, replace(honest, evidence=renamed).encode())


def test_every_bit_of_a_report_counts(clock: Clock) -> None:
    party = relying_party(clock)
    for position in range(0, 0x4A0 * 8, 97):
        honest = Attestation.decode(attester(clock).answer(party.challenge(), b""))
        said = EvidenceSet.decode(honest.evidence)
        report = bytearray(said.primary.report)
        report[position // 8] ^= 1 << position % 8
        altered = EvidenceSet(replace(said.primary, report=bytes(report)), ())
        with pytest.raises(EvidenceRejected):
            party.accept(replace(honest, evidence=altered.encode()).encode(), b"")


@given(st.binary(max_size=200))
def test_other_bytes_are_no_answer(data: bytes) -> None:
    rejected("format", relying_party(Clock()), data)


@given(st.binary(max_size=200))
def test_other_bytes_are_no_challenge(data: bytes) -> None:
    with pytest.raises(MessageRefused):
        attester(Clock()).answer(data, b"")


@pytest.mark.parametrize(("nonce", "purpose"), [(b"n" * 31, PURPOSE), (b"n" * 32, ""), (b"n" * 32, "a\nb")])
def test_challenges_with_other_fields_are_refused(clock: Clock, nonce: bytes, purpose: str) -> None:
    with pytest.raises(MessageRefused):
        attester(clock).answer(reference.challenge(nonce, purpose), b"")


@pytest.mark.parametrize("evidence", [b"", b"evidence", attesting.evidence().encode()], ids=["empty", "text", "bare"])
def test_an_answer_without_a_set_of_evidence_is_rejected(clock: Clock, evidence: bytes) -> None:
    party = relying_party(clock)
    honest = Attestation.decode(attester(clock).answer(party.challenge(), b""))
    rejected("format", party, replace(honest, evidence=evidence).encode())


# ---------------------------------------------------------------------------------------------------- time, rotation


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"expires": moment(attesting.AT)}, "expired on 2026-06-01"),
        ({"not_before": moment(attesting.AT) + 1}, "before"),
    ],
)
def test_keysets_outside_their_dates_are_rejected(clock: Clock, change: dict[str, int], problem: str) -> None:
    party, slow = relying_party(clock), Clock()
    slow.now = attesting.AT + timedelta(seconds=30 if "not_before" in change else -30)
    answer = attester(slow, keyset(**change)).answer(party.challenge(), b"")
    assert problem in rejected("keyset-validity", party, answer).problem


def test_an_attester_does_not_answer_for_an_expired_keyset(clock: Clock) -> None:
    other = attester(clock)
    clock.forward(86400)
    with pytest.raises(HostError, match="expired on 2026-06-02"):
        other.answer(relying_party(clock).challenge(), b"")


def test_what_was_accepted_ends_with_its_life(clock: Clock) -> None:
    party = relying_party(clock, life_seconds=100)
    accepted = party.accept(attester(clock).answer(party.challenge(), b""), b"")
    clock.forward(99)
    accepted.require_current(clock())
    clock.forward(1)
    with pytest.raises(EvidenceRejected, match="was good until 2026-06-01 00:01:40") as refused:
        accepted.require_current(clock())
    assert refused.value.check == "attestation-validity"


def test_what_was_accepted_ends_with_the_keyset(clock: Clock) -> None:
    party = relying_party(clock, life_seconds=10**6)
    accepted = party.accept(attester(clock).answer(party.challenge(), b""), b"")
    assert moment(accepted.expires) == accepted.keyset.expires


def test_a_tls_key_is_recognised_while_its_attestation_lives(clock: Clock) -> None:
    party = relying_party(clock, life_seconds=100)
    accepted = party.accept(
        attester(clock, keyset(tls=TLS)).answer(party.challenge(), EXPORTER), EXPORTER, peer_key=TLS
    )
    assert party.recognise(TLS) is accepted
    clock.forward(100)
    with pytest.raises(EvidenceRejected, match="was good until"):
        party.recognise(TLS)


@pytest.mark.parametrize("key", [b"", b"\x12" * 32])
def test_other_tls_keys_are_not_recognised(clock: Clock, key: bytes) -> None:
    party = relying_party(clock)
    party.accept(attester(clock).answer(party.challenge(), b""), b"")
    party.accept(attester(clock, keyset(tls=TLS)).answer(party.challenge(), EXPORTER), EXPORTER, peer_key=TLS)
    with pytest.raises(EvidenceRejected, match="nothing has been accepted") as refused:
        party.recognise(key)
    assert refused.value.check == "attestation-validity"


def test_rejected_answers_make_nobody_recognised(clock: Clock) -> None:
    party = relying_party(clock)
    other = attester(clock, keyset(tls=TLS), collector=SnpMachine(policy=attesting.POLICY | attesting.DEBUG))
    rejected("refused-debug", party, other.answer(party.challenge(), EXPORTER), EXPORTER, peer_key=TLS)
    with pytest.raises(EvidenceRejected, match="nothing has been accepted"):
        party.recognise(TLS)


def test_a_new_keyset_replaces_the_old_and_both_are_forgotten_on_request(clock: Clock) -> None:
    party, other = relying_party(clock), attester(clock, keyset(tls=TLS))
    old = party.accept(other.answer(party.challenge(), EXPORTER), EXPORTER, peer_key=TLS)
    other.rotate(keyset(tls=TLS, sealing=b"\x64\x7a\x00\x01\x00\x02" + b"m" * 1216))
    new = party.accept(other.answer(party.challenge(), EXPORTER), EXPORTER, peer_key=TLS)
    assert new.keyset == other.keyset != old.keyset
    assert party.recognise(TLS) is new
    party.forget(old.keyset)
    assert party.recognise(TLS) is new
    party.forget(new.keyset)
    with pytest.raises(EvidenceRejected, match="nothing has been accepted"):
        party.recognise(TLS)


def test_who_is_remembered_takes_bounded_room(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quatrefoil.attested.relying_party.MOST_ACCEPTED", 3)
    party = relying_party(clock)
    for number in range(4):
        key = bytes([number]) * 32
        answer = attester(clock, keyset(tls=key)).answer(party.challenge(), EXPORTER)
        party.accept(answer, EXPORTER, peer_key=key)
        clock.forward(1)
    assert MOST_ACCEPTED > 3
    with pytest.raises(EvidenceRejected):
        party.recognise(bytes(32))
    for number in range(1, 4):
        party.recognise(bytes([number]) * 32)


# -------------------------------------------------------------------------------------------------------- callers


@pytest.mark.parametrize(
    "change",
    [
        {"answer_seconds": 0},
        {"life_seconds": -1},
        {"life_seconds": float("inf")},
        {"life_seconds": float("nan")},
        {"purpose": ""},
    ],
)
def test_relying_parties_that_are_none_are_refused(clock: Clock, change: dict[str, Any]) -> None:
    with pytest.raises(CallerError):
        relying_party(clock, **change)


@pytest.mark.parametrize("purposes", [[], "round key", ["a\n"]])
def test_attesters_without_purposes_are_refused(clock: Clock, purposes: Any) -> None:
    with pytest.raises(CallerError, match="purpose"):
        attester(clock, purposes=purposes)


def test_attesters_with_a_device_for_a_machine_are_refused(clock: Clock) -> None:
    class Gpu(SnpMachine):
        kind = "nvidia-cc"

    for collector, devices in ((Gpu(), []), (SnpMachine(), [SnpMachine()])):
        with pytest.raises(CallerError, match="not of a machine and of devices"):
            Attester(keyset(), collector, devices=devices, purposes=[PURPOSE], clock=clock)
