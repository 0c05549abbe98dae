"""What the parties of a job say to each other. docs/protocol.md says when, and who checks what.

Every object here is signed by the party named in its docstring (``TransportSecurity.sign``) and decoded strictly.
Digests are SHA-256 of the encoded object, so they cover its type and version.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from quatrefoil.federation.vectors import Layout
from quatrefoil.wire import WireObject

# ------------------------------------------------------------------------------------------------ before the rounds


@dataclass(frozen=True)
class Invitation(WireObject):
    """Aggregator to one silo: join this job until ``expires`` (Unix seconds), under the policy of this digest."""

    TYPE: ClassVar[str] = "urn:quatrefoil:invitation"
    job: str
    silo: str
    policy: bytes
    expires: int
    nonce: bytes


@dataclass(frozen=True)
class Enrolment(WireObject):
    """A silo joins: the digest of its invitation, how many samples it trains on, and its commitments to data and code,
    empty where it makes none."""

    TYPE: ClassVar[str] = "urn:quatrefoil:enrolment"
    invitation: bytes
    samples: int
    data: bytes
    code: bytes


@dataclass(frozen=True)
class Member(WireObject):
    """One party of a job: subject name and certificate fingerprint. ``samples``, ``data`` and ``code`` are a silo's, as
    it enrolled; ``samples`` is 0 for a party without data."""

    TYPE: ClassVar[str] = "urn:quatrefoil:member"
    name: str
    fingerprint: bytes
    samples: int
    data: bytes = b""
    code: bytes = b""


@dataclass(frozen=True)
class Job(WireObject):
    """Aggregator to all: everything that is agreed before the first round. ``policy``, ``plan`` and ``model`` are
    digests (of the policy, of the plan it led to, of the initial model), ``scheme`` the aggregation scheme, ``proofs``
    the scheme of proofs that every contribution must bring, "" for none, ``update_norm`` the largest norm that any
    round's may show, ``receipt_key`` the aggregator's Ed25519 key for receipts (32 bytes), empty where the policy asks
    for none.
    ``parent``: SHA-256 of the statement of provenance about the initial model, empty for none. ``heaviest``: the
    sample count that weighs 1. ``upper``: the digest of the job that this group's sums go up to (``tree``), empty for
    a job that stands alone. ``members``: the silos
    of the committee that holds keys, sorted; empty in a job with a keeper. ``keeper`` has no name in a job with a
    committee."""

    TYPE: ClassVar[str] = "urn:quatrefoil:job"
    name: str
    policy: bytes
    plan: bytes
    scheme: str
    scheme_digest: bytes
    layout: Layout
    clip: float
    proofs: str
    update_norm: float
    rounds: int
    model: bytes
    receipt_key: bytes
    parent: bytes
    heaviest: int
    upper: bytes
    aggregator: Member
    keeper: Member
    roster: tuple[Member, ...]
    members: tuple[str, ...] = ()


@dataclass(frozen=True)
class Introduction(WireObject):
    """The keeper shows the certificate that it signs with. ``nonce``: of whoever asked."""

    TYPE: ClassVar[str] = "urn:quatrefoil:introduction"
    nonce: bytes


@dataclass(frozen=True)
class Consent(WireObject):
    """A silo (and the keeper, when it opens the first round) agrees to exactly this job."""

    TYPE: ClassVar[str] = "urn:quatrefoil:consent"
    job: bytes


@dataclass(frozen=True)
class EnrolledJob(WireObject):
    """The signed job and the signed consent of every silo on its roster. Not signed itself."""

    TYPE: ClassVar[str] = "urn:quatrefoil:enrolled-job"
    job: bytes
    consents: tuple[bytes, ...]


# ------------------------------------------------------------------------------------------------------- the round


@dataclass(frozen=True)
class OpenRound(WireObject):
    """Aggregator to keeper: make a key for this attempt at this round, training from ``model``, for updates up to
    ``update_norm`` that agree with the direction of this digest, empty for none."""

    TYPE: ClassVar[str] = "urn:quatrefoil:open-round"
    job: bytes
    round: int
    attempt: int
    model: bytes
    update_norm: float
    direction: bytes


@dataclass(frozen=True)
class VoidRequest(WireObject):
    """Aggregator to keeper: end this attempt without an answer, or show the void that ended it."""

    TYPE: ClassVar[str] = "urn:quatrefoil:void-request"
    job: bytes
    round: int
    attempt: int
    reason: str


@dataclass(frozen=True)
class RoundContext(WireObject):
    """What a round's ciphertexts are bound to. Its digest is the ``ctx`` of docs/protocol.md. ``update_norm``: what the
    proofs of this round show, infinite in a job without a bound; at most the job's. ``direction``: the digest of what
    its updates agree with, empty for nothing. ``sealing_key``: the keeper's; with a committee, the encoded
    ``MemberKeys``."""

    TYPE: ClassVar[str] = "urn:quatrefoil:round-context"
    job: bytes
    round: int
    attempt: int
    model: bytes
    scheme_digest: bytes
    length: int
    clip: float
    update_norm: float
    direction: bytes
    sealing_key: bytes


@dataclass(frozen=True)
class RoundOffer(WireObject):
    """Keeper to all: the context of an attempt, and evidence of what holds its sealing key."""

    TYPE: ClassVar[str] = "urn:quatrefoil:round-offer"
    context: RoundContext
    evidence: bytes


@dataclass(frozen=True)
class ProofBinding(WireObject):
    """What a proof must not be moved away from: its digest is the ``binding`` of docs/proofs.md. Nobody sends it:
    prover and verifiers make it from what they know. ``silo``: a certificate's fingerprint; ``sealed_key``: SHA-256."""

    TYPE: ClassVar[str] = "urn:quatrefoil:proof-binding"
    context: bytes
    silo: bytes
    sealed_key: bytes
    weight: float


@dataclass(frozen=True)
class ProofClaim(WireObject):
    """SHA-256 of a proof that travels beside a contribution, and what it says of the key (``KeyClaim``): the keeper
    checks the key against it, and sees neither proof nor ciphertext."""

    TYPE: ClassVar[str] = "urn:quatrefoil:proof-claim"
    proof: bytes
    content: bytes
    root: bytes
    value: bytes


@dataclass(frozen=True)
class Contribution(WireObject):
    """A silo's one message of an attempt: digests of the ciphertext and of the sealed key that travel beside it, and
    in a job with proofs the claim of its one proof."""

    TYPE: ClassVar[str] = "urn:quatrefoil:contribution"
    context: bytes
    ciphertext: bytes
    sealed_key: bytes
    claims: tuple[ProofClaim, ...]


@dataclass(frozen=True)
class SealedContribution(WireObject):
    """A signed :class:`Contribution` with its sealed key, without its ciphertext."""

    TYPE: ClassVar[str] = "urn:quatrefoil:sealed-contribution"
    contribution: bytes
    sealed_key: bytes


@dataclass(frozen=True)
class RosterProposal(WireObject):
    """Aggregator to silos: the contributions whose sum it will ask for. ``contributors`` sorted by name;
    ``contributions``: SHA-256 of each one's signed :class:`Contribution`."""

    TYPE: ClassVar[str] = "urn:quatrefoil:roster-proposal"
    context: bytes
    contributors: tuple[str, ...]
    contributions: tuple[bytes, ...]


@dataclass(frozen=True)
class Confirmation(WireObject):
    """Silo to keeper: this attempt may be answered for exactly this proposal (its digest), and for no other."""

    TYPE: ClassVar[str] = "urn:quatrefoil:confirmation"
    context: bytes
    proposal: bytes


@dataclass(frozen=True)
class KeyRequest(WireObject):
    """Aggregator to keeper: release the combined key of exactly these contributions, to which these silos agree."""

    TYPE: ClassVar[str] = "urn:quatrefoil:key-request"
    context: bytes
    contributions: tuple[SealedContribution, ...]
    confirmations: tuple[bytes, ...]


@dataclass(frozen=True)
class KeyRelease(WireObject):
    """Keeper to all: the one answer of an attempt. ``contributors`` are the silos in the sum, sorted; ``key`` is the
    SHA-256 of the combined key, which travels beside it, to the aggregator only."""

    TYPE: ClassVar[str] = "urn:quatrefoil:key-release"
    context: bytes
    contributors: tuple[str, ...]
    contributions: tuple[bytes, ...]
    key: bytes


@dataclass(frozen=True)
class RoundVoid(WireObject):
    """Keeper to all: this attempt has no answer and never will; its sealing key is gone.

    ``unanswered``: the keeper held the key until now, so it knows that nothing was answered. A keeper that was started
    anew cannot know: what it runs on may be an old copy of its disk.
    """

    TYPE: ClassVar[str] = "urn:quatrefoil:round-void"
    job: bytes
    round: int
    attempt: int
    context: bytes
    unanswered: bool
    reason: str


@dataclass(frozen=True)
class RoundResult(WireObject):
    """Aggregator to silos: the mean update of an attempt (SHA-256; the values travel beside it) and the digest of
    the model that it leads to."""

    TYPE: ClassVar[str] = "urn:quatrefoil:round-result"
    context: bytes
    release: bytes
    mean: bytes
    model: bytes
