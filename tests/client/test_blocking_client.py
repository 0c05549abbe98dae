"""``quatrefoil.Client`` before a real server over TLS: from threads, beside loops, streams, and how it ends."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from channel_world import Served, served
from client_world import INFER, Talker
from cryptography import x509

import quatrefoil
from quatrefoil.client import AsyncClient, Client, ReceiptFolder
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.errors import (
    CallerError,
    ChannelRefused,
    EvidenceRejected,
    MessageRefused,
    PeerUnreachable,
    RequestRefused,
)
from quatrefoil.transport import FixedCredentials, RotatingCredentials
from quatrefoil.transport.revocation import Revoked
from serving_parts import serving_policy
from small_models import B, W
from support import Consortium

X = np.array([[1.0, 2.0, 3.0]], dtype=np.float32)


def own_threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("quatrefoil-client")]


def test_the_names_at_the_top_are_these() -> None:
    assert quatrefoil.Client is Client and quatrefoil.AsyncClient is AsyncClient


def test_it_infers_over_channels_and_leaves_no_thread(consortium: Consortium) -> None:
    with served(consortium) as server:
        with Client(server.url, **server.options()) as client:
            assert client.attestation is None and own_threads() == []
            found = client.infer({"x": X})
            assert np.allclose(found["y"], X @ W + B)
            assert client.attestation is not None and found.receipt.keyset == client.attestation.keyset
            assert client.metadata().name == "linear" and client.policy == server.policy
            assert client.attest() is client.attestation
            with pytest.raises(RequestRefused):
                client.request("GET", "/elsewhere").raise_for_status()
            assert repr(client).startswith("Client('https://127.0.0.1")
            assert own_threads() != []
        assert own_threads() == []
        client.close()
        with pytest.raises(CallerError, match="closed"):
            client.request("GET", "/v2")
    gc.collect()


def test_threads_share_one_client_and_one_attestation(consortium: Consortium) -> None:
    with served(consortium) as server, Client(server.url, **server.options()) as client:
        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(lambda _: client.infer({"x": X}), range(40)))
        assert sorted(one.receipt.sequence for one in found) == list(range(40))
        assert len(server.world.machine.asked) == 2  # the server's own, and one


@pytest.mark.parametrize("streamed", [False, True])
def test_a_request_at_the_moment_of_close_is_refused_and_never_waits(
    streamed: bool, consortium: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule, closing = asyncio.run_coroutine_threadsafe, list[threading.Thread]()
    begun = threading.Event()

    def late(doing, loop):  # type: ignore[no-untyped-def]
        if threading.current_thread() in closing:
            future = schedule(doing, loop)
            begun.set()
            return future
        if not closing:
            closing.append(threading.Thread(target=client.close))
            closing[0].start()
            loop.call_soon_threadsafe(begun.wait, 30)  # no answer comes before the loop has been told to end
        return schedule(doing, loop)

    with served(consortium) as server:
        client = Client(server.url, **server.options())
        client.attest()
        with monkeypatch.context() as patched:
            patched.setattr(asyncio, "run_coroutine_threadsafe", late)
            with pytest.raises(CallerError, match="closed"):
                if streamed:
                    with client.stream("POST", "/chat") as stream:
                        stream.read()
                else:
                    client.request("GET", "/v2")
        closing[0].join(30)
        assert not closing[0].is_alive() and own_threads() == []


def test_what_was_read_ahead_of_a_close_ends_in_an_error_of_ours(consortium: Consortium) -> None:
    with served(consortium, handler=Talker([b"x" * 600_000] * 5)) as server:
        client = Client(server.url, **server.options())
        with client.stream("POST", "/chat") as stream:
            while stream._waiting <= 1 << 20:
                threading.Event().wait(0.001)
            client.close()
            with pytest.raises(CallerError, match="closed meanwhile"):
                stream.read()
            assert not stream.whole


def test_it_works_where_another_loop_runs(consortium: Consortium) -> None:
    async def run(client: Client) -> None:
        assert client.request("GET", "/v2").status == 200  # blocks this loop, and is not in its way
        assert (await asyncio.to_thread(client.request, "GET", "/v2")).status == 200

    with served(consortium) as server, Client(server.url, **server.options()) as client:
        asyncio.run(run(client))


def test_it_refuses_to_wait_for_itself(consortium: Consortium) -> None:
    with served(consortium) as server, Client(server.url, **server.options()) as client:
        client.attest()
        assert client._loop is not None

        async def inside() -> None:
            with pytest.raises(CallerError, match="own thread"):
                client.request("GET", "/v2")

        asyncio.run_coroutine_threadsafe(inside(), client._loop).result()


def test_streams(consortium: Consortium) -> None:
    talker = Talker([b"data: %d\n\n" % one for one in range(5)])
    with served(consortium, handler=talker) as server, Client(server.url, **server.options()) as client:
        with client.stream("POST", "/chat", json={"stream": True}) as stream:
            assert (stream.status, stream.headers["content-type"]) == (200, "text/event-stream")
            assert stream.raise_for_status() is stream and not stream.whole
            lines = list(stream.iter_lines())
        assert lines == [line for one in range(5) for line in (f"data: {one}", "")]
        assert stream.whole and stream.receipt.fields.complete and "whole" in repr(stream)
        with pytest.raises(CallerError, match="Iterate once"):
            stream.read()
        with client.stream("POST", "/chat") as stream:
            assert stream.read() == b"".join(talker.parts) == stream.read()


def test_a_stream_that_is_left_early_stops_the_server(consortium: Consortium) -> None:
    talker = Talker([b"data: %d\n\n" % one for one in range(1000)])
    talker.go = asyncio.Semaphore(3)
    with served(consortium, handler=talker) as server, Client(server.url, **server.options()) as client:
        with client.stream("POST", "/chat") as stream:
            assert next(stream.iter_bytes()).startswith(b"data: 0")
        assert not stream.whole
        with pytest.raises(CallerError, match="to the end"):
            _ = stream.receipt
        server.run(asyncio.wait_for(talker.stopped.wait(), 20))
        server.run(server.world.gateway.idle())
        assert [one.complete for one in server.world.receipts.receipts] == [False]


def test_a_slow_reader_holds_the_server_back(consortium: Consortium, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quatrefoil.client.blocking.AHEAD", 10_000)
    parts = [bytes([65 + one % 26]) * 5_000 for one in range(100)]
    with served(consortium, handler=Talker(parts)) as server, Client(server.url, **server.options()) as client:
        with client.stream("POST", "/chat") as stream:
            found = b""
            for part in stream.iter_bytes():
                assert stream._waiting <= 10_000 + 16_384
                found += part
        assert found == b"".join(parts) and stream.whole


def test_what_breaks_off_raises_in_the_readers_thread(consortium: Consortium) -> None:
    with served(consortium, handler=Talker(breaks=True)) as server, Client(server.url, **server.options()) as client:
        with (
            client.stream("POST", "/chat") as stream,
            pytest.raises((MessageRefused, PeerUnreachable), match=r"cut off|broke off"),
        ):
            stream.read()
        assert not stream.whole
    with pytest.raises(CallerError, match="closed"), client.stream("POST", "/chat"):
        pass


def test_a_client_that_is_closed_tells_who_still_reads(consortium: Consortium) -> None:
    talker = Talker([b"data: %d\n\n" % one for one in range(10)])
    talker.go = asyncio.Semaphore(1)
    with served(consortium, handler=talker) as server:
        client = Client(server.url, **server.options())
        with client.stream("POST", "/chat") as stream:
            parts = stream.iter_bytes()
            next(parts)
            client.close()
            with pytest.raises(CallerError, match="closed"):
                list(parts)


def test_nobody_there(consortium: Consortium) -> None:
    with served(consortium) as server:
        options = server.options()
    with Client(server.url, **options) as client, pytest.raises(PeerUnreachable):
        client.request("GET", "/v2")


def test_other_roles_and_strangers_are_no_servers(consortium: Consortium, stranger: Consortium) -> None:
    with (
        served(consortium, role="silo") as server,
        Client(server.url, **server.options()) as client,
        pytest.raises(ChannelRefused),
    ):
        client.request("GET", "/v2")
    with served(consortium) as server:
        other = {"identity": stranger.identity("clinic", "silo"), "trust": stranger.trust}
        with Client(server.url, **server.options(**other)) as client, pytest.raises(ChannelRefused):
            client.request("GET", "/v2")


def test_a_certified_server_with_another_policy_is_refused(consortium: Consortium) -> None:
    with served(consortium) as server:
        options = server.options(policy=serving_policy(limits__seconds=7))
        with Client(server.url, **options) as client, pytest.raises(EvidenceRejected) as found:
            client.request("GET", "/v2")
    assert found.value.check == "policy"


FORKED = """
import os, sys
from client_world import Wire, serving_policy
from quatrefoil.client import Client
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.errors import CallerError

client = Client("https://model.example", policy=serving_policy(), collateral=Collateral(), web=Wire(None))
client._running()
child = os.fork()
if child == 0:
    try:
        client.request("GET", "/v2")
    except CallerError as error:
        client.close()
        os._exit(7 if "forked" in str(error) else 8)
    os._exit(9)
ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
client.close()
sys.exit(ended)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_after_a_fork_it_says_so() -> None:
    places = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORKED],
        env={**os.environ, "PYTHONPATH": places},
        timeout=60,
        capture_output=True,
        text=True,
    )
    assert (ran.returncode, ran.stderr) == (7, "")


def test_receipts_are_kept_for_their_owner(consortium: Consortium, tmp_path) -> None:
    from quatrefoil.attested import Attestation
    from quatrefoil.audit import inference_receipts
    from quatrefoil.enclave.binding import Keyset

    folder = tmp_path / "kept"
    kept = ReceiptFolder(folder)
    with served(consortium) as server, Client(server.url, **server.options(on_receipt=kept)) as client:
        content = b"{}"
        answers = [client.request("POST", INFER, content=content) for _ in range(3)]
    names = sorted(file.name for file in folder.iterdir())
    assert len(names) == 8 and {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
    (keyset_file,) = folder.glob("*.keyset")
    keyset = Keyset.decode(keyset_file.read_bytes())
    assert keyset_file.stem == keyset.digest().hex()[:32]
    assert Attestation.decode(keyset_file.with_suffix(".attestation").read_bytes()).keyset == keyset
    found = {}
    for file in folder.glob("*.receipt"):
        receipt = inference_receipts.verify(file.read_bytes(), keyset)
        salt = bytes.fromhex(file.with_suffix(".salt").read_text())
        assert receipt.request == inference_receipts.commit_request(salt, b"POST", INFER.encode(), content)
        found[receipt.sequence] = receipt
    assert found == {answer.receipt.sequence: answer.receipt.fields for answer in answers}


def test_newer_evidence_of_a_keyset_is_kept_beside_its_receipts(consortium: Consortium, tmp_path) -> None:
    kept = ReceiptFolder(tmp_path / "kept")
    with served(consortium) as server:
        for _ in range(2):  # each client asks for evidence of its own
            with Client(server.url, **server.options(on_receipt=kept)) as client:
                client.request("GET", "/v2")
        again = ReceiptFolder(tmp_path / "kept")
        with Client(server.url, **server.options(on_receipt=again)) as client:
            client.request("GET", "/v2")
    by_name = {file.stem for file in kept._folder.glob("*.receipt")}
    found = {file.stem for file in kept._folder.glob("*.attestation")}
    assert len(by_name) == 3 and len(found & by_name) == 2 and len(found) == 3


def test_processes_may_share_a_folder_and_one_may_be_killed_in_it(
    consortium: Consortium, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another process writes at the same moment, or left half done, keeps no answer back."""
    from quatrefoil.transport import files

    write_new, folder = files.write_new, tmp_path / "kept"

    def after_another(file, content, **more):  # type: ignore[no-untyped-def]
        if file.suffix in (".keyset", ".attestation") and not file.exists():
            write_new(file, content, **more)
        write_new(file, content, **more)

    with served(consortium) as server:
        with monkeypatch.context() as patched:
            patched.setattr(files, "write_new", after_another)
            with Client(server.url, **server.options(on_receipt=ReceiptFolder(folder))) as client:
                assert client.request("GET", "/v2").status == 200
        (keyset,) = folder.glob("*.keyset")
        for left in (keyset, keyset.with_suffix(".attestation")):
            was = left.read_bytes()
            left.unlink()
            with Client(server.url, **server.options(on_receipt=ReceiptFolder(folder))) as client:
                assert client.request("GET", "/v2").status == 200
            assert left.exists() and (left != keyset or left.read_bytes() == was)


def test_a_folder_that_cannot_be_written_keeps_the_answer_back(consortium: Consortium, tmp_path) -> None:
    from quatrefoil.errors import HostError

    kept = ReceiptFolder(tmp_path / "kept")
    with served(consortium) as server, Client(server.url, **server.options(on_receipt=kept)) as client:
        client.request("GET", "/v2")
        name = kept.new_name()
        receipt = client.request("GET", "/v2").receipt
        kept.keep(name, receipt)
        with pytest.raises(HostError, match="exists already"):
            kept.keep(name, receipt)
        for wrong in ("", "../x", "a/b", "ä"):
            with pytest.raises(CallerError):
                kept.keep(wrong, receipt)
        for file in kept._folder.iterdir():
            file.unlink()
        kept._folder.rmdir()
        kept._folder.write_text("a file is in its place")
        with pytest.raises(HostError, match="cannot be kept"):
            client.request("GET", "/v2")


def test_a_server_that_drains_answers_what_it_has(consortium: Consortium) -> None:
    server: Served
    with served(consortium) as server, Client(server.url, **server.options()) as client:
        client.attest()
        server._loop.call_soon_threadsafe(server.world.gateway.stop_taking)
        with pytest.raises(PeerUnreachable, match="503"):
            client.request("GET", "/v2")


def test_a_renewed_certificate_is_shown_and_a_revoked_server_refused_from_the_next_request_on(
    consortium: Consortium, tmp_path: Path
) -> None:
    credentials = RotatingCredentials(consortium.identity("clinic", "silo"), consortium.trust, clock=consortium.clock)
    with served(consortium) as server:
        given = server.options(credentials=credentials, identity=None, trust=None)
        with Client(server.url, **given) as client:
            client.infer({"x": X})
            credentials.rotate(consortium.authority.issue("clinic", "silo", directory=tmp_path / "renewed"))
            client.infer({"x": X})
            ended = consortium.identity("model", "workload").certificate
            entry = Revoked(ended.serial_number, consortium.clock(), x509.ReasonFlags.key_compromise)
            credentials.believe(consortium.trust_with(consortium.list_of([entry], number=9)))
            with pytest.raises((ChannelRefused, PeerUnreachable)):
                client.infer({"x": X})


def test_who_asks_is_said_in_one_way(consortium: Consortium) -> None:
    identity = consortium.identity("clinic", "silo")
    given = {"policy": serving_policy(), "collateral": Collateral(), "identity": identity}
    for more in ({}, {"trust": consortium.trust, "credentials": FixedCredentials(identity, consortium.trust)}):
        with pytest.raises(CallerError, match=r"nobody to be|both credentials"):
            Client("https://model.example", **given, **more)
