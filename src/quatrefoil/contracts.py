"""The four contracts, one a layer; that of the enclave has two sides. Business logic knows these and never a backend.

A backend is an object that is built complete and injected: a missing verifier, an empty policy or an unknown
parameter set is an error of its constructor. No value anywhere means "skip the check". ARCHITECTURE.md lists the
backends with their constructor signatures; ``tests/contracts`` holds the suite that every backend passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

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

    def decrypt(self, total: bytes, combined_key: bytes, *, shape: SumShape, count: int) -> DecryptedSum:
        """The sum of ``count`` contributions; ``CiphertextRefused`` when key and ciphertext do not belong together."""


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
class BoundedUpdate:
    """The public side of a proof about one silo's contribution: ``ciphertext`` encrypts ``shape.length`` values that
    round to integers of which the squares add up to at most ``bound``, and is well formed. ``binding``: 32 bytes of
    whatever else the proof must not be moved away from (the silo, its sealed key, its weight).
    """

    shape: SumShape
    ciphertext: bytes
    bound: int
    binding: bytes
    further: FurtherClaims = NOTHING_FURTHER


@dataclass(frozen=True)
class HiddenUpdate:
    """What an encryption was made from: all of it secret, and none of it leaves the silo but ``key``, for the key
    authority. The holder wipes ``key`` and ``noise``."""

    values: FloatVector
    weight: float
    key: bytearray
    noise: bytearray

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
class VerifiedProof:
    """A statement (by digest) that a proof has been verified for, the soundness it was verified with, and what the
    proof says of the key: checked by :meth:`IntegrityProof.check_key` only, by whoever holds the key."""

    statement: bytes
    soundness_bits: float
    key_claim: KeyClaim


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
