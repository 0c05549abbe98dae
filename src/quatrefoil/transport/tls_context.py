"""The OpenSSL context that offers and accepts what a channel policy names and nothing else.

TLS 1.3 (RFC 8446) with post-quantum key exchange (draft-ietf-tls-ecdhe-mlkem, draft-ietf-tls-mlkem) and ML-DSA
signatures (draft-ietf-tls-mldsa) in certificates of both ends.

Sessions that may be resumed are remembered in the server's memory (RFC 8446 section 4.6.1, with the session's name as
the ticket): there is no ticket key to steal, and what was remembered ends with the context. A session is resumed with a
fresh key exchange (``psk_dhe_ke``, the only mode that OpenSSL offers by default); there is no early data.
"""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from OpenSSL import SSL, crypto

from quatrefoil.errors import HostError
from quatrefoil.transport.credentials import Credentials, Standing
from quatrefoil.transport.identity import Clock, Identity
from quatrefoil.transport.policies import GROUPS, SIGNATURE_ALGORITHMS, ChannelPolicy
from quatrefoil.transport.tls_binding import NEEDS, NO_AUTO_CHAIN, Records, attribute, function

PROTOCOL = b"quatrefoil/1"
"""The name in ALPN (RFC 7301): a channel cannot be confused with another protocol under the same certificates."""

MOST_SESSIONS = 4096
"""Handshakes that one context makes, where it remembers sessions: about 30 kB each."""

MOST_TICKETS = 16
"""Sessions that a client keeps to resume, each once."""


@dataclass
class Ticket:
    """A session that a client may resume once. ``broken``: its channel ended in an error, and it is not offered."""

    session: SSL.Session
    broken: bool = False


class TlsContext:
    """The OpenSSL context of one standing under one policy: shared by its channels, never changed afterwards.

    ``remember``: whether a server lets its peers resume, within the limit of the policy.
    """

    def __init__(
        self, standing: Standing, *, policy: ChannelPolicy, protocol: bytes = PROTOCOL, remember: bool = False
    ) -> None:
        _require_leaf(standing.identity, policy)
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_min_proto_version(SSL.TLS1_3_VERSION)
        context.set_tls13_ciphersuites(":".join(policy.cipher_suites).encode())
        context.set_options(SSL.OP_NO_TICKET)
        context.set_session_cache_mode(
            SSL.SESS_CACHE_SERVER if remember and policy.resume_seconds else SSL.SESS_CACHE_OFF
        )
        context.set_timeout(max(1, policy.resume_seconds))
        context.set_session_id(hashlib.sha256(b"quatrefoil channel %s %s" % (policy.name.encode(), protocol)).digest())
        context.set_mode(NO_AUTO_CHAIN)
        _set_names(context, "SSL_CTX_set1_curves_list", policy.groups)
        _set_names(context, "SSL_CTX_set1_sigalgs_list", policy.signature_algorithms)
        store = context.get_cert_store()
        if store is None:
            raise HostError("OpenSSL gave no certificate store", hint=NEEDS)
        for root in standing.trust.roots:
            store.add_cert(crypto.X509.from_cryptography(root))
        context.use_certificate(standing.identity.certificate)
        _use_key(context, standing.identity)
        context.check_privatekey()
        context.set_alpn_protos([protocol])
        context.set_alpn_select_callback(
            lambda _connection, offered: protocol if protocol in offered else SSL.NO_OVERLAPPING_PROTOCOLS
        )
        self._context = context
        self._policy = policy
        self.standing = standing
        self.tickets: deque[Ticket] = deque(maxlen=MOST_TICKETS)
        """A client's sessions to resume; whoever takes one removes it. They end with the context."""

    @property
    def policy(self) -> ChannelPolicy:
        return self._policy

    def connection(self) -> SSL.Connection:
        """A new connection between memory buffers."""
        return SSL.Connection(self._context, None)


class ContextCache:
    """A context that stays until its standing changes, its time to resume is over, or it has made enough handshakes.

    With it go the sessions that it remembers: nobody resumes what was agreed under another key, root or policy.
    """

    def __init__(
        self, credentials: Credentials, *, policy: ChannelPolicy, clock: Clock, protocol: bytes = PROTOCOL
    ) -> None:
        self._credentials = credentials
        self._policy = policy
        self._clock = clock
        self._protocol = protocol
        self._lock = threading.Lock()
        self._made: tuple[TlsContext, datetime] | None = None
        self._uses = 0

    def current(self) -> TlsContext:
        """The context for one handshake that begins now."""
        standing, now = self._credentials.current(), self._clock()
        with self._lock:
            if self._made is None or self._is_over(*self._made, standing, now):
                context = TlsContext(standing, policy=self._policy, protocol=self._protocol, remember=True)
                self._made, self._uses = (context, now), 0
            self._uses += 1
            return self._made[0]

    def _is_over(self, context: TlsContext, made: datetime, standing: Standing, now: datetime) -> bool:
        if not self._policy.resume_seconds:  # it remembers nothing, and serves as long as its standing
            return context.standing is not standing
        age = abs(now - made)  # a clock that was set back ends it as well
        over = age > timedelta(seconds=self._policy.resume_seconds) or self._uses >= MOST_SESSIONS
        return over or context.standing is not standing


def require_support() -> str:
    """The OpenSSL version that channels use, or ``HostError`` when this host cannot make them."""
    context = SSL.Context(SSL.TLS_METHOD)
    _set_names(context, "SSL_CTX_set1_curves_list", GROUPS)
    _set_names(context, "SSL_CTX_set1_sigalgs_list", SIGNATURE_ALGORITHMS)
    if not hasattr(SSL.Connection, "get_group_name"):
        raise HostError("pyOpenSSL cannot tell which group was negotiated", hint=NEEDS)
    Records(SSL.Connection(context, None))
    return str(SSL.OpenSSL_version(SSL.OPENSSL_VERSION).decode())


def _require_leaf(identity: Identity, policy: ChannelPolicy) -> None:
    if not isinstance(identity.certificate.public_key(), policy.leaf_keys):
        raise HostError(
            f"the key of {identity.name!r} is not {' or '.join(policy.leaf_signatures)}, as {policy.name} asks for",
            hint="Have a certificate issued for such a key, or agree on another policy",
        )


def _set_names(context: SSL.Context, name: str, names: tuple[str, ...]) -> None:
    if function(name)(attribute(context, "_context"), ":".join(names).encode()) != 1:
        raise HostError(f"OpenSSL does not take {', '.join(names)} ({name})", hint=NEEDS)


def _use_key(context: SSL.Context, identity: Identity) -> None:
    # pyOpenSSL's public call knows no ML-DSA keys; the one beneath it takes any that OpenSSL can load.
    der = identity.private_key().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    key = crypto.load_privatekey(crypto.FILETYPE_ASN1, der)
    if function("SSL_CTX_use_PrivateKey")(attribute(context, "_context"), attribute(key, "_pkey")) != 1:
        raise HostError(f"OpenSSL does not take the key of {identity.name!r}", hint=NEEDS)


__all__ = ["MOST_SESSIONS", "PROTOCOL", "ContextCache", "Ticket", "TlsContext", "require_support"]
