"""BoringSSL, by way of grpcio: its key share against our groups, and its ML-DSA server against our client.

gRPC negotiates X25519MLKEM768 by itself. As a client it offers no ML-DSA signatures, so we refuse it by that name; as a
server it shows an ML-DSA certificate that it is given, and takes none from a client.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # it writes every refusal to stderr, and these are wanted

import grpc
import pytest
from classical_server import classical_server
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.transport import forgery
from tests.transport.listening import dial, listening

from quatrefoil.errors import ChannelRefused, PeerError, PeerUnreachable
from quatrefoil.transport import ChannelPolicy, FixedCredentials, HandshakeRefused, HybridContext
from support import Consortium

HYBRID = "X25519MLKEM768"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")
"""What a client of HTTP/2 says first (RFC 9113 section 3.4): the magic, and an empty SETTINGS frame."""


def pem(key: Any, certificate: Any) -> tuple[bytes, bytes]:
    return (
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        certificate.public_bytes(Encoding.PEM),
    )


# --------------------------------------------------------------------------------------------- gRPC as the client


@contextmanager
def trying(port: int, root: bytes, identity: tuple[bytes, bytes] | tuple[None, None] = (None, None)) -> Iterator[None]:
    """A gRPC client tries to get a channel as long as this lasts."""
    with grpc.secure_channel(f"localhost:{port}", grpc.ssl_channel_credentials(root, *identity)) as channel:
        channel.subscribe(lambda state: None, try_to_connect=True)
        yield


def test_the_key_share_of_boringssl_is_one_that_we_can_use():
    """The control: with a certificate that gRPC knows, and our group and no other, the channel comes about."""
    with classical_server(HYBRID, b"h2") as (port, root, seen), trying(port, root):
        assert seen.get(timeout=10).startswith(f"{HYBRID} b'PRI * HTTP/2.0")


def test_a_group_that_boringssl_lacks_is_seen_to_be_missing():
    with classical_server("SecP384r1MLKEM1024", b"h2") as (port, root, seen), trying(port, root):
        assert "no suitable key share" in seen.get(timeout=10)


@pytest.mark.parametrize("shows", ["nothing", "classical", "ML-DSA"])
def test_a_client_that_offers_no_ml_dsa_is_refused_for_that(consortium, shows):
    silo = consortium.identity("cleveland", "silo")
    identity = {
        "nothing": (None, None),
        "classical": pem(*forgery.classical()),
        "ML-DSA": pem(silo.private_key(), silo.certificate),
    }[shows]
    root = consortium.authority.root.public_bytes(Encoding.PEM)
    with listening(consortium) as server, trying(server.port, root, identity):
        refusal = server.refusal()
        assert isinstance(refusal, ChannelRefused)
        assert "offers no certificate of policy" in refusal.problem
        assert server.peers == []


def test_a_client_is_refused_for_its_groups_first(consortium):
    strict, root = (
        ChannelPolicy("strict", ("SecP384r1MLKEM1024",)),
        consortium.authority.root.public_bytes(Encoding.PEM),
    )
    with listening(consortium, policy=strict) as server, trying(server.port, root):
        assert "offers no key exchange of policy strict, none of SecP384r1MLKEM1024" in server.refusal().problem


# --------------------------------------------------------------------------------------------- gRPC as the server


@contextmanager
def grpc_server(identity: tuple[bytes, bytes], root: bytes | None = None) -> Iterator[int]:
    """A gRPC server that shows ``identity``, and demands a certificate of ``root`` if there is one."""
    server = grpc.server(futures.ThreadPoolExecutor(1))
    credentials = grpc.ssl_server_credentials([identity], root, require_client_auth=root is not None)
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        yield port
    finally:
        server.stop(0).wait()


def shown_by(consortium: Consortium) -> tuple[bytes, bytes]:
    hub = consortium.identity("hub", "aggregator")
    return pem(hub.private_key(), hub.certificate)


async def greet(consortium: Consortium, port: int, **changes: Any) -> tuple[Any, bytes]:
    """Our TLS object, and the first bytes that a server of HTTP/2 answers with."""
    refusals: list[PeerError] = []
    arguments = {
        "allow_roles": ["aggregator"],
        "clock": consortium.clock,
        "protocol": b"h2",
        "on_refused": refusals.append,
    }
    name = changes.pop("name", "localhost")
    credentials = FixedCredentials(consortium.identity("cleveland", "silo"), consortium.trust)
    context = HybridContext(credentials, **(arguments | changes))
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
    try:
        writer.write(PREFACE)
        async with asyncio.timeout(10):
            return writer.get_extra_info("ssl_object"), await reader.read(9)
    finally:
        writer.close()


def test_our_client_believes_a_server_of_boringssl_with_our_certificate(consortium):
    with grpc_server(shown_by(consortium)) as port:
        tls, answer = asyncio.run(greet(consortium, port))
    assert (tls.group, tls.peer.name, tls.peer.role) == (HYBRID, "hub", "aggregator")
    assert tls.version() == "TLSv1.3" and tls.selected_alpn_protocol() == "h2"
    assert len(answer) == 9 and answer[3] == 4  # a SETTINGS frame (RFC 9113 section 6.5)


REFUSED = {
    "another name": ({"name": "hub.example.org"}, "is for localhost, 127.0.0.1, not for hub.example.org"),
    "another role": ({"allow_roles": ["keeper"]}, "'hub' is certified as aggregator, and this channel is for keeper"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_our_client_refuses_a_server_of_boringssl_with(consortium, case):
    changes, expected = REFUSED[case]
    with grpc_server(shown_by(consortium)) as port, pytest.raises(HandshakeRefused) as refused:
        asyncio.run(greet(consortium, port, **changes))
    assert expected in refused.value.refusal.problem


def test_our_client_refuses_a_server_of_boringssl_of_another_root(consortium, stranger):
    with grpc_server(shown_by(stranger)) as port, pytest.raises(HandshakeRefused) as refused:
        asyncio.run(greet(consortium, port))
    assert "signed by no trusted root (issuer: CN=other-root" in refused.value.refusal.problem


def test_our_client_refuses_a_server_of_boringssl_that_speaks_another_protocol(consortium):
    with grpc_server(shown_by(consortium)) as port, pytest.raises(ChannelRefused, match="speaks another protocol"):
        dial(consortium, port)


def test_no_channel_comes_about_with_a_classical_server_of_boringssl(consortium):
    """It closes without an alert, so that we cannot know more than that: no reason is made up."""
    with grpc_server(pem(*forgery.classical())) as port, pytest.raises(PeerUnreachable, match="no channel was made"):
        dial(consortium, port)


def test_a_server_of_boringssl_takes_no_ml_dsa_certificate(consortium):
    """It asks for classical ones only, so we show none, and it ends the connection: gRPC cannot be a mutual peer."""
    root = consortium.authority.root.public_bytes(Encoding.PEM)
    with grpc_server(shown_by(consortium), root) as port:
        try:
            _, answer = asyncio.run(greet(consortium, port))
        except OSError:
            answer = b""
    assert answer == b""
