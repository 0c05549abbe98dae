"""What the key authority of a job has said: offers, releases and voids, of a keeper or of a committee of silos.

A keeper signs each by itself. Of a committee, the aggregator signs the offer, which holds keys that members signed; a
release is the answers of ``threshold.recovery`` members for one roster; a void is signed by as many. Any two such sets
share more members than may lie: docs/committee.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from quatrefoil.contracts import TransportSecurity
from quatrefoil.errors import MessageRefused
from quatrefoil.federation.agreement import AgreedJob, read
from quatrefoil.federation.committee_messages import (
    CommitteeRelease,
    CommitteeVoid,
    MemberAnswer,
    MemberKey,
    MemberKeys,
    SignedKeys,
)
from quatrefoil.federation.messages import (
    KeyRelease,
    Member,
    OpenRound,
    RosterProposal,
    RoundContext,
    RoundOffer,
    RoundVoid,
)

NOBODY = Member("", b"", 0)
"""The keeper of a job that has none: no certificate has this name."""

_KEEPER = "Ask the keeper's operator; nothing more should be sent to this keeper"
_AGGREGATOR = "Ask the aggregator's operator"


def read_offer(job: AgreedJob, security: TransportSecurity, offer: bytes) -> RoundOffer:
    """An offer that the job's key authority made, or ``MessageRefused``. Of a keeper, the evidence in it is still to be
    appraised; of a committee, the keys in it are those that its members signed for this very attempt."""
    if job.threshold is None:
        return read(security, offer, RoundOffer, job.job.keeper, "keeper")
    offered = read(security, offer, RoundOffer, job.job.aggregator, "aggregator")
    _require_member_keys(job, security, offered)
    return offered


def read_void(job: AgreedJob, security: TransportSecurity, void: bytes) -> RoundVoid:
    """A void of the job's key authority, or ``MessageRefused``. ``unanswered`` of a committee's: none of those who
    signed it has answered."""
    if job.threshold is None:
        return read(security, void, RoundVoid, job.job.keeper, "keeper")
    said: dict[str, RoundVoid] = {}
    for signed in CommitteeVoid.decode(void).voids:
        name = security.verify(signed).signer
        said[_member(job, name)] = read(security, signed, RoundVoid, job.member(name), "silo")
    if len(said) < job.threshold.recovery:
        raise MessageRefused(
            f"{len(said)} members void an attempt, {job.threshold.recovery} of {len(job.job.members)} must",
            hint=_AGGREGATOR,
        )
    first = next(iter(said.values()))
    if len({(one.job, one.round, one.attempt, one.context) for one in said.values()}) != 1:
        raise MessageRefused("members void different attempts", hint=_AGGREGATOR)
    unanswered = all(one.unanswered for one in said.values())
    return RoundVoid(first.job, first.round, first.attempt, first.context, unanswered, first.reason)


def read_contributors(job: AgreedJob, security: TransportSecurity, release: bytes, context: bytes) -> tuple[str, ...]:
    """The silos that the key authority answered for in the attempt of this context digest: of the job, each once."""
    who, hint = ("keeper", _KEEPER) if job.threshold is None else ("committee", _AGGREGATOR)
    found: KeyRelease | RosterProposal
    if job.threshold is None:
        found = read(security, release, KeyRelease, job.job.keeper, "keeper")
    else:
        found = _read_answers(job, security, CommitteeRelease.decode(release))
    if found.context != context:
        raise MessageRefused("the key release belongs to another round", hint="Ask the aggregator for this round's")
    roster = {member.name for member in job.job.roster}
    if len(set(found.contributors) & roster) != len(found.contributors):
        raise MessageRefused(f"the {who} names a silo twice, or one that is not on the roster", hint=hint)
    return found.contributors


def opening_of(context: RoundContext) -> OpenRound:
    """What the attempt of this context was opened with."""
    return OpenRound(context.job, context.round, context.attempt, context.model, context.update_norm, context.direction)


def sealing_keys(context: RoundContext, members: Sequence[str]) -> tuple[bytes, ...]:
    """The key of each member of a committee, empty for one that gave none; ``MessageRefused`` for another number."""
    keys = MemberKeys.decode(context.sealing_key).keys
    if len(keys) != len(members):
        raise MessageRefused(f"the context has keys of {len(keys)} members, not {len(members)}", hint=_AGGREGATOR)
    return keys


def least_keys(job: AgreedJob) -> int:
    """Members whose keys are waited for: as many as are sure to come. Fewer, but all who have to answer, are enough
    once the others have said that they are silent."""
    return len(job.job.members) - job.silent


def _require_member_keys(job: AgreedJob, security: TransportSecurity, offered: RoundOffer) -> None:
    context, names = offered.context, job.job.members
    keys, signed = sealing_keys(context, names), SignedKeys.decode(offered.evidence).keys
    if len(signed) != len(names):
        raise MessageRefused("the offer lacks what members signed", hint=_AGGREGATOR)
    opening = opening_of(context).digest()
    for name, key, one in zip(names, keys, signed, strict=True):
        if not one and not key:
            continue
        said = read(security, one, MemberKey, job.member(name), "silo")
        if (said.opening, said.key) != (opening, key):
            raise MessageRefused(
                f"the offer has another key of {name} than it signed for this attempt", hint=_AGGREGATOR
            )
    assert job.threshold is not None
    if sum(map(bool, keys)) < job.threshold.recovery:
        raise MessageRefused(
            f"the offer has keys of {sum(map(bool, keys))} members, and {job.threshold.recovery} have to answer",
            hint="Wait for more members",
        )


def _read_answers(job: AgreedJob, security: TransportSecurity, release: CommitteeRelease) -> RosterProposal:
    assert job.threshold is not None
    proposal = read(security, release.proposal, RosterProposal, job.job.aggregator, "aggregator")
    answered = set()
    for signed in release.answers:
        name = _member(job, security.verify(signed).signer)
        answer = read(security, signed, MemberAnswer, job.member(name), "silo")
        if (answer.context, answer.proposal) != (proposal.context, proposal.digest()):
            raise MessageRefused(f"the release has an answer of {name} for another roster", hint=_AGGREGATOR)
        answered.add(name)
    if len(answered) < job.threshold.recovery:
        raise MessageRefused(
            f"{len(answered)} members answered for the roster, {job.threshold.recovery} of {len(job.job.members)} must",
            hint=_AGGREGATOR,
        )
    return proposal


def _member(job: AgreedJob, name: str) -> str:
    if name not in job.job.members:
        raise MessageRefused(f"{name} is no member of the committee", hint=_AGGREGATOR, party=name)
    return name


__all__ = [
    "NOBODY",
    "least_keys",
    "opening_of",
    "read_contributors",
    "read_offer",
    "read_void",
    "sealing_keys",
]
