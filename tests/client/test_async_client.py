"""The client before a real gateway: what is asked, when it attests, what comes back."""

from __future__ import annotations

import asyncio

import numpy as np
from client_world import attestations, site

from small_models import B, W

X = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], dtype=np.float32)


def test_it_infers_and_every_answer_has_a_verified_receipt() -> None:
    async def run() -> None:
        async with site() as here:
            first = await here.client.infer({"x": X})
            assert np.allclose(first["y"], X @ W + B)
            assert first.receipt.sequence == 0 and first.receipt.fields.model == here.world.policy.model.root
            plain = await here.client.infer({"x": X.tolist()}, ["y"])
            assert np.array_equal(plain["y"], first["y"])
            assert plain.receipt.sequence == 2  # the signature was asked for between
            assert attestations(here.wire) == 1

    asyncio.run(run())
