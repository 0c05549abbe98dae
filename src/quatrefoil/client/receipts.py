"""Receipts of one's own exchanges: held to what was sent and received, each number once, and all to one history."""

from __future__ import annotations

import base64
import binascii
import heapq
from dataclasses import dataclass
from datetime import datetime

from quatrefoil.audit import inference_receipts
from quatrefoil.audit.inference_histories import Histories
from quatrefoil.audit.inference_receipts import Expected, InferenceReceipt
from quatrefoil.client.pinning import Pinned
from quatrefoil.enclave.binding import Keyset
from quatrefoil.errors import EvidenceRejected
from quatrefoil.exchange import ServingPolicy, protocol
from quatrefoil.ohttp.messages import Fields

LARGEST_FIELD = 16 << 10
"""Characters of base64; a receipt has about 4,000."""

MOST_KEYSETS = 64
MOST_NUMBERS = 1 << 16
"""Numbers remembered of each keyset. Beyond that the lowest are forgotten, and nothing below them is taken any more."""


@dataclass(frozen=True, repr=False)
class Receipt:
    """A verified receipt, with what somebody else needs to verify it: docs/client.md.

    ``encoded``: as it was signed. ``salt``: opens its commitments, 32 bytes; whoever has it can try out guesses of
    what was asked and answered. ``attestation``: the encoded evidence of ``keyset`` that was accepted before.
    """

    encoded: bytes
    fields: InferenceReceipt
    salt: bytes
    keyset: Keyset
    attestation: bytes

    @property
    def sequence(self) -> int:
        return self.fields.sequence

    def line(self) -> str:
        """For people: which model answered, in which code, and which number the answer has."""
        fields = self.fields
        weights = f", committed weights {fields.commitment.hex()[:16]}" if fields.commitment else ""
        return f"model {fields.model.hex()[:16]}{weights}, {_short(fields.measurement)}, answer {fields.sequence}"

    def __repr__(self) -> str:
        return f"<Receipt: {self.line()}>"


class Sequences:
    """Numbers that were taken, by keyset: a server that gives one number to two answers has two logs."""

    def __init__(self, most: int = MOST_NUMBERS) -> None:
        self._most = most
        self._keysets: dict[bytes, _Numbers] = {}

    def take(self, keyset: bytes, sequence: int) -> None:
        """``EvidenceRejected`` where this number was taken, or is so far below others that nobody knows."""
        numbers = self._keysets.pop(keyset, None) or _Numbers(set(), [])
        while len(self._keysets) >= MOST_KEYSETS:
            del self._keysets[next(iter(self._keysets))]
        self._keysets[keyset] = numbers
        if sequence < numbers.floor or sequence in numbers.taken:
            raise EvidenceRejected(
                f"the inference receipt has number {sequence}, which another answer has, or is far behind",
                hint="Keep both receipts as evidence: the server's log cannot hold them both",
                check="sequence",
            )
        numbers.taken.add(sequence)
        heapq.heappush(numbers.order, sequence)
        while len(numbers.order) > self._most:
            lowest = heapq.heappop(numbers.order)
            numbers.taken.discard(lowest)
            numbers.floor = lowest + 1


@dataclass
class _Numbers:
    taken: set[int]
    order: list[int]
    floor: int = 0


@dataclass(frozen=True)
class Exchanged:
    """What one end saw of an exchange that is over. ``begun``: before it was sent."""

    pinned: Pinned
    salt: bytes
    request: bytes
    answer: bytes
    status: int
    begun: datetime
    ended: datetime


class Verifier:
    """Receipts under one policy. For one event loop."""

    def __init__(self, policy: ServingPolicy, *, server: str | None, committed: bytes | None) -> None:
        """``server``: the certified name that receipts have to name; ``committed``: the root of the commitment to the
        model's weights that they have to name. None: whichever the first of a keyset names."""
        self._policy = policy
        self._digest = policy.digest()
        self._server = server
        self._committed = committed
        self._named: dict[bytes, tuple[str, bytes]] = {}
        """Issuer and commitment, of each keyset."""
        self._sequences = Sequences()
        self._histories = Histories()

    def verify(self, fields: Fields, seen: Exchanged) -> Receipt:
        """The receipt among ``fields``, which must be there once, hold, and be of this exchange; or
        ``EvidenceRejected`` naming the check."""
        encoded = encoded_in(fields)
        keyset = seen.pinned.keyset
        named = seen.pinned.named
        read = inference_receipts.read(encoded)
        issuer, commitment = self._named.get(named, (read.issuer, read.commitment))
        expected = Expected(
            issuer=self._server or issuer,
            model=self._policy.model.root,
            commitment=commitment if self._committed is None else self._committed,
            measurement=seen.pinned.measurement,
            policy=self._digest,
            plan=self._policy.plan,
            request=seen.request,
            answer=seen.answer,
            status=seen.status,
            complete=True,
            begun=seen.begun,
            ended=seen.ended,
        )
        try:
            receipt = inference_receipts.verify_against(encoded, keyset, expected)
        except EvidenceRejected as refusal:
            if refusal.check != "time":
                raise
            # What opens answers this exchange, so it is of now: one of the two clocks is wrong.
            clocks = f"Compare clocks: by this one it is {seen.ended:%Y-%m-%d %H:%M:%S} UTC"
            raise EvidenceRejected(refusal.problem, hint=clocks, check="time") from None
        self._sequences.take(named, receipt.sequence)
        self._histories.take(receipt)
        self._remember(named, (receipt.issuer, receipt.commitment))
        return Receipt(encoded, receipt, seen.salt, keyset, seen.pinned.attestation)

    def _remember(self, keyset: bytes, said: tuple[str, bytes]) -> None:
        if keyset not in self._named:
            while len(self._named) >= MOST_KEYSETS:
                del self._named[next(iter(self._named))]
            self._named[keyset] = said


def encoded_in(fields: Fields) -> bytes:
    """The bytes of the one receipt among ``fields``; ``EvidenceRejected`` where there is none, or more."""
    found = [value for name, value in fields if name.lower() == protocol.RECEIPT_FIELD]
    if len(found) != 1:
        raise EvidenceRejected(
            f"the answer has {'no receipt' if not found else 'several receipts'}: it is not taken",
            hint="Ask the server's operator why, and which version of Quatrefoil it runs",
            check="receipt",
        )
    try:
        if len(found[0]) > LARGEST_FIELD:
            raise ValueError
        return base64.b64decode(found[0], validate=True)
    except (binascii.Error, ValueError):
        raise EvidenceRejected(
            "the answer's receipt is no base64, or too long",
            hint="Ask the server's operator which version of Quatrefoil it runs",
            check="receipt",
        ) from None


def without_receipt(fields: Fields) -> Fields:
    """The other fields of an answer."""
    return tuple(one for one in fields if one[0].lower() != protocol.RECEIPT_FIELD)


def _short(measurement: str) -> str:
    first, _, more = measurement.partition(",")
    name, _, value = first.partition("=")
    return f"{name}={value[:16]}" + (f" and {more.count(',') + 1} more" if more else "")


__all__ = ["Exchanged", "Receipt", "Sequences", "Verifier", "encoded_in", "without_receipt"]
