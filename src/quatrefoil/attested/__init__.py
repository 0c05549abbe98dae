"""Attestation on a channel: at the other end is the code that evidence speaks of, and not somebody who relays it.

``RelyingParty`` asks and judges, ``Attester`` answers; neither does I/O. ``channels`` runs both over transport's
channels. docs/attested-channels.md is the specification.
"""

from quatrefoil.attested.attester import Attester
from quatrefoil.attested.channels import answer, answer_async, ask, ask_async, exported
from quatrefoil.attested.judging import Presented, judge
from quatrefoil.attested.keys import recipient, sealing_key, tls_key
from quatrefoil.attested.messages import LARGEST_ATTESTATION, Attestation, Challenge
from quatrefoil.attested.relying_party import Attested, RelyingParty

__all__ = [
    "LARGEST_ATTESTATION",
    "Attestation",
    "Attested",
    "Attester",
    "Challenge",
    "Presented",
    "RelyingParty",
    "answer",
    "answer_async",
    "ask",
    "ask_async",
    "exported",
    "judge",
    "recipient",
    "sealing_key",
    "tls_key",
]
