"""The public half of a key: others encrypt under it, and read nothing, not even what they encrypted themselves."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from quatrefoil.aggregation.he.context import context
from quatrefoil.aggregation.he.encoding import encoded
from quatrefoil.aggregation.he.parameters import HeParameters
from quatrefoil.aggregation.he.serialised import Bytes, read_public_key

ID_BYTES = 16


class PublicKey:
    """``key_id``: the first 16 bytes of SHA-256 over the key's domain, its set and its stream; names both halves.

    Whose key it is, it does not say: who encrypts under one that was put in its place encrypts to somebody else. Take
    it out of a statement that its holder signed (``quatrefoil.analytics.HolderKey``).
    """

    public = True

    def __init__(self, parameters: HeParameters, data: Bytes) -> None:
        self.parameters = parameters
        self._stream = bytes(data)
        self._context = context(parameters)
        self._encryptor = self._context.seal.Encryptor(self._context.handle, read_public_key(self._context, data))
        domain = f"quatrefoil he public key 1 {parameters.name}\n".encode()
        self.key_id = hashlib.sha256(domain + self._stream).digest()[:ID_BYTES]

    def __repr__(self) -> str:
        return f"PublicKey({self.parameters.name}, {self.key_id.hex()})"

    @classmethod
    def load(cls, parameters: HeParameters, data: Bytes) -> PublicKey:
        """What :meth:`save` gave, or ``CiphertextRefused``."""
        return cls(parameters, data)

    def save(self) -> bytes:
        """SEAL's stream of the key: no secret."""
        return self._stream

    def encrypt(self, values: NDArray[np.float64] | NDArray[np.int64]) -> bytes:
        """One ciphertext, as :meth:`SecretKey.encrypt` makes it, with the larger noise of public-key encryption."""
        return bytes(self._encryptor.encrypt(encoded(self._context, values)).to_string())
