"""What a job asks a silo to prove of its contribution, and who checks what of it.

The silo proves that its ciphertext is well formed and that its update keeps to the norm of the round (``norms``), and
signs what the proof says of its key. The aggregator has the ciphertext and verifies the proof; the keeper has the key
and checks it against what was signed. Each makes the statement itself, from the job and the round: nothing of it is
taken from the silo. docs/protocol.md, "Proofs".
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field, replace

from quatrefoil.contracts import (
    BoundedUpdate,
    Direction,
    Encrypted,
    FloatVector,
    FurtherClaims,
    HiddenUpdate,
    IntegrityProof,
    KeyClaim,
    PartNorm,
    PrivateAggregation,
    ShareClaim,
    Sharing,
    SumShape,
)
from quatrefoil.errors import CiphertextRefused, MessageRefused, PolicyError, ProofRejected
from quatrefoil.federation import parts
from quatrefoil.federation.committee_messages import SealedShares, SharesValue
from quatrefoil.federation.directions import read_entries
from quatrefoil.federation.messages import Contribution, Job, ProofBinding, ProofClaim
from quatrefoil.policy import PROVEN, Policy


@dataclass(frozen=True)
class Subject:
    """The contribution of one silo to one attempt, as everybody knows it from the job and the round. ``norm``: what
    its update keeps to. ``layers``: the sizes of the model's arrays. ``direction``: the digest of what it agrees with,
    empty for nothing; ``entries``: what that is the digest of, for whoever proves or verifies."""

    name: str
    fingerprint: bytes
    weight: float
    shape: SumShape
    norm: float
    layers: tuple[int, ...] = ()
    direction: bytes = b""
    entries: bytes = field(default=b"", repr=False)

    def binding(self, sealed_key: bytes) -> bytes:
        """32 bytes that tie a proof to this silo, attempt and weight, and to the sealed key of this digest."""
        return ProofBinding(self.shape.context, self.fingerprint, sealed_key, self.weight).digest()


@dataclass(frozen=True)
class Proven:
    """What a silo sends beside its ciphertext: no claims and no bytes in a job without proofs."""

    claims: tuple[ProofClaim, ...]
    proof: bytes


class JobProofs:
    """The proofs of a job, for one party of it. ``backend`` None: the job has none, and takes none.

    ``PolicyError`` where the policy names the threat that proofs answer and there is no backend, or where there is one
    and the policy bounds no norm.
    """

    def __init__(self, backend: IntegrityProof | None, policy: Policy) -> None:
        if backend is None and PROVEN in policy.threats:
            raise PolicyError(
                f"policy {policy.name} names {PROVEN}, and this party has no proofs to answer it",
                hint="Build the party with the proofs that the policy allows",
            )
        if backend is not None and policy.limits.update_norm == math.inf:
            raise PolicyError(
                f"policy {policy.name} bounds no norm that could be proven", hint="Give limits.update_norm in it"
            )
        self.threshold = policy.threshold
        """How keys are shared among the committee that holds them; None where a keeper does."""
        if self.threshold is not None and backend is None:
            raise PolicyError(
                f"policy {policy.name} appoints a committee, and this party has no proofs of what is shared",
                hint="Build the party with the proofs that the policy allows",
            )
        self._backend = backend
        self._norm = policy.limits.update_norm
        self._shares = policy.limits.update_layer_norms

    @property
    def scheme(self) -> str:
        """The scheme of the proofs, "" for none."""
        return "" if self._backend is None else self._backend.scheme

    def check_job(self, job: Job) -> None:
        """Refuse a job with other proofs, or with another norm for its first round."""
        if (job.proofs, job.update_norm) != (self.scheme, self._norm):
            raise PolicyError(
                f"job {job.name} asks for {job.proofs or 'no proofs'} up to a norm of {job.update_norm}, "
                f"this party for {self.scheme or 'none'} up to {self._norm}",
                hint="Every party of a job loads the same policy file, and builds the proofs that it asks for",
            )

        if self._shares and len(self._shares) != len(job.layout.arrays):
            raise PolicyError(
                f"the policy has norms for {len(self._shares)} arrays, and job {job.name} a model of "
                f"{len(job.layout.arrays)}",
                hint="Give limits.update_layer_norms one share for each array of the model",
            )

    def sealed_digest(self, sealed: bytes) -> bytes:
        """What a contribution names its sealed key by: SHA-256; with a committee, where ``sealed`` joins a share for
        each member, the digest of their :class:`SealedShares`. ``MessageRefused`` for what is not that."""
        if self.threshold is None:
            return _digest_of(sealed)
        return SealedShares(share_digests(sealed, self.threshold.members)).digest()

    def direction_digest(self, entries: bytes) -> bytes:
        """What names a direction in a round's context; empty for none."""
        if not entries or self._backend is None:
            return b""
        return self._backend.direction(read_entries(entries)).digest

    # ------------------------------------------------------------------------------------------------------- the silo

    def encrypt(
        self, aggregation: PrivateAggregation, update: FloatVector, subject: Subject
    ) -> tuple[Encrypted, HiddenUpdate | None]:
        """The encrypted update, and what its proof is made from; the caller wipes the seeds in both."""
        if self._backend is None:
            return aggregation.encrypt(update, weight=subject.weight, shape=subject.shape), None
        return aggregation.encrypt_for_proof(update, weight=subject.weight, shape=subject.shape)

    def prove(self, subject: Subject, ciphertext: bytes, sealed_key: bytes, hidden: HiddenUpdate | None) -> Proven:
        """The proof of a contribution; ``UpdateRefused`` where there is nothing to prove. ``sealed_key``: as it
        travels."""
        if self._backend is None or hidden is None:
            return Proven((), b"")
        commitments = () if hidden.dealt is None else hidden.dealt.commitments
        named = self.sealed_digest(sealed_key)
        statement = self._statement(self._backend, subject, ciphertext, named, self._sharing(commitments))
        proof = self._backend.prove(statement, hidden)
        # A silo verifies what it sends: a fault of its own machine would else be called a forgery by others.
        claim = self._backend.verify(statement, proof).key_claim
        value = claim.value if isinstance(claim, KeyClaim) else SharesValue(claim.commitments, claim.values).encode()
        return Proven((ProofClaim(_digest_of(proof), claim.content, claim.root, value),), proof)

    # ------------------------------------------------------------------------------------------------- the aggregator

    def verify(self, subject: Subject, contribution: Contribution, ciphertext: bytes, proof: bytes) -> Verified:
        """Verify the proof that came with a contribution, and that what was signed of the key is what it says.

        ``ProofRejected`` names the silo and the check that failed. Heavy, and free of state: it may run in any thread.
        ``contribution`` must have been signed by the silo, and must name this ciphertext.
        """
        claim = self._claim(subject, contribution)
        if claim is None:
            if proof:
                raise _rejected(subject, "sent a proof, and the job asks for none")
            return Verified(b"")
        if _digest_of(proof) != claim.proof:
            raise _rejected(subject, "sent another proof than it signed" if proof else "sent no proof")
        assert self._backend is not None
        expected = self._key_claim(subject, claim)
        sharing = None if isinstance(expected, KeyClaim) else Sharing(expected.threshold, expected.commitments)
        statement = self._statement(self._backend, subject, ciphertext, contribution.sealed_key, sharing)
        try:
            verified = self._backend.verify(statement, proof)
        except ProofRejected as error:
            raise ProofRejected(
                f"{subject.name}: {error.problem}", hint=error.hint, reason=error.reason, party=subject.name
            ) from None
        except CiphertextRefused as error:
            raise CiphertextRefused(f"{subject.name}: {error.problem}", hint=error.hint, party=subject.name) from None
        if verified.key_claim != expected:
            raise _rejected(subject, "signed another claim of its key than its proof makes")
        return Verified(claim.proof)

    # ----------------------------------------------------------------------------------------------------- the keeper

    def check_key(self, subject: Subject, contribution: Contribution, key: bytearray) -> None:
        """``ProofRejected``, naming the silo, unless ``key`` is that of the ciphertext which its proof is about."""
        claim = self._claim(subject, contribution)
        if claim is None:
            return
        assert self._backend is not None
        key_claim = self._key_claim(subject, claim)
        assert isinstance(key_claim, KeyClaim), "with a committee nobody has a key to check"
        bound = self._backend.bound(subject.norm, weight=subject.weight, shape=subject.shape)
        binding = subject.binding(contribution.sealed_key)
        try:
            self._backend.check_key(
                key,
                key_claim,
                shape=subject.shape,
                bound=bound,
                binding=binding,
                further=self._further(self._backend, subject),
            )
        except ProofRejected as error:
            raise _rejected(subject, f"sealed a key that its proof is not about ({error.problem})") from None

    # ------------------------------------------------------------------------------------------------------- a member

    def check_share(self, subject: Subject, contribution: Contribution, member: int, share: bytes | bytearray) -> None:
        """``ProofRejected``, naming the silo, unless ``share`` is that of ``member``, from 1 on, of the key which its
        proof is about."""
        claim = self._claim(subject, contribution)
        assert self._backend is not None and claim is not None, "a committee has proofs"
        share_claim = self._key_claim(subject, claim)
        assert isinstance(share_claim, ShareClaim)
        try:
            self._backend.check_share(
                share,
                member,
                share_claim,
                shape=subject.shape,
                bound=self._backend.bound(subject.norm, weight=subject.weight, shape=subject.shape),
                binding=subject.binding(contribution.sealed_key),
                further=self._further(self._backend, subject),
            )
        except ProofRejected as error:
            raise _rejected(subject, f"sealed a share that its proof is not about ({error.problem})") from None

    # -------------------------------------------------------------------------------------------------------- details

    def _sharing(self, commitments: tuple[bytes, ...]) -> Sharing | None:
        return None if self.threshold is None else Sharing(self.threshold, commitments)

    def _key_claim(self, subject: Subject, claim: ProofClaim) -> KeyClaim | ShareClaim:
        """What was signed of the key, or of its shares."""
        if self.threshold is None:
            return KeyClaim(claim.content, claim.root, claim.value)
        try:
            said = SharesValue.decode(claim.value)
        except MessageRefused as error:
            raise _rejected(subject, f"claims nothing of shares that can be read ({error.problem})") from None
        if len(said.commitments) != self.threshold.members:
            raise _rejected(subject, f"claims {len(said.commitments)} shares, not {self.threshold.members}")
        if any(len(one) != hashlib.sha256().digest_size for one in said.commitments):
            raise _rejected(subject, "commits to shares in digests of another length than 32 bytes")
        return ShareClaim(self.threshold, said.commitments, claim.content, claim.root, said.values)

    def _claim(self, subject: Subject, contribution: Contribution) -> ProofClaim | None:
        """The one claim of a contribution in a job with proofs; None, and none signed, in a job without."""
        wanted, found = int(self._backend is not None), len(contribution.claims)
        if found != wanted:
            said = "claims a proof, and the job asks for none" if not wanted else f"claims {found} proofs, not one"
            raise _rejected(subject, said)
        return contribution.claims[0] if wanted else None

    def _statement(
        self, backend: IntegrityProof, subject: Subject, ciphertext: bytes, sealed_key: bytes, sharing: Sharing | None
    ) -> BoundedUpdate:
        bound = backend.bound(subject.norm, weight=subject.weight, shape=subject.shape)
        further = self._further(backend, subject)
        return BoundedUpdate(subject.shape, ciphertext, bound, subject.binding(sealed_key), further, sharing)

    def _further(self, backend: IntegrityProof, subject: Subject) -> FurtherClaims:
        norms, first = [], 0
        if self._shares:
            for size, share in zip(subject.layers, self._shares, strict=True):
                if size:
                    shape = replace(subject.shape, length=size)
                    bound = backend.bound(share * subject.norm, weight=subject.weight, shape=shape)
                    norms.append(PartNorm(first, first + size, bound))
                first += size
        direction = None
        if subject.direction:
            # Of the keeper only the digest is known: it sees no means.
            entries = read_entries(subject.entries) if subject.entries else None
            direction = Direction(subject.direction) if entries is None else backend.direction(entries)
            assert direction.digest == subject.direction, "a round is checked against it before it is taken part in"
        return FurtherClaims(tuple(norms), direction)


@dataclass(frozen=True)
class Verified:
    """A contribution with every proof that its job asks for. ``proof``: SHA-256 of it, empty in a job without."""

    proof: bytes


def share_digests(sealed: bytes, members: int) -> tuple[bytes, ...]:
    """SHA-256 of each member's sealed share, empty where there is none."""
    return tuple(_digest_of(share) if share else b"" for share in parts.split(sealed, members))


def _digest_of(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _rejected(subject: Subject, what: str) -> ProofRejected:
    return ProofRejected(f"{subject.name} {what}", hint="Leave it out and go on", party=subject.name)


__all__ = ["JobProofs", "Proven", "Subject", "Verified", "share_digests"]
