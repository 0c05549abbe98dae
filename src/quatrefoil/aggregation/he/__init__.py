"""General homomorphic encryption for batches: CKKS and BGV on Microsoft SEAL, wrapped strictly. Unaudited.

Not the round's aggregation: one key holder, who encrypts its own data, and one computing party without a key.
"""

from quatrefoil.aggregation.he.bounds import Exact, Rounded
from quatrefoil.aggregation.he.evaluation import Encrypted, EvaluationKeys, Evaluator
from quatrefoil.aggregation.he.keys import SecretKey
from quatrefoil.aggregation.he.matrices import PlainMatrix, encode_matrix
from quatrefoil.aggregation.he.parameters import SETS, HeParameters
from quatrefoil.aggregation.he.public_key import PublicKey

__all__ = [
    "SETS",
    "Encrypted",
    "EvaluationKeys",
    "Evaluator",
    "Exact",
    "HeParameters",
    "PlainMatrix",
    "PublicKey",
    "Rounded",
    "SecretKey",
    "encode_matrix",
]
