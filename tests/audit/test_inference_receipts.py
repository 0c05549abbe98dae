"""Inference receipts: what verifies, and everything that does not."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta
from itertools import pairwise

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, mldsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

import made_inferences as made
from identities import START
from quatrefoil.audit import cose, serving_log
from quatrefoil.audit.inference_histories import Histories, require_one_history
from quatrefoil.audit.inference_receipts import (
    LONGEST_ANSWER,
    MEDIA_TYPE,
    AnswerCommitment,
    Expected,
    InferenceReceipt,
    commit_answer,
    commit_request,
    read,
    sign,
    verify,
    verify_against,
)
from quatrefoil.enclave.binding import Keyset
from quatrefoil.errors import CallerError, EvidenceRejected, MessageRefused
from quatrefoil.exchange import protocol

KEYSET = made.keyset()
RECEIPT = made.receipt(inputs=b"i" * 32, outputs=b"u" * 32)
SIGNED = sign(RECEIPT, made.key())
EXPECTED = Expected(
    issuer="ward",
    model=made.MODEL,
    commitment=made.COMMITMENT,
    measurement="tpm.pcr0=01",
    policy=made.POLICY,
    plan=made.PLAN,
    request=made.REQUEST,
    answer=made.ANSWER,
    status=200,
    complete=True,
    begun=START,
    ended=START + timedelta(seconds=1),
)


def refused(encoded: bytes, check: str, keyset: Keyset = KEYSET) -> str:
    with pytest.raises(EvidenceRejected) as told:
        verify(encoded, keyset)
    assert told.value.check == check
    return told.value.problem


def test_a_signed_receipt_is_what_was_said() -> None:
    assert verify(SIGNED, KEYSET) == RECEIPT == read(SIGNED)
    assert verify_against(SIGNED, KEYSET, EXPECTED) == RECEIPT
    assert len(SIGNED) < 3400, "it fits a field of HTTP in base64"


def test_the_purpose_is_that_of_the_exchange() -> None:
    assert serving_log.PURPOSE == protocol.PURPOSE


# ------------------------------------------------------------------------------------------------------------ forgeries


def test_another_key_does_not_sign_for_a_keyset() -> None:
    """Without this, anybody could hand out receipts in the name of attested code."""
    assert "no signature of this ML-DSA-44 key" in refused(sign(RECEIPT, made.key(1)), "form")


def test_a_receipt_of_another_keyset_is_refused_whoever_signs_it() -> None:
    """Without this, a receipt under an old keyset, of other code, would pass for one of the accepted keyset."""
    other = replace(made.keyset(), expires=made.keyset().expires + 1)
    assert "another keyset" in refused(SIGNED, "keyset", other)


@given(position=st.integers(0, len(SIGNED) - 1), bit=st.integers(0, 7))
def test_no_bit_can_be_altered(position: int, bit: int) -> None:
    changed = bytearray(SIGNED)
    changed[position] ^= 1 << bit
    with pytest.raises(EvidenceRejected):
        verify(bytes(changed), KEYSET)


@pytest.mark.parametrize("name", [field.name for field in fields(InferenceReceipt)])
def test_no_field_can_be_exchanged_under_a_signature(name: str) -> None:
    value = getattr(RECEIPT, name)
    other = {
        str: lambda: value + "x",
        bytes: lambda: b"o" * 32,
        bool: lambda: not value,
        int: lambda: value + 1,
    }[type(value)]()
    forged = replace(cose.Sign1.decode(SIGNED, understood=()), payload=replace(RECEIPT, **{name: other}).encode())
    refused(forged.encode(), "form")


@pytest.mark.parametrize("cut", [0, 1, 50, len(SIGNED) - 1])
def test_a_part_of_a_receipt_is_none(cut: int) -> None:
    refused(SIGNED[:cut], "form")
    refused(SIGNED + b"\0", "form")


def test_what_is_signed_as_something_else_is_no_receipt() -> None:
    """Without the type, the ending of a keyset, or what a later program signs with the key, could be shown as one."""
    for header in ({cose.TYPE: serving_log.ENDED_TYPE}, {}, {cose.TYPE: MEDIA_TYPE, 4: b"kid"}):
        other = cose.sign(RECEIPT.encode(), made.key(), header=header, attached=True)
        assert "other headers" in refused(other.encode(), "form")
    told = cose.Sign1.decode(SIGNED, understood=())
    assert "other headers" in refused(replace(told, unprotected={4: b"kid"}).encode(), "form")


def test_the_payload_is_inside() -> None:
    told = cose.Sign1.decode(SIGNED, understood=())
    refused(replace(told, payload=None).encode(), "form")


@pytest.mark.parametrize(
    "spki",
    [
        b"",
        b"no key",
        ed25519.Ed25519PrivateKey.generate().public_key(),
        mldsa.MLDSA65PrivateKey.generate().public_key(),
    ],
    ids=["none", "garbage", "Ed25519", "ML-DSA-65"],
)
def test_a_keyset_without_a_key_for_receipts_verifies_none(spki) -> None:
    encoded = spki if isinstance(spki, bytes) else spki.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert "no ML-DSA-44 key" in refused(SIGNED, "keyset", replace(KEYSET, receipt=encoded, tls=b"t" * 32))


@pytest.mark.parametrize(
    "time", [KEYSET.not_before * 1000 - 1, KEYSET.expires * 1000 + int(LONGEST_ANSWER.total_seconds() * 1000)]
)
def test_a_keyset_signs_nothing_outside_of_its_time(time: int) -> None:
    """Without this, a key that was taken out after its end would sign receipts for ever."""
    refused(sign(replace(RECEIPT, time=time), made.key()), "time")
    inside = time + 1 if time < KEYSET.expires * 1000 else time - 1
    assert verify(sign(replace(RECEIPT, time=inside), made.key()), KEYSET).time == inside


@pytest.mark.parametrize(
    "changes",
    [
        {"keyset": b"k"},
        {"previous": b""},
        {"model": b"m" * 31},
        {"policy": b""},
        {"plan": b"p"},
        {"request": b""},
        {"answer": b"a" * 64},
        {"issuer": ""},
        {"issuer": "x" * 256},
        {"measurement": "tpm.pcr0=01, sev"},
        {"measurement": "\n"},
        {"measurement": "é"},
        {"measurement": "x" * 2049},
        {"status": 199},
        {"status": 600},
        {"time": 1 << 62},
        {"sequence": 1 << 63},
    ],
    ids=str,
)
def test_a_malformed_receipt_is_none(changes: dict[str, object]) -> None:
    with pytest.raises(MessageRefused, match="an inference receipt has"):
        made.receipt(**changes)


def test_another_version_is_refused_and_not_guessed_at() -> None:
    """A later version may commit to more: a reader of this one must not take it for this one."""
    value = [InferenceReceipt.TYPE, 4, [getattr(RECEIPT, field.name) for field in fields(RECEIPT)]]
    later = cose.sign(cose.encode(value), made.key(), header={cose.TYPE: MEDIA_TYPE}, attached=True).encode()
    assert "version 4 is not 3" in refused(later, "form")


# ----------------------------------------------------------------------------------------------------- of this exchange


@pytest.mark.parametrize(
    ("check", "value"),
    [
        ("issuer", "other"),
        ("model", b"o" * 32),
        ("commitment", b"o" * 32),
        ("commitment", b""),
        ("measurement", "tpm.pcr0=02"),
        ("policy", b"o" * 32),
        ("plan", b"o" * 32),
        ("request", commit_request(made.SALT, made.METHOD, made.PATH, b"another request")),
        ("answer", commit_answer(made.SALT, 200, b"another answer")),
        ("status", 500),
        ("complete", False),
    ],
)
def test_a_receipt_of_another_exchange_is_refused(check: str, value: object) -> None:
    with pytest.raises(EvidenceRejected) as told:
        verify_against(SIGNED, KEYSET, replace(EXPECTED, **{check: value}))
    assert told.value.check == check


@pytest.mark.parametrize("late", [timedelta(hours=1), timedelta(hours=-1)])
def test_an_old_receipt_is_refused(late: timedelta) -> None:
    """Without this, an answer that was recorded could be given again to whoever asks the same under the same salt."""
    with pytest.raises(EvidenceRejected, match="not of the time of this exchange") as told:
        verify_against(SIGNED, KEYSET, replace(EXPECTED, begun=START + late, ended=START + late))
    assert told.value.check == "time"


def test_a_stream_that_was_cut_is_not_shown_as_whole() -> None:
    """The server said that the answer broke off; whoever cut the trailer away, or says it was complete, is refused."""
    begun = AnswerCommitment(made.SALT, 200)
    begun.update(made.ANSWERED[:5])
    cut = sign(replace(RECEIPT, complete=False, answer=begun.digest()), made.key())
    with pytest.raises(EvidenceRejected) as told:
        verify_against(cut, KEYSET, replace(EXPECTED, answer=begun.digest()))
    assert told.value.check == "complete"
    with pytest.raises(EvidenceRejected) as told:
        verify_against(SIGNED, KEYSET, replace(EXPECTED, answer=begun.digest()))
    assert told.value.check == "answer"


# ---------------------------------------------------------------------------------------------------------- commitments


@given(content=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200), max_size=5))
def test_how_an_answer_is_cut_does_not_count(content: bytes, cuts: list[int]) -> None:
    commitment = AnswerCommitment(made.SALT, 200)
    places = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
    for start, end in pairwise(places):
        commitment.update(memoryview(content)[start:end])
    assert commitment.digest() == commit_answer(made.SALT, 200, content) == commitment.digest()


Parts = st.tuples(st.binary(max_size=6), st.binary(max_size=6), st.binary(max_size=6))


@given(one=Parts, other=Parts)
def test_two_requests_have_two_commitments(one: tuple[bytes, ...], other: tuple[bytes, ...]) -> None:
    """Where a path ends and content begins cannot be moved."""
    assert (commit_request(made.SALT, *one) == commit_request(made.SALT, *other)) == (one == other)


def test_a_commitment_is_to_one_thing_under_one_salt() -> None:
    found = {
        commit_request(made.SALT, b"", b"", b""),
        commit_request(b"s" * 32, b"", b"", b""),
        commit_answer(made.SALT, 200, b""),
        commit_answer(made.SALT, 201, b""),
        commit_answer(b"s" * 32, 200, b""),
        made.REQUEST,
        made.ANSWER,
    }
    assert len(found) == 7


@pytest.mark.parametrize("salt", [b"", b"s" * 31, b"s" * 33])
def test_a_salt_has_32_bytes(salt: bytes) -> None:
    with pytest.raises(CallerError, match="a salt has 32 bytes"):
        commit_request(salt, b"GET", b"/", b"")
    with pytest.raises(CallerError, match="a salt has 32 bytes"):
        AnswerCommitment(salt, 200)


@pytest.mark.parametrize("status", [0, 103, 600])
def test_an_answer_has_a_final_status(status: int) -> None:
    with pytest.raises(CallerError, match="no status of an answer"):
        AnswerCommitment(made.SALT, status)


# ---------------------------------------------------------------------------------------------------------- one history

FIRST = RECEIPT
SECOND = made.receipt(sequence=1, previous=FIRST.digest(), time=FIRST.time + 5)
THIRD = made.receipt(sequence=2, previous=SECOND.digest(), time=FIRST.time + 9)


def test_receipts_of_one_chain_agree() -> None:
    require_one_history([THIRD, FIRST, SECOND, FIRST, made.receipt(1)])
    require_one_history([])
    for order in ([FIRST, SECOND, THIRD], [THIRD, FIRST, SECOND], [SECOND, THIRD]):
        histories = Histories()
        for one in order:
            histories.take(one)


CONTRADICTIONS = [
    ([FIRST, replace(FIRST, answer=b"o" * 32)], "number 0 stands on two different receipts"),
    ([FIRST, replace(SECOND, previous=b"o" * 32)], "number 1 names another receipt before it"),
    ([replace(SECOND, status=500), THIRD], "number 2 names another receipt before it"),
    ([SECOND, replace(FIRST, time=SECOND.time + 1)], "names another receipt before it"),
    ([FIRST, replace(THIRD, time=FIRST.time - 1)], "number 2 is of an earlier time than number 0"),
]


@pytest.mark.parametrize(("receipts", "problem"), CONTRADICTIONS, ids=[one[1] for one in CONTRADICTIONS])
def test_a_number_that_is_used_twice_proves_two_histories(receipts: list[InferenceReceipt], problem: str) -> None:
    """Without this a server could give one client one history, and another history to the auditor."""
    for order in (receipts, receipts[::-1]):
        with pytest.raises(EvidenceRejected, match=problem) as told:
            require_one_history(order)
        assert told.value.check == "history" and told.value.party == "ward"


@pytest.mark.parametrize(("receipts", "problem"), CONTRADICTIONS[:4], ids=[one[1] for one in CONTRADICTIONS[:4]])
def test_a_client_notices_it_by_what_it_was_given(receipts: list[InferenceReceipt], problem: str) -> None:
    for order in (receipts, receipts[::-1]):
        histories = Histories()
        histories.take(order[0])
        with pytest.raises(EvidenceRejected, match=problem):
            histories.take(order[1])


def test_one_receipt_is_not_given_for_two_answers() -> None:
    histories = Histories()
    histories.take(FIRST)
    with pytest.raises(EvidenceRejected, match="was given for another answer before"):
        histories.take(FIRST)
