"""What is protected, and the policy that travels with it: resources, release policies and sealed keys. Unaudited.

A resource is a model, a data set or the key of a round. Its owner signs what it is together with the policy under which
its key may be released; the key is sealed to a broker under the digest of exactly that statement. docs/sealed-models.md
is the specification.
"""

from quatrefoil.resources.derivation import check_derived
from quatrefoil.resources.policy import Output, ReleasePolicy, Stage
from quatrefoil.resources.reader import load, parse
from quatrefoil.resources.resource import KINDS, OwnedResource, Resource, key_commitment, sign, verify
from quatrefoil.resources.sealed_key import SealedKey, open_key, seal_key

__all__ = [
    "KINDS",
    "Output",
    "OwnedResource",
    "ReleasePolicy",
    "Resource",
    "SealedKey",
    "Stage",
    "check_derived",
    "key_commitment",
    "load",
    "open_key",
    "parse",
    "seal_key",
    "sign",
    "verify",
]
