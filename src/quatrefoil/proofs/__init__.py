"""Zero-knowledge proofs of bounded updates: a silo's ciphertext is well formed and what it hides keeps to the bounds.

``docs/proofs.md`` specifies the argument and the bytes. Unaudited.
"""

from quatrefoil.proofs.backend import BoundedUpdateProofs
from quatrefoil.proofs.shape import ProofShape, SoundnessTerm, largest_values

__all__ = ["BoundedUpdateProofs", "ProofShape", "SoundnessTerm", "largest_values"]
