"""``cnsa-2.0``: ML-KEM-1024 and ML-DSA-87 at every step, and nobody who has less."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from listening import dial, dialer, listening, visit
from OpenSSL import SSL
from test_refusals import answering, exchange, openssl, refusals_of

from quatrefoil.errors import ChannelRefused, HostError
from quatrefoil.transport import CNSA_2_0, HYBRID_1024, FixedCredentials, Identity, Standing
from quatrefoil.transport.tls_context import TlsContext
from support import Consortium


@pytest.fixture(scope="module")
def strong(consortium: Consortium, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Identity]:
    """A silo and an aggregator with keys of ML-DSA-87."""
    folder: Path = tmp_path_factory.mktemp("strong")
    return {
        role: consortium.authority.issue(name, role, directory=folder / role, algorithm="ml-dsa-87")
        for name, role in (("cleveland", "silo"), ("hub", "aggregator"))
    }


def test_two_parties_with_keys_of_ml_dsa_87(consortium, strong):
    with listening(consortium, policy=CNSA_2_0, identity=strong["aggregator"]) as server:
        with dial(consortium, server.port, policy=CNSA_2_0, identity=strong["silo"]) as channel:
            channel.send(b"hello")
            assert channel.receive(5) == b"hello"
            assert channel.group == "MLKEM1024"
            assert channel._session.cipher[0] == "TLS_AES_256_GCM_SHA384"
        again = dialer(
            consortium,
            server.port,
            policy=CNSA_2_0,
            credentials=FixedCredentials(strong["silo"], consortium.trust),
        )
        assert [visit(again) for _ in range(3)] == [False, True, True]


def test_a_key_of_ml_dsa_65_is_refused_at_home_and_by_name(consortium):
    with pytest.raises(HostError, match="the key of 'cleveland' is not mldsa87, as cnsa-2"):
        dial(consortium, 1, policy=CNSA_2_0)
    hub = Standing(consortium.identity("hub", "aggregator"), consortium.trust)
    with pytest.raises(HostError, match="the key of 'hub' is not mldsa87"):
        TlsContext(hub, policy=CNSA_2_0)


def test_a_client_with_a_key_of_ml_dsa_65_is_refused(consortium, strong):
    weak = consortium.identity("cleveland", "silo")
    context = openssl("MLKEM1024", "mldsa65:mldsa87", weak.private_key(), weak.certificate)
    with listening(consortium, policy=CNSA_2_0, identity=strong["aggregator"]) as server:
        with pytest.raises(SSL.Error), socket.create_connection(("127.0.0.1", server.port)) as stream:
            exchange(context, stream, server=False)
        assert isinstance(server.refusal(), ChannelRefused)
    assert server.peers == []


def test_a_server_with_a_key_of_ml_dsa_65_is_refused(consortium, strong):
    weak = consortium.identity("hub", "aggregator")
    context = openssl("MLKEM1024", "mldsa65:mldsa87", weak.private_key(), weak.certificate)
    with answering(lambda connection: exchange(context, connection, server=True)) as port:
        for refusal in refusals_of(consortium, port, policy=CNSA_2_0, identity=strong["silo"]):
            assert "of policy cnsa-2.0" in refusal.problem


@pytest.mark.parametrize("group", ["X25519", "X25519MLKEM768", "SecP384r1MLKEM1024", "MLKEM768"])
def test_a_client_that_offers_another_group_is_refused(consortium, strong, group):
    context = openssl(group, "mldsa87", strong["silo"].private_key(), strong["silo"].certificate)
    with listening(consortium, policy=CNSA_2_0, identity=strong["aggregator"]) as server:
        with pytest.raises(SSL.Error), socket.create_connection(("127.0.0.1", server.port)) as stream:
            exchange(context, stream, server=False)
        assert "offers no key exchange of policy cnsa-2.0, none of MLKEM1024" in server.refusal().problem


def test_a_party_of_a_hybrid_policy_and_one_of_cnsa_have_nothing_in_common(consortium, strong):
    with listening(consortium, policy=HYBRID_1024, identity=strong["aggregator"]) as server:
        for refusal in refusals_of(consortium, server.port, policy=CNSA_2_0, identity=strong["silo"]):
            assert "of policy cnsa-2.0" in refusal.problem
        assert "of policy hybrid-1024" in server.refusal().problem


def test_the_kind_of_key_is_read_back_even_if_openssl_took_it(consortium, strong, monkeypatch):
    from quatrefoil.transport.policies import ChannelPolicy

    both = property(lambda self: ("mldsa65", "mldsa87"))
    monkeypatch.setattr(ChannelPolicy, "signature_algorithms", both)
    with listening(consortium, policy=CNSA_2_0, identity=strong["aggregator"]) as server:
        weak = consortium.identity("cleveland", "silo")
        context = openssl("MLKEM1024", "mldsa65:mldsa87", weak.private_key(), weak.certificate)
        with pytest.raises(SSL.Error), socket.create_connection(("127.0.0.1", server.port)) as stream:
            exchange(context, stream, server=False)
        assert "the key of 'cleveland' is not mldsa87, as cnsa-2.0 asks for" in server.refusal().problem
