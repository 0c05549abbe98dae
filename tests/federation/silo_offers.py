"""What a silo is offered and answers in tests of its rules."""

from __future__ import annotations

import numpy as np

from identities import identity
from quatrefoil.federation.messages import RoundContext, RoundOffer
from quatrefoil.federation.silo import Silo
from quatrefoil.insecure.software import SoftwareEvidence
from signed_messages import body_of, changed

KEEPER = ("keeper", "keeper")


def offer_with(offer: bytes, **changes: object) -> bytes:
    """An offer by the keeper itself that says something else; evidence and digest are made to fit."""
    context = RoundContext(**{**vars(RoundOffer.decode(body_of(offer)).context), **changes})
    evidence = SoftwareEvidence(context.digest()).encode()
    return changed(offer, RoundOffer, identity(*KEEPER), context=context, evidence=evidence)


def trained(silo: Silo, by: float = 0.25) -> list[np.ndarray]:
    return [array + array.dtype.type(by) for array in silo.model]
