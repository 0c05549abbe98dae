"""Key configurations: what a gateway's key is called, and how it travels (RFC 9458 section 3).

One configuration is ``key_id || KEM || public key || length || (KDF || AEAD) ...``; ``application/ohttp-keys`` is a
list of them, each after its length. The list says nothing about who made it: whoever takes a key from it must know that
it is the gateway's, here by attestation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from quatrefoil.errors import CallerError, MessageRefused
from quatrefoil.ohttp.hpke_context import HYBRID, Suite

KEYS_TYPE = "application/ohttp-keys"

MOST_CONFIGURATIONS = 256
"""A key identifier is one byte."""

_ASK = "Ask the gateway for its keys again"


@dataclass(frozen=True)
class KeyConfiguration:
    """``key_id``: 0 to 255. ``public``: the gateway's key, of ``suite``."""

    key_id: int
    public: bytes
    suite: Suite = HYBRID

    def __post_init__(self) -> None:
        if not 0 <= self.key_id < MOST_CONFIGURATIONS or len(self.public) != self.suite.kem.public_bytes:
            raise CallerError(
                f"key {self.key_id} of {len(self.public)} bytes is no key configuration",
                hint=f"Use an identifier from 0 to 255 and a public key of {self.suite.kem.public_bytes} bytes",
            )

    @property
    def header(self) -> bytes:
        """What an encapsulated request begins with (section 4.3): key identifier, KEM, KDF, AEAD."""
        return bytes([self.key_id]) + self.suite.identifiers

    def encode(self) -> bytes:
        """One key configuration (section 3.1)."""
        algorithms = self.suite.identifiers[2:]
        head = bytes([self.key_id]) + self.suite.identifiers[:2]
        return head + self.public + len(algorithms).to_bytes(2, "big") + algorithms


def encode_list(configurations: Sequence[KeyConfiguration]) -> bytes:
    """``application/ohttp-keys`` (section 3.2), the preferred key first."""
    if len({one.key_id for one in configurations}) != len(configurations) or not configurations:
        raise CallerError("key identifiers are not unique, or there is none", hint="Give each key its own identifier")
    encoded = [one.encode() for one in configurations]
    return b"".join(len(one).to_bytes(2, "big") + one for one in encoded)


def decode_list(data: bytes, suite: Suite = HYBRID) -> tuple[KeyConfiguration, ...]:
    """The configurations of ``suite`` in a list, in its order; at least one.

    Others are passed over, as section 3 has it. A fault anywhere refuses the whole list (``MessageRefused``): what one
    client would take and another not could tell them apart. So does an identifier that two configurations have.
    """
    found, identifiers, at = [], set(), 0
    while at < len(data):
        encoded, at = _part(data, at)
        if encoded[:1] in identifiers:
            raise MessageRefused(f"two keys of the gateway have the identifier {encoded[0]}", hint=_ASK)
        identifiers.add(encoded[:1])
        if (one := _read(encoded, suite)) is not None:
            found.append(one)
    if not found:
        raise MessageRefused(f"the gateway has no key of HPKE suite {suite.identifiers.hex()}", hint=_ASK)
    return tuple(found)


def _part(data: bytes, at: int) -> tuple[bytes, int]:
    end = at + 2 + int.from_bytes(data[at : at + 2], "big")
    if at + 2 > len(data) or end > len(data) or end < at + 2 + 3:
        raise MessageRefused("the list of keys ends inside one of them, or has an empty one", hint=_ASK)
    return data[at + 2 : end], end


def _read(encoded: bytes, suite: Suite) -> KeyConfiguration | None:
    """A configuration, or ``None`` where KEM, KDF or AEAD are others. A KEM that is not ours cannot be taken apart."""
    if encoded[1:3] != suite.identifiers[:2]:
        return None
    end = 3 + suite.kem.public_bytes
    public, length, algorithms = encoded[3:end], encoded[end : end + 2], encoded[end + 2 :]
    if len(length) != 2 or int.from_bytes(length, "big") != len(algorithms) or not algorithms or len(algorithms) % 4:
        raise MessageRefused(f"key {encoded[0]} of the gateway has another length than its parts", hint=_ASK)
    pairs = [algorithms[at : at + 4] for at in range(0, len(algorithms), 4)]
    return KeyConfiguration(encoded[0], public, suite) if suite.identifiers[2:] in pairs else None
