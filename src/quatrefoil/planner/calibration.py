"""A measurement of this host: every unit that a plan's predictions are made of.

Figures are medians of wall-clock time, through the same contracts and channels that a round uses, on loopback. They say
what this machine takes now; another load, another network or another size changes them.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import numpy as np

from quatrefoil import machine
from quatrefoil.contracts import BoundedUpdate, IntegrityProof, KeyClaim, PrivateAggregation, SumShape
from quatrefoil.errors import CallerError, HostError, PeerError
from quatrefoil.planner import host
from quatrefoil.planner.availability import Availability
from quatrefoil.planner.costs import AggregationCosts, Costs, Line, ProofCosts, RoundCosts, TransportCosts
from quatrefoil.planner.encrypted import PARAMETER_SETS
from quatrefoil.planner.exchanges import measure_exchanges
from quatrefoil.planner.stopwatch import Clock, Watch, line
from quatrefoil.planner.tables import measure_networks, measure_tables
from quatrefoil.workload import FEDERATED, KINDS

VALUES = 1 << 17
"""Values in the large update; the small one has one value."""

PROVEN_VALUES = 1 << 15
"""Values in the large update that is proven; the small one has one value."""

MESSAGE = 1 << 20
"""Bytes in the large message; the small one has one."""

KEYS = 32
ENTRIES = 20

Progress = Callable[[str], None]


def calibrate(
    available: Availability,
    append: Callable[[], object],
    receipt: Callable[[int], bytes],
    *,
    seconds: float = 1.5,
    threads: Sequence[int] = (1,),
    kinds: Collection[str] = tuple(KINDS),
    progress: Progress = lambda _: None,
    clock: Clock = time.perf_counter,
    now: Callable[[], float] = time.time,
) -> Costs:
    """Measure what ``available`` offers for phases of ``kinds``, in about ``seconds`` where each figure gets its three
    runs sooner. May be called with or without a running event loop.

    ``append`` writes one entry to a durable log; it is called up to :data:`ENTRIES` times, so give it one to throw
    away. ``receipt``: as for :func:`measure_exchanges`. ``threads``: how many the kernel computes in, each measured,
    with 1 first; predictions are for it.
    """
    if not threads or threads[0] != 1 or sorted(set(threads)) != list(threads):
        raise CallerError(f"{list(threads)} threads are not counted up from 1", hint="Give 1, and more after it")
    sums = sorted(available.largest_roster) if set(kinds) & set(FEDERATED) else []
    proven = sorted(available.largest_proof) if sums else []
    sets = dict.fromkeys(
        (kind == "infer", name)
        for (kind, backend), names in PARAMETER_SETS.items()
        if kind in kinds and available.has("aggregation", backend)
        for name in names
    )
    channels = available.has("transport", "pq-tls")
    figures = (
        _PER_SUM * len(sums) * len(threads)
        + _PER_PROOF * len(proven) * len(threads)
        + _PER_SET * len(sets)
        + _PER_CHANNEL * channels
        + 1
    )
    watch = Watch(seconds / figures, clock)
    transport, serving = {}, {}
    if channels:
        progress("channels, signatures, envelopes; requests and receipts of served models")
        transport = {"pq-tls": _transport(watch)}
        serving = {"pq-tls": measure_exchanges(receipt, watch)}
    aggregation, proofs = {}, {}
    for count in threads:
        measured: dict[bytes, AggregationCosts] = {}
        for backend, bits in sums:
            scheme = host.aggregation(backend, bits, threads=count)
            digest = scheme.scheme.digest
            if digest not in measured:  # what is the same at several numbers of value bits is measured at the first
                progress(f"sums: {backend}, {bits} bits, {count} thread(s)")
                measured[digest] = measure_aggregation(scheme, watch)
            aggregation[f"{backend}/{bits}/{count}"] = measured[digest]
        for backend, bits in proven:
            progress(f"proofs: {backend}, {bits} bits, {count} thread(s)")
            scheme = host.aggregation("additive-rlwe", bits, threads=count)
            proofs[f"{backend}/{bits}/{count}"] = measure_proofs(host.proofs(bits, threads=count), scheme, watch)
    homomorphic, networks = {}, {}
    for of_networks, name in sets:
        if of_networks:
            progress(f"networks on encrypted rows: {name}")
            networks[name] = measure_networks(name, watch)
        else:
            progress(f"encrypted tables: {name}")
            homomorphic[name] = measure_tables(name, watch)
    progress("the log")
    return Costs(
        version=metadata.version("quatrefoil"),
        measured_at=int(now()),
        measured_on=machine.describe(),
        threads=1,
        transport=transport,
        serving=serving,
        aggregation=aggregation,
        proofs=proofs,
        rounds=RoundCosts(Line(0.0, 0.0), Line(0.0, 0.0), Line(0.0, 0.0)),
        homomorphic=homomorphic,
        networks=networks,
        answers={},
        log_append_ms=watch.ms(append, most=ENTRIES),
    )


_PER_SUM, _PER_PROOF, _PER_SET, _PER_CHANNEL = 8, 6, 9, 11
"""About how many figures share the time given."""


def measure_aggregation(scheme: PrivateAggregation, watch: Watch) -> AggregationCosts:
    small, large = _measure_values(scheme, 1, watch), _measure_values(scheme, VALUES, watch)
    lines = {name: line(small[name], large[name], VALUES) for name in small}
    shape = SumShape(length=1, clip=1.0, context=bytes(32))
    keys = [scheme.encrypt(np.zeros(1, np.float32), weight=1.0, shape=shape).key for _ in range(KEYS)]
    few, many = watch.ms(lambda: scheme.combine_keys(keys[:2])), watch.ms(lambda: scheme.combine_keys(keys))
    return AggregationCosts(
        encrypt_ms=lines["encrypt"],
        add_ms=lines["add"],
        decrypt_ms=lines["decrypt"],
        combine_ms=line(few, many, KEYS),
        ciphertext_bytes=lines["bytes"],
        key_bytes=float(len(keys[0])),
    )


def measure_proofs(proofs: IntegrityProof, scheme: PrivateAggregation, watch: Watch) -> ProofCosts:
    small, large = (_measure_proof(proofs, scheme, length, watch) for length in (1, PROVEN_VALUES))
    lines = {name: line(small[name], large[name], PROVEN_VALUES) for name in small}
    return ProofCosts(lines["prove"], lines["verify"], small["check"], lines["bytes"])


def _measure_proof(proofs: IntegrityProof, scheme: PrivateAggregation, length: int, watch: Watch) -> dict[str, float]:
    shape = SumShape(length=length, clip=1.0, context=bytes(32))
    values = np.linspace(-0.5, 0.5, length, dtype=np.float32)
    encrypted, hidden = scheme.encrypt_for_proof(values, weight=1.0, shape=shape)
    bound, binding = proofs.bound(float(length), weight=1.0, shape=shape), bytes(32)
    statement = BoundedUpdate(shape, encrypted.ciphertext, bound, binding)
    proof = proofs.prove(statement, hidden)  # the first one also expands what all proofs of a round share
    claim = proofs.verify(statement, proof).key_claim
    assert isinstance(claim, KeyClaim)  # the statement has no shares
    return {
        "prove": watch.ms(lambda: proofs.prove(statement, hidden)),
        "verify": watch.ms(lambda: proofs.verify(statement, proof)),
        "check": watch.ms(lambda: proofs.check_key(hidden.key, claim, shape=shape, bound=bound, binding=binding)),
        "bytes": float(len(proof)),
    }


def _measure_values(scheme: PrivateAggregation, length: int, watch: Watch) -> dict[str, float]:
    shape = SumShape(length=length, clip=1.0, context=bytes(32))
    values = np.linspace(-0.5, 0.5, length, dtype=np.float32)
    one, two = (scheme.encrypt(values, weight=1.0, shape=shape) for _ in range(2))
    pair = [one.ciphertext, two.ciphertext]
    total, key = _sum(scheme, pair, shape), scheme.combine_keys([one.key, two.key])
    return {
        "encrypt": watch.ms(lambda: scheme.encrypt(values, weight=1.0, shape=shape)),
        "add": watch.ms(lambda: _sum(scheme, pair, shape)) / 2,
        "decrypt": watch.ms(lambda: scheme.decrypt(total, key, shape=shape, count=2)),
        "bytes": float(len(one.ciphertext)),
    }


def _sum(scheme: PrivateAggregation, ciphertexts: Sequence[bytes], shape: SumShape) -> bytes:
    accumulator = scheme.accumulator(shape=shape)
    for ciphertext in ciphertexts:
        accumulator.add(ciphertext)
    return accumulator.total()


def _transport(watch: Watch) -> TransportCosts:
    from quatrefoil.transport import CertificateAuthority, PostQuantumTransport, system_clock

    with tempfile.TemporaryDirectory(prefix="quatrefoil-calibration-") as folder:
        authority = CertificateAuthority.create(Path(folder) / "ca", "calibration", clock=system_clock)
        silo, aggregator = (authority.issue(role, role) for role in ("silo", "aggregator"))
        trust = authority.trust
    party = PostQuantumTransport(silo, trust, clock=system_clock)
    body, key, context = bytes(256), bytes(32), bytes(32)
    signed = party.sign(body)
    recipient = party.new_recipient()
    sealed = party.seal(recipient.public, key, context=context)

    async def channels() -> tuple[float, float, Line]:
        from quatrefoil.transport import AsyncChannel, FixedCredentials, open_channel, serve

        async def acknowledge(channel: AsyncChannel) -> None:
            while True:
                await channel.receive(2 * MESSAGE)
                await channel.send(b"!")

        refusals: list[PeerError] = []
        server = await serve(
            "127.0.0.1",
            0,
            credentials=FixedCredentials(aggregator, trust),
            allow_roles=["silo"],
            handler=acknowledge,
            on_refused=lambda _peer, error: refusals.append(error),
            timeout=30.0,
            clock=system_clock,
        )

        async def connect() -> AsyncChannel:
            return await open_channel(
                "127.0.0.1",
                server.port,
                identity=silo,
                trust=trust,
                expect_role="aggregator",
                timeout=30.0,
                clock=system_clock,
            )

        async def session() -> int:
            async with await connect() as channel:
                return channel.bytes_sent + channel.bytes_received

        async def message(channel: AsyncChannel, size: int) -> None:
            await channel.send(bytes(size))
            if await channel.receive(16) != b"!":
                raise HostError("a calibration message was not acknowledged", hint="Run it again")

        async with server:
            handshake = await watch.ms_of(session)
            traffic = await session()
            async with await connect() as channel:
                small = await watch.ms_of(lambda: message(channel, 1))
                large = await watch.ms_of(lambda: message(channel, MESSAGE))
        return handshake, float(traffic), line(small, large, MESSAGE)

    # In a thread of its own, so that a caller inside an event loop can measure as well.
    with ThreadPoolExecutor(max_workers=1) as thread:
        handshake_ms, handshake_bytes, message_ms = thread.submit(lambda: asyncio.run(channels())).result()
    return TransportCosts(
        handshake_ms=handshake_ms,
        handshake_bytes=handshake_bytes,
        message_ms=message_ms,
        sign_ms=watch.mean_ms(lambda: party.sign(body)),
        verify_ms=watch.ms(lambda: party.verify(signed)),
        seal_ms=watch.ms(lambda: party.seal(recipient.public, key, context=context)),
        open_ms=watch.ms(lambda: recipient.open(sealed, context=context)),
        statement_bytes=float(len(signed) - len(body)),
        sealed_bytes=float(len(sealed) - len(key)),
    )


__all__ = ["calibrate", "measure_aggregation", "measure_proofs"]
