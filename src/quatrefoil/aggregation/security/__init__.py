"""How hard the lattice problems behind the encryption and the field hash are, by estimate: what
``quatrefoil security-level`` prints."""

from quatrefoil.aggregation.security.lattice import SIEVES
from quatrefoil.aggregation.security.level import TABLES, Level, Published, Row, levels
from quatrefoil.aggregation.security.short_integers import Collision, collision, field_hash_sets

__all__ = [
    "SIEVES",
    "TABLES",
    "Collision",
    "Level",
    "Published",
    "Row",
    "collision",
    "field_hash_sets",
    "levels",
]
