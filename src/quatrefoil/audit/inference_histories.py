"""Receipts of a keyset beside each other: an issuer has one history, and two receipts may prove that it has told two.

A chain cannot be forked unseen by whoever holds receipts from both branches: under one number there is one receipt, and
each names the one before. The contradiction is in what the issuer signed, and needs nobody's word.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from itertools import pairwise

from quatrefoil.audit.inference_receipts import InferenceReceipt, rejected
from quatrefoil.errors import EvidenceRejected

MOST_REMEMBERED = 4096
"""Receipts of which a client knows that it was given them, the newest."""


def require_one_history(receipts: Iterable[InferenceReceipt]) -> None:
    """``EvidenceRejected`` with the check "history" where two of these verified receipts cannot both be of one chain:
    the proof that whoever held the key told two histories. The same receipt twice is none."""
    ordered = sorted(set(receipts), key=lambda one: (one.keyset, one.sequence))
    for one, other in pairwise(ordered):
        if one.keyset == other.keyset and (problem := _contradiction(one, other)):
            raise _two_histories(one, problem)


class Histories:
    """What one client was given, of every keyset. For one thread at a time."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[bytes, int], InferenceReceipt] = OrderedDict()

    def take(self, receipt: InferenceReceipt) -> None:
        """Remember a verified receipt; ``EvidenceRejected`` where it was given before, or contradicts one that was.

        Answers to requests that ran beside each other come in any order, and so do their numbers.
        """
        place = (receipt.keyset, receipt.sequence)
        if self._known.get(place) == receipt:
            raise rejected(f"has number {receipt.sequence}, and was given for another answer before", "history")
        for beside in (-1, 0, 1):
            known = self._known.get((receipt.keyset, receipt.sequence + beside))
            if known is not None:
                first, second = (receipt, known) if beside > 0 else (known, receipt)
                if problem := _contradiction(first, second):
                    raise _two_histories(receipt, problem)
        self._known[place] = receipt
        if len(self._known) > MOST_REMEMBERED:
            self._known.popitem(last=False)


def _contradiction(one: InferenceReceipt, other: InferenceReceipt) -> str:
    """Why two different receipts of a keyset, the first with no higher number, are not of one chain; empty if they may
    be."""
    if one.sequence == other.sequence:
        return f"number {one.sequence} stands on two different receipts"
    if one.sequence + 1 == other.sequence and other.previous != one.digest():
        return f"number {other.sequence} names another receipt before it than number {one.sequence}"
    if other.time < one.time:
        return f"number {other.sequence} is of an earlier time than number {one.sequence}"
    return ""


def _two_histories(receipt: InferenceReceipt, problem: str) -> EvidenceRejected:
    return EvidenceRejected(
        f"the issuer {receipt.issuer} has told two histories: {problem}",
        hint="Keep both receipts: together they prove that the code or its key is not what it was attested to be",
        check="history",
        party=receipt.issuer,
    )


__all__ = ["Histories", "require_one_history"]
