"""What every backend of ``IntegrityProof`` must do. A new backend joins by one line in ``BACKENDS``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from quatrefoil.aggregation import AdditiveAggregation, ParameterSet
from quatrefoil.contracts import (
    BoundedUpdate,
    HiddenUpdate,
    IntegrityProof,
    ShareClaim,
    Sharing,
    SumShape,
    Threshold,
)
from quatrefoil.errors import ProofRejected, UpdateRefused
from quatrefoil.proofs import BoundedUpdateProofs

Made = tuple[IntegrityProof, BoundedUpdate, HiddenUpdate]

LENGTH, CLIP, WEIGHT = 9_001, 0.25, 0.125
SHAPE = SumShape(LENGTH, CLIP, b"c" * 32)


def bounded(name: str) -> Made:
    parameters = ParameterSet.named(name)
    backend = BoundedUpdateProofs(parameters)
    values = np.random.default_rng(5).uniform(-CLIP, CLIP, LENGTH) * 0.999
    encrypted, hidden = AdditiveAggregation(parameters).encrypt_for_proof(values, weight=WEIGHT, shape=SHAPE)
    bound = backend.bound(float(np.linalg.norm(values)), weight=WEIGHT, shape=SHAPE)
    return backend, BoundedUpdate(SHAPE, encrypted.ciphertext, bound, bytes(32)), hidden


BACKENDS: dict[str, Callable[[], Made]] = {
    "bounded-update-w12": lambda: bounded("sum-32-w12"),
    "bounded-update-w16": lambda: bounded("sum-256-w16"),
}


@pytest.fixture(params=BACKENDS, scope="module")
def made(request: pytest.FixtureRequest) -> Made:
    return BACKENDS[request.param]()


def test_what_is_true_is_proven_and_verified(made: Made) -> None:
    backend, statement, hidden = made
    assert isinstance(backend, IntegrityProof) and backend.scheme
    proof = backend.prove(statement, hidden)
    verified = backend.verify(statement, proof)
    assert len(verified.statement) == 32 and verified.soundness_bits > 99
    backend.check_key(hidden.key, verified.key_claim, shape=SHAPE, bound=statement.bound, binding=statement.binding)


def test_two_proofs_of_one_statement_differ_and_both_hold(made: Made) -> None:
    backend, statement, hidden = made
    one, two = backend.prove(statement, hidden), backend.prove(statement, hidden)
    assert one != two
    assert backend.verify(statement, one).statement == backend.verify(statement, two).statement


def test_what_is_false_has_no_proof(made: Made) -> None:
    backend, statement, hidden = made
    for wrong in (replace(statement, bound=1), replace(hidden, key=bytearray(32)), replace(hidden, weight=0.25)):
        with pytest.raises(UpdateRefused):
            if isinstance(wrong, BoundedUpdate):
                backend.prove(wrong, hidden)
            else:
                backend.prove(statement, wrong)


def test_a_proof_holds_for_its_own_statement_only(made: Made) -> None:
    backend, statement, hidden = made
    proof = backend.prove(statement, hidden)
    for other in (replace(statement, bound=statement.bound + 1), replace(statement, binding=b"\x01" * 32)):
        with pytest.raises(ProofRejected) as refusal:
            backend.verify(other, proof)
        assert refusal.value.reason


def test_a_damaged_proof_is_rejected_with_a_reason(made: Made) -> None:
    backend, statement, hidden = made
    proof = backend.prove(statement, hidden)
    for damaged in (b"", proof[:-1], proof + b"\0", proof[:1000] + b"\0" * 32 + proof[1032:]):
        with pytest.raises(ProofRejected) as refusal:
            backend.verify(statement, damaged)
        assert refusal.value.reason


def test_another_key_is_noticed(made: Made) -> None:
    backend, statement, hidden = made
    claim = backend.verify(statement, backend.prove(statement, hidden)).key_claim
    with pytest.raises(ProofRejected):
        backend.check_key(bytes(32), claim, shape=SHAPE, bound=statement.bound, binding=statement.binding)


def test_shares_of_the_key_are_proven_and_each_member_checks_its_own(made: Made) -> None:
    backend, plain, hidden = made
    threshold = Threshold.fitting(members=5, silent=1, liars=0, colluding=2)
    aggregation = AdditiveAggregation(ParameterSet.named(backend.scheme.removeprefix("bounded-update/v1/")))
    dealt = aggregation.deal_key(hidden.key, threshold)
    statement = replace(plain, sharing=Sharing(threshold, dealt.commitments))
    claim = backend.verify(statement, backend.prove(statement, replace(hidden, dealt=dealt))).key_claim
    assert isinstance(claim, ShareClaim)
    given = {"shape": SHAPE, "bound": statement.bound, "binding": statement.binding}
    for member, share in enumerate(dealt.shares, 1):
        backend.check_share(share, member, claim, **given)
        with pytest.raises(ProofRejected) as refusal:
            backend.check_share(share, member % 5 + 1, claim, **given)
        assert refusal.value.reason
    with pytest.raises(UpdateRefused):
        backend.prove(statement, hidden)
    with pytest.raises(ProofRejected):
        backend.verify(statement, backend.prove(plain, hidden))
