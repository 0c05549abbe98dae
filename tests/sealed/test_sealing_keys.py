"""Keys at rest, and the certificates that say whose they are."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sealing_room import KEYS

from quatrefoil.errors import CallerError, HostError, MessageRefused, StateCorrupt
from quatrefoil.transport import sealed, statement, suites, system_clock
from quatrefoil.transport.sealed import HYBRID_768, HYBRID_1024, RecipientKey
from quatrefoil.transport.sealed.keys import CERTIFICATE_FILE, KEY_FILE, SealingPublicKey
from support import days_from_now

each_suite = pytest.mark.parametrize("suite", sealed.SUITES, ids=lambda suite: suite.name)


def pem(key) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


ML_KEM, ML_KEM_1024, X25519, P384, P256 = map(
    pem,
    (
        mlkem.MLKEM768PrivateKey.generate(),
        mlkem.MLKEM1024PrivateKey.generate(),
        x25519.X25519PrivateKey.generate(),
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP256R1()),
    ),
)


@each_suite
def test_a_saved_key_is_private_and_loads(tmp_path, north, trust, suite):
    key = RecipientKey.generate(suite)
    key.save(tmp_path / "key", sealed.certify(key, north))
    assert (tmp_path / "key" / KEY_FILE).stat().st_mode & 0o777 == 0o600
    loaded = RecipientKey.load(tmp_path / "key")
    assert loaded.suite is suite and loaded.recipient == key.recipient
    assert len(loaded.recipient.public) == suite.public_bytes
    assert "secret" in repr(loaded)
    certificate = (tmp_path / "key" / CERTIFICATE_FILE).read_bytes()
    found = sealed.verify_recipient(certificate, trust, clock=system_clock)
    assert (found.name, found.role, found.suite) == ("north", "silo", suite)
    assert found.fingerprint == key.fingerprint
    with pytest.raises(HostError, match="exists already"):
        key.save(tmp_path / "key", certificate)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "not two private keys"),
        (ML_KEM, "not two private keys"),
        (ML_KEM + X25519 + X25519, "not two private keys"),
        (b"\n" + ML_KEM + X25519, "not two private keys"),
        (X25519 + ML_KEM, "a pair of no suite"),
        (ML_KEM + P384, "a pair of no suite"),
        (ML_KEM_1024 + X25519, "a pair of no suite"),
        (ML_KEM_1024 + P256, "a pair of no suite"),
        (ML_KEM + X25519.replace(b"\nM", b"\nX"), "cannot be read"),
    ],
)
def test_a_key_file_that_is_none_is_refused(tmp_path, content, problem):
    (tmp_path / KEY_FILE).write_bytes(content)
    (tmp_path / KEY_FILE).chmod(0o600)
    with pytest.raises(StateCorrupt, match=problem):
        RecipientKey.load(tmp_path)


def test_a_key_that_others_may_read_is_refused(tmp_path, north):
    key = KEYS["hybrid-768"]
    key.save(tmp_path / "key", sealed.certify(key, north))
    (tmp_path / "key" / KEY_FILE).chmod(0o640)
    with pytest.raises(HostError, match="open to others"):
        RecipientKey.load(tmp_path / "key")
    with pytest.raises(HostError, match="cannot be read"):
        RecipientKey.load(tmp_path / "nowhere")


def test_a_certificate_of_a_stranger_or_after_its_time_is_refused(stranger, north, trust):
    key = KEYS["hybrid-768"]
    with pytest.raises(MessageRefused, match="no trusted root"):
        certificate = sealed.certify(key, stranger.identity("north", "silo"))
        sealed.verify_recipient(certificate, trust, clock=system_clock)
    with pytest.raises(MessageRefused, match="expired"):
        sealed.verify_recipient(sealed.certify(key, north), trust, clock=days_from_now(200))


def test_a_flipped_bit_in_a_certificate_is_refused(north, trust):
    certificate = sealed.certify(KEYS["hybrid-768"], north)
    for position in range(0, len(certificate), 61):
        flipped = bytearray(certificate)
        flipped[position] ^= 1 << (position % 8)
        with pytest.raises(MessageRefused):
            sealed.verify_recipient(bytes(flipped), trust, clock=system_clock)


@pytest.mark.parametrize(
    ("identifiers", "public", "problem"),
    [
        ("002000010002", bytes(32), "suite 002000010002 is none of"),
        ("647a00010002", bytes(1215), "has 1216 bytes, not 1215"),
        ("647a00010002", b"\xff" * 1216, "not one of hybrid-768"),
        ("005100020002", bytes(1216), "has 1665 bytes, not 1216"),
        ("005100020002", bytes(1665), "not one of hybrid-1024"),
        ("005100020002", bytes(1568) + b"\x04" + b"\x01" * 96, "not one of hybrid-1024"),
    ],
)
def test_a_certified_key_that_is_none_is_refused(north, trust, identifiers, public, problem):
    body = SealingPublicKey(suite=bytes.fromhex(identifiers), public=public)
    with pytest.raises(MessageRefused, match=problem) as refused:
        sealed.verify_recipient(statement.sign(body.encode(), north), trust, clock=system_clock)
    assert refused.value.party == "north"


def test_a_degenerate_x25519_key_is_refused():
    public = KEYS["hybrid-768"].recipient.public[:1184] + bytes(32)
    with pytest.raises(MessageRefused, match="degenerate"):
        HYBRID_768.wrap(bytes(32), public, b"")


def test_halves_of_two_suites_make_no_key():
    for first, second in ((HYBRID_768, HYBRID_1024), (HYBRID_1024, HYBRID_768)):
        with pytest.raises(CallerError, match=f"not the two private keys of {first.name}"):
            RecipientKey(first, first.generate()[0], second.generate()[1])
        with pytest.raises(CallerError, match=f"not the two private keys of {first.name}"):
            RecipientKey(first, second.generate()[0], first.generate()[1])


def test_a_suite_is_found_by_its_name_only():
    assert suites.named("hybrid-1024") is HYBRID_1024
    with pytest.raises(CallerError, match="'rsa' is no suite"):
        suites.named("rsa")


@each_suite
def test_the_encapsulated_key_has_the_stated_length(suite):
    key = RecipientKey.generate(suite)
    assert len(suite.wrap(bytes(32), key.recipient.public, b"")) == suite.encapsulated_bytes + 32 + 16
