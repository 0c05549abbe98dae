"""The bench of channels gives every figure that others read, and measures what it says; never how fast."""

from __future__ import annotations

import re
import ssl
from pathlib import Path

import pytest

from quatrefoil.bench import transport
from quatrefoil.bench.transport import POLICIES, SHAPES, measure_transport
from quatrefoil.bench.transport_far import classical_context, far_end, serve_channels, serve_classically
from quatrefoil.bench.transport_near import Channels, Classical, write_identities
from quatrefoil.errors import ParametersRefused
from quatrefoil.transport import policy_named


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
    sizes = {(row["shape"], row["stack"]): row["handshake_bytes"] for row in rows[: 2 * (1 + len(POLICIES))]}
    full, resumed = SHAPES[0].name, SHAPES[1].name
    for stack in ("classical", *POLICIES):
        assert sizes[resumed, stack] < sizes[full, stack]
    assert sizes[full, "classical"] < sizes[full, "hybrid-768"] < sizes[full, "hybrid-1024"]


def test_the_classical_stack_is_what_it_says(folder) -> None:
    with far_end(serve_classically, folder) as far:
        near = Classical(folder, far.port)
        with near.connect() as link:
            assert link.ask(b"hello") == b"hello" and link.ask(bytes(5000)) == b"!"
            secured = link._secured
            assert secured.cipher()[:2] == ("TLS_AES_256_GCM_SHA384", "TLSv1.3")
            assert not secured.session_reused
        with near.connect(resume=True) as link:
            assert link.ask(b"") == b"" and link._secured.session_reused
        assert far.cpu() > 0
        nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        nobody.load_verify_locations(folder / "classical-root.pem")
        near._context = nobody
        with pytest.raises((OSError, ConnectionError)), near.connect() as link:  # both ends are certified
            link.ask(b"hello")
    assert classical_context(folder, server=True).verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize("policy", POLICIES)
def test_our_stack_is_what_it_says(folder, policy) -> None:
    with far_end(serve_channels, folder, policy) as far:
        near = Channels(folder, far.port, policy_named(policy))
        for resume, expected in ((False, False), (True, False), (True, True)):
            with near.connect(resume=resume) as link:
                assert link.ask(b"hello") == b"hello" and link.ask(bytes(5000)) == b"!"
                assert link._channel.resumed == expected
                assert link._channel.group == policy_named(policy).groups[0]


def test_shapes_say_what_they_are() -> None:
    text = " ".join(shape.name for shape in SHAPES)
    assert f"{transport.REQUESTS} requests of {transport.REQUEST // 1000} kB" in text
    assert f"{transport.CONNECTIONS} requests of {transport.REQUEST // 1000} kB, a connection each" in text
    assert f"upload of {transport.UPLOAD // 10**6} MB" in text
    assert f"stream of {transport.MESSAGES * transport.UPLOAD // 10**6} MB" in text
    assert all(re.fullmatch(r"[\w ,]+", shape.name) for shape in SHAPES)


def test_nothing_cannot_be_measured() -> None:
    with pytest.raises(ParametersRefused, match="0 repetitions"):
        measure_transport(0, print)
