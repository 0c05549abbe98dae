"""What a client of an integer graph has to know to recompute what its receipts commit to: none of the weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quatrefoil import strict_json
from quatrefoil.errors import EvidenceRejected, MessageRefused, ModelRefused
from quatrefoil.quantised.graph import LARGEST_EXPONENT, IntegerGraph
from quatrefoil.quantised.program import Entrance

FORMAT = "quatrefoil.integer-rule/1"
LARGEST = 1 << 16
_HINT = "Ask the model's owner for the rule of the model that is served"


@dataclass(frozen=True)
class Rule:
    """``input``, ``output``: names. ``entrance``: what the input is rounded to, after times 2^``exponent``.
    ``output_exponent``: an integer of the output travels as itself times 2^-``output_exponent``."""

    input: str
    entrance: Entrance
    exponent: int
    output: str
    output_exponent: int

    @classmethod
    def of(cls, graph: IntegerGraph) -> Rule:
        """Of a graph that ends in ArgMax the answers are places: integers that travel as themselves."""
        entry = graph.input
        entrance = Entrance(entry.shape, entry.low, entry.high)
        return cls(entry.name, entrance, entry.exponent, graph.output, graph.exponents[-1])

    def entered(self, samples: Any) -> NDArray[np.int32]:
        """The integers (rows, size) that the model computes on, for samples (rows, ...)."""
        return self.entrance.enter(np.asarray(samples, np.float32), self.exponent)

    def answered(self, answers: Any) -> NDArray[np.int32]:
        """The integers (rows, features) of answers (rows, ...); ``MessageRefused`` where they are of none."""
        given = np.asarray(answers, np.float64)
        exact = np.ldexp(given, self.output_exponent)
        found = np.rint(exact)
        if not given.size or not (np.abs(found) < 1 << 31).all() or (found != exact).any():
            raise MessageRefused("an answer that no integer graph of this rule gives", hint=_HINT)
        return found.astype(np.int32).reshape(len(given), -1)

    def encode(self) -> bytes:
        """JSON, for whoever asks such a model."""
        entrance = self.entrance
        said = {
            "format": FORMAT,
            "input": [self.input, list(entrance.shape), self.exponent, entrance.low, entrance.high],
            "output": [self.output, self.output_exponent],
        }
        return json.dumps(said).encode()

    @classmethod
    def decode(cls, content: bytes) -> Rule:
        """The rule that :meth:`encode` wrote; ``ModelRefused`` for anything else."""
        try:
            said: Any = strict_json.parse(content, "the rule", limit=LARGEST)
            (name, shape, exponent, low, high), (output, output_exponent) = said["input"], said["output"]
            numbers = [*shape, exponent, low, high, output_exponent]
            if any(type(one) is not int for one in numbers) or said["format"] != FORMAT or len(said) != 3:
                raise ValueError
            if max(abs(exponent), abs(output_exponent)) > LARGEST_EXPONENT or not shape or min(shape) < 1:
                raise ValueError
            if type(name) is not str or type(output) is not str or not -(1 << 15) <= low <= 0 < high < 1 << 16:
                raise ValueError
        except (EvidenceRejected, KeyError, TypeError, ValueError):
            raise ModelRefused("it is no rule of an integer graph", hint=_HINT) from None
        return cls(name, Entrance(tuple(shape), low, high), exponent, output, output_exponent)


__all__ = ["FORMAT", "Rule"]
