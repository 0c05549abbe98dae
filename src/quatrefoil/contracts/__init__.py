"""The four contracts, one a layer; that of the enclave has two sides. Business logic knows these and never a backend.

A backend is an object that is built complete and injected: a missing verifier, an empty policy or an unknown
parameter set is an error of its constructor. No value anywhere means "skip the check". ARCHITECTURE.md lists the
backends with their constructor signatures; ``tests/contracts`` holds the suite that every backend passes.
"""

from quatrefoil.contracts.aggregation import (
    Accumulator,
    DecryptedSum,
    Encrypted,
    FloatVector,
    HiddenUpdate,
    PrivateAggregation,
    SchemeIdentity,
    SumShape,
    WithoutCommittee,
)
from quatrefoil.contracts.committee import LARGEST_COMMITTEE, LARGEST_TRIALS, DealtKey, Recovered, Threshold
from quatrefoil.contracts.enclave import Appraisal, IsolationAppraiser, IsolationAttester
from quatrefoil.contracts.proofs import (
    NOTHING_FURTHER,
    BoundedUpdate,
    Direction,
    FurtherClaims,
    IntegrityProof,
    KeyClaim,
    PartNorm,
    ShareClaim,
    Sharing,
    VerifiedProof,
)
from quatrefoil.contracts.transport import Opened, Recipient, TransportSecurity, VerifiedStatement

__all__ = [
    "LARGEST_COMMITTEE",
    "LARGEST_TRIALS",
    "NOTHING_FURTHER",
    "Accumulator",
    "Appraisal",
    "BoundedUpdate",
    "DealtKey",
    "DecryptedSum",
    "Direction",
    "Encrypted",
    "FloatVector",
    "FurtherClaims",
    "HiddenUpdate",
    "IntegrityProof",
    "IsolationAppraiser",
    "IsolationAttester",
    "KeyClaim",
    "Opened",
    "PartNorm",
    "PrivateAggregation",
    "Recipient",
    "Recovered",
    "SchemeIdentity",
    "ShareClaim",
    "Sharing",
    "SumShape",
    "Threshold",
    "TransportSecurity",
    "VerifiedProof",
    "VerifiedStatement",
    "WithoutCommittee",
]
