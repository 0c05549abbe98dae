"""COSE_Sign1: one byte form, one meaning, and nothing but ``EvidenceRejected`` for everything else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ed448, ed25519, mldsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st
from made_receipts import HUB, TRUST

from identities import START, STRANGER, identity, speaking_as
from quatrefoil.audit import cose
from quatrefoil.audit.cose import ALG, CRIT, Sign1
from quatrefoil.errors import CallerError, EvidenceRejected
from quatrefoil.transport.authority import LEAF_LIFETIME
from quatrefoil.transport.bare import BareVerifier

KEYS: dict[str, cose.PrivateKey] = {
    "ML-DSA-44": mldsa.MLDSA44PrivateKey.from_seed_bytes(bytes(32)),
    "ML-DSA-65": mldsa.MLDSA65PrivateKey.from_seed_bytes(bytes(32)),
    "ML-DSA-87": mldsa.MLDSA87PrivateKey.from_seed_bytes(bytes(32)),
    "Ed25519": ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)),
}
STRANGERS: dict[str, cose.PrivateKey] = {
    "ML-DSA-44": mldsa.MLDSA44PrivateKey.generate(),
    "ML-DSA-65": mldsa.MLDSA65PrivateKey.generate(),
    "ML-DSA-87": mldsa.MLDSA87PrivateKey.generate(),
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
}
UNDERSTOOD = (ALG, 100, "text")
PAYLOAD = b"a payload"
ED = KEYS["Ed25519"]

each_key = pytest.mark.parametrize("name", KEYS)


def decoded(data: bytes, understood: tuple[int | str, ...] = UNDERSTOOD) -> Sign1:
    return Sign1.decode(data, understood=understood)


def signed(key: cose.PrivateKey = ED, header: cose.Header | None = None, *, attached: bool = True) -> Sign1:
    return cose.sign(PAYLOAD, key, header=header or {}, attached=attached)


# ------------------------------------------------------------------------------------------------------------ accepted


@each_key
@pytest.mark.parametrize("attached", [True, False], ids=["attached", "detached"])
def test_what_was_signed_verifies_and_keeps_its_bytes(name: str, attached: bool) -> None:
    message = signed(KEYS[name], {100: "x", "text": [1, b"2"]}, attached=attached)
    again = decoded(message.encode())
    assert again.encode() == message.encode() and again.algorithm.name == name
    key = KEYS[name].public_key()
    assert cose.verify(again, key, detached=None if attached else PAYLOAD) == PAYLOAD


def test_identifiers_are_those_of_the_registry() -> None:
    """RFC 9964 and RFC 9864; signature lengths of FIPS 204 table 2 and RFC 8032."""
    assert {one.name: (one.identifier, one.signature) for one in cose.ALGORITHMS.values()} == {
        "ML-DSA-44": (-48, 2420),
        "ML-DSA-65": (-49, 3309),
        "ML-DSA-87": (-50, 4627),
        "Ed25519": (-19, 64),
    }


def test_what_is_signed_is_the_sig_structure_of_the_standard() -> None:
    """RFC 9052 section 4.4, by hand: an array of four, the context, the header's bytes, no data, the payload."""
    message = signed()
    by_hand = b"\x84\x6aSignature1" + b"\x43\xa1\x01\x32" + b"\x40" + b"\x49" + PAYLOAD
    assert cose.to_be_signed(message.protected, PAYLOAD) == by_hand
    ED.public_key().verify(message.signature, by_hand)
    assert message.encode() == b"\xd2\x84\x43\xa1\x01\x32\xa0\x49" + PAYLOAD + b"\x58\x40" + message.signature


def test_maps_are_in_the_bytewise_order_of_their_keys() -> None:
    """RFC 8949 section 4.2.1, where the older order by length (RFC 7049) differs: 395 before -1."""
    assert cose.encode({-1: 0, 395: 0, "a": 0, 1: 0}) == bytes.fromhex("a4010019018b002000616100")


@pytest.mark.parametrize("algorithm", ["ml-dsa-65", "ml-dsa-87"])
def test_a_party_signs_with_its_certificate(consortium: Any, algorithm: str) -> None:
    authority = consortium.authority
    holder = authority.issue("north", "silo", algorithm=algorithm, directory=consortium.directory / f"cose-{algorithm}")
    message = cose.sign_certified(PAYLOAD, speaking_as(holder), header={}, attached=True)
    at = consortium.clock()
    found = cose.verify_certified(
        decoded(message.encode()), BareVerifier(consortium.trust, at=at), detached=None, claimed=at
    )
    assert (found.body, found.signer, found.role) == (PAYLOAD, "north", "silo")
    assert found.fingerprint == holder.fingerprint
    assert message.algorithm.name.lower() == algorithm


# ------------------------------------------------------------------------------------------------------------- refused


def raw(*parts: Any, tag: int = 18) -> bytes:
    return cbor2.dumps(cbor2.CBORTag(tag, list(parts)))


HEADER = cbor2.dumps({1: -19})
SIGNATURE = bytes(64)
MALFORMED = {
    "nothing": (b"", "does not begin with tag 18"),
    "no tag": (raw(HEADER, {}, b"", SIGNATURE)[1:], "does not begin with tag 18"),
    "another tag": (raw(HEADER, {}, b"", SIGNATURE, tag=17), "does not begin with tag 18"),
    "tag 18 in a longer form": (b"\xd8\x12" + raw(HEADER, {}, b"", SIGNATURE)[1:], "does not begin with tag 18"),
    "tag 18 twice": (b"\xd2" + raw(HEADER, {}, b"", SIGNATURE), "not well-formed"),
    "three parts": (raw(HEADER, {}, b""), "not an array of four"),
    "five parts": (raw(HEADER, {}, b"", SIGNATURE, b""), "not an array of four"),
    "a map": (b"\xd2\xa0", "not an array of four"),
    "bytes after the end": (raw(HEADER, {}, b"", SIGNATURE) + b"\x00", "not well-formed|bytes after its end"),
    "an end too early": (raw(HEADER, {}, b"", SIGNATURE)[:-1], "not well-formed"),
    "an indefinite array": (b"\xd2\x9f" + raw(HEADER, {}, b"", SIGNATURE)[2:] + b"\xff", "not well-formed"),
    "a length that is longer than needed": (
        raw(HEADER, {}, b"", SIGNATURE).replace(b"\x58\x40", b"\x59\x00\x40"), "deterministic form",
    ),
    "a protected header that is no bytes": (raw({1: -19}, {}, b"", SIGNATURE), "another type than bytes"),
    "a payload that is text": (raw(HEADER, {}, "payload", SIGNATURE), "another type than bytes"),
    "a signature that is text": (raw(HEADER, {}, b"", "s" * 64), "another type than bytes"),
    "no protected header": (raw(b"", {}, b"", SIGNATURE), "not well-formed"),
    "an empty protected header": (raw(b"\xa0", {}, b"", SIGNATURE), "names the algorithm None"),
    "a protected header that is a list": (raw(b"\x81\x01", {}, b"", SIGNATURE), "protected header that is no map"),
    "an unprotected header that is a list": (raw(HEADER, [], b"", SIGNATURE), "unprotected header that is no map"),
    "a header twice": (raw(bytes.fromhex("a2 01 32 01 32"), {}, b"", SIGNATURE), "deterministic form"),
    "headers out of order": (raw(bytes.fromhex("a2 18 64 00 01 32"), {}, b"", SIGNATURE), "deterministic form"),
    "a header in both places": (raw(cbor2.dumps({1: -19, 100: 0}), {100: 0}, b"", SIGNATURE), "header 100 twice"),
    "the algorithm unprotected": (raw(b"\xa0", {1: -19}, b"", SIGNATURE), "header 1 where nothing protects it"),
    "crit unprotected": (raw(HEADER, {2: [1]}, b"", SIGNATURE), "header 2 where nothing protects it"),
    "crit that is empty": (raw(cbor2.dumps({1: -19, 2: []}), {}, b"", SIGNATURE), "no list of critical headers"),
    "crit that is no list": (raw(cbor2.dumps({1: -19, 2: 1}), {}, b"", SIGNATURE), "no list of critical headers"),
    "crit of a header that is not there": (
        raw(cbor2.dumps({1: -19, 2: [100]}), {}, b"", SIGNATURE), "header 100 critical, and does not protect it",
    ),
    "crit of a header that is unprotected": (
        raw(cbor2.dumps({1: -19, 2: [100]}), {100: 0}, b"", SIGNATURE), "critical, and does not protect it",
    ),
    "crit of a header that is not known": (
        raw(cbor2.dumps({1: -19, 2: [99], 99: 0}), {}, b"", SIGNATURE), "header 99 critical, which is not known",
    ),
    "crit of a list": (raw(cbor2.dumps({1: -19, 2: [[1]]}), {}, b"", SIGNATURE), "critical, and does not protect it"),
    "EdDSA": (raw(cbor2.dumps({1: -8}), {}, b"", SIGNATURE), "names the algorithm -8"),
    "ES256": (raw(cbor2.dumps({1: -7}), {}, b"", SIGNATURE), "names the algorithm -7"),
    "an algorithm by name": (raw(cbor2.dumps({1: "Ed25519"}), {}, b"", SIGNATURE), "names the algorithm Ed25519"),
    "an algorithm that is true": (raw(cbor2.dumps({1: True}), {}, b"", SIGNATURE), "names the algorithm True"),
    "a short signature": (raw(HEADER, {}, b"", SIGNATURE[:-1]), "63 bytes for a signature of Ed25519"),
    "no signature": (raw(HEADER, {}, b"", b""), "0 bytes for a signature"),
    "a tag in a header": (raw(HEADER, {100: cbor2.CBORTag(99, 0)}, b"", SIGNATURE), "not well-formed"),
    "a bignum": (raw(HEADER, {100: 1 << 70}, b"", SIGNATURE), "not well-formed"),
    "a float": (raw(HEADER, {100: 1.5}, b"", SIGNATURE), "float is in no COSE message"),
    "an undefined value": (raw(HEADER, {100: cbor2.undefined}, b"", SIGNATURE), "is in no COSE message"),
    "a key that is bytes": (raw(HEADER, {b"100": 0}, b"", SIGNATURE), "is in no COSE message"),
    "a key that is a list": (b"\xd2\x84\x43\xa1\x01\x32\xa1\x81\x01\x00\x40\x58\x40" + SIGNATURE, "no COSE message"),
    "deep nesting": (b"\xd2\x84\x43\xa1\x01\x32\xa1\x18\x64" + b"\x81" * 40 + b"\x00\x40\x40", "not well-formed"),
    "much": (raw(HEADER, {}, bytes(1 << 20), SIGNATURE), "over the limit"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "problem"), MALFORMED.values(), ids=MALFORMED)
def test_anything_else_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(EvidenceRejected, match=problem) as refusal:
        decoded(data)
    assert refusal.value.check == "form" and refusal.value.hint


def test_a_critical_header_that_is_known_is_read() -> None:
    message = signed(header={CRIT: [100], 100: "x"})
    assert cose.verify(decoded(message.encode()), ED.public_key(), detached=None) == PAYLOAD
    with pytest.raises(EvidenceRejected, match="header 100 critical, which is not known"):
        decoded(message.encode(), (ALG,))


@given(st.binary(max_size=200))
def test_bytes_from_anywhere_are_refused_or_are_a_message(data: bytes) -> None:
    for one in (data, b"\xd2" + data, b"\xd2\x84\x43\xa1\x01\x32" + data):
        try:
            found = decoded(one)
        except EvidenceRejected:
            continue
        assert found.encode() == one


@each_key
def test_every_bit_of_what_is_signed_counts(name: str) -> None:
    message, key = signed(KEYS[name], attached=True), KEYS[name].public_key()
    encoded = message.encode()
    head = len(encoded) - len(message.signature)
    for at in [*range(8 * head), *range(8 * head, 8 * len(encoded), 997)]:
        changed = bytearray(encoded)
        changed[at // 8] ^= 1 << at % 8
        with pytest.raises(EvidenceRejected):
            cose.verify(decoded(bytes(changed)), key, detached=None)


@each_key
def test_another_key_or_payload_is_refused(name: str) -> None:
    message = signed(KEYS[name], attached=False)
    for other, key in KEYS.items():
        with pytest.raises(EvidenceRejected, match="and the key is of" if other != name else "no signature of this"):
            cose.verify(message, key.public_key(), detached=b"another payload")
    with pytest.raises(EvidenceRejected, match="no signature of this"):
        cose.verify(message, STRANGERS[name].public_key(), detached=PAYLOAD)


def test_an_algorithm_is_not_exchanged_for_another_of_the_same_length() -> None:
    message = replace(signed(), protected=cose.encode({ALG: -49}))
    with pytest.raises(EvidenceRejected, match="64 bytes for a signature of ML-DSA-65"):
        decoded(message.encode())


def test_a_payload_is_where_it_is_expected() -> None:
    with pytest.raises(EvidenceRejected, match="brings a payload where it is to have none"):
        cose.verify(signed(attached=True), ED.public_key(), detached=PAYLOAD)
    with pytest.raises(EvidenceRejected, match="lacks its payload"):
        cose.verify(signed(attached=False), ED.public_key(), detached=None)
    with pytest.raises(EvidenceRejected, match="no signature of this"):
        cose.verify(replace(signed(attached=False), payload=b""), ED.public_key(), detached=None)


def test_the_limit_an_unprotected_header_can_be_changed_by_anybody() -> None:
    """RFC 9052 leaves it so: whoever reads one has to hold it to something that is signed, as receipts do."""
    message = replace(signed(), unprotected={100: "added"})
    assert cose.verify(decoded(message.encode()), ED.public_key(), detached=None) == PAYLOAD


def test_what_no_message_has_is_not_encoded() -> None:
    for value in (1.5, {b"x": 1}, {1: object()}, {True: 1}, frozenset()):
        with pytest.raises(CallerError, match="is in no COSE message here"):
            cose.encode(value)


def test_a_key_of_another_kind_is_the_callers_fault() -> None:
    with pytest.raises(CallerError, match="signs no COSE here"):
        cose.algorithm_of(ed448.Ed448PrivateKey.generate().public_key())


# ----------------------------------------------------------------------------------------------------- by certificate


def certified(**changes: Any) -> Sign1:
    return replace(cose.sign_certified(PAYLOAD, speaking_as(HUB), header={}, attached=True), **changes)


def verify(message: Sign1) -> bytes:
    verifier = BareVerifier(TRUST, at=START)
    return cose.verify_certified(message, verifier, detached=None, claimed=START).body


def test_a_certificate_that_is_another_or_none_is_refused() -> None:
    assert verify(certified()) == PAYLOAD
    other = identity("other-hub", "aggregator").certificate_der
    for chain, problem in (
        ({}, "exactly one certificate"),
        ({33: [HUB.certificate_der]}, "exactly one certificate"),
        ({33: "text"}, "exactly one certificate"),
        ({33: other}, "another certificate than the one that it names"),
        ({33: b""}, "another certificate"),
    ):
        with pytest.raises(EvidenceRejected, match=problem):
            verify(certified(unprotected=chain))


@pytest.mark.parametrize(
    "thumbprint",
    [
        None,
        [-16],
        [-16, b""],
        [-16, HUB.fingerprint, 0],
        [-43, HUB.fingerprint],
        ["SHA-256", HUB.fingerprint],
        HUB.fingerprint,
    ],
    ids=["none", "no digest", "empty", "too long", "another hash", "hash by name", "no list"],
)
def test_a_certificate_is_named_in_one_way_only(thumbprint: Any) -> None:
    header = {ALG: -49} | ({} if thumbprint is None else {cose.X5T: thumbprint})
    protected = cose.encode(header)
    signature = speaking_as(HUB).sign_bare(cose.to_be_signed(protected, PAYLOAD))
    with pytest.raises(EvidenceRejected, match="another certificate than the one that it names"):
        verify(Sign1(protected, {cose.X5CHAIN: HUB.certificate_der}, PAYLOAD, signature))


def test_the_same_key_certified_twice_does_not_change_who_has_signed(consortium: Any) -> None:
    """The certificate is exchanged for another one over the same key, in another role."""
    authority = consortium.authority
    first = authority.issue("hub", "aggregator", directory=consortium.directory / "cose-twice")
    key = first.private_key()
    second = authority._certify("keeper", "keeper", key.public_key(), ("localhost",), LEAF_LIFETIME)
    der = second.public_bytes(Encoding.DER)
    message = cose.sign_certified(PAYLOAD, speaking_as(first), header={}, attached=True)
    at = consortium.clock()
    with pytest.raises(EvidenceRejected, match="another certificate than the one that it names"):
        cose.verify_certified(
            replace(message, unprotected={33: der}),
            BareVerifier(consortium.trust, at=at),
            detached=None,
            claimed=at,
        )


def test_another_algorithm_than_that_of_the_certificate_is_refused() -> None:
    protected = cose.encode({ALG: -50, cose.X5T: [-16, HUB.fingerprint]})
    signature = speaking_as(HUB).sign_bare(cose.to_be_signed(protected, PAYLOAD))
    message = Sign1(protected, {cose.X5CHAIN: HUB.certificate_der}, PAYLOAD, signature)
    with pytest.raises(EvidenceRejected, match="3309 bytes for a signature of ML-DSA-87"):
        decoded(message.encode())
    with pytest.raises(EvidenceRejected, match="its certificate is for another algorithm"):
        verify(message)


def test_a_stranger_and_a_statement_are_refused() -> None:
    stranger = identity("hub", "aggregator", STRANGER)
    with pytest.raises(EvidenceRejected, match="signed by no trusted root") as refusal:
        verify(cose.sign_certified(PAYLOAD, speaking_as(stranger), header={}, attached=True))
    assert refusal.value.check == "signature"
    with pytest.raises(EvidenceRejected, match="does not fit"):
        verify(certified(signature=HUB.sign(cose.to_be_signed(certified().protected, PAYLOAD), context=b"x")))
