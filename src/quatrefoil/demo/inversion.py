"""Gradient inversion: what records can be read from what a party holds, beside what can be guessed.

The attack is exact algebra, no search. The gradient of a first layer ``W x + b`` for one record x is (g x^T, g), so
every row of dW divided by its entry of db is x (Phong et al. 2017; Geiping et al. 2020). For many records, or many
steps, each ratio is a mixture of records; for one record it stays exact after any number of steps. Stronger attacks
exist: a search with priors, or a common model crafted by the attacker. What is low here is low against this attack.

**How it is measured.** The attack gives k candidates, one a hidden unit. Against the n records of a hospital:

- ``closest_db``: the PSNR of the best of the k x n pairs, the patient that the attack hits best;
- ``typical_db``: for each record the best of the k candidates, then the mean over the records.

Both rise with k and n whether or not anything leaked, so every view is read beside guesses with the same k and n:
:func:`chance`, the same attack on random numbers of the update's shape; :func:`mean_guess`, the average patient of the
other hospitals; :func:`stranger_guess`, k real records of the other hospitals. What does not beat the last two has
told the attacker nothing about a patient that a public data set would not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quatrefoil.aggregation import CkksSumSet, ParameterSet
from quatrefoil.aggregation.ciphertext import HEADER_BYTES
from quatrefoil.aggregation.ckks.polynomials import decoded
from quatrefoil.demo import metrics, models
from quatrefoil.demo.data import Labelled
from quatrefoil.demo.models import Arrays
from quatrefoil.errors import CallerError

Records = NDArray[np.float64]
"""n x d, features in [0, 1]."""

Read = Callable[[bytes, int], NDArray[np.float64]]
"""What an aggregator received of one silo, and how many values an update has, to the best reading of that update."""

DRAWS = 16
"""How many draws a random guess is averaged over."""


@dataclass(frozen=True)
class Match:
    """How close k candidates come to n records, in decibel: the best pair, and the mean over the records."""

    closest_db: float
    typical_db: float


@dataclass(frozen=True)
class Packing:
    """How a ciphertext would hold values if nothing were encrypted; all of it is public.

    ``header_bytes`` stand in front of blocks of ``block_words`` 64-bit words. ``shift``: bits below the message,
    ``slot_bits``: bits a value, ``slots``: values a word; one slot of a block is one run of the update. The defaults
    are those of the parameter set ``sum-256-w16``.
    """

    header_bytes: int = 96
    block_words: int = 4096
    shift: int = 15
    slot_bits: int = 24
    slots: int = 2

    @classmethod
    def of(cls, parameters: ParameterSet) -> Packing:
        """The packing of a parameter set."""
        degree, shift = parameters.ring_degree, parameters.delta
        return cls(HEADER_BYTES, degree, shift, parameters.slot_width, parameters.slots)


GOLDILOCKS = (1 << 64) - (1 << 32) + 1


def invert_update(update: Arrays) -> Records:
    """Candidate records, k x d, from anything shaped like an update; values outside [0, 1] are moved to the edge.

    A hidden unit whose bias did not move says nothing: its candidate is 0.5 everywhere.
    """
    if len(update) < 2 or update[0].ndim != 2 or update[1].shape != update[0].shape[:1]:
        raise CallerError(
            f"arrays of shapes {[array.shape for array in update]} do not start with a layer's weights and bias",
            hint="Pass an update shaped like the parameters: weights (out x in), bias (out), ...",
        )
    weights, bias = (np.asarray(array, dtype=np.float64) for array in update[:2])
    moved = np.isfinite(bias) & (np.abs(bias) > np.finfo(np.float64).tiny)
    ratio = weights / np.where(moved, bias, 1.0)[:, None]
    usable = moved[:, None] & np.isfinite(ratio)
    return np.where(usable, np.clip(np.nan_to_num(ratio), 0.0, 1.0), 0.5)


def ciphertext_as_update(ciphertext: bytes, length: int, packing: Packing | None = None) -> NDArray[np.float64]:
    """The best that an aggregator can make of a ciphertext: unpack it as if it were not encrypted.

    Takes the words modulo p = 2^64 - 2^32 + 1, centred, and from them the signed slots. Returns ``length`` values;
    their scale is arbitrary, which the attack does not mind. ``CallerError`` where the blocks do not fit the length.
    """
    packing = packing or Packing()
    blocks = -(-length // (packing.block_words * packing.slots))
    body = ciphertext[packing.header_bytes :]
    if length < 1 or len(body) != 8 * packing.block_words * blocks:
        raise CallerError(
            f"{len(body)} bytes after the header are not {blocks} block(s) of {packing.block_words} words",
            hint="Pass one ciphertext of an update of that length, and the packing of its parameter set",
        )
    words = np.frombuffer(body, dtype="<u8").reshape(blocks, packing.block_words)
    # Words above p/2 stand for negative values; the wrap of 64-bit arithmetic does the subtraction of p.
    centred = np.where(words > GOLDILOCKS // 2, words - np.uint64(GOLDILOCKS), words).astype(np.int64)
    rest = (centred + (1 << (packing.shift - 1))) >> packing.shift
    half = 1 << (packing.slot_bits - 1)
    slots = []
    for _ in range(packing.slots):
        low = ((rest + half) & (2 * half - 1)) - half
        slots.append(low)
        rest = (rest - low) >> packing.slot_bits
    return np.stack(slots, axis=1).ravel()[:length].astype(np.float64)


def ckks_as_update(ciphertext: bytes, length: int) -> NDArray[np.float64]:
    """The best that an aggregator can make of a ciphertext of a sum in CKKS: decode it as if it were not encrypted."""
    parameters = CkksSumSet.named("ckks-sum-4096")
    body = ciphertext[HEADER_BYTES:]
    if length < 1 or len(body) != parameters.block_bytes(length):
        raise CallerError(
            f"{len(body)} bytes after the header do not hold {length} values in {parameters.name}",
            hint="Pass one ciphertext of an update of that length",
        )
    blocks = np.frombuffer(body, dtype="<u8").reshape(-1, parameters.ring_degree)
    return np.concatenate([decoded(parameters, block) for block in blocks])[:length]


def plain_as_update(received: bytes, length: int) -> NDArray[np.float64]:
    """What an aggregator reads where nothing is encrypted: the last ``length`` numbers are the update, weighted."""
    if length < 1 or len(received) < 8 * length:
        raise CallerError(f"{len(received)} bytes do not hold {length} values", hint="Pass one update of that length")
    return np.frombuffer(received[-8 * length :], "<f8")


def shaped_like(vector: NDArray[np.float64], arrays: Arrays) -> models.Parameters:
    """A flat vector cut into the shapes of ``arrays``, in their order."""
    expected = sum(array.size for array in arrays)
    if vector.shape != (expected,):
        raise CallerError(
            f"a vector of shape {vector.shape} does not fill {expected} values", hint="Pass a flat update"
        )
    parts = np.split(vector, np.cumsum([array.size for array in arrays])[:-1])
    return [part.reshape(array.shape) for part, array in zip(parts, arrays, strict=True)]


def match(candidates: Records, records: Records) -> Match:
    """How close ``candidates`` (k x d) come to ``records`` (n x d)."""
    if candidates.ndim != 2 or records.ndim != 2 or candidates.shape[1] != records.shape[1] or not len(records):
        raise CallerError(f"shapes {candidates.shape} and {records.shape} do not compare", hint="Pass k x d and n x d")
    pairs = metrics.psnr_pairs(candidates, records)
    return Match(closest_db=float(pairs.max()), typical_db=float(pairs.max(axis=0).mean()))


def best_psnr(candidates: Records, records: Records) -> float:
    """The PSNR of the best pair, in decibel: the patient that the attack hits best."""
    return match(candidates, records).closest_db


def single_gradients(parameters: Arrays, data: Labelled) -> Match:
    """The attack on the gradient of each patient alone, each against that patient's record only."""
    features, labels = data
    matches = [
        match(invert_update(models.gradient(parameters, (record[None], label[None]))), record[None])
        for record, label in zip(features, labels, strict=True)
    ]
    return Match(max(one.closest_db for one in matches), float(np.mean([one.typical_db for one in matches])))


def chance(like: Arrays, records: Records, *, seed: int, draws: int = DRAWS) -> Match:
    """The same attack on uniform random numbers, as a ciphertext's slots are, shaped ``like`` it; mean of ``draws``."""
    random = np.random.default_rng(seed)
    guesses = (invert_update([random.uniform(-1, 1, array.shape) for array in like]) for _ in range(draws))
    return average([match(guess, records) for guess in guesses])


def mean_guess(public: Records, records: Records) -> Match:
    """Guessing the average of ``public`` records for everyone."""
    return match(public.mean(axis=0)[None], records)


def stranger_guess(public: Records, records: Records, candidates: int, *, seed: int, draws: int = DRAWS) -> Match:
    """Guessing ``candidates`` real records of other people, drawn from ``public``; mean over ``draws``."""
    if not 0 < candidates <= len(public):
        raise CallerError(f"{candidates} guesses from {len(public)} records", hint="Pass at least that many records")
    random = np.random.default_rng(seed)
    drawn = (public[random.permutation(len(public))[:candidates]] for _ in range(draws))
    return average([match(guess, records) for guess in drawn])


def average(matches: Sequence[Match]) -> Match:
    """The mean of several matches: over hospitals, or over draws."""
    if not matches:
        raise CallerError("there is nothing to average", hint="Pass at least one match")
    return Match(
        closest_db=float(np.mean([one.closest_db for one in matches])),
        typical_db=float(np.mean([one.typical_db for one in matches])),
    )
