"""Receipts held to a computation that the client knows the rule of: to the samples it sent and the answers it got."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quatrefoil.audit.computations import hashes_of, opening_keys, require_inputs, require_outputs
from quatrefoil.client.receipts import Receipt
from quatrefoil.errors import EvidenceRejected, MessageRefused
from quatrefoil.proofs.field_hash import field_hash
from quatrefoil.quantised.rule import Rule


def require_computed(receipt: Receipt, rule: Rule, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> None:
    """``EvidenceRejected`` naming the check unless ``receipt`` commits to what a graph of this rule computes on
    ``inputs``, and to ``outputs``, both by name: then a proof about the receipt is about these, and no others.

    A server that is not in audit mode says nothing of it, which is refused too, and so is a receipt that names no
    committed weights: no proof could be against them.
    """
    require_provable(receipt)
    if rule.input not in inputs or rule.output not in outputs:
        raise MessageRefused(
            f"no {rule.input!r} was asked or no {rule.output!r} answered", hint="Take the rule of the served model"
        )
    entrance, keys = rule.entrance, opening_keys(receipt.salt)
    hashed = field_hash(entrance.size, entrance.low, entrance.high)
    require_inputs(receipt.fields, hashes_of(hashed, rule.entered(inputs[rule.input]), keys.inputs))
    require_outputs(receipt.fields, keys.outputs, rule.answered(outputs[rule.output]))


def require_provable(receipt: Receipt) -> None:
    """``EvidenceRejected`` naming the check unless ``receipt`` commits to a computation, and names committed weights
    that it can be proven against."""
    if not receipt.fields.inputs:
        raise EvidenceRejected(
            "the inference receipt does not commit to what was computed",
            hint="Ask the server's operator to serve in audit mode, or ask without a rule",
            check="inputs",
        )
    if not receipt.fields.commitment:
        raise EvidenceRejected(
            "the inference receipt names no committed weights: nothing could be proven of the answer",
            hint="Ask the server's operator to serve a model that is sealed with a commitment, or ask without a rule",
            check="commitment",
        )


__all__ = ["require_computed", "require_provable"]
