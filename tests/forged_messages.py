"""What lying parties send: requests that silos agree to whatever they are, and receipts signed anew."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from identities import identity, speaking_as
from quatrefoil.audit.receipts import ABSENT, Receipt, RoundReceipt, issue_batch
from quatrefoil.federation import parts
from quatrefoil.federation.agreement import sha256
from quatrefoil.federation.messages import Confirmation, KeyRequest, RosterProposal, SealedContribution
from signed_messages import signer_of
from world import NAMES, World


def agreeing(context: bytes, contributions: Sequence[SealedContribution], names: Sequence[str]) -> tuple[bytes, ...]:
    """Confirmations of these contributions by silos that confirm anything: what is refused then, a keeper refuses."""
    sent = {signer_of(sealed.contribution): sha256(sealed.contribution) for sealed in contributions}
    proposal = RosterProposal(context, tuple(sorted(sent)), tuple(sent[name] for name in sorted(sent)))
    confirmation = Confirmation(context, proposal.digest()).encode()
    return tuple(speaking_as(identity(name, "silo")).sign(confirmation) for name in names)


def asked_for(context: bytes, contributions: Sequence[SealedContribution], names: Sequence[str] = NAMES) -> KeyRequest:
    """A request for the key of these contributions, to which the silos called ``names`` agree whatever it is."""
    return KeyRequest(context, tuple(contributions), agreeing(context, contributions, names))


def reissued(world: World, silo: str, receipts: bytes, at: int = -1, **changes: object) -> bytes:
    """The receipts of one silo, joined, with some fields of one changed and signed anew by the aggregator, in a batch
    with the same changes for everybody: what a lying aggregator would send."""
    one = parts.split_list(receipts, 16)
    told = RoundReceipt.decode(Receipt.decode(one[at]).payload)
    names = [member.name for member in world.aggregator.job.roster]
    shared = {
        key: value
        for key, value in changes.items()
        if key in ("round", "attempt", "context", "job", "ending", "result", "policy", "plan", "time", "issuer")
    }
    others: dict[str, object] = {"verdict": ABSENT, "contribution": b"", "reason": ""}
    lies = [
        dataclasses.replace(told, **({"silo": name} | (changes if name == silo else others | shared))) for name in names
    ]
    batch = issue_batch(lies, world.hub_security, classical=world.receipt_key)
    one[at] = batch.receipt(names.index(silo))
    return parts.join(one)
