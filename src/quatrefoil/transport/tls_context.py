"""What a channel may negotiate, and the OpenSSL context that offers and accepts nothing else.

TLS 1.3 (RFC 8446) with hybrid key exchange (draft-ietf-tls-ecdhe-mlkem) and ML-DSA signatures
(draft-ietf-tls-mldsa) in certificates of both ends. Groups and signature algorithms are set through pyOpenSSL's
private binding, since it has no public call for them: each one is looked up, called and its answer checked, and one
that is missing is a ``HostError``, never a context that accepts more than was asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from OpenSSL import SSL, crypto

from quatrefoil.errors import HostError, ParametersRefused
from quatrefoil.transport.identity import Identity, TrustAnchor

HYBRID_GROUPS = ("X25519MLKEM768", "SecP384r1MLKEM1024", "SecP256r1MLKEM768")
"""Every group that may be named in a policy: each is as strong as the stronger of its two parts."""

SIGNATURE_ALGORITHMS = ("mldsa65", "mldsa87")
"""Leaves sign handshakes with the first; the root has signed the leaves with the second."""

CIPHER_SUITES = ("TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")

PROTOCOL = b"quatrefoil/1"
"""The name in ALPN (RFC 7301): a channel cannot be confused with another protocol under the same certificates."""

_NEEDS = "Install the versions of cryptography and pyOpenSSL that pyproject.toml names"


@dataclass(frozen=True)
class ChannelPolicy:
    """The key-exchange groups that a channel may negotiate, best first. Classical groups cannot be named."""

    groups: tuple[str, ...] = ("X25519MLKEM768", "SecP384r1MLKEM1024")

    def __post_init__(self) -> None:
        unknown = [group for group in self.groups if group not in HYBRID_GROUPS]
        if unknown or not self.groups:
            raise ParametersRefused(
                f"{unknown[0]!r} is not a post-quantum hybrid group" if unknown else "a channel policy names no group",
                hint=f"Use groups among {', '.join(HYBRID_GROUPS)}",
            )


HYBRID = ChannelPolicy()


class TlsContext:
    """The OpenSSL context of one identity under one policy: shared by its channels, never changed afterwards."""

    def __init__(self, identity: Identity, trust: TrustAnchor, *, policy: ChannelPolicy, protocol: bytes = PROTOCOL):
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_min_proto_version(SSL.TLS1_3_VERSION)
        context.set_tls13_ciphersuites(":".join(CIPHER_SUITES).encode())
        # A resumed session would skip the certificates; every channel shows them afresh.
        context.set_options(SSL.OP_NO_TICKET)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        _set_names(context, "SSL_CTX_set1_curves_list", policy.groups)
        _set_names(context, "SSL_CTX_set1_sigalgs_list", SIGNATURE_ALGORITHMS)
        store = context.get_cert_store()
        if store is None:
            raise HostError("OpenSSL gave no certificate store", hint=_NEEDS)
        for root in trust.roots:
            store.add_cert(crypto.X509.from_cryptography(root))
        context.use_certificate(identity.certificate)
        _use_key(context, identity)
        context.check_privatekey()
        context.set_alpn_protos([protocol])
        context.set_alpn_select_callback(
            lambda _connection, offered: protocol if protocol in offered else SSL.NO_OVERLAPPING_PROTOCOLS
        )
        self._context = context
        self._policy = policy

    @property
    def policy(self) -> ChannelPolicy:
        return self._policy

    def connection(self) -> SSL.Connection:
        """A new connection between memory buffers."""
        return SSL.Connection(self._context, None)


def require_support() -> str:
    """The OpenSSL version that channels use, or ``HostError`` when this host cannot make them."""
    context = SSL.Context(SSL.TLS_METHOD)
    _set_names(context, "SSL_CTX_set1_curves_list", HYBRID_GROUPS)
    _set_names(context, "SSL_CTX_set1_sigalgs_list", SIGNATURE_ALGORITHMS)
    if not hasattr(SSL.Connection, "get_group_name"):
        raise HostError("pyOpenSSL cannot tell which group was negotiated", hint=_NEEDS)
    return str(SSL.OpenSSL_version(SSL.OPENSSL_VERSION).decode())


def _set_names(context: SSL.Context, function: str, names: tuple[str, ...]) -> None:
    if _private(function)(context._context, ":".join(names).encode()) != 1:
        raise HostError(f"OpenSSL does not take {', '.join(names)} ({function})", hint=_NEEDS)


def _use_key(context: SSL.Context, identity: Identity) -> None:
    # pyOpenSSL's public call knows no ML-DSA keys; the one beneath it takes any that OpenSSL can load.
    der = identity.private_key().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    key = crypto.load_privatekey(crypto.FILETYPE_ASN1, der)
    if _private("SSL_CTX_use_PrivateKey")(context._context, key._pkey) != 1:
        raise HostError(f"OpenSSL does not take the key of {identity.name!r}", hint=_NEEDS)


def _private(function: str) -> Callable[..., int]:
    call: Callable[..., int] | None = getattr(_binding(), function, None)
    if call is None:
        raise HostError(f"this pyOpenSSL has no {function}", hint=_NEEDS)
    return call


def _binding() -> object:
    return getattr(SSL, "_lib", None)


__all__ = [
    "HYBRID",
    "HYBRID_GROUPS",
    "PROTOCOL",
    "SIGNATURE_ALGORITHMS",
    "ChannelPolicy",
    "TlsContext",
    "require_support",
]
