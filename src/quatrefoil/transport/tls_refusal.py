"""Why a handshake failed, in words: OpenSSL's reason and the peer's alert, told apart by who refused what."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509
from OpenSSL import SSL

from quatrefoil.errors import ChannelRefused
from quatrefoil.transport.policies import ChannelPolicy

_NO_GROUP = ("no suitable key share", "no suitable groups", "bad key share", "no shared group", "unsupported group")
_NO_SIGNATURE = (
    "no suitable signature algorithm",
    "no shared signature algorithms",
    "wrong signature type",
    "unknown certificate type",
    "no matching signature",
)
_NO_CERTIFICATE = ("peer did not return a certificate", "certificate required")
_NOT_TLS13 = (
    "unsupported protocol",
    "wrong version number",
    "http request",
    "record layer failure",
    "unexpected message",
    "no protocols available",
    "version too low",
    "protocol version",
)
_CERTIFICATE_ALERTS = (
    "internal error",
    "bad certificate",
    "certificate unknown",
    "certificate expired",
    "unsupported cert",
)
"""The first is what OpenSSL sends when a check of the certificate profile fails, rather than one of its own."""

_NO_ROOT = (2, 18, 19, 20, 21)
"""X509_V_ERR of OpenSSL when no chain leads to a root: issuer not found, or self-signed."""

_DEFECTS = {
    7: "carries a signature that its issuer did not make",
    26: "is not for this use: its key usage or extended key usage is another",
    34: "holds a critical extension that is not of the profile",
}
"""What a chain that does lead to a root may still have wrong, by X509_V_ERR."""

_NEITHER = ("handshake failure", "illegal parameter", "insufficient security")


def reason_of(error: SSL.Error) -> str:
    """OpenSSL's reason in a few words."""
    queue = error.args[0] if error.args else ()
    if isinstance(queue, (list, tuple)) and queue:
        return str(queue[-1][-1])
    return str(error) or type(error).__name__


def is_alert(error: SSL.Error) -> bool:
    """Whether the peer sent an alert, rather than something that we could not accept."""
    return "alert" in reason_of(error)


def explain(error: SSL.Error, address: str, policy: ChannelPolicy, *, server_side: bool) -> ChannelRefused:
    """The refusal that fits ``error``, for people: what the peer lacks, and what to do."""
    if isinstance(error, SSL.SysCallError):
        return ChannelRefused(
            f"{address} ended the connection during the handshake", hint="Ask its operator why; its log may say"
        )
    reason = reason_of(error)
    groups, signatures = ", ".join(policy.groups), ", ".join(policy.leaf_signatures)
    upgrade = "Upgrade its TLS library, or agree on one policy; classical cryptography is never accepted"
    if is_alert(error):
        return _peer_refused(reason, address, policy, server_side=server_side)
    if _matches(reason, _NO_GROUP):
        return ChannelRefused(
            f"{address} offers no key exchange of policy {policy.name}, none of {groups} ({reason})", hint=upgrade
        )
    if _matches(reason, _NO_SIGNATURE):
        return ChannelRefused(
            f"{address} offers no certificate of policy {policy.name}, none of {signatures} ({reason})", hint=upgrade
        )
    if _matches(reason, _NO_CERTIFICATE):
        return ChannelRefused(
            f"{address} presented no ML-DSA certificate ({reason})",
            hint="Give it an identity of `quatrefoil ca`; classical certificates are never accepted",
        )
    if _matches(reason, _NOT_TLS13):
        return ChannelRefused(f"{address} does not speak TLS 1.3 ({reason})", hint=upgrade)
    return ChannelRefused(f"{address} failed the handshake ({reason})", hint="Check the address and the port")


def untrusted(address: str, certificate: x509.Certificate, code: int) -> ChannelRefused:
    """The refusal of a certificate whose chain OpenSSL did not accept. ``code``: its X509_V_ERR, which says why."""
    who = f"certificate {certificate.subject.rfc4514_string()[:100]} of {address}"
    issuer = certificate.issuer.rfc4514_string()[:100]
    if code in _NO_ROOT:
        return ChannelRefused(
            f"{who} is signed by no trusted root (issuer: {issuer}; verify error {code})",
            hint="Check that both sides hold one root.pem",
        )
    return ChannelRefused(
        f"{who} {_DEFECTS.get(code, 'is not of the profile')} (verify error {code})",
        hint="Have `quatrefoil ca` issue one",
    )


def _peer_refused(reason: str, address: str, policy: ChannelPolicy, *, server_side: bool) -> ChannelRefused:
    if _matches(reason, _NOT_TLS13):
        return ChannelRefused(f"{address} does not speak TLS 1.3 ({reason})", hint="Upgrade its TLS library")
    if _matches(reason, _NEITHER) and not server_side:
        groups, signatures = ", ".join(policy.groups), ", ".join(policy.leaf_signatures)
        return ChannelRefused(
            f"{address} takes no key exchange or no certificate of policy {policy.name}: {groups}; "
            f"{signatures} ({reason})",
            hint="Upgrade its TLS library, or agree on one policy; classical cryptography is never accepted",
        )
    if "unknown ca" in reason or "decrypt error" in reason:
        problem = f"{address} does not trust the root of our certificate ({reason})"
    elif _matches(reason, _CERTIFICATE_ALERTS):
        problem = f"{address} refused our certificate, its name or its role ({reason})"
    else:
        problem = f"{address} refused us ({reason})"
    return ChannelRefused(problem, hint="Ask its operator why; its log names the check that failed")


def _matches(reason: str, patterns: Sequence[str]) -> bool:
    return any(pattern in reason for pattern in patterns)
