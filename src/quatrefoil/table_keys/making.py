"""A new key: its secret half into a sealed container and nowhere else, its public half into a signed statement."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import BinaryIO

from quatrefoil.aggregation.he import HeParameters, SecretKey
from quatrefoil.analytics import TablePublicKey, save_secret
from quatrefoil.errors import CallerError, ParametersRefused
from quatrefoil.resources import OwnedResource
from quatrefoil.resources.container import FILE, About, Content, FileHeader, Owner, seal

KIND = "table-key"


def make(
    parameters: HeParameters,
    sink: BinaryIO,
    *,
    about: About,
    owner: Owner,
    brokers: Sequence[bytes],
    random: Callable[[int], bytes] = os.urandom,
) -> tuple[OwnedResource, bytes]:
    """Draw a key, write the container with its secret half to ``sink``, and sign its public half (the bytes returned).

    ``about``: of the kind table-key. Everything else as in :func:`quatrefoil.resources.container.seal`: nobody but code
    to which one of ``brokers`` releases it can open it, the owner included. The key is wiped when this returns.
    """
    if about.kind != KIND:
        raise CallerError(f"the key of tables sealed as a {about.kind[:40]}", hint=f"Say that it is a {KIND}")
    if parameters.rescaled_bits:
        raise ParametersRefused(
            f"rows for networks ({parameters.name}) are encrypted with a key of their own only", hint="Use another set"
        )
    secret, public = SecretKey.pair(parameters)
    saved = save_secret(secret)
    secret.wipe()
    try:
        content = Content(FILE, FileHeader(len(saved), random(32)), iter((bytes(saved),)))
        owned = seal(
            content, sink, about=about, owner=owner, brokers=brokers, threads=1, progress=_silent, random=random
        )
    finally:
        saved[:] = bytes(len(saved))
    said = TablePublicKey(
        name=about.name,
        serial=about.serial,
        made_at=about.made_at,
        resource=owned.digest,
        parameters=parameters.name,
        key_id=public.key_id,
        public=public.save(),
    )
    return owned, owner.sign(said.encode())


def _silent(_: int) -> None:
    """A key is a fraction of a megabyte."""


__all__ = ["KIND", "make"]
