"""One end of one TLS connection, without I/O: bytes from the network in, bytes for the network out.

OpenSSL checks that the chain is signed; the callback that it calls for the leaf then applies the certificate profile,
host name, role and validity at the injected clock (``TrustAnchor.verify``), so that a refused peer is told by an alert.
For a resumed session OpenSSL asks nobody: the certificate that the session began with goes through the same check after
the handshake, at the time and against the roots of now. A connection whose peer was verified by neither is refused,
whatever OpenSSL says; and group, cipher suite and kind of key are read back and held to the policy once more.
"""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn

from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL, crypto

from quatrefoil.errors import ChannelRefused, MessageRefused, PeerUnreachable
from quatrefoil.transport import tls_refusal
from quatrefoil.transport.identity import Clock, TrustAnchor
from quatrefoil.transport.policies import RECORD, ChannelPolicy
from quatrefoil.transport.profile import Host, Party
from quatrefoil.transport.tls_binding import CLOSED, MORE, Records
from quatrefoil.transport.tls_context import Ticket, TlsContext

CHUNK = 64 << 10
"""Bytes moved at a time between frames, OpenSSL and the network: what stays in the processor's nearest caches."""

_TIME_ERRORS = frozenset({9, 10})
"""X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED: judged by our clock instead of OpenSSL's."""


@dataclass(frozen=True)
class PeerCheck:
    """What the other end must prove. ``host``: set by a client, the name or address its server must answer for."""

    trust: TrustAnchor
    clock: Clock
    roles: frozenset[str]
    host: Host | None

    def verify(self, certificate: bytes, policy: ChannelPolicy) -> Party:
        """The peer, or ``ChannelRefused``."""
        party = self.trust.verify(certificate, at=self.clock(), refusal=ChannelRefused, server=self.host)
        if party.role not in self.roles:
            raise ChannelRefused(
                f"{party.name!r} is certified as {party.role}, and this channel is for {_either(self.roles)}",
                hint="Connect to another address, or have a certificate issued for the role",
                party=party.name,
            )
        if not isinstance(party.certificate.public_key(), policy.leaf_keys):
            raise ChannelRefused(
                f"the key of {party.name!r} is not {_either(policy.leaf_signatures)}, as {policy.name} asks for",
                hint="Have it get a certificate for such a key, or agree on another policy",
                party=party.name,
            )
        return party


class TlsSession:
    """``handshake`` until it returns True, then ``encrypt`` and ``decrypt_into``; always ``drain`` after each.

    ``ticket``: a session to resume, from :meth:`ticket` of an earlier channel to the same place.
    """

    def __init__(
        self, context: TlsContext, check: PeerCheck, *, server_side: bool, address: str, ticket: Ticket | None = None
    ) -> None:
        self._policy = context.policy
        self._check = check
        self._address = address
        self._server_side = server_side
        self._party: Party | None = None
        self._refused: ChannelRefused | None = None
        self._connection = context.connection()
        self._records = Records(self._connection)
        self._began = check.clock()
        self._renew = timedelta(seconds=self._policy.renew_seconds)
        self._ticket: Ticket | None = None
        # The connection must not hold this object: its buffers would wait in a cycle for the collector.
        verify = weakref.WeakMethod(self._verify)
        self._connection.set_verify(
            SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *given: _alive(verify)(*given)
        )
        if server_side:
            self._connection.set_accept_state()
        else:
            self._connection.set_connect_state()
            if check.host is not None and isinstance(check.host.value, str):
                self._connection.set_tlsext_host_name(check.host.value.encode())
            if ticket is not None:
                self._connection.set_session(ticket.session)

    @property
    def address(self) -> str:
        """Where the peer is, for messages."""
        return self._address

    @property
    def server_side(self) -> bool:
        """Whether this end accepted the connection."""
        return self._server_side

    @property
    def peer(self) -> Party:
        """Who the other end is; only after the handshake."""
        assert self._party is not None
        return self._party

    @property
    def group(self) -> str:
        """The negotiated key-exchange group; only after the handshake."""
        return str(self._connection.get_group_name())

    @property
    def resumed(self) -> bool:
        """Whether an earlier session was resumed, under a fresh key exchange; only after the handshake."""
        return self._records.resumed

    @property
    def protocol(self) -> str:
        """The negotiated application protocol; only after the handshake."""
        return self._connection.get_alpn_proto_negotiated().decode("ascii")

    @property
    def cipher(self) -> tuple[str, str, int]:
        """Cipher suite, protocol version and key bits; only after the handshake."""
        connection = self._connection
        name, version, bits = (
            connection.get_cipher_name(),
            connection.get_protocol_version_name(),
            connection.get_cipher_bits(),
        )
        return str(name), str(version), int(bits or 0)

    @property
    def pending(self) -> int:
        """Decrypted bytes that wait to be read."""
        return int(self._connection.pending())

    @property
    def due(self) -> bool:
        """Whether the policy asks for a new channel before the next message."""
        return self._used(1)

    @property
    def overdue(self) -> bool:
        """Whether twice what the policy allows has passed."""
        return self._used(2)

    def _used(self, times: int) -> bool:
        age = abs(self._check.clock() - self._began)
        moved = RECORD * max(self._records.sent, self._records.received)
        return age >= times * self._renew or moved >= times * self._policy.renew_bytes

    def handshake(self) -> bool:
        """Take the handshake further; True once both ends are verified by this one. ``ChannelRefused`` ends it."""
        self._records.spoke()
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return False
        except SSL.Error as error:
            self._refuse(error)
        self._confirm()
        return True

    def ticket(self) -> Ticket | None:
        """A client's means to resume this session, once its server has welcomed us."""
        if (session := self._connection.get_session()) is not None:
            self._ticket = Ticket(session)
        return self._ticket

    def abandon(self) -> None:
        """Let nobody resume this session: its channel ended in an error."""
        if self._ticket is not None:
            self._ticket.broken = True

    def landing(self, size: int) -> Any:
        """Room of ``size`` bytes to receive into; :meth:`landed` says how many have come."""
        return self._records.landing(size)

    def landed(self, count: int) -> None:
        """``count`` bytes, at least one, have come from the network to the :meth:`landing`."""
        self._records.landed(count)

    def feed(self, data: bytes) -> None:
        """Bytes from the network that were received elsewhere."""
        self._records.feed(data)

    @property
    def dry(self) -> bool:
        """Whether the network must bring more before :meth:`decrypt_into` has anything; False where it is unknown."""
        return self._records.dry

    @property
    def silent(self) -> bool:
        """Whether nothing waits for the network. False where that is unknown."""
        return self._records.silent

    def drain(self) -> Iterator[Any]:
        """Everything that waits for the network, in buffers of which each is good until the next is taken."""
        while len(piece := self.outgoing()):
            yield piece

    def outgoing(self) -> Any:
        """The next piece of :meth:`drain`, which is empty when nothing is left."""
        return self._records.drain()

    def encrypt(self, data: bytes | bytearray | memoryview) -> None:
        """Protect ``data``; what to send is then in :meth:`drain`."""
        try:
            self._records.write(data)
        except SSL.Error:
            raise PeerUnreachable(f"the channel with {self._address} has ended", hint="Connect again") from None

    def decrypt_into(self, space: memoryview) -> int | None:
        """Fill ``space`` with the next bytes from the peer: how many; None when the network must bring more, 0 when the
        peer closed properly.

        ``ChannelRefused`` when the peer refuses us after our side of the handshake is done (RFC 8446 section 4.4.2.4).
        """
        try:
            count = self._records.read_into(space)
        except SSL.SysCallError:
            raise PeerUnreachable(f"{self._address} ended the connection", hint="Connect again") from None
        except SSL.Error as error:
            if tls_refusal.is_alert(error):
                self._refuse(error)
            raise MessageRefused(
                f"{self._address} sent bytes that are not of this channel ({tls_refusal.reason_of(error)})",
                hint="Something altered them on the way: connect again",
            ) from None
        if count >= 0:
            return count
        if count == MORE:
            return None
        assert count == CLOSED
        self.close()  # or OpenSSL takes the session for broken
        return 0

    def close(self) -> None:
        """Queue the closing alert. Without it, the session cannot be resumed."""
        self._records.spoke()
        try:
            self._connection.shutdown()
        except SSL.Error:
            return  # it was never open, or is closed already

    def exporter(self, label: bytes, context: bytes, length: int) -> bytes:
        """Key material that only the two ends can compute (RFC 8446 section 7.5)."""
        return bytes(self._connection.export_keying_material(label, length, context))

    def _verify(self, _connection: SSL.Connection, certificate: crypto.X509, code: int, depth: int, fine: int) -> bool:
        if not fine and code not in _TIME_ERRORS:
            self._refused = tls_refusal.untrusted(self._address, certificate.to_cryptography(), code)
            return False
        if depth == 0 and self._party is None:
            try:
                der = certificate.to_cryptography().public_bytes(Encoding.DER)
                self._party = self._check.verify(der, self._policy)
            except ChannelRefused as refusal:
                self._refused = refusal
                return False
        return True

    def _confirm(self) -> None:
        certificate = self._connection.get_peer_certificate(as_cryptography=True)
        der = b"" if certificate is None else certificate.public_bytes(Encoding.DER)
        if der and self.resumed:
            self._party = self._check.verify(der, self._policy)
        if self._party is None or self._party.fingerprint != hashlib.sha256(der).digest():
            raise ChannelRefused(f"{self._address} was not verified", hint="Connect again; report it if it stays so")
        for what, negotiated, allowed in (
            ("group", self.group, self._policy.groups),
            ("cipher suite", self.cipher[0], self._policy.cipher_suites),
        ):
            if negotiated not in allowed:
                raise ChannelRefused(
                    f"{self._address} negotiated {what} {negotiated}, which {self._policy.name} does not allow",
                    hint=f"Use {_either(allowed)} on both sides",
                )
        if not self._connection.get_alpn_proto_negotiated():
            raise ChannelRefused(f"{self._address} speaks another protocol", hint="Check the address and the port")

    def _refuse(self, error: SSL.Error) -> NoReturn:
        if self._refused is not None:
            raise self._refused from None
        raise tls_refusal.explain(error, self._address, self._policy, server_side=self._server_side) from None


def _alive(method: weakref.WeakMethod[Callable[..., bool]]) -> Callable[..., bool]:
    found = method()
    assert found is not None  # whoever drives a handshake holds the session
    return found


def _either(names: Iterable[str]) -> str:
    return " or ".join(sorted(names)) or "no role"
