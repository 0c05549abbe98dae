"""The key holder's side: a secret key, encryption with it, and decryption that lets out no more than is stated."""

from __future__ import annotations

import secrets
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quatrefoil.aggregation.he.bounds import BgvTrack, CkksTrack, Exact, Rounded
from quatrefoil.aggregation.he.context import Context, context
from quatrefoil.aggregation.he.encoding import encoded
from quatrefoil.aggregation.he.evaluation import EvaluationKeys
from quatrefoil.aggregation.he.parameters import HeParameters
from quatrefoil.aggregation.he.public_key import ID_BYTES, PublicKey
from quatrefoil.aggregation.he.serialised import (
    Bytes,
    read_ciphertext,
    read_secret_key,
    rotation_steps,
    save,
)
from quatrefoil.errors import CallerError


class SecretKey:
    """A secret key, which its holder encrypts and decrypts with. Drawn and wiped by SEAL, which overwrites the memory
    of secrets when it is freed; :meth:`wipe` frees it. ``key_id``: no secret; random, or that of its public half.
    ``public``: whether others encrypt under its public half, so that what it decrypts has that encryption's noise."""

    def __init__(self, parameters: HeParameters, key_id: bytes, handle: Any, *, public: bool = False) -> None:
        if len(key_id) != ID_BYTES:
            raise CallerError(
                f"a key's name has {ID_BYTES} bytes, not {len(key_id)}", hint="Use the one it was made with"
            )
        self.parameters = parameters
        self.key_id = key_id
        self.public = public
        self._context: Context = context(parameters)
        self._handle = handle
        self._encryptor = self._context.seal.Encryptor(self._context.handle, handle)
        self._decryptor = self._context.seal.Decryptor(self._context.handle, handle)

    def __repr__(self) -> str:
        return f"SecretKey({self.parameters.name}, {self.key_id.hex()})"

    @classmethod
    def generate(cls, parameters: HeParameters) -> SecretKey:
        """A fresh key, from SEAL's generator (BLAKE2Xb over the system's randomness)."""
        found = context(parameters)
        generator = found.seal.KeyGenerator(found.handle)
        return cls(parameters, secrets.token_bytes(ID_BYTES), generator.secret_key())

    @classmethod
    def pair(cls, parameters: HeParameters) -> tuple[SecretKey, PublicKey]:
        """A fresh key and its public half, which names both."""
        found = context(parameters)
        generator = found.seal.KeyGenerator(found.handle)
        public = PublicKey.load(parameters, bytes(generator.create_public_key().to_string()))
        return cls(parameters, public.key_id, generator.secret_key(), public=True), public

    @classmethod
    def load(cls, parameters: HeParameters, key_id: bytes, data: Bytes, *, public: bool = False) -> SecretKey:
        """What :meth:`save` gave, or ``CiphertextRefused``."""
        return cls(parameters, key_id, read_secret_key(context(parameters), data), public=public)

    def save(self) -> bytearray:
        """SEAL's stream of the key: secret, and its caller's to wipe."""
        return save(self._live().save)

    def wipe(self) -> None:
        """Free the key. Nothing works with it afterwards."""
        self._handle = self._encryptor = self._decryptor = None

    def evaluation_keys(self) -> EvaluationKeys:
        """What a computing party needs for products and sums over slots; they reveal nothing. Megabytes."""
        found = self._context
        generator = found.seal.KeyGenerator(found.handle, self._live())
        steps = rotation_steps(found) + ([0] if self.parameters.scheme == "bgv" else [])
        galois = found.seal.GaloisKeys()
        generator.create_galois_keys(steps, galois)
        relin = bytes(generator.create_relin_keys().to_string())
        return EvaluationKeys(self.parameters.name, self.key_id, relin, bytes(galois.to_string()))

    def encrypt(self, values: NDArray[np.float64] | NDArray[np.int64]) -> bytes:
        """One ciphertext: at most ``slots`` values, of at most 1 (CKKS) or half the plain modulus (BGV)."""
        self._live()
        return bytes(self._encryptor.encrypt_symmetric(encoded(self._context, values)).to_string())

    def decrypt_rounded(self, data: Bytes, track: CkksTrack) -> Rounded:
        """The slots, rounded to the step of ``track``, which says at which scale they are. Nothing finer leaves."""
        self._live()
        if track.parameters != self.parameters:
            raise CallerError(f"a track of {track.parameters.name}", hint=f"The key is of {self.parameters.name}")
        handle = read_ciphertext(self._context, data, 2.0**track.scale_bits, track.dropped)
        step = track.step()
        plain, encoder = self._decryptor.decrypt(handle), self._context.encoder
        if self.parameters.paired:
            pairs = np.asarray(encoder.decode_complex(plain))
            raw = np.concatenate([pairs.real, pairs.imag])
        else:
            raw = np.asarray(encoder.decode(plain))
        return Rounded(np.rint(raw / step) * step, step, track.released())

    def decrypt_exact(self, data: Bytes, track: BgvTrack) -> Exact:
        """The slots of a BGV ciphertext whose ``track`` fits, which is why they are exact."""
        self._live()
        if track.parameters != self.parameters:
            raise CallerError(f"a track of {track.parameters.name}", hint=f"The key is of {self.parameters.name}")
        handle = read_ciphertext(self._context, data, 1.0)
        return Exact(np.asarray(self._context.encoder.decode(self._decryptor.decrypt(handle)), dtype=np.int64))

    def _live(self) -> Any:
        if self._handle is None:
            raise CallerError("the key was wiped", hint="Load it again")
        return self._handle
