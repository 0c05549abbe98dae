"""Insiders: members who sign what is not theirs, recipients who know the file key, senders who are not who is meant."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sealing_room import KEYS, OTHER, Parts, open_, rewrap, seal
from tests.reference import sealed_file as reference

from quatrefoil.errors import MessageRefused
from quatrefoil.transport import CertificateAuthority, statement
from quatrefoil.transport.revocation import Revoked
from quatrefoil.transport.sealed import Judged, layout
from quatrefoil.transport.sealed.chunks import nonce
from quatrefoil.transport.sealed.keys import KEY_FILE
from quatrefoil.transport.sealed.layout import Payload, WrappedKey
from quatrefoil.transport.statement import Signed
from support import clock_at, days_from_now

KEY = KEYS["hybrid-768"]
TRUTH, LIE = b"dose: 5 mg", b"dose: 50 mg"


@pytest.fixture(scope="module")
def parts(north):
    return Parts.of(seal(TRUTH, north, [KEY, OTHER]))


def test_another_sender_than_the_expected_one_is_refused(parts, trust):
    with pytest.raises(MessageRefused, match=r"sealed by 'north' \(silo\), not by 'south'") as refused:
        open_(parts.whole, trust, sender="south")
    assert refused.value.party == "north"


def test_a_stranger_is_refused(stranger, trust):
    with pytest.raises(MessageRefused, match="no trusted root"):
        open_(seal(TRUTH, stranger.identity("north", "silo")), trust)


def test_a_recipient_who_knows_the_file_key_cannot_write_other_content(parts, north, trust):
    key = layout.payload_key(parts.file_key(OTHER, north), parts.parsed_header)
    forged = AESGCM(key).encrypt(nonce(0, final=True), LIE, None)
    with pytest.raises(MessageRefused, match=r"'north' .* does not fit"):
        open_(replace(parts, chunks=(forged,)).whole, trust, KEY)


def test_nor_sign_it_as_its_own_under_the_same_header(parts, north, south, trust):
    key = layout.payload_key(parts.file_key(OTHER, north), parts.parsed_header)
    forged = AESGCM(key).encrypt(nonce(0, final=True), LIE, None)
    payload = Payload(
        header=parts.parsed_header.digest(), size=len(LIE), ciphertext=hashlib.sha384(forged).digest()
    ).encode()
    signature = Signed.decode(statement.sign(payload, south)).signature
    with pytest.raises(MessageRefused, match=r"'north' .* does not fit"):
        open_(replace(parts, chunks=(forged,), signature=signature).whole, trust, KEY)


def test_a_member_who_is_no_recipient_cannot_pass_the_file_off_as_its_own(parts, south, trust):
    """Neither the wrapping nor the header can be moved to another certificate: the wrapped keys name both."""
    with pytest.raises(MessageRefused, match="wrapped file key does not open"):
        open_(parts.rewritten(south).whole, trust, KEY)
    header = replace(parts.parsed_header, sender=south.certificate_der)
    stolen = replace(parts.rewritten(south, header=header.digest()), header=header.encode())
    with pytest.raises(MessageRefused, match="wrapped file key does not open"):
        open_(stolen.whole, trust, KEY)


@pytest.mark.parametrize("field", ["context", "sealed_at", "salt", "commitment"])
def test_a_changed_header_is_refused_even_when_the_wrapping_names_it(parts, north, trust, field):
    value = 1 if field == "sealed_at" else bytes(32)
    header = replace(parts.parsed_header, **{field: value})
    forged = replace(parts.rewritten(north, header=header.digest()), header=header.encode())
    with pytest.raises(MessageRefused, match="wrapped file key does not open"):
        open_(forged.whole, trust, KEY)


def test_a_wrapper_who_gives_one_recipient_another_key_is_refused_by_the_commitment(parts, north, trust):
    (good, other) = parts.parsed_wrapping.keys
    info = layout.Binding(
        suite=good.suite,
        recipient=good.recipient,
        header=parts.parsed_header.digest(),
        wrapper=north.fingerprint,
    ).encode()
    wrong = replace(good, sealed=KEY.suite.wrap(bytes(32), KEY.recipient.public, info))
    with pytest.raises(MessageRefused, match="not the one of this payload"):
        open_(parts.rewritten(north, keys=(wrong, other)).whole, trust, KEY)


@pytest.mark.parametrize("identifiers", ["002000010002", "647a00010001", "005100020002", "", "00"])
def test_a_wrapped_key_of_another_suite_is_refused(parts, north, trust, identifiers):
    (good, other) = parts.parsed_wrapping.keys
    keys = (replace(good, suite=bytes.fromhex(identifiers)), other)
    with pytest.raises(MessageRefused, match="and the key is of hybrid-768"):
        open_(parts.rewritten(north, keys=keys).whole, trust, KEY)


@pytest.mark.parametrize("sealed", [b"", bytes(1120), bytes(1167), bytes(1169)])
def test_a_wrapped_key_of_the_wrong_length_is_refused(parts, north, trust, sealed):
    good, other = parts.parsed_wrapping.keys
    with pytest.raises(MessageRefused, match="wrapped file key does not open"):
        open_(parts.rewritten(north, keys=(replace(good, sealed=sealed), other)).whole, trust, KEY)


def test_a_wrapping_that_names_a_recipient_twice_or_nobody_is_refused(parts, north, trust):
    good, _ = parts.parsed_wrapping.keys
    with pytest.raises(MessageRefused, match="recipient twice"):
        open_(parts.rewritten(north, keys=(good, good)).whole, trust, KEY)
    with pytest.raises(MessageRefused, match="but to 0 other"):
        open_(parts.rewritten(north, keys=()).whole, trust, KEY)
    many = tuple(WrappedKey(suite=b"", recipient=bytes([n % 256, n // 256]), sealed=b"") for n in range(257))
    with pytest.raises(MessageRefused, match="more than 256"):
        open_(parts.rewritten(north, keys=many).whole, trust, KEY)


def test_an_old_file_opens_only_when_it_is_judged_at_its_claimed_time(parts, consortium):
    later = days_from_now(400)
    trust = consortium.trust_with(consortium.list_of(clock=later))
    with pytest.raises(MessageRefused, match="expired"):
        open_(parts.whole, trust, KEY, clock=later)
    assert open_(parts.whole, trust, KEY, clock=later, judged=Judged.AT_CLAIMED_TIME)[0] == TRUTH


@pytest.mark.parametrize("judged", list(Judged))
def test_a_file_from_the_future_is_refused(north, trust, judged):
    file = seal(TRUTH, north, clock=days_from_now(2))
    with pytest.raises(MessageRefused, match="still to come"):
        open_(file, trust, judged=judged)


def test_a_time_before_the_certificate_is_refused(north, trust):
    """A claimed time is not witnessed, but it has to lie in the certificate's validity."""
    file = seal(TRUTH, north, clock=days_from_now(-30))
    with pytest.raises(MessageRefused, match="valid only from"):
        open_(file, trust, judged=Judged.AT_CLAIMED_TIME)


def test_a_time_that_no_calendar_has_is_refused(parts, north, trust):
    for never in (1 << 63, 1 << 40):
        with pytest.raises(MessageRefused, match="at no time"):
            open_(parts.rewritten(north, wrapped_at=never).whole, trust, KEY)


def test_a_certificate_that_had_expired_when_it_signed_is_refused(tmp_path):
    then = days_from_now(-100)()
    authority = CertificateAuthority.create(tmp_path / "ca", "old", clock=clock_at(then))
    identity = authority.issue("west", "silo")
    file = seal(TRUTH, identity, clock=clock_at(then + timedelta(days=95)))
    for judged in Judged:
        with pytest.raises(MessageRefused, match="expired"):
            open_(file, authority.trust, judged=judged)


def test_the_stronger_key_signs_files_too(consortium, tmp_path):
    strong = consortium.authority.issue("strong", "silo", algorithm="ml-dsa-87", directory=tmp_path / "strong")
    for size in (0, 1, 65_536, 200_000):
        file = seal(bytes(size), strong)
        content, found = open_(file, consortium.trust, sender="strong")
        assert content == bytes(size) and found.sender.name == "strong"
        KEY.save(tmp_path / f"key-{size}", b"")
        read = reference.read(file, (tmp_path / f"key-{size}" / KEY_FILE).read_bytes(), consortium.authority.root)
        assert read.plaintext == bytes(size)
        with pytest.raises(MessageRefused):
            open_(file[:-1], consortium.trust)


def revoked_at(consortium, identity, reason, since):
    entry = Revoked(identity.certificate.serial_number, since, reason)
    return consortium.trust_with(consortium.list_of([entry]))


def test_a_file_of_a_revoked_sender_or_wrapper_is_refused(consortium, parts, north):
    trust = revoked_at(consortium, north, x509.ReasonFlags.key_compromise, consortium.clock())
    for judged in Judged:
        with pytest.raises(MessageRefused, match="'north' was revoked"):
            open_(parts.whole, trust, KEY, judged=judged)
        with pytest.raises(MessageRefused, match="'north' was revoked"):
            rewrap(parts.whole, consortium.identity("south", "auditor"), trust, [OTHER])


def test_a_file_of_a_sender_that_has_left_opens_at_the_time_that_it_claims(consortium, parts, north):
    tomorrow = (consortium.clock() + timedelta(days=1)).replace(microsecond=0)
    trust = revoked_at(consortium, north, x509.ReasonFlags.cessation_of_operation, tomorrow)
    with pytest.raises(MessageRefused, match="was revoked"):
        open_(parts.whole, trust, KEY)
    assert open_(parts.whole, trust, KEY, judged=Judged.AT_CLAIMED_TIME)[0] == TRUTH
