"""Shamir's secret sharing of a root key, and what one operator gets: of n shares any t give the key, t - 1 say nothing.

The field and the arithmetic are pycryptodome's (``Crypto.Protocol.SecretSharing``): GF(2^128), the key as two halves
that are shared each with a polynomial of its own. It is not constant-time: a ceremony runs once, on a machine that
nobody else uses. A share is

    "QFSH" | version (1 byte, 1) | ceremony (32) | index (1) | salt (32) | value (32)

and its commitment SHA-256("urn:quatrefoil:root-share-commitment:v1" | 0 | ceremony | index | salt | value). Commitments
are published, so that a share that is not the one of the ceremony is told by itself; the salt hides the value.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from quatrefoil.broker.root_file import wipe
from quatrefoil.broker.root_key import KEY_BYTES
from quatrefoil.errors import CallerError, DependencyMissing, MessageRefused, StateCorrupt

LEAST_THRESHOLD = 2
"""With 1, every operator alone would have the key."""

MOST_OPERATORS = 64

_MAGIC = b"QFSH\x01"
_HALF = 16
_SALT = 32
CEREMONY_BYTES = 32
SHARE_BYTES = len(_MAGIC) + CEREMONY_BYTES + 1 + _SALT + KEY_BYTES


@dataclass
class Share:
    """One operator's share. ``value`` and ``salt`` are secret: the holder wipes them. Prints without them."""

    ceremony: bytes
    index: int
    salt: bytearray = field(repr=False)
    value: bytearray = field(repr=False)

    def encode(self) -> bytearray:
        """The bytes that are sealed to the operator, for the caller to wipe."""
        front = _MAGIC + self.ceremony + bytes([self.index])
        return bytearray(front) + self.salt + self.value

    @classmethod
    def decode(cls, content: bytearray) -> Share:
        """The share in ``content``, which the caller wipes; ``MessageRefused`` where it is none."""
        if len(content) != SHARE_BYTES or not content.startswith(_MAGIC):
            raise MessageRefused(
                f"{len(content)} bytes are no share of a root key of version 1", hint="Ask the operator for the share"
            )
        rest = memoryview(content)[len(_MAGIC) :]
        index = rest[CEREMONY_BYTES]
        secret = rest[CEREMONY_BYTES + 1 :]
        if not 1 <= index <= MOST_OPERATORS:
            raise MessageRefused(f"a share has index {index}, not 1 to {MOST_OPERATORS}", hint="Ask for it again")
        return cls(bytes(rest[:CEREMONY_BYTES]), index, bytearray(secret[:_SALT]), bytearray(secret[_SALT:]))

    def commitment(self) -> bytes:
        """32 public bytes that no other share has, and that say nothing of this one."""
        hashed = hashlib.sha256(b"urn:quatrefoil:root-share-commitment:v1\x00")
        hashed.update(self.ceremony + bytes([self.index]))
        hashed.update(self.salt)
        hashed.update(self.value)
        return hashed.digest()

    def fits(self, commitment: bytes) -> bool:
        """Whether this is the share that ``commitment`` was made from."""
        return hmac.compare_digest(self.commitment(), commitment)

    def wipe(self) -> None:
        wipe(self.salt)
        wipe(self.value)


def split(
    key: bytearray, threshold: int, count: int, ceremony: bytes, *, random: Callable[[int], bytes] = os.urandom
) -> list[Share]:
    """``count`` shares of ``key``, of which any ``threshold`` give it back: checked here, before anybody relies on it.

    ``random`` makes the salts; the polynomials are the library's, from the system. ``StateCorrupt`` if the shares do
    not give the key back.
    """
    check_sizes(threshold, count)
    if len(key) != KEY_BYTES:
        raise CallerError(f"a root key has {KEY_BYTES} bytes, not {len(key)}", hint="Split a root key")
    shamir = _shamir()
    halves = [shamir.split(threshold, count, bytes(key[at : at + _HALF])) for at in (0, _HALF)]
    values = {index: bytearray(first + second) for (index, first), (_, second) in zip(*halves, strict=True)}
    _check_consistent(key, values, threshold)
    return [Share(ceremony, index, bytearray(random(_SALT)), value) for index, value in values.items()]


def combine(values: Mapping[int, bytes | bytearray], threshold: int) -> bytearray:
    """The key, from at least ``threshold`` values by index; ``MessageRefused`` where more than that do not agree.

    Which one is wrong is not known here: commitments say it beforehand.
    """
    if len(values) < threshold:
        raise MessageRefused(
            f"{len(values)} shares are too few: {threshold} give the key, and fewer give nothing",
            hint=f"Ask {threshold - len(values)} more operator(s)",
        )
    indexes = sorted(values)
    key = _interpolate(values, indexes[:threshold])
    for first in range(1, len(indexes) - threshold + 1):
        again = _interpolate(values, indexes[first : first + threshold])
        agrees = hmac.compare_digest(key, again)
        wipe(again)
        if not agrees:
            wipe(key)
            raise MessageRefused(
                f"the shares {', '.join(map(str, indexes))} are not of one key",
                hint="The ceremony gave out shares that do not fit: take the key from its token or file",
            )
    return key


def check_sizes(threshold: int, count: int) -> None:
    """``CallerError`` unless 2 <= t <= n <= 64."""
    if not LEAST_THRESHOLD <= threshold <= count <= MOST_OPERATORS:
        raise CallerError(
            f"{threshold} of {count} shares cannot be asked for",
            hint=f"Take {LEAST_THRESHOLD} to as many as there are operators, who are at most {MOST_OPERATORS}",
        )


def _check_consistent(key: bytearray, values: Mapping[int, bytearray], threshold: int) -> None:
    """That every ``threshold`` of the values give ``key``.

    Neighbouring windows of t values have t - 1 in common; with the key at 0 that makes t points of a polynomial of
    degree t - 1, so that all windows lie on one.
    """
    indexes = sorted(values)
    for first in range(len(indexes) - threshold + 1):
        found = _interpolate(values, indexes[first : first + threshold])
        fits = hmac.compare_digest(found, key)
        wipe(found)
        if not fits:
            raise StateCorrupt(
                "the shares that were just made do not give the key back",
                hint="Do not use this machine for it: its memory or its pycryptodome is at fault",
            )


def _interpolate(values: Mapping[int, bytes | bytearray], indexes: list[int]) -> bytearray:
    shamir = _shamir()
    halves = (
        shamir.combine([(index, bytes(values[index][at : at + _HALF])) for index in indexes]) for at in (0, _HALF)
    )
    return bytearray().join(halves)


def _shamir() -> Any:
    try:
        from Crypto.Protocol.SecretSharing import Shamir
    except ImportError:
        raise DependencyMissing(
            "shares need pycryptodome, which is not installed", hint="Run `pip install 'quatrefoil[hsm]'`"
        ) from None
    return Shamir
