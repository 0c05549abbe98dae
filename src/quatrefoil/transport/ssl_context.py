"""An ``ssl.SSLContext`` for programs that insist on one (asyncio streams, uvicorn), with the sessions of this package.

asyncio drives TLS through ``SSLContext.wrap_bio`` and the object that it returns; both are replaced here, so nothing of
the standard library's own TLS is used. A refusal travels as :class:`HandshakeRefused`, because that is what asyncio
understands; ``on_refused`` hears of it as well, since servers under asyncio keep handshake errors to themselves.
asyncio drops the connection of a failed handshake without sending the alert: the peer sees it end.

Credentials are asked at each handshake: connections go on when they change, and say that they are to be made anew.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Collection
from typing import Any, Self

from cryptography.hazmat.primitives.serialization import Encoding

from quatrefoil.errors import CallerError, ChannelRefused, PeerError
from quatrefoil.transport import profile
from quatrefoil.transport.credentials import Credentials, Standing
from quatrefoil.transport.identity import Clock
from quatrefoil.transport.policies import HYBRID_768, ChannelPolicy
from quatrefoil.transport.profile import Party, check_role, parse_host
from quatrefoil.transport.tls_context import TlsContext
from quatrefoil.transport.tls_session import PeerCheck, TlsSession

_MOVE = 256 << 10


class _Scratch(threading.local):
    """Room to decrypt into, of which each read copies what there was: fresh room of this size for every read would cost
    more than a small message does."""

    def __init__(self) -> None:
        self.space = memoryview(bytearray(_MOVE))


_SCRATCH = _Scratch()


class HandshakeRefused(ssl.SSLError):
    """``refusal`` in the form that asyncio passes on."""

    def __init__(self, refusal: PeerError) -> None:
        super().__init__(ssl.SSL_ERROR_SSL, str(refusal))
        self.refusal = refusal


class HybridContext(ssl.SSLContext):
    """Hybrid groups, mutual ML-DSA, host name and role checked; ``protocol`` is negotiated by ALPN.

    Settings of the base class have no effect: what is negotiated was decided when the object was built.
    """

    def __new__(cls, *_arguments: object, **_named: object) -> Self:
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(
        self,
        credentials: Credentials,
        *,
        allow_roles: Collection[str],
        clock: Clock,
        protocol: bytes,
        on_refused: Callable[[PeerError], None],
        policy: ChannelPolicy = HYBRID_768,
    ) -> None:
        if not allow_roles:
            raise CallerError("a context that allows no role talks to nobody", hint="Name the roles it may talk to")
        self._credentials = credentials
        self._clock = clock
        self._roles = frozenset(map(check_role, allow_roles))
        self._on_refused = on_refused
        self._policy = policy
        self._protocol = protocol
        self._lock = threading.Lock()
        self._tls = TlsContext(credentials.current(), policy=policy, protocol=protocol)

    @property
    def standing(self) -> Standing:
        """What is shown and believed now: the same object as long as nothing has changed."""
        return self._credentials.current()

    def _current(self) -> TlsContext:
        standing = self.standing
        with self._lock:
            if self._tls.standing is not standing:
                self._tls = TlsContext(standing, policy=self._policy, protocol=self._protocol)
            return self._tls

    def wrap_bio(  # type: ignore[override]  # asyncio asks only for the methods that HybridObject has
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> HybridObject:
        """One connection between two buffers. A client must name its server."""
        if session is not None:
            raise CallerError("sessions are not resumed here", hint="Pass none")
        if not server_side and not server_hostname:
            raise CallerError("no host name to check the server's certificate for", hint="Pass server_hostname")
        name = server_hostname.decode("ascii") if isinstance(server_hostname, bytes) else server_hostname
        host = None if server_side or name is None else parse_host(name)
        context = self._current()
        check = PeerCheck(context.standing.trust, self._clock, self._roles, host)
        tls = TlsSession(context, check, server_side=server_side, address=name or "a client")
        return HybridObject(self, context.standing, tls, incoming, outgoing, server_side, name, self._on_refused)

    def wrap_socket(self, *_arguments: Any, **_named: Any) -> ssl.SSLSocket:
        raise CallerError("this context does not wrap sockets", hint="Use quatrefoil.transport.connect")


class HybridObject:
    """What asyncio needs of ``ssl.SSLObject``."""

    def __init__(
        self,
        context: HybridContext,
        standing: Standing,
        tls: TlsSession,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool,
        server_hostname: str | None,
        on_refused: Callable[[PeerError], None],
    ) -> None:
        self.context = context
        self.server_side = server_side
        self.server_hostname = server_hostname
        self.session = None
        self.session_reused = False
        self._standing = standing
        self._tls = tls
        self._incoming = incoming
        self._outgoing = outgoing
        self._on_refused = on_refused

    @property
    def peer(self) -> Party:
        """Who the other end is, as certified."""
        return self._tls.peer

    @property
    def group(self) -> str:
        """The negotiated key-exchange group."""
        return self._tls.group

    @property
    def due(self) -> bool:
        """Whether the next message is to go over a new connection: the policy asks for one, or what is shown or
        believed has changed since this one was made."""
        return self._tls.due or self.context.standing is not self._standing

    def do_handshake(self) -> None:
        self._take()
        try:
            done = self._tls.handshake()
        except ChannelRefused as refusal:
            self._on_refused(refusal)
            raise HandshakeRefused(refusal) from None
        finally:
            self._give()
        if not done:
            self._require_more()

    def read(self, size: int = 1024, buffer: Any = None) -> Any:
        if buffer is not None:
            with memoryview(buffer).cast("B") as whole, whole[:size] as space:
                return self._read_into(space)
        if self._tls.dry and not self._incoming.pending:
            self._require_more()  # asyncio reads until it hears this: most often the second call
        with _SCRATCH.space[: min(size, _MOVE)] as space:
            return bytes(space[: self._read_into(space)])

    def _read_into(self, space: memoryview) -> int:
        count = self._decrypt(space)
        if count is None:
            self._take()
            count = self._decrypt(space)
        if count is None:
            self._require_more()
        return count or 0

    def _decrypt(self, space: memoryview) -> int | None:
        try:
            return self._tls.decrypt_into(space)
        except PeerError as error:
            self._on_refused(error)
            raise HandshakeRefused(error) from None
        finally:
            self._give()

    def write(self, data: Any) -> int:
        with memoryview(data).cast("B") as view:
            part = view[:_MOVE]
            try:
                self._tls.encrypt(part)
            except PeerError as error:
                raise HandshakeRefused(error) from None
            self._give()
            return len(part)

    def unwrap(self) -> None:
        self._tls.close()
        self._give()

    def pending(self) -> int:
        return self._tls.pending

    def getpeercert(self, binary_form: bool = False) -> Any:
        """DER, or the fields of the standard library's dictionary that this profile has."""
        certificate = self._tls.peer.certificate
        if binary_form:
            return certificate.public_bytes(Encoding.DER)
        hosts = [
            ("DNS" if isinstance(host, str) else "IP Address", str(host)) for host in profile.host_values(certificate)
        ]
        role = [("URI", profile.ROLE_URI + self.peer.role)]
        return {
            "subject": ((("commonName", self.peer.name),),),
            "subjectAltName": tuple(hosts + role),
            "serialNumber": f"{certificate.serial_number:X}",
            "notBefore": f"{certificate.not_valid_before_utc:%b %d %H:%M:%S %Y} GMT",
            "notAfter": f"{certificate.not_valid_after_utc:%b %d %H:%M:%S %Y} GMT",
            "version": 3,
        }

    def selected_alpn_protocol(self) -> str | None:
        return self._tls.protocol

    def cipher(self) -> tuple[str, str, int]:
        return self._tls.cipher

    def version(self) -> str:
        return "TLSv1.3"

    def compression(self) -> None:
        return None

    def selected_npn_protocol(self) -> None:
        return None

    def shared_ciphers(self) -> None:
        return None

    def get_channel_binding(self, cb_type: str = "tls-unique") -> None:
        raise CallerError(f"no channel binding {cb_type!r}", hint="TLS 1.3 has exporters instead (RFC 9266)")

    def _take(self) -> None:
        while self._incoming.pending:
            self._tls.feed(self._incoming.read(_MOVE))

    def _give(self) -> None:
        while len(piece := self._tls.outgoing()):
            self._outgoing.write(piece)

    def _require_more(self) -> None:
        if self._incoming.eof:
            raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "the peer ended the connection without closing the channel")
        raise ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "more must come from the network")
