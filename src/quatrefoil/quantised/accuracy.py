"""What quantising costs: the integer graph beside the float model, on inputs whose labels are known or not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quatrefoil.errors import CallerError, PolicyInvalid
from quatrefoil.quantised.batches import outputs_of
from quatrefoil.quantised.float_model import Floats


@dataclass(frozen=True)
class Accuracy:
    """``agreement``: share of ``samples`` for which both choose the same class. ``largest_difference``: of two outputs,
    over the largest output of the float model; 0 where the outputs are classes. ``float_accuracy``, ``accuracy``: share
    of right choices, None without labels."""

    samples: int
    agreement: float
    largest_difference: float
    float_accuracy: float | None
    accuracy: float | None

    @property
    def drop(self) -> float:
        """What is lost: of right choices where labels are known, else of agreement. Never below 0."""
        if self.float_accuracy is None or self.accuracy is None:
            return 1.0 - self.agreement
        return max(0.0, self.float_accuracy - self.accuracy)

    def require(self, largest_drop: float) -> None:
        """``PolicyInvalid`` where more is lost than is allowed."""
        if self.drop > largest_drop:
            raise PolicyInvalid(
                f"quantising loses {self.drop:.4f} of {self.samples} answers, over the {largest_drop:g} allowed",
                hint="Use more bits a weight or a value, samples more like what will come, or allow more",
            )


def measure_accuracy(
    model: bytes, integers: bytes, samples: Floats, labels: NDArray[np.integer] | None = None
) -> Accuracy:
    """Both ONNX files on the same ``samples`` (n, ...); ``labels`` (n) are places in the output."""
    if labels is not None and np.shape(labels) != (len(samples),):
        raise CallerError(f"labels of shape {np.shape(labels)} for {len(samples)} samples", hint="Give one a sample")
    theirs, ours = _outputs(model, samples), _outputs(integers, samples)
    if theirs.shape != ours.shape:
        raise CallerError("the two models do not answer alike", hint="Compare a model with what was made of it")
    chosen, chosen_by_float = _chosen(ours), _chosen(theirs)
    difference = 0.0
    if theirs.ndim > 1:
        difference = float(np.abs(theirs - ours).max() / max(float(np.abs(theirs).max()), 1e-300))
    return Accuracy(
        samples=len(samples),
        agreement=float((chosen == chosen_by_float).mean()),
        largest_difference=difference,
        float_accuracy=None if labels is None else float((chosen_by_float == labels).mean()),
        accuracy=None if labels is None else float((chosen == labels).mean()),
    )


def _outputs(model: bytes, samples: Floats) -> Floats:
    """Of a model with one output."""
    answers = [next(iter(outputs.values())) for outputs in outputs_of(model, samples)]
    found = np.concatenate(answers)
    # Places of an ArgMax, be they in vectors of one.
    return (found.reshape(len(found)) if found.dtype.kind == "i" else found).astype(np.float64)


def _chosen(outputs: Floats) -> NDArray[np.int64]:
    """The class: the output itself, the larger of several, or whether a single one is positive."""
    if outputs.ndim == 1:
        return outputs.astype(np.int64)
    if outputs.shape[1] == 1:
        return (outputs[:, 0] > 0).astype(np.int64)
    return np.asarray(outputs.argmax(axis=1), np.int64)


__all__ = ["Accuracy", "measure_accuracy"]
