"""The private keys of a gateway by their identifiers, so that the next key is in force before the last one is
forgotten."""

from __future__ import annotations

from collections.abc import Mapping

from quatrefoil.errors import CallerError, KeyUnknown, MessageRefused
from quatrefoil.ohttp.hpke_context import HYBRID, HpkeContext, PrivateKey, Suite, setup_recipient
from quatrefoil.ohttp.key_configuration import KeyConfiguration

HEADER_BYTES = 7
"""Key identifier, KEM, KDF and AEAD."""


class GatewayKeys:
    """One key or more of one suite. A request under any of them opens; what a client is told is up to the caller.

    Safe to use from several threads: changes replace the whole mapping.
    """

    def __init__(self, keys: Mapping[int, PrivateKey], suite: Suite = HYBRID) -> None:
        self.suite = suite
        self._keys: dict[int, PrivateKey] = {}
        for key_id, key in keys.items():
            self.add(key_id, key)

    def add(self, key_id: int, key: PrivateKey) -> KeyConfiguration:
        """Put a key in force, under an identifier that no other has."""
        configuration = KeyConfiguration(key_id, key.public, self.suite)
        if key_id in self._keys:
            raise CallerError(f"key {key_id} is in force", hint="Retire it first, or take the next identifier")
        self._keys = {**self._keys, key_id: key}
        return configuration

    def retire(self, key_id: int) -> None:
        """Wipe a key: requests under it are refused from now on with ``KeyUnknown``."""
        keys = dict(self._keys)
        try:
            retired = keys.pop(key_id)
        except KeyError:
            raise CallerError(f"key {key_id} is not in force", hint="Retire a key that is") from None
        self._keys = keys
        retired.wipe()

    @property
    def configurations(self) -> tuple[KeyConfiguration, ...]:
        """Every key in force, in the order in which they were added."""
        return tuple(KeyConfiguration(one, key.public, self.suite) for one, key in self._keys.items())

    def context(self, header: bytes, enc: bytes, info: bytes) -> HpkeContext:
        """The context that opens what was sealed under ``header`` and ``enc``."""
        key = self._keys.get(header[0])
        if key is None:
            raise KeyUnknown(
                f"key {header[0]} is not in force", hint="Ask the gateway for its keys, verify them, and seal it again"
            )
        if header[1:] != self.suite.identifiers:
            raise MessageRefused(
                f"the request is under HPKE suite {header[1:].hex()}, not {self.suite.identifiers.hex()}",
                hint="Seal it with the algorithms of the key configuration",
            )
        return setup_recipient(self.suite, enc, key, info)

    def __repr__(self) -> str:
        return f"GatewayKeys({sorted(self._keys)}, {self.suite.identifiers.hex()})"
