"""What confidential inference costs beside the same server without the layers: latency in pairs, answers a second at
saturation, and the time from the start of a server to its first attested answer.

Client and servers are processes of one machine and share its cores: what clients compute for the layers is part of
every figure. The evidence is that of a TPM that is a key in software (``quoting``), for there is no enclave here: what
hardware takes to isolate and to give evidence is not in these figures.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from quatrefoil.bench import serving_load as load
from quatrefoil.bench.receipts import measure_receipts
from quatrefoil.bench.serving_bound import cryptography_ms
from quatrefoil.bench.serving_models import MODELS
from quatrefoil.bench.serving_near import asking
from quatrefoil.bench.serving_site import CONCURRENT, Server, ServingSite, policy_for
from quatrefoil.bench.tokens import measure_tokens
from quatrefoil.errors import ParametersRefused
from quatrefoil.inference import InferRequest, encode_infer_request

RECEIPTS = 2000
TOKENS, STREAMS = 5000, 5
EVIDENCE = "tpm, by a key in software: no enclave"


def measure_serving(
    models: Sequence[str], seconds: float, clients: int, threads: int, progress: Callable[[str], None]
) -> list[dict[str, Any]]:
    """A row for each model. ``seconds``: of pairs, and as many at saturation with ``clients``; ``threads``: of one
    computation."""
    if not models:
        raise ParametersRefused("no model measures nothing", hint=f"Choose of {', '.join(MODELS)}")
    if unknown := sorted(set(models) - set(MODELS)):
        raise ParametersRefused(f"there is no model {unknown[0]!r}", hint=f"Choose of {', '.join(MODELS)}")
    if clients < 1 or threads < 1 or not seconds > 0:
        raise ParametersRefused(
            f"{clients} clients, {threads} threads and {seconds:g} seconds measure nothing", hint="Choose 8, 1 and 20"
        )
    with tempfile.TemporaryDirectory(prefix="quatrefoil-bench-") as folder:
        return [_row(Path(folder) / name, name, seconds, clients, threads, progress) for name in models]


def measure_all(
    models: Sequence[str], seconds: float, clients: int, threads: int, progress: Callable[[str], None]
) -> dict[str, Any]:
    """``rows``, and what does not depend on the model, which stands in every row too: ``token_us`` and
    ``receipts_per_s``."""
    rows = measure_serving(models, seconds, clients, threads, progress)
    progress("receipts, and streamed tokens")
    shared = {
        "token_us": measure_tokens(policy_for("tokens", bytes(32)), lambda _: None, tokens=TOKENS, repeats=STREAMS)[
            "token_us"
        ],
        "receipts_per_s": measure_receipts(RECEIPTS)["receipts_per_s"],
    }
    return {"rows": [row | shared for row in rows], **shared}


def _row(
    folder: Path, name: str, seconds: float, clients: int, threads: int, progress: Callable[[str], None]
) -> dict[str, Any]:
    progress(f"{name}: seal, register, and start two servers")
    with ServingSite(folder, MODELS[name](), threads=threads) as site:
        return asyncio.run(_measured(site, seconds, clients, threads, progress))


async def _measured(
    site: ServingSite, seconds: float, clients: int, threads: int, progress: Callable[[str], None]
) -> dict[str, Any]:
    served = site.served
    async with AsyncExitStack() as stack:
        servers: list[Server] = []
        asks: list[load.Ask] = []
        cold: list[float] = []
        for kind in ("plain", "layered"):
            server = await asyncio.to_thread(site.start, kind)
            ask = await stack.enter_async_context(asking(site, server))
            await ask()
            cold.append(1e3 * (time.perf_counter() - server.began))
            servers.append(server)
            asks.append(ask)
        progress(f"{served.name}: pairs of requests for {seconds:g} s")
        plain, layered = asks
        pairs = await load.pairs(plain, layered, seconds)
        progress(f"{served.name}: {clients} clients without pause for {seconds:g} s")
        meter = Meter(servers)
        saturated = await load.saturation(plain, layered, seconds, clients=clients, on_turn=meter.turn)
        for server in servers:
            await asyncio.to_thread(server.stop)
    low, high = pairs.overhead_between
    name, value = served.input
    request_bytes = len(encode_infer_request(InferRequest({name: value}, binary=True))[1])
    used = meter.figures(saturated.answers)
    cryptography = sum(cryptography_ms(request_bytes).values())
    plain_ms = used["plain_server_cpu_ms"] + used["plain_client_cpu_ms"]
    return {
        "model": served.name,
        "weights": served.training,
        "parameters": served.parameters,
        "model_bytes": len(served.model),
        "input_shape": list(value.shape),
        "request_bytes": request_bytes,
        "threads": threads,
        "concurrent": CONCURRENT,
        "cores": len(os.sched_getaffinity(0)),
        "evidence": EVIDENCE,
        "padding": site.policy.padding.requests,
        "pairs": len(pairs.plain),
        "plain_p50_ms": statistics.median(pairs.plain),
        "p50_ms": statistics.median(pairs.layered),
        "plain_p99_ms": load.percentile(pairs.plain, 0.99),
        "p99_ms": load.percentile(pairs.layered, 0.99),
        "added_ms": pairs.added_ms,
        "overhead": pairs.overhead,
        "overhead_low": low,
        "overhead_high": high,
        "clients": clients,
        "plain_per_s": saturated.per_s[0],
        "per_s": saturated.per_s[1],
        "throughput_ratio": saturated.ratio,
        **used,
        "cryptography_ms": cryptography,
        "throughput_bound": plain_ms / (plain_ms + cryptography),
        "plain_cold_start_ms": cold[0],
        "cold_start_ms": cold[1],
    }


class Meter:
    """Seconds of processor time that client and server took in the turns of each server."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self._servers = servers
        self._spent = {(turn, end): 0.0 for turn in (0, 1) for end in ("client", "server")}
        self._turn = -1
        self._began: dict[str, float] = {}

    def turn(self, number: int) -> None:
        """As ``saturation`` calls it."""
        if self._turn >= 0:
            for end, now in self._now(self._turn).items():
                self._spent[self._turn, end] += now - self._began[end]
        self._turn = number
        if number >= 0:
            self._began = self._now(number)

    def figures(self, answers: tuple[int, int]) -> dict[str, float]:
        """Milliseconds an answer."""
        return {
            f"{prefix}{end}_cpu_ms": 1e3 * self._spent[turn, end] / answers[turn]
            for turn, prefix in ((0, "plain_"), (1, ""))
            for end in ("client", "server")
        }

    def _now(self, number: int) -> dict[str, float]:
        return {"client": time.process_time(), "server": self._servers[number].usage().cpu_s}


__all__ = ["measure_all", "measure_serving"]
