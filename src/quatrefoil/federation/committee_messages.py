"""What is said in a job whose keys a committee of silos holds. docs/committee-rounds.md says when, and who checks what.

As in ``messages``: each is signed by the party named in its docstring, where one is, and decoded strictly. Member k,
from 1 on, is the k-th silo of ``Job.members``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from quatrefoil.audit.accusations import MemberAnswer as MemberAnswer
from quatrefoil.audit.accusations import TriedAnswers as TriedAnswers
from quatrefoil.wire import WireObject


@dataclass(frozen=True)
class MemberKey(WireObject):
    """A member to all: a key made for one attempt, to seal shares to. ``opening``: the digest of the ``OpenRound`` that
    it was made for."""

    TYPE: ClassVar[str] = "urn:quatrefoil:member-key"
    opening: bytes
    key: bytes


@dataclass(frozen=True)
class MemberKeys(WireObject):
    """The ``sealing_key`` of a round's context: the key of each member in order, empty for one that gave none."""

    TYPE: ClassVar[str] = "urn:quatrefoil:member-keys"
    keys: tuple[bytes, ...]


@dataclass(frozen=True)
class SignedKeys(WireObject):
    """The ``evidence`` of an offer: each member's signed :class:`MemberKey` in order, empty for one that gave none."""

    TYPE: ClassVar[str] = "urn:quatrefoil:signed-keys"
    keys: tuple[bytes, ...]


@dataclass(frozen=True)
class SealedShares(WireObject):
    """SHA-256 of each member's sealed share in order, empty where none was sealed. Its digest is the ``sealed_key`` of
    a contribution."""

    TYPE: ClassVar[str] = "urn:quatrefoil:sealed-shares"
    digests: tuple[bytes, ...]


@dataclass(frozen=True)
class SharesValue(WireObject):
    """The ``value`` of a proof's claim: what the proof says of the shares (``ShareClaim``)."""

    TYPE: ClassVar[str] = "urn:quatrefoil:shares-value"
    commitments: tuple[bytes, ...]
    values: bytes


@dataclass(frozen=True)
class Delivery(WireObject):
    """One silo's signed contribution for one member: with the digests of all its sealed shares, and the member's
    own."""

    TYPE: ClassVar[str] = "urn:quatrefoil:delivery"
    contribution: bytes
    digests: tuple[bytes, ...]
    share: bytes


@dataclass(frozen=True)
class ShareRequest(WireObject):
    """Aggregator to a member: check your shares of these contributions, whose proofs were verified."""

    TYPE: ClassVar[str] = "urn:quatrefoil:share-request"
    context: bytes
    member: int
    deliveries: tuple[Delivery, ...]


@dataclass(frozen=True)
class Complaint(WireObject):
    """That a silo sealed no share that fits its claim; ``contribution``: SHA-256 of the signed one."""

    TYPE: ClassVar[str] = "urn:quatrefoil:complaint"
    silo: str
    contribution: bytes
    reason: str


@dataclass(frozen=True)
class ShareReport(WireObject):
    """A member to the aggregator: SHA-256 of the signed contributions whose shares it has, sorted, and its
    complaints."""

    TYPE: ClassVar[str] = "urn:quatrefoil:share-report"
    context: bytes
    member: int
    accepted: tuple[bytes, ...]
    complaints: tuple[Complaint, ...]


@dataclass(frozen=True)
class OpenedShare(WireObject):
    """A silo that was complained of, to all: the share of that member, as it should have had it."""

    TYPE: ClassVar[str] = "urn:quatrefoil:opened-share"
    context: bytes
    contribution: bytes
    member: int
    share: bytes


@dataclass(frozen=True)
class MemberRequest(WireObject):
    """Aggregator to a member: the signed ``RosterProposal`` to answer for, and the signed :class:`OpenedShare` of each
    of its complaints about that roster. Not signed itself."""

    TYPE: ClassVar[str] = "urn:quatrefoil:member-request"
    proposal: bytes
    opened: tuple[bytes, ...]


@dataclass(frozen=True)
class CommitteeRelease(WireObject):
    """What a keeper's ``KeyRelease`` is in other jobs: the signed proposal, and signed answers for it, by member. Not
    signed itself."""

    TYPE: ClassVar[str] = "urn:quatrefoil:committee-release"
    proposal: bytes
    answers: tuple[bytes, ...]


@dataclass(frozen=True)
class CommitteeVoid(WireObject):
    """What a keeper's ``RoundVoid`` is in other jobs: those that members signed, by name. Not signed itself."""

    TYPE: ClassVar[str] = "urn:quatrefoil:committee-void"
    voids: tuple[bytes, ...]
