"""HTTPS with every way in which a server may fail: each is one typed error, in bounded time and memory."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from vendors import Reply, Server

from quatrefoil.endorsements.web import Limits, Web, require_https
from quatrefoil.errors import (
    CallerError,
    ChannelRefused,
    EvidenceRejected,
    HostError,
    MessageRefused,
    PeerUnreachable,
)


def get(web: Web, server: Server, path: str = "/x") -> bytes:
    return web.get(server.url + path, unknown="there is no x").body


def test_an_answer_has_its_body_and_headers(server: Server, web: Web) -> None:
    server.routes["/x?a=1"] = Reply(b"body", {"SGX-Header": "value"})
    found = web.get(f"{server.url}/x?a=1", unknown="")
    assert (found.body, found.headers["sgx-header"], found.url) == (b"body", "value", f"{server.url}/x?a=1")


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again_later(server: Server, web: Web, waits: list[float], status: int) -> None:
    server.routes["/x"] = [Reply(status=status), Reply(status=status), Reply(b"good")]
    assert get(web, server) == b"good"
    assert waits == [5.0, 10.0]


def test_a_server_may_ask_for_a_longer_wait_but_not_for_any(server: Server, web: Web, waits: list[float]) -> None:
    asked = [Reply(status=429, headers={"Retry-After": value}) for value in ("17", "99999", "tomorrow", "1")]
    server.routes["/x"] = [*asked, Reply(b"good")]
    assert get(web, server) == b"good"
    assert waits == [17.0, 60.0, 20.0, 40.0]


def test_it_gives_up(server: Server, web: Web, waits: list[float]) -> None:
    server.routes["/x"] = Reply(status=429)
    with pytest.raises(PeerUnreachable, match=r"localhost answered 429 Too Many Requests, 5 times\. Try again later"):
        get(web, server)
    assert len(server.asked) == 5 and waits == [5.0, 10.0, 20.0, 40.0]


def test_waits_differ(server: Server) -> None:
    waits: list[float] = []
    web = Web(authorities=server.authorities, sleep=waits.append)
    server.routes["/x"] = [Reply(status=503)] * 4 + [Reply(b"good")]
    get(web, server)
    assert all(wait <= found <= 1.25 * wait for wait, found in zip((5, 10, 20, 40), waits, strict=True))


@pytest.mark.parametrize("status", [400, 404, 410])
def test_what_the_server_does_not_know_is_said_in_words(server: Server, web: Web, status: int) -> None:
    server.routes["/x"] = Reply(status=status)
    with pytest.raises(EvidenceRejected, match=f"there is no x: localhost answered {status}"):
        get(web, server)
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [401, 403, 418, 304, 501])
def test_other_answers_are_refused(server: Server, web: Web, status: int) -> None:
    server.routes["/x"] = Reply(status=status)
    with pytest.raises(MessageRefused, match=f"localhost answered {status}"):
        get(web, server)
    assert len(server.asked) == 1


def test_a_body_over_the_limit_is_refused(server: Server, web: Web) -> None:
    server.routes["/x"] = Reply(bytes(1 << 16))
    assert len(get(web, server)) == 1 << 16
    server.routes["/x"] = Reply(bytes((1 << 16) + 1))
    with pytest.raises(MessageRefused, match="more than 65536 bytes"):
        get(web, server)


@pytest.mark.parametrize("reply", [Reply(b"half", length=8), Reply(b"half", chunked=True)])
def test_a_body_cut_short_is_no_body(server: Server, web: Web, reply: Reply) -> None:
    server.routes["/x"] = [reply, Reply(b"whole")]
    assert get(web, server) == b"whole"
    server.routes["/x"] = reply
    with pytest.raises(PeerUnreachable, match="ended its answer early"):
        get(web, server)


def test_a_server_that_drips_does_not_hold_the_client(server: Server) -> None:
    """A byte now and then resets the timeout of a socket, and not that of the exchange."""
    web = Web(authorities=server.authorities, limits=Limits(seconds=0.4, attempts=1), sleep=lambda _: None)
    server.routes["/x"] = Reply(bytes(1000), drip=0.05)
    with pytest.raises(PeerUnreachable, match=r"did not answer within 0\.4 s"):
        get(web, server)


def test_a_server_that_says_nothing_does_not_either(tmp_path: Path) -> None:
    web = Web(limits=Limits(seconds=0.3, attempts=1), sleep=lambda _: None)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(PeerUnreachable, match="did not answer"):
        web.get(f"https://127.0.0.1:{silent.getsockname()[1]}/", unknown="")


def test_nobody_there(web: Web) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(PeerUnreachable, match=r"127\.0\.0\.1 cannot be reached \(.*refused\), 5 times"):
        web.get(f"https://127.0.0.1:{port}/", unknown="")


def test_a_name_that_is_none_is_not_asked_for_again(
    web: Web, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(PeerUnreachable, match=r"kds\.example is no name that can be found from here.*https_proxy"):
        web.get("https://kds.example/", unknown="")
    assert waits == []


@pytest.mark.parametrize("said", [b"", b"HTTP/9 what\r\n\r\n", b"\x00" * 100])
def test_what_speaks_no_tls(said: bytes) -> None:
    web = Web(limits=Limits(seconds=2, attempts=1), sleep=lambda _: None)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def speak() -> None:
            peer, _ = listening.accept()
            with peer:
                peer.sendall(said)

        threading.Thread(target=speak, daemon=True).start()
        with pytest.raises(PeerUnreachable):
            web.get(f"https://127.0.0.1:{listening.getsockname()[1]}/", unknown="")


# ---------------------------------------------------------------------------------------------------------------- TLS


def test_a_server_that_nobody_certified_is_refused_at_once(server: Server, waits: list[float]) -> None:
    web = Web(sleep=waits.append)
    with pytest.raises(ChannelRefused, match=r"the certificate of localhost does not hold.*--authorities"):
        get(web, server)
    assert waits == [] and server.asked == []


def test_a_certificate_for_another_name_is_refused(server: Server, web: Web) -> None:
    with pytest.raises(ChannelRefused, match=r"127\.0\.0\.1 does not hold"):
        web.get(f"https://127.0.0.1:{server.port}/x", unknown="")


def test_authorities_that_are_none_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    for file in (tmp_path / "empty.pem", tmp_path / "nowhere.pem"):
        with pytest.raises(HostError, match=f"{file.name} holds no certificates"):
            Web(authorities=file)


# --------------------------------------------------------------------------------------------------- redirects, proxies


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(server: Server, web: Web, status: int) -> None:
    server.routes["/x"] = Reply(status=status, headers={"Location": "/y"})
    server.routes["/y"] = Reply(status=status, headers={"Location": f"{server.url}/z"})
    server.routes["/z"] = Reply(b"there")
    assert get(web, server) == b"there"


def test_a_redirect_without_end_ends(server: Server, web: Web) -> None:
    server.routes["/x"] = Reply(status=302, headers={"Location": "/x"})
    with pytest.raises(MessageRefused, match="redirects more than 3 times"):
        get(web, server)
    assert len(server.asked) == 4


@pytest.mark.parametrize(
    "target",
    ["http://localhost/x", "file:///etc/passwd", "ftp://localhost/", "https://a:b@localhost/", ""],
)
def test_no_redirect_leads_out_of_https(server: Server, web: Web, target: str) -> None:
    server.routes["/x"] = Reply(status=302, headers={"Location": target} if target else {})
    with pytest.raises(MessageRefused, match=r"redirects: a redirect|answered 302"):
        get(web, server)


@pytest.mark.parametrize(
    "url",
    [
        "http://a/",
        "file:///etc/passwd",
        "https://",
        "a",
        "",
        "https://a:x/",
        "https://u@a/",
        "https://a/ b",
        "https://a/\n",
    ],
)
def test_other_addresses_are_refused(url: str, web: Web) -> None:
    with pytest.raises(CallerError, match="not of the form https"):
        web.get(url, unknown="")
    with pytest.raises(CallerError):
        require_https(url, "--pccs")


def test_the_proxy_of_the_environment_is_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy is asked for a tunnel, and TLS ends behind it, at the server."""
    server.routes["/x"] = Reply(b"through")
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def proxy() -> None:
            client, _ = listening.accept()
            with client, socket.create_connection(("127.0.0.1", server.port)) as onward:
                heard.append(client.recv(4096))
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = threading.Thread(target=_pump, args=(onward, client), daemon=True)
                back.start()
                _pump(client, onward)
                back.join()

        between = threading.Thread(target=proxy, daemon=True)
        between.start()
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{listening.getsockname()[1]}")
        web = Web(authorities=server.authorities, limits=Limits(seconds=5, attempts=1))
        assert get(web, server) == b"through"
        between.join()
        monkeypatch.setenv("no_proxy", "localhost")
        direct = Web(authorities=server.authorities, limits=Limits(seconds=5, attempts=1))
        assert get(direct, server) == b"through"
    assert len(heard) == 1 and heard[0].startswith(f"CONNECT localhost:{server.port} ".encode())


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):  # either end may have gone
        while data := source.recv(4096):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
