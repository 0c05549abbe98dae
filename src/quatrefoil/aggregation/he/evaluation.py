"""The computing party's side: ciphertexts with what is known of them, and no key that opens one.

Every operation asks the track first: what does not fit is refused before SEAL does anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from quatrefoil.aggregation.he.bounds import BgvTrack, CkksTrack, Track
from quatrefoil.aggregation.he.context import Context, context
from quatrefoil.aggregation.he.matrices import PlainMatrix
from quatrefoil.aggregation.he.parameters import HeParameters
from quatrefoil.aggregation.he.serialised import (
    Bytes,
    read_ciphertext,
    read_galois_keys,
    read_relin_keys,
    rotation_steps,
)
from quatrefoil.errors import CallerError, CiphertextRefused
from quatrefoil.wire import WireObject


@dataclass(frozen=True)
class EvaluationKeys(WireObject):
    """What lets a computing party multiply and add slots of ciphertexts of one key; SEAL's streams."""

    TYPE: ClassVar[str] = "urn:quatrefoil:he-evaluation-keys"
    parameters: str
    key_id: bytes
    relin: bytes
    galois: bytes


@dataclass(frozen=True, repr=False)
class Encrypted:
    """A ciphertext inside the computing party, and what is known of it."""

    handle: Any
    track: Track


class Evaluator:
    """Computes on ciphertexts of one key. Without ``keys`` only sums and plain weights."""

    def __init__(self, parameters: HeParameters, keys: EvaluationKeys | None = None) -> None:
        self.parameters = parameters
        self._context: Context = context(parameters)
        self._relin = self._galois = None
        if keys is not None:
            if keys.parameters != parameters.name or not parameters.special:
                raise CiphertextRefused(
                    f"evaluation keys of {keys.parameters[:60]!r} do not go with {parameters.name}",
                    hint="Ask the key holder for those of this set",
                )
            self._relin = read_relin_keys(self._context, keys.relin)
            self._galois = read_galois_keys(self._context, keys.galois)

    def read(self, data: Bytes, track: Track) -> Encrypted:
        """A ciphertext from outside, or ``CiphertextRefused``."""
        self._require_ours(track)
        if isinstance(track, CkksTrack):
            return Encrypted(read_ciphertext(self._context, data, 2.0**track.scale_bits, track.dropped), track)
        return Encrypted(read_ciphertext(self._context, data, 1.0), track)

    def write(self, encrypted: Encrypted) -> bytes:
        """SEAL's stream, or ``CiphertextRefused`` where nothing is hidden in it any more."""
        if encrypted.handle.is_transparent():
            raise CiphertextRefused(
                "the result is transparent: it hides nothing", hint="It depends on no encrypted value"
            )
        return bytes(encrypted.handle.to_string())

    def add(self, terms: Sequence[Encrypted]) -> Encrypted:
        if not terms:
            raise CallerError("a sum of nothing", hint="Give at least one ciphertext")
        track = terms[0].track
        for term in terms[1:]:
            track = _plus(track, term.track)
        if len(terms) == 1:
            return terms[0]
        with _computing():
            total = self._context.evaluator.add(terms[0].handle, terms[1].handle)
            for term in terms[2:]:
                self._context.evaluator.add_inplace(total, term.handle)
        return Encrypted(total, track)

    def times(self, encrypted: Encrypted, weight: int) -> Encrypted:
        """By a plain integer, not 0; in CKKS it stands for ``weight`` / 2^weight_bits."""
        if weight == 0:
            raise CallerError("a product with 0 hides nothing", hint="Leave the term out")
        track = encrypted.track.times(weight)
        plain = self._constant(weight, self.parameters.weight_bits)
        with _computing():
            return Encrypted(self._context.evaluator.multiply_plain(encrypted.handle, plain), track)

    def shift(self, encrypted: Encrypted, constant: int) -> Encrypted:
        """Plus a plain integer in each slot; in CKKS it stands for ``constant`` at the scale of ``encrypted``."""
        track = encrypted.track
        if isinstance(track, BgvTrack):
            track = track.shifted(constant)
            plain = self._constant(constant, 0)
        else:
            added = CkksTrack(self.parameters, abs(constant) / 2.0**track.scale_bits, 0.0, track.scale_bits)
            track = track.plus(added)
            plain = self._constant(constant, track.scale_bits, in_pairs=self.parameters.paired)
        with _computing():
            return Encrypted(self._context.evaluator.add_plain(encrypted.handle, plain), track)

    def multiply(self, left: Encrypted, right: Encrypted) -> Encrypted:
        """Slot by slot."""
        track = _product(left.track, right.track)
        relin = self._needed(self._relin)
        with _computing():
            product = self._context.evaluator.multiply(left.handle, right.handle)
            self._context.evaluator.relinearize_inplace(product, relin)
        return Encrypted(product, track)

    def apply(self, vectors: Sequence[Encrypted], matrix: PlainMatrix) -> Encrypted:
        """The sum of each vector, slot by slot, times its weights, added up by the matrix's rotations, with its
        constant; rescaled, so that one prime less is left."""
        widest = _widest(vectors)
        track = widest.applied(matrix.known)
        if len(vectors) != len(matrix.handles) or (widest.dropped, widest.scale_bits) != matrix.of:
            raise CallerError("a matrix for other vectors", hint="Encode it for these")
        galois, evaluator = self._needed(self._galois), self._context.evaluator
        with _computing():
            terms = [
                evaluator.multiply_plain(vector.handle, plain)
                for vector, plain in zip(vectors, matrix.handles, strict=True)
                if plain is not None
            ]
            total = terms[0] if len(terms) == 1 else evaluator.add_many(terms)
            for step in matrix.steps:
                total = evaluator.add(total, evaluator.rotate_vector(total, step, galois))
            if matrix.constant is not None:
                evaluator.add_plain_inplace(total, matrix.constant)
            evaluator.rescale_to_next_inplace(total)
        return Encrypted(total, track)

    def sum_slots(self, encrypted: Encrypted, rows: int) -> Encrypted:
        """The sum of all slots, of which ``rows`` are not zero, in each slot."""
        track = encrypted.track
        track = track.summed() if isinstance(track, CkksTrack) else track.summed(rows)
        galois = self._needed(self._galois)
        total, evaluator = encrypted.handle, self._context.evaluator
        rotate = evaluator.rotate_vector if self.parameters.scheme == "ckks" else evaluator.rotate_rows
        with _computing():
            for step in rotation_steps(self._context):
                total = evaluator.add(total, rotate(total, step, galois))
            if self.parameters.scheme == "bgv":
                total = evaluator.add(total, evaluator.rotate_columns(total, galois))
        return Encrypted(total, track)

    def _constant(self, value: int, scale_bits: int, *, in_pairs: bool = False) -> Any:
        if self.parameters.scheme == "bgv":
            return self._context.seal.Plaintext(f"{value % self.parameters.plain:X}")
        number, scale = value / 2.0**scale_bits, 2.0**scale_bits
        if in_pairs:
            return self._context.encoder.encode_complex(complex(number, number), scale)
        return self._context.encoder.encode(number, scale)

    def _needed(self, keys: Any) -> Any:
        if keys is None:
            raise CallerError("this needs the evaluation keys", hint="Ask the key holder for them")
        return keys

    def _require_ours(self, track: Track) -> None:
        if track.parameters != self.parameters:
            raise CallerError(f"a track of {track.parameters.name}", hint=f"This computes in {self.parameters.name}")


@contextmanager
def _computing() -> Iterator[None]:
    """SEAL refuses a result that became transparent, as of a ciphertext and its negative."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise CiphertextRefused(
            f"SEAL does not compute on these ciphertexts ({type(error).__name__})", hint="Ask for them again"
        ) from None


def _widest(vectors: Sequence[Encrypted]) -> CkksTrack:
    """What holds for each of them."""
    tracks = [vector.track for vector in vectors]
    first = tracks[0] if tracks else None
    if not isinstance(first, CkksTrack) or any(
        not isinstance(t, CkksTrack) or (t.scale_bits, t.dropped) != (first.scale_bits, first.dropped) for t in tracks
    ):
        raise CallerError("a matrix is applied to vectors of CKKS, all at one scale", hint="Give at least one")
    ckks = [t for t in tracks if isinstance(t, CkksTrack)]
    return replace(first, bound=max(t.bound for t in ckks), error=max(t.error for t in ckks))


def _plus(left: Track, right: Track) -> Track:
    if isinstance(left, CkksTrack) and isinstance(right, CkksTrack):
        return left.plus(right)
    assert isinstance(left, BgvTrack) and isinstance(right, BgvTrack)
    return left.plus(right)


def _product(left: Track, right: Track) -> Track:
    if isinstance(left, CkksTrack) and isinstance(right, CkksTrack):
        return left.product(right)
    assert isinstance(left, BgvTrack) and isinstance(right, BgvTrack)
    return left.product(right)
