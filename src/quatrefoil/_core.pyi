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

class ShareRefused(Exception):
    """A word of a share is not below the modulus. ``args``: the index of the share."""

def share_words(threshold: tuple[int, int, int]) -> int:
    """Words of a member's answer. ``threshold``: members, privacy, packing; ``ValueError`` for none."""

def share_bytes(threshold: tuple[int, int, int]) -> int:
    """Bytes of a share: salt, words, share of the mask."""

def deal_key(
    layout: Layout, threshold: tuple[int, int, int], key_seed: bytes | bytearray, sharing_seed: bytes | bytearray
) -> tuple[list[bytearray], list[bytes]]:
    """Each member's share, and its commitment."""

def add_shares(header: bytes, threshold: tuple[int, int, int], shares: Sequence[bytes | bytearray]) -> bytes:
    """``header`` followed by the sum of the shares' words, or ``ShareRefused``."""

def words_below_modulus(words: bytes) -> bool:
    """Whether every little-endian u64 is."""

def recover_key(
    header: bytes,
    threshold: tuple[int, int, int],
    answers: list[tuple[int, bytes]],
    *,
    largest: int,
    first: int,
    end: int,
) -> tuple[int, bytes, list[int]] | None:
    """The next trial from ``first`` on, and before ``end``, in which a set of answers gives a secret with no
    coefficient further from zero than ``largest``: its number, ``header`` followed by the secret, and the members whose
    answers are not those of the set. ``answers``: by member, in ascending order, words without a header."""

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
    def shared(self, threshold: tuple[int, int, int]) -> ProofShape:
        """The same with the key in shares: members, privacy, packing. ``ProofUnavailable`` where they are too long."""

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

    def shared(self, commitments: list[bytes]) -> ProofStatement:
        """The same, of a shape with the key in shares, with each member's commitment to its share."""

    def share_refused(
        self, share: bytes | bytearray, member: int, ciphertext: bytes, root: bytes, values: bytes
    ) -> str | None:
        """Why the share of a member, from 1 on, is not the one that a proof with this root 1 and these values is about;
        nothing when it is."""

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
    sharing_seed: bytes | bytearray | None,
    proof_seed: bytes | bytearray,
    threads: int,
) -> bytes:
    """A proof that the blocks at ``offset`` are what ``encrypt`` makes of these values and seeds, within the bound;
    with a ``sharing_seed``, that the key is shared as :func:`deal_key` does with it."""

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
    """A commitment to the weights of a model in integers (docs/inference-proofs.md), kept in memory for many proofs and
    wiped when it is dropped. The same arguments give the same root, whatever the threads."""

    def __new__(
        cls,
        program: bytes,
        openings: int,
        weights: bytes | bytearray,
        seed: bytes | bytearray,
        threads: int,
    ) -> WeightsCommitment:
        """``weights``: little-endian i32, for each Dense and Conv in the order of steps its weights, row-major in their
        natural shape, then its biases. ``ValueError``, with the numbers, for what does not fit."""

    @property
    def root(self) -> bytes: ...
    @property
    def openings(self) -> int: ...

def inference_shape(program: bytes, openings: int, batch: int, hidden: bool) -> dict[str, float]:
    """The numbers of the proofs about a batch, whole but for ``soundness_bits``; ``ValueError``, with the numbers,
    where there are none."""

def inference_soundness_terms(program: bytes, openings: int, batch: int, hidden: bool) -> list[tuple[str, str, float]]:
    """What is drawn, what can go wrong, and log2 of the error."""

def prove_inference(
    commitment: WeightsCommitment,
    inputs: bytes | bytearray,
    outputs: bytes,
    sums: list[bytes] | list[bytearray],
    batch: int,
    randomness: bytes | bytearray | None,
    binding: bytes,
    seed: bytes | bytearray,
    threads: int,
) -> bytes:
    """A proof that the committed model computes these outputs from these inputs; it uses up an opening of the
    commitment, which the caller counts. All are little-endian i32, sample after sample. ``sums``: of every rounded
    Dense and Conv in the order of steps, with the bias, before half a step is added. With ``randomness``, the entries
    that their field hashes were made with, the inputs stay hidden. ``ValueError`` for what does not fit, and where the
    model does not compute these outputs."""

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
) -> tuple[bytes, float]:
    """The statement digest and -log2 of the soundness error, or ``ProofRejected``. ``inputs``: little-endian i32, or
    where they are ``hidden`` their field hashes, each word a little-endian u64. ``ValueError`` for a statement that is
    none."""

def prove_weights_range(commitment: WeightsCommitment, seed: bytes | bytearray, threads: int) -> bytes:
    """A proof that the committed weights are in the program's range; it uses up an opening. ``ValueError`` where that
    is more than 2^16 integers."""

def verify_weights_range(program: bytes, openings: int, root: bytes, proof: bytes) -> tuple[bytes, float]:
    """The statement digest and -log2 of the soundness error, or ``ProofRejected``."""

def prove_weights_link(old: WeightsCommitment, new: WeightsCommitment, seed: bytes | bytearray, threads: int) -> bytes:
    """A proof that two commitments, of one program and of as many openings, hold the same weights and biases; it uses
    up an opening of each. ``ValueError`` where they do not."""

def verify_weights_link(
    program: bytes, openings_old: int, root_old: bytes, openings_new: int, root_new: bytes, proof: bytes
) -> tuple[bytes, float]:
    """The statement digest and -log2 of the soundness error, or ``ProofRejected``."""

FIELD_HASH_ROWS: list[tuple[int, int]]
"""Rows of the field hash's matrix: for ranges of up to 8 bits, then up to 16; of each for small inputs, then others."""
FIELD_HASH_SMALL: int
"""Inputs up to which they are small."""
FIELD_HASH_LARGEST: int

class EntryRefused(Exception):
    """An entry is outside its range. ``args``: none, since which one is nobody's business."""

class FieldHash:
    """The matrix of ``docs/field-hash.md`` for ``size`` inputs from ``low`` to ``high``. Up to 384 MiB of it are kept;
    a larger one is expanded again at each use."""

    def __new__(cls, size: int, low: int, high: int) -> FieldHash: ...
    @property
    def rows(self) -> int: ...
    @property
    def rho_entries(self) -> int: ...
    @property
    def rho_bytes(self) -> int: ...
    def rho(self, rho: bytes | bytearray) -> NDArray[np.int32]:
        """The entries that ``rho_bytes`` bytes stand for."""

    def hash(self, inputs: NDArray[np.int32], rho: bytes | bytearray) -> bytes:
        """h, a word of eight bytes a row; ``EntryRefused`` where an input is outside the range."""

    def row_combination(self, point: bytes) -> bytes:
        """A^T eq(r): an element of 16 bytes for each input, then each entry of rho. ``point``: r, log2 of the rows
        rounded up of them; rows that there are not are zero."""
