"""Who a client is towards a server, and the web that it asks over by default."""

from __future__ import annotations

from quatrefoil.attested import LARGEST_ATTESTATION
from quatrefoil.client.exchanges import sealed_limit
from quatrefoil.client.outer import Web
from quatrefoil.client.pinning import ANSWER_S
from quatrefoil.errors import CallerError
from quatrefoil.exchange import ServingPolicy, protocol
from quatrefoil.transport import (
    Clock,
    Credentials,
    FixedCredentials,
    HybridContext,
    Identity,
    TrustAnchor,
)

MARGIN_S = 10.0
"""Seconds beyond those that the policy gives the server, for the way there and back."""

ALPN = b"http/1.1"


def standing(identity: Identity | None, trust: TrustAnchor | None, credentials: Credentials | None) -> Credentials:
    """Who asks and whom they believe: given in one of two ways."""
    if credentials is not None:
        if identity is not None or trust is not None:
            raise CallerError(
                "both credentials and an identity or roots were given", hint="Give credentials, or identity and trust"
            )
        return credentials
    if identity is None or trust is None:
        raise CallerError(
            "there is nobody to be towards the server", hint="Give identity and trust, as `quatrefoil ca` makes them"
        )
    return FixedCredentials(identity, trust)


def over_tls(credentials: Credentials, policy: ServingPolicy, clock: Clock) -> Web:
    # Here, since aiohttp is an extra: without it DependencyMissing says which.
    from quatrefoil.web.client import WebClient
    from quatrefoil.web.limits import ClientLimits

    context = HybridContext(
        credentials,
        allow_roles=(protocol.SERVER_ROLE,),
        clock=clock,
        protocol=ALPN,
        on_refused=lambda _refusal: None,
    )
    whole, stream = policy.limits.seconds + MARGIN_S, policy.limits.stream_seconds + MARGIN_S
    limits = ClientLimits(
        answer_seconds=whole + ANSWER_S,
        idle_seconds=min(stream, max(60.0, whole)),
        total_seconds=whole + stream,
        answer_bytes=max(LARGEST_ATTESTATION, sealed_limit(policy)),
    )
    return WebClient(tls=context, limits=limits)
