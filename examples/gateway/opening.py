"""The example's weights out of a sealed model, with the key that ``quatrefoil broker hold`` passes to its command."""

from __future__ import annotations

import io
import os
from pathlib import Path

from quatrefoil import exchange
from quatrefoil.resources.container import Expected, SealedModel, claimed_time, opened_front
from quatrefoil.transport import TrustAnchor, sealed, system_clock


def model(container: Path, policy: Path, root: Path) -> tuple[str, io.BytesIO]:
    """The name that the serving policy gives the model, and its content: every byte verified up to the policy's root,
    in memory only."""
    served = exchange.load(policy).model
    key = bytearray(os.read(int(os.environ["QUATREFOIL_KEY_FD"]), 64))
    verifying = claimed_time(TrustAnchor.load(root), judged=sealed.Judged.NOW, clock=system_clock)
    with opened_front(container, verifying) as (file, front):
        expected = Expected(
            kind="model",
            owner=front.owned.owner.signer,
            name=front.owned.resource.name,
            content=served.root,
            least_serial=1,
            ed25519=b"",
        )
        with SealedModel(file, front, key, expected=expected) as found:
            return served.name, io.BytesIO(b"".join(found.chunks(threads=1)))
