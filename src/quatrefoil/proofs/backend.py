"""The ``IntegrityProof`` backend for bounded updates: types and refusals around the kernel."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from quatrefoil import _core
from quatrefoil.contracts import (
    NOTHING_FURTHER,
    BoundedUpdate,
    Direction,
    FurtherClaims,
    HiddenUpdate,
    KeyClaim,
    ShareClaim,
    Sharing,
    SumShape,
    VerifiedProof,
)
from quatrefoil.errors import CiphertextRefused, ParametersRefused, ProofRejected, UpdateRefused
from quatrefoil.proofs.shape import Parameters, ProofShape

RandomBytes = Callable[[int], bytes]
SEED_BYTES = 32
DIGEST_BYTES = 32
LARGEST_THREADS = 256

HEADER_BYTES = 96
"""What is before the blocks of a ciphertext (docs/additive-encryption.md). The aggregation layer checks it; the
statement holds everything in it that a proof depends on."""

_AGREED = "All parties take the statement from the signed round context"

ROOT_OFFSET, VALUE_OFFSET, VALUE_BYTES = 44, 76, 16
"""Where root 1 and v, or the first element of V, are in a proof (docs/proofs.md)."""


class BoundedUpdateProofs:
    """``IntegrityProof`` for contributions under one parameter set.

    ``threads``: how many the kernel may use, 1 to 256. ``random`` is asked once a proof for 32 bytes, from which all
    that blinds the proof is expanded. The public polynomials of a round are expanded at its first proof, and kept until
    another round's come: 8 bytes for each coefficient of a ciphertext. May be used from several threads.
    """

    def __init__(self, parameters: Parameters, *, threads: int = 1, random: RandomBytes = os.urandom) -> None:
        if not 1 <= threads <= LARGEST_THREADS:
            raise ParametersRefused(
                f"{threads} threads are not 1 to {LARGEST_THREADS}", hint="Use at most one per core"
            )
        ProofShape(parameters, 1)
        self._parameters = parameters
        self._threads = threads
        self._random = random
        self._lock = threading.Lock()
        self._expanded: tuple[bytes, int, _core.ProofContext] | None = None

    def __reduce__(self) -> tuple[object, ...]:
        """One object a process and set, so that a round's polynomials are expanded there once. With other randomness
        than the system's it stays where it is."""
        if self._random is not os.urandom:
            raise TypeError("proofs with randomness of their own cannot be given to another process")
        return _of_process, (self._parameters, self._threads)

    @property
    def scheme(self) -> str:
        return f"bounded-update/v1/{self._parameters.name}"

    def bound(self, norm: float, *, weight: float, shape: SumShape) -> int:
        """The bound on the sum of squared integers that every update of Euclidean norm up to ``norm`` keeps.

        An update of norm B becomes ``x`` of norm ``R = weight * B * largest / clip``, and each entry is rounded by less
        than one, so that the integers have a norm below R + sqrt(length). ``ParametersRefused`` from 2^62 on.
        """
        if not (math.isfinite(norm) and norm >= 0):
            raise ParametersRefused(f"a norm bound of {norm} is not finite and positive", hint="Choose a norm")
        scaled = self._parameters.factor(weight, shape.clip) * norm
        # Five correctly rounded operations, so that all parties agree; one part in 2^40 covers what they lose.
        bound = math.ceil((scaled + math.sqrt(shape.length)) ** 2 * (1 + 2.0**-40))
        if bound > _core.LARGEST_PROOF_BOUND:
            raise ParametersRefused(
                f"a norm of {norm} gives a bound of {bound}, over {_core.LARGEST_PROOF_BOUND}",
                hint="Bound the norm, or clip values less: no update is that large",
            )
        return bound

    def direction(self, entries: NDArray[np.int16]) -> Direction:
        """The direction of these entries, one a value of an update. ``ParametersRefused`` for any other array."""
        if entries.dtype != np.int16 or entries.ndim != 1:
            raise ParametersRefused(
                f"a direction of {entries.dtype} in {entries.ndim} dimensions is no vector of int16",
                hint="Scale the direction to 16-bit integers",
            )
        entries = np.ascontiguousarray(entries)
        return Direction(_core.direction_digest(entries), entries)

    def prepare(self, shape: SumShape) -> None:
        """Expand the public polynomials of a round ahead of its first proof."""
        self._context(ProofShape(self._parameters, shape.length), shape)

    def prove(self, statement: BoundedUpdate, hidden: HiddenUpdate) -> bytes:
        """A proof that ``statement.ciphertext`` encrypts ``hidden`` within the bound.

        ``UpdateRefused``: a value is refused by the encryption, the squares add up to more than the bound, or the
        ciphertext is not what these values and seeds give.
        """
        proven, context, shape = self._statement(statement)
        seed = bytearray(self._random(SEED_BYTES))
        if len(seed) != SEED_BYTES:
            raise ParametersRefused(
                f"the source of randomness gave {len(seed)} bytes, not {SEED_BYTES}", hint="Use os.urandom"
            )
        if len(hidden.values) != shape.length:
            raise UpdateRefused(
                f"{len(hidden.values)} values are not {shape.length}", hint="Prove what was encrypted, as it was"
            )
        dealt = hidden.dealt
        if (dealt and Sharing(dealt.threshold, dealt.commitments)) != statement.sharing:
            raise UpdateRefused(
                "the key was not dealt as the statement says",
                hint="State the commitments of the shares that were dealt",
            )
        try:
            return _core.prove_update(
                proven,
                context,
                statement.ciphertext,
                hidden.values,
                offset=HEADER_BYTES,
                layout=self._parameters.layout,
                clip=shape.clip,
                factor=self._parameters.factor(hidden.weight, shape.clip),
                key_seed=hidden.key,
                noise_seed=hidden.noise,
                sharing_seed=dealt.hidden if dealt else None,
                proof_seed=seed,
                threads=self._threads,
            )
        except _core.ValueRefused as error:
            raise UpdateRefused(
                f"value {error.args[0]} is not finite and within the clip bound of {shape.clip}",
                hint="Prove what was encrypted, and leave it as it is until then",
            ) from None
        except _core.UpdateUnprovable as error:
            raise UpdateRefused(
                f"there is nothing to prove: {error.args[0]}",
                hint="Scale the update down to the agreed norm, and prove it with the seeds of its own encryption",
            ) from None
        except _core.WordRefused as error:
            raise _word_refused(error) from None
        finally:
            seed[:] = bytes(SEED_BYTES)

    def verify(self, statement: BoundedUpdate, proof: bytes) -> VerifiedProof:
        """The statement that the proof has been verified for; ``ProofRejected`` names the check that failed."""
        proven, context, shape = self._statement(statement)
        if not isinstance(proof, bytes):
            raise ProofRejected(f"the proof is a {type(proof).__name__}, not bytes", hint="Pass the bytes as received")
        try:
            digest = _core.verify_update(
                proven, context, statement.ciphertext, proof, offset=HEADER_BYTES, threads=self._threads
            )
        except _core.ProofRejected as error:
            raise ProofRejected(
                f"the proof is rejected: {error.args[0]}",
                hint="Leave the contribution out: whoever sent it cannot show that it keeps to the bounds",
                reason=error.args[0],
            ) from None
        except _core.WordRefused as error:
            raise _word_refused(error) from None
        claims = len(statement.further.parts) + (statement.further.direction is not None)
        threshold = None if statement.sharing is None else statement.sharing.threshold
        bits = ProofShape(self._parameters, shape.length, claims, threshold).soundness_bits
        return VerifiedProof(digest, bits, _key_claim(statement, proof))

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
        """Nothing, when ``key`` is the seed of the ciphertext that the claim is about: else ``ProofRejected``.

        A key that is not passes with probability 12 / p^2. The claim must be that of a verified proof.
        """
        lengths = (len(key), len(claim.content), len(claim.root), len(claim.value))
        if lengths != (SEED_BYTES, DIGEST_BYTES, DIGEST_BYTES, VALUE_BYTES):
            raise ProofRejected(
                f"a key and a claim of {lengths} bytes are not {(SEED_BYTES, DIGEST_BYTES, DIGEST_BYTES, VALUE_BYTES)}",
                hint="Ask the silo again; the message was damaged",
            )
        statement = self._kernel_statement(shape, bound, binding, further, None)
        if statement.key_binding(key, claim.content, claim.root) != claim.value:
            raise ProofRejected(
                "the key does not belong to the ciphertext that the proof is about",
                hint="Leave the silo out: with its key in the sum, nothing decrypts",
            )

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
        """Nothing, when ``share`` is what ``member`` has of the key of the ciphertext that the claim is about: else
        ``ProofRejected``.

        A share that is not passes with probability 12 / p^2. The claim must be that of a verified proof.
        """
        threshold = claim.threshold
        if type(member) is not int or not 1 <= member <= threshold.members:
            raise ParametersRefused(
                f"there is no member {member} in a committee of {threshold.members}", hint="Number members from 1 on"
            )
        lengths = (len(claim.content), len(claim.root), len(claim.values))
        if lengths != (expected := (DIGEST_BYTES, DIGEST_BYTES, VALUE_BYTES * threshold.recovery)):
            raise ProofRejected(
                f"a claim of {lengths} bytes is not {expected}", hint="Ask the silo again; the message was damaged"
            )
        sharing = Sharing(threshold, claim.commitments)
        statement = self._kernel_statement(shape, bound, binding, further, sharing)
        reason = statement.share_refused(share, member, claim.content, claim.root, claim.values)
        if reason is not None:
            raise ProofRejected(
                f"member {member}'s share is refused: {reason}",
                hint="Complain: the silo publishes the share and its salt, or is left out",
                reason=reason,
            )

    def _statement(self, statement: BoundedUpdate) -> tuple[_core.ProofStatement, _core.ProofContext, SumShape]:
        shape = statement.shape
        proof_shape = ProofShape(self._parameters, shape.length)
        expected = HEADER_BYTES + proof_shape.numbers["ciphertext_bytes"]
        if len(statement.ciphertext) != expected:
            raise CiphertextRefused(
                f"a ciphertext of {len(statement.ciphertext)} bytes is not {expected} bytes for {shape.length} values",
                hint="Ask the sender again; the bytes were damaged or forged",
            )
        kernel = self._kernel_statement(shape, statement.bound, statement.binding, statement.further, statement.sharing)
        return kernel, self._context(proof_shape, shape), shape

    def _kernel_statement(
        self, shape: SumShape, bound: int, binding: bytes, further: FurtherClaims, sharing: Sharing | None
    ) -> _core.ProofStatement:
        threshold = None if sharing is None else sharing.threshold
        kernel = ProofShape(self._parameters, shape.length, sharing=threshold).kernel
        for one in (bound, *(part.bound for part in further.parts)):
            if type(one) is not int or not 0 <= one <= _core.LARGEST_PROOF_BOUND:
                raise ParametersRefused(f"a bound of {one} is not 0 to {_core.LARGEST_PROOF_BOUND}", hint=_AGREED)
        direction = further.direction
        digests = {"context digest": shape.context, "binding": binding}
        if direction is not None:
            digests["direction digest"] = direction.digest
        for what, digest in digests.items():
            if len(digest) != DIGEST_BYTES:
                raise ParametersRefused(f"a {what} of {len(digest)} bytes is not {DIGEST_BYTES} bytes", hint=_AGREED)
        if (
            sharing is not None
            and [len(one) for one in sharing.commitments] != [DIGEST_BYTES] * sharing.threshold.members
        ):
            raise ParametersRefused(
                f"{len(sharing.commitments)} commitments are not {DIGEST_BYTES} bytes for each of "
                f"{sharing.threshold.members} members",
                hint="Take the threshold from the signed round context, and the commitments as they were dealt",
            )
        entries = None if direction is None else direction.entries
        try:
            made = _core.ProofStatement(
                kernel,
                bound=bound,
                context=shape.context,
                binding=binding,
                norms=[(part.first, part.end, part.bound) for part in further.parts],
                direction=entries,
                direction_digest=direction.digest if direction is not None and entries is None else None,
            )
            return made if sharing is None else made.shared(list(sharing.commitments))
        except (ValueError, OverflowError, TypeError) as error:
            raise ParametersRefused(f"the further claims are none: {error}", hint=_AGREED) from None

    def _context(self, proof_shape: ProofShape, shape: SumShape) -> _core.ProofContext:
        blocks = proof_shape.numbers["blocks"]
        with self._lock:
            if self._expanded is None or self._expanded[:2] != (shape.context, blocks):
                expanded = _core.ProofContext(proof_shape.kernel, shape.context, self._threads)
                self._expanded = (shape.context, blocks, expanded)
            return self._expanded[2]


def _key_claim(statement: BoundedUpdate, proof: bytes) -> KeyClaim | ShareClaim:
    content = _core.content_digest(statement.ciphertext, HEADER_BYTES)
    root, sharing = proof[ROOT_OFFSET:VALUE_OFFSET], statement.sharing
    if sharing is None:
        return KeyClaim(content, root, proof[VALUE_OFFSET : VALUE_OFFSET + VALUE_BYTES])
    values = proof[VALUE_OFFSET : VALUE_OFFSET + VALUE_BYTES * sharing.threshold.recovery]
    return ShareClaim(sharing.threshold, sharing.commitments, content, root, values)


@cache
def _of_process(parameters: Parameters, threads: int) -> BoundedUpdateProofs:
    return BoundedUpdateProofs(parameters, threads=threads)


def _word_refused(error: _core.WordRefused) -> CiphertextRefused:
    word, value = error.args
    return CiphertextRefused(
        f"the ciphertext holds {value} at word {word}, not below the modulus {_core.MODULUS}",
        hint="Ask the sender again; the bytes were damaged or forged",
    )


__all__ = ["BoundedUpdateProofs"]
