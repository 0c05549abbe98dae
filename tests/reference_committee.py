"""Keys shared among a committee, slowly and in plain Python: what the machines need of the contract, before any kernel.

The sharing is the real one (packed Shamir over the modulus of the ciphertexts, at points of its own), and so is what
follows from it: who can recover, and who is found to lie. That the shares are of the key of the ciphertext is not
proven here, only that they are what their dealer committed to.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from quatrefoil.aggregation import AdditiveAggregation
from quatrefoil.aggregation.ciphertext import KEY_HEADER_BYTES, key_header
from quatrefoil.contracts import (
    NOTHING_FURTHER,
    BoundedUpdate,
    DealtKey,
    FurtherClaims,
    HiddenUpdate,
    KeyClaim,
    Recovered,
    ShareClaim,
    SumShape,
    Threshold,
    VerifiedProof,
)
from quatrefoil.errors import CiphertextRefused, ProofRejected
from quatrefoil.proofs import BoundedUpdateProofs

P = (1 << 64) - (1 << 32) + 1
SALT = 32
Row = Any


def weights(nodes: Sequence[int], at: int) -> list[int]:
    """What values at ``nodes`` count for in the value ``at`` another point, of a polynomial of that degree."""
    found = []
    for one in nodes:
        top, bottom = 1, 1
        for other in nodes:
            if other != one:
                top, bottom = top * (at - other) % P, bottom * (one - other) % P
        found.append(top * pow(bottom, P - 2, P) % P)
    return found


def combined(nodes: Sequence[int], rows: Sequence[Row], at: int) -> Row:
    return sum(weight * row for weight, row in zip(weights(nodes, at), rows, strict=True)) % P


def packed(values: Row) -> bytes:
    return np.array(values, dtype=np.uint64).astype("<u8").tobytes()


def words(data: bytes) -> Row:
    return np.frombuffer(data, "<u8").astype(object)


def nodes_of(threshold: Threshold) -> list[int]:
    """Where a polynomial has the secret's values and its random ones: beyond the members' points."""
    return [threshold.members + 1 + j for j in range(threshold.recovery)]


class SharingAggregation(AdditiveAggregation):
    def deal_key(self, key: bytes | bytearray, threshold: Threshold) -> DealtKey:
        secret = words(self.combine_keys([key])[KEY_HEADER_BYTES:])
        part = len(secret) // threshold.packing
        rows = [secret[j * part : (j + 1) * part] for j in range(threshold.packing)]
        rng = np.random.default_rng()
        rows += [rng.integers(0, P, part, dtype=np.uint64).astype(object) for _ in range(threshold.privacy)]
        nodes = nodes_of(threshold)
        shares = []
        for member in range(1, threshold.members + 1):
            salt = rng.bytes(SALT)
            shares.append(bytearray(salt + packed(combined(nodes, rows, member))))
        commitments = tuple(hashlib.sha256(share).digest() for share in shares)
        return DealtKey(threshold, tuple(shares), commitments, bytearray(32))

    def add_shares(self, shares: Sequence[bytes | bytearray], threshold: Threshold) -> bytes:
        return packed(sum(words(bytes(share[SALT:])) for share in shares) % P)

    def recover_key(
        self, answers: Mapping[int, bytes], threshold: Threshold, *, total: bytes, shape: SumShape, count: int
    ) -> Recovered:
        for chosen in itertools.combinations(sorted(answers), threshold.recovery):
            rows = [words(answers[member]) for member in chosen]
            secret = np.concatenate([combined(chosen, rows, node) for node in nodes_of(threshold)[: threshold.packing]])
            key = key_header(self._parameters, count) + packed(secret)
            try:
                self.decrypt(total, key, shape=shape, count=count)
            except CiphertextRefused:
                continue
            liars = tuple(
                member for member in sorted(answers) if packed(combined(chosen, rows, member)) != answers[member]
            )
            return Recovered(key, liars)
        raise CiphertextRefused("no answers agree", hint="Wait for more")


class SharingProofs(BoundedUpdateProofs):
    def prove(self, statement: BoundedUpdate, hidden: HiddenUpdate) -> bytes:
        return super().prove(dataclasses.replace(statement, sharing=None), dataclasses.replace(hidden, dealt=None))

    def verify(self, statement: BoundedUpdate, proof: bytes) -> VerifiedProof:
        found = super().verify(dataclasses.replace(statement, sharing=None), proof)
        if statement.sharing is None:
            return found
        claim = found.key_claim
        assert isinstance(claim, KeyClaim)
        shared = ShareClaim(
            statement.sharing.threshold, statement.sharing.commitments, claim.content, claim.root, claim.value
        )
        return dataclasses.replace(found, key_claim=shared)

    def check_share(
        self,
        share: bytes | bytearray,
        member: int,
        claim: ShareClaim,
        *,
        shape: SumShape,
        bound: int,
        binding: bytes,
        further: FurtherClaims = NOTHING_FURTHER,
    ) -> None:
        if hashlib.sha256(share).digest() != claim.commitments[member - 1]:
            raise ProofRejected("the share is not the one that was committed to", hint="Complain")
