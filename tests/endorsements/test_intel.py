"""Collateral from Intel's service and from a cache: taken if all is signed, asked for and current; else refused."""

from __future__ import annotations

import hashlib
import json
import urllib.parse
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st
from vendors import Reply, Route, Server, intel, pem, platform

import shared_vectors
from dcap_quotes import AT, FMSPC, SGX, Platform, authority, certificate, revocation_list, root
from dcap_quotes import pem as pem_of
from quatrefoil.enclave import tdx
from quatrefoil.enclave.collateral import Collateral
from quatrefoil.enclave.evidence import Evidence
from quatrefoil.enclave.tdx import roots
from quatrefoil.endorsements import intel as client
from quatrefoil.endorsements import needs
from quatrefoil.endorsements.fetching import Services
from quatrefoil.endorsements.needs import IntelNeed
from quatrefoil.endorsements.parts import Fetched
from quatrefoil.endorsements.web import Web
from quatrefoil.errors import EvidenceRejected, MessageRefused, PeerUnreachable

NEED = IntelNeed("TDX", FMSPC, "platform")
TCB = f"/tdx/certification/v4/tcb?fmspc={FMSPC}"
IDENTITY = "/tdx/certification/v4/qe/identity"
LIST = "/sgx/certification/v4/pckcrl?ca=platform&encoding=der"
EARLY = AT - timedelta(days=1)


def fetch(server: Server, web: Web, services: Services, need: IntelNeed = NEED, at: datetime = AT) -> Fetched:
    trusted = root()
    return client.fetch(need, web, at, trusted, service=server.url, root_list=services.root_list)


@pytest.mark.parametrize(("kind", "made"), [("tdx", Platform()), ("tdx", Platform(version=5)), ("sgx", SGX)])
def test_what_is_fetched_verifies_the_quote(
    server: Server, web: Web, services: Services, kind: str, made: Platform
) -> None:
    server.routes |= platform(kind)
    (need,) = needs.of(made.evidence()).needs
    assert isinstance(need, IntelNeed)
    found = fetch(server, web, services, need)
    given = Collateral(documents={"fetched": found.data})
    assert not tdx.verify(made.evidence(), given, AT, root=root()).failed
    assert found.name == f"intel-{kind}-{FMSPC.lower()}-platform.json"
    assert [urllib.parse.urlsplit(source).path for source in found.sources] == [
        f"/{kind}/certification/v4/tcb",
        f"/{kind}/certification/v4/qe/identity",
        "/sgx/certification/v4/pckcrl",
        "/root.der",
    ]


def test_a_cache_writes_lists_in_hexadecimal(server: Server, web: Web) -> None:
    document = Platform().document()
    server.routes |= intel(document, "tdx", FMSPC, cache=True)
    services = Services.with_cache(f"{server.url}/sgx/certification/v4/")
    found = client.fetch(NEED, web, AT, root(), service=services.pcs, root_list=services.root_list)
    assert json.loads(found.data)["root_ca_crl"] == json.loads(document)["root_ca_crl"]


@pytest.mark.parametrize("form", ["hex", "HEX", "pem"])
def test_lists_in_other_forms(server: Server, web: Web, services: Services, form: str) -> None:
    server.routes |= platform()
    sent = server.routes[LIST]
    assert isinstance(sent, Reply)
    body = {"hex": sent.body.hex().encode() + b"\n", "HEX": sent.body.hex().upper().encode()}.get(form)
    server.routes[LIST] = sent.with_(body=body or pem("X509 CRL", sent.body))
    assert json.loads(fetch(server, web, services).data)["pck_crl"] == sent.body.hex()


def test_the_statement_is_cut_out_byte_for_byte(server: Server, web: Web, services: Services) -> None:
    """The vectors' statements have spaces that another writer of JSON would not write; and members before them."""
    server.routes |= platform()
    sent = server.routes[TCB]
    assert isinstance(sent, Reply)
    before = b' \n{ "other" : {"tcbInfo": [1, "}"]} ,"x\\"y":null,'
    server.routes[TCB] = sent.with_(body=before + sent.body[1:] + b"\r\n")
    assert json.loads(fetch(server, web, services).data)["tcb_info"] == json.loads(Platform().document())["tcb_info"]


@given(
    st.dictionaries(st.text(max_size=5), st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5)),
    st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=9), max_size=3),
    st.sampled_from([None, 1, "\t"]),
    st.booleans(),
)
def test_a_member_is_what_was_written(
    around: dict[str, object], statement: dict[str, object], indent: int | str | None, ascii_only: bool
) -> None:
    text = json.dumps(around | {"tcbInfo": statement}, indent=indent, ensure_ascii=ascii_only)
    found = client._member(text, "tcbInfo")
    assert found in text and json.loads(found) == statement


def test_early_statements_are_asked_for_by_name(server: Server, web: Web) -> None:
    routes = platform()
    server.routes = {f"{path}&update=early" if path == TCB else path: reply for path, reply in routes.items()}
    server.routes[f"{IDENTITY}?update=early"] = server.routes.pop(IDENTITY)
    client.fetch(NEED, web, AT, root(), service=server.url, root_list=f"{server.url}/root.der", update="early")


def test_the_roots_list_is_where_the_pinned_root_says() -> None:
    read = x509.load_der_x509_certificate(roots.pinned().der)
    (point,) = read.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert point.full_name is not None and [name.value for name in point.full_name] == [client.ROOT_LIST]


# ------------------------------------------------------------------------------------------------------------ refused


def test_platforms_that_intel_does_not_know(server: Server, web: Web, services: Services) -> None:
    server.routes |= platform()
    need = IntelNeed("TDX", "000000000001", "platform")
    with pytest.raises(EvidenceRejected, match="knows no TDX platforms 000000000001: localhost answered 404"):
        fetch(server, web, services, need)


EXPIRED = certificate("TCB signing", "fake root", until=EARLY)
STATEMENTS = {
    "tcb_until": "the TCB info expired on 2026-05-31T00:00:00Z",
    "identity_until": "the identity of the quoting enclave expired on 2026-05-31T00:00:00Z",
    "lists_until": "the root's revocation list expired on 2026-05-31T00:00:00Z",
}


@pytest.mark.parametrize(("part", "says"), STATEMENTS.items())
def test_what_has_expired_is_not_taken(server: Server, web: Web, services: Services, part: str, says: str) -> None:
    server.routes |= platform(**{part: EARLY})
    with pytest.raises(MessageRefused, match=f"localhost: .*{says}"):
        fetch(server, web, services)


def test_an_expired_issuer_is_not_taken(server: Server, web: Web, services: Services) -> None:
    chain = pem_of(EXPIRED, authority("fake root", "fake root"))
    server.routes |= platform(tampered={"tcb_info_issuer_chain": chain})
    with pytest.raises(MessageRefused, match="the issuer of the TCB info expired on 2026-05-31"):
        fetch(server, web, services)


def test_what_is_of_tomorrow_is_not_taken(server: Server, web: Web, services: Services) -> None:
    server.routes |= platform()
    with pytest.raises(MessageRefused, match="the TCB info holds from 2026-05-15T00:00:00Z on"):
        fetch(server, web, services, at=datetime.fromisoformat("2026-05-01T00:00Z"))


def _other(**changes: object) -> dict[str, Route]:
    return platform(**changes)  # type: ignore[arg-type]


ATTACKS = {
    "another root": (_other(root="other root"), "is not under fake root"),
    "signed by a stranger": (_other(tampered={"tcb_info_signature": "11" * 64}), "TCB info is not signed"),
    "identity by a stranger": (_other(tampered={"qe_identity_signature": "11" * 64}), "identity is not signed"),
    "signature of zeros": (_other(tampered={"tcb_info_signature": "00" * 64}), "TCB info is not signed"),
    "a chain of one": (_other(tampered={"tcb_info_issuer_chain": pem_of(EXPIRED)}), "expired|not under"),
    "no chain": (_other(tampered={"tcb_info_issuer_chain": ""}), "cannot be read"),
    "a chain of garbage": (_other(tampered={"pck_crl_issuer_chain": "garbage"}), "cannot be read"),
    "a chain by itself": (
        _other(
            tampered={
                "tcb_info_issuer_chain": pem_of(
                    certificate("TCB signing", "TCB signing"), authority("fake root", "fake root")
                )
            }
        ),
        "is not signed by fake root",
    ),
    "list of the other authority": (
        _other(
            tampered={
                "pck_crl_issuer_chain": pem_of(
                    authority("PCK Processor CA", "fake root"), authority("fake root", "fake root")
                ),
                "pck_crl": revocation_list("PCK Processor CA", (), AT + timedelta(days=9)).hex(),
            }
        ),
        "not of the platform CA",
    ),
    "list by a stranger": (
        _other(tampered={"pck_crl": revocation_list("other root", (), AT + timedelta(days=9)).hex()}),
        "PCK revocation list is not signed by PCK Platform CA",
    ),
    "root's list by a stranger": (
        _other(tampered={"root_ca_crl": revocation_list("other root", (), AT + timedelta(days=9)).hex()}),
        "root's revocation list is not signed by fake root",
    ),
    "revoked signer": (_other(revoked=("TCB signing",)), "TCB signing has been revoked"),
    "revoked authority": (_other(revoked=("PCK Platform CA",)), "PCK Platform CA has been revoked"),
    "of another kind": (
        {**_other(), TCB: platform("sgx")[f"/sgx/certification/v4/tcb?fmspc={FMSPC}"]},
        "is about SGX 00906ED50000, not TDX",
    ),
    "of other platforms": (
        {**_other(), TCB: platform(fmspc="000000000001")["/tdx/certification/v4/tcb?fmspc=000000000001"]},
        "is about TDX 000000000001, not TDX 00906ED50000",
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_service_that_lies_is_refused(server: Server, web: Web, services: Services, name: str) -> None:
    routes, says = ATTACKS[name]
    server.routes |= routes
    with pytest.raises(MessageRefused, match=says):
        fetch(server, web, services)


GARBAGE = {
    "empty": b"",
    "text": b"<html>Sign in</html>",
    "list": b"[]",
    "other": b"{}",
    "a number": b'{"tcbInfo": 7, "signature": "00"}',
    "no signature": b'{"tcbInfo": {}}',
    "short signature": b'{"tcbInfo": {}, "signature": "00"}',
    "no hexadecimal": b'{"tcbInfo": {}, "signature": "%s"}' % (b"zz" * 64),
    "twice": b'{"tcbInfo": {}, "tcbInfo": {}, "signature": "%s"}' % (b"00" * 64),
    "empty statement": b'{"tcbInfo": {}, "signature": "%s"}' % (b"00" * 64),
    "no dates": b'{"tcbInfo": {"id": "TDX", "fmspc": "%s"}, "signature": "%s"}' % (FMSPC.encode(), b"00" * 64),
    "no UTF-8": b'{"tcbInfo": "\xff"}',
    "deep": b'{"tcbInfo": ' + b"[" * 5000,
    "NaN": b'{"tcbInfo": {"x": NaN}, "signature": "%s"}' % (b"00" * 64),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_is_refused(server: Server, web: Web, services: Services, name: str) -> None:
    server.routes |= platform()
    sent = server.routes[TCB]
    assert isinstance(sent, Reply)
    server.routes[TCB] = sent.with_(body=GARBAGE[name])
    with pytest.raises(MessageRefused, match="localhost"):
        fetch(server, web, services)


@pytest.mark.parametrize("path", [LIST, "/root.der"])
@pytest.mark.parametrize(
    "body", [b"", b"\x30\x80", b"30", b"xyz", b"-----BEGIN X509 CRL-----\nAAEC\n-----END X509 CRL-----\n"]
)
def test_a_list_that_is_none(server: Server, web: Web, services: Services, path: str, body: bytes) -> None:
    server.routes |= platform()
    sent = server.routes[path]
    assert isinstance(sent, Reply)
    server.routes[path] = sent.with_(body=body)
    with pytest.raises(MessageRefused, match="localhost sent a revocation list that cannot be read"):
        fetch(server, web, services)


@pytest.mark.parametrize("path", [TCB, IDENTITY, LIST])
def test_a_chain_that_is_not_in_the_headers(server: Server, web: Web, services: Services, path: str) -> None:
    server.routes |= platform()
    sent = server.routes[path]
    assert isinstance(sent, Reply)
    server.routes[path] = sent.with_(headers={})
    with pytest.raises(MessageRefused, match=r"sent no header .*issuer-chain"):
        fetch(server, web, services)


@pytest.mark.parametrize("path", [TCB, IDENTITY, LIST, "/root.der"])
def test_a_part_that_does_not_come(server: Server, web: Web, services: Services, path: str) -> None:
    server.routes |= platform()
    server.routes[path] = Reply(status=503)
    with pytest.raises(PeerUnreachable, match="503"):
        fetch(server, web, services)


@pytest.mark.parametrize("where", [TCB, IDENTITY])
def test_a_bit_of_a_statement_flipped_is_noticed(server: Server, web: Web, services: Services, where: str) -> None:
    server.routes |= platform()
    sent = server.routes[where]
    assert isinstance(sent, Reply)
    for at in range(0, len(sent.body), 41):
        body = bytearray(sent.body)
        body[at] ^= 1
        server.routes[where] = sent.with_(body=bytes(body))
        with pytest.raises(MessageRefused):
            fetch(server, web, services)


# ------------------------------------------------------------------------------------------------- the real collateral


@pytest.mark.parametrize("name", ["tdx_quote", "sgx_quote", "tdx_quote_outdated"])
def test_real_collateral(server: Server, web: Web, services: Services, name: str) -> None:
    folder = shared_vectors.folder("tee") / "tdx-sgx"
    document = (folder / f"{name}_collateral.json").read_bytes()
    kind = name[:3]
    evidence = Evidence(kind, Path(folder / name).read_bytes())
    (need,) = needs.of(evidence).needs
    assert isinstance(need, IntelNeed)
    info = json.loads(json.loads(document)["tcb_info"])
    at = max(
        datetime.fromisoformat(info["issueDate"]),
        datetime.fromisoformat(json.loads(json.loads(document)["qe_identity"])["issueDate"]),
    ) + timedelta(days=5)
    server.routes |= intel(document, kind, need.fmspc, need.authority)
    found = client.fetch(need, web, at, roots.pinned(), service=server.url, root_list=services.root_list)
    given = Collateral(documents={"fetched": found.data})
    straight = Collateral(documents={"given": document})
    assert tdx.verify(evidence, given, at) == tdx.verify(evidence, straight, at)
    assert (
        hashlib.sha256(json.loads(found.data)["tcb_info"].encode()).hexdigest()
        == hashlib.sha256(json.loads(document)["tcb_info"].encode()).hexdigest()
    )
