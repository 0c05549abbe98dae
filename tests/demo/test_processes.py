"""Parties of a job as processes: a failure is told at once in the failing party's own words, and ports are kept."""

import socket
import sys
import time

import pytest

from quatrefoil.demo.processes import HOST, Processes, free_port
from quatrefoil.errors import HostError

LONG = 60.0


class Scripts(Processes):
    """Runs Python snippets in place of parties."""

    def run(self, name: str, code: str) -> None:
        self._spawn(name, [sys.executable, "-c", code])


@pytest.fixture
def parties(tmp_path):
    with Scripts(tmp_path, policy=tmp_path, workload=tmp_path, silos={}) as scripts:
        yield scripts


def sleeping(seconds: float = LONG) -> str:
    return f"import time; time.sleep({seconds})"


def failing(text: str, after: float = 0.0) -> str:
    return f"import time, sys; time.sleep({after}); print('before'); print({text!r}); sys.exit(1)"


def test_the_failure_of_another_party_ends_the_wait_with_its_own_words(parties):
    parties.run("aggregator", sleeping())
    parties.run("silo", failing("quatrefoil: the data cannot be read. Give another file"))
    begin = time.monotonic()
    with pytest.raises(HostError, match=r"^silo failed: the data cannot be read\. Give another file") as told:
        parties.wait("aggregator", LONG)
    assert time.monotonic() - begin < LONG / 2
    assert "before" not in str(told.value)
    assert "aggregator" in parties.running and "silo" not in parties.running


def test_of_two_failures_the_awaited_party_is_told_first(parties):
    parties.run("silo", failing("cannot connect"))
    parties.run("aggregator", failing("no port"))
    for name in ("silo", "aggregator"):
        parties.running[name].wait()
    with pytest.raises(HostError, match=r"^aggregator failed: no port; silo failed: cannot connect"):
        parties.wait("aggregator", LONG)


def test_a_party_that_ends_well_is_not_blamed_for_another(parties):
    parties.run("silo", failing("lost"))
    parties.run("aggregator", "print('done')")
    for name in ("silo", "aggregator"):
        parties.running[name].wait()
    parties.wait("aggregator", LONG)
    with pytest.raises(HostError, match="silo failed: lost"):
        parties.wait("silo", LONG)


def test_one_that_ends_well_does_not_end_the_wait_for_another(parties):
    parties.run("silo", "pass")
    parties.run("aggregator", sleeping(0.3))
    parties.wait("aggregator", LONG)
    parties.wait("silo", LONG)
    assert parties.running == {}


def test_silence_ends_with_a_reason(parties):
    parties.run("aggregator", sleeping())
    with pytest.raises(HostError, match=r"aggregator did not end within 0\.1 s: it printed nothing"):
        parties.wait("aggregator", 0.1)


def test_a_port_is_kept_for_a_server_and_from_everybody_else():
    port = free_port()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind((HOST, port))
    with socket.create_server((HOST, port)) as server:  # with SO_REUSEADDR, as asyncio listens
        assert server.getsockname()[1] == port
    assert len({free_port() for _ in range(50)} | {port}) == 51
