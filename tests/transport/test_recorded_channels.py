"""A recorder with a quantum computer: it has every byte, and the X25519 private key as Shor's algorithm gives it.

The same attacker is let loose on a classical session first, where it reads everything: so that what it does not read
afterwards is the doing of ML-KEM and not of a mistake in the attack. A test cannot show that ML-KEM is hard to break.
It shows that its secret is needed: with everything else in hand, nothing opens; with it, all of it does.
"""

from __future__ import annotations

import hashlib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519
from forgery import classical
from listening import listening
from OpenSSL import SSL
from tests.reference import tls13

SECRET = b"the update of a silo, as it went over the wire"
ML_DSA = [0x0905, 0x0906]
ECDSA_P256 = [0x0403]


@contextmanager
def classical_server(certificate: tuple) -> Iterator[int]:
    """An ordinary TLS 1.3 server: X25519, ECDSA. It answers one connection with what it hears."""
    key, own = certificate
    context = SSL.Context(SSL.TLS_METHOD)
    context.use_certificate(own)
    context.use_privatekey(key)
    context.set_options(SSL.OP_NO_TICKET)
    SSL._lib.SSL_CTX_set1_curves_list(context._context, b"X25519")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            raw, _ = listener.accept()
            raw.settimeout(10)
            connection = SSL.Connection(context, raw)
            connection.setblocking(True)
            connection.set_accept_state()
            connection.do_handshake()
            connection.sendall(connection.recv(1000))
            raw.close()

        worker = threading.Thread(target=answer)
        worker.start()
        yield listener.getsockname()[1]
        worker.join(10)


def test_of_a_classical_session_the_recorder_reads_everything() -> None:
    with classical_server(classical()) as port, socket.create_connection(("127.0.0.1", port), 10) as raw:
        client = tls13.Client(raw, tls13.X25519, ECDSA_P256)
        client.send(SECRET)
        assert client.receive() == SECRET
    recording = client.recording
    broken = client.x25519_secret(tls13.recorded_share(recording, tls13.X25519))
    assert SECRET not in recording.client + recording.server
    assert tls13.read(recording, broken) == (SECRET, SECRET)


@pytest.fixture(scope="module")
def session(consortium) -> tls13.Client:
    """A real channel of this project's server, spoken to by a client that keeps its private halves."""
    with listening(consortium) as server, socket.create_connection(("127.0.0.1", server.port), 10) as raw:
        client = tls13.Client(raw, tls13.X25519MLKEM768, ML_DSA, consortium.identity("cleveland", "silo"))
        assert client.receive() == bytes(8)  # the empty message by which a server accepts
        client.send(len(SECRET).to_bytes(8, "big") + SECRET)
        answer = b""
        while len(answer) < 8 + len(SECRET):
            answer += client.receive()
        assert answer[8:] == SECRET and server.groups == ["X25519MLKEM768"]
    return client


def test_of_a_channel_the_recorder_reads_nothing_with_the_curve_broken(session) -> None:
    recording = session.recording
    share = tls13.recorded_share(recording, tls13.X25519MLKEM768)
    curve = session.x25519_secret(share)
    guesses = [b"", bytes(32), curve, hashlib.sha3_256(share[: tls13.CIPHERTEXT]).digest(), share[:32]]
    guesses.append(mlkem.MLKEM768PrivateKey.generate().decapsulate(share[: tls13.CIPHERTEXT]))
    for first, second in [*product(guesses, [curve]), (curve, b""), (curve, bytes(32))]:
        with pytest.raises(InvalidTag):
            tls13.read(recording, first + second)
    assert SECRET not in recording.client + recording.server


def test_with_the_secret_of_ml_kem_as_well_it_would_read_everything(session) -> None:
    share = tls13.recorded_share(session.recording, tls13.X25519MLKEM768)
    both = session.ml_kem_secret(share) + session.x25519_secret(share)
    said, heard = tls13.read(session.recording, both)
    assert said == len(SECRET).to_bytes(8, "big") + SECRET
    assert heard.endswith(SECRET)


def test_nor_does_breaking_ml_kem_alone_suffice(session) -> None:
    share = tls13.recorded_share(session.recording, tls13.X25519MLKEM768)
    for other in (b"", bytes(32), x25519.X25519PrivateKey.generate().private_bytes_raw()):
        with pytest.raises(InvalidTag):
            tls13.read(session.recording, session.ml_kem_secret(share) + other)


def test_parties_are_not_named_on_the_wire(session) -> None:
    assert b"cleveland" not in session.recording.client + session.recording.server
    assert b"hub" not in session.recording.client + session.recording.server


def test_a_client_that_offers_the_curve_alone_is_refused(consortium) -> None:
    with listening(consortium) as server, socket.create_connection(("127.0.0.1", server.port), 10) as raw:
        with pytest.raises(tls13.Refused):
            tls13.Client(raw, tls13.X25519, ML_DSA, consortium.identity("cleveland", "silo"))
        assert "offers no key exchange of policy hybrid-768" in server.refusal().problem


def test_the_standard_library_sees_the_classical_control_as_what_it_is() -> None:
    """The control is an ordinary server: the interpreter's own TLS client talks to it."""
    key, certificate = classical()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        classical_server((key, certificate)) as port,
        socket.create_connection(("127.0.0.1", port), 10) as raw,
        context.wrap_socket(raw) as secured,
    ):
        secured.sendall(SECRET)
        assert secured.recv(100) == SECRET
        assert secured.version() == "TLSv1.3"
