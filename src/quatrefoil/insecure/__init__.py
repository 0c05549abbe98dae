"""Stand-ins that protect nothing. Each is accepted by name, and marks every output that it touches."""

from quatrefoil.insecure.plain import PLAIN_AGGREGATION, PlainAggregation
from quatrefoil.insecure.software import SOFTWARE_KEEPER, SoftwareIsolation

__all__ = ["PLAIN_AGGREGATION", "SOFTWARE_KEEPER", "PlainAggregation", "SoftwareIsolation"]
