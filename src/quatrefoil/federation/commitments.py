"""What a silo commits to when it enrols, beside its count: part of the job that every party signs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from quatrefoil.errors import CallerError, MessageRefused

_LENGTHS = (0, hashlib.sha256().digest_size)


@dataclass(frozen=True)
class Commitments:
    """32 bytes each, or empty where the silo says nothing: ``data``, a salted commitment to what it trains on, and
    ``code``, a digest of the training code that it runs (``quatrefoil.audit.commitments``)."""

    data: bytes
    code: bytes

    def __post_init__(self) -> None:
        if any(len(one) not in _LENGTHS for one in (self.data, self.code)):
            raise CallerError("a commitment does not have 32 bytes", hint="Make it with quatrefoil.audit.commitments")


NOTHING = Commitments(b"", b"")
"""Of a silo that says nothing: its statement of provenance then says "not committed" and "not stated"."""


def require_commitments(silo: str, data: bytes, code: bytes) -> None:
    """``MessageRefused`` for what a silo can not have committed to."""
    if any(len(one) not in _LENGTHS for one in (data, code)):
        raise MessageRefused(
            f"{silo} commits to data or code with neither 0 nor 32 bytes", hint="Check its version", party=silo
        )
