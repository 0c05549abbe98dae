"""A model in floating point as the few operations that can be quantised, with all that is folded into each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quatrefoil.quantised.steps import Shape

Floats = NDArray[np.float64]
Kind = Literal["dense", "conv", "sum", "average-pool", "max-pool", "flatten", "argmax"]


@dataclass(eq=False)
class FloatStep:
    """One operation with all that is folded into it. ``tensor``: where the ONNX graph holds its value; a ReLU that
    follows later, behind a pooling, is ``relu`` here and not yet in that tensor. ``last``, ``keep_dims``: of an ArgMax,
    as in :class:`~quatrefoil.quantised.steps.ArgMax`. ``features``: that a flattening says it gives; 0 where it does
    not."""

    kind: Kind
    node: str
    sources: tuple[int, ...]
    tensor: str
    weights: Floats = field(default_factory=lambda: np.zeros(0))
    bias: Floats = field(default_factory=lambda: np.zeros(0))
    kernel: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    relu: bool = False
    last: bool = False
    keep_dims: bool = False
    features: int = 0

    @property
    def learns(self) -> bool:
        return self.kind in ("dense", "conv")

    @property
    def rounds(self) -> bool:
        """Whether its sums are rounded to fewer bits."""
        return self.kind in ("dense", "conv", "sum", "average-pool")


@dataclass(frozen=True, eq=False)
class FloatModel:
    """``shape``: of one sample. ``batch``: samples that it takes at once, 0 for any number. The output is the value of
    the last step."""

    input: str
    shape: Shape
    batch: int
    output: str
    steps: tuple[FloatStep, ...]


def window(step: FloatStep, shape: Shape) -> tuple[int, int]:
    """The window of a pooling on a value of this shape."""
    return step.kernel if step.kernel != (0, 0) else (shape[1], shape[2]) if len(shape) == 3 else (0, 0)


__all__ = ["FloatModel", "FloatStep", "Floats", "Kind", "window"]
