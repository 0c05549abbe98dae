from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from quatrefoil.errors import CallerError, MessageRefused, RoundVoided
from quatrefoil.transport import CNSA_2_0, HYBRID_768, HYBRID_1024, PostQuantumTransport, statement
from quatrefoil.transport.envelope import Binding, Envelope
from quatrefoil.transport.policies import POLICIES
from quatrefoil.transport.statement import Signed
from quatrefoil.transport.suites import ENVELOPES
from quatrefoil.wire import LARGEST_MESSAGE

SECRET = b"the seed of a silo"
CONTEXT = b"job 1, round 7"


@pytest.fixture(scope="module")
def silo(consortium):
    return consortium.transport("cleveland", "silo")


@pytest.fixture(scope="module")
def keeper(consortium):
    return consortium.transport("keeper", "keeper")


def test_an_envelope_opens_to_its_plaintext_and_sender(consortium, silo, keeper):
    recipient = keeper.new_recipient()
    assert len(recipient.public) == ENVELOPES[0].public_bytes
    opened = recipient.open(silo.seal(recipient.public, SECRET, context=CONTEXT), context=CONTEXT)
    assert opened.plaintext == SECRET and isinstance(opened.plaintext, bytearray)
    assert (opened.sender.signer, opened.sender.role) == ("cleveland", "silo")
    assert opened.sender.fingerprint == consortium.identity("cleveland", "silo").fingerprint


@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_any_size_opens_and_no_two_envelopes_are_alike(silo, keeper, size):
    recipient, plaintext = keeper.new_recipient(), bytearray(b"\x5a" * size)
    first, second = (silo.seal(recipient.public, plaintext, context=CONTEXT) for _ in range(2))
    assert Envelope.decode(Signed.decode(first).body).sealed != Envelope.decode(Signed.decode(second).body).sealed
    assert recipient.open(first, context=CONTEXT).plaintext == plaintext
    assert recipient.open(second, context=CONTEXT).plaintext == plaintext


def test_the_plaintext_is_in_no_repr(silo, keeper):
    recipient = keeper.new_recipient()
    opened = recipient.open(silo.seal(recipient.public, SECRET, context=CONTEXT), context=CONTEXT)
    assert SECRET.decode() not in repr(opened)
    assert "secret" in repr(recipient) and "wiped" not in repr(recipient)


def test_another_recipient_is_refused(silo, keeper):
    sealed = silo.seal(keeper.new_recipient().public, SECRET, context=CONTEXT)
    with pytest.raises(MessageRefused, match="'cleveland' is sealed to another key") as refusal:
        keeper.new_recipient().open(sealed, context=CONTEXT)
    assert refusal.value.party == "cleveland"


def test_another_context_is_refused(silo, keeper):
    recipient = keeper.new_recipient()
    with pytest.raises(MessageRefused, match="another context"):
        recipient.open(silo.seal(recipient.public, SECRET, context=b"job 1, round 6"), context=CONTEXT)


def test_any_flipped_bit_is_refused(silo, keeper):
    recipient = keeper.new_recipient()
    sealed = silo.seal(recipient.public, SECRET, context=CONTEXT)
    for position in [*range(64), *range(64, len(sealed), 127), len(sealed) - 1]:
        flipped = bytearray(sealed)
        flipped[position] ^= 1 << (position % 8)
        with pytest.raises(MessageRefused):
            recipient.open(bytes(flipped), context=CONTEXT)


def test_a_dishonest_sender_who_signs_altered_bytes_is_refused(consortium, silo, keeper):
    recipient = keeper.new_recipient()
    envelope = Envelope.decode(Signed.decode(silo.seal(recipient.public, SECRET, context=CONTEXT)).body)
    identity = consortium.identity("cleveland", "silo")
    for position in [0, 1087, 1088, 1119, 1120, len(envelope.sealed) - 1]:
        altered = bytearray(envelope.sealed)
        altered[position] ^= 1
        resigned = statement.sign(replace(envelope, sealed=bytes(altered)).encode(), identity)
        with pytest.raises(MessageRefused, match="does not open"):
            recipient.open(resigned, context=CONTEXT)
    for short in (b"", envelope.sealed[:1119], envelope.sealed[:1120], envelope.sealed[:-1]):
        with pytest.raises(MessageRefused, match="does not open"):
            recipient.open(statement.sign(replace(envelope, sealed=short).encode(), identity), context=CONTEXT)


def test_a_third_party_cannot_pass_an_envelope_off_as_its_own(consortium, silo, keeper):
    recipient = keeper.new_recipient()
    body = Signed.decode(silo.seal(recipient.public, SECRET, context=CONTEXT)).body
    thief = consortium.identity("hungary", "silo")
    with pytest.raises(MessageRefused, match="'hungary' does not open"):
        recipient.open(statement.sign(body, thief), context=CONTEXT)


def test_a_context_written_over_is_refused(consortium, silo, keeper):
    recipient = keeper.new_recipient()
    envelope = Envelope.decode(Signed.decode(silo.seal(recipient.public, SECRET, context=b"old")).body)
    moved = replace(envelope, context=hashlib.sha256(CONTEXT).digest())
    with pytest.raises(MessageRefused, match="does not open"):
        recipient.open(statement.sign(moved.encode(), consortium.identity("cleveland", "silo")), context=CONTEXT)


def test_another_suite_is_refused(consortium, silo, keeper):
    recipient = keeper.new_recipient()
    envelope = Envelope.decode(Signed.decode(silo.seal(recipient.public, SECRET, context=CONTEXT)).body)
    classical = replace(envelope, suite=bytes.fromhex("002000010002"))
    with pytest.raises(MessageRefused, match="suite 002000010002"):
        recipient.open(statement.sign(classical.encode(), consortium.identity("cleveland", "silo")), context=CONTEXT)


def test_a_stranger_is_refused(stranger, keeper):
    recipient = keeper.new_recipient()
    with pytest.raises(MessageRefused, match="no trusted root"):
        recipient.open(
            stranger.transport("cleveland", "silo").seal(recipient.public, SECRET, context=CONTEXT), context=CONTEXT
        )


def test_a_statement_that_is_no_envelope_is_refused(silo, keeper):
    with pytest.raises(MessageRefused, match="Envelope"):
        keeper.new_recipient().open(silo.sign(b"hello"), context=CONTEXT)


def test_a_wiped_key_opens_nothing(silo, keeper):
    recipient = keeper.new_recipient()
    sealed = silo.seal(recipient.public, SECRET, context=CONTEXT)
    recipient.wipe()
    recipient.wipe()
    with pytest.raises(RoundVoided, match="wiped"):
        recipient.open(sealed, context=CONTEXT)
    assert "wiped" in repr(recipient)


@pytest.mark.parametrize("size", [0, ENVELOPES[0].public_bytes - 1, ENVELOPES[0].public_bytes + 1])
def test_a_public_key_of_the_wrong_length_is_refused(silo, size):
    with pytest.raises(MessageRefused, match=f"{size} bytes, as none of hybrid-768, hybrid-1024 has"):
        silo.seal(bytes(size), SECRET, context=CONTEXT)


def test_a_public_key_that_is_not_reduced_is_refused(silo):
    with pytest.raises(MessageRefused, match="not one of hybrid-768"):
        silo.seal(b"\xff" * ENVELOPES[0].public_bytes, SECRET, context=CONTEXT)


def test_a_degenerate_x25519_key_is_refused(silo, keeper):
    public = keeper.new_recipient().public[:1184] + bytes(32)
    with pytest.raises(MessageRefused, match="degenerate"):
        silo.seal(public, SECRET, context=CONTEXT)


# ---------------------------------------------------------------------------------------------------- policies


def under(consortium, name: str, role: str, policy) -> PostQuantumTransport:
    return PostQuantumTransport(
        consortium.identity(name, role), consortium.trust, clock=consortium.clock, policy=policy
    )


@pytest.mark.parametrize(("policy", "suite"), list(zip(POLICIES, ENVELOPES, strict=True)), ids=lambda one: one.name)
def test_each_policy_has_a_suite_of_its_own(consortium, policy, suite):
    keeper, silo = under(consortium, "keeper", "keeper", policy), under(consortium, "cleveland", "silo", policy)
    recipient = keeper.new_recipient()
    assert len(recipient.public) == suite.public_bytes
    sealed = silo.seal(recipient.public, bytearray(SECRET), context=CONTEXT)
    assert Envelope.decode(Signed.decode(sealed).body).suite == suite.identifiers
    assert recipient.open(sealed, context=CONTEXT).plaintext == SECRET
    with pytest.raises(MessageRefused, match="another context"):
        recipient.open(sealed, context=b"other")
    with pytest.raises(MessageRefused, match="'cleveland' is sealed to another key"):
        keeper.new_recipient().open(sealed, context=CONTEXT)


@pytest.mark.parametrize(
    ("sender", "recipient"),
    [(HYBRID_1024, HYBRID_768), (CNSA_2_0, HYBRID_768), (CNSA_2_0, HYBRID_1024), (HYBRID_768, CNSA_2_0)],
    ids=lambda one: one.name,
)
def test_nobody_seals_to_a_key_that_the_policy_does_not_allow(consortium, sender, recipient):
    public = under(consortium, "keeper", "keeper", recipient).new_recipient().public
    silo = under(consortium, "cleveland", "silo", sender)
    with pytest.raises(MessageRefused, match=f"is of {recipient.name}, which {sender.name} does not allow"):
        silo.seal(public, SECRET, context=CONTEXT)


def test_a_stronger_key_than_the_minimum_is_sealed_to(consortium):
    recipient = under(consortium, "keeper", "keeper", HYBRID_1024).new_recipient()
    sealed = under(consortium, "cleveland", "silo", HYBRID_768).seal(recipient.public, SECRET, context=CONTEXT)
    assert recipient.open(sealed, context=CONTEXT).plaintext == SECRET


def test_an_envelope_that_names_a_weaker_suite_is_refused(consortium):
    recipient = under(consortium, "keeper", "keeper", HYBRID_1024).new_recipient()
    silo = under(consortium, "cleveland", "silo", HYBRID_1024)
    envelope = Envelope.decode(Signed.decode(silo.seal(recipient.public, SECRET, context=CONTEXT)).body)
    for suite in (ENVELOPES[0], ENVELOPES[2]):
        weaker = statement.sign(
            replace(envelope, suite=suite.identifiers).encode(), consortium.identity("cleveland", "silo")
        )
        with pytest.raises(MessageRefused, match=f"suite {suite.identifiers.hex()}, not 005100020002"):
            recipient.open(weaker, context=CONTEXT)


def test_the_suite_of_cnsa_is_hpke_as_specified(consortium):
    """ML-KEM-1024 by itself: its shared secret is the KEM's (draft-ietf-hpke-pq), and the rest is RFC 9180."""
    ml_kem = mlkem.MLKEM1024PrivateKey.generate()
    public = ml_kem.public_key().public_bytes_raw()
    silo = under(consortium, "cleveland", "silo", CNSA_2_0)
    envelope = Envelope.decode(Signed.decode(silo.seal(public, SECRET, context=CONTEXT)).body)
    identifiers = bytes.fromhex("004200020002")
    info = Binding(
        suite=identifiers,
        recipient=hashlib.sha256(public).digest(),
        context=hashlib.sha256(CONTEXT).digest(),
        sender=consortium.identity("cleveland", "silo").fingerprint,
    ).encode()
    assert (
        opened_by_hand(identifiers, ml_kem.decapsulate(envelope.sealed[:1568]), info, envelope.sealed[1568:]) == SECRET
    )


def test_what_does_not_fit_is_refused_before_it_is_sealed(silo, keeper):
    with pytest.raises(CallerError, match="do not fit"):
        silo.seal(keeper.new_recipient().public, bytes(LARGEST_MESSAGE), context=CONTEXT)


def test_the_envelope_is_hpke_as_specified(consortium, silo):
    """A second implementation from docs/transport.md: X-Wing by hand, then the key schedule of RFC 9180 with hmac."""
    ml_kem, curve = mlkem.MLKEM768PrivateKey.generate(), x25519.X25519PrivateKey.generate()
    public_x = curve.public_key().public_bytes_raw()
    public = ml_kem.public_key().public_bytes_raw() + public_x
    envelope = Envelope.decode(Signed.decode(silo.seal(public, SECRET, context=CONTEXT)).body)

    ct_m, ct_x, ciphertext = envelope.sealed[:1088], envelope.sealed[1088:1120], envelope.sealed[1120:]
    ss_m = ml_kem.decapsulate(ct_m)
    ss_x = curve.exchange(x25519.X25519PublicKey.from_public_bytes(ct_x))
    shared = hashlib.sha3_256(ss_m + ss_x + ct_x + public_x + rb"\.//^" + b"\\").digest()

    info = Binding(
        suite=bytes.fromhex("647a00010002"),
        recipient=hashlib.sha256(public).digest(),
        context=hashlib.sha256(CONTEXT).digest(),
        sender=consortium.identity("cleveland", "silo").fingerprint,
    ).encode()
    assert opened_by_hand(bytes.fromhex("647a00010002"), shared, info, ciphertext) == SECRET


def opened_by_hand(identifiers: bytes, shared: bytes, info: bytes, ciphertext: bytes) -> bytes:
    """The key schedule of RFC 9180 section 5.1 in base mode, and AES-256-GCM."""
    suite = b"HPKE" + identifiers
    schedule = (
        b"\x00" + labeled_extract(suite, b"", b"psk_id_hash", b"") + labeled_extract(suite, b"", b"info_hash", info)
    )
    secret = labeled_extract(suite, shared, b"secret", b"")
    key = labeled_expand(suite, secret, b"key", schedule, 32)
    nonce = labeled_expand(suite, secret, b"base_nonce", schedule, 12)
    return AESGCM(key).decrypt(nonce, ciphertext, b"")


def kdf(suite: bytes) -> str:
    return {b"\x00\x01": "sha256", b"\x00\x02": "sha384"}[suite[6:8]]


def labeled_extract(suite: bytes, salt: bytes, label: bytes, material: bytes) -> bytes:
    """RFC 9180 section 4."""
    salt = salt or bytes(hashlib.new(kdf(suite)).digest_size)
    return hmac.digest(salt, b"HPKE-v1" + suite + label + material, kdf(suite))


def labeled_expand(suite: bytes, secret: bytes, label: bytes, info: bytes, length: int) -> bytes:
    """RFC 9180 section 4, over HKDF-Expand of RFC 5869 section 2.3."""
    labeled = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    output, block = b"", b""
    while len(output) < length:
        block = hmac.digest(secret, block + labeled + bytes([len(output) // len(secret) + 1]), kdf(suite))
        output += block
    return output[:length]


def test_the_bound_bytes_are_those_of_the_specification():
    """docs/transport.md, by hand: CBOR array of three, text, 1, array of four byte strings."""
    binding = Binding(
        suite=bytes.fromhex("647a00010002"), recipient=b"\x01" * 32, context=b"\x02" * 32, sender=b"\x03" * 32
    )
    strings = b"".join(b"\x58\x20" + bytes([number]) * 32 for number in (1, 2, 3))
    text = b"urn:quatrefoil:envelope-binding"
    assert binding.encode() == b"\x83\x78\x1f" + text + b"\x01\x84\x46\x64\x7a\x00\x01\x00\x02" + strings
