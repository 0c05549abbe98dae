"""What tests of attacks on the client share: what is asked, a refusal that quotes nothing of it, who is in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from client_world import (
    INFER,
    Outer,
    Sent,
    Site,
)

from quatrefoil.errors import EvidenceRejected
from quatrefoil.exchange import protocol

X = np.ones((1, 3), dtype=np.float32)
SECRET = b"what the patient has"
OHTTP_RES = (b"content-type", b"message/ohttp-res")


def attack(run: Callable[[], Any]) -> None:
    asyncio.run(run())


async def refused(here: Site, error: type[Exception], *, match: str = "", check: str = "") -> Any:
    """A request, and what it raises. Nothing that was asked is in the text."""
    with pytest.raises(error, match=match or None) as found:
        await here.client.request("POST", INFER, content=SECRET)
    assert SECRET.decode() not in str(found.value)
    if check:
        assert isinstance(found.value, EvidenceRejected) and found.value.check == check
    return found.value


def answering(make: Callable[[bytes], bytes]) -> Callable[[Sent], Outer | None]:
    """Whoever is in between gives its own answer to challenges."""

    def instead(sent: Sent) -> Outer | None:
        if sent.path != protocol.ATTESTATION_PATH:
            return None
        return Outer(200, ((b"content-type", b"application/cbor"),), [make(sent.content)])

    return instead


def on_answers(change: Callable[[Outer], Outer]) -> Callable[[Sent, Outer], Outer]:
    return lambda sent, answer: change(answer) if sent.path == protocol.GATEWAY_PATH else answer
