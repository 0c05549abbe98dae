"""A server for each test, and a client that trusts it and waits for nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from vendors import Server

import attesting
import dcap_quotes
import gpu_reports
from quatrefoil.endorsements.fetching import Services, Trusted
from quatrefoil.endorsements.web import Limits, Web


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    yield made
    made.close()


@pytest.fixture
def waits() -> list[float]:
    """What the client would have waited."""
    return []


@pytest.fixture
def web(server: Server, waits: list[float]) -> Web:
    return Web(
        authorities=server.authorities, limits=Limits(body=1 << 16, seconds=5.0), sleep=waits.append, jitter=lambda: 0.0
    )


@pytest.fixture
def services(server: Server) -> Services:
    return Services(pcs=server.url, root_list=f"{server.url}/root.der", kds=server.url, rim=server.url)


@pytest.fixture
def trusted() -> Trusted:
    return Trusted(dcap_quotes.root(), attesting.roots(), gpu_reports.roots().manifests)
