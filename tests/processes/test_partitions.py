"""Aggregator, keeper and silos on hosts of their own, in a network that is cut in the middle of a round and heals.

The parties notice nothing but silence: no connection is reset. Then it is as if messages had been slow.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from test_job import STEP, wait_for_entry
from toy_job import ROUNDS, SILOS, ToyJob, mean

import namespaces
from logs import entries_of
from namespaces import Network
from quatrefoil.transport import CertificateAuthority, system_clock

if reason := namespaces.why_not():
    pytest.skip(reason, allow_module_level=True)

SOON = 240.0
"""Seconds that are never waited in full: a silent channel is given up after a minute."""

HOSTS = ("keeper", "aggregator", *SILOS)


@pytest.fixture
def network() -> Iterator[Network]:
    with namespaces.network(HOSTS) as made:
        yield made


class Spread:
    """The toy job with a host for each party."""

    def __init__(self, job: ToyJob, network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
        self.job = job
        self.network = network
        spawn = job._spawn

        def spawn_there(name: str, command: Sequence[str]) -> None:
            spawn(name, network.on(name, [self._placed(part) for part in command]))

        monkeypatch.setattr(job, "_spawn", spawn_there)
        authority = CertificateAuthority.load(job.folder / "ca", clock=system_clock)
        for name in ("keeper", "aggregator"):  # certified for the addresses that they have here
            shutil.rmtree(job.folder / "identities" / name)
            hosts = [network.address(name)]
            authority.issue(name, name, hosts=hosts, directory=job.folder / "identities" / name)
        self._where = {
            f"127.0.0.1:{job.keeper_port}": f"{network.address('keeper')}:{job.keeper_port}",
            f"127.0.0.1:{job.aggregator_port}": f"{network.address('aggregator')}:{job.aggregator_port}",
        }

    def _placed(self, part: str) -> str:
        return self._where.get(part, part)

    def start(self) -> None:
        self.job.start_keeper()
        self.job.aggregator("--deadline", "600")
        for name in SILOS:
            self.job.silo(name)

    def finish(self) -> None:
        for name in ("aggregator", *SILOS):
            self.job.wait(name, SOON)
        for name in ("model", *SILOS):
            for array, first in zip(self.job.model(name), self.job.model(), strict=True):
                assert np.array_equal(array, first)
                assert np.allclose(array, ROUNDS * mean(), atol=STEP)
        rounds = self.job.result("aggregator")["rounds"]
        assert [one["contributors"] for one in rounds] == [sorted(SILOS)] * ROUNDS

    def releases(self) -> list[int]:
        return [one.body["round"] for one in entries_of(self.job.log("keeper")) if one.kind == "key-release"]


def test_hosts_reach_each_other_and_a_cut_is_silence(network: Network) -> None:
    """What the others rely on: without a line nothing arrives, and nobody is told so."""
    import subprocess

    def reached() -> bool:
        code = f"import socket; socket.create_connection(('{network.address('keeper')}', 7), 1)"
        done = subprocess.run(network.on("aggregator", ["python3", "-c", code]), capture_output=True, text=True)
        return "ConnectionRefusedError" in done.stderr  # by the host itself, which is there

    assert reached()
    network.cut("keeper")
    assert not reached()
    network.heal("keeper")
    assert reached()


@pytest.mark.parametrize(
    "away", [("keeper",), pytest.param(("bari", "cusco"), marks=pytest.mark.slow)], ids=["the keeper", "two silos"]
)
def test_a_partition_in_the_middle_of_a_round_heals(
    job: ToyJob, network: Network, monkeypatch: pytest.MonkeyPatch, away: tuple[str, ...]
) -> None:
    spread = Spread(job, network, monkeypatch)
    job.hold()
    spread.start()
    for name in SILOS:
        job.wait_for(name, "started", SOON)
    wait_for_entry(job, "aggregator", "round-opened", SOON)
    network.cut(*away)
    job.go_on()
    # Beyond the patience of channels on either side: connections are given up, and tried again.
    waiting = "aggregator" if "keeper" in away else away[0]
    job.wait_for(waiting, "does not answer", SOON)
    network.heal(*away)
    spread.finish()
    assert spread.releases() == list(range(1, ROUNDS + 1))


@pytest.mark.slow
def test_the_aggregator_alone_on_its_side_goes_on_where_it_was(
    job: ToyJob, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody is away from it at once: it is its link that is cut."""
    spread = Spread(job, network, monkeypatch)
    job.hold()
    spread.start()
    wait_for_entry(job, "aggregator", "round-opened", SOON)
    network.cut("aggregator")
    job.go_on()
    for name in SILOS:
        job.wait_for(name, "does not answer", SOON)
    network.heal("aggregator")
    spread.finish()
    assert spread.releases() == list(range(1, ROUNDS + 1))
