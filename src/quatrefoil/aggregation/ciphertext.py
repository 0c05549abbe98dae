"""The headers of ciphertexts and combined keys, and their strict parsing.

A header repeats everything that must agree before words may be added: a sum over two rounds, two clip bounds or two
parameter sets would decrypt to numbers that look like an update. Layout: docs/additive-encryption.md, "Bytes".
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from quatrefoil.contracts import SumShape
from quatrefoil.errors import CiphertextRefused, ParametersRefused

VERSION = 1
_CIPHERTEXT = struct.Struct("<8sHHIQ32s32sd")
_KEY = struct.Struct("<8sHHI32s")

HEADER_BYTES = _CIPHERTEXT.size
KEY_HEADER_BYTES = _KEY.size

WRONG_KEY = "Combine the keys of exactly the silos whose ciphertexts were added, of this round"
_HINT = "Every party of a round must use the same version, parameters and round context"


class Summed(Protocol):
    """A parameter set whose ciphertexts and keys are added: what their headers depend on."""

    @property
    def name(self) -> str: ...

    @property
    def max_silos(self) -> int: ...

    @property
    def sum_magic(self) -> bytes:
        """What a ciphertext starts with: 8 bytes."""

    @property
    def key_magic(self) -> bytes:
        """What a combined key starts with: 8 bytes."""

    @property
    def combined_bytes(self) -> int:
        """Length of a combined key behind its header."""

    def digest(self) -> bytes: ...

    def block_bytes(self, length: int) -> int:
        """Length of all blocks of a ciphertext of ``length`` values."""


@dataclass(frozen=True)
class Form:
    """The one form that the ciphertexts of a round have."""

    parameters: Summed
    shape: SumShape

    @property
    def block_bytes(self) -> int:
        return self.parameters.block_bytes(self.shape.length)

    def header(self, count: int) -> bytes:
        """The header of a sum of ``count`` contributions."""
        p, shape = self.parameters, self.shape
        return _CIPHERTEXT.pack(p.sum_magic, VERSION, 0, count, shape.length, p.digest(), shape.context, shape.clip)

    def check(self, ciphertext: bytes, *, count: int, what: str) -> None:
        """Raise ``CiphertextRefused``, naming ``what`` and the numbers, unless ``ciphertext`` has this form."""
        self.check_header(ciphertext[:HEADER_BYTES], count=count, what=what)
        expected_bytes = HEADER_BYTES + self.block_bytes
        if len(ciphertext) != expected_bytes:
            raise _refused(f"{what} has {len(ciphertext)} bytes, not {expected_bytes} for {self.shape.length} values")

    def check_header(self, header: bytes, *, count: int, what: str) -> None:
        """The same for the header alone, where the blocks are read one after the other."""
        if len(header) < HEADER_BYTES:
            raise _refused(f"{what} has {len(header)} bytes, fewer than a header of {HEADER_BYTES}")
        magic, version, reserved, summed, length, digest, context, clip = _CIPHERTEXT.unpack(header)
        _check_start(what, magic, self.parameters.sum_magic, version, reserved)
        _check_digest(what, digest, self.parameters)
        if context != self.shape.context:
            expected = self.shape.context.hex()[:16]
            raise _refused(f"{what} belongs to the round context {context.hex()[:16]}, not {expected}")
        if length != self.shape.length:
            raise _refused(f"{what} holds {length} values, not {self.shape.length}")
        if clip != self.shape.clip:
            raise _refused(f"{what} is scaled to a clip bound of {clip!r}, not {self.shape.clip!r}")
        if summed != count:
            raise _refused(f"{what} says that it sums {summed} contributions, not {count}")


def stated_shape(header: bytes, parameters: Summed, *, context: bytes) -> SumShape:
    """The shape that the header of one contribution states, for whoever knows the round but not its shape; or
    ``CiphertextRefused`` unless it belongs to these parameters and this context."""
    if len(header) < HEADER_BYTES:
        raise _refused(f"the ciphertext has {len(header)} bytes, fewer than a header of {HEADER_BYTES}")
    *_, length, _digest, _context, clip = _CIPHERTEXT.unpack(header[:HEADER_BYTES])
    shape = SumShape(length, clip, context)
    Form(parameters, shape).check_header(header, count=1, what="the ciphertext")
    return shape


def key_header(parameters: Summed, count: int) -> bytes:
    """The header of the sum of ``count`` secrets."""
    return _KEY.pack(parameters.key_magic, VERSION, 0, count, parameters.digest())


def check_key(key: bytes, parameters: Summed, *, count: int) -> None:
    """Raise ``CiphertextRefused`` unless ``key`` says that it sums ``count`` secrets under ``parameters``."""
    what = "the combined key"
    expected_bytes = KEY_HEADER_BYTES + parameters.combined_bytes
    if len(key) != expected_bytes:
        raise _refused(f"{what} has {len(key)} bytes, not {expected_bytes}")
    magic, version, reserved, summed, digest = _KEY.unpack_from(key)
    _check_start(what, magic, parameters.key_magic, version, reserved)
    _check_digest(what, digest, parameters)
    if summed != count:
        raise _refused(f"{what} sums {summed} secrets, not {count}")


def check_roster(parameters: Summed, count: int) -> None:
    """Raise ``ParametersRefused`` unless this many contributions may be added."""
    if not 1 <= count <= parameters.max_silos:
        raise ParametersRefused(
            f"{count} contributions are not within 1 to {parameters.max_silos}, the roster of {parameters.name}",
            hint="Use a parameter set for a larger roster" if count else "Add at least one contribution",
        )


def check_keys(keys: Sequence[bytes | bytearray], length: int, *, what: str = "key") -> None:
    """Raise ``CiphertextRefused`` unless each key of a roster, or a member's share of it, has its length and no two are
    the same."""
    seen = set()
    for position, key in enumerate(keys):
        if len(key) != length:
            raise CiphertextRefused(f"{what} {position} has {len(key)} bytes, not {length}", hint=WRONG_KEY)
        name = hashlib.sha256(key).digest()
        if name in seen:
            raise CiphertextRefused(
                f"{what} {position} is the same as an earlier one",
                hint=f"Void the round: a silo repeats another's {what}, or two share one source of randomness",
            )
        seen.add(name)


def _check_start(what: str, magic: bytes, expected: bytes, version: int, reserved: int) -> None:
    if magic != expected:
        raise _refused(f"{what} starts with {magic.hex()}, not {expected.hex()}")
    if version != VERSION:
        raise _refused(f"{what} has version {version}, not {VERSION}")
    if reserved:
        raise _refused(f"{what} has {reserved} in a reserved field, not 0")


def _check_digest(what: str, digest: bytes, parameters: Summed) -> None:
    expected = parameters.digest()
    if digest != expected:
        raise _refused(f"{what} uses the parameters {digest.hex()[:16]}, not {expected.hex()[:16]} ({parameters.name})")


def _refused(problem: str) -> CiphertextRefused:
    return CiphertextRefused(problem, hint=_HINT)
