"""How hard the lattice problems behind the encryption are, by estimate. ``quatrefoil security-level`` prints it."""

from quatrefoil.aggregation.security.lattice import SIEVES
from quatrefoil.aggregation.security.level import TABLES, Level, Published, Row, levels

__all__ = ["SIEVES", "TABLES", "Level", "Published", "Row", "levels"]
