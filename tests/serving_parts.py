"""What a server of confidential inference is made of in tests: our own evidence, a policy, receipts in memory.

A test that uses this needs ``own_roots``, which puts the tests' root in AMD's place.
"""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest

import attesting
from quatrefoil import exchange
from quatrefoil.appraisal import load, verifiers
from quatrefoil.audit import inference_receipts
from quatrefoil.audit.inference_receipts import InferenceReceipt
from quatrefoil.enclave import snp
from quatrefoil.enclave.binding import Keyset
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.exchange import ServingPolicy
from quatrefoil.serving.keys import InForce
from quatrefoil.serving.receipts import Computed

MODEL = "linear"
INFER = f"/v2/models/{MODEL}/infer".encode()
COMMITMENT = b"c" * 32
"""Of the weights of a model that is served in audit mode."""
ISSUER = "server"


@pytest.fixture
def own_roots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Verifiers that take the tests' roots for AMD's."""
    own = {"sev-snp": lambda evidence, given, at: snp.verify(evidence, given, at, roots=attesting.roots())}
    monkeypatch.setattr(verifiers, "VERIFIERS", {**verifiers.VERIFIERS, **own})


class SnpMachine:
    """A collector of signed reports. ``changes``: fields of the report that are otherwise."""

    kind = "sev-snp"

    def __init__(self, **changes: Any) -> None:
        self.changes = changes
        self.asked: list[bytes] = []
        self.fails: Exception | None = None

    def collect(self, report_data: bytes) -> Evidence:
        self.asked.append(report_data)
        if self.fails is not None:
            raise self.fails
        return attesting.evidence(**{"report_data": report_data.ljust(64, b"\0"), **self.changes})


def serving_policy(**changes: Any) -> ServingPolicy:
    """A policy in which nothing waits long. ``changes``: fields by dotted names with ``__``, as ``limits__seconds``."""
    policy = ServingPolicy(
        name="test-serving",
        model=exchange.Model(MODEL, bytes(range(32))),
        attestation=exchange.Attestation(load(attesting.FOLDER / "policy.toml"), 3600),
        keys=exchange.Keys(rotate_s=3600, overlap_s=600),
        limits=exchange.Limits(
            request_bytes=4 << 20,
            answer_bytes=4 << 20,
            connections=256,
            concurrent=2,
            queued=8,
            seconds=20,
            stream_seconds=30,
        ),
        padding=exchange.Padding("padme", "padme"),
        stream=exchange.Stream(0, 0),
        isolation=exchange.Isolation("request"),
    )
    parts: dict[str, Any] = {}
    for name, value in changes.items():
        part, _, within = name.partition("__")
        if within:
            value = dataclasses.replace(parts.get(part, getattr(policy, part)), **{within: value})
        parts[part] = value
    policy = dataclasses.replace(policy, **parts)
    return policy


class MemoryReceipts:
    """What is told of keysets, and signs receipts as the real issuer does, into a list."""

    def __init__(self, policy: ServingPolicy, issuer: str = ISSUER) -> None:
        self._policy, self._issuer = policy, issuer
        self.begun: list[tuple[InForce, bytes]] = []
        self.ended: list[Keyset] = []
        self.receipts: list[InferenceReceipt] = []
        self.fails: Exception | None = None
        self._last: dict[bytes, tuple[int, bytes]] = {}

    def begin(self, held: InForce, attestation: bytes) -> None:
        self.begun.append((held, attestation))
        self._last[held.keyset.digest()] = (0, held.keyset.digest())

    def end(self, held: InForce) -> None:
        self.ended.append(held.keyset)

    def issue(
        self,
        request: bytes,
        answer: bytes,
        status: int,
        complete: bool,
        *,
        keyset: Keyset,
        computed: Computed | None = None,
    ) -> bytes:
        if self.fails is not None:
            raise self.fails
        assert keyset not in self.ended
        number, previous = self._last[keyset.digest()]
        held = next(one for one, _ in self.begun if one.keyset == keyset)
        receipt = InferenceReceipt(
            issuer=self._issuer,
            keyset=keyset.digest(),
            sequence=number,
            previous=previous,
            time=int(datetime.now(UTC).timestamp() * 1000),
            model=self._policy.model.root,
            commitment=b"",
            measurement="test",
            policy=self._policy.digest(),
            plan=self._policy.plan,
            request=request,
            answer=answer,
            status=status,
            complete=complete,
            inputs=computed.commitments.inputs if computed else b"",
            outputs=computed.commitments.outputs if computed else b"",
        )
        signed = inference_receipts.sign(receipt, held.receipt_key)
        if computed:
            computed.keep(signed)
        self._last[keyset.digest()] = (number + 1, receipt.digest())
        self.receipts.append(receipt)
        return signed
