"""Layer 3: sums of updates of which the aggregator sees no single one, by additive RLWE encryption. Unaudited."""

from quatrefoil.aggregation.additive import Accumulator, AdditiveAggregation, RandomBytes
from quatrefoil.aggregation.parameters import ParameterSet

__all__ = ["Accumulator", "AdditiveAggregation", "ParameterSet", "RandomBytes"]
