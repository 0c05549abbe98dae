"""What the far end of the transport bench does with a message before it answers, the same under every stack.

Nothing, a forward pass of the demo's perceptron, or what every message between a silo and its aggregator needs: the
statement in it is verified, and the answer signed. Statements are of ML-DSA-65 keys under every stack, also the
classical one, so that what differs between two rows is the channel.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Self

import numpy as np

from quatrefoil.demo.models import initial, predict_probability
from quatrefoil.errors import HostError, MessageRefused
from quatrefoil.transport import Identity, PostQuantumTransport, TrustAnchor, system_clock

ECHOED = 4096
"""Bytes of a message that is answered with itself; a longer one without work is answered with one byte."""

WHOLE = 32 << 10
"""Bytes of the longest message with work in it."""

PATIENTS, FEATURES = 8, 32
"""Patients in a request to the model, and what it knows of each: 545 parameters, as in ``quatrefoil demo``."""

_PLAIN, _SCORE, _STATEMENT = b"\0", b"\1", b"\2"
"""First bytes of messages: without work, or which work is in them. Only an empty message has none."""


def plain(length: int) -> bytes:
    """A message of ``length`` bytes without work in it, random but for the first byte, which says so."""
    return (_PLAIN + os.urandom(max(length - 1, 0)))[:length]


class Desk:
    """The far end's side: one party that answers."""

    def __init__(self, folder: Path) -> None:
        self._security = _party(folder / "aggregator")
        self._model = initial("mlp", FEATURES, 0)

    def answer(self, message: bytes) -> bytes:
        """``MessageRefused`` where the message is of no kind, or its work cannot be done."""
        kind = message[:1]
        if kind == _SCORE:
            if (len(message) - 1) % (4 * FEATURES):
                raise MessageRefused(f"{len(message) - 1} bytes are no patients", hint=f"Send {FEATURES} floats each")
            features = np.frombuffer(message, "<f4", offset=1).reshape(-1, FEATURES)
            return predict_probability(self._model, features.astype(np.float64)).astype("<f4").tobytes()
        if kind == _STATEMENT:
            return self._security.sign(hashlib.sha256(self._security.verify(message[1:]).body).digest())
        if kind not in (b"", _PLAIN):
            raise MessageRefused(f"a message of the bench begins with {kind!r}", hint="Make it with plain()")
        return message if len(message) <= ECHOED else b"!"


class Asker:
    """The near end's side: a party that asks, and checks what it is told."""

    def __init__(self, folder: Path) -> None:
        self._security = _party(folder / "silo")
        features = np.random.default_rng(0).normal(size=(PATIENTS, FEATURES)).astype("<f4")
        self.patients = _SCORE + features.tobytes()
        self.scores = Desk(folder).answer(self.patients)

    def statement(self, body: bytes) -> bytes:
        """``body`` signed."""
        return _STATEMENT + self._security.sign(body)

    def require_receipt(self, answer: bytes, body: bytes) -> None:
        """Return if ``answer`` is the far end's signed word that it has verified ``body``."""
        said = self._security.verify(answer)
        if said.role != "aggregator" or said.body != hashlib.sha256(body).digest():
            raise HostError(
                "the far end of the bench signed something else", hint="Run it again; report it if it stays"
            )


class Direct:
    """No channel: the far end's work is called as a function, which is what it costs alone."""

    name = "no channel"

    def __init__(self, folder: Path) -> None:
        self.ask = Desk(folder).answer

    def connect(self, *, resume: bool = False) -> Self:
        del resume
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def _party(folder: Path) -> PostQuantumTransport:
    return PostQuantumTransport(Identity.load(folder), TrustAnchor.load(folder), clock=system_clock)


__all__ = ["ECHOED", "FEATURES", "PATIENTS", "WHOLE", "Asker", "Desk", "Direct", "plain"]
