"""The cryptographic assets, written down by hand and held to the code by a test.

``level`` is the NIST security category against a quantum computer: 0 where Shor's algorithm breaks it, 1 to 5 as NIST
has assigned them (FIPS 203 table 2, FIPS 204 table 1; AES-128/192/256 are 1/3/5 and SHA-256/384/512 are 2/4/5 by
definition of the categories), and None where NIST has assigned none. Of a hybrid it is that of its ML-KEM half.
"""

from __future__ import annotations

from quatrefoil.inventory.classical import CLASSICAL
from quatrefoil.inventory.computing import COMPUTING
from quatrefoil.inventory.key_agreement import KEY_AGREEMENT
from quatrefoil.inventory.material import MATERIALS
from quatrefoil.inventory.model import Algorithm, Material
from quatrefoil.inventory.signatures import SIGNATURES
from quatrefoil.inventory.symmetric import SYMMETRIC

ALGORITHMS = (*KEY_AGREEMENT, *SIGNATURES, *SYMMETRIC, *COMPUTING, *CLASSICAL)
"""Every algorithm, in the order in which people read them."""

__all__ = ["ALGORITHMS", "MATERIALS", "Algorithm", "Material"]
