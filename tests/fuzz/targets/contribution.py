"""What a silo sends in a round with proofs: signed by it, and otherwise whatever it likes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from tests.fuzz.held import refused_or, refused_or_same

from quatrefoil.aggregation import AdditiveAggregation, ParameterSet
from quatrefoil.contracts import SumShape
from quatrefoil.errors import ProofRejected
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import sha256
from quatrefoil.federation.messages import Contribution, ProofBinding, ProofClaim, SealedContribution
from quatrefoil.federation.proving import JobProofs, Subject
from quatrefoil.policy import Policy
from quatrefoil.proofs import BoundedUpdateProofs

Found = TypeVar("Found")

POLICIES = Path(__file__).parents[3] / "examples" / "policies"
SET = ParameterSet.named("sum-256-w16")
SEALED_KEY = b"sealed"
SUBJECT = Subject("north", bytes(range(32)), 0.5, SumShape(5, 1.0, bytes(32)), 4.0)


class Sound(NamedTuple):
    """What an honest silo would send."""

    contribution: Contribution
    key: bytes
    ciphertext: bytes
    proof: bytes


def seeds() -> list[bytes]:
    """A contribution as it should be, and some that lie in one field; other messages of a round."""
    honest = sound()
    contribution, (claim,) = honest.contribution, honest.contribution.claims
    claims = [
        (),
        (claim, claim),
        (replace(claim, value=bytes(16)),),
        (replace(claim, content=b"", root=claim.root[:31]),),
        (replace(claim, proof=bytes(32)),),
    ]
    lies = [replace(contribution, claims=one) for one in claims]
    lies += [replace(contribution, sealed_key=bytes(32)), replace(contribution, context=b"", ciphertext=b"")]
    binding = ProofBinding(contribution.context, bytes(32), contribution.sealed_key, 0.5)
    return [
        *(parts.join([lie.encode(), honest.key, b""]) for lie in [contribution, *lies]),
        parts.join([contribution.encode(), bytes(31), honest.proof[:-1]]),
        parts.join([contribution.encode(), honest.key, honest.proof]),
        SealedContribution(contribution.encode(), SEALED_KEY).encode(),
        binding.encode(),
    ]


def one(data: bytes) -> None:
    """A contribution, the key that is in its sealed key, and a proof; where they are none, any other message of a
    round. Nothing for a proof stands for the sound one: a fuzzer need not carry it along."""
    for kind in (SealedContribution, ProofBinding, ProofClaim):
        refused_or_same(lambda kind=kind: kind.decode(data), lambda value: value.encode(), data)
    split = refused_or(lambda: parts.split(data, 3))
    if split is None:
        return
    body, key, proof = split
    contribution = refused_or_same(lambda: Contribution.decode(body), lambda value: value.encode(), body)
    if contribution is None:
        return
    verified, released = _verified(contribution, proof or sound().proof), _released(contribution, key)
    assert not (verified and released) or key == sound().key


def _verified(contribution: Contribution, proof: bytes) -> bool:
    """By the aggregator, which has compared the digests of what came beside the contribution."""
    honest = sound()
    assert _rejected_or(lambda: no_proofs().verify(SUBJECT, contribution, honest.ciphertext, proof)) is None
    found = _rejected_or(lambda: proofs().verify(SUBJECT, contribution, honest.ciphertext, proof))
    if found is None:
        return False
    assert (proof, contribution.claims) == (honest.proof, honest.contribution.claims)
    assert contribution.sealed_key == honest.contribution.sealed_key and found.proof == sha256(proof)
    return True


def _released(contribution: Contribution, key: bytes) -> bool:
    """By the keeper, which sees what was signed and the key, and no proof. Who has a key can claim it of anything: only
    that no other key fits is sure."""
    if not _rejected_or(lambda: proofs().check_key(SUBJECT, contribution, bytearray(key)) or True):
        return False
    other = bytearray(key)
    other[0] ^= 1
    assert _rejected_or(lambda: proofs().check_key(SUBJECT, contribution, other) or True) is None
    return True


def _rejected_or(check: Callable[[], Found]) -> Found | None:
    """A silo that lies is named, with what is wrong."""
    try:
        return check()
    except ProofRejected as refusal:
        assert refusal.problem and refusal.hint and refusal.party == SUBJECT.name
        return None


@cache
def proofs() -> JobProofs:
    backend = BoundedUpdateProofs(SET, random=lambda count: b"\3" * count)
    return JobProofs(backend, Policy.load(POLICIES / "strict.toml"))


@cache
def no_proofs() -> JobProofs:
    return JobProofs(None, Policy.load(POLICIES / "hospitals.toml"))


@cache
def sound() -> Sound:
    source = iter([b"\1" * 32, b"\2" * 32])
    aggregation = AdditiveAggregation(SET, random=lambda _: next(source))
    encrypted, hidden = proofs().encrypt(aggregation, np.linspace(-0.25, 0.25, 5), SUBJECT)
    proven = proofs().prove(SUBJECT, encrypted.ciphertext, SEALED_KEY, hidden)
    digests = (SUBJECT.shape.context, sha256(encrypted.ciphertext), sha256(SEALED_KEY))
    return Sound(Contribution(*digests, proven.claims), bytes(encrypted.key), encrypted.ciphertext, proven.proof)
