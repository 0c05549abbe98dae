"""Which slot of an encrypted row holds what of a network.

Slots are ``inputs`` blocks of ``stride``: block i holds input i in each of its slots, whatever the model. Position t of
a block is of hidden unit (t / outputs) mod hidden and of output t mod outputs, all powers of two. So a layer is one
multiplication and log2 rotations, its sums stand in every block, and what comes back has each output in many slots and
nothing else in any. Hidden units that a block has no place for are further vectors, added up before the last rotations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quatrefoil.aggregation.he import HeParameters
from quatrefoil.errors import ParametersRefused

MOST_VECTORS = 64
"""Of hidden units: each costs a layer of its own."""
Slots = NDArray[np.float64]


@dataclass(frozen=True)
class Layout:
    """``inputs`` blocks; ``hidden`` units and ``outputs`` that a block has places for, each many times; ``vectors``:
    how many hold all hidden units."""

    slots: int
    inputs: int
    hidden: int
    outputs: int
    vectors: int

    @classmethod
    def of(cls, p: HeParameters, columns: int, hidden: int, outputs: int) -> Layout:
        inputs, several = power(max(2, columns)), power(outputs)
        places = p.slots // inputs // several
        vectors = -(-hidden // places) if places else 0
        if not 1 <= vectors <= MOST_VECTORS:
            raise ParametersRefused(
                f"{columns} inputs, {hidden} hidden units and {outputs} outputs need {inputs} x {several} slots for "
                f"each hidden unit, and {p.name} has {p.slots} in each of at most {MOST_VECTORS} vectors",
                hint="Use fewer inputs, hidden units or outputs",
            )
        return cls(p.slots, inputs, min(power(hidden), places), several, vectors)

    @property
    def stride(self) -> int:
        return self.slots // self.inputs

    @property
    def input_steps(self) -> list[int]:
        return [self.stride << i for i in range(self.inputs.bit_length() - 1)]

    @property
    def hidden_steps(self) -> list[int]:
        return [self.outputs << i for i in range(self.hidden.bit_length() - 1)]

    def groups(self, units: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """The hidden units of each vector, along the first axis, filled up with zeros."""
        filled = np.zeros((self.vectors * self.hidden, *units.shape[1:]))
        filled[: len(units)] = units
        return np.split(filled, self.vectors)

    def hidden_weights(self, units: NDArray[np.float64]) -> Slots:
        """Hidden units x columns, in slots."""
        filled = np.zeros((self.hidden, self.inputs))
        filled[:, : units.shape[1]] = units
        return filled[self._unit].T.ravel()

    def hidden_values(self, units: Slots) -> Slots:
        return np.tile(units[self._unit], self.inputs)

    def output_weights(self, weights: NDArray[np.float64]) -> Slots:
        """Outputs x hidden units, in slots."""
        filled = np.zeros((self.outputs, self.hidden))
        filled[: len(weights)] = weights
        return np.tile(filled[self._output, self._unit], self.inputs)

    def output_values(self, values: Slots) -> Slots:
        filled = np.zeros(self.outputs)
        filled[: len(values)] = values
        return np.tile(filled[self._output], self.inputs)

    @property
    def _unit(self) -> NDArray[np.int64]:
        return np.arange(self.stride) // self.outputs % self.hidden

    @property
    def _output(self) -> NDArray[np.int64]:
        return np.arange(self.stride) % self.outputs


def power(count: int) -> int:
    return 1 << (count - 1).bit_length()
