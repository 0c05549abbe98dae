"""The four contracts, one a layer; that of the enclave has two sides. Business logic knows these and never a backend.

A backend is an object that is built complete and injected: a missing verifier, an empty policy or an unknown
parameter set is an error of its constructor. No value anywhere means "skip the check". ARCHITECTURE.md lists the
backends with their constructor signatures; ``tests/contracts`` holds the suite that every backend passes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from quatrefoil.errors import ParametersRefused, PolicyInvalid

FloatVector = NDArray[np.float32] | NDArray[np.float64]

# ---------------------------------------------------------------------------------------------------- transport


@dataclass(frozen=True)
class VerifiedStatement:
    """A statement whose signature and certificate chain have been verified.

    ``signer`` is the subject name in the certificate, ``role`` what the certificate authority says it may act as
    ("silo", "aggregator", "keeper"), ``fingerprint`` the SHA-256 of the signer's certificate in DER.
    """

    body: bytes
    signer: str
    role: str
    fingerprint: bytes


@dataclass(frozen=True)
class Opened:
    """What an envelope held, and who sealed it: the sender's signature and chain have been verified.

    The holder wipes ``plaintext``. ``sender.body`` is the envelope, as the sender signed it.
    """

    plaintext: bytearray
    sender: VerifiedStatement

    def __repr__(self) -> str:
        return f"Opened(plaintext=<{len(self.plaintext)} secret bytes>, sender={self.sender.signer!r})"


class Recipient(Protocol):
    """A key pair to which others seal. The private half stays in this object's memory and is wiped on request."""

    @property
    def public(self) -> bytes: ...

    def open(self, sealed: bytes, *, context: bytes) -> Opened:
        """The plaintext sealed to this key under ``context`` and its verified sender, or ``MessageRefused``."""

    def wipe(self) -> None:
        """Forget the private half; every later :meth:`open` raises ``RoundVoided``."""


@runtime_checkable
class TransportSecurity(Protocol):
    """Layer 1, seen by one party: who says what, and to whom it is readable, against a quantum computer."""

    @property
    def name(self) -> str:
        """The subject name in this party's certificate."""

    def sign(self, body: bytes) -> bytes:
        """``body`` with this party's certificate and signature, as bytes that :meth:`verify` accepts."""

    def verify(self, signed: bytes) -> VerifiedStatement:
        """The statement inside, after its signature, chain, validity and usage; or ``MessageRefused``."""

    @property
    def certificate(self) -> bytes:
        """This party's certificate, in DER."""

    def sign_bare(self, message: bytes) -> bytes:
        """A signature alone, for evidence in a form that others specify and verify (COSE): ``message`` is what that
        form has signed. ``CallerError`` for any other message."""

    def verify_bare(
        self, message: bytes, signature: bytes, *, certificate: bytes, claimed: datetime
    ) -> VerifiedStatement:
        """``message`` as the statement of who holds ``certificate``, after the checks of :meth:`verify`, with validity
        judged at ``claimed``, when the evidence says that it was signed; or ``MessageRefused``."""

    def seal(self, recipient: bytes, plaintext: bytes | bytearray, *, context: bytes) -> bytes:
        """``plaintext`` readable only by the holder of ``recipient``, bound to ``context``, signed by this party."""

    def new_recipient(self) -> Recipient:
        """A fresh key pair to seal to, in memory only."""


# ------------------------------------------------------------------------------------------------------ enclave


@dataclass(frozen=True)
class Appraisal:
    """The accepted result of appraising evidence: never made for evidence that was refused.

    ``kind`` names the evidence ("software", "tpm", "tdx", "sev-snp", ...), ``isolation`` what separates the code
    from its host ("none", "process", "vm"), ``insecure`` whether the evidence is a stand-in. ``policy``: the digest of
    the appraisal policy that accepted it, 32 bytes; empty for a stand-in, which none accepts.
    """

    kind: str
    isolation: str
    insecure: bool
    policy: bytes


@runtime_checkable
class IsolationAttester(Protocol):
    """Layer 2 where the code runs (RFC 9334 section 3.1): gathers evidence of it, and is believed in nothing."""

    @property
    def kind(self) -> str:
        """The kind of its evidence, in the vocabulary of policies."""

    @property
    def isolation(self) -> str:
        """What this kind of evidence can show to separate the code from its host: "none", "process" or "vm"."""

    def collect(self, report_data: bytes) -> bytes:
        """Evidence about the calling code, bound to 32 bytes of ``report_data``; ``HostError`` where there is none."""


@runtime_checkable
class IsolationAppraiser(Protocol):
    """Layer 2 seen by who relies on it (RFC 9334 section 3.1): needs nothing of the machine that attests."""

    @property
    def accepts(self) -> str:
        """The one kind of evidence that it accepts."""

    def appraise(self, evidence: bytes, *, report_data: bytes) -> Appraisal:
        """The accepted appraisal of evidence bound to ``report_data``, or ``MessageRefused`` / ``EvidenceRejected``."""


# -------------------------------------------------------------------------------------------------- aggregation


@dataclass(frozen=True)
class SchemeIdentity:
    """What every party of a round must agree on about its aggregation scheme. ``digest``: 32 bytes over the
    parameters. ``largest_roster``: how many ciphertexts may be added. ``key_bytes``: length of one contribution's key.
    ``insecure``: a stand-in that hides nothing.
    """

    name: str
    digest: bytes
    largest_roster: int
    key_bytes: int
    insecure: bool


@dataclass(frozen=True)
class SumShape:
    """What one round adds up: public, agreed before it starts. ``length``: values in an update. ``clip``: every
    value lies in [-clip, clip]. ``context``: the 32-byte digest of the round's context.
    """

    length: int
    clip: float
    context: bytes


@dataclass(frozen=True)
class Encrypted:
    """One silo's contribution to a round: public ``ciphertext``; secret ``key``, meant only for the key authority.
    The holder wipes ``key`` once it is sealed."""

    ciphertext: bytes
    key: bytearray

    def __repr__(self) -> str:
        return f"Encrypted(ciphertext=<{len(self.ciphertext)} bytes>, key=<secret>)"


@dataclass(frozen=True)
class DecryptedSum:
    """The sum of the contributions. ``error_bound``: the largest difference of any entry from the exact sum."""

    values: NDArray[np.float64]
    error_bound: float


LARGEST_COMMITTEE = 64
"""Members of a committee. Shares go through the aggregator, one for each member and contribution."""

LARGEST_TRIALS = 100_000
"""Sets of answers that are tried, at the most, to find one without a lie."""


@dataclass(frozen=True)
class Threshold:
    """Who of a committee it takes to have the sum of keys (docs/committee.md). ``members`` (n): who holds a share.
    ``privacy`` (t_p): so many together learn nothing of a key. ``packing`` (l): values that one polynomial shares, a
    power of two. ``recovery`` (t_rec): so many answers give the sum; any two such sets have a member in common.

    ``ParametersRefused`` for what is no threshold; :meth:`fitting` finds the one for what may go wrong.
    """

    members: int
    privacy: int
    packing: int

    def __post_init__(self) -> None:
        n, privacy, packing = numbers = (self.members, self.privacy, self.packing)
        whole = all(type(number) is int and number >= 1 for number in numbers)
        if not (whole and n <= LARGEST_COMMITTEE and packing & (packing - 1) == 0 and n < 2 * self.recovery <= 2 * n):
            raise ParametersRefused(
                f"{n} members with privacy {privacy} and packing {packing} are no threshold: packing is a power of "
                "two, privacy + packing are more than half of the members and not more than all, "
                f"and those are at most {LARGEST_COMMITTEE}",
                hint="Take the threshold from the signed round context, or from Threshold.fitting",
            )

    @property
    def recovery(self) -> int:
        return self.privacy + self.packing

    @classmethod
    def fitting(cls, *, members: int, silent: int, liars: int, colluding: int) -> Threshold:
        """The threshold for a committee of which ``silent`` members may not answer, ``liars`` others may answer
        anything, and ``colluding`` may put together what they hold. It takes as many answers as are sure to come and to
        be true, the largest packing that the privacy leaves, and what is over for privacy.

        ``PolicyInvalid``, with the numbers, where there is none.
        """
        for what, number in (("members", members), ("silent", silent), ("liars", liars), ("colluding", colluding)):
            if type(number) is not int or not 0 <= number <= LARGEST_COMMITTEE:
                raise PolicyInvalid(
                    f"{number} {what} are not 0 to {LARGEST_COMMITTEE}", hint="Correct the policy's key authority"
                )
        private = max(liars, colluding, 1)
        # With less packing, as many liars could answer so that an honest member seems to be one.
        least_packing = 1 << max(liars - 1, 0).bit_length()
        recovery = members - silent - liars
        least = max(2 * silent + 3 * liars + 1, silent + liars + private + least_packing)
        asked = f"a committee of {members}, of whom {silent} may be silent, {liars} lie and {colluding} collude"
        if members < least:
            raise PolicyInvalid(
                f"there are no keys for {asked}: {recovery} answers are sure to come and to be true, of which any two "
                f"sets must share an honest member, and which hide keys from {private}",
                hint=f"Appoint at least {least} members, or allow for fewer who are silent, lie or collude"
                if least <= LARGEST_COMMITTEE
                else f"Allow for fewer: it would take {least} members, and there are at most {LARGEST_COMMITTEE}",
            )
        trials = math.comb(members - silent, liars)
        if trials > LARGEST_TRIALS:
            raise PolicyInvalid(
                f"{asked}: it would take {trials} trials to find the lies, over {LARGEST_TRIALS}",
                hint="Allow for fewer liars, or appoint fewer members",
            )
        packing = 1 << ((recovery - private).bit_length() - 1)
        return cls(members, recovery - packing, packing)


@dataclass(frozen=True)
class DealtKey:
    """One contribution's key in shares: member k, from 1 on, gets ``shares[k - 1]``, which fits ``commitments[k - 1]``,
    32 public bytes. ``hidden`` is for the proof only. The holder wipes ``shares`` once they are sealed, and
    ``hidden``."""

    threshold: Threshold
    shares: tuple[bytearray, ...]
    commitments: tuple[bytes, ...]
    hidden: bytearray

    def __repr__(self) -> str:
        return f"DealtKey({self.threshold}, shares=<{len(self.shares)} secrets>)"


@dataclass(frozen=True)
class Recovered:
    """The sum of keys that a committee's answers give, and whose answers were not the sums of their shares, by
    number."""

    combined_key: bytes
    liars: tuple[int, ...]


class Accumulator(Protocol):
    """A sum of ciphertexts that grows as they arrive."""

    def add(self, ciphertext: bytes) -> None:
        """Add one contribution, or ``CiphertextRefused``; one that is refused leaves the sum as it was."""

    def total(self) -> bytes:
        """The ciphertext of the sum so far."""


@runtime_checkable
class PrivateAggregation(Protocol):
    """Layer 3: a sum of vectors, of which no single one is seen by whoever adds."""

    @property
    def scheme(self) -> SchemeIdentity: ...

    def encrypt(self, values: FloatVector, *, weight: float, shape: SumShape) -> Encrypted:
        """``weight * values`` under a fresh key; 0 < weight <= 1. ``UpdateRefused`` names what does not fit."""

    def encrypt_for_proof(
        self, values: FloatVector, *, weight: float, shape: SumShape
    ) -> tuple[Encrypted, HiddenUpdate]:
        """:meth:`encrypt`, and what a proof about the ciphertext is made from; both hold one and the same ``key``.
        ``ParametersRefused`` where nothing can be proven of this scheme's ciphertexts."""

    def accumulator(self, *, shape: SumShape) -> Accumulator:
        """An empty sum, for ciphertexts that arrive one after the other."""

    def combine_keys(self, keys: Sequence[bytes | bytearray]) -> bytes:
        """What decrypts the sum of exactly these keys' ciphertexts, and no single one of them."""

    def deal_key(self, key: bytes | bytearray, threshold: Threshold) -> DealtKey:
        """The key of one contribution, shared among a committee under fresh randomness. ``ParametersRefused`` where
        keys of this scheme cannot be shared."""

    def add_shares(self, shares: Sequence[bytes | bytearray], threshold: Threshold) -> bytes:
        """A member's answer: the sum of its shares of exactly these contributions, and of no single one. The shares
        have been checked (:meth:`IntegrityProof.check_share`). ``CiphertextRefused`` for what is no share."""

    def recover_key(
        self, answers: Mapping[int, bytes], threshold: Threshold, *, total: bytes, shape: SumShape, count: int
    ) -> Recovered:
        """The key that decrypts the sum of ``count`` contributions, from members' answers by number, 1 to n; and whose
        answers were no sums of their shares. ``CiphertextRefused``, which names nobody, when no ``threshold.recovery``
        of them give a key that does."""

    def decrypt(self, total: bytes, combined_key: bytes, *, shape: SumShape, count: int) -> DecryptedSum:
        """The sum of ``count`` contributions; ``CiphertextRefused`` when key and ciphertext do not belong together."""


class WithoutCommittee:
    """The part of :class:`PrivateAggregation` for a backend with whose keys no committee can be trusted: members check
    shares against proofs, and there are none about its keys. ``ParametersRefused`` for all of it."""

    _keys: ClassVar[str]
    """Whose keys these are, for the refusal."""

    def deal_key(self, key: bytes | bytearray, threshold: Threshold) -> DealtKey:
        del key, threshold
        raise self._refused()

    def add_shares(self, shares: Sequence[bytes | bytearray], threshold: Threshold) -> bytes:
        del shares, threshold
        raise self._refused()

    def recover_key(
        self, answers: Mapping[int, bytes], threshold: Threshold, *, total: bytes, shape: SumShape, count: int
    ) -> Recovered:
        del answers, threshold, total, shape, count
        raise self._refused()

    def _refused(self) -> ParametersRefused:
        return ParametersRefused(
            f"keys of {self._keys} cannot be shared among a committee: nothing can be proven of their shares",
            hint="Use additive-rlwe with proofs, or a keeper as the key authority",
        )


# ------------------------------------------------------------------------------------------------------- proofs


@dataclass(frozen=True)
class PartNorm:
    """The squares of the integers ``first`` to ``end - 1`` of an update add up to at most ``bound``."""

    first: int
    end: int
    bound: int


@dataclass(frozen=True, eq=False)
class Direction:
    """A public direction that an update agrees with: the products of its integers with ``entries`` add up to at least
    minus the sum of their magnitudes, which is more than rounding takes. ``digest``: 32 bytes that name the entries.
    Whoever only checks keys has no more than those."""

    digest: bytes
    entries: NDArray[np.int16] | None = None


@dataclass(frozen=True, eq=False)
class FurtherClaims:
    """What a proof says of an update beyond its norm: ``parts`` in this order, and at most one ``direction``."""

    parts: tuple[PartNorm, ...] = ()
    direction: Direction | None = None


NOTHING_FURTHER = FurtherClaims()


@dataclass(frozen=True)
class Sharing:
    """That the key of a ciphertext is shared among a committee: each member's share fits its commitment, and all shares
    lie on polynomials that hold this key."""

    threshold: Threshold
    commitments: tuple[bytes, ...]


@dataclass(frozen=True)
class BoundedUpdate:
    """The public side of a proof about one silo's contribution: ``ciphertext`` encrypts ``shape.length`` values that
    round to integers of which the squares add up to at most ``bound``, and is well formed. ``binding``: 32 bytes of
    whatever else the proof must not be moved away from (the silo, its sealed key, its weight). ``sharing``: what is
    proven of the key's shares, where a committee is the key authority.
    """

    shape: SumShape
    ciphertext: bytes
    bound: int
    binding: bytes
    further: FurtherClaims = NOTHING_FURTHER
    sharing: Sharing | None = None


@dataclass(frozen=True)
class HiddenUpdate:
    """What an encryption was made from: all of it secret, and none of it leaves the silo but ``key``, for the key
    authority. The holder wipes ``key`` and ``noise``. ``dealt``: the key's shares, where they are proven to be that."""

    values: FloatVector
    weight: float
    key: bytearray
    noise: bytearray
    dealt: DealtKey | None = None

    def __repr__(self) -> str:
        return f"HiddenUpdate(<{len(self.values)} secret values, a key and a noise seed>)"


@dataclass(frozen=True)
class KeyClaim:
    """What a verified proof says of the key of its ciphertext, for whoever holds the key. ``content``: the digest of
    the ciphertext's blocks; ``root`` and ``value``: 32 and 16 bytes of the proof."""

    content: bytes
    root: bytes
    value: bytes


@dataclass(frozen=True)
class ShareClaim:
    """What a verified proof says of the shares of its ciphertext's key, for whoever holds one. ``content`` and ``root``
    as in :class:`KeyClaim`; ``values``: V, 16 bytes of the proof for each of ``threshold.recovery``."""

    threshold: Threshold
    commitments: tuple[bytes, ...]
    content: bytes
    root: bytes
    values: bytes


@dataclass(frozen=True)
class VerifiedProof:
    """A statement (by digest) that a proof has been verified for, the soundness it was verified with, and what the
    proof says of the key: checked by :meth:`IntegrityProof.check_key` only, by whoever holds the key; or of its shares,
    where the statement has them: by :meth:`IntegrityProof.check_share`, by each member."""

    statement: bytes
    soundness_bits: float
    key_claim: KeyClaim | ShareClaim


@runtime_checkable
class IntegrityProof(Protocol):
    """Layer 4: a claim about hidden values, checked without seeing them."""

    @property
    def scheme(self) -> str: ...

    def bound(self, norm: float, *, weight: float, shape: SumShape) -> int:
        """The bound that no update with a Euclidean norm up to ``norm`` misses, however it is rounded."""

    def direction(self, entries: NDArray[np.int16]) -> Direction:
        """The direction of these entries, one for each value."""

    def prove(self, statement: BoundedUpdate, hidden: HiddenUpdate) -> bytes:
        """A proof of the statement, or ``UpdateRefused`` where it is not true."""

    def verify(self, statement: BoundedUpdate, proof: bytes) -> VerifiedProof:
        """The verified statement, or ``ProofRejected`` with the reason."""

    def check_key(
        self,
        key: bytes | bytearray,
        claim: KeyClaim,
        *,
        shape: SumShape,
        bound: int,
        binding: bytes,
        further: FurtherClaims = NOTHING_FURTHER,
    ) -> None:
        """``ProofRejected`` unless ``key`` is the one of the ciphertext that ``claim`` is about. It says something only
        together with a verified proof of the same statement with the same claim."""

    def check_share(
        self,
        share: bytes | bytearray,
        member: int,
        claim: ShareClaim,
        *,
        shape: SumShape,
        bound: int,
        binding: bytes,
        further: FurtherClaims = NOTHING_FURTHER,
    ) -> None:
        """``ProofRejected`` unless ``share`` is the one of ``member``, 1 to n, of the key that ``claim`` is about. It
        says something only together with a verified proof of the same statement with the same claim; then any
        ``threshold.recovery`` shares that pass give this ciphertext's key."""
