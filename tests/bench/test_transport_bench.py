"""The bench of channels gives every figure that others read, and measures what it says; never how fast."""

from __future__ import annotations

import hashlib
import re
import ssl
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from quatrefoil.bench import transport, transport_work
from quatrefoil.bench.transport import POLICIES, SHAPES, measure_transport
from quatrefoil.bench.transport_far import classical_context, far_end, serve_channels, serve_classically
from quatrefoil.bench.transport_near import Channels, Classical, _Channel, _Socket, write_identities
from quatrefoil.bench.transport_work import ECHOED, FEATURES, PATIENTS, WHOLE, Asker, Desk, Direct, plain
from quatrefoil.errors import HostError, MessageRefused, ParametersRefused, PeerUnreachable
from quatrefoil.transport import policy_named

HELLO = b"\0hello"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("bench")
    write_identities(made)
    return made


def test_a_row_for_each_session_and_stack_with_ratios_to_the_classical_one(monkeypatch) -> None:
    monkeypatch.setattr(transport, "REQUESTS", 3)
    monkeypatch.setattr(transport, "CONNECTIONS", 2)
    monkeypatch.setattr(transport, "UPLOAD", 100_000)
    said: list[str] = []
    rows = measure_transport(1, said.append)
    assert [(row["shape"], row["stack"]) for row in rows] == [
        (shape.name, stack) for shape in SHAPES for stack in ("classical", *POLICIES)
    ]
    assert len(said) == len(SHAPES)
    for first in range(0, len(rows), 1 + len(POLICIES)):
        classical, *others = rows[first : first + 1 + len(POLICIES)]
        assert classical["ratio_best"] == classical["ratio_median"] == classical["ratio_cpu"] == 1
        for row in others:
            assert row["ratio_best"] == pytest.approx(row["best_ms"] / classical["best_ms"])
            cpu = row["cpu_client_ms"] + row["cpu_server_ms"]
            assert row["ratio_cpu"] == pytest.approx(cpu / (classical["cpu_client_ms"] + classical["cpu_server_ms"]))
        with_bytes = "handshake" in classical["shape"]
        assert all((row["handshake_bytes"] is not None) == with_bytes for row in (classical, *others))
        with_work = "scored" in classical["shape"] or "signed" in classical["shape"]
        assert all((row["work_ms"] is not None) == with_work for row in (classical, *others))
        if with_work:
            assert len({row["work_ms"] for row in (classical, *others)}) == 1
            assert classical["work_ms"] > 0
    sizes = {(row["shape"], row["stack"]): row["handshake_bytes"] for row in rows[: 2 * (1 + len(POLICIES))]}
    full, resumed = SHAPES[0].name, SHAPES[1].name
    for stack in ("classical", *POLICIES):
        assert sizes[resumed, stack] < sizes[full, stack]
    assert sizes[full, "classical"] < sizes[full, "hybrid-768"] < sizes[full, "hybrid-1024"]


def test_the_classical_stack_is_what_it_says(folder) -> None:
    with far_end(serve_classically, folder) as far:
        near = Classical(folder, far.port)
        with near.connect() as link:
            assert link.ask(HELLO) == HELLO and link.ask(bytes(5000)) == b"!"
            assert isinstance(link, _Socket)
            secured = link._secured
            assert secured.cipher()[:2] == ("TLS_AES_256_GCM_SHA384", "TLSv1.3")
            assert not secured.session_reused
        with near.connect(resume=True) as link:
            assert isinstance(link, _Socket) and link.ask(b"") == b"" and link._secured.session_reused
        assert far.cpu() > 0
        nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        nobody.load_verify_locations(folder / "classical-root.pem")
        near._context = nobody
        with pytest.raises((OSError, ConnectionError)), near.connect() as link:  # both ends are certified
            link.ask(HELLO)
    assert classical_context(folder, server=True).verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize("policy", POLICIES)
def test_our_stack_is_what_it_says(folder, policy) -> None:
    with far_end(serve_channels, folder, policy) as far:
        near = Channels(folder, far.port, policy_named(policy))
        for resume, expected in ((False, False), (True, False), (True, True)):
            with near.connect(resume=resume) as link:
                assert link.ask(HELLO) == HELLO and link.ask(bytes(5000)) == b"!"
                assert isinstance(link, _Channel) and link._channel.resumed == expected
                assert link._channel.group == policy_named(policy).groups[0]


STACKS = [("classical", Classical), *((policy, Channels) for policy in POLICIES)]


@pytest.mark.parametrize(("stack", "near_end"), STACKS)
def test_the_work_is_done_and_the_same_under_every_stack(folder, stack, near_end) -> None:
    classical = near_end is Classical
    asker = Asker(folder)
    target = (serve_classically, folder) if classical else (serve_channels, folder, stack)
    with far_end(*target) as far:
        near = Classical(folder, far.port) if classical else Channels(folder, far.port, policy_named(stack))
        with near.connect() as link, Direct(folder).connect() as direct:
            assert link.ask(asker.patients) == direct.ask(asker.patients) == asker.scores
            assert len(asker.patients) == 1 + 4 * PATIENTS * FEATURES and len(asker.scores) == 4 * PATIENTS
            for ask in (link.ask, direct.ask):
                asker.require_receipt(ask(asker.statement(b"body")), b"body")
                with pytest.raises(HostError, match="signed something else"):
                    asker.require_receipt(ask(asker.statement(b"body")), b"another")
                assert ask(bytes(ECHOED)) == bytes(ECHOED) and ask(bytes(WHOLE + 1)) == b"!"


def test_a_statement_that_does_not_verify_is_not_answered(folder) -> None:
    desk, asker = Desk(folder), Asker(folder)
    asked = asker.statement(b"body")
    with pytest.raises(MessageRefused):
        desk.answer(asked[:-1] + bytes([asked[-1] ^ 1]))
    answer = desk.answer(asked)
    with pytest.raises(MessageRefused):
        asker.require_receipt(answer[:-1] + bytes([answer[-1] ^ 1]), b"body")
    with pytest.raises(HostError, match="signed something else"):  # one's own statement is no receipt
        asker.require_receipt(asker.statement(hashlib.sha256(b"body").digest())[1:], b"body")


def test_no_random_message_is_taken_for_work(folder, monkeypatch) -> None:
    """A random message whose first byte was that of a statement ended its channel, once in so many runs."""
    desk, asker = Desk(folder), Asker(folder)
    for kind in (asker.patients[:1], asker.statement(b"")[:1], b"\3", b"\xff"):
        monkeypatch.setattr(transport_work, "os", SimpleNamespace(urandom=lambda count, kind=kind: kind * count))
        for length in (0, 1, 2, 129, ECHOED):
            message = plain(length)
            assert len(message) == length and desk.answer(message) == message
        assert desk.answer(plain(ECHOED + 1)) == b"!"
        with pytest.raises(MessageRefused):
            desk.answer(kind * 100)  # what is no work of its kind, or of no kind, is never answered as if it were plain


def test_the_far_end_says_what_it_refuses(folder, capfd) -> None:
    """Its channel ends like any other, so that its words are all there is to go by."""
    with far_end(serve_channels, folder, "hybrid-768") as far:
        near = Channels(folder, far.port, policy_named("hybrid-768"))
        for message in (b"\xffhello", b"\2" + bytes(100), b"\1" + bytes(100)):
            with near.connect() as link, pytest.raises(PeerUnreachable, match="closed the connection"):
                link.ask(message)
        with near.connect() as link:
            assert link.ask(HELLO) == HELLO
        said, end = "", time.monotonic() + 30
        while said.count("\n") < 3 and time.monotonic() < end:
            said += capfd.readouterr().err
            time.sleep(0.01)
    said += capfd.readouterr().err
    assert r"begins with b'\xff'. Make it with plain()" in said and "100 bytes are no patients" in said
    assert len(said.splitlines()) == 3  # and of the goodbyes nothing


def test_shapes_say_what_they_are() -> None:
    text = " ".join(shape.name for shape in SHAPES)
    assert f"{transport.REQUESTS} requests of {transport.REQUEST // 1000} kB" in text
    assert f"{transport.CONNECTIONS} requests of {transport.REQUEST // 1000} kB, a connection each" in text
    assert f"{transport.REQUESTS} requests of {PATIENTS} patients, scored by a model" in text
    assert f"{transport.REQUESTS} signed statements of {transport.REQUEST // 1000} kB, answered by such" in text
    assert f"upload of {transport.UPLOAD // 10**6} MB" in text
    assert f"stream of {transport.MESSAGES * transport.UPLOAD // 10**6} MB" in text
    assert all(re.fullmatch(r"[\w ,]+", shape.name) for shape in SHAPES)


def test_nothing_cannot_be_measured() -> None:
    with pytest.raises(ParametersRefused, match="0 repetitions"):
        measure_transport(0, print)
