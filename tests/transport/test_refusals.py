"""Peers that no channel is made with: classical ones, and those whose certificate does not fit. In both directions."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import forgery
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from listening import dial, dial_async, listening
from OpenSSL import SSL, crypto

from quatrefoil.errors import ChannelRefused, HostError, PeerUnreachable
from quatrefoil.transport import HYBRID_1024, CertificateAuthority, Identity, tls_refusal
from quatrefoil.transport.policies import CIPHER_SUITES
from support import Consortium, days_from_now

HYBRID = "X25519MLKEM768"


@pytest.fixture(scope="module")
def web_server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of a classical server, in one PEM file."""
    key, certificate = forgery.classical()
    file = tmp_path_factory.mktemp("classical") / "both.pem"
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(pem + certificate.public_bytes(Encoding.PEM))
    return file


@contextmanager
def answering(serve_one: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server on a port of its own that gives each of two connections to ``serve_one``."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def thread() -> None:
            for _ in range(2):
                connection, _address = listener.accept()
                with connection, contextlib.suppress(OSError, SSL.Error):
                    connection.settimeout(10)
                    serve_one(connection)

        worker = threading.Thread(target=thread)
        worker.start()
        yield listener.getsockname()[1]
        worker.join(10)
        assert not worker.is_alive()


def refusals_of(consortium: Consortium, port: int, **changes: Any) -> list[ChannelRefused]:
    """What the blocking and the asyncio client say about the server at ``port``."""
    with pytest.raises(ChannelRefused) as blocking:
        dial(consortium, port, **changes)
    with pytest.raises(ChannelRefused) as under_asyncio:
        asyncio.run(dial_async(consortium, port, **changes))
    return [blocking.value, under_asyncio.value]


# -------------------------------------------------------------------------- classical peers, standard library


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2])
def test_a_classical_client_of_the_standard_library_is_refused(consortium, version):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = version
    with listening(consortium) as server:
        with pytest.raises(ssl.SSLError), socket.create_connection(("127.0.0.1", server.port)) as stream:
            context.wrap_socket(stream)
        refusal = server.refusal()
        assert isinstance(refusal, ChannelRefused)
        if version is ssl.TLSVersion.TLSv1_3:
            assert "offers no key exchange of policy hybrid-768, none of X25519MLKEM768" in refusal.problem
        else:
            assert "does not speak TLS 1.3" in refusal.problem
        assert "Upgrade" in refusal.hint
        with dial(consortium, server.port) as channel:  # the server goes on
            channel.send(b"hello")
            assert channel.receive(5) == b"hello"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2])
def test_a_classical_server_of_the_standard_library_is_refused(consortium, web_server, version):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = version
    context.load_cert_chain(web_server)

    def serve_one(connection: socket.socket) -> None:
        context.wrap_socket(connection, server_side=True)

    with answering(serve_one) as port:
        for refusal in refusals_of(consortium, port):
            assert f"127.0.0.1:{port}" in refusal.problem
            if version is ssl.TLSVersion.TLSv1_3:
                assert "takes no key exchange or no certificate of policy hybrid-768" in refusal.problem
            else:
                assert "does not speak TLS 1.3" in refusal.problem


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x00" * 64])
def test_a_client_that_does_not_speak_tls_is_refused(consortium, said):
    with listening(consortium) as server, socket.create_connection(("127.0.0.1", server.port)) as stream:
        stream.sendall(said)
        assert "does not speak TLS 1.3" in server.refusal().problem


def test_a_server_that_does_not_speak_tls_is_refused(consortium):
    with answering(lambda connection: connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")) as port:
        for refusal in refusals_of(consortium, port):
            assert "does not speak TLS 1.3" in refusal.problem


def test_a_client_that_hangs_up_is_reported(consortium):
    with listening(consortium) as server:
        socket.create_connection(("127.0.0.1", server.port)).close()
        assert isinstance(server.refusal(), PeerUnreachable)


# ----------------------------------------------------------- one classical half each, with a library that knows both


def openssl(groups: str, signatures: str, key: Any, certificate: x509.Certificate | None) -> SSL.Context:
    """A context that checks nothing and offers exactly this."""
    context = SSL.Context(SSL.TLS_METHOD)
    assert SSL._lib.SSL_CTX_set1_curves_list(context._context, groups.encode()) == 1
    assert SSL._lib.SSL_CTX_set1_sigalgs_list(context._context, signatures.encode()) == 1
    context.set_verify(SSL.VERIFY_NONE)
    if certificate is not None:
        context.use_certificate(certificate)
        der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        loaded = crypto.load_privatekey(crypto.FILETYPE_ASN1, der)
        assert SSL._lib.SSL_CTX_use_PrivateKey(context._context, loaded._pkey) == 1
    context.set_alpn_protos([b"quatrefoil/1"])
    return context


def exchange(context: SSL.Context, stream: socket.socket, *, server: bool) -> None:
    """A handshake, and then one read, in which a client is told what the server thinks of its certificate."""
    stream.settimeout(None)
    connection = SSL.Connection(context, stream)
    (connection.set_accept_state if server else connection.set_connect_state)()
    connection.do_handshake()
    connection.recv(1)


CLIENTS = {
    "classical group": ("X25519", "mldsa65:mldsa87", True, "offers no key exchange of policy hybrid-768"),
    "classical signatures only": (HYBRID, "ecdsa_secp256r1_sha256", True, "offers no certificate of policy hybrid-768"),
    "no certificate": (HYBRID, "mldsa65:mldsa87", False, "presented no ML-DSA certificate"),
}


@pytest.mark.parametrize("kind", CLIENTS)
def test_a_client_with_one_classical_half_is_refused(consortium, kind):
    groups, signatures, has_certificate, expected = CLIENTS[kind]
    silo = consortium.identity("cleveland", "silo")
    context = openssl(groups, signatures, silo.private_key(), silo.certificate if has_certificate else None)
    with listening(consortium) as server:
        with pytest.raises(SSL.Error), socket.create_connection(("127.0.0.1", server.port)) as stream:
            exchange(context, stream, server=False)
        refusal = server.refusal()
        assert isinstance(refusal, ChannelRefused) and expected in refusal.problem


def test_a_client_with_a_classical_certificate_is_refused(consortium):
    key, certificate = forgery.classical()
    context = openssl(HYBRID, "mldsa65:mldsa87:ecdsa_secp256r1_sha256", key, certificate)
    with listening(consortium) as server:
        with pytest.raises(SSL.Error), socket.create_connection(("127.0.0.1", server.port)) as stream:
            exchange(context, stream, server=False)
        refusal = server.refusal()
        assert isinstance(refusal, ChannelRefused) and "no ML-DSA certificate" in refusal.problem


@pytest.mark.parametrize("groups", [HYBRID, "X25519"])
def test_a_server_with_one_classical_half_is_refused(consortium, groups):
    if groups == HYBRID:
        key, certificate = forgery.classical()
        context = openssl(HYBRID, "mldsa65:mldsa87:ecdsa_secp256r1_sha256", key, certificate)
    else:
        hub = consortium.identity("hub", "aggregator")
        context = openssl("X25519", "mldsa65:mldsa87", hub.private_key(), hub.certificate)
    with answering(lambda connection: exchange(context, connection, server=True)) as port:
        for refusal in refusals_of(consortium, port):
            assert "takes no key exchange or no certificate of policy hybrid-768" in refusal.problem


def test_another_protocol_under_the_same_certificates_is_refused(consortium):
    hub = consortium.identity("hub", "aggregator")
    context = openssl(HYBRID, "mldsa65:mldsa87", hub.private_key(), hub.certificate)  # selects no ALPN
    with answering(lambda connection: exchange(context, connection, server=True)) as port:
        for refusal in refusals_of(consortium, port):
            assert "speaks another protocol" in refusal.problem


# ------------------------------------------------------------------------------- if OpenSSL let something through


def test_a_group_outside_the_policy_is_refused_even_if_openssl_took_it(consortium, monkeypatch):
    with listening(consortium) as server:
        strict = property(lambda self: replace(HYBRID_1024, cipher_suites=CIPHER_SUITES))
        monkeypatch.setattr("quatrefoil.transport.tls_context.TlsContext.policy", strict)
        with pytest.raises(ChannelRefused, match="negotiated group X25519MLKEM768, which hybrid-1024 does not allow"):
            dial(consortium, server.port)


def test_a_peer_whose_certificate_was_never_checked_is_refused(consortium, monkeypatch):
    with listening(consortium) as server:
        monkeypatch.setattr("quatrefoil.transport.tls_session.TlsSession._verify", lambda *arguments: True)
        with pytest.raises(ChannelRefused, match="was not verified"):
            dial(consortium, server.port)


# --------------------------------------------------------------------------------------------- certificates


def test_a_server_of_another_role_is_refused(consortium):
    with listening(consortium) as server:
        for refusal in refusals_of(consortium, server.port, expect_role="keeper"):
            assert refusal.problem == "'hub' is certified as aggregator, and this channel is for keeper"
            assert refusal.party == "hub"
            assert "refused our certificate" in server.refusal().problem


def test_a_client_of_another_role_is_refused_and_told(consortium):
    keeper = consortium.identity("keeper", "keeper")
    with listening(consortium, allow_roles=["silo", "auditor"]) as server:
        for refusal in refusals_of(consortium, server.port, identity=keeper):
            assert "refused our certificate, its name or its role" in refusal.problem
            assert (
                server.refusal().problem == "'keeper' is certified as keeper, and this channel is for auditor or silo"
            )
    assert server.peers == []  # the handler never ran


@pytest.mark.parametrize("name", ["hub.example.org", "127.0.0.2", "::1"])
def test_a_server_of_another_name_is_refused(consortium, name):
    with listening(consortium) as server:
        for refusal in refusals_of(consortium, server.port, server_name=name):
            assert refusal.problem == f"certificate of 'hub' is for localhost, 127.0.0.1, not for {name}"


def test_a_server_is_found_under_each_name_in_its_certificate(consortium, tmp_path):
    hub = consortium.authority.issue("hub", "aggregator", hosts=["hub.example.org", "::1"], directory=tmp_path / "hub")
    with listening(consortium, identity=hub) as server:
        for name in ("hub.example.org", "HUB.example.org", "::1"):
            with dial(consortium, server.port, server_name=name) as channel:
                assert channel.peer.name == "hub"
        refusals_of(consortium, server.port)  # 127.0.0.1 is not among them


def test_another_root_is_refused_on_both_sides(consortium, stranger):
    with listening(consortium) as server:
        for refusal in refusals_of(consortium, server.port, trust=stranger.trust):
            assert "signed by no trusted root (issuer: CN=test-root" in refusal.problem
            assert "does not trust the root of our certificate" in server.refusal().problem
        for refusal in refusals_of(consortium, server.port, identity=stranger.identity("cleveland", "silo")):
            assert "does not trust the root of our certificate" in refusal.problem
            assert "signed by no trusted root (issuer: CN=other-root" in server.refusal().problem


def test_a_self_signed_certificate_is_refused(consortium):
    key = consortium.identity("cleveland", "silo").private_key()
    _, certificate = forgery.issue(replace(forgery.GOOD, key=key), key, x509.Name([]))
    with listening(consortium) as server:
        refusals_of(consortium, server.port, identity=Identity(key, certificate))
        assert "signed by no trusted root" in server.refusal().problem


@pytest.mark.parametrize(("days", "expected"), [(200, "expired at"), (-1, "is valid only from")])
def test_validity_is_judged_by_the_injected_clock_on_both_sides(consortium, days, expected):
    with listening(consortium) as server:
        for refusal in refusals_of(consortium, server.port, clock=days_from_now(days)):
            assert refusal.problem.startswith(f"certificate of 'hub' {expected}")
    with listening(consortium, clock=days_from_now(days)) as server:
        refusals_of(consortium, server.port)
        assert server.refusal().problem.startswith(f"certificate of 'cleveland' {expected}")


WITH_IDENTITY = [
    name
    for name in forgery.DEFECTS
    if name
    not in {"classical key", "weaker key", "no role", "unknown role", "two roles", "no name", "two names", "odd name"}
]


@pytest.mark.parametrize("defect", WITH_IDENTITY)
def test_a_client_certificate_outside_the_profile_is_refused(consortium, defect):
    recipe, _ = forgery.DEFECTS[defect]
    with listening(consortium) as server:
        refusals_of(consortium, server.port, identity=Identity(*forgery.forge(recipe, consortium)))
        for _ in range(2):
            assert isinstance(server.refusal(), ChannelRefused)
    assert server.peers == []


@pytest.mark.parametrize(
    ("defect", "expected"),
    [
        ("not for clients", "is not for this use: its key usage or extended key usage is another"),
        ("unknown critical extension", "holds a critical extension that is not of the profile"),
        ("is an authority", "basicConstraints"),
    ],
)
def test_what_openssl_finds_wrong_is_not_put_down_to_the_root(consortium, defect, expected):
    with listening(consortium) as server:
        with contextlib.suppress(ChannelRefused):
            dial(consortium, server.port, identity=Identity(*forgery.forge(forgery.DEFECTS[defect][0], consortium)))
        assert expected in server.refusal().problem


def test_what_openssl_finds_wrong_and_has_no_words_for_keeps_its_number(consortium):
    refusal = tls_refusal.untrusted("a client", consortium.identity("cleveland", "silo").certificate, 66)
    assert refusal.problem == "certificate CN=cleveland of a client is not of the profile (verify error 66)"


@pytest.mark.parametrize("defect", WITH_IDENTITY)
def test_a_server_certificate_outside_the_profile_is_refused(consortium, defect):
    recipe, _ = forgery.DEFECTS[defect]
    with listening(consortium, identity=Identity(*forgery.forge(recipe, consortium))) as server:
        refusals_of(consortium, server.port, expect_role="silo")


def test_a_certificate_of_the_root_itself_is_no_identity(tmp_path):
    authority = CertificateAuthority.create(tmp_path / "ca", "root", clock=days_from_now(0))
    with pytest.raises(HostError, match="names no party"):
        Identity(authority._key, authority.root)
