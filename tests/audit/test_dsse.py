"""Envelopes: read strictly, signed over the pre-authentication encoding, verified against the consortium's roots."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identities import START, STRANGER, identity, notary
from quatrefoil import strict_json
from quatrefoil.audit.dsse import Envelope, Signature, pae
from quatrefoil.errors import EvidenceRejected
from signed_messages import damaged

PAYLOAD = b'{"hello":"world"}'
TYPE = "application/vnd.in-toto+json"


def signed(*names: str) -> Envelope:
    return Envelope(TYPE, PAYLOAD, tuple(notary(identity(name, "silo")).sign(PAYLOAD) for name in names))


ENVELOPE = signed("ambon", "bari")
VERIFIER = notary(identity("hub", "aggregator")).verifier


def test_the_encoding_is_that_of_the_protocols_text() -> None:
    # The example of the DSSE protocol, section "Signature Definition".
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert pae("ä", b"") == b"DSSEv1 2 \xc3\xa4 0 "


@given(st.text(), st.binary(), st.text(), st.binary())
def test_two_encodings_are_equal_only_if_type_and_payload_are(a: str, b: bytes, c: str, d: bytes) -> None:
    assert (pae(a, b) == pae(c, d)) == ((a, b) == (c, d))


def test_an_envelope_reads_back() -> None:
    assert Envelope.decode(ENVELOPE.encode()) == ENVELOPE
    spread = json.dumps(json.loads(ENVELOPE.encode()), indent=4).encode()
    assert Envelope.decode(spread) == ENVELOPE, "spaces and order are free"


def test_signatures_hold_and_say_whose_they_are() -> None:
    for one, name in zip(ENVELOPE.signatures, ("ambon", "bari"), strict=True):
        party = VERIFIER.verify(ENVELOPE, one, claimed=START)
        assert (party.name, party.role, party.fingerprint) == (name, "silo", one.keyid)


def test_a_second_signature_of_one_certificate_is_not_added() -> None:
    again = notary(identity("ambon", "silo")).sign(PAYLOAD)
    assert again.signature != ENVELOPE.signatures[0].signature, "hedged"
    assert ENVELOPE.with_signature(again) is ENVELOPE


@pytest.mark.parametrize(
    "envelope",
    [
        dataclasses.replace(ENVELOPE, payload=damaged(PAYLOAD)),
        dataclasses.replace(ENVELOPE, payload_type="application/json"),
        dataclasses.replace(ENVELOPE, payload=PAYLOAD + b" "),
    ],
    ids=["payload", "type", "length"],
)
def test_a_signature_on_something_else_is_refused(envelope: Envelope) -> None:
    with pytest.raises(EvidenceRejected, match=r"the signature of 'ambon' \(silo\) does not fit the payload") as caught:
        VERIFIER.verify(envelope, envelope.signatures[0], claimed=START)
    assert caught.value.party == "ambon"


def test_a_damaged_signature_and_anothers_certificate_are_refused() -> None:
    one, two = ENVELOPE.signatures
    for wrong in (
        dataclasses.replace(one, signature=damaged(one.signature)),
        dataclasses.replace(one, signature=b"short"),
        dataclasses.replace(one, certificate=two.certificate),
    ):
        with pytest.raises(EvidenceRejected, match="does not fit the payload"):
            VERIFIER.verify(ENVELOPE, wrong, claimed=START)


def test_a_signature_under_another_context_is_refused() -> None:
    """What the same key has signed elsewhere is no signature here."""
    holder = identity("ambon", "silo")
    for context in (b"quatrefoil statement v1", b"x"):
        moved = Signature(holder.certificate_der, holder.sign(pae(TYPE, PAYLOAD), context=context))
        with pytest.raises(EvidenceRejected, match="does not fit"):
            VERIFIER.verify(ENVELOPE, moved, claimed=START)


def test_a_signer_of_an_unknown_root_is_refused() -> None:
    foreign = notary(identity("ambon", "silo", STRANGER)).sign(PAYLOAD)
    with pytest.raises(EvidenceRejected, match=r"ambon|stranger"):
        VERIFIER.verify(ENVELOPE, foreign, claimed=START)


def test_a_certificate_that_was_not_valid_then_is_refused() -> None:
    for days in (-1, 400):
        with pytest.raises(EvidenceRejected, match="certificate of 'ambon'"):
            VERIFIER.verify(ENVELOPE, ENVELOPE.signatures[0], claimed=START + timedelta(days=days))


# ------------------------------------------------------------------------------------------------------ strict reading


def changed(change: Callable[[dict[str, Any]], None]) -> bytes:
    content = json.loads(ENVELOPE.encode())
    change(content)
    return json.dumps(content).encode()


MUTATIONS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no payload": (lambda e: e.pop("payload"), "envelope holds"),
    "no type": (lambda e: e.pop("payloadType"), "envelope holds"),
    "no signatures": (lambda e: e.pop("signatures"), "envelope holds"),
    "a name more": (lambda e: e.update(more=1), "envelope holds more"),
    "type of another kind": (lambda e: e.update(payloadType=7), "payloadType is int"),
    "payload of another kind": (lambda e: e.update(payload=None), "payload is NoneType"),
    "payload unpadded": (lambda e: e.update(payload=e["payload"].rstrip("=")), "payload is not base64"),
    "payload url-safe": (lambda e: e.update(payload="-_-_"), "payload is not base64"),
    "payload with bits left over": (lambda e: e.update(payload="QR=="), "not in its canonical form"),
    "payload with a space": (lambda e: e.update(payload=" " + e["payload"]), "payload is not base64"),
    "signatures no list": (lambda e: e.update(signatures={}), "not signed by"),
    "unsigned": (lambda e: e.update(signatures=[]), "not signed by"),
    "one twice": (lambda e: e["signatures"].append(e["signatures"][0]), "two signatures of one certificate"),
    "keyid of another": (
        lambda e: e["signatures"][0].update(keyid=e["signatures"][1]["keyid"]),
        "keyid of signature 0",
    ),
    "keyid in capitals": (lambda e: e["signatures"][0].update(keyid=e["signatures"][0]["keyid"].upper()), "keyid of"),
    "no keyid": (lambda e: e["signatures"][0].pop("keyid"), "signature 0 holds"),
    "no certificate": (lambda e: e["signatures"][0].pop("extension"), "signature 0 holds"),
    "another extension": (lambda e: e["signatures"][0]["extension"].update(kind="x"), "no certificate of Quatrefoil"),
    "a field more": (lambda e: e["signatures"][0].update(more=""), "signature 0 holds"),
    "an empty signature": (lambda e: e["signatures"][0].update(sig=""), "is empty, or far too long"),
    "a signature too long": (lambda e: e["signatures"][0].update(sig="A" * 20000), "is empty, or far too long"),
    "signature no object": (lambda e: e["signatures"].append("x"), "signature 2 holds str"),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_an_envelope_in_any_other_form_is_refused(name: str) -> None:
    change, match = MUTATIONS[name]
    with pytest.raises(EvidenceRejected, match=match):
        Envelope.decode(changed(lambda content: change(content)))  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "not strict JSON"),
        (b"\xff", "not strict JSON"),
        (b"\xef\xbb\xbf{}", "not strict JSON"),
        (b"[1,2", "not strict JSON"),
        (b"{} {}", "not strict JSON"),
        (b'{"a":1,"a":1}', "a name twice"),
        (b'{"a":NaN}', "NaN is no number"),
        (b'{"a":-Infinity}', "is no number"),
        (b'{"a":1e999}', "a number too large"),
        (b'{"a":9007199254740992}', "beyond 2"),
        (b'{"a":' + b"9" * 5000 + b"}", "beyond 2"),
        (b'{"a":"\\ud800"}', "not strict JSON"),
        (b"[" * 17, "nested deeper than 16"),
        (b"[" * 100000, "nested deeper than 16"),
        (b'{"a":' * 50 + b"1" + b"}" * 50, "nested deeper than 16"),
        (b" " * 101, "over the limit of 100"),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_what_is_not_strict_json_is_refused(data: bytes, match: str) -> None:
    with pytest.raises(EvidenceRejected, match=match):
        strict_json.parse(data, "it", limit=100 if data.startswith(b" ") else 1 << 20)


def test_brackets_in_text_are_not_nesting() -> None:
    assert strict_json.parse(b'["\\"[[[[[[[[[[[[[[[[[[[[","{{{{{{{{{{{{{{{{{{"]', "it", limit=100)[1] == "{" * 18


texts = st.text(st.characters(codec="utf-8"))
numbers = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(values)
def test_what_is_written_is_read(value: Any) -> None:
    written = strict_json.canonical(value)
    assert strict_json.canonical(strict_json.parse(written, "it", limit=1 << 20)) == written
