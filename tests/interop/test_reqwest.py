"""pyreqwest, which is reqwest over rustls and AWS-LC, speaks HTTP to our TLS under uvicorn. Nothing of it is OpenSSL.

rustls verifies our ML-DSA chain, shows an ML-DSA certificate of its own, and negotiates X25519MLKEM768: all three are
looked at, and so is what it says when it does not believe us.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import mldsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from http_service import Service, serving
from pyreqwest.client import SyncClientBuilder
from pyreqwest.exceptions import ConnectError, RequestError
from tests.transport import forgery

from quatrefoil.errors import ChannelRefused, PeerError
from quatrefoil.transport import ChannelPolicy, Identity
from support import Consortium

GROUP = "X25519MLKEM768"


@pytest.fixture(scope="module")
def service(consortium: Consortium):
    with serving(consortium) as running:
        yield running


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def identity_pem(key: Any, certificate: x509.Certificate) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + pem(certificate)


def shown(identity: Identity) -> bytes:
    return identity_pem(identity.private_key(), identity.certificate)


def client(consortium: Consortium, identity: bytes | None = None) -> SyncClientBuilder:
    """A builder that trusts the consortium's root, and shows ``identity``: by default Cleveland's."""
    builder = SyncClientBuilder().add_root_certificate_pem(pem(consortium.authority.root))
    return builder.identity_pem(shown(consortium.identity("cleveland", "silo")) if identity is None else identity)


def without_identity(consortium: Consortium) -> SyncClientBuilder:
    return SyncClientBuilder().add_root_certificate_pem(pem(consortium.authority.root))


def ask(builder: SyncClientBuilder, url: str, body: bytes = b"") -> bytes:
    with builder.build() as session:
        return bytes(session.post(url).body_bytes(body).build().send().bytes())


def told(error: RequestError) -> str:
    """Everything that rustls said, from the outside in."""
    return "; ".join(cause["message"] for cause in error.details["causes"])


def refused(builder: SyncClientBuilder, service: Service, host: str = "localhost") -> tuple[str, PeerError]:
    """What rustls says of a connection that must not come about, and what we report of it."""
    with pytest.raises(ConnectError) as error:
        ask(builder, f"https://{host}:{service.port}/")
    return told(error.value), service.refusal()


# ------------------------------------------------------------------------------------------------ what must work


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_a_request_is_answered_over_hybrid_groups_and_ml_dsa_at_both_ends(consortium, service, host, size):
    before = len(service.objects)
    body = bytes(range(256)) * (size // 256) + bytes(size % 256)
    assert ask(client(consortium), f"https://{host}:{service.port}/round", body) == b"POST /round " + body
    assert service.refused_none()
    (tls,) = service.objects[before:]
    assert (tls.group, tls.version(), tls.selected_alpn_protocol()) == (GROUP, "TLSv1.3", "http/1.1")
    assert tls.cipher()[0] == "TLS_AES_256_GCM_SHA384"
    assert (tls.peer.name, tls.peer.role) == ("cleveland", "silo")
    assert isinstance(tls.peer.public_key, mldsa.MLDSA65PublicKey)


def test_a_second_request_goes_over_the_first_connection(consortium, service):
    before = len(service.objects)
    with client(consortium).build() as session:
        for path in ("one", "two"):
            url = f"https://localhost:{service.port}/{path}"
            assert session.get(url).build().send().bytes() == f"GET /{path} ".encode()
    assert len(service.objects) == before + 1


# ------------------------------------------------------------------------------------- what we refuse, and say why


def test_a_client_without_a_certificate_is_refused(consortium, service):
    _, refusal = refused(without_identity(consortium), service)
    assert isinstance(refusal, ChannelRefused) and "presented no ML-DSA certificate" in refusal.problem


def test_a_client_of_another_root_is_refused(consortium, stranger, service):
    _, refusal = refused(client(consortium, shown(stranger.identity("cleveland", "silo"))), service)
    assert "signed by no trusted root (issuer: CN=other-root" in refusal.problem


def test_a_client_of_another_role_is_refused(consortium, service):
    _, refusal = refused(client(consortium, shown(consortium.identity("keeper", "keeper"))), service)
    assert refusal.problem == "'keeper' is certified as keeper, and this channel is for silo"


def test_a_classical_certificate_is_never_shown_to_us(consortium, service):
    """We ask for ML-DSA only, so rustls shows nothing; test_refusals.py has a client that shows it all the same."""
    _, refusal = refused(client(consortium, identity_pem(*forgery.classical())), service)
    assert "presented no ML-DSA certificate" in refusal.problem


CLIENTS = {
    "expired": "expired at",
    "not yet valid": "is valid only from",
    "not for clients": "is not for this use",
    "may sign certificates": "is not for this use",
    "two roles": "does not name exactly one party in one known role",
    "weaker key": "presented no ML-DSA certificate",  # rustls has none for the algorithms that we ask for
}


@pytest.mark.parametrize("defect", CLIENTS)
def test_a_certificate_outside_the_profile_is_refused(consortium, service, defect):
    recipe, _ = forgery.DEFECTS[defect]
    _, refusal = refused(client(consortium, identity_pem(*forgery.forge(recipe, consortium))), service)
    assert isinstance(refusal, ChannelRefused) and CLIENTS[defect] in refusal.problem


@pytest.mark.parametrize(
    ("weaken", "expected"),
    [
        (lambda builder: builder.max_tls_version("TLSv1.2"), "does not speak TLS 1.3"),
        (lambda builder: builder.danger_accept_invalid_certs(True), "offers no certificate of policy"),
    ],
    ids=["TLS 1.2", "accepts any certificate"],
)
def test_a_client_that_is_set_lower_is_refused(consortium, service, weaken: Callable[..., Any], expected):
    """That reqwest offers no ML-DSA once it is told to accept anything is its own doing: it lists what it ignores."""
    _, refusal = refused(weaken(client(consortium)), service)
    assert expected in refusal.problem


@pytest.mark.parametrize("group", ["SecP384r1MLKEM1024", "SecP256r1MLKEM768"])
def test_a_policy_whose_groups_rustls_does_not_offer_is_not_lowered_for_it(consortium, group):
    with serving(consortium, policy=ChannelPolicy("strict", (group,))) as strict:
        _, refusal = refused(client(consortium), strict)
        assert f"offers no key exchange of policy strict, none of {group}" in refusal.problem


# ------------------------------------------------------------------------------------- what rustls refuses of ours


def test_rustls_refuses_a_server_of_another_root(consortium, stranger, service):
    said, refusal = refused(client(stranger, shown(consortium.identity("cleveland", "silo"))), service)
    assert "invalid peer certificate: UnknownIssuer" in said
    assert "does not trust the root of our certificate" in refusal.problem


def test_rustls_refuses_a_server_of_another_name(consortium, service):
    builder = client(consortium).resolve("hub.example.org", "127.0.0.1", service.port)
    said, refusal = refused(builder, service, "hub.example.org")
    assert 'certificate not valid for name "hub.example.org"' in said
    assert "refused our certificate, its name or its role" in refusal.problem


NOT_FOR_SERVERS = replace(forgery.GOOD, extended=(ExtendedKeyUsageOID.CLIENT_AUTH,))

SERVERS = {
    "expired": (forgery.DEFECTS["expired"][0], "certificate expired"),
    "not yet valid": (forgery.DEFECTS["not yet valid"][0], "certificate not valid yet"),
    "not for servers": (NOT_FOR_SERVERS, "invalid peer certificate: Other(OtherError(EkuError))"),
    "unknown critical extension": (forgery.DEFECTS["unknown critical extension"][0], "UnsupportedCriticalExtension"),
}


@pytest.mark.parametrize("defect", SERVERS)
def test_rustls_refuses_a_server_certificate_with_a_defect(consortium, defect):
    recipe, expected = SERVERS[defect]
    with serving(consortium, identity=Identity(*forgery.forge(recipe, consortium))) as running:
        said, refusal = refused(client(consortium), running)
        assert expected in said
        assert "refused" in refusal.problem
