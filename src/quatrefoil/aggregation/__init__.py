"""Layer 3: sums of updates of which the aggregator sees no single one, by additive RLWE encryption. Unaudited."""

from quatrefoil.aggregation.additive import Accumulator, AdditiveAggregation, RandomBytes
from quatrefoil.aggregation.ckks import CkksAggregation, CkksSumSet
from quatrefoil.aggregation.parameters import ParameterSet

__all__ = [
    "Accumulator",
    "AdditiveAggregation",
    "CkksAggregation",
    "CkksSumSet",
    "ParameterSet",
    "RandomBytes",
]
