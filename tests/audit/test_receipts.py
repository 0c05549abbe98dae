"""A receipt that verifies says what its issuer said; everything else is refused, and says why."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509 import ReasonFlags
from hypothesis import given, settings
from hypothesis import strategies as st
from made_receipts import (
    ATTEMPT,
    CLASSICAL,
    HUB,
    SILOS,
    TRUST,
    alone,
    batch,
    checked,
    digest,
    said,
    with_header,
    with_proof,
    with_signature,
)

from identities import START, STRANGER, TRUSTED, consortium, identity, speaking_as
from quatrefoil.audit import cose
from quatrefoil.audit.receipts import (
    ABSENT,
    INCLUDED,
    MEDIA_TYPE,
    REFUSED,
    VERDICTS,
    VOIDED,
    Receipt,
    ReceiptBatch,
    RoundReceipt,
    issue_batch,
)
from quatrefoil.audit.verified_receipts import require_agreement
from quatrefoil.errors import CallerError, EvidenceRejected, MessageRefused
from quatrefoil.transport import TrustAnchor
from quatrefoil.transport.revocation import Revoked
from support import clock_at
from world import RECEIPT_KEY

BATCH = batch()
TWICE = batch(classical=RECEIPT_KEY)
RECEIPT = BATCH.receipt(1)


def refused(encoded: bytes, problem: str, check: str | None = None, **how: Any) -> EvidenceRejected:
    with pytest.raises(EvidenceRejected, match=problem) as refusal:
        checked(encoded, **how)
    assert refusal.value.hint and (check is None or refusal.value.check == check)
    return refusal.value


# ------------------------------------------------------------------------------------------------------------ accepted


def test_every_silo_of_an_attempt_has_one() -> None:
    for index, payload in enumerate(ATTEMPT):
        encoded = BATCH.receipt(index)
        found = checked(encoded)
        assert (found.payload, found.size, found.index, found.root) == (payload, len(ATTEMPT), index, BATCH.root)
        assert (found.issuer.signer, found.issuer.role, found.issuer.fingerprint) == (
            "hub",
            "aggregator",
            HUB.fingerprint,
        )
        assert found.algorithms == ("ML-DSA-65",)
        assert Receipt.decode(encoded).digest() == found.digest


def test_two_signatures_where_the_policy_asks_for_both() -> None:
    assert checked(TWICE.receipt(0), classical=CLASSICAL).algorithms == ("ML-DSA-65", "Ed25519")


def test_one_by_itself() -> None:
    for key, public in ((None, None), (RECEIPT_KEY, CLASSICAL)):
        found = checked(alone(said("ambon"), key), classical=public)
        assert (found.payload, found.size, found.index, found.root) == (said("ambon", receipts=1), 1, 0, b"")


def test_a_batch_that_was_kept_gives_the_same_bytes() -> None:
    kept = ReceiptBatch.decode(TWICE.encode())
    assert [kept.receipt(index) for index in range(3)] == [TWICE.receipt(index) for index in range(3)]


@pytest.mark.parametrize("size", [2, 3, 4, 5, 7, 8, 9, 33])
def test_batches_of_every_shape(size: int) -> None:
    many = batch([said(f"silo-{number:02}") for number in range(size)])
    for index in {0, 1, size // 2, size - 2, size - 1}:
        assert checked(many.receipt(index)).index == index


def test_the_form_is_that_of_cose_receipts() -> None:
    """RFC 9942: the kind of tree is protected, proofs of inclusion are not, the payload is detached."""
    message = cose.Sign1.decode(Receipt.decode(RECEIPT).signatures[0], understood=())
    assert dict(message.header) == {1: -49, 16: MEDIA_TYPE, 34: [-16, HUB.fingerprint], 395: 1}
    size, index, path = cose.decode(message.unprotected[396][-1][0], "proof")
    assert (size, index, len(path), message.payload) == (3, 1, 2, None)
    assert message.unprotected[33] == HUB.certificate_der


texts = st.text(max_size=20)
digests = st.binary(min_size=32, max_size=32)


@settings(max_examples=25)
@given(st.lists(st.tuples(st.sampled_from(VERDICTS), digests, texts), min_size=2, max_size=9), st.booleans(), digests)
def test_whatever_is_said_reads_back(told: list[tuple[str, bytes, str]], ended: bool, other: bytes) -> None:
    """``ended``: with a result; a void has none, and includes nobody."""
    receipts = []
    for number, (drawn, arrived, reason) in enumerate(told):
        wrong = VOIDED if ended else INCLUDED
        verdict = REFUSED if drawn == wrong else drawn
        receipts.append(
            said(
                f"silo-{number}",
                verdict,
                contribution=b"" if verdict == ABSENT else arrived,
                reason=reason + "." if verdict in (REFUSED, VOIDED) else "",
                result=other if ended else b"",
                ending=other,
                receipts=len(told),
            )
        )
    issued = batch(receipts)
    assert [checked(issued.receipt(index)).payload for index in range(len(receipts))] == [
        replace(one, receipts=len(receipts)) for one in receipts
    ]


# ------------------------------------------------------------------------------------------------- every change refused


def test_one_turned_bit_is_refused_wherever_it_is() -> None:
    """All over a receipt: its payload, certificate, proof, headers and signature."""
    for at in range(0, len(RECEIPT), 9):
        changed = bytearray(RECEIPT)
        changed[at] ^= 1 << at % 8
        with pytest.raises(EvidenceRejected):
            checked(bytes(changed))


def test_every_bit_outside_of_certificate_and_signature_counts() -> None:
    signature = cose.Sign1.decode(Receipt.decode(RECEIPT).signatures[0], understood=()).signature
    certificate, signed = RECEIPT.index(HUB.certificate_der), RECEIPT.index(signature)
    spans = (range(certificate, certificate + len(HUB.certificate_der)), range(signed, signed + len(signature)))
    for at in range(len(RECEIPT)):
        if any(at in span for span in spans):
            continue
        for bit in range(8):
            changed = bytearray(RECEIPT)
            changed[at] ^= 1 << bit
            with pytest.raises(EvidenceRejected):
                checked(bytes(changed))


@pytest.mark.parametrize("cut", [0, 1, 100, len(RECEIPT) // 2, len(RECEIPT) - 1])
def test_cut_off_or_longer_is_refused(cut: int) -> None:
    refused(RECEIPT[:cut], "not well-formed", "form")
    refused(RECEIPT + RECEIPT[:cut] + b"\x00", "not well-formed|after its end", "form")


OTHER_VALUES: dict[str, Any] = {
    "issuer": "other-hub", "time": int(START.timestamp()) - 60, "round": 8, "attempt": 0, "silo": "dakar",
    "verdict": VOIDED, "reason": "another reason", "receipts": 4,
}  # fmt: skip


@pytest.mark.parametrize("name", [field.name for field in fields(RoundReceipt)])
def test_no_field_can_be_exchanged(name: str) -> None:
    receipt = Receipt.decode(RECEIPT)
    changes = {name: OTHER_VALUES.get(name, digest("another"))} | ({"result": b""} if name == "verdict" else {})
    payload = replace(RoundReceipt.decode(receipt.payload), **changes)
    refused(replace(receipt, payload=payload.encode()).encode(), "does not fit|its batch has 4, and its proof 3")


def test_what_was_said_of_another_silo_is_not_said_of_this_one() -> None:
    receipts = [Receipt.decode(BATCH.receipt(index)) for index in range(3)]
    refused(replace(receipts[1], payload=receipts[0].payload).encode(), "does not fit", "signature")
    refused(replace(receipts[0], signatures=receipts[1].signatures).encode(), "does not fit", "signature")


def test_a_receipt_of_another_round_does_not_take_this_batch() -> None:
    later = batch([replace(one, round=8) for one in ATTEMPT])
    mine, other = Receipt.decode(RECEIPT), Receipt.decode(later.receipt(1))
    refused(replace(mine, payload=other.payload).encode(), "does not fit")
    refused(replace(other, signatures=mine.signatures).encode(), "does not fit")


# ------------------------------------------------------------------------------------------------------------ the proof

PROOFS: dict[str, tuple[Any, str]] = {
    "a larger tree": (lambda p: [p[0] + 1, p[1], p[2]], "its batch has 3, and its proof 4"),
    "a tree of a power of two more": (lambda p: [p[0] + 4, p[1], p[2]], "its batch has 3, and its proof 7"),
    "a smaller tree": (lambda p: [p[0] - 1, p[1], p[2]], "its batch has 3, and its proof 2"),
    "another index": (lambda p: [p[0], 0, p[2]], "does not fit"),
    "an index outside of the tree": (lambda p: [p[0], p[0], p[2]], "cannot be in a tree"),
    "a negative index": (lambda p: [p[0], -1, p[2]], "cannot be in a tree"),
    "an index that is true": (lambda p: [p[0], True, p[2]], "proof of inclusion that is none"),
    "a tree of one": (lambda p: [1, 0, []], "inclusion for itself alone"),
    "a tree of none": (lambda p: [0, 0, []], "inclusion for itself alone"),
    "a tree without end": (lambda p: [1 << 60, p[1], p[2]], "its batch has 3, and its proof 1152921504606846976"),
    "a path that is turned round": (lambda p: [p[0], p[1], p[2][::-1]], "does not fit"),
    "a path that is too short": (lambda p: [p[0], p[1], p[2][:-1]], "ends before the root"),
    "a path that is too long": (lambda p: [p[0], p[1], [*p[2], bytes(32)]], "left over"),
    "no path": (lambda p: [p[0], p[1], []], "ends before the root"),
    "a hash that is too short": (lambda p: [p[0], p[1], [p[2][0][:-1], p[2][1]]], "does not have 32 bytes"),
    "a hash that is text": (lambda p: [p[0], p[1], ["x", p[2][1]]], "proof of inclusion that is none"),
    "two parts": (lambda p: p[:2], "proof of inclusion that is none"),
    "four parts": (lambda p: [*p, 0], "proof of inclusion that is none"),
    "a map": (lambda p: {1: p[0]}, "proof of inclusion that is none"),
    "a path that is a map": (lambda p: [p[0], p[1], {}], "proof of inclusion that is none"),
    "a number": (lambda p: 7, "proof of inclusion that is none"),
}


@pytest.mark.parametrize(("change", "problem"), PROOFS.values(), ids=PROOFS)
def test_another_proof_of_inclusion_is_refused(change: Any, problem: str) -> None:
    refused(with_proof(RECEIPT, change), problem)


HEADERS: dict[str, tuple[dict[str, Any], str]] = {
    "one more": ({"L100": "added"}, "other unprotected headers"),
    "another receipt inside": ({"L394": [b""]}, "other unprotected headers"),
    "a key identifier": ({"L4": b"hub"}, "other unprotected headers"),
    "no certificate": ({"L33": None}, "other unprotected headers"),
    "two certificates": ({"L33": [HUB.certificate_der, HUB.certificate_der]}, "exactly one certificate"),
    "no proofs": ({"L396": None}, "other unprotected headers"),
    "proofs that are a list": ({"L396": [-1]}, "exactly one proof of inclusion"),
    "a proof of consistency": ({"L396": {-2: [b""]}}, "exactly one proof of inclusion"),
    "both kinds of proof": ({"L396": {-1: [b""], -2: [b""]}}, "exactly one proof of inclusion"),
    "two proofs": ({"L396": {-1: [b"", b""]}}, "exactly one proof of inclusion"),
    "no proof in the list": ({"L396": {-1: []}}, "exactly one proof of inclusion"),
    "a proof that is no bytes": ({"L396": {-1: [[3, 1, []]]}}, "exactly one proof of inclusion"),
    "a proof that is no CBOR": ({"L396": {-1: [b"\xff"]}}, "not well-formed"),
    "a proof in a longer form": ({"L396": {-1: [b"\x83\x18\x03\x01\x80"]}}, "deterministic form"),
}


@pytest.mark.parametrize(("labels", "problem"), HEADERS.values(), ids=HEADERS)
def test_unprotected_headers_are_held_to_what_is_signed(labels: dict[str, Any], problem: str) -> None:
    refused(with_header(RECEIPT, **labels), problem)


def test_a_payload_is_detached() -> None:
    attached = with_signature(RECEIPT, lambda message: replace(message, payload=BATCH.root))
    refused(attached, "brings a payload where it is to have none", "form")
    single = alone(said("ambon"))
    refused(
        with_signature(single, lambda message: replace(message, payload=said("ambon").encode())), "brings a payload"
    )


# ---------------------------------------------------------------------------------------------------------- who signed


def signed_otherwise(header: dict[Any, Any], payload: bytes = BATCH.root) -> bytes:
    """The receipt with a signature by the right key, over the right thing, under other protected headers."""

    def change(message: cose.Sign1) -> cose.Sign1:
        kept = {label: value for label, value in (dict(message.header) | header).items() if value is not None}
        protected = cose.encode(kept)
        signature = speaking_as(HUB).sign_bare(cose.to_be_signed(protected, payload))
        return replace(message, protected=protected, signature=signature)

    return with_signature(RECEIPT, change)


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ({}, ""),
        ({16: None}, "other protected headers"),
        ({16: "application/cose"}, "other protected headers"),
        ({16: 19}, "other protected headers"),
        ({395: 2}, "other protected headers"),
        ({395: None}, "other unprotected headers"),
        ({3: "text/plain"}, "other protected headers"),
        ({100: 0}, "other protected headers"),
        ({2: [100], 100: 0}, "critical, which is not known here"),
        ({2: [395]}, "other protected headers"),
        ({34: None}, "other protected headers"),
    ],
    ids=str,
)
def test_protected_headers_are_those_of_a_receipt(header: dict[Any, Any], problem: str) -> None:
    if problem:
        refused(signed_otherwise(header), problem)
    else:
        assert checked(signed_otherwise(header))


def test_a_single_receipt_does_not_pass_for_a_batch_nor_a_root_for_a_payload() -> None:
    """What is signed over a payload and over a root differ in what is protected, and in the size that both name."""
    root_alone = alone(said("ambon"))
    receipt = Receipt.decode(root_alone)
    refused(replace(receipt, payload=said("bari", receipts=1).encode()).encode(), "does not fit")
    refused(replace(receipt, payload=said("ambon").encode()).encode(), "its batch has 3, and its proof 1")
    refused(with_header(root_alone, L396={-1: [cose.encode([2, 0, [bytes(32)]])]}), "other unprotected headers")


@pytest.mark.parametrize("role", ["silo", "keeper", "auditor"])
def test_only_an_aggregator_issues(role: str) -> None:
    issued = batch([replace(one, issuer=f"one-{role}") for one in ATTEMPT], issuer=identity(f"one-{role}", role))
    refused(issued.receipt(0), f"is signed by {role} one-{role}", "issuer")


def test_an_aggregator_issues_in_its_own_name_only() -> None:
    issued = batch(issuer=identity("other-hub", "aggregator"))
    refused(issued.receipt(0), "is signed by aggregator other-hub", "issuer")


def test_a_stranger_is_refused() -> None:
    issued = batch(issuer=identity("hub", "aggregator", STRANGER))
    refused(issued.receipt(0), "signed by no trusted root", "signature")
    refused(RECEIPT, "signed by no trusted root", "signature", trust=consortium(STRANGER).trust)


def test_a_certificate_is_judged_when_the_receipt_was_issued_and_its_revocation_now() -> None:
    """A receipt outlives the certificate it is signed with; a key that was stolen spoils it whenever it was issued."""
    people = consortium(TRUSTED)
    serial = HUB.certificate.serial_number
    years = START + timedelta(days=400)

    def trust_when(reason: ReasonFlags | None, since: datetime = START + timedelta(days=1)) -> TrustAnchor:
        entries = [] if reason is None else [Revoked(serial, since, reason)]
        return people.trust_with(people.list_of(entries, number=9, clock=clock_at(years), days=30))

    assert checked(RECEIPT, at=years, trust=trust_when(None))
    assert checked(RECEIPT, at=years, trust=trust_when(ReasonFlags.superseded))
    refused(RECEIPT, "was revoked", "signature", at=years, trust=trust_when(ReasonFlags.key_compromise))
    before = trust_when(ReasonFlags.superseded, START - timedelta(days=1))
    refused(RECEIPT, "was revoked", "signature", at=years, trust=before)
    refused(RECEIPT, "cannot be judged: revocation list", "signature", at=years)
    expired = batch([replace(one, time=int((START + timedelta(days=365)).timestamp())) for one in ATTEMPT])
    refused(expired.receipt(0), "expired", "signature", at=years, trust=trust_when(None))
    early = batch([replace(one, time=int((START - timedelta(days=365)).timestamp())) for one in ATTEMPT])
    refused(early.receipt(0), "is valid only from", "signature")


def test_a_receipt_from_the_future_is_refused() -> None:
    assert checked(RECEIPT, at=START - timedelta(minutes=4))
    refused(RECEIPT, "which is yet to come", "time", at=START - timedelta(minutes=6))
    latest = batch([replace(one, time=253402300799) for one in ATTEMPT])
    refused(latest.receipt(0), "is of 9999-12-31 23:59 UTC", "time")


# ------------------------------------------------------------------------------------------------------ two signatures


def test_ed25519_is_there_exactly_where_the_policy_asks_for_it() -> None:
    refused(RECEIPT, "has 1 signatures, and the policy asks for 2", "signatures", classical=CLASSICAL)
    refused(TWICE.receipt(1), "has 2 signatures, and there is a key to verify 1", "signatures")


def twice(change: Any) -> bytes:
    receipt = Receipt.decode(TWICE.receipt(1))
    return replace(receipt, signatures=tuple(change(*receipt.signatures))).encode()


TWO: dict[str, tuple[Any, str]] = {
    "in the other order": (lambda a, b: (b, a), "exactly one certificate"),
    "ML-DSA twice": (lambda a, b: (a, a), "the key is of Ed25519"),
    "Ed25519 twice": (lambda a, b: (b, b), "exactly one certificate"),
    "none": (lambda a, b: (), "has 0 signatures"),
    "three": (lambda a, b: (a, b, b), "has 3 signatures"),
    "no message": (lambda a, b: (a, b""), "does not begin with tag 18"),
}


@pytest.mark.parametrize(("change", "problem"), TWO.values(), ids=TWO)
def test_two_signatures_come_in_one_order(change: Any, problem: str) -> None:
    refused(twice(change), problem, classical=CLASSICAL)


def test_both_signatures_are_over_the_same_tree_by_the_right_keys() -> None:
    other = Ed25519PrivateKey.generate()
    refused(TWICE.receipt(1), "no signature of this Ed25519 key", classical=other.public_key())
    other_tree = batch([said("dakar"), ATTEMPT[1], said("elba")], classical=RECEIPT_KEY)
    mixed = Receipt.decode(other_tree.receipt(1)).signatures[1]
    refused(twice(lambda a, _: (a, mixed)), "over two different things", "signatures", classical=CLASSICAL)
    single = Receipt.decode(alone(ATTEMPT[1], RECEIPT_KEY)).signatures[1]
    refused(twice(lambda a, _: (a, single)), "its batch has 3, and its proof 1", "inclusion", classical=CLASSICAL)


def test_either_signature_alone_is_forged_in_vain() -> None:
    """Who can make one kind of signature only, by a broken scheme or a stolen key, makes no receipt."""
    forged = issue_batch(
        [replace(one, round=99) for one in ATTEMPT], speaking_as(HUB), classical=Ed25519PrivateKey.generate()
    )
    refused(forged.receipt(0), "no signature of this Ed25519 key", classical=CLASSICAL)
    stranger = identity("hub", "aggregator", STRANGER)
    forged = issue_batch([replace(one, round=99) for one in ATTEMPT], speaking_as(stranger), classical=RECEIPT_KEY)
    refused(forged.receipt(0), "signed by no trusted root", classical=CLASSICAL)


# ------------------------------------------------------------------------------------------------------ what is refused

NONSENSE: dict[str, tuple[str, dict[str, Any], str]] = {
    "a verdict of its own": (INCLUDED, {"verdict": "maybe"}, "the verdict 'maybe', which is none of"),
    "a digest that is too short": (INCLUDED, {"context": bytes(31)}, "no SHA-256 for context"),
    "a digest that is too long": (INCLUDED, {"certificate": bytes(33)}, "no SHA-256 for certificate"),
    "no policy": (INCLUDED, {"policy": b""}, "no SHA-256 for policy"),
    "no plan": (INCLUDED, {"plan": b""}, "no SHA-256 for plan"),
    "no job": (INCLUDED, {"job": b""}, "no SHA-256 for job"),
    "no ending": (INCLUDED, {"ending": b""}, "no SHA-256 for ending"),
    "an inclusion of nothing": (INCLUDED, {"contribution": b""}, "no SHA-256 for contribution, with verdict included"),
    "an inclusion in no result": (INCLUDED, {"result": b""}, "no SHA-256 for result, with verdict included"),
    "an inclusion with a reason": (INCLUDED, {"reason": "so"}, "a reason of 2 characters for verdict included"),
    "a refusal of nothing": (REFUSED, {"contribution": b""}, "no SHA-256 for contribution, with verdict refused"),
    "a refusal without a reason": (REFUSED, {"reason": ""}, "a reason of 0 characters for verdict refused"),
    "a refusal with a long reason": (REFUSED, {"reason": "x" * 401}, "a reason of 401 characters"),
    "a void with a result": (VOIDED, {"reason": "so"}, "a SHA-256 for result, with verdict voided"),
    "a void without a reason": (VOIDED, {"result": b""}, "a reason of 0 characters for verdict voided"),
    "an absence of something": (ABSENT, {"contribution": bytes(32)}, "a SHA-256 for contribution, with verdict absent"),
    "an absence with a reason": (ABSENT, {"reason": "late"}, "a reason of 4 characters for verdict absent"),
    "a batch of none": (INCLUDED, {"receipts": 0}, "a batch of 0, outside 1 to 65536"),
    "a batch without end": (INCLUDED, {"receipts": 1 << 17}, "a batch of 131072, outside 1 to 65536"),
    "a time after all": (INCLUDED, {"time": 253402300800}, "a time after the year 9999"),
}


@pytest.mark.parametrize(("verdict", "changes", "problem"), NONSENSE.values(), ids=NONSENSE)
def test_what_cannot_be_meant_is_not_a_receipt(verdict: str, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(MessageRefused, match=problem):
        replace(said("ambon", verdict), **changes) if verdict != VOIDED else said("ambon", verdict, **changes)


def test_what_cannot_be_meant_is_refused_when_it_is_read() -> None:
    payload = said("ambon").encode().replace(b"hincluded", b"hxncluded")
    refused(replace(Receipt.decode(RECEIPT), payload=payload).encode(), "the verdict 'xncluded'", "form")


def test_a_batch_is_of_one_attempt_and_several_silos() -> None:
    for receipts in (
        [],
        [said("ambon")],
        [said("ambon"), said("bari", round=8)],
        [said("ambon"), said("bari", time=1)],
    ):
        with pytest.raises(CallerError, match="is not of one attempt, or not of several"):
            batch(receipts)
    with pytest.raises(CallerError, match="has a silo twice"):
        batch([said("ambon"), said("bari"), said("ambon", REFUSED)])


# ------------------------------------------------------------------------------------------------------ contradictions


def test_receipts_of_one_batch_agree_and_so_do_those_of_different_attempts() -> None:
    later = batch([replace(one, attempt=2, context=digest("later")) for one in ATTEMPT])
    require_agreement([checked(one.receipt(index)) for one in (BATCH, later) for index in (0, 1, 2, 0)])
    require_agreement([])


@pytest.mark.parametrize(
    "change",
    [{"result": digest("another")}, {"ending": digest("another")}, {"time": 1893456001}, {"policy": digest("another")}],
    ids=lambda change: next(iter(change)),
)
def test_two_silos_that_were_told_different_things_hold_the_proof_of_it(change: dict[str, Any]) -> None:
    other = batch([replace(one, **change) for one in ATTEMPT])
    with pytest.raises(EvidenceRejected, match="of bari for round 7 attempt 1 contradicts the one of ambon") as refusal:
        require_agreement([checked(BATCH.receipt(0)), checked(other.receipt(1))])
    assert (refusal.value.check, refusal.value.party) == ("agreement", "hub")


def test_two_batches_of_one_attempt_are_a_contradiction_whatever_they_say() -> None:
    """Each silo is told what it likes to hear: that it was included. The roots differ, and both are signed."""
    for_bari = batch([said("ambon", REFUSED), said("bari"), said("cusco", ABSENT)])
    with pytest.raises(EvidenceRejected, match="contradicts"):
        require_agreement([checked(BATCH.receipt(0)), checked(for_bari.receipt(1))])


def test_two_single_receipts_of_one_silo_contradict_each_other() -> None:
    both = [checked(alone(one)) for one in (said("ambon"), said("bari"))]
    require_agreement([*both, *both])
    refused_too = checked(alone(said("ambon", REFUSED)))
    with pytest.raises(EvidenceRejected, match="contradicts another one for the same silo"):
        require_agreement([*both, refused_too])


def test_the_clock_has_a_zone() -> None:
    assert START.tzinfo is UTC and SILOS[0] == ATTEMPT[0].silo and TRUST.roots
