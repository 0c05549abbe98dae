"""What a service shows: counts, readiness, health over HTTP, words to the service manager; and what it does not."""

from __future__ import annotations

import asyncio
import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from loopback import Loopback
from prometheus_text import parsed

from quatrefoil.errors import CallerError, HostError, MessageRefused, StateTaken
from quatrefoil.services import vitals as vital
from quatrefoil.services.health import HealthServer
from quatrefoil.services.notifying import ServiceManager
from quatrefoil.services.vitals import COUNTERS, Vitals, watched
from world import NAMES, World


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def fetched(server: HealthServer, path: str) -> tuple[int, str, str]:
    """Status, type and content."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=10) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.headers["Content-Type"], refusal.read().decode()


@pytest.fixture
def vitals() -> Vitals:
    return Vitals("keeper", Clock())


@pytest.fixture
def server(vitals: Vitals) -> Iterator[HealthServer]:
    with closing(HealthServer(("127.0.0.1", 0), vitals)) as running:
        yield running


# ------------------------------------------------------------------------------------------------------------- counts


def test_counts_are_read_in_the_form_of_prometheus(vitals: Vitals, server: HealthServer) -> None:
    vitals.answered("open", "ok", 0.25)
    vitals.answered("open", "MessageRefused", 0.5)
    vitals.answered("open", "wait", 20.0)
    vitals.count("attempts_voided")
    vitals.gauge("rounds_done", "Rounds", lambda: 7)
    status, kind, text = fetched(server, "/metrics")
    assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    found = parsed(text)
    assert found['quatrefoil_questions_total{method="open",outcome="ok"}'] == 1
    assert found['quatrefoil_answer_seconds_sum{method="open"}'] == 0.75  # what was waited is no cost
    assert found['quatrefoil_answer_seconds_count{method="open"}'] == 2
    assert (found["quatrefoil_attempts_voided_total"], found["quatrefoil_rounds_done"]) == (1, 7)
    assert found['quatrefoil_service_info{role="keeper"}'] == found["quatrefoil_ready"] == 1
    assert found["quatrefoil_resident_bytes"] > 1e6


@pytest.mark.parametrize("labels", [(), ("open",), ("open", "ok", "more")])
def test_a_count_with_other_labels_than_it_has_is_a_fault(vitals: Vitals, labels: tuple[str, ...]) -> None:
    with pytest.raises(AssertionError):
        vitals.count("questions", *labels)


def test_every_question_is_counted_by_how_it_ended(vitals: Vitals) -> None:
    async def ok(_: str, __: bytes) -> bytes:
        return b""

    async def wait(_: str, __: bytes) -> None:
        return None

    async def refuse(_: str, __: bytes) -> bytes:
        raise MessageRefused("no", hint="-")

    async def break_down(_: str, __: bytes) -> bytes:
        raise ZeroDivisionError

    async def ask() -> None:
        methods = watched({"a": ok, "b": wait, "c": refuse, "d": break_down}, vitals)
        assert (await methods["a"]("x", b""), await methods["b"]("x", b"")) == (b"", None)
        for name, error in (("c", MessageRefused), ("d", ZeroDivisionError)):
            with pytest.raises(error):
                await methods[name]("x", b"")

    asyncio.run(ask())
    ended = {"a": "ok", "b": "wait", "c": "MessageRefused", "d": "failed"}
    assert [vitals.value("questions", *pair) for pair in ended.items()] == [1] * 4


def test_a_job_shows_in_the_counts_of_its_aggregator_and_names_nobody(short_patience: None) -> None:
    world = World(rounds=2)

    async def job() -> bytes:
        async with Loopback(world) as hub:
            silos = hub.silos()
            await hub.finished()
            for silo in silos:
                await silo.result()
            return hub.service._vitals.text()

    text = asyncio.run(job()).decode()
    found = parsed(text)
    assert found["quatrefoil_rounds_done"] == found["quatrefoil_rounds"] == 2
    assert found["quatrefoil_rounds_finished_total"] == 2
    assert found['quatrefoil_questions_total{method="contribute",outcome="ok"}'] == 2 * len(NAMES)
    assert not [name for name in NAMES if name in text]


def test_every_count_is_in_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    for name, (labels, _) in COUNTERS.items():
        assert f"`quatrefoil_{name}_total`" in page
        assert all(f"`{label}`" in page for label in labels)


# -------------------------------------------------------------------------------------------------- readiness, health


def test_a_service_is_ready_while_nothing_that_it_needs_is_away(vitals: Vitals, server: HealthServer) -> None:
    found: list[str | None] = [None]
    vitals.check("state", lambda: found[0])
    vitals.check("keeper", lambda: None)
    assert fetched(server, "/readyz")[0] == 200
    found[0] = "connection refused"
    status, kind, text = fetched(server, "/readyz")
    assert (status, kind) == (503, "application/json")
    assert json.loads(text) == {"ready": False, "problems": {"state": "connection refused"}}
    assert fetched(server, "/healthz")[0] == 200  # that it waits is no reason to start it again
    assert parsed(fetched(server, "/metrics")[2])["quatrefoil_ready"] == 0


def test_a_service_that_stops_to_move_is_not_healthy(vitals: Vitals, server: HealthServer) -> None:
    assert fetched(server, "/healthz")[0] == 200  # one that never beats is not held to it
    vitals.beat()
    clock = vitals._now
    assert isinstance(clock, Clock)
    clock.now = vital.LONGEST_STILL_S
    assert fetched(server, "/healthz")[0] == 200
    clock.now += 1
    assert (fetched(server, "/healthz")[0], fetched(server, "/readyz")[0]) == (503, 200)
    vitals.beat()
    assert fetched(server, "/healthz")[0] == 200


@pytest.mark.parametrize("path", ["/", "/metrics/", "/metrics?x=1", "/../etc/passwd"])
def test_there_is_nothing_else(server: HealthServer, path: str) -> None:
    assert fetched(server, path)[0] == 404


@pytest.mark.parametrize("sent", [b"POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n\r\n", b"\x16\x03\x01\x00\r\n\r\n"])
def test_what_is_no_question_of_a_probe_is_refused_and_hurts_nothing(server: HealthServer, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as line:
        line.sendall(sent)
        assert b" 200 " not in line.recv(100)
    assert fetched(server, "/healthz")[0] == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])
def test_others_machines_do_not_read_it(vitals: Vitals, host: str) -> None:
    with pytest.raises(CallerError, match="metrics are for this machine"):
        HealthServer((host, 0), vitals)


def test_a_port_that_is_taken_is_named(vitals: Vitals, server: HealthServer) -> None:
    with pytest.raises(HostError, match=f"127.0.0.1:{server.port} cannot be listened on"):
        HealthServer(("127.0.0.1", server.port), vitals)


# ---------------------------------------------------------------------------------------------------- service manager


@pytest.fixture
def manager_socket(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(10)
        yield listening


def test_the_service_manager_is_told(manager_socket: socket.socket) -> None:
    environment = {"NOTIFY_SOCKET": manager_socket.getsockname(), "WATCHDOG_USEC": "30000000", "LEFT": "1"}
    manager = ServiceManager(environment)
    assert environment == {"LEFT": "1"}  # a silo's training is no part of the service
    assert manager.watchdog_s == 15.0
    for tell in (manager.ready, manager.moves, lambda: manager.status("two\nlines"), manager.stopping):
        tell()
    told = [manager_socket.recv(1000) for _ in range(4)]
    assert told == [b"READY=1", b"WATCHDOG=1", b"STATUS=two lines", b"STOPPING=1"]


def test_a_socket_without_a_name_in_the_file_system() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0quatrefoil-test-notify")
        ServiceManager({"NOTIFY_SOCKET": "@quatrefoil-test-notify"}).ready()
        assert listening.recv(100) == b"READY=1"


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WATCHDOG_USEC": "30000000"},
        {"NOTIFY_SOCKET": "/nowhere/at/all", "WATCHDOG_USEC": "soon"},
        {"NOTIFY_SOCKET": "/nowhere/at/all", "WATCHDOG_USEC": "0"},
        {"NOTIFY_SOCKET": "/nowhere/at/all", "WATCHDOG_USEC": "9000000", "WATCHDOG_PID": "1"},
    ],
)
def test_without_a_manager_nothing_is_told_and_nothing_fails(environment: dict[str, str]) -> None:
    manager = ServiceManager(environment)
    assert manager.watchdog_s is None
    manager.ready()
    manager.status("x")


def test_an_error_that_ends_a_service_is_one_that_its_host_is_at_fault_for() -> None:
    assert issubclass(StateTaken, HostError)
