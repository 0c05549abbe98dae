"""What must be protected from whom, and within which limits: a policy file parsed into one immutable value.

The value checks itself when it is built, whoever builds it, so that nothing is validated twice. Its canonical bytes
(``quatrefoil.wire``) are what every silo signs before the first round of a job: two files that mean the same, in
whatever order and with whatever comments, give the same digest. docs/policy.md explains every field.
"""

from quatrefoil.policy.authority import KEEPER, KEY_AUTHORITIES, KeyAuthority
from quatrefoil.policy.limits import CLIP_RANGE, MOST_SILOS, VALUE_BITS, Limits
from quatrefoil.policy.protection import MOST_WITNESSES, Allow, Policy
from quatrefoil.policy.vocabulary import (
    BACKENDS,
    CHANNEL_POLICIES,
    CKKS_SUMS,
    COMMITTEE,
    ISOLATED_FROM,
    ISOLATING,
    ISOLATION,
    LAYERS,
    PARAMETER_SETS,
    PLACES,
    PROVEN,
    PROVEN_ANSWERS,
    RECEIPTS,
    STAND_INS,
    THREATS,
    UNCOLLECTED,
)

__all__ = [
    "BACKENDS",
    "CHANNEL_POLICIES",
    "CKKS_SUMS",
    "CLIP_RANGE",
    "COMMITTEE",
    "ISOLATED_FROM",
    "ISOLATING",
    "ISOLATION",
    "KEEPER",
    "KEY_AUTHORITIES",
    "LAYERS",
    "MOST_SILOS",
    "MOST_WITNESSES",
    "PARAMETER_SETS",
    "PLACES",
    "PROVEN",
    "PROVEN_ANSWERS",
    "RECEIPTS",
    "STAND_INS",
    "THREATS",
    "UNCOLLECTED",
    "VALUE_BITS",
    "Allow",
    "KeyAuthority",
    "Limits",
    "Policy",
]
