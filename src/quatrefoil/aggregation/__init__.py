"""Layer 3: sums of updates of which the aggregator sees no single one, by additive RLWE encryption. Unaudited."""

from typing import TYPE_CHECKING, Any

from quatrefoil.aggregation.additive import Accumulator, AdditiveAggregation, RandomBytes
from quatrefoil.aggregation.parameters import ParameterSet

if TYPE_CHECKING:
    from quatrefoil.aggregation.ckks import CkksAggregation, CkksSumSet

__all__ = [
    "Accumulator",
    "AdditiveAggregation",
    "CkksAggregation",
    "CkksSumSet",
    "ParameterSet",
    "RandomBytes",
]


def __getattr__(name: str) -> Any:
    """The backend of an extra is loaded by whoever names it."""
    if name in ("CkksAggregation", "CkksSumSet"):
        from quatrefoil.aggregation import ckks

        return getattr(ckks, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
