"""What each layer costs while it runs: contracts wrapped so that every call is timed and its bytes are counted.

The wrapped objects are drop-in backends; nothing above them knows that it is measured.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from quatrefoil.contracts import (
    NOTHING_FURTHER,
    Accumulator,
    BoundedUpdate,
    DealtKey,
    DecryptedSum,
    Direction,
    Encrypted,
    FloatVector,
    FurtherClaims,
    HiddenUpdate,
    IntegrityProof,
    KeyClaim,
    PrivateAggregation,
    Recipient,
    Recovered,
    SchemeIdentity,
    ShareClaim,
    SumShape,
    Threshold,
    TransportSecurity,
    VerifiedProof,
    VerifiedStatement,
)


@dataclass
class Cost:
    """Calls of one step, their milliseconds on the clock and of processor time, and the bytes that they produced.

    ``cpu_ms`` is of the whole process while they ran: of the step alone where nothing else works in it.
    """

    calls: int = 0
    ms: float = 0.0
    cpu_ms: float = 0.0
    bytes: int = 0


@dataclass
class Meter:
    """Costs by step, such as "aggregation.encrypt"."""

    steps: dict[str, Cost] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @contextmanager
    def timed(self, step: str) -> Iterator[Cost]:
        """Add the time of the block to ``step``; the block may add to the yielded cost's ``bytes``."""
        with self._lock:
            cost = self.steps.setdefault(step, Cost())
        begin, worked = time.perf_counter(), time.process_time()
        try:
            yield cost
        finally:
            elapsed, work = time.perf_counter() - begin, time.process_time() - worked
            with self._lock:  # proofs are verified in several threads
                cost.calls += 1
                cost.ms += elapsed * 1e3
                cost.cpu_ms += work * 1e3

    def as_rows(self) -> list[dict[str, str | int | float]]:
        """One row a step, in alphabetical order, for tables and JSON."""
        return [
            {
                "step": step,
                "calls": cost.calls,
                "ms": round(cost.ms, 3),
                "cpu_ms": round(cost.cpu_ms, 3),
                "bytes": cost.bytes,
            }
            for step, cost in sorted(self.steps.items())
        ]


class MeteredAggregation:
    """A ``PrivateAggregation`` whose calls are counted."""

    def __init__(self, inner: PrivateAggregation, meter: Meter) -> None:
        self._inner = inner
        self._meter = meter

    @property
    def scheme(self) -> SchemeIdentity:
        return self._inner.scheme

    def encrypt(self, values: FloatVector, *, weight: float, shape: SumShape) -> Encrypted:
        with self._meter.timed("aggregation.encrypt") as cost:
            encrypted = self._inner.encrypt(values, weight=weight, shape=shape)
            cost.bytes += len(encrypted.ciphertext)
        return encrypted

    def encrypt_for_proof(
        self, values: FloatVector, *, weight: float, shape: SumShape
    ) -> tuple[Encrypted, HiddenUpdate]:
        with self._meter.timed("aggregation.encrypt") as cost:
            encrypted, hidden = self._inner.encrypt_for_proof(values, weight=weight, shape=shape)
            cost.bytes += len(encrypted.ciphertext)
        return encrypted, hidden

    def accumulator(self, *, shape: SumShape) -> Accumulator:
        return _MeteredAccumulator(self._inner.accumulator(shape=shape), self._meter)

    def combine_keys(self, keys: Sequence[bytes | bytearray]) -> bytes:
        with self._meter.timed("aggregation.combine keys") as cost:
            combined = self._inner.combine_keys(keys)
            cost.bytes += len(combined)
        return combined

    def deal_key(self, key: bytes | bytearray, threshold: Threshold) -> DealtKey:
        with self._meter.timed("aggregation.deal key") as cost:
            dealt = self._inner.deal_key(key, threshold)
            cost.bytes += sum(len(share) for share in dealt.shares)
        return dealt

    def add_shares(self, shares: Sequence[bytes | bytearray], threshold: Threshold) -> bytes:
        with self._meter.timed("aggregation.add shares") as cost:
            answer = self._inner.add_shares(shares, threshold)
            cost.bytes += len(answer)
        return answer

    def recover_key(
        self, answers: Mapping[int, bytes], threshold: Threshold, *, total: bytes, shape: SumShape, count: int
    ) -> Recovered:
        with self._meter.timed("aggregation.recover key") as cost:
            recovered = self._inner.recover_key(answers, threshold, total=total, shape=shape, count=count)
            cost.bytes += len(recovered.combined_key)
        return recovered

    def decrypt(self, total: bytes, combined_key: bytes, *, shape: SumShape, count: int) -> DecryptedSum:
        with self._meter.timed("aggregation.decrypt"):
            return self._inner.decrypt(total, combined_key, shape=shape, count=count)


class _MeteredAccumulator:
    def __init__(self, inner: Accumulator, meter: Meter) -> None:
        self._inner = inner
        self._meter = meter

    def add(self, ciphertext: bytes) -> None:
        with self._meter.timed("aggregation.add"):
            self._inner.add(ciphertext)

    def total(self) -> bytes:
        with self._meter.timed("aggregation.add"):
            return self._inner.total()


class MeteredProofs:
    """An ``IntegrityProof`` whose calls are counted; several threads may verify at once."""

    def __init__(self, inner: IntegrityProof, meter: Meter) -> None:
        self._inner = inner
        self._meter = meter

    @property
    def scheme(self) -> str:
        return self._inner.scheme

    def bound(self, norm: float, *, weight: float, shape: SumShape) -> int:
        return self._inner.bound(norm, weight=weight, shape=shape)

    def direction(self, entries: NDArray[np.int16]) -> Direction:
        return self._inner.direction(entries)

    def prove(self, statement: BoundedUpdate, hidden: HiddenUpdate) -> bytes:
        with self._meter.timed("proofs.prove") as cost:
            proof = self._inner.prove(statement, hidden)
            cost.bytes += len(proof)
        return proof

    def verify(self, statement: BoundedUpdate, proof: bytes) -> VerifiedProof:
        with self._meter.timed("proofs.verify"):
            return self._inner.verify(statement, proof)

    def check_key(
        self,
        key: bytes | bytearray,
        claim: KeyClaim,
        *,
        shape: SumShape,
        bound: int,
        binding: bytes,
        further: FurtherClaims = NOTHING_FURTHER,
    ) -> None:
        with self._meter.timed("proofs.check key"):
            self._inner.check_key(key, claim, shape=shape, bound=bound, binding=binding, further=further)

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
        with self._meter.timed("proofs.check share"):
            self._inner.check_share(share, member, claim, shape=shape, bound=bound, binding=binding, further=further)


class MeteredTransport:
    """A ``TransportSecurity`` whose calls are counted; what a :class:`Recipient` opens is not."""

    def __init__(self, inner: TransportSecurity, meter: Meter) -> None:
        self._inner = inner
        self._meter = meter

    @property
    def name(self) -> str:
        return self._inner.name

    def sign(self, body: bytes) -> bytes:
        with self._meter.timed("transport.sign") as cost:
            signed = self._inner.sign(body)
            cost.bytes += len(signed) - len(body)
        return signed

    def verify(self, signed: bytes) -> VerifiedStatement:
        with self._meter.timed("transport.verify"):
            return self._inner.verify(signed)

    @property
    def certificate(self) -> bytes:
        return self._inner.certificate

    def sign_bare(self, message: bytes) -> bytes:
        with self._meter.timed("transport.sign") as cost:
            signature = self._inner.sign_bare(message)
            cost.bytes += len(signature)
        return signature

    def verify_bare(
        self, message: bytes, signature: bytes, *, certificate: bytes, claimed: datetime
    ) -> VerifiedStatement:
        with self._meter.timed("transport.verify"):
            return self._inner.verify_bare(message, signature, certificate=certificate, claimed=claimed)

    def seal(self, recipient: bytes, plaintext: bytes | bytearray, *, context: bytes) -> bytes:
        with self._meter.timed("transport.seal") as cost:
            sealed = self._inner.seal(recipient, plaintext, context=context)
            cost.bytes += len(sealed) - len(plaintext)
        return sealed

    def new_recipient(self) -> Recipient:
        with self._meter.timed("transport.new sealing key"):
            return self._inner.new_recipient()
