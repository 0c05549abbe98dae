"""Proofs that answers are what committed weights compute: types and refusals around the kernel.

``docs/inference-proofs.md`` specifies the argument and the bytes. Unaudited.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from quatrefoil import _core
from quatrefoil.errors import MessageRefused, ModelRefused, ParametersRefused, ProofRejected, StateCorrupt
from quatrefoil.proofs.openings import MOST_OPENINGS, Opening
from quatrefoil.wire import WireObject

RandomBytes = Callable[[int], bytes]
Integers = NDArray[np.int32]

SEED_BYTES = 32
DIGEST_BYTES = 32
LARGEST_BATCH = 1 << 14
MOST_LINKS = 256
LARGEST_THREADS = 256
LEAST_BITS = 90.0
"""Of soundness: what a verifier asks for unless it says otherwise. A single proof has about 98, and with the most links
before it about 91."""
_HINT = "Ask whoever made it for the file as it is; what it says is shown by nothing"


@dataclass(frozen=True)
class Link(WireObject):
    """``root``: of a fresh commitment to the same weights; ``proof``: that they are the same as before."""

    TYPE: ClassVar[str] = "urn:quatrefoil:weights-link"
    root: bytes
    proof: bytes


@dataclass(frozen=True)
class WeightsCommitment(WireObject):
    """What is public of committed weights. ``openings``: how often each root may be opened. ``root``: of the first
    commitment, which names the weights for good; ``range_proof``: that they are integers within the program's range;
    ``links``: to the fresh commitments that came after, each from the one before."""

    TYPE: ClassVar[str] = "urn:quatrefoil:weights-commitment"
    program: bytes
    openings: int
    root: bytes
    range_proof: bytes
    links: tuple[Link, ...]

    def __post_init__(self) -> None:
        roots = [self.root, *(link.root for link in self.links)]
        if any(len(root) != DIGEST_BYTES for root in roots) or len(set(roots)) != len(roots):
            raise MessageRefused("a commitment has a root that is none, or one twice", hint=_HINT)
        if not 1 <= self.openings <= MOST_OPENINGS or len(self.links) > MOST_LINKS:
            raise MessageRefused(
                f"a commitment of {self.openings} openings and {len(self.links)} links, "
                f"not 1 to {MOST_OPENINGS} and up to {MOST_LINKS}",
                hint=_HINT,
            )

    @property
    def current(self) -> bytes:
        """The root that is opened now."""
        return self.links[-1].root if self.links else self.root

    def linked(self, link: Link) -> WeightsCommitment:
        """The same weights, opened at a fresh root from now on."""
        return WeightsCommitment(self.program, self.openings, self.root, self.range_proof, (*self.links, link))


@dataclass(frozen=True)
class VerifiedCommitment:
    """A commitment of which range and links have been verified; ``soundness_bits`` of all of them together."""

    commitment: WeightsCommitment
    soundness_bits: float


@dataclass(frozen=True, eq=False)
class Batch:
    """What is public of a batch of ``size``: ``inputs`` (i32, little endian, sample after sample; or their field
    hashes, where ``hidden``), ``outputs`` (i32), and 32 bytes of whatever the proof is bound to besides."""

    size: int
    inputs: bytes
    outputs: bytes
    binding: bytes
    hidden: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.size <= LARGEST_BATCH:
            raise ParametersRefused(f"a batch of {self.size} is not 1 to {LARGEST_BATCH}", hint="Prove several")
        if len(self.binding) != DIGEST_BYTES:
            raise ParametersRefused(f"a binding of {len(self.binding)} bytes, not {DIGEST_BYTES}", hint="Give a digest")


@dataclass(frozen=True, eq=False)
class Witness:
    """What a prover knows besides: ``inputs`` (B, F), ``sums`` (B, F) of each layer whose sums are not the outputs,
    with the bias and without half of a rounding step; ``randomness`` (B, F) of the inputs' hashes, where those are
    hidden."""

    inputs: Integers
    sums: Sequence[Integers]
    randomness: Integers | None = None


@dataclass(frozen=True)
class VerifiedInference:
    """A batch whose every output is what the committed weights compute from its input. ``statement``: the digest of all
    that is public; ``soundness_bits``: of this proof and of the commitment's own together; ``model_root``: the first
    root of the commitment."""

    statement: bytes
    soundness_bits: float
    batch: int
    model_root: bytes


class InferenceProver:
    """Committed weights in memory, for proofs from one root.

    ``program``, ``weights``: as ``quatrefoil.quantised`` writes them; ``seed``: the 32 secret bytes of this root, the
    same for ever. Whoever calls has claimed the opening that each proof uses up. ``random`` is asked for 32 bytes a
    proof, from which all that blinds it is expanded.
    """

    def __init__(
        self,
        program: bytes,
        openings: int,
        weights: bytes | bytearray,
        seed: bytes | bytearray,
        *,
        threads: int = 1,
        random: RandomBytes = os.urandom,
    ) -> None:
        if not 1 <= threads <= LARGEST_THREADS:
            raise ParametersRefused(
                f"{threads} threads are not 1 to {LARGEST_THREADS}", hint="Use at most one per core"
            )
        self._threads = threads
        self._random = random
        try:
            self._kernel = _core.WeightsCommitment(program, openings, weights, seed, threads)
        except ValueError as error:
            raise ModelRefused(
                f"no proofs are made of this program and these weights: {error}",
                hint="Quantise the model again, with fewer bits or fewer weights",
            ) from None

    @property
    def root(self) -> bytes:
        return bytes(self._kernel.root)

    def require(self, commitment: WeightsCommitment) -> None:
        """``StateCorrupt`` where these are not the weights and the seed of ``commitment``."""
        if self.root != commitment.current:
            raise StateCorrupt(
                "model and seed are not those of the commitment beside them",
                hint="Restore the folder as it was made, or commit again",
            )

    def prove_range(self, opening: Opening) -> bytes:
        """That all weights are integers within the program's range."""
        opening.use()
        return bytes(_core.prove_weights_range(self._kernel, self._seed(), self._threads))

    def prove_link(self, opening: Opening, fresh: InferenceProver, fresh_opening: Opening) -> Link:
        """From this root to that of ``fresh``, of the same weights. It uses up an opening of each."""
        opening.use()
        fresh_opening.use()
        try:
            proof = _core.prove_weights_link(self._kernel, fresh._kernel, self._seed(), self._threads)
        except ValueError as error:
            raise ParametersRefused(
                f"the two commitments cannot be linked: {error}", hint="Commit to the same model"
            ) from None
        return Link(fresh.root, bytes(proof))

    def prove(self, opening: Opening, batch: Batch, witness: Witness) -> bytes:
        """The proof of ``batch``. ``ParametersRefused`` where the witness does not lead to what the batch says."""
        opening.use()
        randomness = None if witness.randomness is None else _bytes(witness.randomness)
        try:
            return bytes(
                _core.prove_inference(
                    self._kernel,
                    _bytes(witness.inputs),
                    batch.outputs,
                    [_bytes(one) for one in witness.sums],
                    batch.size,
                    randomness,
                    batch.binding,
                    self._seed(),
                    self._threads,
                )
            )
        except ValueError as error:
            raise ParametersRefused(
                f"there is nothing to prove: {error}",
                hint="Prove what the committed model computed, as it was answered",
            ) from None

    def _seed(self) -> bytes:
        seed = self._random(SEED_BYTES)
        if len(seed) != SEED_BYTES:
            raise ParametersRefused(f"the source of randomness gave {len(seed)} bytes", hint="Use os.urandom")
        return seed


def shape(program: bytes, openings: int, batch: int, *, hidden: bool) -> dict[str, Any]:
    """The numbers of a batch's proof. ``ParametersRefused``, with the numbers, where there is none of this size."""
    try:
        return dict(_core.inference_shape(program, openings, batch, hidden))
    except ValueError as error:
        raise ParametersRefused(f"a batch of {batch} has no proof: {error}", hint="Prove smaller batches") from None


def verify_commitment(commitment: WeightsCommitment) -> VerifiedCommitment:
    """The commitment, of which weights are in their range and links lead to the same weights; or ``ProofRejected``."""
    program, openings = commitment.program, commitment.openings
    bits = [
        _checked(
            "range of the weights",
            _core.verify_weights_range,
            program,
            openings,
            commitment.root,
            commitment.range_proof,
        )[1]
    ]
    before = commitment.root
    for number, link in enumerate(commitment.links, 1):
        given = (program, openings, before, openings, link.root, link.proof)
        bits.append(_checked(f"link {number} of the commitment", _core.verify_weights_link, *given)[1])
        before = link.root
    return VerifiedCommitment(commitment, _together(bits))


def verify(
    commitment: VerifiedCommitment,
    batch: Batch,
    proof: bytes,
    *,
    threads: int = 1,
    least_bits: float = LEAST_BITS,
) -> VerifiedInference:
    """What ``proof`` shows of ``batch``; ``ProofRejected`` names the check that failed. ``least_bits``: of soundness,
    with the commitment's own; less is rejected."""
    public = commitment.commitment
    statement, bits = _checked(
        "proof",
        _core.verify_inference,
        public.program,
        public.openings,
        public.current,
        batch.inputs,
        batch.hidden,
        batch.outputs,
        batch.size,
        batch.binding,
        proof,
        threads,
    )
    together = _together([bits, commitment.soundness_bits])
    require_bits(together, least_bits)
    return VerifiedInference(statement, together, batch.size, public.root)


def require_bits(bits: float, least: float) -> None:
    """``ProofRejected`` where a proof has fewer bits of soundness than are asked for."""
    if not bits >= least:
        reason = f"it has {bits:.2f} bits of soundness, {least:g} are asked for"
        raise ProofRejected(
            f"the proof is rejected: {reason}",
            hint="Ask for a proof under a commitment with fewer links, or say that fewer bits are enough",
            reason=reason,
        )


def _checked(what: str, verifier: Callable[..., tuple[bytes, float]], *given: Any) -> tuple[bytes, float]:
    try:
        statement, bits = verifier(*given)
    except _core.ProofRejected as error:
        reason = str(error.args[0])
    except ValueError as error:
        reason = f"there is none of these sizes: {error}"
    else:
        return bytes(statement), float(bits)
    raise ProofRejected(
        f"the {what} is rejected: {reason}",
        hint="Believe none of the answers: whoever made it cannot show them",
        reason=reason,
    )


def _together(bits: Sequence[float]) -> float:
    """Of several proofs, each of which may fail."""
    return -math.log2(math.fsum(2.0**-one for one in bits))


def _bytes(array: Integers) -> bytes:
    return np.ascontiguousarray(array, "<i4").tobytes()


__all__ = [
    "LARGEST_BATCH",
    "LEAST_BITS",
    "Batch",
    "InferenceProver",
    "Link",
    "VerifiedCommitment",
    "VerifiedInference",
    "WeightsCommitment",
    "Witness",
    "require_bits",
    "shape",
    "verify",
    "verify_commitment",
]
