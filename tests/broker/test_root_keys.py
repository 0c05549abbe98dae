"""What every backend of the root key must do, whatever holds the key; and that all of them do the same."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from soft_token import SoftToken

from quatrefoil.broker import root_key
from quatrefoil.broker.root_file import FileRootKey
from quatrefoil.broker.root_key import RootKey
from quatrefoil.broker.root_pkcs11 import TokenRootKey, import_key
from quatrefoil.errors import CallerError, KeyUnavailable, UnwrapRefused

KEY = bytes(range(32))
PLAINTEXT, AAD = b"the key of a resource, 32 bytes!", b"resource digest"

MANY = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@dataclasses.dataclass
class Backend:
    """Opens the key ``key`` in one backend, as often as asked."""

    open: Callable[[bytes], RootKey]


@pytest.fixture(params=["file", "token"])
def backend(request: pytest.FixtureRequest) -> Backend:
    if request.param == "file":
        return Backend(open=FileRootKey)
    token = SoftToken()

    def open_in_token(key: bytes) -> RootKey:
        identity = FileRootKey(key).identity()
        import_key(token.place, token.pin, bytearray(key), identity)
        return TokenRootKey(token.place, token.pin, identity=identity)

    return Backend(open=open_in_token)


def test_what_is_wrapped_is_unwrapped(backend):
    key = backend.open(KEY)
    wrapped = key.wrap(PLAINTEXT, AAD)
    assert PLAINTEXT not in wrapped and KEY not in wrapped
    assert len(wrapped) == len(PLAINTEXT) + root_key.OVERHEAD
    found = key.unwrap(wrapped, AAD)
    assert isinstance(found, bytearray) and found == PLAINTEXT


@pytest.mark.parametrize("size", [0, 1, 16, 4096])
def test_any_small_size_wraps(backend, size):
    key = backend.open(KEY)
    assert key.unwrap(key.wrap(bytearray(size), b""), b"") == bytes(size)


def test_too_much_is_refused(backend):
    with pytest.raises(CallerError, match="too many to wrap"):
        backend.open(KEY).wrap(bytes(root_key.LARGEST_PLAINTEXT + 1), AAD)


def test_another_opening_of_the_same_key_unwraps(backend):
    wrapped = backend.open(KEY).wrap(PLAINTEXT, AAD)
    assert backend.open(KEY).unwrap(wrapped, AAD) == PLAINTEXT


def test_backends_are_one_form(backend):
    here, file = backend.open(KEY), FileRootKey(KEY)
    assert here.identity() == file.identity()
    assert file.unwrap(here.wrap(PLAINTEXT, AAD), AAD) == PLAINTEXT
    assert here.unwrap(file.wrap(PLAINTEXT, AAD), AAD) == PLAINTEXT


def test_nothing_is_wrapped_twice_alike(backend):
    key = backend.open(KEY)
    nonces = {root_key.unframe(key.wrap(PLAINTEXT, AAD), key.identity())[0] for _ in range(20)}
    assert len(nonces) == 20


def test_another_record_is_refused(backend):
    key = backend.open(KEY)
    wrapped = key.wrap(PLAINTEXT, AAD)
    for aad in (b"", AAD + b"\x00", AAD[:-1], b"another resource"):
        with pytest.raises(UnwrapRefused, match="altered, or belongs to another record"):
            key.unwrap(wrapped, aad)


def test_another_key_is_named(backend):
    key, other = backend.open(KEY), FileRootKey(KEY[::-1])
    with pytest.raises(UnwrapRefused, match=rf"root key {other.identity().hex()[:16]}.*{key.identity().hex()[:16]}"):
        key.unwrap(other.wrap(PLAINTEXT, AAD), AAD)


def test_another_key_under_this_name_is_refused(backend):
    key, other = backend.open(KEY), FileRootKey(KEY[::-1])
    nonce, ciphertext = root_key.unframe(other.wrap(PLAINTEXT, AAD), other.identity())
    with pytest.raises(UnwrapRefused, match="altered"):
        key.unwrap(root_key.frame(key.identity(), nonce, ciphertext), AAD)


def test_every_altered_byte_is_refused(backend):
    key = backend.open(KEY)
    wrapped = key.wrap(PLAINTEXT[:8], AAD)
    for place in range(len(wrapped)):
        altered = bytearray(wrapped)
        altered[place] ^= 1
        with pytest.raises(UnwrapRefused):
            key.unwrap(bytes(altered), AAD)


def test_every_truncation_and_extension_is_refused(backend):
    key = backend.open(KEY)
    wrapped = key.wrap(PLAINTEXT[:8], AAD)
    for altered in (*(wrapped[:size] for size in range(len(wrapped))), wrapped + b"\x00"):
        with pytest.raises(UnwrapRefused):
            key.unwrap(altered, AAD)


def test_a_key_still_works_after_a_refusal(backend):
    key = backend.open(KEY)
    wrapped = key.wrap(PLAINTEXT, AAD)
    with pytest.raises(UnwrapRefused):
        key.unwrap(wrapped, b"other")
    assert key.unwrap(wrapped, AAD) == PLAINTEXT


@MANY
@given(plaintext=st.binary(max_size=200), aad=st.binary(max_size=100), other=st.binary(max_size=100))
def test_only_the_same_aad_unwraps(backend, plaintext, aad, other):
    key = backend.open(KEY)
    wrapped = key.wrap(plaintext, aad)
    assert key.unwrap(wrapped, aad) == plaintext
    if other != aad:
        with pytest.raises(UnwrapRefused):
            key.unwrap(wrapped, other)
    key.close()


def test_identities_tell_keys_apart_and_nothing_else(backend):
    first, again, other = backend.open(KEY), backend.open(KEY), backend.open(KEY[::-1])
    assert first.identity() == again.identity() != other.identity()
    assert len(first.identity()) == root_key.IDENTITY_BYTES
    assert first.identity() not in (hashlib.sha256(KEY).digest(), KEY)


def test_a_closed_key_is_refused(backend):
    key = backend.open(KEY)
    wrapped = key.wrap(PLAINTEXT, AAD)
    key.close()
    key.close()
    for call in (lambda: key.wrap(PLAINTEXT, AAD), lambda: key.unwrap(wrapped, AAD), key.identity):
        with pytest.raises(KeyUnavailable, match="closed"):
            call()


def test_nothing_secret_is_printed(backend):
    key = backend.open(KEY)
    for shown in (repr(key), str(key)):
        assert KEY.hex() not in shown and repr(KEY) not in shown
        assert key.identity().hex()[:16] in shown
