"""A second verifier of answers, slow and plain, written from docs/inference-proofs.md alone.

It imports the standard library and `bounded_update` beside it, and shares no code with the kernel in rust/. Unaudited.
"""

from bounded_update.errors import Rejected

from .commitment import Randomness, WeightsCommitment, WeightsRandomness
from .field_hash import FieldHash
from .model import Weights
from .program import Program
from .program_bytes import parse
from .prover import prove
from .shape import Shape
from .statement import Statement
from .values import Refused
from .verifier import Verified, verify
from .weights_shape import WeightsShape

__all__ = [
    "FieldHash",
    "Program",
    "Randomness",
    "Refused",
    "Rejected",
    "Shape",
    "Statement",
    "Verified",
    "Weights",
    "WeightsCommitment",
    "WeightsRandomness",
    "WeightsShape",
    "parse",
    "prove",
    "verify",
]
