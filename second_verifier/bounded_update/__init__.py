"""A second verifier of bounded updates, slow and plain, written from docs/proofs.md alone.

It imports the standard library and nothing else, and shares no code with the kernel in rust/. Unaudited.
"""

from .claims import Direction, Further, NamedDirection, PartNorm
from .columns import Witness
from .commitment import Randomness
from .errors import Rejected
from .prover import prove
from .shape import PARAMETER_SETS, SUM_32_W12, SUM_256_W16, ParameterSet, Shape
from .statement import Statement
from .threshold import Threshold
from .verifier import Verified, verify

__all__ = [
    "PARAMETER_SETS",
    "SUM_32_W12",
    "SUM_256_W16",
    "Direction",
    "Further",
    "NamedDirection",
    "ParameterSet",
    "PartNorm",
    "Randomness",
    "Rejected",
    "Shape",
    "Statement",
    "Threshold",
    "Verified",
    "Witness",
    "prove",
    "verify",
]
