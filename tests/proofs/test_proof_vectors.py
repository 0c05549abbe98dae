"""The published vectors, which the second verifier made: accepted and rejected here as there."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quatrefoil.aggregation import AdditiveAggregation, ParameterSet
from quatrefoil.contracts import BoundedUpdate, FurtherClaims, PartNorm, ShareClaim, Sharing, SumShape, Threshold
from quatrefoil.errors import CiphertextRefused, ParametersRefused, ProofRejected
from quatrefoil.proofs import BoundedUpdateProofs

VECTORS = Path(__file__).parents[1] / "vectors" / "proofs"
KINDS = ("accepted", "shared", "forged", "mutated")


def entries(kind: str) -> list[dict[str, Any]]:
    index = VECTORS / "index.json"
    return json.loads(index.read_text())[kind] if index.exists() else []


def each(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("entry", entries(kind), ids=lambda entry: entry["name"])


def edited(data: bytes, edits: list[dict[str, Any]]) -> bytes:
    for edit in edits:
        was, now = bytes.fromhex(edit["was"]), bytes.fromhex(edit["now"])
        assert data[edit["at"] :][: len(was)] == was
        data = data[: edit["at"]] + now + data[edit["at"] + len(was) :]
    return data


def loaded(name: str, entry: dict[str, Any]) -> tuple[BoundedUpdateProofs, BoundedUpdate, bytes]:
    """Backend, statement and proof of a vector, with the changes that an entry makes to them."""
    stated = json.loads((VECTORS / f"{name}.json").read_text())
    entries = (VECTORS / stated["direction"]).read_bytes() if "direction" in stated else b""
    entries = edited(entries, entry.get("direction", []))
    stated = {field: value for field, value in stated.items() if field not in entry.get("without", [])}
    stated |= entry.get("statement", {})
    named = stated["parameters"]
    parameters = ParameterSet(
        named["name"], value_bits=named["w"], slots=named["k"], max_silos=named["silos"], delta=named["delta"]
    )
    blocks = edited((VECTORS / f"{name}.blocks").read_bytes(), entry.get("blocks", []))
    proof = edited((VECTORS / f"{name}.proof").read_bytes(), entry.get("proof", []))
    proof = proof[: len(proof) - entry.get("cut", 0)] + bytes.fromhex(entry.get("append", ""))
    shape = SumShape(stated["values"], 1.0, bytes.fromhex(stated["context"]))
    backend = BoundedUpdateProofs(parameters)
    parts = tuple(PartNorm(*part) for part in stated.get("parts", []))
    direction = backend.direction(np.frombuffer(entries, "<i2")) if "direction" in stated else None
    further, sharing = FurtherClaims(parts, direction), None
    if (given := stated.get("sharing")) is not None:
        threshold = Threshold(given["members"], given["privacy"], given["packing"])
        sharing = Sharing(threshold, tuple(bytes.fromhex(one) for one in given["commitments"]))
    binding = bytes.fromhex(stated["binding"])
    statement = BoundedUpdate(shape, bytes(96) + blocks, stated["bound"], binding, further, sharing)
    return backend, statement, proof


@each("accepted")
def test_accepted(entry: dict[str, Any]) -> None:
    backend, statement, proof = loaded(entry["name"], {})
    verified = backend.verify(statement, proof)
    claim = verified.key_claim
    shown = {"statement_digest": verified.statement, "root1": claim.root, "v": claim.value}
    assert {name: value.hex() for name, value in shown.items()} == {name: entry[name] for name in shown}
    stated = {"shape": statement.shape, "bound": statement.bound, "binding": statement.binding}
    backend.check_key(b"\x01" * 32, claim, **stated, further=statement.further)


@each("shared")
def test_shared(entry: dict[str, Any]) -> None:
    """Dealt from the seeds, the shares are those of the vector, and every member accepts its own."""
    backend, statement, proof = loaded(entry["name"], {})
    verified = backend.verify(statement, proof)
    claim = verified.key_claim
    assert isinstance(claim, ShareClaim)
    assert (verified.statement.hex(), claim.root.hex()) == (entry["statement_digest"], entry["root1"])
    assert claim.values.hex() == "".join(entry["V"])
    aggregation = AdditiveAggregation(ParameterSet.named("sum-256-w16"), random=lambda count: b"\x05" * count)
    dealt = aggregation.deal_key(b"\x01" * 32, claim.threshold)
    assert [hashlib.sha256(share).hexdigest() for share in dealt.shares] == entry["shares_sha256"]
    stated = {"shape": statement.shape, "bound": statement.bound, "binding": statement.binding}
    for member, share in enumerate(dealt.shares, 1):
        backend.check_share(share, member, claim, **stated)


@each("forged")
def test_forged(entry: dict[str, Any]) -> None:
    backend, statement, proof = loaded(entry["name"], {})
    with pytest.raises(ProofRejected, match="the claims about the committed columns do not hold"):
        backend.verify(statement, proof)


@each("mutated")
def test_mutated(entry: dict[str, Any]) -> None:
    with pytest.raises((ProofRejected, CiphertextRefused, ParametersRefused)):
        backend, statement, proof = loaded(entry["of"], entry)
        backend.verify(statement, proof)
