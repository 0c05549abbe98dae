"""Keys, lists and roots are exchanged under a running service, and no request fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from listening import dial, listening

from quatrefoil.errors import ChannelRefused, QuatrefoilError
from quatrefoil.transport import Dialer, FolderCredentials, files, system_clock
from support import Consortium

CLIENTS, TURNS = 3, 4
HURRY = 20
"""How much faster than the clock on the wall credentials believe time to pass: they look at files 20 times a second."""


class Places:
    """Folders of a hub and of a silo, and what both believe; credentials that follow them."""

    def __init__(self, folder: Path) -> None:
        self.people = Consortium(folder / "ca")
        self.problems: list[QuatrefoilError] = []
        self.trust = folder / "trust"
        self.trust.mkdir()
        self.publish()
        self.folders = {"aggregator": folder / "hub", "silo": folder / "north"}
        for role, place in self.folders.items():
            self.people.authority.issue(place.name, role, directory=place)

    def follow(self, role: str) -> FolderCredentials:
        return FolderCredentials(
            self.folders[role],
            self.trust,
            clock=system_clock,
            on_problem=self.problems.append,
            now=lambda: HURRY * time.monotonic(),
        )

    def dialer(self, port: int) -> Dialer:
        """The silo's, which resumes what it may."""
        return Dialer(
            "127.0.0.1",
            port,
            credentials=self.follow("silo"),
            expect_role="aggregator",
            timeout=10.0,
            clock=system_clock,
        )

    def publish(self) -> None:
        for file, content in self.people.authority.public_files().items():
            files.replace(self.trust / file, content)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


class Load:
    """Clients that connect, ask once and leave, again and again; ``shown``: certificates of the server, as they saw."""

    def __init__(self, places: Places, port: int) -> None:
        self.requests = self.resumed = 0
        self.failures: list[BaseException] = []
        self.shown: list[bytes] = []
        self._places, self._port = places, port
        self._stop = threading.Event()
        self._count = threading.Lock()
        self._threads = [threading.Thread(target=self._run) for _ in range(CLIENTS)]

    def _run(self) -> None:
        dialer = self._places.dialer(self._port)
        while not self._stop.is_set():
            try:
                with dialer.connect() as channel:
                    channel.send(b"request")
                    assert channel.receive(100) == b"request"
                with self._count:
                    self.requests += 1
                    self.resumed += channel.resumed
                    self.shown.append(channel.peer.fingerprint)
            except BaseException as error:
                self.failures.append(error)

    def until(self, met: Callable[[], bool]) -> None:
        end = time.monotonic() + 60
        while not met() and not self.failures:
            assert time.monotonic() < end
            time.sleep(0.01)

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)


@pytest.fixture
def server(places: Places) -> Iterator[tuple[Places, int, Callable[[], bool]]]:
    with listening(places.people, credentials=places.follow("aggregator")) as state:
        yield places, state.port, state.refused_none


def test_rotation_under_load_drops_no_request(server):
    """Both ends' keys and the list are exchanged while three clients connect and one long channel stays."""
    places, port, refused_none = server
    standing = places.follow("silo").current()
    with (
        dial(places.people, port, identity=standing.identity, trust=standing.trust) as long,
        Load(places, port) as load,
    ):
        began_with = long.peer.fingerprint
        for turn in range(TURNS):
            renewed = places.people.authority.renew(places.folders["aggregator"])
            places.people.authority.renew(places.folders["silo"])
            places.people.authority.publish()
            places.publish()
            load.until(lambda wanted=renewed.fingerprint: load.shown[-1:] == [wanted])
            long.send(b"turn %d" % turn)
            assert long.receive(100) == b"turn %d" % turn
        assert long.peer.fingerprint == began_with  # it goes on as it was made
    assert load.failures == [] and places.problems == [] and refused_none()
    assert load.requests >= TURNS and load.resumed  # and nothing is resumed into another certificate: see below
    assert len(set(load.shown)) >= TURNS
    changes = [one != other for one, other in zip(load.shown, load.shown[1:], strict=False)]
    assert changes.count(True) >= TURNS - 1


def test_a_new_channel_shows_the_new_key_and_the_old_key_is_no_longer_used(server):
    places, port, _ = server
    for _ in range(2):
        renewed = places.people.authority.renew(places.folders["aggregator"])
        time.sleep(2 / HURRY)
        silo = places.follow("silo").current()
        with dial(places.people, port, identity=silo.identity, trust=silo.trust) as channel:
            assert channel.peer.fingerprint == renewed.fingerprint


def test_a_list_that_arrives_while_the_server_runs_shuts_the_thief_out(server):
    places, port, _ = server
    stolen = places.follow("silo").current()
    with dial(places.people, port, identity=stolen.identity, trust=stolen.trust) as before:
        places.people.authority.revoke(stolen.identity.certificate, reason="key-compromise")
        places.people.authority.publish()
        places.publish()
        places.people.authority.renew(places.folders["silo"])
        time.sleep(2 / HURRY)
        with pytest.raises(ChannelRefused, match="refused our certificate"):
            dial(places.people, port, identity=stolen.identity, trust=stolen.trust)
        own = places.follow("silo").current()
        with dial(places.people, port, identity=own.identity, trust=own.trust):
            pass
        # The limit: a channel is judged when it is made. What the thief has open ends with the channel.
        before.send(b"x")
        assert before.receive(10) == b"x"


def test_a_session_made_before_a_revocation_is_not_resumed_after_it(server):
    places, port, _ = server
    thief = places.dialer(port)
    for expected in (False, True):
        with thief.connect() as channel:
            assert channel.resumed is expected
    places.people.authority.revoke(places.follow("silo").current().identity.certificate, reason="key-compromise")
    places.people.authority.publish()
    places.publish()
    time.sleep(2 / HURRY)
    with pytest.raises(ChannelRefused):
        thief.connect()


def test_a_session_made_before_a_renewal_is_not_resumed_into_the_old_certificate(server):
    places, port, _ = server
    dialer = places.dialer(port)
    with dialer.connect() as channel:
        old = channel.peer.fingerprint
    renewed = places.people.authority.renew(places.folders["aggregator"])
    time.sleep(2 / HURRY)
    with dialer.connect() as channel:
        assert not channel.resumed and channel.peer.fingerprint == renewed.fingerprint != old


def test_the_limit_without_rotation_a_renewed_key_is_shown_only_after_a_restart(places):
    """What the credentials are for: a service that was given an identity keeps it."""
    with listening(places.people, identity=places.follow("aggregator").current().identity) as state:
        renewed = places.people.authority.renew(places.folders["aggregator"])
        silo = places.follow("silo").current()
        with dial(places.people, state.port, identity=silo.identity, trust=silo.trust) as channel:
            assert channel.peer.fingerprint != renewed.fingerprint
