"""s2n-tls over AWS-LC, by way of awscrt: the one peer that has a share for each of the three hybrid groups.

As it comes it offers no ML-DSA signatures, so that no channel comes about: we refuse it for that, under each policy,
and the control shows that its shares are good.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from awscrt import http, io
from awscrt.exceptions import AwsCrtError
from classical_server import classical_server
from cryptography.hazmat.primitives.serialization import Encoding
from tests.transport.listening import listening

from quatrefoil.errors import ChannelRefused
from quatrefoil.transport import ChannelPolicy
from quatrefoil.transport.policies import HYBRID_768

PREFERENCES = [io.TlsCipherPref.DEFAULT, io.TlsCipherPref.PQ_DEFAULT]


@contextmanager
def trying(
    port: int, *, root: bytes | None, protocol: str, preference: io.TlsCipherPref, identity: Any = None
) -> Iterator[Any]:
    """A connection of s2n, to come, is tried; without ``root``, it believes any certificate."""
    options = io.TlsContextOptions()
    if identity is not None:
        options = io.TlsContextOptions.create_client_with_mtls_from_path(
            str(identity / "certificate.pem"), str(identity / "key.pem")
        )
    options.cipher_pref = preference
    if root is None:
        options.verify_peer = False
    else:
        options.override_default_trust_store(root)
    connection = io.ClientTlsContext(options).new_connection_options()
    connection.set_server_name("localhost")
    connection.set_alpn_list([protocol])
    group = io.EventLoopGroup(1)
    bootstrap = io.ClientBootstrap(group, io.DefaultHostResolver(group))
    future = http.HttpClientConnection.new("localhost", port, bootstrap, tls_connection_options=connection)
    yield future
    if future.exception(10) is None:
        with suppress(AwsCrtError):  # the server was faster
            future.result().close().result(10)


@pytest.mark.parametrize("group", HYBRID_768.groups)
@pytest.mark.parametrize("preference", PREFERENCES, ids=lambda one: one.name)
def test_its_share_for_each_group_is_one_that_we_can_use(group: str, preference: io.TlsCipherPref):
    with (
        classical_server(group, b"http/1.1") as (port, _, seen),
        trying(port, root=None, protocol="http/1.1", preference=preference) as connection,
    ):
        connection.result(10).request(http.HttpRequest("GET", "/round")).activate()
        assert seen.get(timeout=10).startswith(f"{group} b'GET /round HTTP/1.1")


@pytest.mark.parametrize("group", HYBRID_768.groups)
@pytest.mark.parametrize("shows", ["nothing", "ML-DSA"])
def test_it_is_refused_for_its_signatures_under_each_policy(consortium, group: str, shows: str):
    silo, root = consortium.identity("cleveland", "silo"), consortium.authority.root.public_bytes(Encoding.PEM)
    assert silo.role == "silo"
    with (
        listening(consortium, policy=ChannelPolicy("strict", (group,))) as server,
        trying(
            server.port,
            root=root,
            protocol="quatrefoil/1",
            preference=io.TlsCipherPref.PQ_DEFAULT,
            identity=consortium.folder("cleveland", "silo") if shows == "ML-DSA" else None,
        ),
    ):
        refusal = server.refusal()
        assert isinstance(refusal, ChannelRefused)
        assert "offers no certificate of policy" in refusal.problem
        assert server.peers == []


def test_set_to_classical_groups_it_is_refused_for_those(consortium):
    root, classical = consortium.authority.root.public_bytes(Encoding.PEM), io.TlsCipherPref.TLSv1_2_2025_07
    with (
        listening(consortium) as server,
        trying(server.port, root=root, protocol="quatrefoil/1", preference=classical),
    ):
        assert "offers no key exchange of policy hybrid-768, none of X25519MLKEM768" in server.refusal().problem


def test_and_a_server_of_classical_groups_can_use_that_setting():
    """The control: it is TLS 1.3 that is spoken there, with nothing missing but a hybrid group."""
    with (
        classical_server("P-256", b"http/1.1") as (port, _, seen),
        trying(port, root=None, protocol="http/1.1", preference=io.TlsCipherPref.TLSv1_2_2025_07) as connection,
    ):
        connection.result(10).request(http.HttpRequest("GET", "/round")).activate()
        assert seen.get(timeout=10).startswith("secp256r1 b'GET /round HTTP/1.1")
