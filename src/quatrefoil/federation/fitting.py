"""How a silo makes what it trained fit its job: the difference to the model, within the clip bound, and within what the
proofs of a round show (``holding``). The policy says whether what does not fit is made to, or refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quatrefoil.audit import Log
from quatrefoil.contracts import FloatVector
from quatrefoil.federation.holding import Bounds, held
from quatrefoil.federation.progress import Progress
from quatrefoil.federation.vectors import Arrays, Layout, flatten, largest_within
from quatrefoil.policy import Policy


def difference(trained: Sequence[NDArray[np.floating]], model: Arrays, layout: Layout) -> FloatVector:
    """``trained`` minus ``model``, not finite where that overflows."""
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused, like other infinities
        return flatten(trained, layout) - flatten(model, layout)


class Fitting:
    """Of one silo, whose log says what was clipped."""

    def __init__(self, policy: Policy, log: Log) -> None:
        self._policy = policy
        self._log = log

    def clipped(self, update: FloatVector, number: int, held: Callable[[FloatVector], FloatVector]) -> FloatVector:
        """The update of round ``number`` within the clip bound, and then ``held`` to the bounds of the round; or as it
        is, to be refused."""
        bound = largest_within(self._policy.limits.clip, update.dtype)
        beyond = int(np.count_nonzero(np.abs(update) > bound))
        # What is not finite comes of diverged training: it is left for the encryption to refuse, not clipped.
        if beyond and self._policy.on_excess == "clip" and np.isfinite(update).all():
            self._log.append("clipped", {"round": number, "values": beyond, "clip": float(bound)})
            clipped: NDArray[Any] = np.clip(update, -bound, bound)
            update = clipped
        # What is still beyond the clip bound, or not finite, the encryption refuses by its index.
        return held(update) if (np.abs(update) <= bound).all() else update

    def held(self, update: FloatVector, layout: Layout, current: Progress) -> FloatVector:
        """The update within what the proofs of the round after ``current`` show."""
        limits = self._policy.limits
        bounds = Bounds(
            float(largest_within(limits.clip, update.dtype)),
            current.norm,
            layout.sizes,
            limits.update_layer_norms,
            current.direction,
        )
        kept = held(update, bounds, refuse=self._policy.on_excess == "refuse", round_number=current.rounds + 1)
        if kept is not update:
            self._log.append("clipped", {"round": current.rounds + 1, "update_norm": current.norm})
        return kept


__all__ = ["Fitting", "difference"]
