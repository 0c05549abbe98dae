"""Resources that ``north`` owns, with a key that is known here."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from release_policies import policy

from quatrefoil.resources import OwnedResource, Resource, key_commitment, sign, verify
from quatrefoil.transport import PostQuantumTransport

KEY = bytes(range(32))


def resource(**changed: Any) -> Resource:
    """A model for the first stage."""
    model = Resource(
        kind="model",
        name="tumour",
        serial=1,
        made_at=1_800_000_000,
        content=b"\x07" * 32,
        commitment=key_commitment(KEY),
        stages=("train",),
        policy=policy().encode(),
        parent=b"",
    )
    return replace(model, **changed)


def owned(owner: PostQuantumTransport, one: Resource | None = None) -> OwnedResource:
    return verify(sign(one or resource(), owner.sign), owner.verify)
