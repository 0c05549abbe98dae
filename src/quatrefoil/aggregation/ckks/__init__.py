"""Sums of a round in CKKS on Microsoft SEAL, under a fresh key a silo and round. docs/ckks-sums.md; unaudited."""

from quatrefoil.aggregation.ckks.backend import CkksAggregation
from quatrefoil.aggregation.ckks.parameters import CkksSumSet

__all__ = ["CkksAggregation", "CkksSumSet"]
