"""One encryption and what it accepts: every value, the weight and the shape are checked before a seed is drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from quatrefoil import _core
from quatrefoil.aggregation.parameters import ParameterSet
from quatrefoil.contracts import FloatVector, SumShape
from quatrefoil.errors import ParametersRefused, UpdateRefused

LARGEST_LENGTH = 1 << 36
CLIP_RANGE = (2.0**-100, 2.0**100)
"""Within these bounds no product under- or overflows, so the error bound holds."""


@dataclass(frozen=True)
class OneEncryption:
    """What all blocks of one encryption share."""

    parameters: ParameterSet
    weight: float
    shape: SumShape
    threads: int
    key: bytearray = field(repr=False)
    noise: bytearray = field(repr=False)

    def blocks(self, header: bytes, values: FloatVector, *, first_block: int = 0, start: int = 0) -> bytes:
        """``header`` and the blocks of ``values``, which begin with value ``start`` of the update."""
        try:
            return _core.encrypt(
                self.parameters.layout,
                header,
                values,
                clip=self.shape.clip,
                factor=self.parameters.factor(self.weight, self.shape.clip),
                context=self.shape.context,
                key_seed=self.key,
                noise_seed=self.noise,
                threads=self.threads,
                first_block=first_block,
            )
        except _core.ValueRefused as error:
            index = error.args[0]
            raise UpdateRefused(
                f"value {start + index} is {values[index]}, not finite and within the clip bound of {self.shape.clip}",
                hint="Clip the update before it is encrypted, and look for diverging training",
            ) from None


def check_shape(shape: SumShape) -> None:
    hint = "All parties take the shape of the sum from the signed round context"
    if type(shape.length) is not int or not 1 <= shape.length <= LARGEST_LENGTH:
        raise ParametersRefused(f"a length of {shape.length} values is not 1 to {LARGEST_LENGTH}", hint=hint)
    # A float32 would carry its precision into the scale, beyond the error bound.
    if not isinstance(shape.clip, float | int) or not CLIP_RANGE[0] <= shape.clip <= CLIP_RANGE[1]:
        raise ParametersRefused(
            f"a clip bound of {shape.clip} is not within {CLIP_RANGE[0]} to {CLIP_RANGE[1]}", hint=hint
        )
    if len(shape.context) != 32:
        raise ParametersRefused(f"a context digest of {len(shape.context)} bytes is not 32 bytes", hint=hint)


def check_values(values: FloatVector, shape: SumShape) -> None:
    hint = f"Pass a contiguous float32 or float64 vector of {shape.length} values"
    if not isinstance(values, np.ndarray) or values.dtype not in (np.float32, np.float64):
        kind = values.dtype if isinstance(values, np.ndarray) else type(values).__name__
        raise UpdateRefused(f"the update is {kind}, not an array of float32 or float64", hint=hint)
    if values.shape != (shape.length,):
        raise UpdateRefused(f"the update has the shape {values.shape}, not ({shape.length},)", hint=hint)
    if not (values.flags.c_contiguous and values.flags.aligned):
        raise UpdateRefused(f"the update is not contiguous (strides of {values.strides[0]} bytes)", hint=hint)


def check_weight(weight: float) -> None:
    if not (math.isfinite(weight) and 0 < weight <= 1):
        raise UpdateRefused(f"the weight {weight} is not within (0, 1]", hint="Pass the silo's share of the samples")


def wipe(secret: bytearray) -> None:
    secret[:] = bytes(len(secret))


__all__ = ["CLIP_RANGE", "LARGEST_LENGTH", "OneEncryption", "check_shape", "check_values", "check_weight", "wipe"]
