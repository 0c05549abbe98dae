"""What cryptography Quatrefoil uses, and where: for people, and as a CycloneDX CBOM for programs.

Measurements and demonstrated attacks (``bench``, ``demo``) are left out: they use weaker peers on purpose.
"""

from quatrefoil.inventory.assets import ALGORITHMS, MATERIALS, Algorithm, Material
from quatrefoil.inventory.cbom import SPEC_VERSION, cbom

__all__ = ["ALGORITHMS", "MATERIALS", "SPEC_VERSION", "Algorithm", "Material", "cbom"]
