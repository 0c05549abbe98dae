"""The Rust kernel (``rust/``). Everything here trusts its caller about meaning and checks every length;
``quatrefoil.aggregation`` and ``quatrefoil.proofs`` are the interfaces for anyone else. ``docs/additive-encryption.md``
and ``docs/proofs.md`` define the bytes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RING_DEGREE: int
ETA: int
MODULUS: int
BUILT_WITH: list[str]
"""What the build asks of every processor beyond the first x86-64: nothing, in a wheel for all of them."""
LARGEST_PROOF_BOUND: int
MOST_FURTHER_CLAIMS: int

class ValueRefused(Exception):
    """A value is not finite or beyond the clip range. ``args``: its index."""

class WordRefused(Exception):
    """A word is not below the modulus. ``args``: its position, its value."""

class SumRefused(Exception):
    """A sum does not decrypt under the key. ``args``: what does not fit."""

class Layout:
    """The numbers of a parameter set that the kernel needs, and its 32-byte digest."""

    def __new__(cls, value_bits: int, slots: int, slot_width: int, delta: int, digest: bytes) -> Layout: ...
    def block_bytes(self, values: int) -> int: ...

class Accumulator:
    """A sum of blocks that grows as ciphertexts arrive, and holds none of them. It takes no memory before the first."""

    def __new__(cls, header_bytes: int, block_bytes: int) -> Accumulator: ...
    def add(self, input: bytes, offset: int) -> None:
        """Add the blocks that start at ``offset``; the sum stays as it was when they are refused."""

    def total(self, header: bytes) -> bytes:
        """``header``, of ``header_bytes``, followed by the sum so far, of at least one ciphertext. No copy is
        made unless more is added afterwards."""

def encrypt(
    layout: Layout,
    header: bytes,
    values: NDArray[np.float32] | NDArray[np.float64],
    *,
    clip: float,
    factor: float,
    context: bytes,
    key_seed: bytes | bytearray,
    noise_seed: bytes | bytearray,
    threads: int,
    first_block: int = 0,
) -> bytes:
    """``header`` followed by the blocks that encrypt ``values``. Each value is read once: when another thread writes to
    them meanwhile, some old and some new values are encrypted, and each was checked. ``first_block``: where in an
    update they start, in blocks."""

def combine_keys(layout: Layout, header: bytes, seeds: Sequence[bytes | bytearray]) -> bytes:
    """``header`` followed by the sum of the secret polynomials that the seeds expand to."""

def decrypt(
    layout: Layout,
    total: bytes,
    key: bytes,
    *,
    offset: int,
    key_offset: int,
    length: int,
    count: int,
    unit: float,
    context: bytes,
    threads: int,
    first_block: int = 0,
) -> NDArray[np.float64]:
    """The values that the blocks at ``offset`` of ``total`` hold, in multiples of ``unit``. They start at block
    ``first_block`` of the sum."""

def sampled_mask(layout: Layout, context: bytes, block: int) -> NDArray[np.uint64]:
    """The public polynomial a_j of a context, as evaluations. For tests of the sampler."""

def sampled_noise(layout: Layout, context: bytes, noise_seed: bytes | bytearray, block: int) -> NDArray[np.int64]:
    """The error polynomial e_j that a noise seed expands to. For tests of the sampler."""

def masks_expanded() -> int:
    """How many public polynomials this process has expanded so far. For tests: a round's are expanded once."""

def limit_masks(byte_count: int = 1 << 24) -> None:
    """Keep up to this many bytes of a round's public polynomials from now on, in the whole process, and none of those
    that are kept now. For tests and benches."""

def run_step(layout: Layout, step: str, times: int) -> None:
    """Do one step of the work on a block this many times, on memory that stays near: ``"keystream"`` (as many bytes as
    a block has), ``"mask"``, ``"message"``, ``"transform"`` or ``"key"``. For benches."""

def processor_levels() -> list[str]:
    """The copies of the hot loops that run on this processor, the best first; "portable" is always the last."""

def limit_processor(level: str) -> None:
    """Use no copy above ``level``, in the whole process. For tests: all copies give the same bytes."""

def proof_levels() -> list[str]:
    """The copies of the prover's loops that run on this processor, the best first; "portable" is always the last."""

def limit_proofs(level: str) -> None:
    """Use no copy of the prover's loops above ``level``, and none of the kernel's above its own, in the whole process.
    For tests and benches: all copies give the same bytes."""

def timed_steps() -> list[str]:
    """The steps on secrets that :func:`time_step` knows."""

def time_step(step: str, fixed: int, classes: bytes, random_seed: bytes | bytearray) -> NDArray[np.uint64]:
    """Ticks that a step takes in each measurement. ``classes``: a byte for each, 0 for inputs that are all the word
    ``fixed``, 1 for random ones. For the bench of constant time."""

class ProofUnavailable(Exception):
    """There are no proofs of this shape. ``args``: why."""

class UpdateUnprovable(Exception):
    """The statement is not true of what was given. ``args``: what is not as stated."""

class ProofRejected(Exception):
    """A proof does not verify. ``args``: the reason."""

class ProofShape:
    """The shape of the proofs about a number of values, or ``ProofUnavailable``."""

    def __new__(cls, layout: Layout, values: int) -> ProofShape: ...
    def numbers(self) -> list[tuple[str, int]]: ...
    def soundness_terms(self, further: int = 0) -> list[tuple[str, str, float]]:
        """What is drawn, what can go wrong, and log2 of the error, with so many further claims."""

    def soundness_bits(self, further: int = 0) -> float: ...

class ProofContext:
    """The public polynomials of a context, expanded once for all proofs of a round."""

    def __new__(cls, shape: ProofShape, context: bytes, threads: int) -> ProofContext: ...

class ProofStatement:
    """Everything public that a proof is about, but the ciphertext."""

    def __new__(
        cls,
        shape: ProofShape,
        *,
        bound: int,
        context: bytes,
        binding: bytes,
        norms: list[tuple[int, int, int]] = ...,
        direction: NDArray[np.int16] | None = None,
        direction_digest: bytes | None = None,
    ) -> ProofStatement:
        """``norms``: first, end and bound of parts. Of a direction its entries, or the digest alone for a statement's
        digest and the key; ``ValueError`` for claims that are none."""

    def digest(self, ciphertext: bytes) -> bytes:
        """The statement digest for the ciphertext with this content digest."""

    def key_binding(self, key_seed: bytes | bytearray, ciphertext: bytes, root: bytes) -> bytes:
        """v for this key: what a proof about the ciphertext with this content digest, and with this root 1, holds."""

def direction_digest(direction: NDArray[np.int16]) -> bytes:
    """The digest of a direction's entries, as a statement holds it."""

def content_digest(ciphertext: bytes, offset: int) -> bytes:
    """The digest of the blocks that start at ``offset``, as a statement holds it."""

def prove_update(
    statement: ProofStatement,
    context: ProofContext,
    ciphertext: bytes,
    values: NDArray[np.float32] | NDArray[np.float64],
    *,
    offset: int,
    layout: Layout,
    clip: float,
    factor: float,
    key_seed: bytes | bytearray,
    noise_seed: bytes | bytearray,
    proof_seed: bytes | bytearray,
    threads: int,
) -> bytes:
    """A proof that the blocks at ``offset`` are what ``encrypt`` makes of these values and seeds, within the bound."""

def verify_update(
    statement: ProofStatement,
    context: ProofContext,
    ciphertext: bytes,
    proof: bytes,
    *,
    offset: int,
    threads: int,
) -> bytes:
    """The statement digest, or ``ProofRejected``."""

class WeightsCommitment:
    """A commitment to a model's weights, kept in memory for many proofs. docs/inference-proofs.md."""

    def __init__(self, program: bytes, openings: int, weights: bytes, seed: bytes, threads: int) -> None: ...
    @property
    def root(self) -> bytes: ...

def inference_shape(program: bytes, openings: int, batch: int, hidden: bool) -> dict[str, float]: ...
def prove_inference(
    commitment: WeightsCommitment,
    inputs: bytes,
    outputs: bytes,
    sums: list[bytes],
    batch: int,
    randomness: bytes | None,
    binding: bytes,
    seed: bytes,
    threads: int,
) -> bytes: ...
def verify_inference(
    program: bytes,
    openings: int,
    root: bytes,
    inputs: bytes,
    hidden: bool,
    outputs: bytes,
    batch: int,
    binding: bytes,
    proof: bytes,
    threads: int,
) -> tuple[bytes, float]: ...
def prove_weights_range(commitment: WeightsCommitment, seed: bytes, threads: int) -> bytes: ...
def verify_weights_range(program: bytes, openings: int, root: bytes, proof: bytes) -> tuple[bytes, float]: ...
def prove_weights_link(old: WeightsCommitment, new: WeightsCommitment, seed: bytes, threads: int) -> bytes: ...
def verify_weights_link(
    program: bytes, openings_old: int, root_old: bytes, openings_new: int, root_new: bytes, proof: bytes
) -> tuple[bytes, float]: ...
