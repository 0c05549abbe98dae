"""Keeper and aggregator together: the one coalition that the additive encryption does not withstand.

A ciphertext hides its update from whoever lacks the silo's key. The keeper sees every key of the round, the aggregator
every ciphertext: put together, they decrypt each hospital by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from quatrefoil.contracts import Opened, PrivateAggregation, Recipient, SumShape, TransportSecurity, VerifiedStatement
from quatrefoil.demo import inversion
from quatrefoil.demo.attacks.outcome import Outcome
from quatrefoil.demo.inversion import Packing

Vector = NDArray[np.float64]


class CuriousKeeper:
    """A keeper's ``TransportSecurity`` in the hands of an operator who writes down every key that it opens."""

    def __init__(self, inner: TransportSecurity) -> None:
        self._inner = inner
        self.keys: dict[str, bytes] = {}

    @property
    def name(self) -> str:
        return self._inner.name

    def sign(self, body: bytes) -> bytes:
        return self._inner.sign(body)

    def verify(self, signed: bytes) -> VerifiedStatement:
        return self._inner.verify(signed)

    @property
    def certificate(self) -> bytes:
        return self._inner.certificate

    def sign_bare(self, message: bytes) -> bytes:
        return self._inner.sign_bare(message)

    def verify_bare(
        self, message: bytes, signature: bytes, *, certificate: bytes, claimed: datetime
    ) -> VerifiedStatement:
        return self._inner.verify_bare(message, signature, certificate=certificate, claimed=claimed)

    def seal(self, recipient: bytes, plaintext: bytes | bytearray, *, context: bytes) -> bytes:
        return self._inner.seal(recipient, plaintext, context=context)

    def new_recipient(self) -> Recipient:
        return _Watched(self._inner.new_recipient(), self.keys)


class _Watched:
    """A recipient whose plaintexts are copied, by sender, before the keeper wipes them."""

    def __init__(self, inner: Recipient, keys: dict[str, bytes]) -> None:
        self._inner = inner
        self._keys = keys

    @property
    def public(self) -> bytes:
        return self._inner.public

    def open(self, sealed: bytes, *, context: bytes) -> Opened:
        opened = self._inner.open(sealed, context=context)
        self._keys[opened.sender.signer] = bytes(opened.plaintext)
        return opened

    def wipe(self) -> None:
        self._inner.wipe()


def collude_with_keeper(
    aggregation: PrivateAggregation,
    *,
    ciphertexts: Mapping[str, bytes],
    keys: Mapping[str, bytes],
    sent: Mapping[str, Vector],
    shape: SumShape,
    packing: Packing | None = None,
) -> Outcome:
    """What the aggregator holds of a round (``ciphertexts``), alone and with what the keeper opened (``keys``).

    ``sent``: what every hospital encrypted, its update times its weight. All by hospital.
    """
    opened = {}
    for name, ciphertext in ciphertexts.items():
        combined = aggregation.combine_keys([keys[name]])
        opened[name] = aggregation.decrypt(ciphertext, combined, shape=shape, count=1).values  # a sum of one
    together = max(_relative(opened[name], sent[name]) for name in sent)
    closed = {name: inversion.ciphertext_as_update(one, shape.length, packing) for name, one in ciphertexts.items()}
    alone = min(_relative(_scaled(closed[name], sent[name]), sent[name]) for name in sent)
    return Outcome(
        name="keeper",
        layer="a keeper that keeps to itself",
        turned_off="One real round of the demo's job, in which the keeper's operator copies every key that the "
        "keeper opens, and gives the copies to the aggregator.",
        won=f"The updates of all {len(opened)} hospitals ({', '.join(sorted(opened))}), each by itself, to "
        f"{together:.2%} of its length or better: the rounding of the encryption.",
        left=f"The aggregator alone has {len(closed)} ciphertexts. Unpacked as if they were not encrypted, and scaled "
        f"to fit, the best is {alone:.0%} of its update's length away from it.",
        verdict="Nothing protects against this here: the demo's keeper is software, isolation: none. Put it behind "
        "isolation that the silos appraise, or have it run by somebody who does not run the aggregator.",
        without={"updates_read": len(opened), "relative_error": together},
        with_layer={"updates_read": 0, "relative_error": alone},
        protected=False,
    )


def _scaled(found: Vector, truth: Vector) -> Vector:
    """``found`` at the length of the truth: the attacker does not lose for want of a scale."""
    return np.asarray(found * (np.linalg.norm(truth) / np.linalg.norm(found)), np.float64)


def _relative(found: Vector, truth: Vector) -> float:
    """The Euclidean distance from the truth, as a share of the truth's length."""
    return float(np.linalg.norm(found - truth) / np.linalg.norm(truth))
