"""The root key in a real token (SoftHSM 2): what cannot be done with it, and every way in which a token fails."""

from __future__ import annotations

from pathlib import Path

import pytest
from soft_token import MODULE, PIN, SoftToken

from quatrefoil.broker import root_pkcs11, root_token, root_xaes
from quatrefoil.broker.root_file import FileRootKey
from quatrefoil.broker.root_pkcs11 import TokenRootKey, generate_key, import_key
from quatrefoil.broker.root_token import PIN_VARIABLE, Place, pin_from
from quatrefoil.errors import CallerError, DependencyMissing, HostError, KeyUnavailable, UnwrapRefused

pkcs11 = pytest.importorskip("pkcs11", reason="PYTHON-PKCS11 IS NOT INSTALLED: root keys in tokens are not tested")

KEY = bytes(range(32))
IDENTITY = FileRootKey(KEY).identity()


@pytest.fixture
def token() -> SoftToken:
    return SoftToken()


@pytest.fixture
def key(token):
    import_key(token.place, token.pin, bytearray(KEY), IDENTITY)
    opened = TokenRootKey(token.place, token.pin)
    yield opened
    opened.close()


def in_token(token: SoftToken, operation):
    session = root_token.TokenSession(token.place, token.pin)
    try:
        return session.run(operation)
    finally:
        session.close()


def planted(token: SoftToken, identity: bytes = IDENTITY, **changes: object) -> None:
    """A key object that whoever has the PIN may make by other means."""
    attributes = root_pkcs11._template(identity) | root_pkcs11._uses()
    attributes |= {
        pkcs11.Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY,
        pkcs11.Attribute.KEY_TYPE: pkcs11.KeyType.AES,
        pkcs11.Attribute.VALUE: KEY,
    }
    attributes |= {pkcs11.Attribute[name.upper()]: value for name, value in changes.items()}
    in_token(token, lambda session: session.create_object(attributes))


# -------------------------------------------------------------------------------------------- what a token keeps


def the_object(session):
    (found,) = session.get_objects({pkcs11.Attribute.LABEL: root_pkcs11.LABEL})
    return found


def test_the_key_cannot_be_read_changed_or_used_otherwise(token, key):
    def look(session):
        found = the_object(session)
        attribute = pkcs11.Attribute
        for true in (attribute.SENSITIVE, attribute.PRIVATE, attribute.TOKEN, attribute.ENCRYPT, attribute.DERIVE):
            assert found[true], true
        for false in ("EXTRACTABLE", "MODIFIABLE", "DECRYPT", "SIGN", "VERIFY", "WRAP", "UNWRAP"):
            assert not found[attribute[false]], false
        with pytest.raises(pkcs11.AttributeSensitive):
            found[attribute.VALUE]
        for change in ({attribute.EXTRACTABLE: True}, {attribute.SENSITIVE: False}):
            with pytest.raises(pkcs11.PKCS11Error):
                found.copy(change)
            with pytest.raises(pkcs11.PKCS11Error):
                found[next(iter(change))] = next(iter(change.values()))
        assert not hasattr(found, "decrypt") and not hasattr(found, "wrap_key")

    in_token(token, look)


def test_a_message_key_cannot_be_read_and_does_not_stay(token, key):
    def look(session):
        with root_pkcs11._MessageKey(the_object(session), key._k1, bytes(24)) as message_key:
            assert message_key[pkcs11.Attribute.SENSITIVE] and not message_key[pkcs11.Attribute.EXTRACTABLE]
            with pytest.raises(pkcs11.AttributeSensitive):
                message_key[pkcs11.Attribute.VALUE]

    in_token(token, look)
    for _ in range(3):
        key.unwrap(key.wrap(b"x", b""), b"")
    left = in_token(token, lambda s: list(s.get_objects({pkcs11.Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY})))
    assert len(left) == 1


def test_the_token_computes_the_published_vector(token):
    published = b"\x01" * 32
    import_key(token.place, token.pin, bytearray(published), FileRootKey(published).identity())
    opened = TokenRootKey(token.place, token.pin)
    nonce = b"ABCDEFGHIJKLMNOPQRSTUVWX"

    def encrypt(session):
        with root_pkcs11._MessageKey(the_object(session), opened._k1, nonce) as message_key:
            return message_key.encrypt(b"XAES-256-GCM", **root_pkcs11._gcm(nonce, b""))

    assert in_token(token, encrypt).hex() == "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"
    opened.close()


def test_a_key_of_the_tokens_own_was_never_outside(token):
    identity = generate_key(token.place, token.pin)
    opened = TokenRootKey(token.place, token.pin)
    assert opened.identity() == identity
    assert opened.unwrap(opened.wrap(b"x", b"y"), b"y") == b"x"
    attribute = pkcs11.Attribute
    names = (attribute.LOCAL, attribute.NEVER_EXTRACTABLE, attribute.ALWAYS_SENSITIVE)
    assert in_token(token, lambda session: [the_object(session)[name] for name in names]) == [True, True, True]
    assert not in_token(token, lambda session: the_object(session)[attribute.MODIFIABLE])
    opened.close()


def test_importing_twice_leaves_one_key(token, key):
    import_key(token.place, token.pin, bytearray(KEY), IDENTITY)
    assert key.identity() == IDENTITY


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_key_of_another_length_is_not_imported(token, size):
    with pytest.raises(CallerError, match="32 bytes"):
        import_key(token.place, token.pin, bytearray(size), IDENTITY)


def test_a_key_is_not_imported_under_another_identity(token):
    with pytest.raises(KeyUnavailable, match="as its ID says"):
        import_key(token.place, token.pin, bytearray(KEY[::-1]), IDENTITY)


# ------------------------------------------------------------------------------------------- what is in its place


@pytest.mark.parametrize(
    "changes", [{"extractable": True}, {"sensitive": False}, {"private": False}, {"value": KEY[:16]}], ids=str
)
def test_a_key_that_others_may_know_is_refused(token, changes):
    planted(token, **changes)
    with pytest.raises(KeyUnavailable, match=r"can be read out of it|is not AES-256"):
        TokenRootKey(token.place, token.pin)


def test_another_key_in_its_place_is_refused(token):
    planted(token, value=KEY[::-1])
    with pytest.raises(KeyUnavailable, match="Somebody put another key in its place"):
        TokenRootKey(token.place, token.pin)


def test_a_second_key_of_the_same_name_is_refused(token, key):
    planted(token, value=KEY[::-1])
    with pytest.raises(KeyUnavailable, match="holds 2 root keys"):
        TokenRootKey(token.place, token.pin)


def test_of_several_keys_one_is_to_be_named(token, key):
    other = FileRootKey(KEY[::-1]).identity()
    import_key(token.place, token.pin, bytearray(KEY[::-1]), other)
    with pytest.raises(KeyUnavailable, match=r"2 root keys.*--root-identity"):
        TokenRootKey(token.place, token.pin)
    opened = TokenRootKey(token.place, token.pin, identity=other)
    with pytest.raises(UnwrapRefused, match="wrapped under root key"):
        opened.unwrap(key.wrap(b"x", b""), b"")
    opened.close()


def test_an_empty_token_is_refused(token):
    with pytest.raises(KeyUnavailable, match=r"holds no root key. Make one"):
        TokenRootKey(token.place, token.pin)
    with pytest.raises(KeyUnavailable, match=f"no root key {IDENTITY.hex()[:16]} .it holds none"):
        TokenRootKey(token.place, token.pin, identity=IDENTITY)


# -------------------------------------------------------------------------------------------------------- the PIN


def test_a_wrong_pin_is_refused_and_given_once(token):
    given = []

    def wrong() -> str:
        given.append("wrong pin")
        return given[-1]

    with pytest.raises(KeyUnavailable, match=r"refuses the PIN. Correct the PIN first") as refused:
        TokenRootKey(token.place, wrong)
    assert len(given) == 1 and "wrong pin" not in str(refused.value)


def test_a_wrong_pin_is_refused_where_the_process_is_logged_in_already(token, key):
    with pytest.raises(KeyUnavailable, match="refuses the PIN"):
        TokenRootKey(token.place, lambda: "wrong pin")
    assert key.unwrap(key.wrap(b"x", b""), b"") == b"x"


def test_a_pin_that_is_refused_later_is_not_given_again(token):
    import_key(token.place, token.pin, bytearray(KEY), IDENTITY)
    given, right = [], [True]

    def pin() -> str:
        given.append(PIN if right[0] else "changed meanwhile")
        return given[-1]

    opened = TokenRootKey(token.place, pin)
    right[0] = False
    pkcs11.lib(str(MODULE)).reinitialize()
    for _ in range(3):
        with pytest.raises(KeyUnavailable, match="refuses the PIN"):
            opened.wrap(b"x", b"")
    assert given == [PIN, "changed meanwhile"]
    opened.close()


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("PinLocked", "has locked its PIN. Have its security officer"),
        ("PinIncorrect", "refuses the PIN"),
        ("PinLenRange", "refuses the PIN"),
        ("PinExpired", "has expired"),
        ("UserPinNotInitialized", "is not initialised"),
        ("DeviceRemoved", "is not there. Connect it again"),
        ("TokenWriteProtected", "write-protected"),
        ("MechanismInvalid", "cannot do what a root key needs"),
        ("DeviceMemory", "fails .DeviceMemory"),
    ],
)
def test_what_softhsm_never_says_is_clear_too(kind, said):
    refusal = root_token.unavailable(Place(Path("/m.so"), "t"), getattr(pkcs11, kind)())
    with pytest.raises(KeyUnavailable, match=said):
        raise refusal


def test_a_pin_file_is_for_its_owner_only(tmp_path):
    file = tmp_path / "pin"
    file.write_text(PIN + "\n")
    file.chmod(0o644)
    with pytest.raises(HostError, match="open to others"):
        pin_from(file)()
    file.chmod(0o600)
    assert pin_from(file)() == PIN
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(HostError, match="no text"):
        pin_from(file)()
    file.unlink()
    with pytest.raises(HostError, match="cannot be read"):
        pin_from(file)()


def test_a_pin_in_the_environment(monkeypatch):
    monkeypatch.setenv(PIN_VARIABLE, PIN)
    assert pin_from(None)() == PIN
    for nothing in ("", None):
        monkeypatch.setenv(PIN_VARIABLE, nothing) if nothing is not None else monkeypatch.delenv(PIN_VARIABLE)
        with pytest.raises(HostError, match="no PIN of the token was given"):
            pin_from(None)()


def test_no_pin_is_ever_printed(token, key):
    for shown in (repr(key), str(key._token), repr(key._token._login), str(token.place)):
        assert PIN not in shown


# --------------------------------------------------------------------------------------------- tokens come and go


def test_a_token_that_comes_back_is_opened_again(token, key):
    wrapped = key.wrap(b"x", b"y")
    token.take_away()
    for call in (lambda: key.wrap(b"x", b"y"), lambda: key.unwrap(wrapped, b"y")):
        with pytest.raises(KeyUnavailable, match=f"there is no token '{token.place.token}'"):
            call()
    token.put_back()
    assert key.unwrap(wrapped, b"y") == b"x"


def test_one_token_that_goes_does_not_take_another_along(token, key):
    other = SoftToken()
    import_key(other.place, other.pin, bytearray(KEY), IDENTITY)
    still = TokenRootKey(other.place, other.pin)
    token.take_away()
    with pytest.raises(KeyUnavailable):
        key.wrap(b"x", b"")
    assert still.unwrap(still.wrap(b"x", b""), b"") == b"x"
    still.close()
    token.put_back()
    assert key.unwrap(key.wrap(b"x", b""), b"") == b"x"


def test_a_session_that_somebody_ended_is_opened_again(token, key):
    wrapped = key.wrap(b"x", b"y")
    pkcs11.lib(str(MODULE)).reinitialize()
    assert key.unwrap(wrapped, b"y") == b"x"


def test_a_key_that_was_replaced_meanwhile_is_found_in_the_next_session(token, key):
    in_token(token, lambda session: the_object(session).destroy())
    planted(token, extractable=True)
    pkcs11.lib(str(MODULE)).reinitialize()
    with pytest.raises(KeyUnavailable, match="can be read out of it"):
        key.wrap(b"x", b"")


def test_a_token_that_fails_within_a_message_is_no_altered_message(token, key, monkeypatch):
    wrapped, failed = key.wrap(b"x", b"y"), []

    def enter(self):
        if not failed:
            failed.append(pkcs11.lib(str(MODULE)).reinitialize())
        return self._key

    monkeypatch.setattr(root_pkcs11._MessageKey, "__enter__", enter)
    assert key.unwrap(wrapped, b"y") == b"x" and failed


def test_what_was_altered_is_no_reason_to_log_in_again(token, key):
    wrapped = key.wrap(b"x", b"y")
    before = token.pins_read
    for _ in range(5):
        with pytest.raises(UnwrapRefused):
            key.unwrap(wrapped, b"z")
    assert token.pins_read == before


def test_closing_one_leaves_the_other(token, key):
    TokenRootKey(token.place, token.pin).close()
    assert key.unwrap(key.wrap(b"x", b""), b"") == b"x"


def test_a_token_that_is_gone_can_be_closed(token):
    import_key(token.place, token.pin, bytearray(KEY), IDENTITY)
    opened = TokenRootKey(token.place, token.pin)
    token.take_away()
    opened.close()
    with pytest.raises(KeyUnavailable, match="closed"):
        opened.identity()


def test_an_unknown_token_names_those_there_are(token):
    with pytest.raises(KeyUnavailable, match=f"no token 'elsewhere'.*{token.place.token}"):
        TokenRootKey(Place(token.place.module, "elsewhere"), token.pin)


@pytest.mark.parametrize("module", ["/none.so", __file__])
def test_what_is_no_module_is_refused(module):
    with pytest.raises(KeyUnavailable, match="cannot be used as a PKCS #11 module"):
        TokenRootKey(Place(Path(module), "t"), lambda: PIN)


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pkcs11", None)
    with pytest.raises(DependencyMissing, match=r"quatrefoil\[hsm\]"):
        root_token.library()


def test_the_subkey_is_not_the_zero_block():
    assert root_xaes.subkey(bytes(16)) == bytes(16)
    assert root_xaes.subkey(b"\x80" + bytes(15)) == bytes(15) + b"\x87"
