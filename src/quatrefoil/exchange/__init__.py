"""What the client and the server of confidential inference agree on: the paths they speak over, and a serving policy.

Neither does I/O but to read a policy file. docs/serving.md is the specification.
"""

from quatrefoil.exchange.policy import (
    Attestation,
    Isolation,
    Keys,
    Limits,
    Model,
    Padding,
    Proofs,
    ServingPolicy,
    Stream,
)
from quatrefoil.exchange.reader import load, parse

__all__ = [
    "Attestation",
    "Isolation",
    "Keys",
    "Limits",
    "Model",
    "Padding",
    "Proofs",
    "ServingPolicy",
    "Stream",
    "load",
    "parse",
]
