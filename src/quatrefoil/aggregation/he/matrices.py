"""Plain matrices for encrypted vectors: weights slot by slot, encoded once for as many vectors as there are.

A product with a matrix is one multiplication slot by slot, and rotations that add up what belongs together. What the
encoder rounds off the weights is no secret of anybody, and is measured: each encoded matrix is decoded again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quatrefoil.aggregation.he.bounds import CkksTrack, Weights, floating
from quatrefoil.aggregation.he.context import Context, context
from quatrefoil.errors import CallerError, ModelRefused

Slots = NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class PlainMatrix:
    """``handles``: for each vector its weights, none where all are 0; ``constant``: what is added at the end, if
    anything. ``steps``: rotations after which each slot holds its sum. ``of``: rescalings and scale of the vectors."""

    handles: tuple[Any | None, ...]
    constant: Any | None
    steps: tuple[int, ...]
    known: Weights
    of: tuple[int, int]


def encode_matrix(track: CkksTrack, weights: Sequence[Slots], constant: Slots, steps: Sequence[int]) -> PlainMatrix:
    """For vectors that ``track`` describes. ``weights``: for each vector a value for each slot; ``constant`` likewise.
    ``ParametersRefused`` where the set has no room for it, ``ModelRefused`` where all weights are 0."""
    found = context(track.parameters)
    p, dropped = track.parameters, track.dropped
    if any(each.shape != (p.slots,) or not np.isfinite(each).all() for each in (*weights, constant)):
        raise CallerError(f"a matrix does not have {p.slots} finite weights", hint="Give one for each slot")
    track.require_layer()
    last, target = float(p.left(dropped)[-1]), p.rescaled_bits[dropped]
    handles: list[Any | None] = []
    reach, wrong = np.zeros(p.slots), np.zeros(p.slots)
    for each in weights:
        plain = found.encoder.encode(each, last * 2.0 ** (target - track.scale_bits))
        altered = np.abs(np.asarray(found.encoder.decode_complex(plain)) - each)
        wrong += altered + floating(p) * np.maximum(1.0, np.abs(each))
        reach += np.abs(each)
        handles.append(None if plain.is_zero() else _switched(found, plain, dropped))
    if not any(handle is not None for handle in handles):
        raise ModelRefused(
            "every weight is 0 beside the others and the constants",
            hint="What comes out would depend on no encrypted value: leave such units out",
        )
    added = found.encoder.encode(constant, last * 2.0**target) if constant.any() else None
    reach, wrong = added_up(reach, steps), added_up(wrong, steps)
    most = float((reach * track.bound + np.abs(constant)).max())
    known = Weights(float(reach.max()), float(wrong.max()), most, track.bound, len(steps))
    track.applied(known)
    shift = None if added is None else _switched(found, added, dropped)
    return PlainMatrix(tuple(handles), shift, tuple(steps), known, (dropped, track.scale_bits))


def added_up(values: Slots, steps: Sequence[int]) -> Slots:
    """What rotating by each step and adding, one after the other, makes of slots."""
    for step in steps:
        values = values + np.roll(values, -step)
    return values


def _switched(found: Context, plain: Any, dropped: int) -> Any:
    if dropped:
        found.evaluator.mod_switch_to_inplace(plain, found.parms_id(dropped))
    return plain
