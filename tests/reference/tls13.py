"""TLS 1.3 by hand (RFC 8446), as far as a recorder needs it: one cipher suite, and private halves that are kept.

``Client`` speaks to a server and keeps what went over the wire. ``read`` takes such a recording and a shared secret, as
somebody would who has recorded the bytes and broken the key exchange, and gives what was said.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import mlkem, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SUITE = 0x1302  # TLS_AES_256_GCM_SHA384
X25519, X25519MLKEM768 = 0x001D, 0x11EC
HANDSHAKE, ALERT, APPLICATION = 22, 21, 23
SERVER_HELLO, FINISHED = 2, 20
ENCAPSULATION, CIPHERTEXT = 1184, 1088


@dataclass
class Recording:
    """All bytes of a connection, by direction."""

    client: bytearray = field(default_factory=bytearray)
    server: bytearray = field(default_factory=bytearray)


class Refused(Exception):
    """The server sent an alert in the clear."""


class Client:
    """A client with one share for ``group``; ``identity`` (certificate, ML-DSA key) if the server asks for one."""

    def __init__(self, connection: socket.socket, group: int, signatures: list[int], identity: Any = None) -> None:
        self.recording = Recording()
        self.x25519, self.ml_kem = x25519.X25519PrivateKey.generate(), mlkem.MLKEM768PrivateKey.generate()
        self._socket, self._group, self._identity = connection, group, identity
        self._held = b""
        self._transcript = b""
        self._handshake(signatures)

    def send(self, content: bytes) -> None:
        self._write(self._sending.seal(APPLICATION, content))

    def receive(self) -> bytes:
        """The next application data; session tickets and the like are passed over."""
        while True:
            kind, content = self._receiving.open(self._read_record())
            if kind == APPLICATION:
                return content

    def _handshake(self, signatures: list[int]) -> None:
        self._say_plainly(client_hello(self._group, self._share(), signatures))
        record = self._read_record()
        if record[0] == ALERT:
            raise Refused(record[5:].hex())
        self._transcript += record[5:]
        schedule = Schedule(self.shared_secret(server_share(record[5:], self._group)))
        client, server = schedule.handshake(self._transcript)
        receiving, sending = Traffic(server), Traffic(client)
        asked = False
        for message in messages(receiving, self._records()):
            self._transcript += message
            asked |= message[0] == 13
            if message[0] == FINISHED:
                break
        application = schedule.application(self._transcript)
        if asked:
            self._say(sending, certificate_message(self._identity.certificate_der))
            signed = b" " * 64 + b"TLS 1.3, client CertificateVerify\x00" + hashlib.sha384(self._transcript).digest()
            signature = self._identity.sign(signed, context=b"")
            self._say(sending, message_of(15, (0x0905).to_bytes(2, "big") + vector(2, signature)))
        finished = hmac.digest(expand_label(client, b"finished", b"", 48), sha384(self._transcript), "sha384")
        self._say(sending, message_of(FINISHED, finished))
        self._sending, self._receiving = Traffic(application[0]), Traffic(application[1])

    def shared_secret(self, share: bytes) -> bytes:
        """What the key schedule starts from: both halves, ML-KEM's first (draft-ietf-tls-ecdhe-mlkem)."""
        return self.ml_kem_secret(share) + self.x25519_secret(share)

    def ml_kem_secret(self, share: bytes) -> bytes:
        return self.ml_kem.decapsulate(share[:CIPHERTEXT]) if self._group == X25519MLKEM768 else b""

    def x25519_secret(self, share: bytes) -> bytes:
        return self.x25519.exchange(x25519.X25519PublicKey.from_public_bytes(share[-32:]))

    def _share(self) -> bytes:
        curve = self.x25519.public_key().public_bytes_raw()
        return self.ml_kem.public_key().public_bytes_raw() + curve if self._group == X25519MLKEM768 else curve

    def _say_plainly(self, message: bytes) -> None:
        self._transcript += message
        self._write(bytes([HANDSHAKE, 3, 1]) + vector(2, message))

    def _say(self, sending: Traffic, message: bytes) -> None:
        self._transcript += message
        for at in range(0, len(message), 16_000):
            self._write(sending.seal(HANDSHAKE, message[at : at + 16_000]))

    def _write(self, record: bytes) -> None:
        self.recording.client += record
        self._socket.sendall(record)

    def _records(self) -> Iterator[bytes]:
        while True:
            yield self._read_record()

    def _read_record(self) -> bytes:
        while True:
            while len(self._held) < 5 or len(self._held) < 5 + int.from_bytes(self._held[3:5], "big"):
                more = self._socket.recv(1 << 16)
                if not more:
                    raise ConnectionError("the server is gone")
                self.recording.server += more
                self._held += more
            size = 5 + int.from_bytes(self._held[3:5], "big")
            record, self._held = self._held[:size], self._held[size:]
            if record[0] != 20:  # change_cipher_spec means nothing in TLS 1.3
                return record


def read(recording: Recording, shared: bytes) -> tuple[bytes, bytes]:
    """What client and server said, with the shared secret of their key exchange; ``InvalidTag`` if it is another."""
    client_records, server_records = (list(records(bytes(each))) for each in (recording.client, recording.server))
    transcript = client_records.pop(0)[5:] + (hello := server_records.pop(0))[5:]
    schedule = Schedule(shared)
    client, server = (Traffic(secret) for secret in schedule.handshake(transcript))
    left = iter(server_records)
    assert hello[5] == SERVER_HELLO
    for message in messages(server, left):
        transcript += message
        if message[0] == FINISHED:
            break
    keys = schedule.application(transcript)
    after = iter(client_records)
    for message in messages(client, after):
        if message[0] == FINISHED:
            break
    said = []
    for traffic, rest in zip(map(Traffic, keys), (after, left), strict=True):
        opened = [traffic.open(record) for record in rest]
        said.append(b"".join(content for kind, content in opened if kind == APPLICATION))
    return said[0], said[1]


class Schedule:
    """RFC 8446 section 7.1 with SHA-384, no pre-shared key."""

    def __init__(self, shared: bytes) -> None:
        early = hmac.digest(bytes(48), bytes(48), "sha384")
        self._handshake = hmac.digest(derive_secret(early, b"derived", b""), shared, "sha384")
        self._master = hmac.digest(derive_secret(self._handshake, b"derived", b""), bytes(48), "sha384")

    def handshake(self, transcript: bytes) -> tuple[bytes, bytes]:
        return (
            derive_secret(self._handshake, b"c hs traffic", transcript),
            derive_secret(self._handshake, b"s hs traffic", transcript),
        )

    def application(self, transcript: bytes) -> tuple[bytes, bytes]:
        return (
            derive_secret(self._master, b"c ap traffic", transcript),
            derive_secret(self._master, b"s ap traffic", transcript),
        )


class Traffic:
    """Records in one direction under one traffic secret (RFC 8446 section 5.2)."""

    def __init__(self, secret: bytes) -> None:
        self._aead = AESGCM(expand_label(secret, b"key", b"", 32))
        self._vector = expand_label(secret, b"iv", b"", 12)
        self._number = 0

    def seal(self, kind: int, content: bytes) -> bytes:
        header = bytes([APPLICATION, 3, 3]) + (len(content) + 17).to_bytes(2, "big")
        return header + self._aead.encrypt(self._nonce(), content + bytes([kind]), header)

    def open(self, record: bytes) -> tuple[int, bytes]:
        inner = self._aead.decrypt(self._nonce(), record[5:], record[:5]).rstrip(b"\x00")
        return inner[-1], inner[:-1]

    def _nonce(self) -> bytes:
        number = self._number.to_bytes(12, "big")
        self._number += 1
        return bytes(a ^ b for a, b in zip(self._vector, number, strict=True))


def records(data: bytes) -> Iterator[bytes]:
    while data:
        size = 5 + int.from_bytes(data[3:5], "big")
        if data[0] != 20:
            yield data[:size]
        data = data[size:]


def messages(traffic: Traffic, encrypted: Iterator[bytes]) -> Iterator[bytes]:
    """Handshake messages out of records, which they may share or span."""
    held = b""
    for record in encrypted:
        kind, content = traffic.open(record)
        assert kind == HANDSHAKE, (kind, content)
        held += content
        while len(held) >= 4 and len(held) >= (size := 4 + int.from_bytes(held[1:4], "big")):
            message, held = held[:size], held[size:]
            yield message


def client_hello(group: int, share: bytes, signatures: list[int]) -> bytes:
    numbers = b"".join(one.to_bytes(2, "big") for one in signatures)
    extensions = [
        (43, vector(1, b"\x03\x04")),
        (10, vector(2, group.to_bytes(2, "big"))),
        (13, vector(2, numbers)),
        (16, vector(2, vector(1, b"quatrefoil/1"))),
        (51, vector(2, group.to_bytes(2, "big") + vector(2, share))),
    ]
    encoded = b"".join(number.to_bytes(2, "big") + vector(2, content) for number, content in extensions)
    body = b"\x03\x03" + os.urandom(32) + b"\x00" + vector(2, SUITE.to_bytes(2, "big")) + b"\x01\x00"
    return message_of(1, body + vector(2, encoded))


def server_share(hello: bytes, group: int) -> bytes:
    """The server's share in its hello."""
    at = 4 + 2 + 32
    at += 1 + hello[at] + 2 + 1 + 2
    while at < len(hello):
        number, size = int.from_bytes(hello[at : at + 2], "big"), int.from_bytes(hello[at + 2 : at + 4], "big")
        if number == 51:
            assert int.from_bytes(hello[at + 4 : at + 6], "big") == group
            return hello[at + 8 : at + 4 + size]
        at += 4 + size
    raise AssertionError("no share")


def recorded_share(recording: Recording, group: int) -> bytes:
    return server_share(next(records(bytes(recording.server)))[5:], group)


def certificate_message(der: bytes) -> bytes:
    return message_of(11, b"\x00" + vector(3, vector(3, der) + b"\x00\x00"))


def message_of(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + vector(3, body)


def vector(width: int, content: bytes) -> bytes:
    return len(content).to_bytes(width, "big") + content


def expand_label(secret: bytes, label: bytes, context: bytes, length: int) -> bytes:
    info = length.to_bytes(2, "big") + vector(1, b"tls13 " + label) + vector(1, context)
    return hmac.digest(secret, info + b"\x01", "sha384")[:length]


def derive_secret(secret: bytes, label: bytes, transcript: bytes) -> bytes:
    return expand_label(secret, label, sha384(transcript), 48)


def sha384(data: bytes) -> bytes:
    return hashlib.sha384(data).digest()


def exporter(exporter_secret: bytes, label: bytes, context: bytes, length: int) -> bytes:
    """RFC 8446 section 7.5 with SHA-384, from ``exporter_master_secret``."""
    return expand_label(derive_secret(exporter_secret, label, b""), b"exporter", sha384(context), length)
