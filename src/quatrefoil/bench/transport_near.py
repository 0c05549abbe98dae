"""The near end of the transport bench: one client for each stack, alike but for what protects the bytes."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from quatrefoil.bench.transport_far import HOST, LARGEST, TIMEOUT, classical_context, identity_folder
from quatrefoil.transport import (
    CertificateAuthority,
    ChannelPolicy,
    Dialer,
    FixedCredentials,
    Identity,
    TrustAnchor,
    system_clock,
)

_READ = 64 << 10


class Link(Protocol):
    """A connection that is open."""

    def ask(self, message: bytes) -> bytes:
        """The answer to a message."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class Near(Protocol):
    """A stack. ``connect``: a new connection, with a full handshake, or one that resumes the last connection."""

    name: str

    def connect(self, *, resume: bool = False) -> Link: ...

    def handshake_bytes(self, *, resume: bool = False) -> int:
        """Bytes on the wire of a handshake, both directions together."""

    async def stream(self, message: bytes, times: int) -> float:
        """Seconds in which an asyncio client sends ``message`` so often and hears of each, the handshake left out."""


class Channels:
    """This project's channels under one policy."""

    def __init__(self, folder: Path, port: int, policy: ChannelPolicy) -> None:
        self.name = policy.name
        own = identity_folder(folder, "silo", policy)
        self._credentials = FixedCredentials(Identity.load(own), TrustAnchor.load(own))
        self._port, self._policy = port, policy
        self._dialers = {resume: self._dialer(resume=resume) for resume in (False, True)}

    def connect(self, *, resume: bool = False) -> Link:
        return _Channel(self._dialers[resume])

    def handshake_bytes(self, *, resume: bool = False) -> int:
        if resume:
            self._dialers[resume].connect().close()
        with self._dialers[resume].connect() as channel:
            return channel.bytes_sent + channel.bytes_received

    async def stream(self, message: bytes, times: int) -> float:
        async with await self._dialers[False].open() as channel:
            begin = asyncio.get_running_loop().time()
            for _ in range(times):
                await channel.send(message)
                await channel.receive(1)
            return asyncio.get_running_loop().time() - begin

    def _dialer(self, *, resume: bool) -> Dialer:
        return Dialer(
            HOST,
            self._port,
            credentials=self._credentials,
            expect_role="aggregator",
            timeout=TIMEOUT,
            clock=system_clock,
            policy=self._policy,
            resume=resume,
        )


class _Channel:
    def __init__(self, dialer: Dialer) -> None:
        self._channel = dialer.connect()

    def ask(self, message: bytes) -> bytes:
        self._channel.send(message)
        return self._channel.receive(LARGEST)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()


class Classical:
    """The standard library's TLS: P-256 certificates of both ends, X25519, AES-256-GCM."""

    name = "classical"

    def __init__(self, folder: Path, port: int) -> None:
        self._folder, self._port = folder, port
        self._context = classical_context(folder, server=False)
        self._session: ssl.SSLSession | None = None

    def connect(self, *, resume: bool = False) -> Link:
        return _Socket(self, self._port, resume)

    def handshake_bytes(self, *, resume: bool = False) -> int:
        server, session, moved = classical_context(self._folder, server=True), None, 0
        for _ in range(2 if resume else 1):
            moved, session = _in_memory(self._context, server, session)
        return moved

    async def stream(self, message: bytes, times: int) -> float:
        reader, writer = await asyncio.open_connection(HOST, self._port, ssl=self._context)
        begin = asyncio.get_running_loop().time()
        for _ in range(times):
            writer.write(len(message).to_bytes(8, "big"))
            writer.write(message)
            await writer.drain()
            await reader.readexactly(9)
        elapsed = asyncio.get_running_loop().time() - begin
        writer.close()
        await writer.wait_closed()
        return elapsed


class _Socket:
    def __init__(self, of: Classical, port: int, resume: bool) -> None:
        raw = socket.create_connection((HOST, port), TIMEOUT)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        session = of._session if resume else None
        self._of = of
        self._secured = of._context.wrap_socket(raw, server_hostname=HOST, session=session)

    def ask(self, message: bytes) -> bytes:
        if len(message) < 1 << 16:
            self._secured.sendall(len(message).to_bytes(8, "big") + message)
        else:
            self._secured.sendall(len(message).to_bytes(8, "big"))
            self._secured.sendall(message)
        found = self._more()  # most often the whole answer: one call of the library, as few as can be
        while len(found) < 8 or len(found) < 8 + int.from_bytes(found[:8], "big"):
            found += self._more()
        return found[8:]

    def _more(self) -> bytes:
        if not (more := self._secured.recv(_READ)):
            raise ConnectionError("the far end is gone")
        return more

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._of._session = self._secured.session
        # Both ends say goodbye here as in a channel (RFC 8446 section 6.1); a socket that is only closed says none.
        with contextlib.suppress(OSError):
            self._secured.unwrap()
        self._secured.close()


def write_identities(folder: Path) -> None:
    """A silo and an aggregator of a consortium, and a client and a server of a classical root, in ``folder``."""
    authority = CertificateAuthority.create(folder / "ca", "bench", clock=system_clock)
    for role in ("silo", "aggregator"):
        authority.issue(role, role, directory=folder / role)
        authority.issue(role, role, directory=folder / f"{role}-87", algorithm="ml-dsa-87")
    root_key, root = _certificate("root", None)
    (folder / "classical-root.pem").write_bytes(root.public_bytes(Encoding.PEM))
    for name in ("server", "client"):
        key, certificate = _certificate(name, (root_key, root))
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / f"{name}.pem").write_bytes(pem + certificate.public_bytes(Encoding.PEM))


def _certificate(
    name: str, issuer: tuple[ec.EllipticCurvePrivateKey, x509.Certificate] | None
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    hosts = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer[1].subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(hosts, critical=False)
    )
    return key, builder.sign(key if issuer is None else issuer[0], hashes.SHA256())


def _in_memory(
    near: ssl.SSLContext, far: ssl.SSLContext, session: ssl.SSLSession | None
) -> tuple[int, ssl.SSLSession | None]:
    """Bytes of a handshake and of one message of eight bytes back, and the session."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = near.wrap_bio(down, up, server_hostname=HOST, session=session)
    server = far.wrap_bio(up_read := ssl.MemoryBIO(), down_written := ssl.MemoryBIO(), server_side=True)
    moved, done = 0, 0
    while done < 2:
        done = 0
        for end in (client, server):
            try:
                end.do_handshake()
                done += 1
            except ssl.SSLWantReadError:
                pass
            for source, sink in ((up, up_read), (down_written, down)):
                moved += sink.write(source.read())
    server.write(bytes(8))
    moved += down.write(down_written.read())
    client.read(8)
    return moved, client.session
