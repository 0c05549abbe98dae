"""Keys in shares, proven: every member accepts what an honest silo dealt; a share that does not fit is caught by its
member, and would spoil the sum if it were not. The kernel and the second verifier say the same."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from both_verifiers import accepted_by_both, second_statement
from proving import BINDING, NARROW, WEIGHT, WIDE, Instance, instance
from test_verifiers_agree import HOW, mutated
from test_verifiers_agree_on_claims import claiming, direction, true_parts

from bounded_update import Rejected
from bounded_update.encryption import secret
from bounded_update.field import Ext
from bounded_update.shares import check_share, commitment, deal
from quatrefoil.aggregation import AdditiveAggregation, ParameterSet
from quatrefoil.contracts import BoundedUpdate, DealtKey, HiddenUpdate, ShareClaim, Sharing, Threshold
from quatrefoil.errors import CiphertextRefused, ParametersRefused, ProofRejected, UpdateRefused
from quatrefoil.proofs import BoundedUpdateProofs, ProofShape

THRESHOLD = Threshold.fitting(members=8, silent=2, liars=1, colluding=3)
SHARING_SEED = b"\x05" * 32


def dealt(one: Instance, threshold: Threshold = THRESHOLD) -> DealtKey:
    return AdditiveAggregation(one.parameters, random=lambda _: SHARING_SEED).deal_key(one.encrypted.key, threshold)


def sharing(one: Instance, threshold: Threshold = THRESHOLD) -> tuple[BoundedUpdate, HiddenUpdate, DealtKey]:
    made = dealt(one, threshold)
    statement = replace(one.statement, sharing=Sharing(threshold, made.commitments))
    return statement, replace(one.hidden, dealt=made), made


@cache
def proven(name: str = WIDE.name) -> tuple[Instance, BoundedUpdate, DealtKey, bytes]:
    one = instance(ParameterSet.named(name), 545)
    statement, hidden, made = sharing(one)
    return one, statement, made, one.backend.prove(statement, hidden)


def claim_of(one: Instance, statement: BoundedUpdate, proof: bytes) -> ShareClaim:
    claim = one.backend.verify(statement, proof).key_claim
    assert isinstance(claim, ShareClaim)
    return claim


def check(one: Instance, statement: BoundedUpdate, claim: ShareClaim, member: int, share: bytes | bytearray) -> None:
    given = {"shape": statement.shape, "bound": statement.bound, "binding": BINDING, "further": statement.further}
    one.backend.check_share(share, member, claim, **given)


def check_again(one: Instance, statement: BoundedUpdate, claim: ShareClaim, member: int, share: bytes) -> None:
    """By the second verifier."""
    about, blocks = second_statement(one.parameters.name, statement)
    words = memoryview(claim.values).cast("Q").tolist()
    values = [Ext(*words[i : i + 2]) for i in range(0, len(words), 2)]
    assert about.shape.threshold is not None
    check_share(about.digest(blocks), claim.root, values, about.shape.threshold, claim.commitments, member, share)


@pytest.mark.parametrize(
    ("parameters", "length", "threshold"),
    [
        (WIDE, 545, THRESHOLD),
        (NARROW, 12_289, Threshold(5, 3, 1)),
        (WIDE, 3 * 8_192 - 5, Threshold(16, 5, 8)),
        pytest.param(NARROW, 5 * 12_288 + 4_097, Threshold(8, 1, 4), marks=pytest.mark.slow),
        pytest.param(WIDE, 9 * 8_192 - 4_000, THRESHOLD, marks=pytest.mark.slow),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_they_agree_on_proofs_and_shares_of_every_shape(
    parameters: ParameterSet, length: int, threshold: Threshold
) -> None:
    one = instance(parameters, length)
    statement, hidden, made = sharing(one, threshold)
    proof = one.backend.prove(statement, hidden)
    assert accepted_by_both(one.backend, parameters.name, statement, proof)
    claim = claim_of(one, statement, proof)
    for member in range(1, threshold.members + 1):
        check(one, statement, claim, member, made.shares[member - 1])
    check_again(one, statement, claim, threshold.members, bytes(made.shares[-1]))


def test_the_second_dealer_deals_the_same() -> None:
    one, _, made, _ = proven()
    about, _ = second_statement(one.parameters.name, proven()[1])
    assert about.shape.threshold is not None
    key = secret(about.shape.parameters, bytes(one.encrypted.key))
    again = deal(about.shape.parameters, about.shape.threshold, key, SHARING_SEED)
    assert [again.share(k) for k in range(1, 9)] == [bytes(share) for share in made.shares]
    assert again.commitments == made.commitments


def test_with_further_claims_too() -> None:
    one = instance(WIDE, 5_000)
    statement, hidden, made = sharing(one)
    parts = true_parts(one, (0, 5_000), (100, 4_500))
    statement = replace(statement, further=claiming(one, parts, direction(one, 1)).further)
    proof = one.backend.prove(statement, hidden)
    assert accepted_by_both(one.backend, WIDE.name, statement, proof)
    claim = claim_of(one, statement, proof)
    check(one, statement, claim, 7, made.shares[6])
    with pytest.raises(ProofRejected):
        check(one, replace(statement, further=claiming(one, parts, None).further), claim, 7, made.shares[6])


@pytest.mark.parametrize("place", [32, 40 + 8 * 1000, -16, -1], ids=["first", "middle", "mask", "last byte"])
def test_a_share_that_does_not_fit_the_others_is_caught_by_its_member_alone(place: int) -> None:
    """The dealer commits to it as it is, so that the commitment fits, and its proof holds: only V tells."""
    one = instance(WIDE, 545)
    statement, hidden, made = sharing(one)
    bad = bytearray(made.shares[5])
    bad[place] ^= 1
    commitments = (*made.commitments[:5], commitment(bytes(bad)), *made.commitments[6:])
    forged = replace(statement, sharing=Sharing(THRESHOLD, commitments))
    with pytest.raises(UpdateRefused, match="not dealt"):
        one.backend.prove(forged, hidden)
    # An honest prover's interface refuses; the argument itself has nothing against it.
    about, blocks = second_statement(WIDE.name, forged)
    proof = forge(one, about, blocks)
    assert accepted_by_both(one.backend, WIDE.name, forged, proof)
    claim = claim_of(one, forged, proof)
    with pytest.raises(ProofRejected, match="not on the polynomials") as refusal:
        check(one, forged, claim, 6, bad)
    assert "publishes the share" in refusal.value.hint
    with pytest.raises(Rejected, match="not on the polynomials"):
        check_again(one, forged, claim, 6, bytes(bad))
    check(one, forged, claim, 5, made.shares[4])


def forge(one: Instance, about: object, blocks: object) -> bytes:
    """A proof by the second verifier's prover, which checks nothing."""
    from bounded_update import Randomness, Witness
    from bounded_update.encryption import noise, pad, rounded, slots
    from bounded_update.prover import prove

    p = about.shape.parameters  # type: ignore[attr-defined]
    key = secret(p, bytes(one.encrypted.key))
    q = rounded(p, bytes(one.hidden.noise), about.context, one.hidden.values.tolist(), 1.0, WEIGHT)  # type: ignore[attr-defined]
    dealt = deal(p, about.shape.threshold, key, SHARING_SEED)  # type: ignore[attr-defined]
    errors = noise(p, bytes(one.hidden.noise), about.context, len(blocks))  # type: ignore[attr-defined,arg-type]
    witness = Witness(key, pad(p, bytes(one.encrypted.key)), errors, slots(p, q), dealt)
    return prove(about, blocks, witness, Randomness.from_seed(about.shape, bytes(32))).to_bytes()  # type: ignore[arg-type,attr-defined]


def test_unchecked_a_share_that_does_not_fit_spoils_the_sum_or_names_an_honest_member() -> None:
    """What the check of V is for: without it, the member whom a dealer cheated answers wrongly, and is called a
    liar."""
    one, _, made, _ = proven()
    aggregation = AdditiveAggregation(WIDE)
    bad = bytearray(made.shares[5])
    bad[32:40] = bytes(8)
    shares = [*made.shares[:5], bad, *made.shares[6:]]
    answers = {k: aggregation.add_shares([share], THRESHOLD) for k, share in enumerate(shares, 1)}
    given = {"total": one.encrypted.ciphertext, "shape": one.shape, "count": 1}
    assert aggregation.recover_key(answers, THRESHOLD, **given).liars == (6,)
    with pytest.raises(CiphertextRefused, match="no 5 of 5"):
        aggregation.recover_key({k: answers[k] for k in (2, 4, 5, 6, 8)}, THRESHOLD, **given)


def test_a_key_in_shares_cannot_be_proven_with_those_of_another() -> None:
    one, other = instance(WIDE, 545), instance(WIDE, 545)
    statement, hidden, _ = sharing(one)
    stranger = AdditiveAggregation(WIDE).deal_key(bytes(32), THRESHOLD)
    cases = [
        (statement, other.hidden, "not dealt"),
        (one.statement, hidden, "not dealt"),
        (statement, replace(hidden, dealt=stranger), "not dealt"),
        (
            replace(statement, sharing=Sharing(THRESHOLD, stranger.commitments)),
            replace(hidden, dealt=stranger),
            "those of",
        ),
    ]
    for about, secret_side, said in cases:
        with pytest.raises(UpdateRefused, match=said):
            one.backend.prove(about, secret_side)


def test_they_agree_that_a_proof_is_of_its_own_sharing() -> None:
    one, statement, made, proof = proven()
    h = made.commitments
    others = [
        None,
        Sharing(THRESHOLD, (h[1], h[0], *h[2:])),
        Sharing(THRESHOLD, (*h[:7], bytes(32))),
        Sharing(Threshold(8, 4, 1), h),
        Sharing(Threshold(8, 1, 4), h),
    ]
    for other in others:
        about = replace(statement, sharing=other)
        assert not accepted_by_both(one.backend, WIDE.name, about, proof)
        digest = second_statement(WIDE.name, about)[0].digest(second_statement(WIDE.name, about)[1])
        assert not accepted_by_both(one.backend, WIDE.name, about, proof[:12] + digest + proof[44:])
    with_a_keeper = one.backend.prove(one.statement, one.hidden)
    assert not accepted_by_both(one.backend, WIDE.name, statement, with_a_keeper)


def test_shares_that_are_not_the_members_are_refused() -> None:
    one, statement, made, proof = proven()
    claim = claim_of(one, statement, proof)
    share = made.shares[0]
    salted = bytes([share[0] ^ 1]) + bytes(share[1:])
    for wrong, said in ((made.shares[1], "committed"), (salted, "committed"), (share[:-1], "length"), (b"", "length")):
        with pytest.raises(ProofRejected, match=said):
            check(one, statement, claim, 1, wrong)
    large = bytes(share[:32]) + b"\xff" * 8 + bytes(share[40:])
    with pytest.raises(ProofRejected, match="not below p"):
        check(one, statement, replace(claim, commitments=(commitment(large), *claim.commitments[1:])), 1, large)
    for member in (0, 9, True):
        with pytest.raises(ParametersRefused, match="no member"):
            check(one, statement, claim, member, share)


def test_claims_that_are_not_those_of_the_proof_are_refused() -> None:
    one, statement, made, proof = proven()
    claim, share = claim_of(one, statement, proof), made.shares[6]
    check(one, statement, claim, 7, share)
    moved = bytes([claim.values[0] ^ 1]) + claim.values[1:]
    wrong = [
        (replace(claim, values=moved), "V is of"),
        (replace(claim, values=claim.values[16:] + claim.values[:16]), "V is of"),
        (replace(claim, values=b"\xff" * len(claim.values)), "V is none"),
        (replace(claim, values=claim.values[:-16]), "claim of"),
        (replace(claim, root=bytes(32)), "V is of"),
        (replace(claim, content=bytes(32)), "V is of"),
        (replace(claim, root=b""), "claim of"),
        (replace(claim, commitments=(bytes(32), *claim.commitments[1:])), "V is of"),
        (replace(claim, threshold=Threshold(8, 1, 4)), "claim of|length"),
    ]
    for other, said in wrong:
        with pytest.raises(ProofRejected, match=said):
            check(one, statement, other, 7, share)
    with pytest.raises(ProofRejected, match="V is of"):
        check(one, replace(statement, bound=statement.bound + 1), claim, 7, share)
    with pytest.raises(ParametersRefused, match="commitments"):
        check(one, statement, replace(claim, commitments=claim.commitments[:-1]), 7, share)
    with pytest.raises(ParametersRefused, match="commitments"):
        one.backend.verify(replace(statement, sharing=Sharing(THRESHOLD, made.commitments[:-1])), proof)


def test_shares_too_long_for_a_proof_are_refused_with_numbers() -> None:
    with pytest.raises(ParametersRefused, match="words"):
        ProofShape(WIDE, 545, sharing=Threshold(64, 60, 1))
    assert ProofShape(WIDE, 1_048_576, sharing=Threshold(64, 60, 1)).soundness_bits > 99


@pytest.mark.parametrize("how", HOW)
def test_they_agree_on_changed_proofs_of_shares(how: str) -> None:
    one, statement, made, proof = proven()
    source = random.Random(f"shares {how}")
    hidden = replace(one.hidden, dealt=made)
    other = BoundedUpdateProofs(WIDE, random=lambda count: b"\x04" * count).prove(statement, hidden)
    changed = mutated(source, how, proof, other)
    assert accepted_by_both(one.backend, WIDE.name, statement, changed) == (changed == proof)


def test_v_of_two_proofs_differ_only_with_the_sharing_seed() -> None:
    """A mask is for one dealing: what is proven twice of it shows V twice at other points, so a silo repeats its
    bytes."""
    one, statement, made, proof = proven()
    again = one.backend.prove(statement, replace(one.hidden, dealt=made))
    assert again == proof
    fresh = AdditiveAggregation(WIDE).deal_key(one.encrypted.key, THRESHOLD)
    assert not set(fresh.commitments) & set(made.commitments)
    assert np.frombuffer(fresh.hidden, np.uint8).any()
