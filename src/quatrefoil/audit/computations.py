"""What a receipt commits to of a computation on integers: inputs by field hashes, outputs under a key of their own.

Both are opened by keys that are derived from the exchange's salt and give nothing else of it away: whoever is shown the
outputs learns neither the request nor the inputs. The two ends of the exchange have the salt and so both keys.

docs/inference-receipts.md is the specification.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from numpy.typing import NDArray

from quatrefoil.audit.inference_receipts import SALT_BYTES, InferenceReceipt, rejected
from quatrefoil.errors import CallerError
from quatrefoil.proofs.field_hash import FieldHash

KEY_BYTES = 32
_INPUTS, _OUTPUTS, _RHO = b"quatrefoil/receipt inputs", b"quatrefoil/receipt outputs", b"quatrefoil/receipt rho"


@dataclass(frozen=True, repr=False)
class OpeningKeys:
    """``inputs``: rho of every row comes from it. ``outputs``: outputs are committed to under it. 32 bytes each."""

    inputs: bytes
    outputs: bytes


@dataclass(frozen=True)
class Computation:
    """What a receipt says of it: two digests of 32 bytes."""

    inputs: bytes
    outputs: bytes


def opening_keys(salt: bytes) -> OpeningKeys:
    """The keys of an exchange. ``salt``: as for ``commit_request``."""
    if len(salt) != SALT_BYTES:
        raise CallerError(f"a salt has {SALT_BYTES} bytes, not {len(salt)}", hint="Give that of the exchange")
    return OpeningKeys(_expanded(salt, _INPUTS, KEY_BYTES), _expanded(salt, _OUTPUTS, KEY_BYTES))


def rho_of(key: bytes, row: int, length: int) -> bytes:
    """The bytes that rho of a row is read from. ``key``: of the inputs."""
    return _expanded(key, _RHO + struct.pack(">I", row), length)


def hashes_of(field_hash: FieldHash, inputs: NDArray[np.integer], key: bytes) -> tuple[bytes, ...]:
    """h of every row of ``inputs`` (rows, size), in the hash's range. ``key``: of the inputs."""
    rows = np.asarray(inputs)
    if rows.ndim != 2 or not len(rows):
        raise CallerError(f"inputs of shape {rows.shape}, not rows of a sample each", hint="Give one sample a row")
    return tuple(field_hash.hash(row, rho_of(key, at, field_hash.rho_bytes)) for at, row in enumerate(rows))


def commit_inputs(hashes: Sequence[bytes]) -> bytes:
    """SHA-256 over the hashes of all rows, with their number: what a receipt says of the inputs."""
    digest = hashlib.sha256(_INPUTS + b"\0" + struct.pack(">I", len(hashes)))
    for one in hashes:
        digest.update(one)
    return digest.digest()


def commit_outputs(key: bytes, outputs: NDArray[np.integer]) -> bytes:
    """HMAC-SHA256 (RFC 2104) over the shape and the integers of ``outputs`` (rows, features), which fit in 32 bits.
    ``key``: of the outputs."""
    rows = np.asarray(outputs)
    if rows.ndim != 2 or rows.dtype.kind not in "iu" or not rows.size:
        raise CallerError(f"outputs {rows.dtype} {rows.shape}, no rows of integers", hint="Give one answer a row")
    if len(key) != KEY_BYTES or rows.min() < -(1 << 31) or rows.max() >= 1 << 31:
        raise CallerError("outputs beyond 32 bits, or a key of another length", hint="Give what the graph computes")
    mac = hmac.new(key, struct.pack(">II", *rows.shape), hashlib.sha256)
    mac.update(rows.astype("<i4").tobytes())
    return mac.digest()


def require_inputs(receipt: InferenceReceipt, hashes: Sequence[bytes]) -> None:
    """``EvidenceRejected`` unless the receipt commits to inputs with these hashes, a row each."""
    if commit_inputs(hashes) != receipt.inputs:
        raise rejected("is about other inputs than these hashes are of", "inputs")


def require_outputs(receipt: InferenceReceipt, key: bytes, outputs: NDArray[np.integer]) -> None:
    """``EvidenceRejected`` unless the receipt commits to these outputs under ``key``."""
    if commit_outputs(key, outputs) != receipt.outputs:
        raise rejected("is about other outputs, or they are opened by another key", "outputs")


def computation(
    field_hash: FieldHash, inputs: NDArray[np.integer], outputs: NDArray[np.integer], keys: OpeningKeys
) -> Computation:
    """What the receipt of an exchange with these keys says of ``inputs`` and ``outputs``, a row for each sample."""
    return Computation(commit_inputs(hashes_of(field_hash, inputs, keys.inputs)), commit_outputs(keys.outputs, outputs))


def _expanded(key: bytes, info: bytes, length: int) -> bytes:
    return HKDFExpand(SHA256(), length, info).derive(key)


__all__ = [
    "Computation",
    "OpeningKeys",
    "commit_inputs",
    "commit_outputs",
    "computation",
    "hashes_of",
    "opening_keys",
    "require_inputs",
    "require_outputs",
    "rho_of",
]
