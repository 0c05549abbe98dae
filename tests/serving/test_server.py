"""A server over real channels: answers, counts, its log, and how it ends."""

from __future__ import annotations

import asyncio
import base64
import threading
from pathlib import Path

import pytest
from test_gateway import INPUT

from quatrefoil.attested import RelyingParty
from quatrefoil.audit import inference_receipts
from quatrefoil.enclave.binding import Keyset
from quatrefoil.errors import EvidenceRejected, LeaseEnded, PeerError
from quatrefoil.exchange import protocol
from quatrefoil.inference import InferRequest, InferResponse, OnnxEngine
from quatrefoil.ohttp import Request, RequestHead, decode_response, http_date
from quatrefoil.serving.oip import OipHandler
from quatrefoil.transport import FixedCredentials, HybridContext, system_clock
from quatrefoil.web.client import WebClient
from running_server import Running, running
from serving_exchanges import Outer, Sealed
from serving_parts import INFER, ISSUER, MODEL, SnpMachine, serving_policy
from small_models import linear
from support import Consortium


def client(people: Consortium, name: str = "asker", role: str = "silo") -> WebClient:
    return WebClient(
        tls=HybridContext(
            FixedCredentials(people.identity(name, role), people.trust),
            allow_roles=[protocol.SERVER_ROLE],
            clock=system_clock,
            protocol=b"http/1.1",
            on_refused=lambda _: None,
        )
    )


async def attested(web: WebClient, server: Running) -> Keyset:
    party = RelyingParty(
        server.policy.attestation.appraisal, server.collateral, purpose=protocol.PURPOSE, clock=system_clock
    )
    kind = ((b"content-type", protocol.ATTESTATION_TYPE.encode()),)
    answer = await web.request("POST", server.url + protocol.ATTESTATION_PATH, kind, party.challenge())
    assert answer.status == 200
    return party.accept(answer.content, b"").keyset


async def asked(web: WebClient, server: Running, keyset: Keyset, *, chunked: bool = False) -> tuple[int, bytes]:
    """Status inside, and the receipt."""
    head = RequestHead(b"POST", b"https", b"model", INFER, ((b"date", http_date(system_clock()).encode()),))
    sealed = Sealed.of(Request(head, INPUT), keyset, server.policy, chunked=chunked)
    kind = ((b"content-type", sealed.kind.encode()),)
    answer = await web.request("POST", server.url + protocol.GATEWAY_PATH, kind, sealed.content)
    if answer.status != 200:
        return answer.status, b""
    outer = Outer(answer.status, {name.lower(): value for name, value in answer.headers}, [answer.content])
    response = decode_response(sealed.plain(outer))
    lines = response.trailers if chunked else response.head.fields
    (encoded,) = (value for name, value in lines if name == protocol.RECEIPT_FIELD)
    return response.head.status, base64.b64decode(encoded)


def test_requests_over_channels_are_answered_and_logged(server: Running) -> None:
    async def run() -> Keyset:
        async with client(server.people) as web:
            keyset = await attested(web, server)
            for chunked in (False, True):
                status, encoded = await asked(web, server, keyset, chunked=chunked)
                assert status == 200
                receipt = inference_receipts.verify(encoded, keyset)
                assert receipt.issuer == ISSUER
                assert receipt.measurement.startswith("sev-snp.measurement=")
            return keyset

    asyncio.run(run())
    server.stop()
    assert server.failed is None
    kinds = [entry.kind for entry in server.log.entries()]
    assert kinds == ["serving-keys", "inference", "inference", "serving-ended"]


def test_counts_are_read_beside_the_channel(server: Running) -> None:
    async def run() -> None:
        async with WebClient(tls=None) as plain:
            url = f"http://127.0.0.1:{server.serving.metrics_port}"
            answer = await plain.request("GET", url + protocol.METRICS_PATH, (), b"")
            assert b"quatrefoil_serving_rotations_total" in answer.content
            assert (await plain.request("GET", url + "/other", (), b"")).status == 404

    asyncio.run(run())


def test_who_is_not_certified_here_does_not_get_in(server: Running, stranger: Consortium) -> None:
    async def run() -> None:
        async with client(stranger) as web:
            with pytest.raises(PeerError):
                await web.request("GET", server.url + protocol.LIVE_PATH, (), b"")

    asyncio.run(run())


def test_keys_rotate_under_load_over_channels(server: Running) -> None:
    async def run() -> None:
        done = asyncio.Event()

        async def rotating() -> None:
            while not done.is_set():
                await asyncio.to_thread(server.rotate)
                await asyncio.sleep(0.2)

        async def one(web: WebClient) -> None:
            for _ in range(4):
                keyset = await attested(web, server)
                for turn in range(4):
                    status, encoded = await asked(web, server, keyset, chunked=bool(turn % 2))
                    assert status == 200
                    inference_receipts.verify(encoded, keyset)

        async with client(server.people) as web:
            task = asyncio.ensure_future(rotating())
            await asyncio.gather(*(one(web) for _ in range(8)))
            done.set()
            await task

    asyncio.run(run())


def test_the_end_of_the_lease_is_the_end_of_the_server(consortium: Consortium, tmp_path: Path) -> None:
    with running(consortium, tmp_path / "state") as server:

        async def run() -> None:
            async with client(server.people) as web:
                keyset = await attested(web, server)
                assert (await asked(web, server, keyset))[0] == 200

        asyncio.run(run())
        server.end_lease(LeaseEnded("the lease is over: revoked", hint="Ask for the key anew"))
        server.join()
        assert isinstance(server.failed, LeaseEnded)
        assert [entry.kind for entry in server.log.entries()][-1] == "serving-ended"


def test_the_end_of_the_lease_ends_a_server_that_drains(consortium: Consortium, tmp_path: Path) -> None:
    begun, release = threading.Event(), threading.Event()

    class Slow(OnnxEngine):
        def infer(self, request: InferRequest) -> InferResponse:
            begun.set()
            release.wait(60)
            return super().infer(request)

    policy = serving_policy(limits__seconds=1, limits__stream_seconds=3600)
    handler = OipHandler(Slow(linear(), name=MODEL), policy)
    with running(consortium, tmp_path / "state", policy=policy, handler=handler) as server:

        async def run() -> None:
            async with client(server.people) as web:
                keyset = await attested(web, server)
                task = asyncio.ensure_future(asked(web, server, keyset))
                await asyncio.to_thread(begun.wait, 30)
                server._loop.call_soon_threadsafe(server._stop.set)
                while server.serving.gateway.ready:
                    await asyncio.sleep(0.01)
                await asyncio.to_thread(server.end_lease, LeaseEnded("the lease is over", hint="Ask anew"))
                await asyncio.gather(task, return_exceptions=True)

        asyncio.run(run())
        server.join()
        release.set()
        assert isinstance(server.failed, LeaseEnded)


def test_a_server_that_clients_would_refuse_does_not_start(consortium: Consortium, tmp_path: Path) -> None:
    with (
        pytest.raises(EvidenceRejected, match="accepted-measurement"),
        running(consortium, tmp_path / "state", machine=SnpMachine(measurement=bytes(48))),
    ):
        pass


def test_what_is_being_answered_is_finished_when_the_server_stops(consortium: Consortium, tmp_path: Path) -> None:
    begun, release = threading.Event(), threading.Event()

    class Slow(OnnxEngine):
        def infer(self, request: InferRequest) -> InferResponse:
            begun.set()
            release.wait(30)
            return super().infer(request)

    policy = serving_policy()
    handler = OipHandler(Slow(linear(), name=MODEL), policy)
    with running(consortium, tmp_path / "state", policy=policy, handler=handler) as server:

        async def run() -> None:
            async with client(server.people) as web:
                keyset = await attested(web, server)
                task = asyncio.ensure_future(asked(web, server, keyset))
                await asyncio.to_thread(begun.wait, 30)
                server._loop.call_soon_threadsafe(server._stop.set)
                while server.serving.gateway.ready:
                    await asyncio.sleep(0.01)
                release.set()
                status, encoded = await task
                assert status == 200
                inference_receipts.verify(encoded, keyset)

        asyncio.run(run())
        server.join()
        assert server.failed is None
