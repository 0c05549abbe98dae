"""The served model: out of its sealed container, under a key that a broker released, into memory and nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from quatrefoil.errors import CallerError, ChannelRefused, MessageRefused, PeerUnreachable
from quatrefoil.exchange import ServingPolicy
from quatrefoil.inference import OnnxEngine
from quatrefoil.resources.container import FILE, Expected, Front, SealedModel, opened_front
from quatrefoil.resources.container.front import Verifying
from quatrefoil.services.lease_holder import LeaseHolder
from quatrefoil.services.rpc import FIRST_PAUSE, longer


def require_served(path: Path, verifying: Callable[[bytes], Verifying], policy: ServingPolicy) -> Front:
    """The front of the container at ``path``, if it is the model of ``policy``; whatever it raises says what it is
    instead. Its content is not looked at yet."""
    with opened_front(path, verifying) as (_, front):
        _expected(policy, front).require(front)
        if front.manifest.content != FILE:
            raise CallerError(
                f"{path} holds tensors, and no model that computes",
                hint="Export it to ONNX, and seal that with --content file",
            )
        return front


def require_named(path: Path, verifying: Callable[[bytes], Verifying], policy: ServingPolicy) -> None:
    """The container at ``path`` is of the model of ``policy``, in whatever form: what an upstream is meant to run."""
    with opened_front(path, verifying) as (_, front):
        _expected(policy, front).require(front)


async def acquire(held: LeaseHolder, *, patience_s: float, report: Callable[[str], None]) -> None:
    """Have the broker release the key. One that is away is asked again for ``patience_s`` seconds; what it refuses is
    raised at once."""
    loop = asyncio.get_running_loop()
    end, pause = loop.time() + patience_s, FIRST_PAUSE
    while True:
        try:
            lease = await held.acquire()
        except (PeerUnreachable, ChannelRefused) as away:
            left = end - loop.time()
            if left <= 0:
                raise
            report(f"the broker does not answer ({away.problem}): asking again for {left:.0f} s")
            await asyncio.sleep(min(pause, left))
            pause = longer(pause)
        else:
            report(f"lease {lease.id.hex()[:16]}: {lease.kind}, isolation {lease.isolation}")
            return


def engine_of(content: bytes, policy: ServingPolicy, *, threads: int) -> OnnxEngine:
    """What computes a model's file, under the name of the policy."""
    return OnnxEngine(content, name=policy.model.name, threads=threads)


def read_model(
    path: Path,
    verifying: Callable[[bytes], Verifying],
    key: bytearray,
    policy: ServingPolicy,
    *,
    resource: bytes,
    threads: int,
) -> bytes:
    """The model's file: every byte verified up to the root of ``policy``, in memory only.

    ``key``: of the resource with the digest ``resource``; ``MessageRefused`` where the container is of another."""
    with opened_front(path, verifying) as (file, front):
        if front.owned.digest != resource:
            raise MessageRefused("the container was exchanged while its key was asked for", hint="Start again")
        with SealedModel(file, front, key, expected=_expected(policy, front)) as model:
            return b"".join(model.chunks(threads=threads))


def _expected(policy: ServingPolicy, front: Front) -> Expected:
    """The policy names the model by its root; whose it is, and under which name, the broker's release goes by."""
    return Expected(
        kind="model",
        owner=front.owned.owner.signer,
        name=front.owned.resource.name,
        content=policy.model.root,
        least_serial=1,
        ed25519=b"",
    )


__all__ = ["acquire", "engine_of", "read_model", "require_named", "require_served"]
