"""A policy is a minimum: peers that offer less, ask for less or strip what was offered are refused, on both sides."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest
from listening import dial, listening
from OpenSSL import SSL
from test_refusals import answering, exchange, openssl, refusals_of

from quatrefoil.errors import CallerError, ChannelRefused, HostError, ParametersRefused, PeerUnreachable
from quatrefoil.transport import CNSA_2_0, HYBRID_768, HYBRID_1024, ChannelPolicy, policy_named
from quatrefoil.transport.policies import CIPHER_SUITES, POLICIES

WEAKER = {
    HYBRID_768: ["X25519", "P-256", "MLKEM768", "MLKEM1024"],
    HYBRID_1024: ["X25519", "X25519MLKEM768", "SecP256r1MLKEM768", "MLKEM1024"],
}
"""Policy -> groups that it does not allow, some of them strong."""

PAIRS = [(policy, group) for policy, groups in WEAKER.items() for group in groups]


def ids(one: object) -> str:
    return getattr(one, "name", str(one))


@pytest.mark.parametrize("policy", [HYBRID_768, HYBRID_1024], ids=ids)
def test_two_parties_of_one_policy_get_its_first_group(consortium, policy):
    with listening(consortium, policy=policy) as server, dial(consortium, server.port, policy=policy) as channel:
        assert channel.group == policy.groups[0]
        assert channel._session.cipher[:2] == ("TLS_AES_256_GCM_SHA384", "TLSv1.3")
    assert server.groups == [policy.groups[0]]


@pytest.mark.parametrize(
    ("server", "client"), [(HYBRID_768, HYBRID_1024), (HYBRID_1024, HYBRID_768)], ids=lambda one: one.name
)
def test_the_stronger_of_two_policies_decides(consortium, server, client):
    with listening(consortium, policy=server) as hub, dial(consortium, hub.port, policy=client) as channel:
        assert channel.group == "SecP384r1MLKEM1024"


@pytest.mark.parametrize(("policy", "group"), PAIRS, ids=ids)
def test_a_client_that_offers_only_a_group_outside_the_policy_is_refused(consortium, policy, group):
    silo = consortium.identity("cleveland", "silo")
    context = openssl(group, "mldsa65:mldsa87", silo.private_key(), silo.certificate)
    with listening(consortium, policy=policy) as server:
        with pytest.raises(SSL.Error), socket.create_connection(("127.0.0.1", server.port)) as stream:
            exchange(context, stream, server=False)
        refusal = server.refusal()
        assert isinstance(refusal, ChannelRefused)
        assert f"offers no key exchange of policy {policy.name}" in refusal.problem
    assert server.peers == []


@pytest.mark.parametrize(("policy", "group"), PAIRS, ids=ids)
def test_a_server_that_takes_only_a_group_outside_the_policy_is_refused(consortium, policy, group):
    hub = consortium.identity("hub", "aggregator")
    context = openssl(group, "mldsa65:mldsa87", hub.private_key(), hub.certificate)
    with answering(lambda connection: exchange(context, connection, server=True)) as port:
        for refusal in refusals_of(consortium, port, policy=policy):
            assert f"of policy {policy.name}" in refusal.problem


def test_a_server_that_prefers_a_weaker_group_gets_the_policys(consortium):
    """The peer offers both; what it prefers does not matter where it is not offered."""
    hub = consortium.identity("hub", "aggregator")
    context = openssl("X25519:P-256:X25519MLKEM768", "mldsa65:mldsa87", hub.private_key(), hub.certificate)
    context.set_alpn_select_callback(lambda _connection, offered: offered[0])

    def welcome(stream: socket.socket) -> None:
        stream.settimeout(None)
        connection = SSL.Connection(context, stream)
        connection.set_accept_state()
        connection.do_handshake()
        connection.sendall(bytes(8))
        assert connection.get_group_name() == "X25519MLKEM768"
        with suppress(SSL.Error):
            connection.recv(1)

    with answering(welcome) as port:
        for _ in range(2):
            dial(consortium, port).close()


def test_a_cipher_suite_outside_the_policy_is_refused(consortium):
    chacha = replace(HYBRID_768, cipher_suites=CIPHER_SUITES[1:])
    with listening(consortium, policy=HYBRID_1024) as server, pytest.raises(ChannelRefused):
        dial(consortium, server.port, policy=replace(chacha, groups=HYBRID_1024.groups))
    with listening(consortium) as server, dial(consortium, server.port, policy=chacha) as channel:
        assert channel._session.cipher[0] == "TLS_CHACHA20_POLY1305_SHA256"


def test_a_cipher_suite_outside_the_policy_is_refused_even_if_openssl_took_it(consortium, monkeypatch):
    with listening(consortium) as server:
        other = property(lambda self: ("TLS_AES_128_GCM_SHA256", "TLSv1.3", 128))
        monkeypatch.setattr("quatrefoil.transport.tls_session.TlsSession.cipher", other)
        with pytest.raises(ChannelRefused, match="negotiated cipher suite TLS_AES_128_GCM_SHA256"):
            dial(consortium, server.port)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("policy", [HYBRID_768, HYBRID_1024], ids=ids)
def test_a_classical_client_is_refused_under_each_policy(consortium, policy, version):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = version
    with listening(consortium, policy=policy) as server:
        with pytest.raises(ssl.SSLError), socket.create_connection(("127.0.0.1", server.port)) as stream:
            context.wrap_socket(stream)
        assert isinstance(server.refusal(), ChannelRefused)


# ---------------------------------------------------------------------------------- an attacker between two parties


@contextmanager
def between(port: int, change: Callable[[bytes, bool], bytes]) -> Iterator[int]:
    """A relay to ``port``; ``change`` is given each piece, and whether it goes up to the server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def relay(source: socket.socket, sink: socket.socket, upward: bool) -> None:
            with suppress(OSError):
                while data := source.recv(1 << 16):
                    sink.sendall(change(data, upward))
            with suppress(OSError):
                sink.shutdown(socket.SHUT_WR)

        def accept() -> None:
            client, _ = listener.accept()
            server = socket.create_connection(("127.0.0.1", port))
            with client, server:
                other = threading.Thread(target=relay, args=(server, client, False))
                other.start()
                relay(client, server, True)
                other.join(10)

        worker = threading.Thread(target=accept)
        worker.start()
        yield listener.getsockname()[1]
        worker.join(10)
        assert not worker.is_alive()


def test_the_relay_alone_changes_nothing(consortium):
    with (
        listening(consortium) as server,
        between(server.port, lambda data, _: data) as port,
        dial(consortium, port) as channel,
    ):
        channel.send(b"hello")
        assert channel.receive(5) == b"hello"


GROUP_NUMBERS = {"X25519MLKEM768": 0x11EC, "SecP256r1MLKEM768": 0x11EB, "SecP384r1MLKEM1024": 0x11ED}


@pytest.mark.parametrize(
    ("stripped", "put"),
    [("X25519MLKEM768", 0x001D), ("X25519MLKEM768", 0x0A0A), ("SecP384r1MLKEM1024", 0x11EC)],
)
def test_groups_changed_on_the_way_end_the_handshake(consortium, stripped, put):
    """Whatever is stripped from the first message, both ends notice: it is in the transcript that they sign."""
    changed = []

    def strip(data: bytes, upward: bool) -> bytes:
        number = GROUP_NUMBERS[stripped].to_bytes(2, "big")
        if upward and not changed and number in data:
            changed.append(True)
            at = data.index(number)
            return data[:at] + put.to_bytes(2, "big") + data[at + 2 :]
        return data

    with listening(consortium, timeout=3.0) as server, between(server.port, strip) as port:
        with pytest.raises((ChannelRefused, PeerUnreachable)):
            dial(consortium, port, timeout=3.0)
        assert changed and isinstance(server.refusal(), ChannelRefused | PeerUnreachable)
    assert server.peers == []


def test_a_version_forced_down_ends_the_handshake(consortium):
    def downgrade(data: bytes, upward: bool) -> bytes:
        return data.replace(b"\x00\x2b\x00\x03\x02\x03\x04", b"\x00\x2b\x00\x03\x02\x03\x03") if upward else data

    with listening(consortium) as server, between(server.port, downgrade) as port:
        with pytest.raises(ChannelRefused):
            dial(consortium, port)
        assert "does not speak TLS 1.3" in server.refusal().problem


# ------------------------------------------------------------------------------------------ kinds of keys, and names


def test_under_cnsa_a_key_of_ml_dsa_65_is_refused_at_home(consortium):
    with pytest.raises(HostError, match="the key of 'cleveland' is not mldsa87, as cnsa"):
        dial(consortium, 1, policy=CNSA_2_0)


def test_a_policy_has_a_name_and_nothing_unknown(consortium):
    assert [policy_named(policy.name) for policy in POLICIES] == list(POLICIES)
    with pytest.raises(CallerError, match="'classical' is no channel policy"):
        policy_named("classical")
    for change in ({"cipher_suites": ("TLS_AES_128_GCM_SHA256",)}, {"leaf_signatures": ("ecdsa",)}, {"groups": ()}):
        with pytest.raises(ParametersRefused):
            replace(HYBRID_768, **change)
    with pytest.raises(ParametersRefused, match="'X25519' is not a post-quantum group"):
        ChannelPolicy("mixed", ("X25519MLKEM768", "X25519"))


def test_every_policy_is_at_least_as_strong_as_the_one_before():
    for policy in POLICIES:
        assert all("MLKEM" in group for group in policy.groups)
    assert all("1024" in group for policy in (HYBRID_1024, CNSA_2_0) for group in policy.groups)
    assert CNSA_2_0.signature_algorithms == ("mldsa87",)
