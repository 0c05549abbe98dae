"""Silos that lie about their update as well as they can, with the project's own prover."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar

from quatrefoil.contracts import FloatVector
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import sha256
from quatrefoil.federation.messages import Contribution, RoundContext
from quatrefoil.federation.proving import Proven
from quatrefoil.federation.silo import Silo
from quatrefoil.federation.vectors import euclidean_norm, scaled_down
from world import NAMES, World

NORM = 0.5
"""The bound; honest updates of :data:`HONEST` have a norm of 0.16."""

CLIP, HONEST, POISON = 16.0, 0.05, -15.0
"""By how much honest silos, and the one that lies, move every parameter."""

LIMITS: dict[str, object] = {"clip": CLIP, "update_norm": NORM, "on_excess": "refuse"}


class Oversized(Silo):
    """Keeps to no norm: what it trained is what it encrypts. With proofs there is nothing that it could prove."""

    def _held(self, update: FloatVector) -> FloatVector:
        return update


class Forger(Oversized):
    """Encrypts an update of any size, and sends the proof of another ciphertext: the same, scaled down to the norm."""

    def _encrypt(self, context: RoundContext, update: FloatVector) -> bytes:
        subject = self._agreed().subject(context, self._security.name, self._current().direction)
        encrypted, hidden = self._proofs.encrypt(self._aggregation, update, subject)
        if hidden is None:
            return super()._encrypt(context, update)
        small = scaled_down(update, min(NORM, euclidean_norm(update)))
        other, provable = self._proofs.encrypt(self._aggregation, small, subject)
        sealed = self._security.seal(context.sealing_key, encrypted.key, context=context.digest())
        proven = self._proofs.prove(subject, other.ciphertext, sealed, provable)
        return self.message(context, encrypted.ciphertext, sealed, proven)

    def message(self, context: RoundContext, ciphertext: bytes, sealed: bytes, proven: Proven) -> bytes:
        contribution = Contribution(context.digest(), sha256(ciphertext), sha256(sealed), proven.claims)
        return parts.join([self._security.sign(contribution.encode()), sealed, ciphertext, proven.proof])


class Overlong(Forger):
    """Keeps to the policy's norm, and proves that, whatever the norm of the round is. ``keys``: those it sealed."""

    keys: ClassVar[list[bytes]] = []

    def _encrypt(self, context: RoundContext, update: FloatVector) -> bytes:
        subject = dataclasses.replace(
            self._agreed().subject(context, self._security.name, self._current().direction), norm=NORM
        )
        encrypted, hidden = self._proofs.encrypt(self._aggregation, update, subject)
        self.keys.append(bytes(encrypted.key))
        sealed = self._security.seal(context.sealing_key, encrypted.key, context=context.digest())
        proven = self._proofs.prove(subject, encrypted.ciphertext, sealed, hidden)
        return self.message(context, encrypted.ciphertext, sealed, proven)


class WrongKey(Forger):
    """Proves what is true of its ciphertext, and seals a key that is not the one of it."""

    def _encrypt(self, context: RoundContext, update: FloatVector) -> bytes:
        subject = self._agreed().subject(context, self._security.name, self._current().direction)
        encrypted, hidden = self._proofs.encrypt(self._aggregation, update, subject)
        sealed = self._security.seal(context.sealing_key, bytes(range(32)), context=context.digest())
        proven = self._proofs.prove(subject, encrypted.ciphertext, sealed, hidden)
        return self.message(context, encrypted.ciphertext, sealed, proven)


class Relabeller(Forger):
    """An honest proof, with changes to what it signs of it."""

    claim_changes: ClassVar[Mapping[str, bytes]] = {}

    def message(self, context: RoundContext, ciphertext: bytes, sealed: bytes, proven: Proven) -> bytes:
        (claim,) = proven.claims
        changed = dataclasses.replace(claim, **self.claim_changes)
        return super().message(context, ciphertext, sealed, Proven((changed,), proven.proof))

    def _encrypt(self, context: RoundContext, update: FloatVector) -> bytes:
        subject = self._agreed().subject(context, self._security.name, self._current().direction)
        encrypted, hidden = self._proofs.encrypt(self._aggregation, update, subject)
        sealed = self._security.seal(context.sealing_key, encrypted.key, context=context.digest())
        return self.message(
            context,
            encrypted.ciphertext,
            sealed,
            self._proofs.prove(subject, encrypted.ciphertext, sealed, hidden),
        )


def begun(kind: type[Silo], liar: str = "cusco", *, proofs: bool, names: Sequence[str] = NAMES) -> World:
    """A job that has begun, in which the silo called ``liar`` is of ``kind``."""
    world = World(names=names, limits={**LIMITS, "proofs": proofs}).begin()
    world.silos[liar].__class__ = kind
    return world
