"""What RFC 9180, RFC 9292, RFC 9458 and the drafts print as bytes comes out of the package, and goes into it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.ohttp.other_suites import (
    AES_128_GCM,
    CHACHA20_POLY1305,
    ClassicalKey,
    classical,
    hybrid_key,
)
from tests.reference import oblivious

from quatrefoil.errors import MessageRefused
from quatrefoil.ohttp import (
    GatewayKeys,
    NoPadding,
    RequestOpener,
    RequestSealer,
    ResponseOpener,
    ResponseSealer,
    decode_list,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
    open_request,
    open_response,
    seal_request,
    seal_response,
)
from quatrefoil.ohttp.hpke_context import HYBRID, HpkeContext, Suite, setup_recipient, setup_sender

FOLDER = Path(__file__).parents[1] / "vectors" / "ohttp"


def read(file: str) -> Any:
    return json.loads((FOLDER / file).read_text(), object_hook=as_bytes)


def as_bytes(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: bytes.fromhex(value) if isinstance(value, str) else value for name, value in fields.items()}


HPKE = read("hpke.json")
MESSAGES = read("messages.json")
EXCHANGES = pytest.mark.parametrize("name", ["rfc9458", "chunked"])


def contexts(name: str) -> tuple[dict[str, Any], HpkeContext]:
    """A vector, and the recipient's context from its private key."""
    case = HPKE[name]
    aead = {1: AES_128_GCM, 3: CHACHA20_POLY1305}[case["aead_id"]]
    if name == "hpke-pq":
        suite, key = Suite(HYBRID.kem, aead), hybrid_key(case["skRm"])
    else:
        suite, key = classical(case["skEm"], aead), ClassicalKey(case["skRm"])
        assert setup_sender(suite, case["pkRm"], case["info"])[0] == case["enc"]
    assert key.public == case["pkRm"] and key.decapsulate(case["enc"]) == case["shared_secret"]
    return case, setup_recipient(suite, case["enc"], key, case["info"])


each_suite = pytest.mark.parametrize("name", HPKE)


@each_suite
def test_the_key_schedule_is_the_published_one(name: str) -> None:
    case, recipient = contexts(name)
    messages = recipient.messages
    assert (bytes(messages._key), bytes(messages._base)) == (case["key"], case["base_nonce"])
    assert bytes(recipient._exporter) == case["exporter_secret"]


@each_suite
def test_every_published_message_opens_at_its_number_and_at_no_other(name: str) -> None:
    case, recipient = contexts(name)
    assert {one["sequence"] for one in case["encryptions"]} >= {0, 1, 2, 4}
    for one in case["encryptions"]:
        recipient.messages._number = one["sequence"]
        assert recipient.messages.open(one["ct"], one["aad"]) == one["pt"]
        with pytest.raises(MessageRefused, match="does not open"):
            recipient.messages.open(one["ct"], one["aad"])


@each_suite
def test_what_is_sealed_is_what_is_published(name: str) -> None:
    case, recipient = contexts(name)
    for one in case["encryptions"]:
        recipient.messages._number = one["sequence"]
        assert recipient.messages.seal(one["pt"], one["aad"]) == one["ct"]


@each_suite
def test_what_is_exported_is_what_is_published(name: str) -> None:
    case, recipient = contexts(name)
    for one in case["exports"]:
        assert bytes(recipient.export(one["exporter_context"], one["L"])) == one["exported_value"]


# ------------------------------------------------------------------------------------------------- exchanges


def exchange(name: str) -> tuple[dict[str, bytes], GatewayKeys]:
    case = MESSAGES[name]
    keys = GatewayKeys({1: ClassicalKey(case["gateway_secret"])}, classical(case["client_secret"]))
    return case, keys


@EXCHANGES
def test_the_key_configuration_is_read(name: str) -> None:
    case, keys = exchange(name)
    encoded = len(case["configuration"]).to_bytes(2, "big") + case["configuration"]
    assert decode_list(encoded, keys.suite) == keys.configurations


def test_the_whole_request_and_response_are_the_published_ones() -> None:
    case, keys = exchange("rfc9458")
    sealed, at_client = seal_request(keys.configurations[0], case["request"])
    assert sealed == case["encapsulated_request"]
    opened = open_request(sealed, keys)
    assert (opened.content, opened.enc, opened.key_id) == (case["request"], case["enc"], 1)
    nonce = case["salt"].removeprefix(case["enc"])
    answer = seal_response(opened.response, case["response"], random=lambda size: nonce[:size])
    assert answer == case["encapsulated_response"]
    assert open_response(at_client, answer) == case["response"]


def test_the_chunked_request_and_response_are_the_published_ones() -> None:
    case, keys = exchange("chunked")
    sealer = RequestSealer(keys.configurations[0])
    first, second = case["request"][:12], case["request"][12:]
    assert sealer.seal(first) + sealer.seal(second) + sealer.finish() == case["encapsulated_request"]
    opener = RequestOpener(keys, limit=100)
    assert opener.feed(case["encapsulated_request"]) == [first, second] and opener.finish() == b""
    nonce = case["salt"].removeprefix(case["enc"])
    answer = ResponseSealer(opener.response, random=lambda size: nonce[:size])
    parts = answer.seal(case["response"][:1]) + answer.seal(case["response"][1:]) + answer.finish()
    assert parts == case["encapsulated_response"]
    client = ResponseOpener(sealer.response, limit=100)
    assert client.feed(parts) == [case["response"][:1], case["response"][1:]] and client.finish() == b""


@EXCHANGES
def test_the_secrets_in_between_are_the_published_ones(name: str) -> None:
    """So that a second implementation can be compared step by step, as the reference is here."""
    case, keys = exchange(name)
    label = b"message/bhttp response" if name == "rfc9458" else b"message/bhttp chunked response"
    ours = keys.context(case["configuration"][:1] + keys.suite.identifiers, case["enc"], case["info"])
    assert bytes(ours.export(label, 16)) == case["secret"]
    shared = ClassicalKey(case["gateway_secret"]).decapsulate(case["enc"])
    theirs = oblivious.context(keys.suite.identifiers, shared, case["info"], 16)
    nonce = case["salt"].removeprefix(case["enc"])
    assert oblivious.response_key(theirs, case["enc"], nonce, label, 16) == (case["key"], case["nonce"])


# -------------------------------------------------------------------------------------------- binary messages


def test_the_request_of_rfc_9292_in_both_forms() -> None:
    known, stream = (MESSAGES["rfc9292"][name] for name in ("bink-request", "bini-request"))
    request = decode_request(known)
    assert request == decode_request(stream)
    assert (request.head.method, request.head.path, request.head.authority) == (b"GET", b"/hello.txt", b"")
    assert request.head.fields[1:] == ((b"host", b"www.example.com"), (b"accept-language", b"en, mi"))
    assert encode_request(request, padding=NoPadding()) == known


@pytest.mark.parametrize(("name", "most"), [("bink-request", 2), ("bini-request", 12)])
def test_it_may_be_cut_where_rfc_9292_says_and_not_before(name: str, most: int) -> None:
    whole = MESSAGES["rfc9292"][name]
    for cut in range(1, most + 1):
        assert decode_request(whole[:-cut]) == decode_request(whole)
    # Of indeterminate length the byte before ends the header section, which may be left out only as a whole.
    with pytest.raises(MessageRefused, match="ends inside"):
        decode_request(whole[: -most - 1])


def test_the_responses_of_rfc_9292() -> None:
    response = decode_response(MESSAGES["rfc9292"]["bini-response"])
    assert [one.status for one in response.informational] == [102, 103] and response.head.status == 200
    assert response.informational[0].fields == ((b"running", b'"sleep 15"'),)
    assert response.content == b"Hello World! My content includes a trailing CRLF.\r\n" and response.trailers == ()
    chunked = decode_response(MESSAGES["rfc9292"]["bink-chunked"])
    assert chunked.content == b"This content contains CRLF.\r\n" and chunked.trailers == ((b"trailer", b"text"),)


def test_the_trailer_of_the_last_example_is_written_again() -> None:
    whole = MESSAGES["rfc9292"]["bink-chunked"]
    assert encode_response(decode_response(whole), padding=NoPadding()) == whole


@pytest.mark.parametrize("name", ["bink-request", "bini-request", "bini-response", "bink-chunked"])
def test_the_reference_reads_the_same(name: str) -> None:
    message = MESSAGES["rfc9292"][name]
    theirs = oblivious.parse(message)
    ours = decode_request(message) if "request" in name else decode_response(message)
    assert (list(ours.head.fields), ours.content, list(ours.trailers)) == (
        theirs["fields"],
        theirs["content"],
        theirs["trailers"],
    )
