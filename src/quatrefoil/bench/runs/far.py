"""The far ends that compute on what is encrypted, each a process: ``python -m quatrefoil.bench.runs.far KIND FOLDER``.

``KIND``: "channel", behind a channel and nothing else; "served", inside a served process that is attested, whose
requests are sealed, and whose program comes out of a sealed container. ``FOLDER``: that of a ``ServingSite`` whose
model is a program of ``computing``. Prints its port once it answers; ends by SIGTERM.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from quatrefoil.bench import serving_far, serving_site
from quatrefoil.bench.broker_site import HOST
from quatrefoil.bench.runs.computing import Computer, ComputerEngine
from quatrefoil.demo.plain_server import stopping, tell_port
from quatrefoil.exchange import ServingPolicy, protocol
from quatrefoil.transport import AsyncChannel, FixedCredentials, Identity, TrustAnchor, serve, system_clock

LARGEST = 256 << 20
SILENCE = 1200.0
"""Seconds in which a channel may say nothing: its other end computes."""


def main() -> None:
    kind, folder = sys.argv[1], Path(sys.argv[2])
    if kind == "channel":
        asyncio.run(_behind_channel(folder))
    else:
        policy = ServingPolicy.decode((folder / serving_site.POLICY).read_bytes())
        asyncio.run(
            serving_far.serve_layered(
                folder, policy, lambda program: ComputerEngine(Computer(program), name=policy.model.name)
            )
        )


async def _behind_channel(folder: Path) -> None:
    stop = stopping()
    computer = Computer((folder / serving_site.MODEL).read_bytes())
    identity, trust = Identity.load(folder / protocol.SERVER_ROLE), TrustAnchor.load(folder / "root.pem")

    async def answer(channel: AsyncChannel) -> None:
        while True:  # until the peer's goodbye; whatever else ends it is told below
            question = await channel.receive(LARGEST)
            await channel.send(await asyncio.to_thread(computer.answer, question))

    async with await serve(
        HOST,
        0,
        credentials=FixedCredentials(identity, trust),
        allow_roles=[serving_site.OWNER],
        handler=answer,
        on_refused=lambda _address, error: print(error, file=sys.stderr, flush=True),
        timeout=SILENCE,
        clock=system_clock,
    ) as server:
        tell_port(server.port)
        await stop.wait()


if __name__ == "__main__":
    main()
