"""The secret half in measured code: out of its container, under a key that a broker released, into memory, and wiped.

It is used while the lease is kept, and what it gave counts only if the lease holds when it is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from quatrefoil.aggregation.he import SecretKey
from quatrefoil.analytics import HolderKey, load_secret
from quatrefoil.errors import MessageRefused
from quatrefoil.resources import OwnedResource
from quatrefoil.resources.container import Expected, SealedModel, opened_front
from quatrefoil.resources.container.front import Verifying
from quatrefoil.services.lease_holder import LeaseHolder
from quatrefoil.table_keys.making import KIND

LARGEST = 1 << 20
"""Bytes of a secret key and its header."""

Result = TypeVar("Result")


def require_pair(owned: OwnedResource, key: HolderKey) -> None:
    """``MessageRefused`` unless ``key`` is the public half of what is sealed as ``owned``, as one owner signed both."""
    resource, owner, holder = owned.resource, owned.owner, key.holder
    if resource.kind != KIND:
        raise _refused(owned, f"a {resource.kind} is in the container, and no {KIND}")
    if (owner.signer, owner.role) != (holder.signer, holder.role):
        raise _refused(owned, f"{owner.signer!r} sealed the key, and {holder.signer!r} signed the public one")
    if (key.said.resource, key.said.name, key.said.serial) != (owned.digest, resource.name, resource.serial):
        raise _refused(owned, f"the public key {key.said.name[:64]!r}, {key.said.serial}, is of another sealed key")


def load(
    path: Path,
    verifying: Callable[[bytes], Verifying],
    released: bytes | bytearray,
    *,
    owned: OwnedResource,
    key: HolderKey,
) -> SecretKey:
    """The secret half of ``key``, which the caller wipes. ``released``: the resource's key, from a broker; ``owned``:
    what it was released for. ``MessageRefused`` where the container was exchanged, or holds another key."""
    require_pair(owned, key)
    with opened_front(path, verifying) as (file, front):
        if front.owned.digest != owned.digest:
            raise MessageRefused("the container was exchanged while its key was asked for", hint="Start again")
        resource = owned.resource
        expected = Expected(KIND, owned.owner.signer, resource.name, resource.content, resource.serial, b"")
        with SealedModel(file, front, released, expected=expected) as sealed:
            if sealed.length > LARGEST:
                raise _refused(owned, f"it has {sealed.length} bytes, over {LARGEST}")
            content = bytearray(sealed.length)
            try:
                sealed.read_into(0, memoryview(content))
                secret = load_secret(content)
            finally:
                content[:] = bytes(len(content))
    if (secret.parameters, secret.key_id) != (key.parameters, key.key_id):
        secret.wipe()
        raise _refused(owned, "the sealed key is not the secret half of the public one")
    return secret


async def under_lease(held: LeaseHolder, work: Callable[[bytearray], Result]) -> Result:
    """What ``work`` gives, in a thread, from the released key, while the lease is kept. ``LeaseEnded``, or why it
    ended, when the lease was over before the work was: then that counts for nothing."""
    keeping = asyncio.ensure_future(held.keep())
    working = asyncio.ensure_future(asyncio.to_thread(work, held.key))
    try:
        await asyncio.wait({keeping, working}, return_when=asyncio.FIRST_COMPLETED)
        if keeping.done():
            await asyncio.gather(working, return_exceptions=True)
            keeping.result()
        result = await working
        _ = held.key
        return result
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


def _refused(owned: OwnedResource, problem: str) -> MessageRefused:
    return MessageRefused(
        f"the key {owned.resource.name!r} cannot be used: {problem}",
        hint="Name the container and the public key that `quatrefoil table-key new` wrote together",
        party=owned.owner.signer,
    )


__all__ = ["LARGEST", "load", "require_pair", "under_lease"]
